/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reserve.h"

#include <base/log.h>

void reserve_ask(struct reserve *reserve, struct supervisor_link *link,
                 const struct policy_daemon *daemon)
{
	struct spec_reserve message = { .memory_bytes = daemon->settings.reserve_memory_bytes,
		                        .cpu_usec = daemon->settings.reserve_cpu_usec };
	struct supervisor_request request = SUPERVISOR_REQUEST(SPEC_RESERVE, &message);
	struct tn_error err = { 0 };

	static_assert(POLICY_CPU_PERIOD_USEC == SPEC_CPU_PERIOD_USEC, "one period");
	if (supervisor_send(link, &request, &err) < 0)
		reserve_told(reserve, &err);
}

void reserve_told(struct reserve *reserve, const struct tn_error *why)
{
	if (why->code == TN_OK) {
		reserve->degraded[0] = '\0';
		return;
	}
	(void)snprintf(reserve->degraded, sizeof(reserve->degraded),
	               "the host's reserve is not held: %s", why->msg);
	log_event(LOG_ERR, "the host's reserve is not held", LF_STR("error", why->msg), LF_END);
}
