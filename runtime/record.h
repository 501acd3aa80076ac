/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an execution was and used: the one shape that the store keeps and the control
 * socket shows.
 *
 * Each whole number is one row of RECORD_INTS; the same row is a column of the store
 * and a field of the interface. RECORD_ABSENT is NULL there and null here: the kernel
 * gives no such figure, or not yet.
 */
#ifndef RUNTIME_RECORD_H
#define RUNTIME_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include <base/id.h>
#include <base/name.h>

#include <isolate/spec.h>

#include "actor.h"

#define RECORD_ABSENT     (-1)
#define RECORD_HASH_BYTES 65 /* SHA-256 in hexadecimal, with the NUL */

/* Codes 128+n and these are the exit statuses of tenant-run. */
#define RECORD_EXIT_TIMEOUT        124
#define RECORD_EXIT_RUNTIME        125
#define RECORD_EXIT_NOT_EXECUTABLE 126
#define RECORD_EXIT_NOT_FOUND      127
#define RECORD_EXIT_SIGNAL_BASE    128

#define RECORD_STATES(X) X(RECORD_RUNNING, "running") X(RECORD_EXITED, "exited")

#define RECORD_REASONS(X)                                                                      \
	X(REASON_NONE, NULL) /* still running */                                               \
	X(REASON_EXITED, "exited")                                                             \
	X(REASON_SIGNALED, "signaled")                                                         \
	X(REASON_OOM, "oom")                                                                   \
	X(REASON_TIMEOUT, "timeout")                                                           \
	X(REASON_SECCOMP, "seccomp")                                                           \
	X(REASON_QUOTA, "quota")                                                               \
	X(REASON_KILLED, "killed")                                                             \
	X(REASON_RUNTIME, "runtime")                                                           \
	X(REASON_UNKNOWN, "unknown")

/* In the order of the interface. */
#define RECORD_INTS(X)                                                                         \
	X(exit_code)                                                                           \
	X(signal)                                                                              \
	X(started_at)                                                                          \
	X(ended_at)                                                                            \
	X(wall_usec)                                                                           \
	X(cpu_usec)                                                                            \
	X(cpu_user_usec)                                                                       \
	X(cpu_system_usec)                                                                     \
	X(throttled_usec)                                                                      \
	X(tenant_throttled_usec)                                                               \
	X(memory_peak_bytes)                                                                   \
	X(memory_mib_msec)                                                                     \
	X(io_read_bytes)                                                                       \
	X(io_write_bytes)                                                                      \
	X(pids_peak)                                                                           \
	X(overhead_usec)                                                                       \
	X(oom_kills)                                                                           \
	X(pids_refused)                                                                        \
	X(stall_cpu_usec)                                                                      \
	X(stall_memory_usec)                                                                   \
	X(stall_io_usec)                                                                       \
	/* Of one that joins another: who wanted it. */                                        \
	X(asked_uid)                                                                           \
	X(asked_pid)

#define RECORD_ENUM(code, name) code,
enum record_state {
	RECORD_STATES(RECORD_ENUM) RECORD_STATES_N
};
enum record_reason {
	RECORD_REASONS(RECORD_ENUM) RECORD_REASONS_N
};
#undef RECORD_ENUM

struct record {
	struct id id;
	struct id tenant;
	char tenant_name[NAME_BYTES_MAX];
	char name[NAME_BYTES_MAX]; /* its own; "": none */
	/* Of a command that has joined one: that one, whose leaf has counted what it used; it
	 * has no figures of its own. All zero: it is an execution itself. */
	struct id joins;
	enum record_state state;
	enum record_reason reason;
	char policy_hash[RECORD_HASH_BYTES];
	/* Who wanted its state: the launch, or the end of what was killed. For the events that
	 * tell of it; the store does not keep it here. */
	struct actor by;
#define RECORD_FIELD(name) int64_t name;
	RECORD_INTS(RECORD_FIELD)
#undef RECORD_FIELD
};

#define RECORD_INDEX(name) RECORD_INT_##name,
enum record_int_index {
	RECORD_INTS(RECORD_INDEX) RECORD_INTS_N
};
#undef RECORD_INDEX

/* All numbers absent, no reason, running. */
void record_init(struct record *record);

/* Number @i (0 to RECORD_INTS_N - 1): its name, and where it is. */
const char *record_int_name(size_t i);
int64_t *record_int(struct record *record, size_t i);
int64_t record_int_get(const struct record *record, size_t i);

/* Take over what the leaf counted. */
void record_counters(struct record *record, const struct spec_counters *counters);

const char *record_state_name(enum record_state state);
/* NULL for REASON_NONE. */
const char *record_reason_name(enum record_reason reason);

/* The value called @name, or -EINVAL. */
int record_state_parse(const char *name);
int record_reason_parse(const char *name);

/* @bytes as lower-case hexadecimal; @text has room for 2 * n + 1. */
void record_hash_format(const uint8_t *bytes, size_t n, char *text);

#endif
