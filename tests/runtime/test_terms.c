/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Billing periods over changes of zone, anchor day and currency. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>

#include "billing/terms.h"

TestSuite(terms, .timeout = 120);

#define DAY_USEC  ((int64_t)24 * 3600 * CLOCK_USEC_PER_SEC)
#define TERMS_MAX 64

static struct store_terms items[TERMS_MAX];
static struct terms_list list;

static int64_t instant(const char *utc)
{
	struct tm tm = { 0 };

	cr_assert_not_null(strptime(utc, "%Y-%m-%dT%H:%M:%SZ", &tm), "%s", utc);
	return (int64_t)timegm(&tm) * CLOCK_USEC_PER_SEC;
}

static struct store_terms terms_of(int64_t since, const char *zone, int anchor_day,
                                   const char *currency)
{
	struct store_terms terms = { .since = since, .anchor_day = anchor_day };

	(void)snprintf(terms.time_zone, sizeof(terms.time_zone), "%s", zone);
	(void)snprintf(terms.currency, sizeof(terms.currency), "%s", currency);
	return terms;
}

static void create(const char *utc, const char *zone, int anchor_day, const char *currency)
{
	items[0] = terms_of(instant(utc), zone, anchor_day, currency);
	list = (struct terms_list){ items, 1 };
}

/* As the store has it: those that begin at the same time become these. */
static void change_at(int64_t now, const char *zone, int anchor_day, const char *currency)
{
	const int64_t since = terms_begin(&list, now);

	if (items[list.n - 1].since != since)
		list.n++;
	cr_assert_leq(list.n, (size_t)TERMS_MAX);
	items[list.n - 1] = terms_of(since, zone, anchor_day, currency);
}

static void expect(const char *at, const char *name, const char *start, const char *end,
                   const char *currency)
{
	const struct terms_period period = terms_period_at(&list, instant(at));
	struct terms_period named;

	cr_expect_str_eq(period.name, name, "%s at %s", period.name, at);
	cr_expect_eq(period.span.start, instant(start), "%s", at);
	cr_expect_eq(period.span.end, instant(end), "%s", at);
	cr_expect_str_eq(period.terms->currency, currency);
	cr_assert_eq(terms_period_named(&list, name, &named), 1, "%s", name);
	cr_expect_eq(named.span.start, period.span.start, "%s", name);
	cr_assert_eq(terms_period_named(&list, period.first_date, &named), 1);
	cr_expect_eq(named.span.start, period.span.start, "%s", period.first_date);
}

Test(terms, of_another_anchor_begin_when_the_running_period_ends)
{
	create("2026-01-10T00:00:00Z", "UTC", 1, "EUR");
	change_at(instant("2026-11-20T00:00:00Z"), "UTC", 15, "CHF");
	expect("2026-11-30T23:59:59Z", "2026-11", "2026-11-01T00:00:00Z",
	       "2026-12-01T00:00:00Z", "EUR");
	/* None of its anchors is in it. */
	expect("2026-12-01T00:00:00Z", "2026-12-01", "2026-12-01T00:00:00Z",
	       "2026-12-15T00:00:00Z", "CHF");
	expect("2026-12-15T00:00:00Z", "2026-12", "2026-12-15T00:00:00Z",
	       "2027-01-15T00:00:00Z", "CHF");
}

Test(terms, an_anchor_that_is_near_to_their_beginning_does_not_end_the_first_period)
{
	create("2026-01-10T00:00:00Z", "UTC", 1, "EUR");
	change_at(instant("2026-11-20T00:00:00Z"), "UTC", 5, "EUR");
	expect("2026-12-03T00:00:00Z", "2026-12", "2026-12-01T00:00:00Z",
	       "2027-01-05T00:00:00Z", "EUR");
	expect("2026-12-20T00:00:00Z", "2026-12", "2026-12-01T00:00:00Z",
	       "2027-01-05T00:00:00Z", "EUR");
}

Test(terms, of_another_zone_have_a_month_that_is_some_hours_longer_or_shorter)
{
	create("2026-01-10T00:00:00Z", "UTC", 1, "EUR");
	change_at(instant("2026-11-20T00:00:00Z"), "America/New_York", 1, "EUR");
	expect("2026-12-01T02:00:00Z", "2026-12", "2026-12-01T00:00:00Z",
	       "2027-01-01T05:00:00Z", "EUR");
	/* The anchor of December is before it: so it has its name of its first day. */
	create("2026-01-10T00:00:00Z", "UTC", 1, "EUR");
	change_at(instant("2026-11-20T00:00:00Z"), "Asia/Kolkata", 1, "EUR");
	expect("2026-12-01T02:00:00Z", "2026-12-01", "2026-12-01T00:00:00Z",
	       "2026-12-31T18:30:00Z", "EUR");
}

Test(terms, have_a_first_day_for_a_name_where_the_period_before_has_the_month)
{
	create("2026-01-10T00:00:00Z", "Pacific/Kiritimati", 1, "EUR");
	change_at(instant("2026-12-20T00:00:00Z"), "Pacific/Pago_Pago", 31, "EUR");
	expect("2026-12-20T00:00:00Z", "2026-12", "2026-11-30T10:00:00Z",
	       "2026-12-31T10:00:00Z", "EUR");
	expect("2026-12-31T12:00:00Z", "2026-12-30", "2026-12-31T10:00:00Z",
	       "2027-01-31T11:00:00Z", "EUR");
}

