/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The arithmetic of the usage ledger: pure, and the same for every store.
 *
 * A kernel counter is known by the boot and the cgroup it belongs to. Its cursor is the
 * value that has been booked; what a reading shows beyond it is the delta. A new boot, a
 * new cgroup or a value below the cursor begins an epoch, in which the counter started
 * from nothing, so all of it is booked: never a negative charge, never one twice.
 */
#ifndef RUNTIME_LEDGER_H
#define RUNTIME_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include <base/id.h>

#define LEDGER_ABSENT     (-1)
#define LEDGER_BOOT_BYTES 37 /* of /proc/sys/kernel/random/boot_id, with the NUL */

/* Read from the tenant's cgroup. */
#define LEDGER_NODE_METERS(X)                                                                  \
	X(METER_CPU_TIME, "cpu_time")                                                          \
	X(METER_THROTTLED_TIME, "throttled_time")                                              \
	X(METER_IO_READ_BYTES, "io_read_bytes")                                                \
	X(METER_IO_WRITE_BYTES, "io_write_bytes")                                              \
	X(METER_IO_OPS, "io_ops")

/* Added up over records; the last is what of cpu_time they account for. */
#define LEDGER_RECORD_METERS(X)                                                                \
	X(METER_EXECUTIONS, "executions")                                                      \
	X(METER_EXECUTION_TIME, "execution_time")                                              \
	X(METER_OVERHEAD_TIME, "overhead_time")                                                \
	X(METER_CPU_ATTRIBUTED, "cpu_time_attributed")

/* What is kept by the hour; a sum over all time has the rest of cpu_time, too. */
#define LEDGER_HOUR_METERS(X) LEDGER_NODE_METERS(X) LEDGER_RECORD_METERS(X)
#define LEDGER_METERS(X)                                                                       \
	LEDGER_HOUR_METERS(X)                                                                  \
	X(METER_CPU_UNATTRIBUTED, "cpu_time_unattributed")

#define LEDGER_ENUM(code, name) code,
enum ledger_meter {
	LEDGER_METERS(LEDGER_ENUM) LEDGER_METERS_N
};
#undef LEDGER_ENUM

#define LEDGER_NODE_N   METER_EXECUTIONS
#define LEDGER_HOUR_N   METER_CPU_UNATTRIBUTED
#define LEDGER_PUBLIC_N METER_CPU_ATTRIBUTED

#define LEDGER_HOUR_USEC INT64_C(3600000000)

enum ledger_node {
	LEDGER_NODE_READ,
	LEDGER_NODE_GONE,       /* the cgroup is no more: its epoch is over */
	LEDGER_NODE_UNREADABLE, /* nothing is known; the next reading books it */
};

/* The counters of a tenant's cgroup at one instant. */
struct ledger_sample {
	struct id tenant;
	enum ledger_node node;
	char boot_id[LEDGER_BOOT_BYTES];
	int64_t cgroup_id;
	int64_t at;                 /* microseconds since the epoch */
	int64_t raw[LEDGER_NODE_N]; /* LEDGER_ABSENT: the kernel keeps no such figure */
	/* Read before the node: what running executions had used by then. */
	int64_t running_cpu_usec;
};

/* What has been booked of the cgroup that a tenant has, or had last; @boot_id is "" before the
 * first time. */
struct ledger_cursor {
	char boot_id[LEDGER_BOOT_BYTES];
	int64_t cgroup_id;
	int64_t raw[LEDGER_NODE_N]; /* LEDGER_ABSENT: never seen of it */
};

const char *ledger_meter_name(enum ledger_meter meter);

/* The hour of UTC that @at lies in, by its first microsecond. */
int64_t ledger_hour(int64_t at);

/* Whether @sample, which was read, is of another cgroup or boot than @cursor. */
bool ledger_is_other(const struct ledger_cursor *cursor, const struct ledger_sample *sample);

/*
 * Book @sample, which was read: *@cursor moves on, and @deltas is what has been counted beyond
 * it, 0 of what is absent. Returns whether an epoch has begun, @cursor having been of another.
 */
bool ledger_advance(struct ledger_cursor *cursor, const struct ledger_sample *sample,
                    int64_t deltas[static LEDGER_NODE_N]);

#endif
