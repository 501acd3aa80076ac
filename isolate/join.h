/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands that join an execution: further processes in its leaf, in all of its namespaces,
 * under its own filter, Landlock rules, ids, limits and oom_score_adj.
 *
 *   join:  a process of tenantd's own enters the pid namespace by the pidfd of pid 1 and clones
 *          the child from there straight into the leaf → what is to be done from outside →
 *          the child's own way in (child_join()) → the launch pipe tells how far it got
 *   end:   pidfd of its tenant-init → its status → record → told
 *
 * Everything is taken from what is pinned: the leaf's directory, and the pidfd that was opened
 * at the launch or, after a restart, checked to be in the leaf. No path that the workload can
 * change is followed while the child has a right that the workload has not.
 *
 * It has a tenant-init of its own between tenantd and the command, so that its status outlives
 * a tenantd. That one is no pid 1: the workload may kill it, and then the command goes, too,
 * and its status is not known. It ends with pid 1, as all that is in there does; pid 1's own
 * end is not told before it is reaped, hence that is done at once.
 *
 * It has no leaf and thus no counters, no limits and no clocks of its own.
 */
#ifndef ISOLATE_JOIN_H
#define ISOLATE_JOIN_H

#include <stdbool.h>

#include "execution.h"

/* So many at a time in one execution: each is some descriptors of tenantd's, and a record. The
 * leaf's pids.max counts their processes besides. */
#define JOINS_MAX 32

/*
 * Begin what @request asks for, with the descriptors of SPEC_JOIN, all borrowed. 0:
 * SPEC_STARTED will tell how it went. -errno: nothing is left behind.
 */
int executions_join(struct executions *all, const struct spec_join *request, const int *fds,
                    size_t fds_n, struct tn_error *err);

/* For who has the id of an execution or of a join: whether it was the latter. */
bool joins_have(struct executions *all, const struct id *id);
bool joins_signal(struct executions *all, const struct id *id, int signal);
bool joins_kill(struct executions *all, const struct id *id, enum spec_kill_why why);
bool joins_settled(struct executions *all, const struct id *id);

/* Those whose end the loop cannot tell: unwatched.h. */
void joins_look(struct executions *all);

/* Tell a new controller of those that there are. */
void joins_replay(struct executions *all);

/* Of what record_each() finds after a restart, what is a join; the executions have been taken
 * over. @context: the executions. */
void joins_adopt(const struct record *record, void *context);

/* Forget them all without touching them. */
void joins_done(struct executions *all);

#endif
