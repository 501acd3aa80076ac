/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GetBill: of periods long past, booked as the journal and quotas book, and of the present one.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>

#include "billing/bill.h"
#include "identity.h"
#include "rig.h"
#include "wiring.h"

TestSuite(bill, .timeout = 60);

static struct rig rig;
static struct varlink *admin;
static struct id tenant;
static int64_t cpu; /* what the tenant's cgroup has counted */

#define SAID_BYTES_MAX 4096

#define BOOK(name, currency, from, until, prices)                                              \
	"book: " name "\ncurrency: " currency "\nvalid_from: " from "\nvalid_until: " until    \
	"\nprices:\n" prices

static int64_t instant(const char *utc)
{
	struct tm tm = { 0 };

	cr_assert_not_null(strptime(utc, "%Y-%m-%dT%H:%M:%SZ", &tm), "%s", utc);
	return (int64_t)timegm(&tm) * CLOCK_USEC_PER_SEC;
}

static void book_write(const char *name, const char *text)
{
	char path[RIG_PATH_BYTES_MAX + 16];

	(void)snprintf(path, sizeof(path), "%s/prices", rig.dir);
	(void)mkdir(path, 0755);
	(void)snprintf(path, sizeof(path), "prices/%s.yaml", name);
	rig_write(&rig, path, text);
}

static void reload(void)
{
	static union rig_message message;

	rig_call(&rig, admin, "io.tenantd.ReloadPolicy", json_object(), NULL);
	while (!rig_answered(&rig, admin))
		if (rig_next(&rig, &message))
			rig_reply(&rig, &message, TN_OK);
}

static void settings_set(const char *zone, int anchor_day, const char *currency)
{
	json_decref(rig_ask(&rig, admin, "io.tenantd.UpdateTenant",
	                    json_pack("{s:s, s:{s:s, s:i, s:s}}", "tenant", "acme", "settings",
	                              "time_zone", zone, "billing_anchor_day", anchor_day,
	                              "currency", currency),
	                    NULL));
}

static void set_up(void)
{
	struct tenant_row row = { 0 };
	struct tn_error err = { 0 };
	struct store *store;

	rig_init(&rig);
	admin = rig_connect(&rig);
	book_write("first", BOOK("first", "EUR", "2023-01-01", "2024-05-16",
	                         "  tokens: {price: \"0.40\", per: 1000000}\n"
	                         "  cpu_time: {price: \"0.036\", per: 1h}\n"));
	book_write("second", BOOK("second", "EUR", "2024-05-16", "2024-07-01",
	                          "  cpu_time: {price: \"0.072\", per: 1h}\n"));
	book_write("yen", BOOK("yen", "JPY", "2023-01-01", "2024-07-01",
	                       "  cpu_time: {price: \"5\", per: 1h}\n"));
	reload();
	rig_tenant(&rig, "acme");
	settings_set("UTC", 1, "EUR");
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

/* So much CPU time, as read from the tenant's cgroup. */
static void compute(const char *utc, int64_t usec)
{
	struct ledger_sample sample = { .tenant = tenant,
		                        .node = LEDGER_NODE_READ,
		                        .boot_id = "11111111-1111-4111-8111-111111111111",
		                        .cgroup_id = 7,
		                        .at = instant(utc),
		                        .running_cpu_usec = LEDGER_ABSENT };
	const struct store_batch batch = { .samples = &sample, .samples_n = 1 };
	struct store *store = rig.context->store;
	struct tn_error err = { 0 };

	cpu += usec;
	for (size_t i = 0; i < LEDGER_NODE_N; i++)
		sample.raw[i] = LEDGER_ABSENT;
	sample.raw[METER_CPU_TIME] = cpu;
	cr_assert_eq(store->ops->book(store, &batch, &err), 0, "%s", err.msg);
}

static void count(const char *meter, const char *utc, int64_t amount)
{
	struct metering_write write = {
		.kind = METERING_AMOUNT, .tenant = tenant, .delta = amount, .at = instant(utc)
	};
	struct store *store = rig.context->store;
	struct tn_error err = { 0 };

	(void)snprintf(write.meter, sizeof(write.meter), "%s", meter);
	cr_assert_eq(store->ops->meter(store, &write, 1, NULL, 0, &err), 0, "%s", err.msg);
}

static json_t *of(const char *period)
{
	return json_pack("{s:s, s:s?}", "tenant", "acme", "period", period);
}

/* All that is answered, one JSON text a line. */
static const char *said(json_t *parameters)
{
	static char text[SAID_BYTES_MAX];
	bool more = true;
	size_t n = 0;

	text[0] = '\0';
	rig_call(&rig, admin, "io.tenantd.GetBill", parameters, "more");
	while (more) {
		json_t *answer = rig_answer(&rig, admin);
		json_t *parameters_said = json_object_get(answer, "parameters");
		char *dump = json_dumps(parameters_said, JSON_COMPACT);

		cr_assert_null(json_object_get(answer, "error"), "%s", dump);
		more = json_is_true(json_object_get(answer, "continues"));
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\n", dump);
		free(dump);
		json_decref(answer);
	}
	return text;
}

/* "SUBTOTAL STATE" and "METER QUANTITY AMOUNT SOURCE" of each line, "-" for null. */
static const char *summary(const char *period)
{
	static char text[4096];
	char all[SAID_BYTES_MAX], *place = NULL;
	size_t n = 0;

	(void)snprintf(all, sizeof(all), "%s", said(of(period)));
	for (char *one = strtok_r(all, "\n", &place); one != NULL;
	     one = strtok_r(NULL, "\n", &place)) {
		json_t *json = json_loads(one, 0, NULL);
		const json_t *bill = json_object_get(json, "bill");
		const json_t *line = json_object_get(json, "line");
		const json_t *source = json_object_get(line, "source");

		if (bill != NULL)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%lld %s\n",
			                      (long long)rig_number(bill, "subtotal"),
			                      rig_text(bill, "state"));
		else
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s %lld %lld %s\n",
			                      rig_text(line, "meter"),
			                      (long long)rig_number(line, "quantity"),
			                      json_is_null(json_object_get(line, "amount"))
			                              ? -1LL
			                              : (long long)rig_number(line, "amount"),
			                      json_is_null(source) ? "-"
			                                           : json_string_value(source));
		json_decref(json);
	}
	return text;
}

