/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From policy to quotas: which one a tenant has on a meter now, in which period; and those on
 * what the kernel measures, which are asked for at each launch.
 */
#ifndef RUNTIME_QUOTA_RULES_H
#define RUNTIME_QUOTA_RULES_H

#include "journal.h"
#include "quota.h"
#include "tenants.h"

/* What holds for @meter of @tenant at @now. TN_INVALID names what there is if there is no such
 * meter. *@ret_quota, if it is not NULL, is the policy's, or NULL where it has none. */
int quota_rule_of(const struct tenants *tenants, struct tenant *tenant, const char *meter,
                  int64_t now, struct quota_rule *ret, const struct policy_quota **ret_quota,
                  struct tn_error *err);

/* The period @per of @tenant that @now lies in; all of time where there is none. */
struct calendar_span quota_span(struct tenant *tenant, enum policy_period per, int64_t now);

/* When the row of hours begins into which goes what @tenant used at @at: with its hour of UTC,
 * or with the tenant's day, where that begins within the hour. All longer periods begin so,
 * too. */
int64_t quota_hour(struct tenant *tenant, int64_t at);

/* What was used in @rule's period of what the kernel measures, as far as it is booked. */
int quota_kernel_used(struct store *store, const struct tenant *tenant,
                      const struct quota_rule *rule, int64_t *ret, struct tn_error *err);

/* Something of @tenant's has been booked: tell of thresholds of what the kernel measures. */
void quota_look(struct quotas *quotas, const struct tenants *tenants, struct store *store,
                struct tenant *tenant, int64_t now);

/* A quota that is used up. */
struct quota_exhausted {
	char meter[METER_NAME_BYTES_MAX];
	int64_t limit;
	int64_t used;
	int64_t reset_at;
};

/*
 * Whether nothing that the kernel measures is used up, so that @tenant may launch: 0, or
 * TN_QUOTA and which in *@ret. Of executions, those that run count.
 */
int quota_admits(const struct tenants *tenants, struct journal *journal, struct store *store,
                 struct tenant *tenant, int64_t now, struct quota_exhausted *ret,
                 struct tn_error *err);

#endif
