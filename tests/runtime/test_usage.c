/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GetUsage: what was used when. Booked as the journal books it, at times of our own choice. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>

#include "identity.h"
#include "quota_rules.h"
#include "rig.h"

TestSuite(usage, .timeout = 60);

static struct rig rig;
static struct varlink *admin;
static struct id tenant;
static int64_t cpu; /* what the tenant's cgroup has counted */

static int64_t instant(const char *utc)
{
	struct tm tm = { 0 };

	cr_assert_not_null(strptime(utc, "%Y-%m-%dT%H:%M:%SZ", &tm), "%s", utc);
	return (int64_t)timegm(&tm) * CLOCK_USEC_PER_SEC;
}

static void set_up(void)
{
	struct tenant_row row = { 0 };
	struct tn_error err = { 0 };
	struct store *store;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	admin = rig_connect(&rig);
	store = rig.context->store;
	cr_assert_eq(store->ops->tenant_by_name(store, "acme", &row, &err), 1, "%s", err.msg);
	tenant = row.id;
	tenant_row_done(&row);
	cpu = 0;
}

static void tear_down(void)
{
	(void)varlink_free(admin);
	rig_done(&rig);
}

/* As if it were booked in time. */
static int64_t hour_of(void *userdata, const struct id *id, int64_t at)
{
	struct tn_error err = { 0 };
	struct tenant *found;

	(void)userdata;
	cr_assert_eq(tenants_get_by_id(rig.context->tenants, id, &found, &err), 0);
	return quota_hour(found, at);
}

/* One execution that ends at @utc, of 5 s, and used @usec, 100 of them ours. */
static void use(const char *utc, int64_t usec)
{
	struct ledger_sample sample = { .tenant = tenant,
		                        .node = LEDGER_NODE_READ,
		                        .boot_id = "11111111-1111-4111-8111-111111111111",
		                        .cgroup_id = 7,
		                        .at = instant(utc) };
	struct record record;
	const struct store_batch batch = { .records = &record,
		                           .records_n = 1,
		                           .samples = &sample,
		                           .samples_n = 1,
		                           .hour = hour_of };
	struct tn_error err = { 0 };

	cpu += usec;
	for (size_t i = 0; i < LEDGER_NODE_N; i++)
		sample.raw[i] = LEDGER_ABSENT;
	sample.raw[METER_CPU_TIME] = cpu;
	record_init(&record);
	record.id = identity_new();
	record.tenant = tenant;
	record.state = RECORD_EXITED;
	record.reason = REASON_EXITED;
	record.ended_at = sample.at;
	record.started_at = sample.at - 5 * CLOCK_USEC_PER_SEC;
	record.wall_usec = 5 * CLOCK_USEC_PER_SEC;
	record.cpu_usec = usec;
	record.overhead_usec = 100;
	cr_assert_eq(rig.context->store->ops->book(rig.context->store, &batch, &err), 0, "%s",
	             err.msg);
}

static const char *utc_of(int64_t usec, char text[static 32])
{
	const time_t sec = usec / CLOCK_USEC_PER_SEC;
	struct tm tm;

	(void)strftime(text, 32, "%Y-%m-%dT%H:%M", gmtime_r(&sec, &tm));
	return text;
}

/* "START END CPU_TIME EXECUTIONS" of each period, a line each, behind the first: the totals. */
static const char *periods(json_t *parameters)
{
	static char text[2048];
	char start[32], end[32];
	bool more = true;
	size_t n = 0;

	rig_call(&rig, admin, "io.tenantd.GetUsage", parameters, "more");
	while (more) {
		json_t *answer = rig_answer(&rig, admin);
		const json_t *said = json_object_get(answer, "parameters");
		const json_t *period = json_object_get(said, "period");
		const json_t *meters = json_object_get(period != NULL ? period : said,
		                                       "meters");

		cr_assert_null(json_object_get(answer, "error"), "%s",
		               rig_text(said, "message"));
		more = json_is_true(json_object_get(answer, "continues"));
		if (period != NULL)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s %s ",
			                      utc_of(rig_number(period, "start"), start),
			                      utc_of(rig_number(period, "end"), end));
		if (meters != NULL)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%lld %lld\n",
			                      (long long)rig_number(meters, "cpu_time"),
			                      (long long)rig_number(meters, "executions"));
		json_decref(answer);
	}
	return text;
}

static json_t *by(const char *period)
{
	return json_pack("{s:s, s:s}", "tenant", "acme", "by", period);
}

