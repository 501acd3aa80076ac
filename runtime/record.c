/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "record.h"

#include <errno.h>
#include <string.h>

#define RECORD_NAME(code, name) name,
static const char *const states[] = { RECORD_STATES(RECORD_NAME) };
static const char *const reasons[] = { RECORD_REASONS(RECORD_NAME) };
#undef RECORD_NAME

static const struct {
	const char *name;
	size_t offset;
} ints[] = {
#define RECORD_ROW(name) { #name, offsetof(struct record, name) },
	RECORD_INTS(RECORD_ROW)
#undef RECORD_ROW
};

void record_init(struct record *record)
{
	*record = (struct record){ .state = RECORD_RUNNING,
		                   .reason = REASON_NONE,
		                   .by = ACTOR_NONE };
	for (size_t i = 0; i < RECORD_INTS_N; i++)
		*record_int(record, i) = RECORD_ABSENT;
}

const char *record_int_name(size_t i)
{
	return ints[i].name;
}

int64_t *record_int(struct record *record, size_t i)
{
	return (int64_t *)(void *)((char *)record + ints[i].offset);
}

int64_t record_int_get(const struct record *record, size_t i)
{
	int64_t value;

	memcpy(&value, (const char *)record + ints[i].offset, sizeof(value));
	return value;
}

void record_counters(struct record *record, const struct spec_counters *counters)
{
	record->cpu_usec = counters->cpu_usec;
	record->cpu_user_usec = counters->cpu_user_usec;
	record->cpu_system_usec = counters->cpu_system_usec;
	record->throttled_usec = counters->throttled_usec;
	record->tenant_throttled_usec = counters->tenant_throttled_usec;
	record->memory_peak_bytes = counters->memory_peak_bytes;
	record->io_read_bytes = counters->io_read_bytes;
	record->io_write_bytes = counters->io_write_bytes;
	record->pids_peak = counters->pids_peak;
	record->overhead_usec = counters->overhead_usec;
	record->oom_kills = counters->oom_kills;
	record->pids_refused = counters->pids_refused;
	record->stall_cpu_usec = counters->stall_cpu_usec;
	record->stall_memory_usec = counters->stall_memory_usec;
	record->stall_io_usec = counters->stall_io_usec;
}

const char *record_state_name(enum record_state state)
{
	return states[state];
}

const char *record_reason_name(enum record_reason reason)
{
	return reasons[reason];
}

static int record_parse(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (names[i] != NULL && strcmp(names[i], name) == 0)
			return (int)i;
	return -EINVAL;
}

int record_state_parse(const char *name)
{
	return record_parse(states, RECORD_STATES_N, name);
}

int record_reason_parse(const char *name)
{
	return record_parse(reasons, RECORD_REASONS_N, name);
}

void record_hash_format(const uint8_t *bytes, size_t n, char *text)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*text++ = hex[bytes[i] >> 4];
		*text++ = hex[bytes[i] & 15];
	}
	*text = '\0';
}
