/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <ftw.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include <base/backup.h>
#include <base/fd.h>
#include <base/io.h>

#include "identity.h"
#include "store_fixture.h"

TestSuite(store, .timeout = 30);

static void fixture_sql(const struct fixture *fixture, const char *sql)
{
	char path[64];
	sqlite3 *db;

	(void)snprintf(path, sizeof(path), "%s/tenantd.db", fixture->dir);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s",
	             sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

Test(store, gives_a_tenant_back_as_it_was_also_after_a_restart)
{
	static struct tenant_row row, made; /* large: off the stack */
	struct fixture fixture;
	struct tn_error err = { 0 };

	fixture_init(&fixture);
	fixture.store->ops->close(fixture.store);
	fixture_open(&fixture);
	cr_assert_eq(fixture.store->ops->tenant_by_name(fixture.store, "acme", &row, &err), 1);
	made = tenant_make("acme");
	cr_expect(id_equal(&row.id, &fixture.tenant));
	cr_expect_str_eq(row.display_name, made.display_name);
	cr_expect_str_eq(row.metadata, made.metadata);
	cr_expect_eq(row.status, TENANT_ACTIVE);
	cr_expect_str_eq(row.tier, "free");
	cr_expect_eq(row.billing_anchor_day, 15);
	cr_expect_str_eq(row.time_zone, made.time_zone);
	cr_expect_str_eq(row.currency, "EUR");
	cr_expect_str_eq(row.customer_id, "cus_1");
	cr_expect_eq(row.created_at, 1000);
	cr_expect_eq(row.updated_at, 2000);
	cr_expect_eq(row.uid_first, 65536);
	cr_expect_str_eq(row.storage_path, "/var/lib/x");
	tenant_row_done(&made);
	tenant_row_done(&row);
	cr_expect_eq(fixture.store->ops->tenant_by_name(fixture.store, "none", &row, &err), 0);
	fixture_done(&fixture);
}

Test(store, keeps_names_unique_among_the_living)
{
	struct fixture fixture;
	struct tenant_row row;
	struct tenant_row old = { 0 };
	struct tn_error err = { 0 };

	fixture_init(&fixture);
	row = tenant_make("acme");
	cr_expect_eq(fixture.store->ops->tenant_insert(fixture.store, &row, &err), -EEXIST);
	cr_expect_eq(err.code, TN_EXISTS);
	cr_assert_eq(
		fixture.store->ops->tenant_by_id(fixture.store, &fixture.tenant, &old, &err),
		1);
	old.status = TENANT_DELETED;
	cr_assert_eq(fixture.store->ops->tenant_update(fixture.store, &old, NULL, &err), 0,
	             "%s", err.msg);
	cr_expect_eq(fixture.store->ops->tenant_insert(fixture.store, &row, &err), 0, "%s",
	             err.msg);
	tenant_row_done(&row);
	tenant_row_done(&old);
	fixture_done(&fixture);
}

Test(store, loses_no_update)
{
	struct fixture fixture;
	struct tenant_row a = { 0 };
	struct tenant_row b = { 0 };
	struct tn_error err = { 0 };

	fixture_init(&fixture);
	cr_assert_eq(fixture.store->ops->tenant_by_name(fixture.store, "acme", &a, &err), 1);
	cr_assert_eq(fixture.store->ops->tenant_by_name(fixture.store, "acme", &b, &err), 1);
	cr_expect_eq(fixture.store->ops->tenant_update(fixture.store, &a, NULL, &err), 0);
	cr_expect_eq(a.version, 2);
	cr_expect_eq(fixture.store->ops->tenant_update(fixture.store, &b, NULL, &err), -ESTALE);
	cr_expect_eq(err.code, TN_CONFLICT);
	cr_expect_eq(b.version, 1);
	tenant_row_done(&a);
	tenant_row_done(&b);
	fixture_done(&fixture);
}

Test(store, lists_tenants_and_tiers_in_order)
{
	static const char *const names[] = { "zeta", "beta", "alpha" };
	static const char *const expected[] = { "acme", "alpha", "beta", "zeta" };
	struct fixture fixture;
	struct tn_error err = { 0 };
	char after[NAME_BYTES_MAX] = "";
	char tier[NAME_BYTES_MAX] = "";
	struct tenant_row row;

	fixture_init(&fixture);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		row = tenant_make(names[i]);
		(void)snprintf(row.tier, sizeof(row.tier), "%s", i == 0 ? "large" : "free");
		cr_assert_eq(fixture.store->ops->tenant_insert(fixture.store, &row, &err), 0);
		tenant_row_done(&row);
	}
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		cr_assert_eq(fixture.store->ops->tenant_next(fixture.store, after, &row, &err),
		             1);
		cr_expect_str_eq(row.name, expected[i]);
		(void)snprintf(after, sizeof(after), "%s", row.name);
		tenant_row_done(&row);
	}
	cr_expect_eq(fixture.store->ops->tenant_next(fixture.store, after, &row, &err), 0);
	cr_expect_eq(fixture.store->ops->tier_next(fixture.store, tier, tier, &err), 1);
	cr_expect_str_eq(tier, "free");
	cr_expect_eq(fixture.store->ops->tier_next(fixture.store, tier, tier, &err), 1);
	cr_expect_str_eq(tier, "large");
	cr_expect_eq(fixture.store->ops->tier_next(fixture.store, tier, tier, &err), 0);
	fixture_done(&fixture);
}

