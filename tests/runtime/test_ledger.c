/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is booked: once, in its hour, and so that the sums close. */
#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "identity.h"
#include "store_fixture.h"

TestSuite(ledger, .timeout = 30);

/* What the ledger's invariant says of what is stored. */
static void expect_closed(struct fixture *fixture, int64_t cpu, int64_t attributed)
{
	struct store_totals totals = totals_of(fixture);

	cr_expect_eq(totals.meters[METER_CPU_TIME], cpu, "cpu_time %lld",
	             (long long)totals.meters[METER_CPU_TIME]);
	cr_expect_eq(totals.meters[METER_CPU_ATTRIBUTED], attributed, "attributed %lld",
	             (long long)totals.meters[METER_CPU_ATTRIBUTED]);
	cr_expect_eq(totals.meters[METER_CPU_UNATTRIBUTED], cpu - attributed,
	             "unattributed %lld", (long long)totals.meters[METER_CPU_UNATTRIBUTED]);
}

Test(ledger, books_a_record_once_however_often_it_comes)
{
	struct fixture fixture;
	struct record running;
	struct record record;
	struct record forged;
	struct record back;
	struct tn_error err = { 0 };

	fixture_init(&fixture);
	running = record_make(&fixture, RECORD_RUNNING, 100);
	record = record_make(&fixture, RECORD_EXITED, 100);
	record.id = running.id;
	book(&fixture, &running, NULL);
	book(&fixture, &record, NULL);
	book(&fixture, &record, NULL);
	book(&fixture, &running, NULL);
	forged = record;
	forged.cpu_usec = 99;
	book(&fixture, &forged, NULL);
	cr_assert_eq(
		fixture.store->ops->execution_by_id(fixture.store, &record.id, &back, &err), 1);
	cr_expect_eq(back.state, RECORD_EXITED);
	cr_expect_eq(back.cpu_usec, 5);
	cr_expect_eq(totals_of(&fixture).meters[METER_EXECUTIONS], 1);
	cr_expect_eq(totals_of(&fixture).meters[METER_CPU_ATTRIBUTED], 5);
	fixture_done(&fixture);
}

Test(ledger, books_all_of_a_batch_or_nothing)
{
	struct fixture fixture;
	struct record records[2];
	struct store_batch batch = { .records = records, .records_n = 2 };
	struct record back;
	struct tn_error err = { 0 };

	fixture_init(&fixture);
	records[0] = record_make(&fixture, RECORD_EXITED, 100);
	records[1] = record_make(&fixture, RECORD_EXITED, 200);
	records[1].tenant = identity_new();
	cr_expect_lt(fixture.store->ops->book(fixture.store, &batch, &err), 0);
	cr_expect_eq(
		fixture.store->ops->execution_by_id(fixture.store, &records[0].id, &back, &err),
		0);
	cr_expect_eq(totals_of(&fixture).meters[METER_EXECUTIONS], LEDGER_ABSENT);
	fixture_done(&fixture);
}

static int epoch_see(void *userdata, int n, char **values, char **names)
{
	char *text = userdata;

	(void)n;
	(void)names;
	(void)strcat(strcat(strcat(strcat(text, values[0]), " "), values[1]), "\n");
	return 0;
}

/* What each had counted when another took its place is kept, as evidence. */
static void expect_epochs(const struct fixture *fixture)
{
	char path[64], text[256] = "";
	sqlite3 *db;

	(void)snprintf(path, sizeof(path), "%s/tenantd.db", fixture->dir);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "SELECT cgroup_id, raw_cpu_time FROM epochs ORDER BY seq",
	                          epoch_see, text, NULL),
	             SQLITE_OK, "%s", sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
	cr_expect_str_eq(text, "7 1500\n8 1600\n8 1700\n");
}

Test(ledger, begins_an_epoch_with_every_boot_cgroup_and_reset)
{
	struct fixture fixture;
	struct ledger_sample sample;

	fixture_init(&fixture);
	sample = sample_make(&fixture, BOOT_A, 7, 1000);
	book(&fixture, NULL, &sample);
	cr_expect_eq(totals_of(&fixture).meters[METER_CPU_TIME], 1000, "the first reading");
	book(&fixture, NULL, &sample);
	cr_expect_eq(totals_of(&fixture).meters[METER_CPU_TIME], 1000,
	             "the same reading twice");
	sample.raw[METER_CPU_TIME] = 1500;
	book(&fixture, NULL, &sample);
	cr_expect_eq(totals_of(&fixture).meters[METER_CPU_TIME], 1500);
	sample = sample_make(&fixture, BOOT_A, 8, 1600);
	book(&fixture, NULL, &sample);
	cr_expect_eq(totals_of(&fixture).meters[METER_CPU_TIME], 3100, "another cgroup");
	sample = sample_make(&fixture, BOOT_B, 8, 1700);
	book(&fixture, NULL, &sample);
	cr_expect_eq(totals_of(&fixture).meters[METER_CPU_TIME], 4800, "another boot");
	sample.raw[METER_CPU_TIME] = 10;
	book(&fixture, NULL, &sample);
	cr_expect_eq(totals_of(&fixture).meters[METER_CPU_TIME], 4810, "below the cursor");
	cr_expect_eq(totals_of(&fixture).meters[METER_THROTTLED_TIME], LEDGER_ABSENT);
	cr_expect_eq(totals_of(&fixture).meters[METER_IO_READ_BYTES], 300, "three epochs");
	expect_epochs(&fixture);
	fixture_done(&fixture);
}

