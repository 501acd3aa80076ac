/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What applications meter, as the store keeps it.
 *
 * Of a counter there are a sum over all time and amounts by the hour, of a gauge there is what
 * is held. Nothing else is stored of a quota: what was used of it in its period is the sum of
 * the amounts since that began, so that no job has to run when one ends and none can be
 * forgotten.
 *
 * A row of an amount begins with its hour of UTC, or with the quota's period where that begins
 * within the hour: the zones of half the world are not whole hours away, and what was used
 * before midnight there is yesterday's.
 */
#ifndef RUNTIME_METERING_H
#define RUNTIME_METERING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <base/id.h>
#include <base/meter.h>

#include "ledger.h"

#define METERING_KEY_BYTES_MAX 129 /* with the NUL */
/* So long an answer is kept for whoever asks again under its key. */
#define METERING_KEY_USEC (INT64_C(24) * 3600 * 1000000)

/* Of one meter of a tenant. */
struct metered {
	int64_t total; /* of a counter, since the tenant was created */
	int64_t held;  /* of a gauge, now */
	/* The last threshold that was told of (percent), and the beginning of its period; both
	 * 0: none. */
	int64_t told_since;
	int64_t told_percent;
};

/* An amount that is kept free until it is used, given back, or @expires_at has come. */
struct reservation {
	struct id id;
	struct id tenant;
	char meter[METER_NAME_BYTES_MAX];
	int64_t amount;
	bool lease; /* used, not given back, if it expires: its holder may have used it */
	int64_t expires_at;              /* microseconds since the epoch */
	char boot_id[LEDGER_BOOT_BYTES]; /* in which @expires_boottime counts */
	int64_t expires_boottime;        /* of CLOCK_BOOTTIME */
};

/* What may be asked for under a key; by these names in the store. */
#define METERING_OPS(X)                                                                        \
	X(METERING_CHECK, "check")                                                             \
	X(METERING_CONSUME, "consume")                                                         \
	X(METERING_RESERVE, "reserve")                                                         \
	X(METERING_COMMIT, "commit")                                                           \
	X(METERING_RELEASE, "release")                                                         \
	X(METERING_ACQUIRE, "acquire")                                                         \
	X(METERING_GIVE_BACK, "give_back")

#define METERING_ENUM(code, name) code,
enum metering_op {
	METERING_OPS(METERING_ENUM) METERING_OPS_N
};
#undef METERING_ENUM

const char *metering_op_name(enum metering_op op);

/* What was answered under a key. A refusal is not kept: it changed nothing. */
struct metering_key {
	struct id tenant;
	char key[METERING_KEY_BYTES_MAX];
	enum metering_op op;
	char meter[METER_NAME_BYTES_MAX];
	int64_t amount;
	int64_t at;
	int64_t limit; /* LEDGER_ABSENT: there was none */
	int64_t used;
	int64_t reserved;
	struct id reservation; /* that it was about, or that was made; none: neither */
};

/* One change, of many that are made together. */
enum metering_write_kind {
	METERING_AMOUNT, /* @delta more of a counter, in the row of @at */
	METERING_HELD,   /* @delta more (or less) of a gauge, for @execution if there is one */
	METERING_TOLD,   /* @told of a threshold */
	METERING_RESERVED,   /* @reservation is made */
	METERING_UNRESERVED, /* @reservation is no more */
	METERING_KEPT,       /* @key */
};

struct metering_write {
	enum metering_write_kind kind;
	struct id tenant;
	char meter[METER_NAME_BYTES_MAX];
	int64_t delta;
	int64_t at;
	struct id execution;
	int64_t told_since;
	int64_t told_percent;
	union {
		struct reservation reservation;
		struct metering_key key;
	};
};

#endif