Test(store, refuses_a_newer_schema_and_leaves_it_alone)
{
	struct fixture fixture;
	struct store *store = NULL;
	struct tn_error err = { 0 };

	fixture_init(&fixture);
	fixture_sql(&fixture, "PRAGMA user_version = 99");
	cr_expect_lt(store_sqlite_open(fixture.dir, &store, &err), 0);
	cr_expect_eq(err.code, TN_UNSUPPORTED);
	cr_expect(strstr(err.msg, "version 99") != NULL, "%s", err.msg);
	fixture_done(&fixture);
}

Test(store, undoes_a_migration_that_fails_halfway)
{
	struct fixture fixture;
	struct store *store = NULL;
	struct tn_error err = { 0 };

	(void)snprintf(fixture.dir, sizeof(fixture.dir), "/tmp/tenantd-st-XXXXXX");
	cr_assert(mkdtemp(fixture.dir) != NULL);
	/* In the way of the first migration's last table. */
	fixture_sql(&fixture, "CREATE TABLE totals (x)");
	cr_expect_lt(store_sqlite_open(fixture.dir, &store, &err), 0);
	fixture_sql(&fixture, "DROP TABLE totals");
	fixture_open(&fixture);
	fixture_done(&fixture);
}

#define EVENTS_SINCE_VERSION 9

/* What was before there were events is told by none; those that are there are counted on. */
static void expect_next_event(const struct fixture *fixture, int version)
{
	struct event event = { .at = 1, .kind = EVENT_RESTARTED, .actor = ACTOR_NONE };
	struct store *store = fixture->store;
	struct store_event_span span;
	struct tn_error err = { 0 };

	cr_assert_eq(store->ops->event_span(store, &span, &err), 0, "%s", err.msg);
	if (version < EVENTS_SINCE_VERSION)
		cr_expect_eq(span.last, 0);
	cr_assert_eq(store->ops->event_tell(store, &event, &err), 0, "%s", err.msg);
	cr_assert_eq(store->ops->event_next(store, NULL, span.last, &event, &err), 1, "%s",
	             err.msg);
	cr_expect_eq(event.seq, span.last + 1);
	event_done(&event);
}

/* What is set has held since the creation. */
static void expect_terms(const struct fixture *fixture, const struct tenant_row *row)
{
	struct store *store = fixture->store;
	struct store_terms terms;
	struct tn_error err = { 0 };

	cr_expect_eq(row->terms_since, row->created_at);
	cr_assert_eq(store->ops->terms_next(store, &row->id, 0, &terms, &err), 1, "%s",
	             err.msg);
	cr_expect_eq(terms.since, row->created_at);
	cr_expect_eq(terms.anchor_day, row->billing_anchor_day);
	cr_expect_str_eq(terms.time_zone, row->time_zone);
	cr_expect_str_eq(terms.currency, row->currency);
	cr_expect_eq(store->ops->terms_next(store, &row->id, terms.since + 1, &terms, &err), 0);
}

