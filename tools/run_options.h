/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of tenant-run, parsed but not acted upon: nothing is opened here.
 */
#ifndef TOOLS_RUN_OPTIONS_H
#define TOOLS_RUN_OPTIONS_H

#include <stdio.h>

#include <tenant/run.h>

struct run_bind_option {
	char *source;
	char *target; /* NULL: where the source is */
	bool writable;
};

struct run_options {
	const char *socket;
	const char *tenant;
	char **command; /* NULL-ended */
	char **env;     /* "NAME=VALUE", NULL-ended; owned */
	size_t env_n;
	const char *workdir;
	struct tn_run_limits limits;
	struct run_bind_option binds[TN_RUN_BINDS_MAX];
	size_t binds_n;
	int64_t queue_usec_max; /* 0: do not wait for a slot */
	const char *report;
	bool dry_run, json, quiet, verbose, help, version;
};

/* On failure *ret holds what was understood, so that --json is known; release it also
 * then. */
int run_options_parse(int argc, char **argv, struct run_options *ret, struct tn_error *err);
void run_options_done(struct run_options *options);

void run_options_help(FILE *file);

#endif
