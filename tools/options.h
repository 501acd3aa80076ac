/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Command line options as a table: the row that parses an option also explains it.
 */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <tenant/error.h>

#define OPTIONS_MAX 32

enum option_kind {
	OPTION_FLAG,   /* bool: is set */
	OPTION_TEXT,   /* const char *: the argument */
	OPTION_NUMBER, /* int64_t: what parse makes of the argument */
	OPTION_CALL,   /* call is given the argument */
};

struct option_row {
	char short_name; /* or 0 */
	const char *name;
	const char *argument; /* what --help calls it; NULL if there is none */
	const char *help;
	enum option_kind kind;
	size_t offset; /* in the target */
	int (*parse)(const char *text, int64_t *ret, struct tn_error *err);
	int (*call)(void *target, const char *argument, struct tn_error *err);
};

/*
 * Apply the options in @argv to @target. @stop_at_operand: what stands behind the
 * first operand is not looked at; else operands are moved behind the options. Returns
 * the index of the first operand, or -EINVAL.
 */
int options_parse(const struct option_row *rows, size_t rows_n, int argc, char **argv,
                  bool stop_at_operand, void *target, struct tn_error *err);

/* One line or more per option, for --help. */
void options_help(const struct option_row *rows, size_t rows_n, FILE *file);

#endif
