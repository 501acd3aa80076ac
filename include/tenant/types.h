/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * What libtenant gives back: tenants, executions, usage, plans, status.
 *
 * Times are microseconds: instants since the epoch in UTC, durations as such. Sizes
 * are bytes. Every integer is a non-negative int64_t, or TN_ABSENT where there is no
 * such figure; text that is absent is NULL.
 *
 * A record owns its text and its lists. Whoever received one releases it with the
 * done function of its type, which accepts a zeroed record; one that is shown to a
 * callback is valid until the callback returns and is not released there.
 */
#ifndef TENANT_TYPES_H
#define TENANT_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TN_API __attribute__((visibility("default")))

/** A figure that the kernel does not give, or an instant that has not come. */
#define TN_ABSENT (-1)

/** What a newer daemon may say beyond these is read as the last of each. */
enum tn_tenant_status {
	TN_TENANT_CREATING,
	TN_TENANT_ACTIVE,
	TN_TENANT_SUSPENDED,
	TN_TENANT_DELETING,
	TN_TENANT_DELETED,
	TN_TENANT_UNKNOWN,
};

enum tn_execution_state {
	TN_EXECUTION_RUNNING,
	TN_EXECUTION_EXITED,
	TN_EXECUTION_UNKNOWN,
};

/** Why an execution ended. TN_REASON_NONE: it has not. */
enum tn_reason {
	TN_REASON_NONE = TN_ABSENT,
	TN_REASON_EXITED,   /**< by itself; see exit_code */
	TN_REASON_SIGNALED, /**< by a signal that was not ours; see signal */
	TN_REASON_OOM,      /**< out of the memory it may use */
	TN_REASON_TIMEOUT,  /**< longer, or for more CPU time, than it may run */
	TN_REASON_SECCOMP,  /**< a system call that is refused */
	TN_REASON_QUOTA,    /**< a quota was exhausted */
	TN_REASON_KILLED,   /**< on someone's order, or because its caller went away */
	TN_REASON_RUNTIME,  /**< it was never executed; exit_code 126 or 127 says why */
	TN_REASON_UNKNOWN,
};

enum tn_health {
	TN_HEALTH_OK,
	TN_HEALTH_DEGRADED,
	TN_HEALTH_UNKNOWN,
};

struct tn_pair {
	const char *key;
	const char *value;
};

struct tn_pairs {
	struct tn_pair *items;
	size_t n;
};

/** An amount of one meter, in the meter's base unit. */
struct tn_count {
	const char *name;
	int64_t amount;
};

struct tn_counts {
	struct tn_count *items;
	size_t n;
};

struct tn_texts {
	const char **items;
	size_t n;
};

/** One resolved limit or option: its value as policy files write it, and where it is set. */
struct tn_limit {
	const char *key;    /**< "memory_max" */
	const char *value;  /**< "64M" */
	const char *source; /**< "tiers/free.yaml:7", "--memory" or "default" */
};

struct tn_limits {
	struct tn_limit *items;
	size_t n;
};

struct tn_settings {
	int64_t billing_anchor_day;
	const char *time_zone;
	const char *currency;
	const char *customer_id; /**< or NULL */
};

struct tn_tenant {
	void *owner; /**< private */
	const char *id;
	const char *name;
	const char *display_name;
	enum tn_tenant_status status;
	const char *tier;
	struct tn_pairs metadata;
	/** Limits of its own over its tier's: "limits.memory_max", "1G". */
	struct tn_pairs overrides;
	/** Of its own beside its tier's: "user:alice", "group:builders". */
	struct tn_texts operators;
	struct tn_settings settings;
	int64_t version;
	int64_t created_at;
	int64_t updated_at;
	const char *policy_hash;
	const char *cgroup;
	int64_t uid_first;
	int64_t uid_count;
	const char *storage_path;
};

