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
 * What changes is told by an event, in the same transaction; see events.h. NULL for one says
 * that nothing of interest changes. Events can be read once they are durable, and not before:
 * a number that somebody has seen never becomes another event's.
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

#include "../events.h"
#include "../ledger.h"
#include "../metering.h"
#include "../record.h"

#define STORE_TEXT_BYTES_MAX     128
#define STORE_PATH_BYTES_MAX     256
#define STORE_METADATA_BYTES_MAX 8192
#define STORE_CURRENCY_BYTES     4 /* ISO 4217, with the NUL */
/* All limits and what one has of quotas, as overrides.h has them. */
#define STORE_OVERRIDES_BYTES_MAX 2560
/* Operators of its own, as operators.h has them. */
#define STORE_OPERATORS_BYTES_MAX 1024

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
	char operators[STORE_OPERATORS_BYTES_MAX]; /* see operators.h; "" is none */
	int64_t billing_anchor_day;
	char time_zone[STORE_TEXT_BYTES_MAX];
	char currency[STORE_CURRENCY_BYTES];
	/* When bills begin to be made by the three above: one of terms that is there already
	 * becomes these. */
	int64_t terms_since;
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

/* What the bills of a tenant are made by from an instant on, until the next of them. */
struct store_terms {
	int64_t since;
	int64_t anchor_day;
	char time_zone[STORE_TEXT_BYTES_MAX];
	char currency[STORE_CURRENCY_BYTES];
};

/* What becomes booked together. A record that is already exited there stays as it is. What a
 * record tells that was not known is told by events, before those given here. */
struct store_batch {
	const struct record *records;
	size_t records_n;
	const struct ledger_sample *samples; /* at most one of a tenant */
	size_t samples_n;
	const struct event *events;
	size_t events_n;
	/* When the row begins into which goes what a tenant used at @at, which is its hour of
	 * UTC or later within that; NULL: that hour. */
	int64_t (*hour)(void *userdata, const struct id *tenant, int64_t at);
	void *userdata;
};

/* Selects executions, newest first: at or after @since and before @until as they ran. */
struct store_selection {
	const struct id *tenant; /* NULL: all */
	enum record_state state; /* RECORD_STATES_N: all */
	int64_t since;           /* ended at or after; LEDGER_ABSENT: from the beginning; with
	                          * @tenant, and all states */
	int64_t until;           /* started before; LEDGER_ABSENT: to the end */
};

/* Told of an execution that is about to be forgotten. */
typedef void store_pruned_fn(void *userdata, const struct id *tenant, const struct id *id);

/* A place in a list of executions; all zero before the first. */
struct store_place {
	bool begun;
	int64_t started_at;
	struct id id;
};

struct store_totals {
	int64_t meters[LEDGER_METERS_N]; /* LEDGER_ABSENT: never seen */
};

/* What begins at or after @since and before @until. */
struct store_range {
	int64_t since;
	int64_t until;
};

struct store_hour {
	int64_t amounts[LEDGER_HOUR_N];
};

struct store_node {
	int64_t drained_at; /* LEDGER_ABSENT: it launches */
	int64_t drained_by; /* uid of who wanted it so; LEDGER_ABSENT with drained_at */
	/* What ended since then is kept one by one; LEDGER_ABSENT: everything. Not to be set.
	 */
	int64_t itemized_since;
};

/* Whose ids are which. */
struct store_copied_tenant {
	struct id id;
	char name[NAME_BYTES_MAX];
	int64_t uid_first;
	int64_t uid_count;
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

/* Which events can be read: both 0 if there is none. */
struct store_event_span {
	int64_t first;
	int64_t last;
};

struct store_figures {
	int64_t tenants; /* living */
	bool used;       /* there is, or was, a tenant */
	int64_t bytes;   /* on disk */
};

struct store;

struct store_ops {
	/* Durable. -EEXIST (TN_EXISTS) if a living tenant has the name. */
	int (*tenant_insert)(struct store *store, const struct tenant_row *row,
	                     struct tn_error *err);
	/* Durable. Compares row->version and counts it up, there and in @row; -ESTALE
	 * (TN_CONFLICT) if it has moved on. */
	int (*tenant_update)(struct store *store, struct tenant_row *row,
	                     const struct event *event, struct tn_error *err);
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
	/* The same of those that have operators of their own. */
	int (*tenant_operated_next)(struct store *store, const char *after,
	                            struct tenant_row *ret, struct tn_error *err);
	/* The same of those that are being created, suspended or being deleted. */
	int (*tenant_unsettled_next)(struct store *store, const char *after,
	                             struct tenant_row *ret, struct tn_error *err);
	/* The next tier after @after that a living tenant has: 1 or 0. */
	int (*tier_next)(struct store *store, const char *after, char ret[NAME_BYTES_MAX],
	                 struct tn_error *err);

