/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What another policy would change for each tenant, and which of that could hurt: a limit
 * that goes below what is in use now. Meters and price books are in policy_diff_money.h.
 */
#ifndef RUNTIME_POLICY_DIFF_H
#define RUNTIME_POLICY_DIFF_H

#include <jansson.h>

#include "plan.h"
#include "usage.h"

#define POLICY_DIFF_WORDS_BYTES_MAX 128
#define POLICY_DIFF_VALUE_BYTES_MAX POLICY_PATH_BYTES_MAX
#define POLICY_DIFF_KEY_BYTES_MAX   128

/* As encode_limits() has one: key, value as files write it, and where it is set. */
struct policy_diff_change {
	char key[POLICY_DIFF_KEY_BYTES_MAX];
	char before[POLICY_DIFF_VALUE_BYTES_MAX];
	char before_source[PLAN_SOURCE_BYTES_MAX];
	char after[POLICY_DIFF_VALUE_BYTES_MAX];
	char after_source[PLAN_SOURCE_BYTES_MAX];
	char hurts[POLICY_DIFF_WORDS_BYTES_MAX]; /* in words; "": it does not */
};

/* All limits and single values, and lists that have nothing in common. */
#define POLICY_DIFF_CHANGES_MAX                                                                \
	(POLICY_LIMITS_N + POLICY_KEY_SINGLES_N +                                              \
	 2ul * (2 * POLICY_BINDS_MAX + POLICY_OPERATORS_MAX + POLICY_QUOTAS_MAX))

/*
 * What of @before is otherwise in @after, for a tenant of that name that uses what
 * @source says; of a list each member that only one of them has, and each quota that is not
 * the same. Returns how many.
 */
size_t policy_diff(const struct policy_tier *before, const struct policy_tier *after,
                   const struct tenant_row *row, const struct usage_source *source,
                   struct policy_diff_change ret[static POLICY_DIFF_CHANGES_MAX]);

/* The same of what is said of the node. */
size_t policy_diff_daemon(const struct policy_daemon *before, const struct policy_daemon *after,
                          struct policy_diff_change ret[static POLICY_DIFF_CHANGES_MAX]);

#endif
