/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The arithmetic of the usage ledger: pure, and the same for every store.
 *
 * A kernel counter is known by the boot and the cgroup it belongs to. Its cursor is the
 * value that has been booked; what a reading shows beyond it is the delta. A new boot, a
 * new cgroup or a value below the cursor begins an epoch, in which the counter started
 * from nothing, so all of it is booked: never a negative charge, never one twice.
 *
 * Of memory there is no counter, only what is held at the moment. Its integral over time is
 * that of straight lines between looks. Looks that are not booked yet are a path; it joins
 * where the booked one ends, and what of an area is below the unit stays with the account until
 * there is enough of it, so that however often is booked, the sum is that of one product.
 */
#ifndef RUNTIME_LEDGER_H
#define RUNTIME_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include <base/err.h>
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

/* The integral of the memory that the same cgroup has, and by how much it may be wrong: what
 * has been between two looks lies between them if memory has only grown, or only shrunk. */
#define LEDGER_MEMORY_METERS(X)                                                                \
	X(METER_MEMORY_TIME, "memory_time")                                                    \
	X(METER_MEMORY_ERROR, "memory_time_error")

/* Added up over records; the last is what of cpu_time they account for. */
#define LEDGER_RECORD_METERS(X)                                                                \
	X(METER_EXECUTIONS, "executions")                                                      \
	X(METER_EXECUTION_TIME, "execution_time")                                              \
	X(METER_OVERHEAD_TIME, "overhead_time")                                                \
	X(METER_CPU_ATTRIBUTED, "cpu_time_attributed")

/* What is kept by the hour; a sum over all time has the rest of cpu_time, too. */
#define LEDGER_HOUR_METERS(X)                                                                  \
	LEDGER_NODE_METERS(X) LEDGER_MEMORY_METERS(X) LEDGER_RECORD_METERS(X)
#define LEDGER_METERS(X)                                                                       \
	LEDGER_HOUR_METERS(X)                                                                  \
	X(METER_CPU_UNATTRIBUTED, "cpu_time_unattributed")

#define LEDGER_ENUM(code, name) code,
enum ledger_meter {
	LEDGER_METERS(LEDGER_ENUM) LEDGER_METERS_N
};
#undef LEDGER_ENUM

#define LEDGER_NODE_N   METER_MEMORY_TIME
#define LEDGER_HOUR_N   METER_CPU_UNATTRIBUTED
#define LEDGER_PUBLIC_N METER_CPU_ATTRIBUTED

#define LEDGER_HOUR_USEC INT64_C(3600000000)

/* Areas are counted in half bytes by microsecond, so that the mean of two is whole: so many are
 * a MiB by millisecond. */
#define LEDGER_MIB_MSEC (INT64_C(2) * 1024 * 1024 * 1000)

__extension__ typedef unsigned __int128 ledger_area;

/* What was held, and when: CLOCK_MONOTONIC, which does not go on while the host sleeps. */
struct ledger_look {
	int64_t bytes;
	int64_t at;
};

/* Looks at the memory of a cgroup, one after the other. */
struct ledger_path {
	bool read; /* there is one; else it is all zero */
	struct ledger_look first;
	struct ledger_look last;
	ledger_area area; /* between them */
	ledger_area error;
};

/* What of the memory of a tenant's cgroup has been booked. */
struct ledger_memory {
	struct ledger_look last; /* LEDGER_ABSENT: never seen of it */
	int64_t area_rest;       /* of LEDGER_MIB_MSEC, not booked yet */
	int64_t error_rest;
};

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
	struct ledger_path memory;
	/* Read before the node: what running executions had used by then. LEDGER_ABSENT: that
	 * was not read, and what closes the sum stays as it is. */
	int64_t running_cpu_usec;
};

/* What has been booked of the cgroup that a tenant has, or had last; @boot_id is "" before the
 * first time. */
struct ledger_cursor {
	char boot_id[LEDGER_BOOT_BYTES];
	int64_t cgroup_id;
	int64_t raw[LEDGER_NODE_N]; /* LEDGER_ABSENT: never seen of it */
	struct ledger_memory memory;
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

/* Go on to @look, on a straight line, or begin there. One of before the last is not taken. */
void ledger_path_add(struct ledger_path *path, struct ledger_look look);

/*
 * The same of a look after an end: at @ended, what one execution had, which never was more than
 * @peak (LEDGER_ABSENT: not known), was given back. Until then the memory was what it had been
 * at the last look, but for what cannot have gone with that one; that this was so, or it was as
 * little as after the end, is the error.
 */
void ledger_path_end(struct ledger_path *path, struct ledger_look look, int64_t ended,
                     int64_t peak);

/* All of it up to its last look has been booked. */
void ledger_path_booked(struct ledger_path *path);

/*
 * Book @path: @memory moves on, and what there is of the two meters is returned. With @other,
 * it is of another cgroup or boot than what was booked, and does not join.
 * TN_SYSTEM (EOVERFLOW) if it is beyond 2^63.
 */
int ledger_integrate(struct ledger_memory *memory, const struct ledger_path *path, bool other,
                     int64_t *ret_time, int64_t *ret_error, struct tn_error *err);

#endif
