/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Amounts of a meter as policy files write them, with what to say of wrong ones. Private to
 * policy/; others use policy_amount_parse() and policy_amount_format() of quotas.h. */
#ifndef POLICY_AMOUNTS_H
#define POLICY_AMOUNTS_H

#include "document.h"
#include "quotas.h"

/*
 * The value of @key as an amount of at least @min, and "max" where @unlimited allows that. 0,
 * or -EINVAL with its place.
 */
int amount_read(enum meter_unit unit, const struct document_node *key, int64_t min,
                bool unlimited, int64_t *ret, struct tn_error *err);

#endif
