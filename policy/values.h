/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where what a tier says stands. Private to policy/. */
#ifndef POLICY_VALUES_H
#define POLICY_VALUES_H

#include "document.h"
#include "tier.h"

/* The place of @node, which is of the document that @tier is read from now. */
struct policy_location tier_location(const struct policy_tier *tier,
                                     const struct document_node *node);

#endif
