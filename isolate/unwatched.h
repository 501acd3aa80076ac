/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ends of which the loop cannot tell, because the kernel had no memory or no watch left for one
 * more descriptor when the process was there already: they are looked for every few
 * milliseconds until the loop takes the descriptor or the process has ended. So nobody ever has
 * to wait for a process in a tenant's cgroup, which ends when the tenant lets it: a throttled
 * one after some periods.
 */
#ifndef ISOLATE_UNWATCHED_H
#define ISOLATE_UNWATCHED_H

#include <stdbool.h>

#include "execution.h"

/* Before anything is launched. */
int unwatched_start(struct executions *all, struct tn_error *err);
void unwatched_stop(struct executions *all);

/* Have @source, a pidfd, tell of the end. *@unwatched if that is only to be looked for. */
void unwatched_watch(struct executions *all, struct loop_source *source, bool *unwatched);

/* If it is to be looked for: has it ended? Then it is told here. */
void unwatched_look(struct executions *all, struct loop_source *source, bool *unwatched);

#endif
