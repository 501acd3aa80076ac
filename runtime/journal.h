/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Group commit: records of executions are collected for a commit window (commit_window of
 * tenantd.yaml) and then booked
 * in one transaction, together with a reading of each tenant whose execution ended; then
 * the disk is asked to keep it, and nobody waits for its answer. So a thousand short executions
 * cost a few writes and not a thousand.
 *
 * What waits here is not lost with us: until a record is settled, tenantd keeps it and
 * repeats it to the next controller. Power loss can take the last window, always in the
 * tenant's favour. While the store takes nothing (a disk that is full, a file system that has
 * become read-only) all of it waits, and by journal_failing() nothing more is admitted: what
 * waits is bounded by what ran at the time.
 */
#ifndef RUNTIME_JOURNAL_H
#define RUNTIME_JOURNAL_H

#include "loop.h"
#include "store/store.h"

#define JOURNAL_IDLE_USEC   1000000 /* without a window: time to tidy up */
#define JOURNAL_RETRY_USEC  1000000
#define JOURNAL_PENDING_MAX 16384 /* more than tenantd leaves unsettled */
#define JOURNAL_EVENTS_MAX  256

struct journal;

struct journal_handlers {
	/* Read the tenant's counters now. */
	void (*sample)(void *userdata, const struct id *tenant, struct ledger_sample *ret);
	/* When the row of hours begins that @at lies in: see store_batch. NULL: of UTC. */
	int64_t (*hour)(void *userdata, const struct id *tenant, int64_t at);
	/* The store has that reading. NULL: nobody wants to know. */
	void (*booked)(void *userdata, const struct ledger_sample *sample);
	/* The store has this exited record. */
	void (*settled)(void *userdata, const struct record *record);
	/* journal_failing() says something else now. NULL: nobody wants to know. */
	void (*turned)(void *userdata);
	/* The store would take what waits if it were opened anew. */
	void (*stale)(void *userdata);
};

/* @store and @handlers are borrowed. The window is what policies have without a word of it. */
int journal_new(struct journal **ret, struct loop *loop, struct store *store,
                const struct journal_handlers *handlers, void *userdata, struct tn_error *err);
/* What is added from now on is booked within @usec. */
void journal_set_window(struct journal *journal, int64_t usec);
/* Does not commit. Accepts NULL. Always returns NULL. */
struct journal *journal_free(struct journal *journal);

/* Have @record booked within the window. -ENOBUFS if too many wait. */
int journal_add(struct journal *journal, const struct record *record, struct tn_error *err);

/* Have @event, which is consumed, told within the window. -ENOBUFS if too many wait. */
int journal_tell(struct journal *journal, struct event *event, struct tn_error *err);

/* Whether a record of @id waits to be booked. */
bool journal_tenant(const struct journal *journal, const struct id *id, struct id *ret_tenant);
bool journal_waits(const struct journal *journal, const struct id *id);

/* Book all that waits now, and @sample too unless it is NULL. On failure all still waits. */
int journal_commit(struct journal *journal, const struct ledger_sample *sample,
                   struct tn_error *err);

/* Others have booked: that is to be made durable in time like what was added here. */
void journal_booked(struct journal *journal);

/* Book these @n readings now, in one transaction of their own, durable within the window. */
int journal_looks(struct journal *journal, const struct ledger_sample *samples, size_t n,
                  struct tn_error *err);

/* See now whether the store takes anything. */
void journal_try(struct journal *journal);

/* Of what was added and is not durable yet, how long the first has waited; 0: nothing is. */
int64_t journal_lag_usec(const struct journal *journal);

/* Whether the last attempt to book or to sync failed, and why. It is made again every
 * JOURNAL_RETRY_USEC, also if nothing waits: then it is tried whether the store takes anything.
 */
bool journal_failing(const struct journal *journal, const char **ret_why);

#endif