static void zone_set(const char *zone, int anchor_day)
{
	json_decref(rig_ask(&rig, admin, "io.tenantd.UpdateTenant",
	                    json_pack("{s:s, s:{s:s, s:i}}", "tenant", "acme", "settings",
	                              "time_zone", zone, "billing_anchor_day", anchor_day),
	                    NULL));
}

Test(usage, is_told_by_hours_days_and_months_that_add_up, .init = set_up, .fini = tear_down)
{
	use("2026-10-31T22:10:00Z", 1000);
	use("2026-10-31T22:50:00Z", 2000);
	use("2026-10-31T23:00:00Z", 4000);
	use("2026-11-02T12:00:00Z", 8000);
	cr_expect_str_eq(periods(by("hour")), "15000 4\n"
	                                      "2026-10-31T22:00 2026-10-31T23:00 3000 2\n"
	                                      "2026-10-31T23:00 2026-11-01T00:00 4000 1\n"
	                                      "2026-11-02T12:00 2026-11-02T13:00 8000 1\n");
	cr_expect_str_eq(periods(by("day")), "15000 4\n"
	                                     "2026-10-31T00:00 2026-11-01T00:00 7000 3\n"
	                                     "2026-11-02T00:00 2026-11-03T00:00 8000 1\n");
	cr_expect_str_eq(periods(by("week")), "15000 4\n"
	                                      "2026-10-26T00:00 2026-11-02T00:00 7000 3\n"
	                                      "2026-11-02T00:00 2026-11-09T00:00 8000 1\n");
	cr_expect_str_eq(periods(by("month")), "15000 4\n"
	                                       "2026-10-01T00:00 2026-11-01T00:00 7000 3\n"
	                                       "2026-11-01T00:00 2026-12-01T00:00 8000 1\n");
}

Test(usage, has_days_and_months_of_the_tenants_zone_and_anchor, .init = set_up,
     .fini = tear_down)
{
	use("2026-10-31T22:10:00Z", 1000);
	use("2026-10-31T23:00:00Z", 4000);
	/* In Vienna a new day, and month, has begun. */
	zone_set("Europe/Vienna", 1);
	cr_expect_str_eq(periods(by("day")), "5000 2\n"
	                                     "2026-10-30T23:00 2026-10-31T23:00 1000 1\n"
	                                     "2026-10-31T23:00 2026-11-01T23:00 4000 1\n");
	zone_set("Europe/Vienna", 15);
	cr_expect_str_eq(periods(by("month")), "5000 2\n"
	                                       "2026-10-14T22:00 2026-11-14T23:00 5000 2\n");
	/* Days that begin within an hour of UTC. */
	zone_set("Asia/Kolkata", 1);
	use("2026-11-05T18:10:00Z", 10);
	use("2026-11-05T18:50:00Z", 20);
	use("2026-11-05T19:10:00Z", 40);
	cr_expect(strstr(periods(by("day")),
	                 "2026-11-04T18:30 2026-11-05T18:30 10 1\n"
	                 "2026-11-05T18:30 2026-11-06T18:30 60 2\n") != NULL);
	cr_expect(strstr(periods(by("hour")),
	                 "2026-11-05T18:00 2026-11-05T19:00 30 2\n"
	                 "2026-11-05T19:00 2026-11-05T20:00 40 1\n") != NULL);
}

Test(usage, counts_whole_hours_within_its_bounds, .init = set_up, .fini = tear_down)
{
	json_t *answer;

	use("2026-10-31T22:10:00Z", 1000);
	use("2026-10-31T22:50:00Z", 2000);
	use("2026-10-31T23:30:00Z", 4000);
	use("2026-11-01T00:00:00Z", 8000);
	answer = rig_ask(&rig, admin, "io.tenantd.GetUsage",
	                 json_pack("{s:s, s:I, s:I, s:b}", "tenant", "acme", "since",
	                           (json_int_t)instant("2026-10-31T22:30:00Z"), "until",
	                           (json_int_t)instant("2026-10-31T23:10:00Z"), "totals_only",
	                           1),
	                 "more");
	cr_expect_eq(rig_number(answer, "since"), instant("2026-10-31T22:00:00Z"));
	cr_expect_eq(rig_number(answer, "until"), instant("2026-11-01T00:00:00Z"));
	cr_expect_eq(rig_number(json_object_get(answer, "meters"), "cpu_time"), 7000);
	cr_expect_eq(rig_number(json_object_get(answer, "meters"), "executions"), 3);
	cr_expect_eq(rig_number(json_object_get(answer, "meters"), "overhead_time"), 300);
	cr_expect_eq(rig_number(json_object_get(answer, "meters"), "execution_time"), 15000000);
	json_decref(answer);
	/* A period is cut to them. */
	cr_expect_str_eq(
		periods(json_pack("{s:s, s:s, s:I}", "tenant", "acme", "by", "month", "since",
	                          (json_int_t)instant("2026-10-31T23:00:00Z"))),
		"12000 2\n"
		"2026-10-31T23:00 2026-11-01T00:00 4000 1\n"
		"2026-11-01T00:00 2026-12-01T00:00 8000 1\n");
}

