/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The adapter of libc's time zones. libc has one zone at a time, the process's; it is changed
 * here and put back before the return, which nobody sees in a process of one thread.
 *
 * A date's first instant is looked for among instants, not made of a clock reading: where the
 * clocks are put forward at midnight, 0:00 does not exist, and where a zone changes sides of
 * the date line, neither does the date.
 */
#include "calendar.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>

#define MINUTE_SEC 60
#define HOUR_SEC   3600
#define DAY_SEC    ((int64_t)24 * HOUR_SEC)
/* No zone is further from UTC, and no noon from its date's ends. */
#define DATE_REACH_SEC (2 * DAY_SEC)
#define DAYS_PER_WEEK  7
/* No clock is put back by more, but by a day, which skips or repeats whole dates. */
#define PUT_BACK_SEC_MAX ((int64_t)3 * HOUR_SEC)

const char *const calendar_period_names[] = {
	[CALENDAR_HOUR] = "hour",
	[CALENDAR_DAY] = "day",
	[CALENDAR_WEEK] = "week",
	[CALENDAR_MONTH] = "month",
	NULL,
};

/* As time_t and struct tm have them, but for a month from 0 and the whole year. */
struct date {
	int64_t year;
	int month;
	int day;
};

static void zone_set(const char *zone)
{
	if (zone != NULL)
		(void)setenv("TZ", zone, 1);
	else
		(void)unsetenv("TZ");
	tzset();
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Days since 1970-01-01 of a date, which may lie outside of its month; Gregorian. */
static int64_t days_of(struct date date)
{
	const int64_t month = date.month + 12 * date.year;
	const int64_t year = floor_div(month - 2,
	                               12); /* begins in March, so leap days end it */
	const int64_t from_march = month - 2 - 12 * year;

	return 365 * year + floor_div(year, 4) - floor_div(year, 100) + floor_div(year, 400) +
	       (153 * from_march + 2) / 5 + date.day - 1 - 719468;
}

static int64_t local_day(int64_t sec)
{
	const time_t time = sec;
	struct tm tm = { 0 };

	(void)localtime_r(&time, &tm);
	return days_of((struct date){ tm.tm_year + 1900LL, tm.tm_mon, tm.tm_mday });
}

static struct date local_date(int64_t sec)
{
	const time_t time = sec;
	struct tm tm = { 0 };

	(void)localtime_r(&time, &tm);
	return (struct date){ tm.tm_year + 1900LL, tm.tm_mon, tm.tm_mday };
}

/* A second in (@before, @after] whose local date is that day or a later one, the one before it
 * not. */
static int64_t day_search(int64_t day, int64_t before, int64_t after)
{
	while (after - before > 1) {
		const int64_t middle = before + (after - before) / 2;

		if (local_day(middle) < day)
			before = middle;
		else
			after = middle;
	}
	return after;
}

/* The first such second. Where clocks are put back just after midnight, there are two. */
static int64_t day_start(int64_t day)
{
	const int64_t start = day_search(day, day * DAY_SEC - DATE_REACH_SEC,
	                                 day * DAY_SEC + DATE_REACH_SEC);

	for (int64_t sec = start - PUT_BACK_SEC_MAX; sec < start; sec += MINUTE_SEC)
		if (local_day(sec) >= day)
			return day_search(day, sec - MINUTE_SEC, sec);
	return start;
}

/* The day on which the month of that number begins, counted from January of the year 0. */
static int64_t month_day(const struct calendar *calendar, int64_t month)
{
	const struct date first = { floor_div(month, 12),
		                    (int)(month - 12 * floor_div(month, 12)), 1 };
	const struct date next = { first.year, first.month + 1, 1 };
	const int64_t length = days_of(next) - days_of(first);

	return days_of(first) +
	       (calendar->anchor_day < length ? calendar->anchor_day : length) - 1;
}

/* The first day of the period of that number; how they are counted is each kind's own. */
static int64_t first_day(const struct calendar *calendar, enum calendar_period period,
                         int64_t number)
{
	if (period == CALENDAR_MONTH)
		return month_day(calendar, number);
	/* 1970-01-01 was a Thursday. */
	return period == CALENDAR_WEEK ? number * DAYS_PER_WEEK - 3 : number;
}

/* Of the period that holds @sec, or of one beside it. */
static int64_t number_near(enum calendar_period period, int64_t sec)
{
	const struct date date = local_date(sec);

	if (period == CALENDAR_MONTH)
		return 12 * date.year + date.month;
	return period == CALENDAR_WEEK ? floor_div(days_of(date) + 3, DAYS_PER_WEEK)
	                               : days_of(date);
}

/* Of the one that holds @sec, and its span in seconds. Among their first instants, since where
 * clocks are put back over midnight a date comes twice. */
static int64_t number_of(const struct calendar *calendar, enum calendar_period period,
                         int64_t sec, struct calendar_span *ret)
{
	int64_t number = number_near(period, sec);
	int64_t start, end;

	while ((start = day_start(first_day(calendar, period, number))) > sec)
		number--;
	while ((end = day_start(first_day(calendar, period, number + 1))) <= sec) {
		start = end;
		number++;
	}
	*ret = (struct calendar_span){ start * CLOCK_USEC_PER_SEC, end * CLOCK_USEC_PER_SEC };
	return number;
}

/* The process's zone is to be @calendar's until zone_leave(). */
static char *zone_enter(const struct calendar *calendar)
{
	const char *before = getenv("TZ");
	char *kept = before != NULL ? strdup(before) : NULL;

	zone_set(calendar->zone);
	return kept;
}

static void zone_leave(char *kept)
{
	zone_set(kept);
	free(kept);
}

struct calendar_span calendar_span_of(const struct calendar *calendar,
                                      enum calendar_period period, int64_t instant)
{
	const int64_t sec = floor_div(instant, CLOCK_USEC_PER_SEC);
	struct calendar_span span;
	char *kept;

	if (period == CALENDAR_HOUR) {
		const int64_t start = floor_div(sec, HOUR_SEC) * HOUR_SEC;

		return (struct calendar_span){ start * CLOCK_USEC_PER_SEC,
			                       (start + HOUR_SEC) * CLOCK_USEC_PER_SEC };
	}
	kept = zone_enter(calendar);
	(void)number_of(calendar, period, sec, &span);
	zone_leave(kept);
	return span;
}

int64_t calendar_month_at(const struct calendar *calendar, int64_t instant)
{
	char *kept = zone_enter(calendar);
	struct calendar_span ignored;
	int64_t month = number_of(calendar, CALENDAR_MONTH,
	                          floor_div(instant, CLOCK_USEC_PER_SEC), &ignored);

	zone_leave(kept);
	return month;
}

struct calendar_span calendar_month_span(const struct calendar *calendar, int64_t month)
{
	char *kept = zone_enter(calendar);
	const struct calendar_span span = {
		day_start(month_day(calendar, month)) * CLOCK_USEC_PER_SEC,
		day_start(month_day(calendar, month + 1)) * CLOCK_USEC_PER_SEC,
	};

	zone_leave(kept);
	return span;
}

#define MONTH_FORM     "0000-00"
#define MONTH_YEAR_MIN 1970
#define YEAR_MONTHS    12

int calendar_month_parse(const char *text, int64_t *ret)
{
	int64_t numbers[2] = { 0, 0 }, *number = numbers;

	if (strlen(text) != strlen(MONTH_FORM))
		return -EINVAL;
	for (size_t i = 0; MONTH_FORM[i] != '\0'; i++) {
		if (MONTH_FORM[i] == '-' ? text[i] != '-' : text[i] < '0' || text[i] > '9')
			return -EINVAL;
		if (text[i] == '-')
			number++;
		else
			*number = *number * 10 + (text[i] - '0');
	}
	if (numbers[0] < MONTH_YEAR_MIN || numbers[1] < 1 || numbers[1] > YEAR_MONTHS)
		return -EINVAL;
	*ret = numbers[0] * YEAR_MONTHS + numbers[1] - 1;
	return 0;
}

void calendar_date_format(const struct calendar *calendar, int64_t instant,
                          char ret[static CALENDAR_DATE_BYTES_MAX])
{
	char *kept = zone_enter(calendar);
	const struct date date = local_date(floor_div(instant, CLOCK_USEC_PER_SEC));

	zone_leave(kept);
	(void)snprintf(ret, CALENDAR_DATE_BYTES_MAX, "%04" PRId64 "-%02d-%02d", date.year,
	               date.month + 1, date.day);
}

void calendar_month_format(int64_t month, char ret[static CALENDAR_MONTH_BYTES_MAX])
{
	const int64_t year = floor_div(month, YEAR_MONTHS);

	(void)snprintf(ret, CALENDAR_MONTH_BYTES_MAX, "%04" PRId64 "-%02" PRId64, year,
	               month - YEAR_MONTHS * year + 1);
}
