/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When a period of accounting begins and ends: computed from the instant that is asked about,
 * so that nothing has to happen at the moment in which one ends.
 *
 * Periods lie one after the other without a gap. Hours are those of UTC, so that none is longer
 * than another. A day begins with the first instant of its date in the zone, which is not
 * always midnight, and has 23, 24 or 25 hours; a week begins on Monday; a month on its anchor
 * day or, where it has none of that number, on its last.
 */
#ifndef RUNTIME_CALENDAR_H
#define RUNTIME_CALENDAR_H

#include <stdint.h>

enum calendar_period {
	CALENDAR_HOUR,
	CALENDAR_DAY,
	CALENDAR_WEEK,
	CALENDAR_MONTH,
	CALENDAR_PERIODS_N,
};

/* By enum calendar_period, NULL-ended: as policy files and the protocol write them. */
extern const char *const calendar_period_names[];

struct calendar {
	const char *zone; /* of the time zone database; one that the host lacks counts as UTC */
	int anchor_day;   /* of CALENDAR_MONTH: 1 to 31 */
};

/* Microseconds of CLOCK_REALTIME: @start <= the instant < @end. */
struct calendar_span {
	int64_t start;
	int64_t end;
};

struct calendar_span calendar_span_of(const struct calendar *calendar,
                                      enum calendar_period period, int64_t instant);

/*
 * A CALENDAR_MONTH by the month in which it begins, counted from January of the year 0:
 * "2026-11" lasts from November 15 to December 14 with 15 as the anchor day.
 */
int64_t calendar_month_at(const struct calendar *calendar, int64_t instant);
struct calendar_span calendar_month_span(const struct calendar *calendar, int64_t month);

#define CALENDAR_MONTH_BYTES_MAX 24 /* with the NUL */

/* "2026-11", from 1970 to 9999. 0, or -EINVAL. */
int calendar_month_parse(const char *text, int64_t *ret);
/* The same of any month. */
void calendar_month_format(int64_t month, char ret[static CALENDAR_MONTH_BYTES_MAX]);

#define CALENDAR_DATE_BYTES_MAX 32 /* with the NUL */

/* "2026-11-15": the date in the zone at that instant. */
void calendar_date_format(const struct calendar *calendar, int64_t instant,
                          char ret[static CALENDAR_DATE_BYTES_MAX]);

#endif
