/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is past is forgotten and still counts; and what of it there is slows nobody down. */
#include <criterion/criterion.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>

#include "identity.h"
#include "rig.h"
#include "store/store.h"

TestSuite(retention, .timeout = 60);

#define HOUR INT64_C(3600000000)
#define DAY  (24 * HOUR)
#define NOW  (20000 * DAY)

struct fixture {
	char dir[32];
	struct store *store;
	struct id tenant;
	size_t told; /* of records that were about to go */
};

static sqlite3 *handle; /* the store's own connection */

static int on_open(sqlite3 *db, char **error, const void *api)
{
	(void)error;
	(void)api;
	handle = db;
	return SQLITE_OK;
}

static void fixture_init(struct fixture *fixture)
{
	struct tenant_row row = { .id = identity_new(),
		                  .status = TENANT_ACTIVE,
		                  .billing_anchor_day = 1,
		                  .version = 1 };
	struct tn_error err = { 0 };

	*fixture = (struct fixture){ .dir = "/tmp/tenantd-rt-XXXXXX" };
	cr_assert(mkdtemp(fixture->dir) != NULL);
	cr_assert_eq(sqlite3_auto_extension((void (*)(void))on_open), SQLITE_OK);
	cr_assert_eq(store_sqlite_open(fixture->dir, &fixture->store, &err), 0, "%s", err.msg);
	(void)snprintf(row.name, sizeof(row.name), "acme");
	row.metadata = strdup("{}");
	cr_assert_eq(fixture->store->ops->tenant_insert(fixture->store, &row, &err), 0);
	fixture->tenant = row.id;
	tenant_row_done(&row);
}

