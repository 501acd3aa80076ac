/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file
 * Run a further command in an execution that runs, to look into it or to work in it.
 *
 * It has the execution's namespaces, limits and filters, as they were when that was launched,
 * and what it uses is part of what the execution uses. It is one of its own in lists and
 * records, by an id of its own, with tn_execution.joins set and no figures, and no more than 32
 * at a time are in one execution. It ends when the execution does.
 *
 * It is a struct tn_run like any other: all of run.h holds for it, but that it is in no queue,
 * cannot be detached, and has no tn_run_unenforced().
 */
#ifndef TENANT_EXEC_H
#define TENANT_EXEC_H

#include <tenant/run.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Start from TN_EXEC_SPEC_INIT. Borrows everything it points to, until the call returns. */
struct tn_exec_spec {
	const char *execution;   /**< the id of one that runs */
	const char *const *argv; /**< NULL-ended, at least one */
	/** NULL-ended "NAME=VALUE", or NULL; added to the sandbox's own, not to what the
	 * execution's command was given. */
	const char *const *env;
	const char *workdir;                /**< absolute, or NULL for the sandbox's default */
	int stdin_fd, stdout_fd, stderr_fd; /**< borrowed, or TN_RUN_DEVNULL */
	const struct tn_run_capture *capture; /**< or NULL */
	bool tty;                             /**< as of struct tn_run_spec */
	uint16_t tty_rows, tty_cols;
	const char *user; /**< "USER[:GROUP]"; NULL for that of the execution's command */
};

#define TN_EXEC_SPEC_INIT                                                                      \
	{                                                                                      \
		.stdin_fd = 0, .stdout_fd = 1, .stderr_fd = 2                                  \
	}

/** The same for languages that cannot write it so. */
TN_API void tn_exec_spec_init(struct tn_exec_spec *spec);

/** As tn_run(). TN_NOT_FOUND if the execution does not run, TN_STATE if it is suspended or has
 * too many commands already. */
TN_API int tn_exec(const struct tn_client *client, const struct tn_exec_spec *spec,
                   struct tn_run **ret, struct tn_error *err);

/** As tn_run_start(). */
TN_API int tn_exec_start(const struct tn_client *client, const struct tn_exec_spec *spec,
                         struct tn_run **ret, struct tn_error *err);

#ifdef __cplusplus
}
#endif
#endif
