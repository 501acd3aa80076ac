/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "jout.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include <tenant/types.h>

/* Bytes of the UTF-8 character at @p, or 0 if there is none. */
static size_t character_bytes(const unsigned char *p)
{
	static const struct {
		unsigned char first_min, first_max, second_min, second_max;
		size_t bytes;
	} forms[] = {
		{ 0x00, 0x7f, 0x00, 0xff, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		size_t bytes = forms[i].bytes;

		if (p[0] < forms[i].first_min || p[0] > forms[i].first_max)
			continue;
		if (bytes > 1 && (p[1] < forms[i].second_min || p[1] > forms[i].second_max))
			return 0;
		for (size_t k = 2; k < bytes; k++)
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		return bytes;
	}
	return 0;
}

/* The character at @p, of which @left bytes may be read. Returns how many it has. */
static size_t put_character(FILE *file, const char *p, size_t left)
{
	unsigned char c[4] = { 0 };
	size_t n;

	memcpy(c, p, left < sizeof(c) ? left : sizeof(c));
	n = character_bytes(c);
	if (n == 0 || n > left) {
		(void)fputs("\\ufffd", file);
		return 1;
	}
	if (c[0] == '"' || c[0] == '\\')
		(void)fprintf(file, "\\%c", c[0]);
	else if (c[0] < ' ' || c[0] == 0x7f)
		(void)fprintf(file, "\\u%04x", c[0]);
	else if (n == 2 && c[0] == 0xc2 && c[1] < 0xa0) /* a control character of Latin-1 */
		(void)fprintf(file, "\\u%04x", c[1]);
	else
		(void)fwrite(c, 1, n, file);
	return n;
}

static void put_bytes(FILE *file, const char *bytes, size_t n)
{
	(void)putc('"', file);
	for (size_t i = 0; i < n;)
		i += put_character(file, bytes + i, n - i);
	(void)putc('"', file);
}

static void put_string(FILE *file, const char *text)
{
	put_bytes(file, text, strlen(text));
}

/* What stands before a value: a comma, and its key. */
static void lead(struct jout *out, const char *key)
{
	if (out->follows[out->depth])
		(void)fputs(", ", out->file);
	out->follows[out->depth] = true;
	if (key != NULL) {
		put_string(out->file, key);
		(void)fputs(": ", out->file);
	}
}

void jout_begin(struct jout *out, const char *key, char bracket)
{
	lead(out, key);
	(void)putc(bracket, out->file);
	assert(out->depth + 1 < JOUT_DEPTH_MAX);
	out->follows[++out->depth] = false;
}

void jout_end(struct jout *out, char bracket)
{
	assert(out->depth > 0);
	out->depth--;
	(void)putc(bracket, out->file);
}

void jout_text(struct jout *out, const char *key, const char *text)
{
	lead(out, key);
	if (text == NULL)
		(void)fputs("null", out->file);
	else
		put_string(out->file, text);
}

void jout_bytes(struct jout *out, const char *key, const char *bytes, size_t n)
{
	lead(out, key);
	put_bytes(out->file, bytes, n);
}

void jout_int(struct jout *out, const char *key, int64_t number)
{
	lead(out, key);
	if (number == TN_ABSENT)
		(void)fputs("null", out->file);
	else
		(void)fprintf(out->file, "%" PRId64, number);
}

void jout_bool(struct jout *out, const char *key, bool value)
{
	lead(out, key);
	(void)fputs(value ? "true" : "false", out->file);
}

static void begin_lines(struct jout *out)
{
	if (out->depth == 0)
		jout_begin(out, NULL, '[');
}

void jout_line(struct jout *out)
{
	begin_lines(out);
	if (out->follows[out->depth])
		(void)putc(',', out->file);
	(void)fputs("\n  ", out->file);
	out->follows[out->depth] = false;
}

void jout_end_lines(struct jout *out)
{
	begin_lines(out);
	if (out->follows[out->depth])
		(void)putc('\n', out->file);
	jout_end(out, ']');
}
