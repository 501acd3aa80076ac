/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the control plane remembers, as one table of operations, so that another
 * database can take SQLite's place.
 *
 * Two promises. *Durable*: the answer comes after the data is on the disk; so are the
 * operations on tenants. *Accepted*: the answer comes when the death of any of our
 * processes can no longer undo it; so is book(), and sync() makes what was accepted
 * durable. Reads see everything accepted.
 *
 * Every operation is all or nothing, returns 0 (or what is said) or -errno, and leaves
 * its outputs alone on failure. Lists are read one row at a time by key, never by an
 * open cursor: a slow reader holds no lock.
 */
#ifndef RUNTIME_STORE_STORE_H
#define RUNTIME_STORE_STORE_H

#include <stddef.h>
#include <stdint.h>

#include <base/err.h>
#include <base/id.h>
#include <base/name.h>
#include <policy/policy.h>

#include "../ledger.h"
#include "../record.h"

#define STORE_TEXT_BYTES_MAX     128
#define STORE_PATH_BYTES_MAX     256
#define STORE_METADATA_BYTES_MAX 8192
#define STORE_CURRENCY_BYTES     4 /* ISO 4217, with the NUL */
/* All limits, as overrides.h has them. */
#define STORE_OVERRIDES_BYTES_MAX 1024

#define STORE_STATUSES(X)                                                                      \
	X(TENANT_CREATING, "creating")                                                         \
	X(TENANT_ACTIVE, "active")                                                             \
	X(TENANT_SUSPENDED, "suspended")                                                       \
	X(TENANT_DELETING, "deleting")                                                         \
	X(TENANT_DELETED, "deleted")

#define STORE_ENUM(code, name) code,
enum tenant_status {
	STORE_STATUSES(STORE_ENUM) TENANT_STATUSES_N
};
#undef STORE_ENUM

struct tenant_row {
	struct id id;
	char name[NAME_BYTES_MAX]; /* unique among the living */
	char display_name[STORE_TEXT_BYTES_MAX];
	enum tenant_status status;
	char tier[NAME_BYTES_MAX];
	char *metadata; /* a JSON object of strings; owned by the row */
	char overrides[STORE_OVERRIDES_BYTES_MAX]; /* see overrides.h; "" is none */
	int64_t billing_anchor_day;
	char time_zone[STORE_TEXT_BYTES_MAX];
	char currency[STORE_CURRENCY_BYTES];
	char customer_id[STORE_TEXT_BYTES_MAX]; /* "" is none */
	int64_t version;                        /* counts up with every change */
	int64_t created_at;
	int64_t updated_at;
	char policy_hash[RECORD_HASH_BYTES];
	char cgroup[STORE_PATH_BYTES_MAX];
	int64_t uid_first;
	int64_t uid_count;
	char storage_path[STORE_PATH_BYTES_MAX];
};

/* What becomes booked together. A record that is already exited there stays as it is. */
struct store_batch {
	const struct record *records;
	size_t records_n;
	const struct ledger_sample *samples; /* at most one of a tenant */
	size_t samples_n;
};

/* Selects executions, newest first: at or after @since and before @until as they ran. */
struct store_selection {
	const struct id *tenant; /* NULL: all */
	enum record_state state; /* RECORD_STATES_N: all */
	int64_t since;           /* ended at or after; LEDGER_ABSENT: from the beginning */
	int64_t until;           /* started before; LEDGER_ABSENT: to the end */
};

/* A place in a list of executions; all zero before the first. */
struct store_place {
	bool begun;
	int64_t started_at;
	struct id id;
};

struct store_totals {
	int64_t meters[LEDGER_METERS_N]; /* LEDGER_ABSENT: never seen */
};

struct store_node {
	int64_t drained_at; /* LEDGER_ABSENT: it launches */
	int64_t drained_by; /* uid of who wanted it so; LEDGER_ABSENT with drained_at */
};

/* So many are kept, and the files of each. */
#define STORE_POLICIES_MAX 100

/* A policy that was taken for good, at that time. */
struct store_policy {
	int64_t seq; /* counts up; the store gives it */
	char hash[POLICY_HASH_HEX_SIZE];
	int64_t accepted_at;
	int64_t accepted_by; /* uid of who wanted it; LEDGER_ABSENT: files, at a start */
	/* It holds in place of files that say this (a hash, or what is none if they are
	 * wrong), by somebody's wish; "": it is what the files said. */
	char instead_of[POLICY_HASH_HEX_SIZE];
};

struct store_figures {
	int64_t tenants; /* living */
	int64_t bytes;   /* on disk */
};

struct store;

