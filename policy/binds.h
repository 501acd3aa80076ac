/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host paths that a tier lets a caller bind into a sandbox. Private to policy/. */
#ifndef POLICY_BINDS_H
#define POLICY_BINDS_H

#include "document.h"
#include "tier.h"

/*
 * Take the mapping below "binds". Paths are absolute and normalised, so that
 * comparing text is comparing places; what is writable is allowed first. 0, or
 * -EINVAL.
 */
int binds_read(struct policy_tier *tier, const struct document_node *mapping,
               struct tn_error *err);

#endif
