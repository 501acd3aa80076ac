/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ledger.h"

#include <string.h>

#define LEDGER_NAME(code, name) name,
static const char *const meters[] = { LEDGER_METERS(LEDGER_NAME) };
#undef LEDGER_NAME

const char *ledger_meter_name(enum ledger_meter meter)
{
	return meters[meter];
}

int64_t ledger_delta(const struct ledger_cursor *last, const struct ledger_sample *sample,
                     enum ledger_meter meter)
{
	int64_t raw = sample->node == LEDGER_NODE_READ ? sample->raw[meter] : LEDGER_ABSENT;

	if (raw == LEDGER_ABSENT)
		return 0;
	if (!last->seen || last->cgroup_id != sample->cgroup_id ||
	    strcmp(last->boot_id, sample->boot_id) != 0 || raw < last->raw)
		return raw;
	return raw - last->raw;
}