static void expect_to_open(int version)
{
	static char sql[65536];
	char path[256];
	struct fixture fixture;
	struct store_totals totals;
	struct store_node node;
	struct tenant_row row = { 0 };
	struct tn_error err = { 0 };
	cleanup_fd int fd = FD_NONE;
	ssize_t n;

	(void)snprintf(path, sizeof(path),
	               TEST_SOURCE_ROOT "/tests/runtime/stores/version-%d.sql", version);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = io_read_all(fd, sql, sizeof(sql) - 1);
	cr_assert_gt(n, 0, "%s", path);
	cr_assert_lt((size_t)n, sizeof(sql) - 1);
	sql[n] = '\0';
	(void)snprintf(fixture.dir, sizeof(fixture.dir), "/tmp/tenantd-st-XXXXXX");
	cr_assert(mkdtemp(fixture.dir) != NULL);
	fixture_sql(&fixture, sql);
	fixture_open(&fixture);
	cr_assert_eq(fixture.store->ops->tenant_by_name(fixture.store, "acme", &row, &err), 1,
	             "%s", err.msg);
	cr_expect_str_eq(row.display_name, "Acme, Inc.");
	cr_expect_eq(row.version, 4);
	cr_expect_str_eq(row.overrides, "");
	cr_expect_str_eq(row.operators, "");
	cr_assert_eq(fixture.store->ops->totals(fixture.store, &row.id, LEDGER_ABSENT,
	                                        LEDGER_ABSENT, &totals, &err),
	             0);
	cr_expect_eq(totals.meters[METER_CPU_TIME], 1000);
	cr_expect_eq(totals.meters[METER_EXECUTIONS], 1);
	/* The hours have the same. */
	cr_assert_eq(fixture.store->ops->totals(fixture.store, &row.id, 0, LEDGER_ABSENT,
	                                        &totals, &err),
	             0);
	cr_expect_eq(totals.meters[METER_CPU_TIME], 1000);
	cr_expect_eq(totals.meters[METER_EXECUTIONS], 1);
	expect_terms(&fixture, &row);
	(void)snprintf(row.overrides, sizeof(row.overrides), "limits.tasks_max=7\n");
	(void)snprintf(row.operators, sizeof(row.operators), "user:alice\n");
	row.status = TENANT_DELETED;
	cr_expect_eq(fixture.store->ops->tenant_update(fixture.store, &row, NULL, &err), 0,
	             "%s", err.msg);
	tenant_row_done(&row);
	cr_expect_eq(fixture.store->ops->tenant_by_name(fixture.store, "acme", &row, &err), 0);
	cr_expect_eq(
		fixture.store->ops->tenant_deleted_by_name(fixture.store, "acme", &row, &err),
		1);
	cr_expect_str_eq(row.overrides, "limits.tasks_max=7\n");
	cr_expect_str_eq(row.operators, "user:alice\n");
	tenant_row_done(&row);
	cr_assert_eq(fixture.store->ops->node_get(fixture.store, &node, &err), 0);
	cr_expect_eq(node.drained_at, LEDGER_ABSENT, "it launches");
	expect_next_event(&fixture, version);
	fixture_done(&fixture);
}

Test(store, finds_those_that_a_start_looks_for_by_name)
{
	static const struct {
		const char *name;
		enum tenant_status status;
		const char *operators;
	} rows[] = {
		{ "b", TENANT_CREATING, "user:alice\n" },
		{ "c", TENANT_ACTIVE, "group:builders\n" },
		{ "d", TENANT_SUSPENDED, "" },
		{ "e", TENANT_DELETING, "" },
		{ "f", TENANT_DELETED, "user:bob\n" },
	};
	static const char *const unsettled = "bde", *const operated = "bc";
	char after[NAME_BYTES_MAX] = "", names[16] = "";
	struct tn_error err = { 0 };
	struct fixture fixture;
	struct store *store;

	fixture_init(&fixture);
	store = fixture.store;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tenant_row row = tenant_make(rows[i].name);

		row.status = rows[i].status;
		(void)snprintf(row.operators, sizeof(row.operators), "%s", rows[i].operators);
		cr_assert_eq(store->ops->tenant_insert(store, &row, &err), 0, "%s", err.msg);
		tenant_row_done(&row);
	}
	for (int kind = 0; kind < 2; kind++) {
		struct tenant_row row = { 0 };
		size_t names_n = 0;

		after[0] = names[0] = '\0';
		while ((kind == 0 ? store->ops->tenant_unsettled_next
		                  : store->ops->tenant_operated_next)(store, after, &row,
		                                                      &err) == 1) {
			(void)snprintf(after, sizeof(after), "%s", row.name);
			names_n += (size_t)snprintf(names + names_n, sizeof(names) - names_n,
			                            "%s", row.name);
			tenant_row_done(&row);
		}
		cr_expect_str_eq(names, kind == 0 ? unsettled : operated);
	}
	fixture_done(&fixture);
}