Test(terms, that_are_set_in_the_very_first_period_hold_from_the_beginning)
{
	create("2026-11-10T00:00:00Z", "UTC", 1, "USD");
	change_at(instant("2026-11-12T00:00:00Z"), "UTC", 1, "EUR");
	cr_expect_eq(list.n, 1u);
	expect("2026-11-11T00:00:00Z", "2026-11", "2026-11-01T00:00:00Z",
	       "2026-12-01T00:00:00Z", "EUR");
	change_at(instant("2026-12-01T00:00:00Z"), "UTC", 1, "CHF");
	cr_expect_eq(list.n, 2u);
	expect("2026-12-31T00:00:00Z", "2026-12", "2026-12-01T00:00:00Z",
	       "2027-01-01T00:00:00Z", "EUR");
	/* Of two changes in one period the last counts. */
	change_at(instant("2026-12-02T00:00:00Z"), "UTC", 1, "GBP");
	cr_expect_eq(list.n, 2u);
	expect("2027-01-01T00:00:00Z", "2027-01", "2027-01-01T00:00:00Z",
	       "2027-02-01T00:00:00Z", "GBP");
}

Test(terms, know_what_is_no_period)
{
	struct terms_period period;

	create("2026-01-10T00:00:00Z", "UTC", 15, "EUR");
	cr_expect_eq(terms_period_named(&list, "2026-11-15", &period), 1);
	cr_expect_eq(terms_period_named(&list, "2026-11-14", &period), 0);
	cr_expect_eq(terms_period_named(&list, "2026-11-31", &period), -EINVAL);
	cr_expect_eq(terms_period_named(&list, "2028-02-30", &period), -EINVAL);
	cr_expect_eq(terms_period_named(&list, "2026-13", &period), -EINVAL);
	cr_expect_eq(terms_period_named(&list, "2026-11-1", &period), -EINVAL);
}

#define ENDED_MAX 400

/* What was said of periods that had ended when it was. */
static struct {
	struct terms_period period;
	char currency[STORE_CURRENCY_BYTES];
} ended[ENDED_MAX];
static size_t ended_n;

static void expect_named(const struct terms_period *period)
{
	struct terms_period named;

	cr_assert_eq(terms_period_named(&list, period->name, &named), 1, "%s", period->name);
	cr_assert_eq(named.span.start, period->span.start, "'%s' is another's name",
	             period->name);
	cr_assert_eq(terms_period_named(&list, period->first_date, &named), 1);
	cr_assert_eq(named.span.start, period->span.start, "%s", period->first_date);
}

/* From the one of the creation on, without a gap; what has been said before is said again. */
static void look(int64_t now, bool whole)
{
	int64_t at = terms_period_at(&list, items[0].since).span.start;

	for (size_t n = 0; at <= now; n++) {
		const struct terms_period period = terms_period_at(&list, at);
		const struct terms_period last = terms_period_at(&list, period.span.end - 1);

		cr_assert_eq(period.span.start, at);
		cr_assert_geq(period.span.end - at, TERMS_DAYS_MIN * DAY_USEC);
		cr_assert_eq(last.span.start, at);
		cr_assert_eq(last.span.end, period.span.end);
		if (whole || n >= ended_n)
			expect_named(&period);
		cr_assert_lt(n, (size_t)ENDED_MAX);
		if (n < ended_n) {
			cr_assert_eq(ended[n].period.span.start, at);
			cr_assert_eq(ended[n].period.span.end, period.span.end);
			cr_assert_str_eq(ended[n].period.name, period.name);
			cr_assert_str_eq(ended[n].currency, period.terms->currency);
		} else if (period.span.end <= now) {
			ended[n].period = period;
			(void)memcpy(ended[n].currency, period.terms->currency,
			             sizeof(ended[n].currency));
			ended_n = n + 1;
		}
		at = period.span.end;
	}
}

Test(terms, tile_time_and_no_ended_period_becomes_another_whatever_is_changed)
{
	static const char *const zones[] = {
		"UTC",          "Europe/Berlin",     "America/New_York", "Pacific/Kiritimati",
		"Asia/Kolkata", "Pacific/Pago_Pago", "Pacific/Apia",     "America/Sao_Paulo",
		"Africa/Cairo", "Nowhere/At_All",
	};
	static const char *const currencies[] = { "EUR", "USD", "CHF" };
	unsigned int seed = 20261128;

	for (int round = 0; round < 40; round++) {
		int64_t now = instant("2011-01-01T00:00:00Z") + rand_r(&seed) % 400 * DAY_USEC;

		ended_n = 0;
		items[0] = terms_of(now, zones[rand_r(&seed) % (int)ARRAY_LEN(zones)],
		                    1 + rand_r(&seed) % 31, "EUR");
		list = (struct terms_list){ items, 1 };
		for (int i = 0; i < 12; i++) {
			now += rand_r(&seed) % 45 * DAY_USEC +
			       (int64_t)rand_r(&seed) % DAY_USEC;
			look(now, false);
			change_at(now, zones[rand_r(&seed) % (int)ARRAY_LEN(zones)],
			          1 + rand_r(&seed) % 31,
			          currencies[rand_r(&seed) % (int)ARRAY_LEN(currencies)]);
			look(now, false);
		}
		look(now + 100 * DAY_USEC, true);
		cr_assert_gt(ended_n, 5u);
	}
}