/** What an execution was and used; the same in every place that shows one. */
struct tn_execution {
	void *owner; /**< private */
	const char *id;
	const char *tenant;
	const char *name; /**< or NULL */
	/** Of a command that has joined one (exec.h): the id of that one, in whose figures what
	 * it used is. NULL: it is an execution itself. */
	const char *joins;
	enum tn_execution_state state;
	enum tn_reason reason;
	int64_t exit_code;
	int64_t signal;
	int64_t started_at;
	int64_t ended_at;
	int64_t wall_usec;
	int64_t cpu_usec;
	int64_t cpu_user_usec;
	int64_t cpu_system_usec;
	int64_t throttled_usec;        /**< of the execution's own quota */
	int64_t tenant_throttled_usec; /**< of the tenant's, while it ran */
	int64_t memory_peak_bytes;
	int64_t memory_mib_msec; /**< integral of memory over time */
	int64_t io_read_bytes;
	int64_t io_write_bytes;
	int64_t pids_peak;
	int64_t overhead_usec; /**< what launching and ending it took */
	int64_t oom_kills;
	int64_t pids_refused;
	int64_t stall_cpu_usec;
	int64_t stall_memory_usec;
	int64_t stall_io_usec;
	int64_t asked_uid; /**< of one that joins: who wanted it */
	int64_t asked_pid;
	const char *policy_hash;
};

/** What a tenant used between two instants. */
struct tn_usage {
	void *owner; /**< private */
	const char *tenant;
	int64_t since;
	int64_t until;
	/** In their base units: microseconds, bytes, counts; memory_time in MiB by millisecond,
	 * and memory_time_error is by how much that may be wrong. What applications have
	 * counted comes last. */
	struct tn_counts meters;
	/** What applications hold of gauges now; nothing if an end was asked for, since that
	 * has no past. */
	struct tn_counts held;
	int64_t unattributed_usec; /**< CPU time that no execution accounts for */
	/** Executions that ended before are in the totals and no more in the list; TN_ABSENT:
	 * all are in both. */
	int64_t itemized_since;
};

/** What of it was used in one period; only such as something was used in are told. */
struct tn_usage_period {
	void *owner; /**< private */
	int64_t start;
	int64_t end;
	struct tn_counts meters;
};

/** What a run would get: all that the tier, the defaults and the options say. */
struct tn_plan {
	void *owner; /**< private */
	const char *tier;
	struct tn_limits limits;
	struct tn_limits options; /**< how it would be run: "user", "1000:1000", "--user" */
	struct tn_texts environment;
	const char *policy_hash;
	struct tn_texts unenforced; /**< what this host cannot enforce, in words */
};

struct tn_policy {
	void *owner; /**< private */
	const char *policy_hash;
	struct tn_texts tiers;
};

enum tn_policy_state {
	TN_POLICY_IN_FORCE,
	TN_POLICY_EARLIER,
	TN_POLICY_UNKNOWN,
};

/** A policy that was accepted. */
struct tn_policy_entry {
	void *owner; /**< private */
	const char *policy_hash;
	enum tn_policy_state state;
	int64_t accepted_at;
	int64_t accepted_by; /**< uid of who wanted it, or TN_ABSENT: found at a start */
	/** Of a rollback: the hash of the files it took the place of, "none" for files that
	 * were wrong; else NULL. */
	const char *instead_of;
};

/** The files of a policy, name and text: "tiers/free.yaml". */
struct tn_policy_files {
	void *owner; /**< private */
	const char *policy_hash;
	struct tn_pairs files;
};

/** What holds for one tenant. */
struct tn_tenant_policy {
	void *owner; /**< private */
	const char *tenant;
	const char *tier;
	const char *file; /**< the tier's: "tiers/free.yaml" */
	const char *policy_hash;
	struct tn_limits limits;
};

/** What another policy would change for one tenant. */
struct tn_policy_change {
	void *owner; /**< private */
	/** NULL, and so is tier: it is said of the node, of a meter or of a price book. */
	const char *tenant;
	const char *tier;
	const char *key; /**< "memory_max", "meters.documents", "book.standard.prices.tokens" */
	const char *before;
	const char *before_source;
	const char *after;
	const char *after_source;
	/** What of it is in use now, or that bills change, in words; NULL: it does not hurt. */
	const char *hurts;
};