#define HOUR_USEC INT64_C(3600000000)
/* By sha256sum(1) of the file. */
#define FIRST_SHA256 "8fdb958c43fb82ad613534a9982a23236ecafea9617b33fe2ee36c31f20ff8d7"

Test(bill, has_what_the_kernel_and_what_applications_measured_by_the_books_of_the_period,
     .init = set_up, .fini = tear_down)
{
	compute("2024-04-30T23:59:59Z", HOUR_USEC);
	compute("2024-05-01T00:00:00Z", 100 * HOUR_USEC);
	count("tokens", "2024-05-02T07:00:00Z", 1000000);
	count("tokens", "2024-05-31T23:00:00Z", 5);
	count("pages", "2024-05-31T23:00:00Z", 9);
	compute("2024-05-31T23:10:00Z", 10 * HOUR_USEC);
	compute("2024-06-01T00:00:00Z", HOUR_USEC);
	/* 1000000 at 0.40 a million; 100 h at 0.036 are 3.60; 10 h at 0.072 are 0.72. */
	cr_expect_str_eq(summary("2024-05"), "472 ended\n"
	                                     "tokens 1000000 40 prices/first.yaml:6\n"
	                                     "cpu_time 360000000000 360 prices/first.yaml:7\n"
	                                     "cpu_time 36000000000 72 prices/second.yaml:6\n"
	                                     "pages 9 -1 -\n"
	                                     "tokens 5 -1 -\n");
	/* 1 h at 0.036, and at 0.072: 3.6 and 7.2 cents. */
	cr_expect_str_eq(summary("2024-04"),
	                 "4 ended\ncpu_time 3600000000 4 prices/first.yaml:7\n");
	cr_expect_str_eq(summary("2024-06"),
	                 "7 ended\ncpu_time 3600000000 7 prices/second.yaml:6\n");
	cr_expect_str_eq(summary("2024-03"), "0 ended\n");
}

