/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Meters: what is counted of a tenant, under the names that policy files, the protocol and
 * bills have for it.
 *
 * A counter only grows; a quota on it is for a period. A gauge is what there is at the moment:
 * it is acquired and given back. What the kernel measures comes from cgroup statistics and from
 * the records of executions, and nobody can add to it; the rest is metered by applications. An
 * admin declares further ones in meters.yaml.
 *
 * Every amount is a non-negative int64 in the meter's base unit.
 */
#ifndef BASE_METER_H
#define BASE_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "fd.h"

#define METER_NAME_BYTES_MAX  32 /* with the NUL */
#define METER_LABEL_BYTES_MAX 16
#define METER_NAME_RULE       "a lower-case letter, then letters, digits and '_', 31 at most"

enum meter_kind {
	METER_COUNTER,
	METER_GAUGE,
};

enum meter_source {
	METER_OF_KERNEL,
	METER_OF_APPLICATIONS,
};

/* How people write amounts of it: "100h", "2G", "500GiBh", "20". */
enum meter_unit {
	METER_UNIT_COUNT,
	METER_UNIT_USEC,
	METER_UNIT_BYTES,
	METER_UNIT_MIB_MSEC,
};

struct meter {
	char name[METER_NAME_BYTES_MAX];
	enum meter_kind kind;
	enum meter_source source;
	enum meter_unit unit;
	char label[METER_LABEL_BYTES_MAX]; /* the base unit's name: "usec", "tokens" */
	bool limitable;                    /* a quota on it makes sense */
	bool live; /* the kernel counts it as it is used; else it is there with an end */
};

/* Meter @i of those that are always there, from 0 on; NULL: there is none. */
static inline const struct meter *meter_builtin(size_t i)
{
#define KERNEL(name, unit, label, limitable, live)                                             \
	{                                                                                      \
		name, METER_COUNTER, METER_OF_KERNEL, unit, label, limitable, live             \
	}
#define COUNTER(name, unit, label)                                                             \
	{                                                                                      \
		name, METER_COUNTER, METER_OF_APPLICATIONS, unit, label, true, false           \
	}
#define GAUGE(name, unit, label)                                                               \
	{                                                                                      \
		name, METER_GAUGE, METER_OF_APPLICATIONS, unit, label, true, false             \
	}
	static const struct meter meters[] = {
		KERNEL("cpu_time", METER_UNIT_USEC, "usec", true, true),
		KERNEL("memory_time", METER_UNIT_MIB_MSEC, "mib_msec", true, true),
		KERNEL("io_read_bytes", METER_UNIT_BYTES, "bytes", true, true),
		KERNEL("io_write_bytes", METER_UNIT_BYTES, "bytes", true, true),
		KERNEL("io_ops", METER_UNIT_COUNT, "operations", true, true),
		KERNEL("executions", METER_UNIT_COUNT, "executions", true, false),
		KERNEL("execution_time", METER_UNIT_USEC, "usec", true, false),
		KERNEL("throttled_time", METER_UNIT_USEC, "usec", false, true),
		KERNEL("overhead_time", METER_UNIT_USEC, "usec", false, false),
		COUNTER("api_calls", METER_UNIT_COUNT, "calls"),
		COUNTER("tokens", METER_UNIT_COUNT, "tokens"),
		GAUGE("agents", METER_UNIT_COUNT, "agents"),
		GAUGE("workflows", METER_UNIT_COUNT, "workflows"),
		GAUGE("artifacts", METER_UNIT_COUNT, "artifacts"),
		GAUGE("sessions", METER_UNIT_COUNT, "sessions"),
		GAUGE("state_bytes", METER_UNIT_BYTES, "bytes"),
		GAUGE("stored_bytes", METER_UNIT_BYTES, "bytes"),
	};
#undef KERNEL
#undef COUNTER
#undef GAUGE

	return i < ARRAY_LEN(meters) ? &meters[i] : NULL;
}

/* Whether it may be a meter's name: see METER_NAME_RULE. */
static inline bool meter_name_valid(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

	return name[0] >= 'a' && name[0] <= 'z' && name[strspn(name, letters)] == '\0' &&
	       strlen(name) < METER_NAME_BYTES_MAX;
}

#endif
