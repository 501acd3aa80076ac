/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ledger.h"

#include <errno.h>
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

static ledger_area area_of(int64_t bytes, int64_t usec)
{
	return (ledger_area)bytes * (ledger_area)usec;
}

static void area_add(struct ledger_path *path, struct ledger_look from, struct ledger_look to)
{
	const int64_t usec = to.at - from.at;
	const int64_t apart = from.bytes < to.bytes ? to.bytes - from.bytes
	                                            : from.bytes - to.bytes;

	path->area += area_of(from.bytes, usec) + area_of(to.bytes, usec);
	path->error += area_of(apart, usec);
}

void ledger_path_add(struct ledger_path *path, struct ledger_look look)
{
	if (!path->read)
		*path = (struct ledger_path){ .read = true, .first = look, .last = look };
	if (look.at < path->last.at)
		return;
	area_add(path, path->last, look);
	path->last = look;
}

void ledger_path_end(struct ledger_path *path, struct ledger_look look, int64_t ended,
                     int64_t peak)
{
	struct ledger_look before = { path->last.bytes, ended };
	const int64_t usec = ended - path->last.at;

	if (!path->read || look.bytes >= path->last.bytes || usec <= 0 || ended > look.at) {
		ledger_path_add(path, look);
		return;
	}
	if (peak != LEDGER_ABSENT && before.bytes - look.bytes > peak)
		before.bytes = look.bytes + peak;
	/* As if a straight line led to what was after it: twice that is what it is at most. */
	path->area += area_of(path->last.bytes, usec) + area_of(before.bytes, usec);
	path->error += 2 * area_of(path->last.bytes - look.bytes, usec);
	path->last = (struct ledger_look){ look.bytes, ended };
	ledger_path_add(path, look);
}

void ledger_path_booked(struct ledger_path *path)
{
	path->first = path->last;
	path->area = path->error = 0;
}

/* Whole units of @area and what was left before, of which there is a new rest. */
static int area_book(ledger_area area, int64_t *rest, int64_t *ret, struct tn_error *err)
{
	const ledger_area all = area + (ledger_area)*rest;

	if (all / LEDGER_MIB_MSEC > INT64_MAX)
		return err_set(err, TN_SYSTEM, EOVERFLOW, "memory_time is beyond 2^63");
	*ret = (int64_t)(all / LEDGER_MIB_MSEC);
	*rest = (int64_t)(all % LEDGER_MIB_MSEC);
	return 0;
}

int ledger_integrate(struct ledger_memory *memory, const struct ledger_path *path, bool other,
                     int64_t *ret_time, int64_t *ret_error, struct tn_error *err)
{
	struct ledger_path whole = *path;
	const bool joins = !other && memory->last.at != LEDGER_ABSENT;
	int r;

	*ret_time = *ret_error = 0;
	if (joins && memory->last.at > path->last.at)
		return 0;
	if (joins && memory->last.at <= path->first.at)
		area_add(&whole, memory->last, path->first);
	/* Some of it was booked, by whoever never heard of it: which is not known. */
	if (joins && memory->last.at > path->first.at) {
		whole = (struct ledger_path){ .last = path->last };
		area_add(&whole, memory->last, path->last);
	}
	r = area_book(whole.area, &memory->area_rest, ret_time, err);
	if (r == 0)
		r = area_book(whole.error, &memory->error_rest, ret_error, err);
	memory->last = whole.last;
	return r;
}
