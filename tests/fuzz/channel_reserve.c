/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the target of the channel has in place of systemd: it is asked for what is within
 * bounds. */
#include <isolate/reserve.h>

void reserve_ask(struct reserve *reserve, const struct spec_reserve *request)
{
	const struct bounds bounds = { .reserve_memory_bytes = 1 };
	struct tn_error err = { 0 };

	(void)reserve;
	(void)bounds_check_reserve(&bounds, request, &err);
}
