/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What another policy would change for each tenant, and which of that could hurt: a limit
 * that goes below what is in use now.
 */
#ifndef RUNTIME_POLICY_DIFF_H
#define RUNTIME_POLICY_DIFF_H

#include <jansson.h>

#include "plan.h"
#include "usage.h"

#define POLICY_DIFF_WORDS_BYTES_MAX 96

/* As encode_limits() has one: key, value as files write it, and where it is set. */
struct policy_diff_change {
	const char *key;
	char before[PLAN_VALUE_BYTES_MAX];
	char before_source[PLAN_SOURCE_BYTES_MAX];
	char after[PLAN_VALUE_BYTES_MAX];
	char after_source[PLAN_SOURCE_BYTES_MAX];
	char hurts[POLICY_DIFF_WORDS_BYTES_MAX]; /* in words; "": it does not */
};

/* The paths that binds may name count as two more limits. */
#define POLICY_DIFF_CHANGES_MAX (POLICY_LIMITS_N + 2)

/*
 * What of @before is otherwise in @after, for a tenant of that name that uses what
 * @source says. Returns how many.
 */
size_t policy_diff(const struct policy_tier *before, const struct policy_tier *after,
                   const struct tenant_row *row, const struct usage_source *source,
                   struct policy_diff_change ret[static POLICY_DIFF_CHANGES_MAX]);

#endif
