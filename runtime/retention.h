/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Retention: what ended long ago is forgotten, a little at a time and only while there is
 * nothing else to do. What it amounts to is kept (store.h), and what detached executions
 * wrote goes with their records.
 */
#ifndef RUNTIME_RETENTION_H
#define RUNTIME_RETENTION_H

#include <policy/policy.h>

#include "logs/logbook.h"
#include "loop.h"
#include "store/store.h"

#define RETENTION_BATCH      64
#define RETENTION_PAUSE_USEC INT64_C(5000)     /* between two of them */
#define RETENTION_EVERY_USEC INT64_C(60000000) /* if there was nothing */

struct retention;

struct retention_config {
	struct loop *loop;
	struct store *store;
	const struct logbook *logbook; /* all borrowed */
};

/* Forgets nothing before retention_set(). */
int retention_new(struct retention **ret, const struct retention_config *config,
                  struct tn_error *err);
/* Accepts NULL. Always returns NULL. */
struct retention *retention_free(struct retention *retention);

/* Keep what has ended, and what has been told as an event, for as long as @settings says,
 * POLICY_UNLIMITED for ever. */
void retention_set(struct retention *retention, const struct policy_daemon_settings *settings);

#endif
