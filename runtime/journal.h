/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Group commit: records of executions are collected for a commit window and then booked
 * in one transaction, together with a reading of each tenant whose execution ended; then
 * the disk is asked to keep it, and nobody waits for its answer. So a thousand short executions
 * cost a few writes and not a thousand.
 *
 * What waits here is not lost with us: until a record is settled, tenantd keeps it and
 * repeats it to the next controller. Power loss can take the last window, always in the
 * tenant's favour.
 */
#ifndef RUNTIME_JOURNAL_H
#define RUNTIME_JOURNAL_H

#include "loop.h"
#include "store/store.h"

#define JOURNAL_WINDOW_USEC 20000
#define JOURNAL_IDLE_USEC   1000000 /* without a window: time to tidy up */
#define JOURNAL_RETRY_USEC  1000000
#define JOURNAL_PENDING_MAX 16384 /* more than tenantd leaves unsettled */

struct journal;

struct journal_handlers {
	/* Read the tenant's counters now. */
	void (*sample)(void *userdata, const struct id *tenant, struct ledger_sample *ret);
	/* The store has this exited record. */
	void (*settled)(void *userdata, const struct record *record);
};

/* @store and @handlers are borrowed. */
int journal_new(struct journal **ret, struct loop *loop, struct store *store,
                const struct journal_handlers *handlers, void *userdata, struct tn_error *err);
/* Does not commit. Accepts NULL. Always returns NULL. */
struct journal *journal_free(struct journal *journal);

/* Have @record booked within the window. -ENOBUFS if too many wait. */
int journal_add(struct journal *journal, const struct record *record, struct tn_error *err);

/* Whether a record of @id waits to be booked. */
bool journal_waits(const struct journal *journal, const struct id *id);

/* Book all that waits now, and @sample too unless it is NULL. On failure all still waits. */
int journal_commit(struct journal *journal, const struct ledger_sample *sample,
                   struct tn_error *err);

/* Of what was added and is not durable yet, how long the first has waited; 0: nothing is. */
int64_t journal_lag_usec(const struct journal *journal);

/* Whether the last attempt to book or to sync failed, and why. */
bool journal_failing(const struct journal *journal, const char **ret_why);

#endif