Test(bill, is_the_same_bytes_however_often_it_is_asked, .init = set_up, .fini = tear_down)
{
	char first[SAID_BYTES_MAX];

	compute("2024-05-01T00:00:00Z", 100 * HOUR_USEC);
	count("tokens", "2024-05-02T07:00:00Z", 1000000);
	(void)snprintf(first, sizeof(first), "%s", said(of("2024-05")));
	cr_expect_not_null(strstr(first, "\"prices/first.yaml\":\"" FIRST_SHA256 "\""), "%s",
	                   first);
	/* More is used in other periods, and the rest of the policy becomes another. */
	compute("2024-06-01T00:00:00Z", HOUR_USEC);
	count("tokens", "2024-04-02T07:00:00Z", 1000000);
	rig_write(&rig, "tiers/large.yaml", "tier: large\ndisplay_name: other\n");
	book_write("third", BOOK("third", "EUR", "2024-07-01", "2025-01-01",
	                         "  cpu_time: {price: \"9\", per: 1h}\n"));
	reload();
	cr_expect_str_eq(said(of("2024-05")), first);
	/* Nor does another daemon say anything else. */
	(void)varlink_free(admin);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU | SPEC_CONTROLLER_MEMORY | SPEC_CONTROLLER_PIDS |
	                        SPEC_CONTROLLER_IO);
	admin = rig_connect(&rig);
	cr_expect_str_eq(said(of("2024-05")), first);
}

Test(bill, is_of_the_tenants_months_zone_and_currency, .init = set_up, .fini = tear_down)
{
	compute("2024-04-14T21:59:00Z", HOUR_USEC);
	compute("2024-04-14T22:00:00Z", 2 * HOUR_USEC);
	compute("2024-05-14T21:59:00Z", 4 * HOUR_USEC);
	compute("2024-05-14T22:00:00Z", 8 * HOUR_USEC);
	/* From April 15 in Vienna to May 14: 2 and 4 hours at 5 yen. */
	settings_set("Europe/Vienna", 15, "JPY");
	cr_expect_str_eq(summary("2024-04"),
	                 "30 ended\ncpu_time 21600000000 30 prices/yen.yaml:6\n");
	/* An application's row may begin where the period does, within an hour. */
	settings_set("Asia/Kolkata", 1, "EUR");
	count("tokens", "2024-03-31T18:00:00Z", 1000000);
	count("tokens", "2024-03-31T18:30:00Z", 2000000);
	cr_expect_not_null(strstr(summary("2024-04"), "tokens 2000000 80 "));
	cr_expect_not_null(strstr(summary("2024-03"), "tokens 1000000 40 "));
}

/* A book for the present. */
static void book_now(void)
{
	book_write("now", "book: now\ncurrency: EUR\nvalid_from: 2024-07-01\nprices:\n"
	                  "  tokens: {price: \"0.01\"}\n");
	reload();
}

/* The tenant has had terms since then, so that its very first period is over. */
static void terms_since(const char *utc)
{
	struct store *store = rig.context->store;
	struct tn_error err = { 0 };
	struct tenant *known;
	struct tenant_row row;

	cr_assert_eq(tenants_get(rig.context->tenants, "acme", &known, &err), 0, "%s", err.msg);
	row = known->row;
	row.terms_since = instant(utc);
	cr_assert_eq(store->ops->tenant_update(store, &row, NULL, &err), 0, "%s", err.msg);
	known->row = row;
}

Test(bill, of_an_ended_period_is_the_same_after_a_change_of_currency_zone_and_day,
     .init = set_up, .fini = tear_down)
{
	char first[SAID_BYTES_MAX];
	struct tenant *known;
	struct tn_error err = { 0 };

	book_now();
	terms_since("2024-01-10T00:00:00Z");
	compute("2024-04-14T22:00:00Z", 2 * HOUR_USEC);
	compute("2024-05-01T00:00:00Z", 100 * HOUR_USEC);
	(void)snprintf(first, sizeof(first), "%s", said(of("2024-05")));
	settings_set("Europe/Vienna", 15, "JPY");
	cr_expect_str_eq(said(of("2024-05")), first);
	cr_expect_not_null(strstr(said(of(NULL)), "\"currency\":\"EUR\""));
	/* It shows what is set, and knows from when on that holds. */
	cr_assert_eq(tenants_get(rig.context->tenants, "acme", &known, &err), 0);
	cr_expect_str_eq(known->row.currency, "JPY");
	cr_expect_gt(known->row.terms_since, clock_usec(CLOCK_REALTIME));
	/* Nor does another daemon say anything else. */
	(void)varlink_free(admin);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU | SPEC_CONTROLLER_MEMORY | SPEC_CONTROLLER_PIDS |
	                        SPEC_CONTROLLER_IO);
	admin = rig_connect(&rig);
	cr_expect_str_eq(said(of("2024-05")), first);
}

