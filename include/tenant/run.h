/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * Run a command as a tenant.
 *
 * A run has a connection to itself while it lasts. It ends with that: whoever frees a run, or dies,
 * ends the execution and everything it started. The conventions are those of
 * client.h; separate runs are independent of each other and of the client.
 *
 *   struct tn_run_spec spec = TN_RUN_SPEC_INIT;
 *   spec.tenant = "acme";
 *   spec.argv = (const char *const[]){ "make", "-j2", NULL };
 *   if (tn_run_start(client, &spec, &run, &err) == 0 && tn_run_wait(run, &err) == 0)
 *           code = tn_run_execution(run)->exit_code;
 */
#ifndef TENANT_RUN_H
#define TENANT_RUN_H

#include <tenant/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Linux takes no longer argument or variable than this (MAX_ARG_STRLEN), NUL included. */
#define TN_RUN_STRING_BYTES_MAX 131072
/** All arguments, variables and the working directory together, NULs included. */
#define TN_RUN_ARGS_BYTES_MAX 2097152
#define TN_RUN_BINDS_MAX      12

/** Narrows what the tier gives; TN_ABSENT leaves the tier's. */
struct tn_run_limits {
	int64_t memory_max_bytes;
	int64_t cpu_quota_usec; /**< CPU time per 100 ms of time: 200000 is two CPUs */
	int64_t tasks_max;
	int64_t runtime_usec_max;
	int64_t kill_after_usec; /**< from the TERM of a timeout to the kill */
};

/** A file or directory, opened by the caller (O_PATH will do), shown at target. */
struct tn_run_bind {
	const char *target; /**< absolute */
	int fd;             /**< borrowed */
	bool writable;
};

/** Start from TN_RUN_SPEC_INIT. Borrows everything it points to, until the call returns. */
struct tn_run_spec {
	const char *tenant;
	const char *const *argv; /**< NULL-ended, at least one */
	const char *const *env; /**< NULL-ended "NAME=VALUE", or NULL; added to the sandbox's */
	const char *workdir;    /**< absolute, or NULL for the sandbox's default */
	int stdin_fd, stdout_fd, stderr_fd; /**< borrowed */
	struct tn_run_limits limits;
	const struct tn_run_bind *binds;
	size_t binds_n;
};

#define TN_RUN_SPEC_INIT                                                                       \
	{                                                                                      \
		.stdin_fd = 0, .stdout_fd = 1, .stderr_fd = 2,                                 \
		.limits = { TN_ABSENT, TN_ABSENT, TN_ABSENT, TN_ABSENT, TN_ABSENT },           \
	}

struct tn_run;

enum tn_run_event {
	TN_RUN_NOTHING, /**< nothing new */
	TN_RUN_STARTED, /**< the command has been executed; tn_run_id() is known */
	TN_RUN_EXITED,  /**< it has ended; tn_run_execution() holds the record */
};

/**
 * Ask for a run over a connection to where @client is connected: the client's idle one, or
 * a new one. When the run is freed after its end, that is left for the next call or run.
 */
TN_API int tn_run_start(const struct tn_client *client, const struct tn_run_spec *spec,
                        struct tn_run **ret, struct tn_error *err);

/** Ends the execution if it still runs. Accepts NULL. Always returns NULL. */
TN_API struct tn_run *tn_run_free(struct tn_run *run);

/** Borrowed; poll it for tn_run_events(). */
TN_API int tn_run_fd(const struct tn_run *run);
TN_API short tn_run_events(const struct tn_run *run);

/**
 * Read and write what can be. Returns one enum tn_run_event, or a negative errno: the
 * run was refused, or the daemon went away. Call again until it returns
 * TN_RUN_NOTHING; after TN_RUN_EXITED it returns nothing else.
 */
TN_API int tn_run_process(struct tn_run *run, struct tn_error *err);

/** Wait, for as long as it takes, until the run has ended. */
TN_API int tn_run_wait(struct tn_run *run, struct tn_error *err);

/**
 * Send @signal to the workload's process group. Before TN_RUN_STARTED a few signals
 * are kept until then. -EAGAIN if those are too many.
 */
TN_API int tn_run_signal(struct tn_run *run, int signal, struct tn_error *err);

/** The UUID, or NULL before TN_RUN_STARTED. Owned by the run, as all below. */
TN_API const char *tn_run_id(const struct tn_run *run);

/** The record, or NULL before TN_RUN_EXITED. */
TN_API const struct tn_execution *tn_run_execution(const struct tn_run *run);

/**
 * Why the run ended, in words that name the limit and where it is set: "killed by
 * memory_max 64M (tiers/free.yaml:7)". NULL if the command ended by itself.
 */
TN_API const char *tn_run_explanation(const struct tn_run *run);

/**
 * The controllers whose limits this host cannot hold ("cpu, memory"), known from
 * TN_RUN_STARTED on; NULL where all limits are held.
 */
TN_API const char *tn_run_unenforced(const struct tn_run *run);

/** What refused the run, if that failed with TN_QUOTA; else NULL. */
TN_API const struct tn_quota_error *tn_run_quota_error(const struct tn_run *run);

/** What a run of @spec would get. Nothing is run; only tenant, limits and env count. */
TN_API int tn_run_plan(struct tn_client *client, const struct tn_run_spec *spec,
                       struct tn_plan *ret, struct tn_error *err);
TN_API int tn_run_plan_start(struct tn_client *client, const struct tn_run_spec *spec,
                             struct tn_plan *ret, struct tn_error *err);

#ifdef __cplusplus
}
#endif
#endif
