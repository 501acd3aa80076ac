/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What could not be removed is tried again, after a second and then ever more seldom, but once
 * a minute, so that nothing has to wait for the next start: records of executions that are
 * settled, and what deleted tenants have stored.
 */
#ifndef ISOLATE_LEFTOVERS_H
#define ISOLATE_LEFTOVERS_H

#include <stdbool.h>
#include <stddef.h>

#include <base/id.h>

#include "loop.h"

/* Records that are remembered; of more the next start knows. */
#define LEFTOVERS_MAX 64

struct executions;

struct leftovers {
	struct loop_source timer;
	struct id records[LEFTOVERS_MAX];
	size_t records_n;
	bool stored;
	bool armed;
	long pause_sec; /* that the last try has waited; 0: nothing is left */
};

int leftovers_start(struct executions *all, struct tn_error *err);
void leftovers_stop(struct executions *all);

/* Remove the record of @id, which is settled or of nothing, now or later. */
void leftovers_record_remove(struct executions *all, const struct id *id);

/* Whether something is left of what deleted tenants have stored. @context: the executions. */
void leftovers_stored(void *context, bool left);

#endif
