/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DiffPolicy: what another policy would change of meters and price books, and whom that hurts.
 */
#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/clock.h>

#include "rig.h"

TestSuite(policy_money, .timeout = 60);

#define SAID_BYTES_MAX 4096
#define RATED          "bills of ended periods change, such as of acme"

static struct rig rig;
static struct varlink *admin;

static void book_write(const char *name, const char *text)
{
	char path[64];

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

static void set_up(void)
{
	char path[RIG_PATH_BYTES_MAX + 16];

	rig_init(&rig);
	admin = rig_connect(&rig);
	(void)snprintf(path, sizeof(path), "%s/prices", rig.dir);
	cr_assert_eq(mkdir(path, 0755), 0);
	rig_write(&rig, "meters.yaml",
	          "meters:\n  documents: {kind: gauge}\n  mails: {kind: counter}\n");
	book_write("std", "book: std\ncurrency: EUR\nvalid_from: 2020-01-01\nprices:\n"
	                  "  tokens: {price: \"0.40\", per: 1000000}\n"
	                  "  cpu_time: {price: \"0.036\", per: 1h}\n");
	reload();
	rig_tenant(&rig, "acme");
	json_decref(rig_ask(&rig, admin, "io.tenantd.UpdateTenant",
	                    json_pack("{s:s, s:{s:s, s:i, s:s}}", "tenant", "acme", "settings",
	                              "time_zone", "UTC", "billing_anchor_day", 1, "currency",
	                              "EUR"),
	                    NULL));
}

static void tear_down(void)
{
	(void)varlink_free(admin);
	rig_done(&rig);
}

/* As if it had been there for years. */
static void age_tenant(void)
{
	char path[2 * RIG_PATH_BYTES_MAX];
	sqlite3 *db;

	(void)snprintf(path, sizeof(path), "%s/store/tenantd.db", rig.dir);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "UPDATE tenants SET created_at = 1577836800000000", NULL,
	                          NULL, NULL),
	             SQLITE_OK, "%s", sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

static void mail(void)
{
	struct metering_write write = { .kind = METERING_AMOUNT,
		                        .meter = "mails",
		                        .delta = 3,
		                        .at = clock_usec(CLOCK_REALTIME) };
	struct store *store = rig.context->store;
	struct tenant_row row = { 0 };
	struct tn_error err = { 0 };

	cr_assert_eq(store->ops->tenant_by_name(store, "acme", &row, &err), 1, "%s", err.msg);
	write.tenant = row.id;
	tenant_row_done(&row);
	cr_assert_eq(store->ops->meter(store, &write, 1, NULL, 0, &err), 0, "%s", err.msg);
}

/* "KEY: BEFORE SOURCE > AFTER SOURCE: HURTS" of each change that is told, a line each; all are
 * of nobody's. */
static const char *told(void)
{
	static char text[SAID_BYTES_MAX];
	bool more = true;
	size_t n = 0;

	text[0] = '\0';
	rig_call(&rig, admin, "io.tenantd.DiffPolicy", json_object(), "more");
	while (more) {
		json_t *answer = rig_answer(&rig, admin);
		const json_t *change = json_object_get(json_object_get(answer, "parameters"),
		                                       "change");

		cr_assert_null(json_object_get(answer, "error"), "%s",
		               rig_text(answer, "error"));
		if (change != NULL) {
			cr_expect_str_eq(rig_text(change, "tenant"), "(none)");
			cr_expect_str_eq(rig_text(change, "tier"), "(none)");
			n += (size_t)snprintf(
				text + n, sizeof(text) - n, "%s: %s %s > %s %s: %s\n",
				rig_text(change, "key"), rig_text(change, "before"),
				rig_text(change, "before_source"), rig_text(change, "after"),
				rig_text(change, "after_source"), rig_text(change, "hurts"));
		}
		more = json_is_true(json_object_get(answer, "continues"));
		json_decref(answer);
	}
	return text;
}

Test(policy_money, of_what_only_moved_nothing_is_told, .init = set_up, .fini = tear_down)
{
	rig_write(&rig, "meters.yaml",
	          "\n\nmeters:\n  mails: {kind: counter, unit: count}\n"
	          "  documents: {kind: gauge}\n");
	/* 0.4 is 0.40, and 60min an hour. */
	book_write("std", "# the same\nbook: std\ncurrency: EUR\nvalid_from: 2020-01-01\n"
	                  "prices:\n  cpu_time: {price: 0.036, per: 60min}\n"
	                  "  tokens: {price: 0.4, per: 1000000}\n");
	cr_expect_str_eq(told(), "");
}

Test(policy_money, meters_that_come_go_or_become_others_are_told_with_their_lines,
     .init = set_up, .fini = tear_down)
{
	rig_write(&rig, "meters.yaml",
	          "meters:\n  documents: {kind: gauge, unit: pages}\n\n"
	          "  faxes: {kind: counter, unit: bytes}\n");
	cr_expect_str_eq(told(), "meters.documents: gauge, count meters.yaml:2 > gauge, pages "
	                         "meters.yaml:2: (none)\n"
	                         "meters.mails: counter, count meters.yaml:3 > none "
	                         "meters.yaml: (none)\n"
	                         "meters.faxes: none meters.yaml > counter, bytes "
	                         "meters.yaml:4: (none)\n");
}

Test(policy_money, it_hurts_that_a_meter_goes_with_which_there_is_something, .init = set_up,
     .fini = tear_down)
{
	mail();
	rig_write(&rig, "meters.yaml", "meters: {}\n");
	cr_expect_str_eq(told(),
	                 "meters.documents: gauge, count meters.yaml:2 > none meters.yaml: "
	                 "(none)\n"
	                 "meters.mails: counter, count meters.yaml:3 > none meters.yaml: "
	                 "applications have metered with it, such as of acme\n");
	rig_write(&rig, "meters.yaml",
	          "meters:\n  documents: {kind: gauge}\n  mails: {kind: gauge}\n");
	cr_expect_str_eq(told(), "meters.mails: counter, count meters.yaml:3 > gauge, count "
	                         "meters.yaml:3: applications have metered with it, such as of "
	                         "acme\n");
}

static const char other_prices[] = "book: std\ncurrency: EUR\nvalid_from: 2020-01-01\n"
				   "prices:\n  mails: {price: \"0.01\"}\n"
				   "  tokens: {price: \"0.50\", per: 1000000}\n";

Test(policy_money, prices_that_come_go_or_change_are_told_with_both_lines, .init = set_up,
     .fini = tear_down)
{
	book_write("std", other_prices);
	/* It has been made in a period that is not over. */
	cr_expect_str_eq(told(), "book.std.prices.tokens: 0.40 per 1000000 prices/std.yaml:5 > "
	                         "0.50 per 1000000 prices/std.yaml:6: (none)\n"
	                         "book.std.prices.cpu_time: 0.036 per 1h prices/std.yaml:6 > "
	                         "none prices/std.yaml: (none)\n"
	                         "book.std.prices.mails: none prices/std.yaml > "
	                         "0.01 per 1 prices/std.yaml:5: (none)\n");
	reload();
	cr_expect_str_eq(told(), "");
}

Test(policy_money, it_hurts_that_a_price_changes_with_which_ended_periods_are_rated,
     .init = set_up, .fini = tear_down)
{
	age_tenant();
	book_write("std", other_prices);
	cr_expect_str_eq(told(), "book.std.prices.tokens: 0.40 per 1000000 prices/std.yaml:5 > "
	                         "0.50 per 1000000 prices/std.yaml:6: " RATED "\n"
	                         "book.std.prices.cpu_time: 0.036 per 1h prices/std.yaml:6 > "
	                         "none prices/std.yaml: " RATED "\n"
	                         "book.std.prices.mails: none prices/std.yaml > "
	                         "0.01 per 1 prices/std.yaml:5: " RATED "\n");
	/* Nobody's bill is in yen, and a book of the future has rated nothing. */
	book_write("std", "book: std\ncurrency: EUR\nvalid_from: 2020-01-01\n"
	                  "prices:\n  tokens: {price: \"0.40\", per: 1000000}\n"
	                  "  cpu_time: {price: \"0.036\", per: 1h}\n");
	book_write("yen", "book: yen\ncurrency: JPY\nvalid_from: 2020-01-01\n"
	                  "valid_until: 2021-02-28\nprices: {tokens: {price: 5}}\n");
	cr_expect_str_eq(told(), "book.yen: none prices/yen.yaml > "
	                         "JPY from 2020-01-01 until 2021-02-28 prices/yen.yaml:3: "
	                         "(none)\n"
	                         "book.yen.prices.tokens: none prices/yen.yaml > 5 per 1 "
	                         "prices/yen.yaml:5: (none)\n");
}

Test(policy_money, when_a_book_holds_hurts_where_what_lies_between_is_billed, .init = set_up,
     .fini = tear_down)
{
#define PRICES                                                                                 \
	"prices:\n  tokens: {price: \"0.40\", per: 1000000}\n"                                 \
	"  cpu_time: {price: \"0.036\", per: 1h}\n"
	age_tenant();
	book_write("std", "book: std\ncurrency: EUR\nvalid_from: 2020-01-01\n"
	                  "valid_until: 2999-01-01\n" PRICES);
	cr_expect_str_eq(told(), "book.std.valid_until: never default > 2999-01-01 "
	                         "prices/std.yaml:4: (none)\n");
	book_write("std", "book: std\nvalid_until: 2024-03-01\ncurrency: EUR\n"
	                  "valid_from: 2019-12-31\n" PRICES);
	/* Before it was there nothing was used. */
	cr_expect_str_eq(told(), "book.std.valid_from: 2020-01-01 prices/std.yaml:3 > "
	                         "2019-12-31 prices/std.yaml:4: (none)\n"
	                         "book.std.valid_until: never default > 2024-03-01 "
	                         "prices/std.yaml:2: " RATED "\n");
	book_write("std", "book: std\ncurrency: CHF\nvalid_from: 2020-01-01\n" PRICES);
	cr_expect_str_eq(told(), "book.std.currency: EUR prices/std.yaml:2 > CHF "
	                         "prices/std.yaml:2: " RATED "\n");
}

Test(policy_money, a_book_that_goes_is_told_with_its_prices, .init = set_up, .fini = tear_down)
{
	char path[RIG_PATH_BYTES_MAX + 32];

	age_tenant();
	(void)snprintf(path, sizeof(path), "%s/prices/std.yaml", rig.dir);
	cr_assert_eq(unlink(path), 0);
	cr_expect_str_eq(told(), "book.std: EUR from 2020-01-01 until never "
	                         "prices/std.yaml:3 > none prices/std.yaml: " RATED "\n"
	                         "book.std.prices.tokens: 0.40 per 1000000 prices/std.yaml:5 "
	                         "> none prices/std.yaml: " RATED "\n"
	                         "book.std.prices.cpu_time: 0.036 per 1h prices/std.yaml:6 > "
	                         "none prices/std.yaml: " RATED "\n");
}
