/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may run and look, by name: the users and groups of a tier. Private to policy/. */
#ifndef POLICY_OPERATORS_H
#define POLICY_OPERATORS_H

#include "document.h"
#include "tier.h"

/* Take the mapping below "operators". 0, or -EINVAL. */
int operators_read(struct policy_tier *tier, const struct document_node *mapping,
                   struct tn_error *err);

#endif
