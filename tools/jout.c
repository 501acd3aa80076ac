/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "jout.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>

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

static void put_string(FILE *file, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	(void)putc('"', file);
	while (*p != '\0') {
		size_t n = character_bytes(p);

		if (n == 0)
			(void)fputs("\\ufffd", file);
		else if (*p == '"' || *p == '\\')
			(void)fprintf(file, "\\%c", *p);
		else if (*p < ' ' || *p == 0x7f)
			(void)fprintf(file, "\\u%04x", *p);
		else
			(void)fwrite(p, 1, n, file);
		p += n == 0 ? 1 : n;
	}
	(void)putc('"', file);
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
