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

int64_t ledger_hour(int64_t at)
{
	return at - at % LEDGER_HOUR_USEC;
}

bool ledger_is_other(const struct ledger_cursor *cursor, const struct ledger_sample *sample)
{
	return cursor->cgroup_id != sample->cgroup_id ||
	       strcmp(cursor->boot_id, sample->boot_id) != 0;
}

static bool has_fallen(const struct ledger_cursor *cursor, const struct ledger_sample *sample)
{
	for (size_t i = 0; i < LEDGER_NODE_N; i++)
		if (sample->raw[i] != LEDGER_ABSENT && sample->raw[i] < cursor->raw[i])
			return true;
	return false;
}

/* @last: where the counter was booked up to, LEDGER_ABSENT where it begins from nothing. */
static int64_t beyond(int64_t last, int64_t raw)
{
	if (raw == LEDGER_ABSENT)
		return 0;
	return last == LEDGER_ABSENT || raw < last ? raw : raw - last;
}

bool ledger_advance(struct ledger_cursor *cursor, const struct ledger_sample *sample,
                    int64_t deltas[static LEDGER_NODE_N])
{
	const bool other = ledger_is_other(cursor, sample);
	const bool begins = other ? cursor->boot_id[0] != '\0' : has_fallen(cursor, sample);

	for (size_t i = 0; i < LEDGER_NODE_N; i++) {
		if (other)
			cursor->raw[i] = LEDGER_ABSENT;
		deltas[i] = beyond(cursor->raw[i], sample->raw[i]);
		if (sample->raw[i] != LEDGER_ABSENT)
			cursor->raw[i] = sample->raw[i];
	}
	cursor->cgroup_id = sample->cgroup_id;
	memcpy(cursor->boot_id, sample->boot_id, sizeof(cursor->boot_id));
	return begins;
}
