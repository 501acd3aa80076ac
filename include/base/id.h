/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * UUIDs as the daemons pass them: 16 bytes on the wire, 36 characters in text.
 * Who needs a new one asks libuuid; here they are only compared and written out.
 */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ID_TEXT_BYTES 37 /* with the NUL */

struct id {
	uint8_t bytes[16];
};

static inline bool id_equal(const struct id *a, const struct id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* All zero, which no UUID is. */
static inline bool id_is_none(const struct id *id)
{
	const struct id none = { { 0 } };

	return id_equal(id, &none);
}

/* Lower-case canonical text: 8-4-4-4-12. */
static inline void id_format(const struct id *id, char text[static ID_TEXT_BYTES])
{
	static const char hex[] = "0123456789abcdef";
	char *p = text;

	for (size_t i = 0; i < sizeof(id->bytes); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[id->bytes[i] >> 4];
		*p++ = hex[id->bytes[i] & 15];
	}
	*p = '\0';
}

static inline int id_nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Exactly the text that id_format() writes. Returns 0 or -EINVAL. */
static inline int id_parse(const char *text, struct id *ret)
{
	struct id id = { { 0 } };

	for (size_t i = 0; i < sizeof(id.bytes); i++) {
		int high, low;

		if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
			return -EINVAL;
		high = id_nibble(text[0]);
		low = high < 0 ? -1 : id_nibble(text[1]);
		if (low < 0)
			return -EINVAL;
		id.bytes[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	if (*text != '\0')
		return -EINVAL;
	*ret = id;
	return 0;
}

#endif
