/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Quotas of a tier: how much of a meter a tenant may have, in a period or, of a gauge, at a
 * time. What is said here is checked and complete once policy_tier_check() has taken the tier.
 */
#ifndef POLICY_QUOTAS_H
#define POLICY_QUOTAS_H

#include <stddef.h>
#include <stdint.h>

#include <base/meter.h>

#include "location.h"

#define POLICY_QUOTAS_MAX 32
#define POLICY_WARN_MAX   8

#define POLICY_QUOTA_KEY_BYTES_MAX  (METER_NAME_BYTES_MAX + 8)
#define POLICY_QUOTA_TEXT_BYTES_MAX 192

/* Enough for whatever policy_amount_format() writes, with the NUL. */
#define POLICY_AMOUNT_BYTES_MAX 64

enum policy_period {
	POLICY_PER_NONE,
	POLICY_PER_HOUR,
	POLICY_PER_DAY,
	POLICY_PER_WEEK,
	POLICY_PER_MONTH,
};

enum policy_enforce {
	POLICY_ENFORCE_HARD,
	POLICY_ENFORCE_SOFT,
};

enum policy_exhaust {
	POLICY_EXHAUST_REFUSE,   /* nothing is launched until the next period */
	POLICY_EXHAUST_THROTTLE, /* all goes on, on next to no CPU */
	POLICY_EXHAUST_FREEZE,   /* nothing is launched, and what runs stands still */
	POLICY_EXHAUST_KILL,     /* nothing is launched, and what runs is killed */
};

/* The words for them, each by its enum, NULL-ended. */
extern const char *const policy_period_names[];
extern const char *const policy_enforce_names[];
extern const char *const policy_exhaust_names[];

/* The keys of a quota, in the order of the table that reads them. */
enum policy_quota_key {
	POLICY_QUOTA_LIMIT,
	POLICY_QUOTA_PER,
	POLICY_QUOTA_ENFORCE,
	POLICY_QUOTA_ON_EXHAUST,
	POLICY_QUOTA_WARN,
	POLICY_QUOTA_KEYS_N,
};

struct policy_quota {
	struct meter meter;             /* a copy */
	int64_t limit;                  /* in the base unit; 0 allowed; or POLICY_UNLIMITED */
	enum policy_period per;         /* POLICY_PER_NONE: a gauge */
	enum policy_enforce enforce;    /* soft: beyond the limit there are only events */
	enum policy_exhaust on_exhaust; /* of a kernel-measured, hard one */
	int64_t warn[POLICY_WARN_MAX];  /* percent, ascending, 1 to 100 */
	size_t warn_n;
	struct policy_location where; /* where something of it was said last */
	/* Of each key; line 0: its default applies. */
	struct policy_location key_where[POLICY_QUOTA_KEYS_N];
	/* "quotas.tokens" and "5000000 per month, hard, warn 80 95": for people. */
	char key[POLICY_QUOTA_KEY_BYTES_MAX];
	char text[POLICY_QUOTA_TEXT_BYTES_MAX];
};

/*
 * Amounts as files write them, by the unit of the meter: "20", "2G", "100h", "500GiBh" (sizes
 * in MiB, GiB or TiB times spans in ms, s, min, h, d or w), and "max", which is
 * POLICY_UNLIMITED. What is not exact in the base unit cannot be written. 0, or -EINVAL, and
 * then *ret is as it was.
 */
int policy_amount_parse(enum meter_unit unit, const char *text, int64_t *ret);

/*
 * @amount, which is not negative, so that it parses as the same; @size is at least
 * POLICY_AMOUNT_BYTES_MAX.
 */
void policy_amount_format(enum meter_unit unit, int64_t amount, char *text, size_t size);

#endif