static void policy_write(const struct fixture *fixture, int tasks_max)
{
	char path[64], text[64];
	cleanup_fd int fd = FD_NONE;

	(void)snprintf(path, sizeof(path), "%s/tiers", fixture->dir);
	(void)mkdir(path, 0755);
	(void)snprintf(path, sizeof(path), "%s/tiers/free.yaml", fixture->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	(void)snprintf(text, sizeof(text), "tier: free\nlimits: {tasks_max: %d}\n",
	               1000 + tasks_max);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Accepted at @at. */
static void policy_accept(const struct fixture *fixture, int tasks_max, int64_t at,
                          char hash[POLICY_HASH_HEX_SIZE])
{
	struct store_policy row = { .accepted_at = at, .accepted_by = LEDGER_ABSENT };
	struct policy *policy;
	struct tn_error err = { 0 };

	policy_write(fixture, tasks_max);
	cr_assert_eq(policy_load(fixture->dir, &policy, &err), 0, "%s", err.msg);
	(void)snprintf(row.hash, sizeof(row.hash), "%s", policy_hash_hex(policy));
	(void)snprintf(hash, POLICY_HASH_HEX_SIZE, "%s", row.hash);
	cr_assert_eq(
		fixture->store->ops->policy_insert(fixture->store, &row, policy, NULL, &err), 0,
		"%s", err.msg);
	(void)policy_free(policy);
}

Test(store, gives_an_accepted_policy_back_whole_and_keeps_the_last_hundred)
{
	char hash[POLICY_HASH_HEX_SIZE], oldest[POLICY_HASH_HEX_SIZE];
	struct store_policy row = { .seq = INT64_MAX };
	struct policy *policy = NULL;
	struct tn_error err = { 0 };
	struct fixture fixture;
	int n = 0;

	fixture_init(&fixture);
	cr_expect_eq(fixture.store->ops->policy_before(fixture.store, INT64_MAX, &row, &err),
	             0);
	policy_accept(&fixture, 1, 1, oldest);
	for (int i = 2; i <= STORE_POLICIES_MAX + 1; i++)
		policy_accept(&fixture, i, i, hash);
	/* One that comes again has its files once, and keeps them as long as any of them. */
	policy_accept(&fixture, 3, 1000, hash);
	cr_expect_eq(fixture.store->ops->policy_by_hash(fixture.store, oldest, &policy, &err),
	             0, "forgotten with its files");
	cr_assert_eq(fixture.store->ops->policy_by_hash(fixture.store, hash, &policy, &err), 1,
	             "%s", err.msg);
	cr_expect_str_eq(policy_hash_hex(policy), hash);
	cr_expect_eq(policy_tier(policy, "free")->limits.tasks_max, 1003);
	(void)policy_free(policy);
	while (fixture.store->ops->policy_before(fixture.store, row.seq, &row, &err) == 1)
		cr_expect_eq(row.accepted_at, n++ == 0 ? 1000 : STORE_POLICIES_MAX + 3 - n);
	cr_expect_eq(n, STORE_POLICIES_MAX);
	cr_expect_eq(row.accepted_by, LEDGER_ABSENT);
	fixture_done(&fixture);
}

/* Of each schema that was before this one there is a saved store. */
Test(store, opens_what_an_earlier_version_has_left)
{
	for (int version = 1; version < BACKUP_SCHEMA; version++)
		expect_to_open(version);
}

Test(store, remembers_whether_the_node_is_drained)
{
	const struct store_node drained = { 1700000000000000, 1000, LEDGER_ABSENT };
	const struct store_node launches = { LEDGER_ABSENT, LEDGER_ABSENT, LEDGER_ABSENT };
	struct store_node node;
	struct fixture fixture;
	struct tn_error err = { 0 };

	fixture_init(&fixture);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(fixture.store->ops->node_get(fixture.store, &node, &err), 0);
		cr_expect_eq(node.drained_at, LEDGER_ABSENT);
		cr_expect_eq(node.drained_by, LEDGER_ABSENT);
		cr_assert_eq(fixture.store->ops->node_set(fixture.store, &drained, NULL, &err),
		             0);
		fixture.store->ops->close(fixture.store);
		fixture_open(&fixture);
		cr_assert_eq(fixture.store->ops->node_get(fixture.store, &node, &err), 0);
		cr_expect_eq(node.drained_at, drained.drained_at);
		cr_expect_eq(node.drained_by, drained.drained_by);
		cr_assert_eq(fixture.store->ops->node_set(fixture.store, &launches, NULL, &err),
		             0);
	}
	fixture_done(&fixture);
}

Test(store, gives_a_record_back_with_what_is_absent)
{
	struct fixture fixture;
	struct record record;
	struct record back;
	struct tn_error err = { 0 };

	fixture_init(&fixture);
	record = record_make(&fixture, RECORD_EXITED, 100);
	record.memory_peak_bytes = INT64_MAX;
	book(&fixture, &record, NULL);
	cr_assert_eq(
		fixture.store->ops->execution_by_id(fixture.store, &record.id, &back, &err), 1);
	for (size_t i = 0; i < RECORD_INTS_N; i++)
		cr_expect_eq(record_int_get(&back, i), record_int_get(&record, i), "%s",
		             record_int_name(i));
	cr_expect_str_eq(back.tenant_name, "acme");
	cr_expect_eq(back.reason, REASON_EXITED);
	cr_expect_eq(back.signal, RECORD_ABSENT);
	fixture_done(&fixture);
}

Test(store, becomes_durable_without_anybody_waiting)
{
	struct fixture fixture;
	struct record record;
	struct pollfd end = { .events = POLLIN };
	struct tn_error err = { 0 };
	int r;

	fixture_init(&fixture);
	end.fd = fixture.store->ops->sync_fd(fixture.store);
	for (int64_t i = 0; i < 3; i++) {
		record = record_make(&fixture, RECORD_EXITED, 100 + i);
		book(&fixture, &record, NULL);
		r = fixture.store->ops->sync_begin(fixture.store, &err);
		cr_assert_geq(r, 0, "%s", err.msg);
		if (r == 1)
			continue;
		cr_expect_eq(fixture.store->ops->sync_begin(fixture.store, &err), -EBUSY);
		cr_assert_eq(poll(&end, 1, 10000), 1);
		cr_assert_eq(fixture.store->ops->sync_end(fixture.store, &err), 0, "%s",
		             err.msg);
		cr_expect_eq(poll(&end, 1, 0), 0);
	}
	/* One under way does not hinder the end. */
	cr_expect_geq(fixture.store->ops->sync_begin(fixture.store, &err), 0);
	fixture_done(&fixture);
}

Test(store, keeps_its_log_short_when_it_may)
{
	struct fixture fixture;
	struct store_figures before;
	struct store_figures after;
	struct record record;
	struct tn_error err = { 0 };

	fixture_init(&fixture);
	for (int round = 0; round < 4; round++) {
		for (int64_t i = 0; i < 400; i++) {
			record = record_make(&fixture, RECORD_EXITED, 100 + i);
			book(&fixture, &record, NULL);
		}
		fixture.store->ops->tidy(fixture.store, true);
		cr_assert_eq(fixture.store->ops->figures(fixture.store,
		                                         round == 0 ? &before : &after, &err),
		             0);
	}
	cr_expect_lt(after.bytes, 2 * before.bytes, "%lld bytes after %lld",
	             (long long)after.bytes, (long long)before.bytes);
	fixture_done(&fixture);
}

static size_t count(struct fixture *fixture, const struct store_selection *selection,
                    int64_t *ret_first)
{
	struct store_place place = { 0 };
	struct record record;
	struct tn_error err = { 0 };
	int64_t last = INT64_MAX;
	size_t n = 0;

	while (fixture->store->ops->execution_next(fixture->store, selection, &place, &record,
	                                           &err) == 1) {
		cr_expect_leq(record.started_at, last, "newest first");
		last = record.started_at;
		if (n++ == 0)
			*ret_first = record.started_at;
	}
	cr_expect_eq(err.code, TN_OK, "%s", err.msg);
	return n;
}

Test(store, lists_executions_newest_first_by_what_is_asked)
{
	struct fixture fixture;
	struct store_selection all = { NULL, RECORD_STATES_N, LEDGER_ABSENT, LEDGER_ABSENT };
	struct store_selection selection = all;
	struct id stranger = identity_new();
	struct record record;
	int64_t first = 0;

	fixture_init(&fixture);
	for (int64_t i = 1; i <= 5; i++) {
		/* Two at the same instant. */
		record = record_make(&fixture, i == 5 ? RECORD_RUNNING : RECORD_EXITED,
		                     (i == 2 ? 1 : i) * 100);
		book(&fixture, &record, NULL);
	}
	cr_expect_eq(count(&fixture, &all, &first), 5);
	cr_expect_eq(first, 500);
	selection.tenant = &fixture.tenant;
	cr_expect_eq(count(&fixture, &selection, &first), 5);
	selection.since = 310;
	cr_expect_eq(count(&fixture, &selection, &first), 3, "ended then or later, or running");
	selection.until = 400;
	cr_expect_eq(count(&fixture, &selection, &first), 1);
	selection = all;
	selection.state = RECORD_RUNNING;
	cr_expect_eq(count(&fixture, &selection, &first), 1);
	cr_expect_eq(first, 500);
	selection.tenant = &stranger;
	cr_expect_eq(count(&fixture, &selection, &first), 0);
	fixture_done(&fixture);
}