struct store_ops {
	/* Durable. -EEXIST (TN_EXISTS) if a living tenant has the name. */
	int (*tenant_insert)(struct store *store, const struct tenant_row *row,
	                     struct tn_error *err);
	/* Durable. Compares row->version and counts it up, there and in @row; -ESTALE
	 * (TN_CONFLICT) if it has moved on. */
	int (*tenant_update)(struct store *store, struct tenant_row *row, struct tn_error *err);
	/* Durable; undoes a creation. */
	int (*tenant_delete)(struct store *store, const struct id *id, struct tn_error *err);

	/* 1 and *ret (for tenant_row_done()), or 0 if there is none. By name: the living. */
	int (*tenant_by_id)(struct store *store, const struct id *id, struct tenant_row *ret,
	                    struct tn_error *err);
	int (*tenant_by_name)(struct store *store, const char *name, struct tenant_row *ret,
	                      struct tn_error *err);
	/* The same of those that were deleted: the last that had the name. */
	int (*tenant_deleted_by_name)(struct store *store, const char *name,
	                              struct tenant_row *ret, struct tn_error *err);
	/* The next living tenant by name after @after, which is "" at the beginning. */
	int (*tenant_next)(struct store *store, const char *after, struct tenant_row *ret,
	                   struct tn_error *err);
	/* The same of those that have overrides. */
	int (*tenant_overridden_next)(struct store *store, const char *after,
	                              struct tenant_row *ret, struct tn_error *err);
	/* The next tier after @after that a living tenant has: 1 or 0. */
	int (*tier_next)(struct store *store, const char *after, char ret[NAME_BYTES_MAX],
	                 struct tn_error *err);

	/* Accepted: records, ledger rows, cursors and totals in one transaction. */
	int (*book)(struct store *store, const struct store_batch *batch, struct tn_error *err);
	/* What was accepted is durable after this. */
	int (*sync)(struct store *store, struct tn_error *err);
	/* The same without waiting: 0 if it is under way, then sync_fd() becomes readable at
	 * its end and sync_end() says how it went; 1 if it is done. One at a time. */
	int (*sync_begin)(struct store *store, struct tn_error *err);
	int (*sync_fd)(struct store *store); /* borrowed */
	int (*sync_end)(struct store *store, struct tn_error *err);
	/* Do what would be in the way of others at another time; @idle: nobody waits. */
	void (*tidy)(struct store *store, bool idle);

	/* 1 and *ret, or 0. */
	int (*execution_by_id)(struct store *store, const struct id *id, struct record *ret,
	                       struct tn_error *err);
	/* The next that @selection has after *place, which moves on: 1 or 0. */
	int (*execution_next)(struct store *store, const struct store_selection *selection,
	                      struct store_place *place, struct record *ret,
	                      struct tn_error *err);
	/* Totals since creation, or, with a bound that is not LEDGER_ABSENT, of what was
	 * booked at or after @since and before @until. */
	int (*totals)(struct store *store, const struct id *tenant, int64_t since,
	              int64_t until, struct store_totals *ret, struct tn_error *err);
	/* Of the node itself; to set it is durable. */
	int (*node_get)(struct store *store, struct store_node *ret, struct tn_error *err);
	int (*node_set)(struct store *store, const struct store_node *node,
	                struct tn_error *err);

	/* Durable. @row without its seq; its files are kept with it, and those of all but the
	 * last STORE_POLICIES_MAX forgotten. */
	int (*policy_insert)(struct store *store, const struct store_policy *row,
	                     const struct policy *policy, struct tn_error *err);
	/* The last one before @seq, INT64_MAX for the last of all: 1 and *ret, or 0. */
	int (*policy_before)(struct store *store, int64_t seq, struct store_policy *ret,
	                     struct tn_error *err);
	/* Made of the files that were kept, for policy_free(): 1 and *ret, or 0. */
	int (*policy_by_hash)(struct store *store, const char *hash, struct policy **ret,
	                      struct tn_error *err);

	int (*figures)(struct store *store, struct store_figures *ret, struct tn_error *err);

	/* Accepts NULL. */
	void (*close)(struct store *store);
};

/* A member embeds this as its first field. */
struct store {
	const struct store_ops *ops;
};

const char *tenant_status_name(enum tenant_status status);
int tenant_status_parse(const char *name); /* or -EINVAL */

/* Releases what @row owns. Accepts a zeroed one. */
void tenant_row_done(struct tenant_row *row);

/* Open (or make) the SQLite store in @dir. */
int store_sqlite_open(const char *dir, struct store **ret, struct tn_error *err);

#endif
