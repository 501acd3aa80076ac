/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of tenant-run, parsed but not acted upon: nothing is opened here but
 * files of variables, which are read.
 */
#ifndef TOOLS_RUN_OPTIONS_H
#define TOOLS_RUN_OPTIONS_H

#include <stdio.h>

#include <tenant/run.h>

#include "environment.h"

struct run_bind_option {
	char *source;
	char *target; /* NULL: where the source is */
	bool writable;
};

struct run_options {
	const char *socket;
	const char *tenant;
	char **command; /* NULL-ended */
	struct environment env;
	const char **env_files; /* in their order; the array is owned */
	size_t env_files_n;
	const char *workdir;
	const char *user;
	struct tn_run_limits limits;
	struct run_bind_option binds[TN_RUN_BINDS_MAX];
	size_t binds_n;
	struct tn_run_tmpfs tmpfs[TN_RUN_TMPFS_MAX]; /* the targets are owned */
	size_t tmpfs_n;
	bool read_only, no_init;
	int64_t queue_usec_max; /* 0: do not wait for a slot */
	const char *report;
	int64_t status_fd; /* or TN_ABSENT */
	bool interactive;  /* accepted; input is passed on in any case */
	bool tty;
	bool detach;
	const char *name;
	bool dry_run, json, quiet, verbose, help, version;
};

/* On failure *ret holds what was understood, so that --json is known; release it also
 * then. */
int run_options_parse(int argc, char **argv, struct run_options *ret, struct tn_error *err);
void run_options_done(struct run_options *options);

void run_options_help(FILE *file);

#endif