Test(ledger, counts_anew_what_another_cgroup_did_not_tell_at_first)
{
	struct fixture fixture;
	struct ledger_sample sample;

	fixture_init(&fixture);
	sample = sample_make(&fixture, BOOT_A, 7, 1000);
	book(&fixture, NULL, &sample);
	sample = sample_make(&fixture, BOOT_A, 8, 10);
	sample.raw[METER_IO_READ_BYTES] = LEDGER_ABSENT;
	book(&fixture, NULL, &sample);
	cr_expect_eq(totals_of(&fixture).meters[METER_IO_READ_BYTES], 100);
	/* More than the other one had by then, and all of it is this one's. */
	sample.raw[METER_IO_READ_BYTES] = 150;
	book(&fixture, NULL, &sample);
	cr_expect_eq(totals_of(&fixture).meters[METER_IO_READ_BYTES], 250);
	fixture_done(&fixture);
}

Test(ledger, closes_the_sum_of_whole_and_parts)
{
	struct fixture fixture;
	struct record record;
	struct ledger_sample sample;

	fixture_init(&fixture);
	record = record_make(&fixture, RECORD_EXITED, 100);
	record.cpu_usec = 600;
	sample = sample_make(&fixture, BOOT_A, 7, 1000);
	book(&fixture, &record, &sample);
	expect_closed(&fixture, 1000, 600);

	/* What runs has its share, which is neither attributed nor unattributed. */
	sample.raw[METER_CPU_TIME] = 1200;
	sample.running_cpu_usec = 150;
	book(&fixture, NULL, &sample);
	cr_expect_eq(totals_of(&fixture).meters[METER_CPU_UNATTRIBUTED], 450);
	fixture_done(&fixture);
}

Test(ledger, trusts_records_when_their_cgroup_is_gone)
{
	struct fixture fixture;
	struct record record;
	struct ledger_sample sample;

	fixture_init(&fixture);
	sample = sample_make(&fixture, BOOT_A, 7, 1000);
	book(&fixture, NULL, &sample);
	record = record_make(&fixture, RECORD_EXITED, 100);
	record.cpu_usec = 1700;
	sample.node = LEDGER_NODE_UNREADABLE;
	book(&fixture, &record, &sample);
	cr_expect_eq(totals_of(&fixture).meters[METER_CPU_TIME], 1000,
	             "what cannot be read now may be read later");
	sample.node = LEDGER_NODE_GONE;
	book(&fixture, NULL, &sample);
	expect_closed(&fixture, 1700, 1700);
	sample = sample_make(&fixture, BOOT_A, 9, 50);
	book(&fixture, NULL, &sample);
	expect_closed(&fixture, 1750, 1700);
	fixture_done(&fixture);
}

Test(ledger, sums_what_lies_in_a_range)
{
	struct fixture fixture;
	struct ledger_sample sample;
	struct record record;
	struct store_totals totals;
	struct tn_error err = { 0 };

	fixture_init(&fixture);
	for (int64_t i = 1; i <= 3; i++) {
		sample = sample_make(&fixture, BOOT_A, 7, i * 100);
		sample.at = i * LEDGER_HOUR_USEC + 1000;
		record = record_make(&fixture, RECORD_EXITED, i * LEDGER_HOUR_USEC + 10);
		book(&fixture, &record, &sample);
	}
	cr_assert_eq(fixture.store->ops->totals(fixture.store, &fixture.tenant,
	                                        2 * LEDGER_HOUR_USEC, 3 * LEDGER_HOUR_USEC,
	                                        &totals, &err),
	             0, "%s", err.msg);
	cr_expect_eq(totals.meters[METER_CPU_TIME], 100);
	cr_expect_eq(totals.meters[METER_EXECUTIONS], 1);
	cr_expect_eq(totals.meters[METER_EXECUTION_TIME], 10);
	cr_expect_eq(totals.meters[METER_CPU_UNATTRIBUTED], LEDGER_ABSENT);
	cr_assert_eq(fixture.store->ops->totals(fixture.store, &fixture.tenant, LEDGER_ABSENT,
	                                        3 * LEDGER_HOUR_USEC, &totals, &err),
	             0);
	cr_expect_eq(totals.meters[METER_CPU_TIME], 200);
	fixture_done(&fixture);
}
