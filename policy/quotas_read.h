/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a tier's quotas are read. Private to policy/. */
#ifndef POLICY_QUOTAS_READ_H
#define POLICY_QUOTAS_READ_H

#include "document.h"
#include "tier.h"

/* Take the mapping below "quotas", whose meters are builtin or of @meters. 0, or -EINVAL. */
int quotas_read(struct policy_tier *tier, const struct policy_meters *meters,
                const struct document_node *mapping, struct tn_error *err);

/* Each quota has all that it needs. 0, or -EINVAL. */
int quotas_check(const struct policy_tier *tier, struct tn_error *err);

/* Whether the value of key @i of a quota is one word; its name. */
bool quota_key_is_word(enum policy_quota_key i);
const char *quota_key_name(enum policy_quota_key i);

#endif