	/* The first terms of @tenant that begin at or after @from: 1 or 0. */
	int (*terms_next)(struct store *store, const struct id *tenant, int64_t from,
	                  struct store_terms *ret, struct tn_error *err);

	/* Accepted: records, accounts, hours and events in one transaction. */
	int (*book)(struct store *store, const struct store_batch *batch, struct tn_error *err);
	/* What was accepted is durable after this. */
	int (*sync)(struct store *store, struct tn_error *err);
	/* The same without waiting: 0 if it is under way, then sync_fd() becomes readable at
	 * its end and sync_end() says how it went; 1 if it is done. One at a time. */
	int (*sync_begin)(struct store *store, struct tn_error *err);
	int (*sync_fd)(struct store *store); /* borrowed */
	int (*sync_end)(struct store *store, struct tn_error *err);
	/* Whether it takes anything: writes what is there already, durably. */
	int (*check)(struct store *store, struct tn_error *err);
	/* Whether it lay on a read-only file system when it was opened, and that can be
	 * written again: who opens it anew can write. */
	bool (*stale)(const struct store *store);
	/* Do what would be in the way of others at another time; @idle: nobody waits. */
	void (*tidy)(struct store *store, bool idle);

	/*
	 * Accepted: of what ended before @before, which is past, the oldest, at most @max
	 * records, are forgotten in one transaction. What they used stays in their hours and
	 * in the totals. Returns 1 if there may be more, or 0.
	 */
	int (*prune)(struct store *store, int64_t before, size_t max, store_pruned_fn *each,
	             void *userdata, struct tn_error *err);

	/*
	 * A copy of the whole, made while all else goes on. copy_step() makes some of it: 1
	 * if there is more to do; 0 when it is complete, as of then. Then what living tenants
	 * it has can be asked, one by one as of tenant_next(), until copy_take() gives it
	 * away: a file without a name, the caller's, that holds an SQLite database. -EBUSY if
	 * there is one already; copy_end() ends it whenever.
	 */
	int (*copy_begin)(struct store *store, struct tn_error *err);
	int (*copy_step)(struct store *store, struct tn_error *err);
	int (*copy_tenant_next)(struct store *store, const char *after,
	                        struct store_copied_tenant *ret, struct tn_error *err);
	int (*copy_take)(struct store *store, struct tn_error *err);
	void (*copy_end)(struct store *store);

