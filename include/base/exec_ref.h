/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How people and programs say which execution they mean: by its id, by the beginning of that,
 * or by its tenant and the name it was given. Here is only what such a text can be; what it
 * stands for is the controller's to find.
 */
#ifndef BASE_EXEC_REF_H
#define BASE_EXEC_REF_H

#include <stddef.h>

#include <base/name.h>

/* Eight digits are the first group of a UUID. */
#define EXEC_REF_PREFIX_MIN 8
#define EXEC_REF_RULE       "a UUID, 8 or more digits that it begins with, or TENANT/NAME"

enum exec_ref_kind {
	EXEC_REF_ID,
	EXEC_REF_PREFIX,
	EXEC_REF_NAME,
};

struct exec_ref {
	enum exec_ref_kind kind;
	struct id id;
	char prefix[ID_TEXT_BYTES];  /* as id_format() would begin */
	char tenant[NAME_BYTES_MAX]; /* a name or a UUID */
	char name[NAME_BYTES_MAX];
};

static inline int exec_ref_parse_name(const char *text, struct exec_ref *ret)
{
	const char *slash = strchr(text, '/');
	const size_t n = (size_t)(slash - text);
	struct id id;

	if (n >= sizeof(ret->tenant) || !name_valid(slash + 1))
		return -EINVAL;
	memcpy(ret->tenant, text, n);
	ret->tenant[n] = '\0';
	memcpy(ret->name, slash + 1, strlen(slash + 1) + 1);
	ret->kind = EXEC_REF_NAME;
	return name_valid(ret->tenant) || id_parse(ret->tenant, &id) == 0 ? 0 : -EINVAL;
}

/* With the hyphens of a UUID or without any of them. */
static inline int exec_ref_parse_prefix(const char *text, struct exec_ref *ret)
{
	size_t digits = 0, n = 0;

	for (; *text != '\0'; text++) {
		const bool edge = digits == 8 || digits == 12 || digits == 16 || digits == 20;
		const bool open = edge && ret->prefix[n - 1] != '-';

		if (digits == 32 || (*text == '-' && !open) ||
		    (*text != '-' && id_nibble(*text) < 0))
			return -EINVAL;
		if (open)
			ret->prefix[n++] = '-';
		if (*text == '-')
			continue;
		ret->prefix[n++] = *text;
		digits++;
	}
	ret->prefix[n] = '\0';
	ret->kind = digits == 32 ? EXEC_REF_ID : EXEC_REF_PREFIX;
	if (digits < EXEC_REF_PREFIX_MIN)
		return -EINVAL;
	return ret->kind == EXEC_REF_ID ? id_parse(ret->prefix, &ret->id) : 0;
}

/* Returns 0 or -EINVAL; then *ret is undefined. */
static inline int exec_ref_parse(const char *text, struct exec_ref *ret)
{
	return strchr(text, '/') != NULL ? exec_ref_parse_name(text, ret)
	                                 : exec_ref_parse_prefix(text, ret);
}

#endif
