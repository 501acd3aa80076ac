/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose turn it is.
 *
 * To launch and to settle an end take a thousand times what other requests and events do, and
 * tenantd does one at a time. So these jobs wait here until nothing else is there to be done,
 * and then each tenant that has some has one done in turn: whoever has many at once holds up
 * another by one of them. A job can also wait for its own tenant: one that is throttled has no
 * more sandboxes begun than it can get on with.
 */
#ifndef ISOLATE_TURNS_H
#define ISOLATE_TURNS_H

#include <stdbool.h>
#include <stddef.h>

#include <base/id.h>

/* More launches than that are not taken in: the controller's socket holds what it sends then.
 */
#define TURNS_LAUNCHES_MAX 256

/* A part of what it is about, owned by that. */
struct turns_job {
	struct turns_job *next;
	struct id execution;
	void (*run)(void *context);
	void (*drop)(void *context); /* instead of running it; NULL: it stays until it is run */
	bool (*is_held)(const void *context); /* it has to wait still, and so have
	                                       * those after it; NULL: never */
	void *context;
};

struct turn;

/* All zero is empty. */
struct turns {
	struct turn *first, *last;
	size_t launches_n; /* that is, of jobs that can be dropped */
};

/* False for want of memory: nothing was done. All of @job is set but next. */
bool turns_add(struct turns *turns, const struct id *tenant, struct turns_job *job);

/* Run the next job that is not held; false if there is none. */
bool turns_run(struct turns *turns);

/* Run a job also if all are held: there is one. */
void turns_run_held(struct turns *turns);

/* Run all that is there of @tenant now, in order, held or not. */
void turns_run_all_of(struct turns *turns, const struct id *tenant);

/* Whose @execution is; false if no job is about it. */
bool turns_tenant_of(const struct turns *turns, const struct id *execution, struct id *ret);

/* Take out the job of @execution that could be dropped; NULL if there is none. */
struct turns_job *turns_take(struct turns *turns, const struct id *execution);

/* Drop every job that can be dropped. */
void turns_drop(struct turns *turns);

#endif
