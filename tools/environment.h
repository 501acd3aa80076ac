/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The variables that a command line gives to a command. A name stands once in it: what
 * is set later replaces what was set before, but nothing from a file replaces what the
 * command line itself names.
 */
#ifndef TOOLS_ENVIRONMENT_H
#define TOOLS_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

#include <tenant/error.h>

/* Of one command; Linux would take more only of variables that are hardly any. */
#define ENVIRONMENT_MAX            65535
#define ENVIRONMENT_FILE_BYTES_MAX 2097152

/* Zero is the empty one. */
struct environment {
	char **items; /* "NAME=VALUE", NULL-ended; NULL if there is none; owned */
	size_t n;
	size_t named_n; /* the first of them: from the command line */
};

/*
 * NAME=VALUE, or NAME for what it is here; what is not set here stays unset. For all of
 * the command line, before any file.
 */
int environment_name(struct environment *env, const char *argument, struct tn_error *err);

/*
 * Lines of the same kind; blank ones and those that begin with '#' are skipped, and so
 * are blanks before a name. A value goes on to the end of its line, as it stands there.
 * On failure *err says "FILE:LINE: what is wrong".
 */
int environment_read(struct environment *env, const char *path, struct tn_error *err);

/* Set NAME to what it is here unless it has been set. */
int environment_default(struct environment *env, const char *name, struct tn_error *err);

void environment_done(struct environment *env);

#endif
