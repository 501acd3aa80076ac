/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What launch.c, exit.c and adopt.c share of an execution's life; private to them. */
#ifndef ISOLATE_EXECUTION_STATE_H
#define ISOLATE_EXECUTION_STATE_H

#include "execution.h"

struct execution *execution_new(struct executions *executions, const struct id *id);

/* Release the descriptors and the tenant; kernel objects are left as they are. */
void execution_release(struct execution *execution);

/* Release and free, also out of the table. */
void execution_free(struct execution *execution);

/* Set the limits' timers. */
int execution_clocks(struct execution *execution, struct tn_error *err);

/* Watch the pidfd @pid_fd, which is consumed. */
void execution_watch(struct execution *execution, int pid_fd);

/* Set the timer for @boot_usec, once the tenant is not frozen; a point in the past fires at
 * once. 0, or -1 and errno. */
int execution_timer_arm(struct execution *execution, int64_t boot_usec);

/* Stop the clocks at @boot_usec, or let them go on, and note it in the record; nothing if they
 * do so already. */
void execution_freeze(struct execution *execution, bool frozen, int64_t boot_usec);

/* Since its start, without what it was suspended. */
int64_t execution_wall_usec(const struct execution *execution, int64_t boot_usec);

/* It has got to its command, or will not any more. */
void execution_set_up(struct execution *execution);

/* The core file's limit, as this host lets it be given. */
int64_t execution_core_limit(int64_t wanted);

/* What of @filter holds where such a launch is. */
const struct sock_fprog *execution_program(const struct filter *filter,
                                           const struct spec_launch *launch);

/* A pidfd of @pid if that process is in the leaf, or FD_NONE; 0 is none. */
int execution_pid_open(int leaf_fd, int32_t pid);

/* Of a process that an earlier tenantd has begun: it has executed something. */
bool execution_has_executed(int32_t pid);

/* One of those that the present controller had not heard of has been told of. */
void executions_untold_less(struct executions *executions);

/* Handlers of the loop. */
void execution_report_ready(void *context, uint32_t events);
void execution_pid_ready(void *context, uint32_t events);
void execution_timer_ready(void *context, uint32_t events);
void execution_cpu_timer_ready(void *context, uint32_t events);

/* Its turn has come, once its processes have ended. */
void execution_settle(void *context);

/* The keeper's answers. */
void execution_mounts_dropped(void *context, const struct id *id);
void execution_mounts_lost(void *context);

/* The processes are gone: settle the leaf, and tell once the mounts are gone, too. */
void execution_end(struct execution *execution);

/*
 * Whether nothing ever ran of one that the tenantd before us was setting up when it ended: with
 * that so did it. Whatever executes a command leaves a status, unless it is killed. False if it
 * cannot be told.
 */
bool execution_never_was(const struct execution *execution);

/* The controller has heard of it. */
void execution_is_told(struct execution *execution);

/* @terminal: its master, borrowed, or FD_NONE. */
void execution_tell_started(struct execution *execution, bool executed, int terminal,
                            const struct tn_error *error);

#endif
