/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "drain.h"

#include <stdlib.h>
#include <time.h>

#include <base/clock.h>

struct drain {
	struct drain_config config;
	struct store_node node;
	struct drain_waiter *waiters;
};

static void close_or_open(struct drain *drain)
{
	const bool drained = drain->node.drained_at != LEDGER_ABSENT;

	admission_close(
		drain->config.admission, ADMISSION_DRAINED,
		drained ? "the node is drained: it launches nothing until it is undrained"
			: NULL);
}

int drain_new(struct drain **ret, const struct drain_config *config, struct tn_error *err)
{
	struct drain *drain = calloc(1, sizeof(*drain));
	int r;

	if (drain == NULL)
		return err_errno(err, "allocate the node's state");
	drain->config = *config;
	r = config->store->ops->node_get(config->store, &drain->node, err);
	if (r < 0) {
		free(drain);
		return r;
	}
	close_or_open(drain);
	*ret = drain;
	return 0;
}

struct drain *drain_free(struct drain *drain)
{
	free(drain);
	return NULL;
}

static int node_set(struct drain *drain, const struct store_node *node, enum event_kind kind,
                    const struct actor *actor, struct tn_error *err)
{
	static const char *const states[] = { "launches", "drained" };
	const bool drained = node->drained_at != LEDGER_ABSENT;
	struct store *store = drain->config.store;
	struct event event;
	int r = event_of_node(
		kind, actor, NULL,
		&(struct event_difference){ "node", states[!drained], states[drained] }, &event,
		err);

	if (r < 0)
		return r;
	r = store->ops->node_set(store, node, &event, err);
	event_done(&event);
	if (r < 0)
		return r;
	drain->node = *node;
	close_or_open(drain);
	return 0;
}

int drain_begin(struct drain *drain, const struct actor *actor, struct tn_error *err)
{
	if (drain->node.drained_at != LEDGER_ABSENT)
		return 0;
	return node_set(drain,
	                &(struct store_node){ .drained_at = clock_usec(CLOCK_REALTIME),
	                                      .drained_by = actor->uid },
	                EVENT_DRAINED, actor, err);
}

/* Each leaves the list before it is told: it may come back, or be freed. */
static void tell_all(struct drain *drain, const struct tn_error *why)
{
	struct drain_waiter *waiters = drain->waiters;

	drain->waiters = NULL;
	while (waiters != NULL) {
		struct drain_waiter *waiter = waiters;

		waiters = waiter->next;
		waiter->ended(waiter->userdata, why);
	}
}

int drain_end(struct drain *drain, const struct actor *actor, struct tn_error *err)
{
	struct tn_error why = { 0 };
	int r;

	if (drain->node.drained_at == LEDGER_ABSENT)
		return 0;
	r = node_set(drain,
	             &(struct store_node){ .drained_at = LEDGER_ABSENT,
	                                   .drained_by = LEDGER_ABSENT },
	             EVENT_UNDRAINED, actor, err);
	if (r < 0)
		return r;
	(void)err_refuse(&why, TN_STATE, "the node is not drained any more");
	tell_all(drain, &why);
	return 0;
}

int64_t drain_since(const struct drain *drain)
{
	return drain->node.drained_at;
}

int64_t drain_by(const struct drain *drain)
{
	return drain->node.drained_by;
}

/*
 * 1 if nothing runs. After a restart only the store knows of what tenantd has not told yet,
 * and what is told to have ended may still have to be booked.
 */
static int nothing_runs(const struct drain *drain, struct tn_error *err)
{
	const struct store_selection running = { .state = RECORD_RUNNING,
		                                 .since = LEDGER_ABSENT,
		                                 .until = LEDGER_ABSENT };
	struct store *store = drain->config.store;
	struct store_place place = { 0 };
	struct record record;
	int r;

	if (executions_count(drain->config.executions, NULL) > 0)
		return 0;
	r = journal_commit(drain->config.journal, NULL, err);
	if (r == 0)
		r = store->ops->execution_next(store, &running, &place, &record, err);
	return r < 0 ? r : r == 0;
}

int drain_await(struct drain *drain, struct drain_waiter *waiter, struct tn_error *err)
{
	int r = nothing_runs(drain, err);

	if (r != 0)
		return r;
	waiter->next = drain->waiters;
	drain->waiters = waiter;
	return 0;
}

void drain_unawait(struct drain *drain, const struct drain_waiter *waiter)
{
	struct drain_waiter **slot = &drain->waiters;

	while (*slot != NULL && *slot != waiter)
		slot = &(*slot)->next;
	if (*slot != NULL)
		*slot = waiter->next;
}

void drain_on_left(struct drain *drain)
{
	struct tn_error err = { 0 };
	int r;

	if (drain->waiters == NULL)
		return;
	r = nothing_runs(drain, &err);
	if (r != 0)
		tell_all(drain, r < 0 ? &err : NULL);
}
