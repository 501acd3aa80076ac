/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What another policy would change of the meters that it declares and of its price books, and
 * whom that hurts: a meter that applications have metered with, and a bill of a period that is
 * over, since bills are made when they are asked for.
 */
#ifndef RUNTIME_POLICY_DIFF_MONEY_H
#define RUNTIME_POLICY_DIFF_MONEY_H

#include <policy/policy.h>

#include "policy_diff.h"
#include "store/store.h"

/* All borrowed. */
struct policy_diff_money {
	const struct policy *before, *after;
	struct store *store;
	int64_t now;
};

/*
 * The changes of step @step: 0 is the meters, each one after it a price book. 1 and how many in
 * *ret_n, which may be none; 0: there is no such step.
 */
int policy_diff_money(const struct policy_diff_money *money, size_t step,
                      struct policy_diff_change ret[static POLICY_DIFF_CHANGES_MAX],
                      size_t *ret_n, struct tn_error *err);

#endif
