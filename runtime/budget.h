/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Budgets: hard quotas on what the kernel counts while it is used, of which on_exhaust says
 * that what runs is throttled, frozen or killed once they are used up.
 *
 * What is used is what is booked and what the node has counted since. The kernel tells nobody
 * that a counter has come to some value, so it is looked at, the next time when the tenant
 * could have used up the rest at the soonest: with all CPUs, or all the memory, its own. So a
 * look costs something only where a budget is near its end, and what is used beyond it is at
 * most BUDGET_GRAIN_USEC of one CPU and what is used until the kernel has been told.
 *
 * What is done lasts until there is room again: in the next period, by a higher limit, by
 * another policy. It is kept nowhere. A controller that begins finds in the kernel what the one
 * before it did to those of which something runs, and goes on from there or takes it back.
 * Where nothing runs nothing stands still, and launches are refused by quota_admits() anyway.
 */
#ifndef RUNTIME_BUDGET_H
#define RUNTIME_BUDGET_H

#include "executions.h"
#include "lifecycle.h"
#include "sampler.h"

/* What of a CPU, or of all together, is used between two looks near the end. */
#define BUDGET_GRAIN_USEC 25000

struct budgets;

struct budgets_config {
	struct loop *loop;
	struct store *store;
	struct journal *journal;
	struct tenants *tenants;
	struct executions *executions;
	struct lifecycle *lifecycle;
	struct sampler *sampler;
	const int *root_fd;          /* of the cgroup tree, once there is one */
	const uint32_t *controllers; /* enum spec_controller: no other limits hold */
	/* Book what @tenant's node has counted until now. */
	int (*book)(void *userdata, const struct tenant *tenant, struct tn_error *err);
	void *userdata;
};

/* All of @config is borrowed. */
int budgets_new(struct budgets **ret, const struct budgets_config *config,
                struct tn_error *err);
/* What is done to tenants stays. Accepts NULL. Always returns NULL. */
struct budgets *budgets_free(struct budgets *budgets);

/* Something of @tenant has begun, ended, been booked or been changed: see what is left. */
void budgets_look(struct budgets *budgets, struct tenant *tenant);
/* The same of all that are watched: there is another policy. */
void budgets_look_all(struct budgets *budgets);

/* Something of @tenant has run since before us: what another controller did to it is ours. */
void budgets_adopt(struct budgets *budgets, struct tenant *tenant);

/* How long it takes at least to use @left of CPU time on @cpus, of which @quota_usec may be
 * used in SPEC_CPU_PERIOD_USEC: microseconds. */
int64_t budget_cpu_wait(int64_t left, int64_t cpus, int64_t quota_usec);

#endif
