/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which part of the control plane hears from which, and what it then does with others:
 * context.c hands these to the parts that it makes. @userdata is always the struct context, of
 * which a part may not be there yet or no more; what each call is for, the part that makes it
 * says.
 */
#ifndef RUNTIME_WIRING_H
#define RUNTIME_WIRING_H

#include "context.h"

extern const struct supervisor_handlers wiring_supervisor;
extern const struct journal_handlers wiring_journal;

/* Quotas: something has been written, and is to be made durable. */
void wiring_on_metered(void *userdata);

/* The sampler. */
int wiring_on_looks(void *userdata, const struct ledger_sample *samples, size_t n,
                    struct tn_error *err);

/* Executions. */
void wiring_on_left(void *userdata, struct tenant *tenant, bool room);

/* Budgets: what is used now is booked. */
int wiring_on_book(void *userdata, const struct tenant *tenant, struct tn_error *err);

/* Lifecycle: the same, on the disk; and what follows a change. */
int wiring_on_settle(void *userdata, const struct tenant *tenant, struct tn_error *err);
void wiring_on_deleted(void *userdata, const struct tenant *tenant);
void wiring_on_changed(void *userdata, struct tenant *tenant);

/* Timers: who launched what still runs has had the time to come back; names that were nobody's
 * are asked for again. */
void wiring_on_orphans(void *userdata, uint32_t events);
void wiring_on_ask(void *userdata, uint32_t events);

/* Ask who the operators are that policy and tenants name. */
void wiring_ask_accounts(struct context *context);

/* Have the parts follow what the policy in force says of the node. */
void wiring_follow(struct context *context);

/* In the unit's status; that it arrives is not needed. */
void wiring_tell_status(const struct context *context);

#endif