static int unlink_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void fixture_done(struct fixture *fixture)
{
	fixture->store->ops->close(fixture->store);
	(void)nftw(fixture->dir, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* One that ran from @started_at to @ended_at, LEDGER_ABSENT of which is what nobody saw, and
 * used 7 of CPU time of what its cgroup then says is @cpu. */
static struct id ran(struct fixture *fixture, int64_t started_at, int64_t ended_at, int64_t cpu)
{
	struct ledger_sample sample = { .tenant = fixture->tenant,
		                        .node = LEDGER_NODE_READ,
		                        .boot_id = "11111111-1111-4111-8111-111111111111",
		                        .cgroup_id = 1,
		                        .at = ended_at,
		                        .raw = { cpu, LEDGER_ABSENT, 100, 200 } };
	struct store_batch batch = { .records_n = 1, .samples = &sample, .samples_n = 1 };
	struct tn_error err = { 0 };
	struct record record;

	record_init(&record);
	record.id = identity_new();
	record.tenant = fixture->tenant;
	record.state = RECORD_EXITED;
	record.reason = REASON_EXITED;
	record.started_at = started_at;
	record.ended_at = ended_at;
	record.wall_usec = ended_at - started_at;
	record.cpu_usec = 7;
	batch.records = &record;
	cr_assert_eq(fixture->store->ops->book(fixture->store, &batch, &err), 0, "%s", err.msg);
	return record.id;
}

static struct store_totals totals(struct fixture *fixture, int64_t since, int64_t until)
{
	struct store_totals ret;
	struct tn_error err = { 0 };

	cr_assert_eq(fixture->store->ops->totals(fixture->store, &fixture->tenant, since, until,
	                                         &ret, &err),
	             0, "%s", err.msg);
	return ret;
}

static void on_pruned(void *userdata, const struct id *tenant, const struct id *id)
{
	struct fixture *fixture = userdata;

	(void)id;
	cr_expect(id_equal(tenant, &fixture->tenant));
	fixture->told++;
}

static int prune(struct fixture *fixture, int64_t before, size_t max)
{
	struct tn_error err = { 0 };
	int r = fixture->store->ops->prune(fixture->store, before, max, on_pruned, fixture,
	                                   &err);

	cr_assert_geq(r, 0, "%s", err.msg);
	return r;
}

static int64_t itemized_since(const struct fixture *fixture)
{
	struct store_node node;
	struct tn_error err = { 0 };

	cr_assert_eq(fixture->store->ops->node_get(fixture->store, &node, &err), 0);
	return node.itemized_since;
}

/* How many executions a list of what ran within these bounds has. */
static size_t listed(struct fixture *fixture, int64_t since, int64_t until)
{
	struct store_selection selection = { .tenant = &fixture->tenant,
		                             .state = RECORD_STATES_N,
		                             .since = since,
		                             .until = until };
	struct store_place place = { 0 };
	struct tn_error err = { 0 };
	int64_t last = INT64_MAX;
	struct record record;
	size_t n = 0;
	int r;

	while ((r = fixture->store->ops->execution_next(fixture->store, &selection, &place,
	                                                &record, &err)) == 1) {
		cr_expect_leq(record.started_at, last);
		last = record.started_at;
		n++;
	}
	cr_assert_eq(r, 0, "%s", err.msg);
	return n;
}

static void expect_equal(const struct store_totals *a, const struct store_totals *b)
{
	for (int i = 0; i < LEDGER_METERS_N; i++)
		cr_expect_eq(a->meters[i], b->meters[i], "%s: %lld and %lld",
		             ledger_meter_name((enum ledger_meter)i), (long long)a->meters[i],
		             (long long)b->meters[i]);
}

Test(retention, forgets_what_ended_before_and_no_total_changes)
{
	struct fixture fixture;
	struct store_totals before, before_range, after;

	fixture_init(&fixture);
	for (int i = 0; i < 10; i++)
		(void)ran(&fixture, NOW - 10 * DAY + i * DAY, NOW - 10 * DAY + i * DAY + 5000,
		          10 * (i + 1));
	before = totals(&fixture, LEDGER_ABSENT, LEDGER_ABSENT);
	before_range = totals(&fixture, NOW - 9 * DAY, NOW - 2 * DAY);
	cr_assert_eq(before.meters[METER_EXECUTIONS], 10);
	cr_assert_eq(before.meters[METER_CPU_TIME], 100);
	cr_assert_eq(before_range.meters[METER_EXECUTIONS], 7);
	cr_assert_eq(before_range.meters[METER_CPU_TIME], 70);
	cr_expect_eq(itemized_since(&fixture), LEDGER_ABSENT);

	/* Five are from before then, in batches of two. */
	cr_expect_eq(prune(&fixture, NOW - 5 * DAY, 2), 1);
	cr_expect_eq(listed(&fixture, LEDGER_ABSENT, LEDGER_ABSENT), 8);
	after = totals(&fixture, LEDGER_ABSENT, LEDGER_ABSENT);
	expect_equal(&before, &after);
	while (prune(&fixture, NOW - 5 * DAY, 2) == 1)
		;
	cr_expect_eq(fixture.told, 5);
	cr_expect_eq(listed(&fixture, LEDGER_ABSENT, LEDGER_ABSENT), 5);
	cr_expect_eq(itemized_since(&fixture), NOW - 5 * DAY);
	after = totals(&fixture, LEDGER_ABSENT, LEDGER_ABSENT);
	expect_equal(&before, &after);
	after = totals(&fixture, NOW - 9 * DAY, NOW - 2 * DAY);
	expect_equal(&before_range, &after);
	/* There is nothing more to forget, and it is durable as anything. */
	cr_expect_eq(prune(&fixture, NOW - 5 * DAY, 2), 0);
	cr_expect_eq(fixture.told, 5);
	fixture_done(&fixture);
}

Test(retention, counts_whole_hours_of_what_it_has_forgotten)
{
	struct fixture fixture;
	const int64_t noon = NOW - NOW % DAY + 12 * HOUR;
	struct store_totals range;

	fixture_init(&fixture);
	(void)ran(&fixture, noon, noon + HOUR / 4, 10);
	(void)ran(&fixture, noon, noon + HOUR / 2, 20);
	(void)ran(&fixture, noon, noon + HOUR, 30);
	while (prune(&fixture, noon + 2 * HOUR, 64) == 1)
		;
	range = totals(&fixture, noon, noon + HOUR / 4);
	cr_expect_eq(range.meters[METER_EXECUTIONS], 2);
	cr_expect_eq(range.meters[METER_CPU_TIME], 20);
	cr_expect_eq(range.meters[METER_EXECUTION_TIME], HOUR / 4 + HOUR / 2);
	range = totals(&fixture, noon + 1, noon + 2 * HOUR);
	cr_expect_eq(range.meters[METER_EXECUTIONS], 1);
	cr_expect_eq(range.meters[METER_CPU_TIME], 10);
	fixture_done(&fixture);
}

Test(retention, keeps_what_runs_and_what_ended_later_however_long_ago_it_began)
{
	struct fixture fixture;
	struct tn_error err = { 0 };
	struct record record;
	struct store_batch batch = { .records = &record, .records_n = 1 };

	fixture_init(&fixture);
	record_init(&record);
	record.id = identity_new();
	record.tenant = fixture.tenant;
	record.started_at = NOW - 10 * DAY;
	cr_assert_eq(fixture.store->ops->book(fixture.store, &batch, &err), 0, "%s", err.msg);
	(void)ran(&fixture, NOW - 10 * DAY, NOW - DAY, 10);
	(void)ran(&fixture, NOW - 10 * DAY, NOW - 9 * DAY, 20);
	while (prune(&fixture, NOW - 5 * DAY, 1) == 1)
		;
	cr_expect_eq(fixture.told, 1);
	cr_expect_eq(listed(&fixture, LEDGER_ABSENT, LEDGER_ABSENT), 2);
	fixture_done(&fixture);
}

Test(retention, rolls_up_and_forgets_together_or_not_at_all)
{
	struct fixture fixture;
	struct store_totals before, after;
	struct tn_error err = { 0 };

	fixture_init(&fixture);
	for (int i = 0; i < 4; i++)
		(void)ran(&fixture, NOW - 9 * DAY + i, NOW - 9 * DAY + i + 5, 10 * (i + 1));
	before = totals(&fixture, NOW - 10 * DAY, NOW);
	/* The store refuses amid the work: when the third is to go. */
	cr_assert_eq(sqlite3_exec(handle,
	                          "CREATE TEMP TRIGGER stop BEFORE DELETE ON main.executions "
	                          "WHEN (SELECT count(*) FROM executions) = 2 "
	                          "BEGIN SELECT raise(ABORT, 'stop'); END",
	                          NULL, NULL, NULL),
	             SQLITE_OK, "%s", sqlite3_errmsg(handle));
	cr_expect_lt(fixture.store->ops->prune(fixture.store, NOW, 64, NULL, NULL, &err), 0);
	cr_expect_eq(listed(&fixture, LEDGER_ABSENT, LEDGER_ABSENT), 4);
	cr_expect_eq(itemized_since(&fixture), LEDGER_ABSENT);
	after = totals(&fixture, NOW - 10 * DAY, NOW);
	expect_equal(&before, &after);
	fixture_done(&fixture);
}

Test(retention, lists_what_ran_within_bounds_also_where_it_lies_across_them)
{
	struct fixture fixture;

	fixture_init(&fixture);
	(void)ran(&fixture, 100, 200, 10);
	(void)ran(&fixture, 150, 500, 20);
	(void)ran(&fixture, 400, 450, 30);
	(void)ran(&fixture, 600, 700, 40);
	cr_expect_eq(listed(&fixture, LEDGER_ABSENT, LEDGER_ABSENT), 4);
	cr_expect_eq(listed(&fixture, 300, LEDGER_ABSENT), 3);
	cr_expect_eq(listed(&fixture, 300, 600), 2);
	cr_expect_eq(listed(&fixture, 200, 400), 2);
	cr_expect_eq(listed(&fixture, LEDGER_ABSENT, 150), 1);
	cr_expect_eq(listed(&fixture, 500, 600), 1);
	cr_expect_eq(listed(&fixture, 501, 600), 0);
	cr_expect_eq(listed(&fixture, 701, LEDGER_ABSENT), 0);
	fixture_done(&fixture);
}

/* "SCAN e" walks through all of a table; along an index, and only as far as one row, it does
 * not. */
static void expect_no_scan(const char *sql)
{
	static const char *const grown[] = { "SCAN e", "SCAN executions", "SCAN hours",
		                             "SCAN epochs" };
	sqlite3_stmt *plan = NULL;
	char text[4096];

	(void)snprintf(text, sizeof(text), "EXPLAIN QUERY PLAN %s", sql);
	cr_assert_eq(sqlite3_prepare_v2(handle, text, -1, &plan, NULL), SQLITE_OK, "%s", sql);
	while (sqlite3_step(plan) == SQLITE_ROW) {
		const char *step = (const char *)sqlite3_column_text(plan, 3);

		for (size_t i = 0; i < ARRAY_LEN(grown); i++) {
			const size_t n = strlen(grown[i]);

			if (strncmp(step, grown[i], n) == 0 &&
			    (step[n] == '\0' || step[n] == ' '))
				cr_expect(strstr(sql, "ORDER BY seq LIMIT 1") != NULL,
				          "\"%s\" in the plan of: %s", step, sql);
		}
	}
	(void)sqlite3_finalize(plan);
}

Test(retention, walks_through_no_table_that_grows)
{
	struct fixture fixture;
	sqlite3_stmt *statement = NULL;
	size_t n = 0;

	fixture_init(&fixture);
	cr_assert(handle != NULL);
	while ((statement = sqlite3_next_stmt(handle, statement)) != NULL) {
		const char *sql = sqlite3_sql(statement);

		/* All that is newest first goes along an index, one row a time. */
		if (strstr(sql, "WHERE (e.started_at, e.id) <") == NULL)
			expect_no_scan(sql);
		n++;
	}
	cr_expect_geq(n, 30);
	fixture_done(&fixture);
}

/* Steps of SQLite's machine, of all statements since the last time. */
static int64_t steps_taken(void)
{
	sqlite3_stmt *statement = NULL;
	int64_t steps = 0;

	while ((statement = sqlite3_next_stmt(handle, statement)) != NULL)
		steps += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1);
	return steps;
}

/* What people ask for most, and what a launch writes. */
static int64_t steps_of_a_day(struct fixture *fixture)
{
	struct store_selection running = { .state = RECORD_RUNNING,
		                           .since = LEDGER_ABSENT,
		                           .until = LEDGER_ABSENT };
	struct store_place place = { 0 };
	struct tn_error err = { 0 };
	struct record record;

	(void)steps_taken();
	cr_assert_eq(fixture->store->ops->execution_next(fixture->store, &running, &place,
	                                                 &record, &err),
	             0);
	(void)totals(fixture, LEDGER_ABSENT, LEDGER_ABSENT);
	(void)totals(fixture, NOW, LEDGER_ABSENT);
	(void)listed(fixture, NOW, LEDGER_ABSENT);
	(void)listed(fixture, LEDGER_ABSENT, 1);
	(void)ran(fixture, NOW + 10, NOW + 20, 50);
	return steps_taken();
}

Test(retention, asks_no_more_of_a_store_with_a_past_than_of_an_empty_one)
{
	struct fixture empty, full;
	int64_t of_empty, of_full;

	fixture_init(&empty);
	/* The first is booked in another way than all that follow. */
	(void)ran(&empty, NOW - 9 * DAY, NOW - 9 * DAY + 5, 1);
	of_empty = steps_of_a_day(&empty);
	fixture_done(&empty);

	fixture_init(&full);
	for (int i = 0; i < 3000; i++)
		(void)ran(&full, NOW - 9 * DAY + i, NOW - 9 * DAY + i + 5, i + 1);
	of_full = steps_of_a_day(&full);
	cr_expect_leq(of_full, of_empty + of_empty / 4, "%lld steps, and %lld when empty",
	              (long long)of_full, (long long)of_empty);
	fixture_done(&full);
}

/* As an admin sees it: by the policy, by itself, with its output. */
Test(retention, follows_the_policy_and_says_since_when_it_lists)
{
	struct rig rig = { 0 };
	struct varlink *link;
	static union rig_message launch, apply;
	char log[3 * RIG_PATH_BYTES_MAX], tenant[ID_TEXT_BYTES], id[ID_TEXT_BYTES];
	struct spec_exited exited;
	json_t *answer;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_logger(&rig);
	rig_run_detached(&rig, link, "acme", NULL);
	rig_take(&rig, SPEC_LAUNCH, &launch);
	rig_started(&rig, &launch);
	json_decref(rig_answer(&rig, link));
	exited = rig_exited_of(&launch, 0, 1000);
	rig_exited(&rig, &exited);
	rig_window(&rig);
	rig_take(&rig, SPEC_SETTLED, &apply);
	id_format(&launch.launch.tenant, tenant);
	id_format(&launch.launch.execution, id);
	(void)snprintf(log, sizeof(log), "%s/store/logs/%s/%s", rig.dir, tenant, id);
	cr_assert_eq(access(log, F_OK), 0);
	rig_send(&rig, SPEC_REPLAYED, 0, &(struct spec_head){ 0 }, sizeof(struct spec_head));

	rig_write(&rig, "tenantd.yaml", "retention: {executions: 30d}\n");
	rig_call(&rig, link, "io.tenantd.ReloadPolicy", json_object(), NULL);
	rig_take(&rig, SPEC_TENANT_APPLY, &apply);
	rig_reply(&rig, &apply, TN_OK);
	json_decref(rig_answer(&rig, link));
	for (int i = 0; i < 100 && access(log, F_OK) == 0; i++)
		rig_window(&rig);
	cr_expect_neq(access(log, F_OK), 0);
	answer = rig_ask(&rig, link, "io.tenantd.GetUsage",
	                 json_pack("{s:s}", "tenant", "acme"), "more");
	cr_expect_eq(rig_number(json_object_get(answer, "meters"), "executions"), 1);
	cr_expect_eq(rig_number(json_object_get(answer, "meters"), "execution_time"), 500000);
	json_decref(answer);
	answer = rig_ask(&rig, link, "io.tenantd.ListExecutions", json_pack("{s:b}", "all", 1),
	                 "more");
	cr_expect_null(json_object_get(answer, "execution"));
	json_decref(answer);
	(void)varlink_free(link);
	rig_done(&rig);
}
