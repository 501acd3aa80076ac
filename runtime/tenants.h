/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tenants: rows of the store, read when first asked for and kept, and their limits
 * in the kernel, which tenantd sets at our word.
 *
 * A creation is an intent row first, then tenantd's slot and cgroup, then active; what
 * fails on the way undoes what was done. One that was interrupted by our own end is
 * undone by the next controller. Limits are sent before a tenant's first launch on this
 * channel and again when policy changes; requests to tenantd keep their order, so
 * nobody waits for the answer.
 *
 * A struct tenant stays where it is as long as the tenants are.
 */
#ifndef RUNTIME_TENANTS_H
#define RUNTIME_TENANTS_H

#include <policy/policy.h>

#include "calendar.h"
#include "store/store.h"
#include "supervisor_link.h"

/* What a tenant that is throttled has of cpu.max, in SPEC_CPU_PERIOD_USEC: the least there is.
 */
#define TENANT_SLOWED_CPU_USEC     1000
#define TENANT_EXHAUSTED_BYTES_MAX 384

struct tenants;

/* What budget.h has found used up, and does about it; zero: nothing. */
struct tenant_exhausted {
	bool is;
	enum policy_exhaust how;
	char meter[METER_NAME_BYTES_MAX];
	int64_t limit;
	int64_t used;
	int64_t reset_at;
	char text[TENANT_EXHAUSTED_BYTES_MAX]; /* the quota, and where it is set */
};

/* The last ones that quota_rules.h was asked for: to find one out takes longer than all else
 * that a call on a quota does. Zero: none. */
struct tenant_periods {
	int64_t version; /* of the row that they are of */
	struct calendar_span spans[CALENDAR_PERIODS_N];
};

struct tenant {
	struct tenant_row row;
	bool applied;  /* tenantd has been sent its present limits on this channel */
	bool changing; /* lifecycle.c is about to make something else of it */
	bool leaving;  /* and that is nothing: no launch is admitted any more */
	/* Its tier with its overrides, as of this policy; NULL if it has none, or not yet. */
	struct policy_tier *own;
	uint64_t own_generation; /* counts policies */
	size_t executions_n;     /* launched and not ended, as far as executions.c knows */
	struct tenant_exhausted exhausted;
	struct tenant_periods periods;
};

/* Whether what runs stands still for it, or has hardly any CPU. */
static inline bool tenant_held(const struct tenant_exhausted *exhausted)
{
	return exhausted->is && exhausted->how == POLICY_EXHAUST_FREEZE;
}

static inline bool tenant_slowed(const struct tenant_exhausted *exhausted)
{
	return exhausted->is && exhausted->how == POLICY_EXHAUST_THROTTLE;
}

/* @tenant is NULL on failure, and @err says why. */
typedef void tenants_done_fn(void *userdata, struct tenant *tenant, const struct tn_error *err);

struct tenants_config {
	struct store *store;
	struct supervisor_link *link;
	const struct policy *policy;
	int filter_fd; /* sealed; borrowed like the rest */
};

int tenants_new(struct tenants **ret, const struct tenants_config *config,
                struct tn_error *err);
/* Accepts NULL. Always returns NULL. */
struct tenants *tenants_free(struct tenants *tenants);

/* By name or UUID, whatever its status: a name is that of the living tenant, or else of the one
 * that was deleted last. TN_NOT_FOUND if there is none. */
int tenants_get(struct tenants *tenants, const char *name_or_id, struct tenant **ret,
                struct tn_error *err);
int tenants_get_by_id(struct tenants *tenants, const struct id *id, struct tenant **ret,
                      struct tn_error *err);

/*
 * By the wish of @actor, create a tenant from @wanted: name, display_name, tier, metadata
 * (copied) and settings count, the rest is filled in. @done is called later, unless this fails.
 */
int tenants_create(struct tenants *tenants, const struct tenant_row *wanted,
                   const struct actor *actor, tenants_done_fn *done, void *userdata,
                   struct tn_error *err);

/* Undo creations that nobody will finish. Call once, before the first creation. */
int tenants_recover(struct tenants *tenants, struct tn_error *err);

/*
 * tenantd has a slot of @id. If the store knows it as deleted, that is completed. If it does
 * not know it at all (a creation that was cut short, or the store is an older one) it is
 * removed, unless something is stored there, which is nobody's to throw away. The journal is
 * told.
 */
void tenants_audit(struct tenants *tenants, const struct id *id);

/*
 * The tier of @tenant in the present policy, with the tenant's overrides. Borrowed until the
 * tenant or the policy changes.
 */
int tenants_tier(const struct tenants *tenants, struct tenant *tenant,
                 const struct policy_tier **ret, struct tn_error *err);

/* The same for what a row says: *ret_own, if it is not NULL then, is the caller's to free. */
int tenants_resolve(const struct policy *policy, const struct tenant_row *row,
                    struct policy_tier **ret_own, const struct policy_tier **ret,
                    struct tn_error *err);

/* A tier of the present policy. TN_NOT_FOUND if there is none of that name. */
int tenants_tier_named(const struct tenants *tenants, const char *name,
                       const struct policy_tier **ret, struct tn_error *err);

/* The present policy. */
const struct policy *tenants_policy(const struct tenants *tenants);

/* Send the tenant's limits unless tenantd has them. */
int tenants_apply(struct tenants *tenants, struct tenant *tenant, struct tn_error *err);

/* Ask tenantd to bring the tenant to the limits of @tier, whatever its own is; with @may_kill
 * also to a memory_max below what is in use, which is TN_STATE otherwise. */
int tenants_send_limits(const struct tenants *tenants, const struct tenant *tenant,
                        const struct policy_tier *tier, bool may_kill, supervisor_reply_fn *fn,
                        void *userdata, struct tn_error *err);

/* What tenantd says, NULL if it has gone, as an error of ours. */
int tenants_reply_check(const struct spec_reply *reply, struct tn_error *err);

/*
 * Make the tenant's row that of @row, durably, and tell of it by @event unless that is NULL.
 * @row has the version it was read with; its metadata becomes the tenant's, unless it is that
 * already, and on failure stays the caller's.
 */
int tenants_save(struct tenants *tenants, struct tenant *tenant, struct tenant_row *row,
                 const struct event *event, struct tn_error *err);

/* The tenant has been deleted: its name is free. */
void tenants_bury(struct tenants *tenants, struct tenant *tenant);

/* The tenants of these @statuses (creating, suspended, deleting), bits by their numbers, each
 * found in the cache then: 1 and the next after *after (its name, "" at the beginning), or 0.
 */
int tenants_next_of(struct tenants *tenants, unsigned int statuses, char after[NAME_BYTES_MAX],
                    struct tenant **ret, struct tn_error *err);

/* Every applied tenant is being brought to another policy. */
bool tenants_reapplying(const struct tenants *tenants);

/* TN_STATE if @policy lacks a tier that a tenant in @store has, or one's overrides do not fit
 * it. */
int tenants_check_policy(struct store *store, const struct policy *policy,
                         struct tn_error *err);

typedef void tenants_reapplied_fn(void *userdata, size_t failed_n);

/*
 * Make @policy (borrowed) the present one and bring every tenant that has been applied
 * to its limits, one after the other, with @may_kill as above. @done is called at the end with
 * the number that failed; not while tenants_reapplying().
 */
void tenants_set_policy(struct tenants *tenants, const struct policy *policy, bool may_kill,
                        tenants_reapplied_fn *done, void *userdata);

#endif
