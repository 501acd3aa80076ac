/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * Run a command as a tenant.
 *
 * A run has a connection to itself while it lasts. Whoever frees a run, or dies, ends the
 * execution and everything it started. When it is the daemon that goes away, as for an upgrade,
 * the command runs on: the run waits up to a minute until the daemon is back, and goes on;
 * freed meanwhile, it ends the execution once the daemon is back. One that had not been
 * launched yet is asked for again, never twice, and up to three times; only a terminal's is
 * not. The conventions are those of client.h; separate runs are independent of each other and
 * of the client.
 *
 * The whole of it as one call, with what the command wrote kept in memory:
 *
 *   struct tn_run_capture capture = { .stdout_bytes_max = 65536 };
 *   struct tn_run_spec spec = TN_RUN_SPEC_INIT;
 *   spec.tenant = "acme";
 *   spec.argv = (const char *const[]){ "make", "-j2", NULL };
 *   spec.capture = &capture;
 *   if (tn_run(client, &spec, &run, &err) == 0)
 *           use(tn_run_execution(run)->exit_code, tn_run_stdout(run)->bytes);
 *   tn_run_free(run);
 *
 * tn_run_start() and tn_run_process() are the same as steps, for whoever has an event
 * loop, wants to pass signals on, or to give up: tn_run_free() does.
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
#define TN_RUN_TMPFS_MAX      8

/** Narrows what the tier gives; TN_ABSENT leaves the tier's. */
struct tn_run_limits {
	int64_t memory_max_bytes;
	int64_t cpu_quota_usec; /**< CPU time per 100 ms of time: 200000 is two CPUs */
	int64_t tasks_max;
	int64_t runtime_usec_max;
	int64_t kill_after_usec; /**< from the TERM of a timeout to the kill */
	int64_t cpu_usec_max;    /**< CPU time of all its processes together */
};

/** A file or directory, opened by the caller (O_PATH will do), shown at target. */
struct tn_run_bind {
	const char *target; /**< absolute */
	int fd;             /**< borrowed */
	bool writable;
};

/** A fresh file system in memory, shown at target. */
struct tn_run_tmpfs {
	const char *target; /**< absolute */
	int64_t bytes_max;  /**< TN_ABSENT: as much as the memory limit */
};

/** In place of a descriptor: /dev/null. No value that a failed open(2) gives. */
#define TN_RUN_DEVNULL (-4096)

/**
 * Standard streams that are memory here instead of descriptors. Whatever is zero is not:
 * its descriptor in the spec counts. However much a command writes, and in whichever order,
 * it does not block on it: what is beyond the bounds is read and dropped.
 */
struct tn_run_capture {
	/** What the command reads: copied at the start, as a file of its own. */
	const void *stdin_bytes;
	size_t stdin_n;
	/** How much of its output is kept. */
	size_t stdout_bytes_max;
	size_t stderr_bytes_max;
	/** End the execution when it writes more than that. */
	bool kill_on_overflow;
};

/** What a command wrote, as far as it was kept. */
struct tn_output {
	const char *bytes; /**< never NULL; followed by a NUL that does not count */
	size_t n;
	bool truncated; /**< there was more */
};

/** Start from TN_RUN_SPEC_INIT. Borrows everything it points to, until the call returns. */
struct tn_run_spec {
	const char *tenant;
	const char *const *argv; /**< NULL-ended, at least one */
	const char *const *env; /**< NULL-ended "NAME=VALUE", or NULL; added to the sandbox's */
	const char *workdir;    /**< absolute, or NULL for the sandbox's default */
	int stdin_fd, stdout_fd, stderr_fd;   /**< borrowed, or TN_RUN_DEVNULL */
	const struct tn_run_capture *capture; /**< or NULL */
	/**
	 * Give the command a new terminal in its sandbox, of this size, as its standard
	 * streams and controlling terminal, instead of descriptors and memory; see
	 * tn_run_tty().
	 */
	bool tty;
	uint16_t tty_rows, tty_cols;
	struct tn_run_limits limits;
	const struct tn_run_bind *binds;
	size_t binds_n;
	/** "USER[:GROUP]": numbers below 65536, or names of the sandbox's /etc/passwd and
	 * /etc/group; NULL for "tenant". */
	const char *user;
	const struct tn_run_tmpfs *tmpfs;
	size_t tmpfs_n;
	bool read_only; /**< /data and /cache cannot be written to */
	bool no_init;   /**< the command itself is process 1; it takes no signal by default */
	/**
	 * When as many of the tenant's executions run as its tier allows (executions_max):
	 * wait in the order of arrival for this long. 0: TN_QUOTA at once.
	 */
	int64_t queue_usec_max;
	/**
	 * Leave it to itself: the run is over with TN_RUN_STARTED, and goes on when it is
	 * freed. Its descriptors do not count: it reads nothing, and its output is kept by the
	 * daemon (tn_log_open()). With tn_run() too: there is no record then.
	 */
	bool detached;
	/** A name of its own, by the rule for tenants' names, or NULL. Others may have it too.
	 */
	const char *name;
};

