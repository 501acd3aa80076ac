/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Power loss, as the store's file system has it: what was written and not synced is not there
 * any more, or some of it is. The store opens, what was acknowledged as durable is there, and
 * of what was accepted no more is missing than what came after the last sync, in whole
 * transactions.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faulty_vfs.h"
#include "identity.h"
#include "store/store.h"

TestSuite(power_loss, .timeout = 120);

#define SEEDS_N    40
#define DURABLE_N  7
#define ACCEPTED_N 5

static char dir[64];

static void set_up(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/tenantd-pl-XXXXXX");
	cr_assert(mkdtemp(dir) != NULL);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void tear_down(void)
{
	(void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct store *opened(void)
{
	struct store *store = NULL;
	struct tn_error err = { 0 };

	cr_assert_eq(store_sqlite_open(dir, &store, &err), 0, "%s", err.msg);
	return store;
}

static int tenant_add(struct store *store, const char *name, struct id *ret)
{
	struct tenant_row row = { .id = identity_new(),
		                  .status = TENANT_ACTIVE,
		                  .billing_anchor_day = 1,
		                  .version = 1 };
	struct tn_error err = { 0 };
	int r;

	(void)snprintf(row.name, sizeof(row.name), "%s", name);
	(void)snprintf(row.tier, sizeof(row.tier), "free");
	row.metadata = strdup("{}");
	r = store->ops->tenant_insert(store, &row, &err);
	*ret = row.id;
	tenant_row_done(&row);
	return r;
}

/* One execution that has ended, and as many microseconds as there are so far. */
static int book(struct store *store, const struct id *tenant, int64_t n)
{
	struct record record;
	struct ledger_sample sample = { .tenant = *tenant, .cgroup_id = 9, .at = 5000 + n };
	struct store_batch batch = {
		.records = &record, .records_n = 1, .samples = &sample, .samples_n = 1
	};
	struct tn_error err = { 0 };

	record_init(&record);
	record.id = identity_new();
	record.tenant = *tenant;
	record.started_at = 3000 + n;
	record.state = RECORD_EXITED;
	record.reason = REASON_EXITED;
	record.cpu_usec = 10;
	sample.node = LEDGER_NODE_READ;
	(void)snprintf(sample.boot_id, sizeof(sample.boot_id), "boot");
	for (int i = 0; i < LEDGER_NODE_N; i++)
		sample.raw[i] = 10 * n;
	return store->ops->book(store, &batch, &err);
}

/* In a process of its own, which the power loss ends. Returns 0 if each answer was as it
 * should. */
static int work_until_power_is_lost(unsigned int seed)
{
	struct tn_error err = { 0 };
	struct store *store;
	struct id tenant, other;
	int r = 0;

	faulty_vfs_register();
	faulty_vfs_volatile();
	if (store_sqlite_open(dir, &store, &err) < 0)
		return 1;
	r |= tenant_add(store, "acme", &tenant);
	for (int64_t n = 1; n <= DURABLE_N; n++)
		r |= book(store, &tenant, n);
	r |= store->ops->sync(store, &err);
	/* Durable at its answer, and with it whatever was accepted before. */
	r |= book(store, &tenant, DURABLE_N + 1);
	r |= tenant_add(store, "globex", &other);
	for (int64_t n = 1; n <= ACCEPTED_N; n++)
		r |= book(store, &tenant, DURABLE_N + 1 + n);
	/* What is being moved into the database does not count as moved. */
	if (seed % 3 == 0)
		store->ops->tidy(store, true);
	faulty_vfs_power_loss(seed);
	return r != 0;
}

static void lose_power(unsigned int seed)
{
	pid_t pid = fork();
	int status = 0;

	cr_assert_geq(pid, 0);
	if (pid == 0)
		_exit(work_until_power_is_lost(seed));
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
}

/* How many executions are there. The sum of what they used must be what the ledger has. */
static int64_t booked(struct store *store)
{
	struct tenant_row row = { 0 };
	struct store_totals totals;
	struct tn_error err = { 0 };

	cr_assert_eq(store->ops->tenant_by_name(store, "globex", &row, &err), 1, "durable");
	tenant_row_done(&row);
	cr_assert_eq(store->ops->tenant_by_name(store, "acme", &row, &err), 1, "durable");
	cr_assert_eq(
		store->ops->totals(store, &row.id, LEDGER_ABSENT, LEDGER_ABSENT, &totals, &err),
		0, "%s", err.msg);
	tenant_row_done(&row);
	cr_expect_eq(totals.meters[METER_CPU_TIME], 10 * totals.meters[METER_EXECUTIONS]);
	cr_expect_eq(totals.meters[METER_CPU_ATTRIBUTED], totals.meters[METER_CPU_TIME]);
	return totals.meters[METER_EXECUTIONS];
}

Test(power_loss, takes_what_was_not_synced_and_nothing_else, .init = set_up, .fini = tear_down)
{
	struct store *store;

	lose_power(0);
	store = opened();
	/* Fewer than were accepted: the layer does lose what nobody synced. */
	cr_expect_eq(booked(store), DURABLE_N + 1);
	store->ops->close(store);
}

Test(power_loss, of_some_writes_leaves_whole_transactions)
{
	int64_t least = INT64_MAX, most = 0;

	for (unsigned int seed = 1; seed <= SEEDS_N; seed++) {
		struct store *store;
		int64_t n;

		set_up();
		lose_power(seed);
		store = opened();
		n = booked(store);
		cr_expect(n >= DURABLE_N + 1 && n <= DURABLE_N + 1 + ACCEPTED_N,
		          "%lld executions with seed %u", (long long)n, seed);
		least = n < least ? n : least;
		most = n > most ? n : most;
		store->ops->close(store);
		tear_down();
	}
	cr_expect_lt(least, most, "chance decides how much of the last window is there");
}
