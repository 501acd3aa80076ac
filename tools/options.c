/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "options.h"

#include <getopt.h>

#include <base/err.h>
#include <base/nearest.h>

#define HELP_COLUMN 26

/* Values that getopt_long() returns for rows without a short name. */
#define LONG_ONLY 256

static void make_tables(const struct option_row *rows, size_t rows_n, bool stop_at_operand,
                        struct option *long_options, char *short_options)
{
	if (stop_at_operand)
		*short_options++ = '+';
	*short_options++ = ':';
	for (size_t i = 0; i < rows_n; i++) {
		bool argument = rows[i].argument != NULL;

		long_options[i] = (struct option){
			.name = rows[i].name,
			.has_arg = argument ? required_argument : no_argument,
			.val = LONG_ONLY + (int)i,
		};
		if (rows[i].short_name != 0) {
			*short_options++ = rows[i].short_name;
			if (argument)
				*short_options++ = ':';
		}
	}
	long_options[rows_n] = (struct option){ 0 };
	*short_options = '\0';
}

static int apply(const struct option_row *row, char *target, struct tn_error *err)
{
	int64_t number;
	int r = 0;

	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)(target + row->offset) = true;
		break;
	case OPTION_TEXT:
		memcpy(target + row->offset, &optarg, sizeof(optarg));
		break;
	case OPTION_NUMBER:
		r = row->parse(optarg, &number, err);
		if (r == 0)
			memcpy(target + row->offset, &number, sizeof(number));
		break;
	case OPTION_CALL:
		r = row->call(target, optarg, err);
		break;
	}
	return r < 0 ? err_wrap(err, r, "--%s", row->name) : 0;
}

static const struct option_row *row_of(const struct option_row *rows, size_t rows_n, int value)
{
	if (value >= LONG_ONLY)
		return &rows[value - LONG_ONLY];
	for (size_t i = 0; i < rows_n; i++)
		if (rows[i].short_name == value)
			return &rows[i];
	return NULL;
}

/* What may have been meant by @argument, "--qeueu=1s". */
static void suggest(const struct option_row *rows, size_t rows_n, const char *argument,
                    char hint[NEAREST_HINT_BYTES_MAX])
{
	char name[NEAREST_WORD_BYTES_MAX] = "";
	struct nearest nearest = nearest_begin(name);

	if (strlen(argument) < 2)
		return;
	(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(argument + 2, "="),
	               argument + 2);
	for (size_t i = 0; i < rows_n; i++)
		nearest_consider(&nearest, rows[i].name);
	(void)nearest_hint(&nearest, "--", hint);
}

/* What getopt_long() stumbled over; it names short options by optopt alone. */
static int refuse(const struct option_row *rows, size_t rows_n, int value, char **argv,
                  struct tn_error *err)
{
	const int index = optind - 1;
	char hint[NEAREST_HINT_BYTES_MAX] = "";
	const char *what = value == ':' ? "lacks its argument" : "is not known";

	if (optopt > 0 && optopt < LONG_ONLY)
		return err_refuse(err, TN_INVALID, "option -%c %s; see --help", optopt, what);
	if (optopt >= LONG_ONLY && value == '?')
		what = "takes no argument";
	if (value == '?' && optopt == 0)
		suggest(rows, rows_n, argv[index], hint);
	return err_refuse(err, TN_INVALID, "option %s %s%s; see --help", argv[index], what,
	                  hint);
}

int options_parse(const struct option_row *rows, size_t rows_n, int argc, char **argv,
                  bool stop_at_operand, void *target, struct tn_error *err)
{
	struct option long_options[OPTIONS_MAX + 1];
	char short_options[2 * OPTIONS_MAX + 3];
	int value;

	assert(rows_n <= OPTIONS_MAX);
	make_tables(rows, rows_n, stop_at_operand, long_options, short_options);
	opterr = 0;
	optind = 0;
	while ((value = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		const struct option_row *row = value == '?' || value == ':'
		                                       ? NULL
		                                       : row_of(rows, rows_n, value);
		int r = row != NULL ? apply(row, target, err)
		                    : refuse(rows, rows_n, value, argv, err);

		if (r < 0)
			return r;
	}
	return optind;
}

void options_help(const struct option_row *rows, size_t rows_n, FILE *file)
{
	for (size_t i = 0; i < rows_n; i++) {
		char left[64];
		int n = rows[i].short_name != 0
		                ? snprintf(left, sizeof(left), "  -%c, --%s",
		                           rows[i].short_name, rows[i].name)
		                : snprintf(left, sizeof(left), "      --%s", rows[i].name);

		if (rows[i].argument != NULL && n > 0)
			(void)snprintf(left + n, sizeof(left) - (size_t)n, " %s",
			               rows[i].argument);
		if (strlen(left) + 2 > HELP_COLUMN)
			(void)fprintf(file, "%s\n%*s", left, HELP_COLUMN, "");
		else
			(void)fprintf(file, "%-*s", HELP_COLUMN, left);
		/* A line break in the text goes on in the same column. */
		for (const char *p = rows[i].help; *p != '\0'; p++) {
			(void)putc(*p, file);
			if (*p == '\n')
				(void)fprintf(file, "%*s", HELP_COLUMN, "");
		}
		(void)putc('\n', file);
	}
}
