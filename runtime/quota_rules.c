/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quota_rules.h"

#include <string.h>

#include <base/fd.h>
#include <base/nearest.h>

static_assert(QUOTA_WARN_MAX == POLICY_WARN_MAX, "all thresholds of a quota are told of");

/* What a counter has without a quota. */
static const struct calendar_span all_of_time = { 0, INT64_MAX };

static const struct policy_quota *quota_find(const struct policy_tier *tier, const char *meter)
{
	for (size_t i = 0; i < tier->quotas_n; i++)
		if (strcmp(tier->quotas[i].meter.name, meter) == 0)
			return &tier->quotas[i];
	return NULL;
}

static int refuse_meter(const struct policy_meters *meters, const char *name,
                        struct tn_error *err)
{
	struct nearest nearest = nearest_begin(name);
	char hint[NEAREST_HINT_BYTES_MAX];
	const struct meter *meter;

	for (size_t i = 0; (meter = policy_meter_at(meters, i)) != NULL; i++)
		nearest_consider(&nearest, meter->name);
	return err_refuse(err, TN_INVALID, "there is no meter '%.32s'%s", name,
	                  nearest_hint(&nearest, "", hint));
}

static enum calendar_period period_of(enum policy_period per)
{
	static const enum calendar_period periods[] = {
		[POLICY_PER_HOUR] = CALENDAR_HOUR,
		[POLICY_PER_DAY] = CALENDAR_DAY,
		[POLICY_PER_WEEK] = CALENDAR_WEEK,
		[POLICY_PER_MONTH] = CALENDAR_MONTH,
	};

	return periods[per];
}

struct calendar_span quota_span(struct tenant *tenant, enum policy_period per, int64_t now)
{
	const struct calendar calendar = { tenant->row.time_zone,
		                           (int)tenant->row.billing_anchor_day };
	struct tenant_periods *known = &tenant->periods;
	struct calendar_span *span;

	if (per == POLICY_PER_NONE)
		return all_of_time;
	if (known->version != tenant->row.version)
		*known = (struct tenant_periods){ .version = tenant->row.version };
	span = &known->spans[period_of(per)];
	if (now < span->start || now >= span->end)
		*span = calendar_span_of(&calendar, period_of(per), now);
	return *span;
}

int64_t quota_hour(struct tenant *tenant, int64_t at)
{
	const int64_t hour = ledger_hour(at);
	const int64_t day = quota_span(tenant, POLICY_PER_DAY, at).start;

	return day > hour ? day : hour;
}

static void rule_make(struct tenant *tenant, const struct meter *meter,
                      const struct policy_quota *quota, int64_t now, struct quota_rule *ret)
{
	*ret = (struct quota_rule){ .meter = *meter, .span = all_of_time };
	if (quota == NULL)
		return;
	ret->limited = quota->limit != POLICY_UNLIMITED;
	ret->hard = quota->enforce == POLICY_ENFORCE_HARD;
	ret->limit = quota->limit;
	ret->span = quota_span(tenant, quota->per, now);
	memcpy(ret->warn, quota->warn, sizeof(ret->warn));
	ret->warn_n = quota->warn_n;
}

int quota_rule_of(const struct tenants *tenants, struct tenant *tenant, const char *meter,
                  int64_t now, struct quota_rule *ret, const struct policy_quota **ret_quota,
                  struct tn_error *err)
{
	const struct policy_meters *meters = policy_meters(tenants_policy(tenants));
	const struct meter *found = policy_meter(meters, meter);
	const struct policy_quota *quota;
	const struct policy_tier *tier;
	int r;

	if (found == NULL)
		return refuse_meter(meters, meter, err);
	r = tenants_tier(tenants, tenant, &tier, err);
	if (r < 0)
		return r;
	quota = quota_find(tier, meter);
	rule_make(tenant, found, quota, now, ret);
	if (ret_quota != NULL)
		*ret_quota = quota;
	return 0;
}

int quota_kernel_used(struct store *store, const struct tenant *tenant,
                      const struct quota_rule *rule, int64_t *ret, struct tn_error *err)
{
	const bool ever = rule->span.start == all_of_time.start;
	struct store_totals totals;
	int r = store->ops->totals(store, &tenant->row.id,
	                           ever ? LEDGER_ABSENT : rule->span.start, LEDGER_ABSENT,
	                           &totals, err);

	if (r < 0)
		return r;
	for (int meter = 0; meter < LEDGER_METERS_N; meter++)
		if (strcmp(ledger_meter_name((enum ledger_meter)meter), rule->meter.name) ==
		    0) {
			*ret = totals.meters[meter] == LEDGER_ABSENT ? 0 : totals.meters[meter];
			return 0;
		}
	return err_set(err, TN_SYSTEM, EINVAL, "%s is in no ledger", rule->meter.name);
}

