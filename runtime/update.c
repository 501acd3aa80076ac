/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tenant that is changed. Its new row is made when its turn has come, of what the tenant is
 * by then: so of two changes at the same time neither is lost. The kernel has the new limits
 * first, after what was in use above them has been given back; then the row says so.
 */
#include <stdlib.h>
#include <string.h>

#include "change.h"

/* What an update is about, over what the row holds now. */
static int update_save(struct change *change, struct tn_error *err)
{
	struct tenant_row row = change->tenant->row;
	const struct tenant_row *wanted = &change->wanted;
	int r;

	memcpy(row.display_name, wanted->display_name, sizeof(row.display_name));
	memcpy(row.tier, wanted->tier, sizeof(row.tier));
	row.billing_anchor_day = wanted->billing_anchor_day;
	memcpy(row.time_zone, wanted->time_zone, sizeof(row.time_zone));
	memcpy(row.currency, wanted->currency, sizeof(row.currency));
	memcpy(row.customer_id, wanted->customer_id, sizeof(row.customer_id));
	memcpy(row.overrides, wanted->overrides, sizeof(row.overrides));
	memcpy(row.operators, wanted->operators, sizeof(row.operators));
	row.metadata = wanted->metadata;
	r = change_save(change, &row, EVENT_UPDATED, NULL, err);
	if (r == 0)
		change->wanted.metadata = NULL;
	return r;
}

/* What the row says of limits, again: also of a memory.high that was lowered for a while. */
static void limits_restore(struct change *change)
{
	struct tn_error lost = { 0 };

	change->tenant->applied = false;
	(void)tenants_apply(change->lifecycle->config.tenants, change->tenant, &lost);
}

static int shrink_start(struct change *change, struct tn_error *err);

/*
 * The kernel has the new tier's limits, or refused one. Where the row cannot say so it gets
 * those of the row again; and also where it may have got, meanwhile, what another policy says
 * of the tier that the row had.
 */
static void update_on_limits(void *userdata, const struct spec_reply *reply)
{
	struct change *change = userdata;
	struct tn_error err = { 0 };
	int r = tenants_reply_check(reply, &err);

	/* It has grown between our look and the write. */
	if (r < 0 && err.code == TN_STATE && change->shrink != NULL) {
		shrink_again(change->shrink);
		return;
	}
	if (r < 0 && err.code == TN_STATE && shrink_start(change, &err) == 0)
		return;
	if (r == 0)
		r = update_save(change, &err);
	if (reply != NULL && (r < 0 || tenants_reapplying(change->lifecycle->config.tenants)))
		limits_restore(change);
	change_end(change, r < 0 ? &err : NULL);
}

static int update_check(const struct change *change, struct tn_error *err)
{
	const struct tenant_row *row = &change->tenant->row;
	const int64_t if_version = change->update.if_version;

	if (row->status != TENANT_ACTIVE && row->status != TENANT_SUSPENDED)
		return err_refuse(err, TN_STATE, "tenant '%s' is %s; it cannot be changed",
		                  row->name, tenant_status_name(row->status));
	if (if_version != 0 && row->version != if_version)
		return err_refuse(err, TN_CONFLICT, "tenant '%s' has version %lld, not %lld",
		                  row->name, (long long)row->version, (long long)if_version);
	return 0;
}

static bool limits_differ(const struct tenant_row *a, const struct tenant_row *b)
{
	return strcmp(a->tier, b->tier) != 0 || strcmp(a->overrides, b->overrides) != 0;
}

/* As policy is now: it may have become another while we waited. */
static int tier_wanted(const struct change *change, struct policy_tier **ret_own,
                       const struct policy_tier **ret, struct tn_error *err)
{
	const struct policy *policy = tenants_policy(change->lifecycle->config.tenants);

	return tenants_resolve(policy, &change->wanted, ret_own, ret, err);
}

static int limits_send(struct change *change, struct tn_error *err)
{
	struct tenants *tenants = change->lifecycle->config.tenants;
	const struct policy_tier *tier = NULL;
	struct policy_tier *own = NULL;
	int r = tier_wanted(change, &own, &tier, err);

	if (r == 0)
		r = tenants_send_limits(tenants, change->tenant, tier, change->update.force,
		                        update_on_limits, change, err);
	free(own);
	/* A launch meanwhile must not send those of the row after them. */
	if (r == 0)
		change->tenant->applied = true;
	return r;
}

static void update_on_shrunk(void *userdata, const struct tn_error *why)
{
	struct change *change = userdata;
	struct tn_error err = { 0 };

	if (why != NULL)
		err = *why;
	else if (limits_send(change, &err) == 0)
		return;
	if (err.code != TN_UNREACHABLE)
		limits_restore(change);
	change_end(change, &err);
}