/* An execution that ended then, and is told of only now. */
static void told_late(int64_t ended_at)
{
	const struct record record = { .id = identity_new(),
		                       .tenant = tenant,
		                       .state = RECORD_EXITED,
		                       .reason = REASON_EXITED,
		                       .policy_hash = "abcd",
		                       .started_at = ended_at - 1000000,
		                       .ended_at = ended_at,
		                       .wall_usec = 1000000,
		                       .cpu_usec = 1,
		                       .overhead_usec = 1 };
	const struct store_batch batch = { .records = &record,
		                           .records_n = 1,
		                           .hour = wiring_journal.hour,
		                           .userdata = rig.context };
	struct store *store = rig.context->store;
	struct tn_error err = { 0 };

	cr_assert_eq(store->ops->book(store, &batch, &err), 0, "%s", err.msg);
}

static int64_t executions_within(int64_t since, int64_t until)
{
	struct store *store = rig.context->store;
	struct store_totals totals;
	struct tn_error err = { 0 };

	cr_assert_eq(store->ops->totals(store, &tenant, since, until, &totals, &err), 0, "%s",
	             err.msg);
	return totals.meters[METER_EXECUTIONS];
}

Test(bill, that_is_closed_takes_nothing_that_is_told_late_and_nothing_is_lost, .init = set_up,
     .fini = tear_down)
{
	const int64_t now = clock_usec(CLOCK_REALTIME);
	char first[SAID_BYTES_MAX];

	compute("2024-05-01T00:00:00Z", 100 * HOUR_USEC);
	(void)snprintf(first, sizeof(first), "%s", said(of("2024-05")));
	told_late(instant("2024-05-07T12:00:00Z"));
	cr_expect_str_eq(said(of("2024-05")), first);
	cr_expect_eq(executions_within(0, now - 2 * HOUR_USEC), 0);
	cr_expect_eq(executions_within(now - 2 * HOUR_USEC, now + 2 * HOUR_USEC), 1);
	/* And of what is not closed in the hour in which it was. */
	told_late(now);
	cr_expect_eq(executions_within(0, now - 2 * HOUR_USEC), 0);
	cr_expect_eq(executions_within(LEDGER_ABSENT, LEDGER_ABSENT), 2);
}

Test(bill, is_closing_for_an_hour_after_its_end_and_ended_then, .init = set_up,
     .fini = tear_down)
{
	const struct tenant_row row = { .status = TENANT_ACTIVE };
	struct store_terms item = {
		.since = 0, .anchor_day = 1, .time_zone = "UTC", .currency = "EUR"
	};
	const struct terms_list terms = { &item, 1 };
	static const struct {
		const char *now;
		enum bill_state state;
	} cases[] = {
		{ "2024-05-31T23:59:59Z", BILL_OPEN },
		{ "2024-06-01T00:00:00Z", BILL_CLOSING },
		{ "2024-06-01T00:59:59Z", BILL_CLOSING },
		{ "2024-06-01T01:00:00Z", BILL_ENDED },
	};
	struct bill_period period;
	struct tn_error err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const int64_t now = instant(cases[i].now);

		cr_assert_eq(bill_period_find(&row, &terms, "2024-05", now, &period, &err), 0,
		             "%s", err.msg);
		cr_expect_eq(period.state, cases[i].state, "%s", cases[i].now);
		/* What the ledger books goes by the same. */
		cr_expect_eq(bill_is_closed(rig.context->store, &tenant,
		                            instant("2024-05-31T23:30:00Z"), now),
		             cases[i].state == BILL_ENDED, "%s", cases[i].now);
	}
}

static void expect_refused(const char *period, const char *error, const char *message)
{
	json_t *refused = rig_refused(&rig, admin, "io.tenantd.GetBill", of(period), "more",
	                              error);

	cr_expect_not_null(strstr(rig_text(refused, "message"), message), "'%s' lacks '%s'",
	                   rig_text(refused, "message"), message);
	json_decref(refused);
}