Test(usage, refuses_a_period_that_is_none, .init = set_up, .fini = tear_down)
{
	json_t *refused = rig_refused(&rig, admin, "io.tenantd.GetUsage", by("year"), "more",
	                              "io.tenantd.Invalid");

	cr_expect_str_eq(
		rig_text(refused, "message"),
		"by: 'year' is no period; expected hour, day, week, month or execution");
	json_decref(refused);
}

static void count(const char *meter, enum metering_write_kind kind, const char *utc,
                  int64_t amount)
{
	struct metering_write write = {
		.kind = kind, .tenant = tenant, .delta = amount, .at = instant(utc)
	};
	struct store *store = rig.context->store;
	struct tn_error err = { 0 };

	(void)snprintf(write.meter, sizeof(write.meter), "%s", meter);
	cr_assert_eq(store->ops->meter(store, &write, 1, NULL, 0, &err), 0, "%s", err.msg);
}

/* Of each answer what it says of these, a line each; "-" for null. */
static const char *metered(json_t *parameters)
{
	static const char *const names[] = { "cpu_time", "tokens", "api_calls", "agents" };
	static char text[2048];
	bool more = true;
	size_t n = 0;

	rig_call(&rig, admin, "io.tenantd.GetUsage", parameters, "more");
	while (more) {
		json_t *answer = rig_answer(&rig, admin);
		const json_t *said = json_object_get(answer, "parameters");
		const json_t *period = json_object_get(said, "period");
		const json_t *held = json_object_get(said, "held");
		const json_t *meters = json_object_get(period != NULL ? period : said,
		                                       "meters");

		more = json_is_true(json_object_get(answer, "continues"));
		for (size_t i = 0; meters != NULL && i < ARRAY_LEN(names); i++)
			if (json_object_get(meters, names[i]) != NULL)
				n += (size_t)snprintf(text + n, sizeof(text) - n, "%s %lld ",
				                      names[i],
				                      (long long)rig_number(meters, names[i]));
		if (held != NULL)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "held %s %lld",
			                      json_is_null(held) ? "-" : "agents",
			                      (long long)rig_number(held, "agents"));
		if (meters != NULL)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "\n");
		json_decref(answer);
	}
	return text;
}

Test(usage, has_what_applications_metered_beside_what_the_kernel_did, .init = set_up,
     .fini = tear_down)
{
	use("2026-10-31T22:10:00Z", 1000);
	count("tokens", METERING_AMOUNT, "2026-10-31T22:00:00Z", 5);
	count("tokens", METERING_AMOUNT, "2026-11-02T07:00:00Z", 7);
	count("agents", METERING_HELD, "2026-11-02T07:00:00Z", 3);
	count("api_calls", METERING_AMOUNT, "2026-11-03T00:00:00Z", 1);
	cr_expect_str_eq(metered(by("day")),
	                 "cpu_time 1000 tokens 12 api_calls 1 held agents 3\n"
	                 "cpu_time 1000 tokens 5 api_calls 0 \n"
	                 "cpu_time 0 tokens 7 api_calls 0 \n"
	                 "cpu_time 0 tokens 0 api_calls 1 \n");
	/* Within bounds; what is held now says nothing of what was held then. */
	cr_expect_str_eq(metered(json_pack("{s:s, s:I, s:I, s:b}", "tenant", "acme", "since",
	                                   (json_int_t)instant("2026-11-01T00:00:00Z"), "until",
	                                   (json_int_t)instant("2026-11-03T00:00:00Z"),
	                                   "totals_only", 1)),
	                 "cpu_time 0 tokens 7 api_calls 0 held - -1\n");
	/* Days that begin within an hour, as do the rows of a quota's periods. */
	zone_set("Asia/Kolkata", 1);
	count("tokens", METERING_AMOUNT, "2026-11-05T18:00:00Z", 10);
	count("tokens", METERING_AMOUNT, "2026-11-05T18:30:00Z", 20);
	cr_expect(strstr(metered(by("day")), "cpu_time 0 tokens 10 api_calls 0 \n"
	                                     "cpu_time 0 tokens 20 api_calls 0 \n") != NULL);
}
