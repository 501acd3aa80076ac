/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Periods beside what date(1) and the calendar on the wall say. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/fd.h>

#include "calendar.h"

TestSuite(calendar, .timeout = 60);

#define HOUR_USEC ((int64_t)3600 * CLOCK_USEC_PER_SEC)
#define DAY_USEC  (24 * HOUR_USEC)

static int64_t instant(const char *utc)
{
	struct tm tm = { 0 };

	cr_assert_not_null(strptime(utc, "%Y-%m-%dT%H:%M:%SZ", &tm), "%s", utc);
	return (int64_t)timegm(&tm) * CLOCK_USEC_PER_SEC;
}

static const char *text_of(int64_t usec, char text[static 32])
{
	const time_t sec = usec / CLOCK_USEC_PER_SEC;
	struct tm tm;

	(void)strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&sec, &tm));
	return text;
}

struct expected {
	char zone[24];
	int anchor_day;
	enum calendar_period period;
	char at[24], start[24], end[24];
};

/* clang-format off */
static struct expected rows[] = {
	{ "UTC", 1, CALENDAR_HOUR, "2026-11-27T10:59:59Z", "2026-11-27T10:00:00Z", "2026-11-27T11:00:00Z" },
	/* Half an hour beside UTC: an hour is one of UTC all the same. */
	{ "Asia/Kolkata", 1, CALENDAR_HOUR, "2026-11-27T10:00:00Z", "2026-11-27T10:00:00Z", "2026-11-27T11:00:00Z" },
	{ "Asia/Kolkata", 1, CALENDAR_DAY, "2026-11-27T18:30:00Z", "2026-11-27T18:30:00Z", "2026-11-28T18:30:00Z" },
	{ "Asia/Kolkata", 1, CALENDAR_DAY, "2026-11-27T18:29:59Z", "2026-11-26T18:30:00Z", "2026-11-27T18:30:00Z" },
	/* Clocks put forward: 23 hours. Put back: 25. */
	{ "Europe/Berlin", 1, CALENDAR_DAY, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z" },
	{ "Europe/Berlin", 1, CALENDAR_DAY, "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z" },
	/* Midnight itself is skipped, or comes twice. */
	{ "America/Sao_Paulo", 1, CALENDAR_DAY, "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z" },
	{ "America/Sao_Paulo", 1, CALENDAR_DAY, "2018-02-17T12:00:00Z", "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z" },
	/* At 0:01 back to 23:01 of the day before: the date's first instant counts. */
	{ "America/St_Johns", 1, CALENDAR_DAY, "2010-11-07T02:45:00Z", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z" },
	/* A date that never was: December 30. */
	{ "Pacific/Apia", 1, CALENDAR_DAY, "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z" },
	{ "Pacific/Apia", 30, CALENDAR_MONTH, "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2012-01-29T10:00:00Z" },
	{ "UTC", 1, CALENDAR_WEEK, "2026-11-27T10:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z" },
	{ "UTC", 1, CALENDAR_WEEK, "2026-11-29T23:59:59Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z" },
	{ "Europe/Berlin", 1, CALENDAR_WEEK, "2026-10-25T22:59:59Z", "2026-10-18T22:00:00Z", "2026-10-25T23:00:00Z" },
	{ "UTC", 1, CALENDAR_MONTH, "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z" },
	/* Months without a 31st, and February of all kinds of years. */
	{ "UTC", 31, CALENDAR_MONTH, "2026-02-27T23:59:59Z", "2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z" },
	{ "UTC", 31, CALENDAR_MONTH, "2026-02-28T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z" },
	{ "UTC", 30, CALENDAR_MONTH, "2028-02-29T00:00:00Z", "2028-02-29T00:00:00Z", "2028-03-30T00:00:00Z" },
	{ "UTC", 29, CALENDAR_MONTH, "2100-02-28T00:00:00Z", "2100-02-28T00:00:00Z", "2100-03-29T00:00:00Z" },
	{ "UTC", 15, CALENDAR_MONTH, "2027-01-14T23:59:59Z", "2026-12-15T00:00:00Z", "2027-01-15T00:00:00Z" },
	{ "Asia/Tokyo", 1, CALENDAR_MONTH, "2026-10-31T15:00:00Z", "2026-10-31T15:00:00Z", "2026-11-30T15:00:00Z" },
	/* Before anybody could ask. */
	{ "UTC", 1, CALENDAR_MONTH, "1969-12-31T23:59:59Z", "1969-12-01T00:00:00Z", "1970-01-01T00:00:00Z" },
};
/* clang-format on */

ParameterizedTestParameters(calendar, begins_and_ends_as_the_wall_calendar_says)
{
	return cr_make_param_array(struct expected, rows, ARRAY_LEN(rows));
}

ParameterizedTest(struct expected *row, calendar, begins_and_ends_as_the_wall_calendar_says)
{
	const struct calendar calendar = { row->zone, row->anchor_day };
	const struct calendar_span span = calendar_span_of(&calendar, row->period,
	                                                   instant(row->at));
	char start[32], end[32];

	cr_expect_str_eq(text_of(span.start, start), row->start, "%s at %s: from %s", row->zone,
	                 row->at, start);
	cr_expect_str_eq(text_of(span.end, end), row->end, "%s at %s: to %s", row->zone,
	                 row->at, end);
}

/* Over some years, with what DST does in them. */
Test(calendar, has_no_gap_and_no_overlap)
{
	static const char *const zones[] = { "UTC",
		                             "Europe/Berlin",
		                             "America/St_Johns",
		                             "Australia/Lord_Howe",
		                             "America/Sao_Paulo",
		                             "Pacific/Apia",
		                             "Africa/Casablanca" };
	const int64_t from = instant("2009-12-25T00:00:00Z"),
		      to = instant("2013-01-10T00:00:00Z");

	for (size_t i = 0; i < ARRAY_LEN(zones) * 3; i++) {
		const struct calendar calendar = { zones[i / 3], 31 };
		const enum calendar_period period = CALENDAR_DAY + i % 3;
		struct calendar_span span = calendar_span_of(&calendar, period, from);

		while (span.end < to) {
			const struct calendar_span last = span;

			cr_assert_lt(span.start, span.end);
			span = calendar_span_of(&calendar, period, last.end);
			cr_assert_eq(span.start, last.end, "%s", calendar.zone);
			span = calendar_span_of(&calendar, period, last.end - 1);
			cr_assert(span.start == last.start && span.end == last.end, "%s",
			          calendar.zone);
			span = calendar_span_of(&calendar, period, last.end);
		}
	}
}

Test(calendar, leaves_the_zone_of_the_process_as_it_was)
{
	const struct calendar calendar = { "Asia/Tokyo", 1 };

	cr_assert_eq(setenv("TZ", "Europe/Berlin", 1), 0);
	(void)calendar_span_of(&calendar, CALENDAR_DAY, 0);
	cr_expect_str_eq(getenv("TZ"), "Europe/Berlin");
	cr_assert_eq(unsetenv("TZ"), 0);
	(void)calendar_span_of(&calendar, CALENDAR_DAY, 0);
	cr_expect_null(getenv("TZ"));
}

Test(calendar, counts_a_zone_that_nobody_knows_as_utc)
{
	const struct calendar calendar = { "Nowhere/At_All", 1 };
	const struct calendar_span span = calendar_span_of(&calendar, CALENDAR_DAY,
	                                                   DAY_USEC + 1);

	cr_expect_eq(span.start, DAY_USEC);
	cr_expect_eq(span.end, 2 * DAY_USEC);
}

struct month {
	char zone[24];
	int anchor_day;
	char name[8], start[24], end[24];
};

/* clang-format off */
static struct month months[] = {
	{ "UTC", 1, "2026-11", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z" },
	{ "UTC", 15, "2026-12", "2026-12-15T00:00:00Z", "2027-01-15T00:00:00Z" },
	{ "UTC", 31, "2026-02", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z" },
	{ "UTC", 31, "2028-01", "2028-01-31T00:00:00Z", "2028-02-29T00:00:00Z" },
	{ "Asia/Kolkata", 1, "2026-11", "2026-10-31T18:30:00Z", "2026-11-30T18:30:00Z" },
	{ "America/New_York", 1, "2026-11", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z" },
	{ "UTC", 1, "1970-01", "1970-01-01T00:00:00Z", "1970-02-01T00:00:00Z" },
};
/* clang-format on */

ParameterizedTestParameters(calendar, finds_a_month_by_its_name)
{
	return cr_make_param_array(struct month, months, ARRAY_LEN(months));
}

ParameterizedTest(const struct month *row, calendar, finds_a_month_by_its_name, .timeout = 60)
{
	const struct calendar calendar = { row->zone, row->anchor_day };
	struct calendar_span span;
	char text[32], name[CALENDAR_MONTH_BYTES_MAX];
	int64_t month;

	cr_assert_eq(calendar_month_parse(row->name, &month), 0);
	span = calendar_month_span(&calendar, month);
	cr_expect_str_eq(text_of(span.start, text), row->start);
	cr_expect_str_eq(text_of(span.end, text), row->end);
	/* And the name by an instant, from the first of it to the last. */
	cr_expect_eq(calendar_month_at(&calendar, span.start), month);
	cr_expect_eq(calendar_month_at(&calendar, span.end - 1), month);
	cr_expect_eq(calendar_month_at(&calendar, span.end), month + 1);
	cr_expect_eq(calendar_month_at(&calendar, span.start - 1), month - 1);
	calendar_month_format(month, name);
	cr_expect_str_eq(name, row->name);
}

Test(calendar, knows_what_is_no_month)
{
	static const char *const names[] = { "",        "2026",     "2026-1",  "2026-00",
		                             "2026-13", "2026/01",  "202-601", "1969-12",
		                             " 026-01", "2026-01 ", "2026-0x", "-026-01" };
	int64_t month = 7;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		cr_expect_eq(calendar_month_parse(names[i], &month), -EINVAL, "%s", names[i]);
	cr_expect_eq(month, 7);
	cr_expect_eq(calendar_month_parse("9999-12", &month), 0);
}
