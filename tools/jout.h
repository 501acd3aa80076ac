/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON to a stream, as it is made: no tree, no allocation, so that a list of any
 * length can be written. What is not UTF-8 becomes U+FFFD, since a file name or an
 * argument in a message may be anything.
 */
#ifndef TOOLS_JOUT_H
#define TOOLS_JOUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JOUT_DEPTH_MAX 16

struct jout {
	FILE *file; /* borrowed */
	int depth;
	bool follows[JOUT_DEPTH_MAX]; /* something stands before, at this depth */
};

/* In an object every value has a @key; elsewhere it is NULL. */
void jout_begin(struct jout *out, const char *key, char bracket);    /* '{' or '[' */
void jout_end(struct jout *out, char bracket);                       /* '}' or ']' */
void jout_text(struct jout *out, const char *key, const char *text); /* NULL: null */
void jout_bytes(struct jout *out, const char *key, const char *bytes, size_t n);
void jout_int(struct jout *out, const char *key, int64_t number); /* TN_ABSENT: null */
void jout_bool(struct jout *out, const char *key, bool value);

/*
 * An array of records, one a line: before each element, and instead of jout_end(). Where
 * nothing has begun they begin the array, so that a list refused at once leaves no text.
 */
void jout_line(struct jout *out);
void jout_end_lines(struct jout *out);

#endif