	/* 1 and *ret, or 0. */
	int (*execution_by_id)(struct store *store, const struct id *id, struct record *ret,
	                       struct tn_error *err);
	/* The next whose id, as text, comes after @after and begins with @prefix: 1, *ret and
	 * whose it is, or 0. @after is @prefix itself at the beginning. */
	int (*execution_by_prefix)(struct store *store, const char *prefix, const char *after,
	                           struct id *ret, struct id *ret_tenant, struct tn_error *err);
	/* Of those of @tenant with that name the last that began; with @running of those that
	 * are not known to have ended. 1 and *ret, or 0. */
	int (*execution_by_name)(struct store *store, const struct id *tenant, const char *name,
	                         bool running, struct id *ret, struct tn_error *err);
	/* The next that @selection has after *place, which moves on: 1 or 0. */
	int (*execution_next)(struct store *store, const struct store_selection *selection,
	                      struct store_place *place, struct record *ret,
	                      struct tn_error *err);
	/* Totals since creation, or, with a bound that is not LEDGER_ABSENT, of the hours that
	 * begin at or after @since and before @until. */
	int (*totals)(struct store *store, const struct id *tenant, int64_t since,
	              int64_t until, struct store_totals *ret, struct tn_error *err);
	/* The first hour in these bounds in which something was booked: 1 and when it begins,
	 * and what was unless @ret_amounts is NULL, or 0. */
	int (*hour_next)(struct store *store, const struct id *tenant, int64_t since,
	                 int64_t until, int64_t *ret, struct store_hour *ret_amounts,
	                 struct tn_error *err);
	/* What applications meter. *@ret of a meter, all 0 where nothing has been, and what was
	 * counted in rows of @range. */
	int (*metered_get)(struct store *store, const struct id *tenant, const char *meter,
	                   const struct store_range *range, struct metered *ret,
	                   int64_t *ret_used, struct tn_error *err);
	/* The first row of a counter in @range: 1, when it begins and what it says, or 0. */
	int (*metered_hour_next)(struct store *store, const struct id *tenant,
	                         const char *meter, const struct store_range *range,
	                         int64_t *ret, int64_t *ret_amount, struct tn_error *err);
	/* The next meter after @after, "" at the beginning, that @tenant has any of: 1 or 0. */
	int (*metered_next)(struct store *store, const struct id *tenant, const char *after,
	                    char ret[METER_NAME_BYTES_MAX], struct tn_error *err);
	/* 1 and *ret, or 0. */
	int (*reservation_get)(struct store *store, const struct id *id,
	                       struct reservation *ret, struct tn_error *err);
	/* The next of a meter of @tenant after id @after, NULL at the beginning: 1 or 0. */
	int (*reservation_next)(struct store *store, const struct id *tenant, const char *meter,
	                        const struct id *after, struct reservation *ret,
	                        struct tn_error *err);
	/* What @execution holds of a gauge; 0: nothing. */
	int (*holding_get)(struct store *store, const struct id *execution, const char *meter,
	                   int64_t *ret, struct tn_error *err);
	int (*metering_key_get)(struct store *store, const struct id *tenant, const char *key,
	                        struct metering_key *ret, struct tn_error *err);
	/* Accepted: all of @writes and @events in one transaction. */
	int (*meter)(struct store *store, const struct metering_write *writes, size_t writes_n,
	             const struct event *events, size_t events_n, struct tn_error *err);
	/* Accepted: forget the answers of before @before, at most @max of them. 1 if there may
	 * be more, or 0. */
	int (*metering_keys_prune)(struct store *store, int64_t before, size_t max,
	                           struct tn_error *err);
	/* Of the node itself; to set it is durable. */
	int (*node_get)(struct store *store, struct store_node *ret, struct tn_error *err);
	int (*node_set)(struct store *store, const struct store_node *node,
	                const struct event *event, struct tn_error *err);

	/* Durable. @row without its seq; its files are kept with it, and those of all but the
	 * last STORE_POLICIES_MAX forgotten. */
	int (*policy_insert)(struct store *store, const struct store_policy *row,
	                     const struct policy *policy, const struct event *event,
	                     struct tn_error *err);
	/* The last one before @seq, INT64_MAX for the last of all: 1 and *ret, or 0. */
	int (*policy_before)(struct store *store, int64_t seq, struct store_policy *ret,
	                     struct tn_error *err);
	/* Made of the files that were kept, for policy_free(): 1 and *ret, or 0. */
	int (*policy_by_hash)(struct store *store, const char *hash, struct policy **ret,
	                      struct tn_error *err);

	/* Durable: an event that no change comes with. */
	int (*event_tell)(struct store *store, const struct event *event, struct tn_error *err);
	/* The next after number @after, of @tenant unless it is NULL: 1 and *ret, for
	 * event_done(), or 0. */
	int (*event_next)(struct store *store, const struct id *tenant, int64_t after,
	                  struct event *ret, struct tn_error *err);
	/* The last of @kind, also one that is only accepted: 1 and *ret, or 0. */
	int (*event_last)(struct store *store, enum event_kind kind, struct event *ret,
	                  struct tn_error *err);
	int (*event_span)(struct store *store, struct store_event_span *ret,
	                  struct tn_error *err);
	/* Whether something has been told that is only accepted, so that sync() shows it. */
	bool (*events_wait)(struct store *store);
	/*
	 * Forget the oldest events, those of before @at, at most @max of them: returns how
	 * many. What is left is still without a gap, from the oldest on, and the last event is
	 * never forgotten, so that its number is not given again.
	 */
	int (*events_prune)(struct store *store, int64_t at, int64_t max, struct tn_error *err);

	int (*figures)(struct store *store, struct store_figures *ret, struct tn_error *err);

	/* Accepts NULL. */
	void (*close)(struct store *store);
};

/* A member embeds this as its first field. */
struct store {
	const struct store_ops *ops;
	/* Called, if it is not NULL, when there are more events to read; what it does is to
	 * note that. */
	void (*on_events)(void *userdata);
	void *on_events_userdata;
};

const char *tenant_status_name(enum tenant_status status);
int tenant_status_parse(const char *name); /* or -EINVAL */

/* Releases what @row owns. Accepts a zeroed one. */
void tenant_row_done(struct tenant_row *row);

/* Open (or make) the SQLite store in @dir. */
int store_sqlite_open(const char *dir, struct store **ret, struct tn_error *err);

#endif