static int shrink_start(struct change *change, struct tn_error *err)
{
	const struct lifecycle *lifecycle = change->lifecycle;
	const struct shrink_config config = { lifecycle->config.loop, lifecycle->config.link,
		                              lifecycle->config.tenants, lifecycle->root_fd };
	const struct policy_tier *tier = NULL;
	struct policy_tier *own = NULL;
	int r = tier_wanted(change, &own, &tier, err);

	if (r == 0)
		r = shrink_begin(&change->shrink, &config, change->tenant, tier,
		                 update_on_shrunk, change, err);
	free(own);
	return r;
}

static int update_limits(struct change *change, const struct policy_tier *tier,
                         struct tn_error *err)
{
	int64_t used;

	if (change->update.force ||
	    shrink_needed(change->lifecycle->root_fd, &change->tenant->row, tier, &used) == 0)
		return limits_send(change, err);
	return shrink_start(change, err);
}

static int update_wanted(struct change *change, struct tn_error *err)
{
	change->wanted = change->tenant->row;
	change->wanted.metadata = strdup(change->tenant->row.metadata);
	if (change->wanted.metadata == NULL)
		return err_errno(err, "change tenant '%s'", change->tenant->row.name);
	return change->update.apply(change->userdata, &change->wanted, err);
}

static int update_begin(struct change *change, struct tn_error *err)
{
	const struct lifecycle_config *config = &change->lifecycle->config;
	const struct policy_tier *tier = NULL;
	struct policy_tier *own = NULL;
	int r = update_check(change, err);

	if (r == 0)
		r = update_wanted(change, err);
	if (r == 0)
		r = tenants_tier_named(config->tenants, change->wanted.tier, &tier, err);
	if (r == 0)
		r = tenants_resolve(tenants_policy(config->tenants), &change->wanted, &own,
		                    &tier, err);
	if (r == 0 && limits_differ(&change->tenant->row, &change->wanted)) {
		r = update_limits(change, tier, err);
		free(own);
		return r;
	}
	free(own);
	if (r == 0)
		r = update_save(change, err);
	if (r == 0)
		change_end(change, NULL);
	return r;
}

static int update_wait(struct lifecycle *lifecycle, const struct change *change,
                       struct tn_error *err)
{
	struct change **last = &lifecycle->waiting;
	struct change *kept;

	if (lifecycle->waiting_n == LIFECYCLE_WAITING_MAX)
		return err_refuse(err, TN_STATE,
		                  "%d changes of tenants wait already; try again",
		                  LIFECYCLE_WAITING_MAX);
	kept = malloc(sizeof(*kept));
	if (kept == NULL)
		return err_errno(err, "change tenant '%s'", change->tenant->row.name);
	*kept = *change;
	while (*last != NULL)
		last = &(*last)->next;
	*last = kept;
	lifecycle->waiting_n++;
	return 0;
}

static bool waits_for(const struct lifecycle *lifecycle, const struct tenant *tenant)
{
	for (const struct change *change = lifecycle->waiting; change != NULL;
	     change = change->next)
		if (change->tenant == tenant)
			return true;
	return false;
}

static int update_start(struct lifecycle *lifecycle, const struct change *what,
                        struct tn_error *err)
{
	struct change *change = NULL;
	int r = change_new(lifecycle, what->tenant, &what->update.actor, what->done,
	                   what->userdata, &change, err);

	if (r < 0)
		return r;
	assert(change != NULL);
	change->update = what->update;
	r = update_begin(change, err);
	if (r < 0)
		change_free(change);
	return r;
}

int lifecycle_update(struct lifecycle *lifecycle, struct tenant *tenant,
                     const struct lifecycle_update *update, tenants_done_fn *done,
                     void *userdata, struct tn_error *err)
{
	const struct change change = { .lifecycle = lifecycle,
		                       .tenant = tenant,
		                       .update = *update,
		                       .done = done,
		                       .userdata = userdata };

	if (tenant->changing || waits_for(lifecycle, tenant))
		return update_wait(lifecycle, &change, err);
	return update_start(lifecycle, &change, err);
}

void update_turn(struct lifecycle *lifecycle)
{
	struct change **at = &lifecycle->waiting;

	while (*at != NULL) {
		struct change *change = *at;
		struct tn_error err = { 0 };

		if (change->tenant->changing) {
			at = &change->next;
			continue;
		}
		*at = change->next;
		lifecycle->waiting_n--;
		change->next = NULL;
		if (update_start(lifecycle, change, &err) < 0)
			change->done(change->userdata, NULL, &err);
		free(change);
		/* Whoever was told may have asked for more. */
		at = &lifecycle->waiting;
	}
}
