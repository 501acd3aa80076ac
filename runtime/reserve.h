/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What all tenants together leave to the host: tenantd is asked to have it held, and says
 * whether it is. */
#ifndef RUNTIME_RESERVE_H
#define RUNTIME_RESERVE_H

#include <policy/policy.h>

#include "supervisor_link.h"

#define RESERVE_REASON_BYTES_MAX (TN_ERROR_MSG_BYTES + 64)

struct reserve {
	char degraded[RESERVE_REASON_BYTES_MAX]; /* why it is not held; "": it is */
};

void reserve_ask(struct reserve *reserve, struct supervisor_link *link,
                 const struct policy_daemon *daemon);
/* What tenantd says of the last that was asked. */
void reserve_told(struct reserve *reserve, const struct tn_error *why);

#endif