/* 1 if there is room for one more launch under @quota, 0 if it is used up. */
static int has_room(struct store *store, struct tenant *tenant,
                    const struct policy_quota *quota, int64_t now, struct quota_exhausted *ret,
                    struct tn_error *err)
{
	struct quota_rule rule;
	int64_t used = 0;
	int r;

	rule_make(tenant, &quota->meter, quota, now, &rule);
	r = quota_kernel_used(store, tenant, &rule, &used, err);
	if (r < 0)
		return r;
	/* Booked when they end; how many do is decided when they begin. */
	if (strcmp(rule.meter.name, ledger_meter_name(METER_EXECUTIONS)) == 0)
		used += (int64_t)tenant->executions_n;
	if (used < rule.limit)
		return 1;
	*ret = (struct quota_exhausted){ .limit = rule.limit,
		                         .used = used,
		                         .reset_at = rule.span.end };
	memcpy(ret->meter, rule.meter.name, sizeof(ret->meter));
	return 0;
}

static int refuse_held(const struct tenant *tenant, struct quota_exhausted *ret,
                       struct tn_error *err)
{
	const struct tenant_exhausted *held = &tenant->exhausted;

	*ret = (struct quota_exhausted){ .limit = held->limit,
		                         .used = held->used,
		                         .reset_at = held->reset_at };
	memcpy(ret->meter, held->meter, sizeof(ret->meter));
	return err_set(err, TN_QUOTA, EDQUOT, "%s of '%s' is used up: %s", held->meter,
	               tenant->row.name, held->text);
}

int quota_admits(const struct tenants *tenants, struct journal *journal, struct store *store,
                 struct tenant *tenant, int64_t now, struct quota_exhausted *ret,
                 struct tn_error *err)
{
	const struct policy_tier *tier;
	bool committed = false;
	int r = tenants_tier(tenants, tenant, &tier, err);

	/* What it is held to is not all booked yet. */
	if (r == 0 && tenant->exhausted.is && !tenant_slowed(&tenant->exhausted))
		return refuse_held(tenant, ret, err);
	for (size_t i = 0; r == 0 && i < tier->quotas_n; i++) {
		const struct policy_quota *quota = &tier->quotas[i];

		if (quota->meter.source != METER_OF_KERNEL ||
		    quota->enforce != POLICY_ENFORCE_HARD || quota->limit == POLICY_UNLIMITED ||
		    quota->on_exhaust == POLICY_EXHAUST_THROTTLE)
			continue;
		/* What has ended and is not booked yet is used all the same. */
		if (!committed)
			r = journal_commit(journal, NULL, err);
		committed = true;
		if (r == 0)
			r = has_room(store, tenant, quota, now, ret, err);
		if (r == 0)
			return err_set(err, TN_QUOTA, EDQUOT,
			               "%s of '%s' is used up until the next %s: %lld of %lld",
			               ret->meter, tenant->row.name,
			               policy_period_names[quota->per], (long long)ret->used,
			               (long long)ret->limit);
		if (r == 1)
			r = 0;
	}
	return r;
}

/* A quota on what the kernel measures that anything is told of. */
static bool is_watched(const struct policy_quota *quota)
{
	return quota->meter.source == METER_OF_KERNEL && quota->limit != POLICY_UNLIMITED &&
	       (quota->warn_n > 0 || quota->enforce == POLICY_ENFORCE_SOFT);
}

void quota_look(struct quotas *quotas, const struct tenants *tenants, struct store *store,
                struct tenant *tenant, int64_t now)
{
	struct quota_request request = { .op = METERING_CHECK,
		                         .tenant = &tenant->row,
		                         .now = now };
	const struct policy_tier *tier;
	struct tn_error ignored = { 0 };

	if (tenants_tier(tenants, tenant, &tier, &ignored) < 0)
		return;
	for (size_t i = 0; i < tier->quotas_n; i++) {
		int64_t used;

		if (!is_watched(&tier->quotas[i]))
			continue;
		rule_make(tenant, &tier->quotas[i].meter, &tier->quotas[i], now, &request.rule);
		if (quota_kernel_used(store, tenant, &request.rule, &used, &ignored) == 0)
			quotas_observe(quotas, &request, used);
	}
}
