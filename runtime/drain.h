/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether this node launches. A drained one takes no launch, also after a restart, until it
 * is told to again; what runs goes on to its end, for which one can wait here.
 */
#ifndef RUNTIME_DRAIN_H
#define RUNTIME_DRAIN_H

#include "admission.h"
#include "executions.h"

struct drain;

/* All borrowed. */
struct drain_config {
	struct store *store;
	struct journal *journal;
	struct executions *executions;
	struct admission *admission;
};

/* Who waits until nothing runs; embedded by it. */
struct drain_waiter {
	/* Called once. @why is NULL if nothing runs. */
	void (*ended)(void *userdata, const struct tn_error *why);
	void *userdata;
	struct drain_waiter *next;
};

/* As the store remembers it. */
int drain_new(struct drain **ret, const struct drain_config *config, struct tn_error *err);
/* Tells nobody. Accepts NULL. Always returns NULL. */
struct drain *drain_free(struct drain *drain);

/* Durable once they return. Those that wait in a queue are refused. @actor: who wants it. No
 * failure if it is so already. */
int drain_begin(struct drain *drain, const struct actor *actor, struct tn_error *err);
/* Who waits for the end of all is told that it is not awaited any more. */
int drain_end(struct drain *drain, const struct actor *actor, struct tn_error *err);
/* Since when, microseconds since the epoch, or LEDGER_ABSENT: it launches. */
int64_t drain_since(const struct drain *drain);
/* The uid of who wanted it, if it is drained; else LEDGER_ABSENT. */
int64_t drain_by(const struct drain *drain);

/* 1 if nothing runs; 0 if @waiter (borrowed) will be told; or -errno. */
int drain_await(struct drain *drain, struct drain_waiter *waiter, struct tn_error *err);
void drain_unawait(struct drain *drain, const struct drain_waiter *waiter);
/* Something may have ended. */
void drain_on_left(struct drain *drain);

#endif
