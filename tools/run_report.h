/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What tenant-run leaves behind: the record of --report, the plan of --dry-run, the
 * line that says why a run ended.
 */
#ifndef TOOLS_RUN_REPORT_H
#define TOOLS_RUN_REPORT_H

#include <tenant/run.h>

#include "jout.h"
#include "run_options.h"

/*
 * A report file in the making. It is made beside its final name before the run, so
 * that one that cannot be written is known then, and takes that name when it is whole.
 * What is no regular file, or named below /dev or /proc, is appended to instead.
 */
struct run_report {
	FILE *file; /* NULL: none is wanted */
	char *path; /* of the unfinished file; NULL if written to directly */
	char *to;
};

int run_report_open(struct run_report *report, const char *to, struct tn_error *err);

/* Write the record of an execution that ran, or else of one that failed with @failure. */
int run_report_finish(struct run_report *report, const struct tn_execution *execution,
                      const struct tn_error *failure, struct tn_error *err);

/* Begin again what another process, which shares it, may have begun. */
void run_report_restart(struct run_report *report);

/* Let go of a report that another process, which shares it, has taken care of. */
void run_report_disown(struct run_report *report);

/* Drops an unfinished report. Accepts a zeroed or finished one. */
void run_report_done(struct run_report *report);

/* The record as a member of an object that has begun, or with @key NULL by itself. */
void run_record_put(struct jout *out, const char *key, const struct tn_execution *execution,
                    const struct tn_error *failure);

/* The record of a run of which nothing but this is known. Borrows all it points to. */
struct tn_execution run_record_unknown(const char *tenant, const char *id);

/* With what is added on the command line. */
int run_print_plan(const struct tn_plan *plan, const struct run_options *options, FILE *file);

/* "exited 0 after 1.2 s; ..." for -v. */
void run_print_summary(const struct tn_execution *execution, FILE *file);

#endif