#define TN_RUN_SPEC_INIT                                                                       \
	{                                                                                      \
		.stdin_fd = 0, .stdout_fd = 1,                                                 \
		.stderr_fd = 2, .limits = { TN_ABSENT, TN_ABSENT, TN_ABSENT,                   \
			                    TN_ABSENT, TN_ABSENT, TN_ABSENT },                 \
	}

/** The same for languages that cannot write it so: C++ before C++20, bindings. */
TN_API void tn_run_spec_init(struct tn_run_spec *spec);

struct tn_run;

enum tn_run_event {
	TN_RUN_NOTHING,  /**< nothing new */
	TN_RUN_QUEUED,   /**< it waits for others to end; see tn_run_waiting_before() */
	TN_RUN_STARTED,  /**< the command has been executed; tn_run_id() is known */
	TN_RUN_EXITED,   /**< it has ended; tn_run_execution() holds the record */
	TN_RUN_LOST,     /**< the daemon went away; the command runs on, and it is waited for */
	TN_RUN_REJOINED, /**< it is back, and all is as before */
};

/**
 * Run a command and wait, for as long as it takes, until it has ended. However it ended is
 * success here, and told by tn_run_execution(); a failure is that it was not run, or that
 * nobody knows how it ended.
 *
 * @ret  Receives the run that has ended, with its record and output; release it with
 *       tn_run_free().
 */
TN_API int tn_run(const struct tn_client *client, const struct tn_run_spec *spec,
                  struct tn_run **ret, struct tn_error *err);

/**
 * Ask for a run over a connection to where @client is connected: the client's idle one, or
 * a new one. When the run is freed after its end, that is left for the next call or run.
 *
 * TN_INVALID if the spec is malformed; what the daemon refuses, tn_run_process() tells.
 */
TN_API int tn_run_start(const struct tn_client *client, const struct tn_run_spec *spec,
                        struct tn_run **ret, struct tn_error *err);

/** Ends the execution if it still runs. Accepts NULL. Always returns NULL. */
TN_API struct tn_run *tn_run_free(struct tn_run *run);

/**
 * Borrowed; poll it for tn_run_events(). It is another while the daemon is away and from then
 * on, so ask for both before each wait.
 */
TN_API int tn_run_fd(const struct tn_run *run);
TN_API short tn_run_events(const struct tn_run *run);

/**
 * Read and write what can be. Returns one enum tn_run_event, or a negative errno: the
 * run was refused, or the daemon went away for good, or again and again before it was started.
 * Call again until it returns TN_RUN_NOTHING; after TN_RUN_EXITED it returns nothing else, and
 * all output is here.
 */
TN_API int tn_run_process(struct tn_run *run, struct tn_error *err);

/** Wait, for as long as it takes, until the run has ended. */
TN_API int tn_run_wait(struct tn_run *run, struct tn_error *err);

/**
 * Send @signal to the workload's process group. Before TN_RUN_STARTED, and while the daemon is
 * away, a few signals are kept until then; one that was sent in the second before it went
 * away may arrive twice. -EAGAIN if those are too many.
 */
TN_API int tn_run_signal(struct tn_run *run, int signal, struct tn_error *err);

/** The UUID, or NULL before TN_RUN_STARTED. Owned by the run, as all below. */
TN_API const char *tn_run_id(const struct tn_run *run);

/**
 * The master of the command's terminal, once, from TN_RUN_STARTED on: it is the caller's
 * from then on, to copy from and to, to set the window size on, and to close, which hangs
 * the terminal up. What the command wrote before its end can still be read after
 * TN_RUN_EXITED. -1 without a terminal and when it has been handed over.
 */
TN_API int tn_run_tty(struct tn_run *run);

/**
 * How many launches of the tenant waited before this one when it began to wait;
 * TN_ABSENT if it did not have to.
 */
TN_API int64_t tn_run_waiting_before(const struct tn_run *run);

/** What has been captured up to now; NULL if the stream is not captured. */
TN_API const struct tn_output *tn_run_stdout(const struct tn_run *run);
TN_API const struct tn_output *tn_run_stderr(const struct tn_run *run);

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

/** What refused the run, if that failed with TN_QUOTA; else NULL. Of tn_run_start() only. */
TN_API const struct tn_quota_error *tn_run_quota_error(const struct tn_run *run);

/**
 * What a run of @spec would get. Nothing is run; argv, workdir and descriptors do not
 * count.
 *
 * @ret  Receives the plan; release it with tn_plan_done().
 */
TN_API int tn_run_plan(struct tn_client *client, const struct tn_run_spec *spec,
                       struct tn_plan *ret, struct tn_error *err);
TN_API int tn_run_plan_start(struct tn_client *client, const struct tn_run_spec *spec,
                             struct tn_plan *ret, struct tn_error *err);

#ifdef __cplusplus
}
#endif
#endif