Test(bill, is_refused_without_a_book_or_for_what_is_no_period, .init = set_up,
     .fini = tear_down)
{
	expect_refused("2022-12", "io.tenantd.InvalidState",
	               "no price book for EUR holds between 2022-12-01 and 2023-01-01; put "
	               "one into /etc/tenantd/prices");
	settings_set("UTC", 1, "USD");
	expect_refused("2024-05", "io.tenantd.InvalidState", "no price book for USD holds");
	expect_refused("9999-12", "io.tenantd.Invalid", "period: 9999-12 has not begun");
	expect_refused("2024-13", "io.tenantd.Invalid", "period: '2024-13' is no month");
	expect_refused("2024-5", "io.tenantd.Invalid", "expected the one in which it begins");
	expect_refused("", "io.tenantd.Invalid", "period: '' is no month");
	expect_refused("2024-05-02", "io.tenantd.Invalid",
	               "period: 2024-05-02 is the name of none; expected ");
	expect_refused("1969-12", "io.tenantd.Invalid", "is no month");
	/* Usage is told all the same: bills are optional. */
	json_decref(rig_ask(&rig, admin, "io.tenantd.GetUsage",
	                    json_pack("{s:s, s:b}", "tenant", "acme", "totals_only", 1),
	                    "more"));
}

Test(bill, of_the_present_period_is_open_and_has_what_was_used_until_now, .init = set_up,
     .fini = tear_down)
{
	const int64_t before = clock_usec(CLOCK_REALTIME);
	json_t *bill;
	int64_t until;
	char *text, *end;

	book_now();
	json_decref(rig_ask(&rig, admin, "io.tenantd.ConsumeQuota",
	                    json_pack("{s:s, s:s, s:i}", "tenant", "acme", "meter", "tokens",
	                              "amount", 250),
	                    NULL));
	cr_expect_str_eq(summary(NULL), "250 open\ntokens 250 250 prices/now.yaml:5\n");
	text = strdup(said(of(NULL)));
	cr_assert_not_null(text);
	end = strchr(text, '\n');
	cr_assert_not_null(end);
	*end = '\0';
	bill = json_loads(text, 0, NULL);
	until = rig_number(json_object_get(bill, "bill"), "booked_until");
	cr_expect_geq(until, before);
	cr_expect_leq(until, clock_usec(CLOCK_REALTIME));
	cr_expect_leq(rig_number(json_object_get(bill, "bill"), "start"), before);
	cr_expect_gt(rig_number(json_object_get(bill, "bill"), "end"), until);
	json_decref(bill);
	free(text);
}

Test(bill, of_a_deleted_tenant_is_its_last_one_and_stays_as_it_is, .init = set_up,
     .fini = tear_down)
{
	static union rig_message message;
	char first[SAID_BYTES_MAX], id[ID_TEXT_BYTES];

	book_now();
	count("tokens", "2024-05-02T07:00:00Z", 1000000);
	json_decref(rig_ask(&rig, admin, "io.tenantd.ConsumeQuota",
	                    json_pack("{s:s, s:s, s:i}", "tenant", "acme", "meter", "tokens",
	                              "amount", 250),
	                    NULL));
	rig_call(&rig, admin, "io.tenantd.DeleteTenant",
	         json_pack("{s:s, s:b}", "tenant", "acme", "force", 1), NULL);
	do {
		rig_take_any(&rig, &message);
		if (message.head.op != SPEC_KILL)
			rig_reply(&rig, &message, TN_OK);
	} while (message.head.op != SPEC_TENANT_DELETE);
	json_decref(rig_answer(&rig, admin));
	cr_expect_str_eq(summary(NULL), "250 ended\ntokens 250 250 prices/now.yaml:5\n");
	(void)snprintf(first, sizeof(first), "%s", said(of(NULL)));
	id_format(&tenant, id);
	cr_expect_str_eq(said(json_pack("{s:s}", "tenant", id)), first);
	cr_expect_str_eq(summary("2024-05"),
	                 "40 ended\ntokens 1000000 40 prices/first.yaml:6\n");
}