struct tn_status {
	void *owner; /**< private */
	const char *version;
	int64_t uptime_usec;
	enum tn_health health;
	struct tn_texts degraded;
	const char *policy_hash;
	int64_t tenants;
	int64_t executions; /**< running */
	int64_t store_bytes;
	struct tn_texts unenforced;
	int64_t drained_at; /**< or TN_ABSENT: it launches */
	int64_t drained_by; /**< uid of who wanted it, or TN_ABSENT */
	/** How long the first of what is not on the disk yet has waited for it. */
	int64_t commit_lag_usec;
};

/** What a backup is of. */
struct tn_backup_about {
	void *owner; /**< private */
	int64_t created_at;
	int64_t bytes;   /**< of the whole file */
	int64_t tenants; /**< living */
	const char *policy_hash;
};

/** Which quota refused, beside TN_QUOTA. */
struct tn_quota_error {
	char meter[64];
	int64_t limit;
	int64_t used;
	int64_t requested;
	int64_t reset_at; /**< or TN_ABSENT */
};

/** How a member of a record is held. */
enum tn_field_kind {
	TN_FIELD_TEXT,   /**< const char * */
	TN_FIELD_INT,    /**< int64_t */
	TN_FIELD_ENUM,   /**< int: index into names, or TN_ABSENT */
	TN_FIELD_PAIRS,  /**< struct tn_pairs */
	TN_FIELD_COUNTS, /**< struct tn_counts */
	TN_FIELD_TEXTS,  /**< struct tn_texts */
	TN_FIELD_LIMITS, /**< struct tn_limits */
	TN_FIELD_RECORD, /**< members described by fields, at offset */
};

/**
 * One member of a record, by the name it has on the socket. The rows that libtenant
 * itself reads replies with, for those who show or store all of a record.
 */
struct tn_field {
	const char *name; /**< NULL ends a table */
	enum tn_field_kind kind;
	bool nullable;
	size_t offset;
	const char *const *names;      /**< TN_FIELD_ENUM: NULL-ended */
	const struct tn_field *fields; /**< TN_FIELD_RECORD */
};

TN_API const struct tn_field *tn_tenant_fields(void);
TN_API const struct tn_field *tn_execution_fields(void);
TN_API const struct tn_field *tn_usage_fields(void);
TN_API const struct tn_field *tn_usage_period_fields(void);
TN_API const struct tn_field *tn_plan_fields(void);
TN_API const struct tn_field *tn_policy_fields(void);
TN_API const struct tn_field *tn_policy_entry_fields(void);
TN_API const struct tn_field *tn_policy_files_fields(void);
TN_API const struct tn_field *tn_tenant_policy_fields(void);
TN_API const struct tn_field *tn_policy_change_fields(void);
TN_API const struct tn_field *tn_backup_about_fields(void);
TN_API const struct tn_field *tn_status_fields(void);

TN_API void tn_tenant_done(struct tn_tenant *tenant);
TN_API void tn_execution_done(struct tn_execution *execution);
TN_API void tn_usage_done(struct tn_usage *usage);
TN_API void tn_usage_period_done(struct tn_usage_period *usage_period);
TN_API void tn_plan_done(struct tn_plan *plan);
TN_API void tn_policy_done(struct tn_policy *policy);
TN_API void tn_policy_entry_done(struct tn_policy_entry *policy_entry);
TN_API void tn_policy_files_done(struct tn_policy_files *policy_files);
TN_API void tn_tenant_policy_done(struct tn_tenant_policy *tenant_policy);
TN_API void tn_policy_change_done(struct tn_policy_change *policy_change);
TN_API void tn_backup_about_done(struct tn_backup_about *backup_about);
TN_API void tn_status_done(struct tn_status *status);

/** The name on the socket: "active", "oom". NULL for TN_REASON_NONE. */
TN_API const char *tn_tenant_status_name(enum tn_tenant_status status);
TN_API const char *tn_reason_name(enum tn_reason reason);

/** The name of an error code, as replies and --json output give it: "io.tenantd.NotFound". */
TN_API const char *tn_error_name(int32_t code);

/** The exit status that a command ends with for an error code. */
TN_API int tn_error_exit_status(int32_t code);

#ifdef __cplusplus
}
#endif
#endif
