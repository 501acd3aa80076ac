/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench-store COUNT: what the store costs that has so many executions of the past, against one
 * of hardly any: what ps, usage and a launch ask of it, and how fast it takes and forgets them.
 * One JSON object a line, times as medians in nanoseconds.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <base/num.h>

#include "identity.h"
#include "store/store.h"

#define SAMPLES    501
#define BATCH      500
#define DAY        INT64_C(86400000000)
#define NOW        (20000 * DAY)
#define COUNT_MAX  100000000
#define TENANTS_N  10
#define PRUNE_MAX  64
#define NSEC_PER_S 1000000000

static struct bench {
	char dir[40];
	struct store *store;
	struct id tenants[TENANTS_N];
	int64_t cpu[TENANTS_N];
	int64_t n; /* executions so far */
} bench;

static struct tn_error err;

static void require(int r)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "bench-store: %s\n", err.msg);
	exit(1);
}

static int64_t nsec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NSEC_PER_S + ts.tv_nsec;
}

static void open_store(void)
{
	(void)snprintf(bench.dir, sizeof(bench.dir), "%s", "/var/tmp/tenantd-bench-XXXXXX");
	if (mkdtemp(bench.dir) == NULL) {
		perror("bench-store");
		exit(1);
	}
	require(store_sqlite_open(bench.dir, &bench.store, &err));
	for (size_t i = 0; i < TENANTS_N; i++) {
		struct tenant_row row = { .id = identity_new(),
			                  .status = TENANT_ACTIVE,
			                  .billing_anchor_day = 1,
			                  .version = 1 };

		(void)snprintf(row.name, sizeof(row.name), "t%zu", i);
		row.metadata = strdup("{}");
		require(bench.store->ops->tenant_insert(bench.store, &row, &err));
		bench.tenants[i] = row.id;
		tenant_row_done(&row);
	}
}

/* The next of the past: they end a second after one another, tenant by tenant. */
static struct record record_make(int64_t at, size_t tenant)
{
	struct record record;

	record_init(&record);
	record.id = identity_new();
	record.tenant = bench.tenants[tenant];
	record.state = RECORD_EXITED;
	record.reason = REASON_EXITED;
	(void)snprintf(record.policy_hash, sizeof(record.policy_hash), "%064d", 0);
	for (size_t i = 0; i < RECORD_INTS_N; i++)
		*record_int(&record, i) = 1000;
	record.started_at = at;
	record.ended_at = at + 500000;
	return record;
}

static struct ledger_sample sample_make(int64_t at, size_t tenant)
{
	struct ledger_sample sample = { .tenant = bench.tenants[tenant],
		                        .node = LEDGER_NODE_READ,
		                        .boot_id = "11111111-1111-4111-8111-111111111111",
		                        .cgroup_id = 1,
		                        .at = at };

	bench.cpu[tenant] += 1000;
	for (size_t i = 0; i < LEDGER_NODE_N; i++)
		sample.raw[i] = bench.cpu[tenant];
	return sample;
}

static void fill(int64_t count)
{
	static struct record records[BATCH];
	struct ledger_sample samples[TENANTS_N];

	for (int64_t done = 0; done < count; done += BATCH) {
		const struct store_batch batch = { .records = records,
			                           .records_n = BATCH,
			                           .samples = samples,
			                           .samples_n = TENANTS_N };

		for (int64_t i = 0; i < BATCH; i++)
			records[i] = record_make(NOW - 100 * DAY + (done + i) * 1000000,
			                         (size_t)(i % TENANTS_N));
		for (size_t i = 0; i < TENANTS_N; i++)
			samples[i] = sample_make(NOW - 100 * DAY + done * 1000000, i);
		require(bench.store->ops->book(bench.store, &batch, &err));
		bench.store->ops->tidy(bench.store, false);
	}
}

static void ps(void)
{
	const struct store_selection running = { .state = RECORD_RUNNING,
		                                 .since = LEDGER_ABSENT,
		                                 .until = LEDGER_ABSENT };
	struct store_place place = { 0 };
	struct record record;

	require(bench.store->ops->execution_next(bench.store, &running, &place, &record, &err));
}

static void usage(void)
{
	struct store_totals totals;

	require(bench.store->ops->totals(bench.store, &bench.tenants[0], LEDGER_ABSENT,
	                                 LEDGER_ABSENT, &totals, &err));
}

static void usage_since(void)
{
	const struct store_selection selection = { .tenant = &bench.tenants[0],
		                                   .state = RECORD_STATES_N,
		                                   .since = NOW - 3600 * INT64_C(1000000),
		                                   .until = LEDGER_ABSENT };
	struct store_place place = { 0 };
	struct store_totals totals;
	struct record record;

	require(bench.store->ops->totals(bench.store, &bench.tenants[0], selection.since,
	                                 LEDGER_ABSENT, &totals, &err));
	require(bench.store->ops->execution_next(bench.store, &selection, &place, &record,
	                                         &err));
}

/* What a launch books: that it runs, and then how it ended, with a reading. */
static void launch(void)
{
	struct record record = record_make(NOW - 2 * DAY + bench.n, TENANTS_N - 1);
	const struct ledger_sample sample = sample_make(NOW - 2 * DAY + bench.n++,
	                                                TENANTS_N - 1);
	struct store_batch batch = { .records = &record, .records_n = 1 };

	record.state = RECORD_RUNNING;
	record.reason = REASON_NONE;
	require(bench.store->ops->book(bench.store, &batch, &err));
	record.state = RECORD_EXITED;
	record.reason = REASON_EXITED;
	batch.samples = &sample;
	batch.samples_n = 1;
	require(bench.store->ops->book(bench.store, &batch, &err));
	bench.store->ops->tidy(bench.store, false);
}

static void prune(void)
{
	require(bench.store->ops->prune(bench.store, NOW - 5 * DAY, PRUNE_MAX, NULL, NULL,
	                                &err));
	bench.store->ops->tidy(bench.store, false);
}

static int compare(const void *a, const void *b)
{
	int64_t left, right;

	memcpy(&left, a, sizeof(left));
	memcpy(&right, b, sizeof(right));
	return (left > right) - (left < right);
}

static void measure(const char *what, void (*fn)(void), int64_t count)
{
	static int64_t times[SAMPLES];

	for (size_t i = 0; i < SAMPLES; i++) {
		const int64_t begin = nsec();

		fn();
		times[i] = nsec() - begin;
	}
	qsort(times, SAMPLES, sizeof(times[0]), compare);
	(void)printf("{\"what\": \"%s\", \"executions\": %lld, \"median_nsec\": %lld, "
	             "\"p99_nsec\": %lld}\n",
	             what, (long long)count, (long long)times[SAMPLES / 2],
	             (long long)times[SAMPLES * 99 / 100]);
}

static int unlink_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void run(int64_t count)
{
	struct store_figures figures;
	int64_t begin;

	open_store();
	begin = nsec();
	fill(count);
	require(bench.store->ops->figures(bench.store, &figures, &err));
	(void)printf("{\"what\": \"fill\", \"executions\": %lld, \"nsec\": %lld, "
	             "\"bytes\": %lld}\n",
	             (long long)count, (long long)(nsec() - begin), (long long)figures.bytes);
	measure("ps", ps, count);
	measure("usage", usage, count);
	measure("usage_since_1h", usage_since, count);
	measure("launch", launch, count);
	measure("prune_64", prune, count);
	bench.store->ops->close(bench.store);
	(void)nftw(bench.dir, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv)
{
	int64_t count;

	if (argc != 2 || num_parse(argv[1], COUNT_MAX, &count) < 0 || count <= BATCH) {
		(void)fprintf(stderr, "usage: bench-store COUNT, more than %d\n", BATCH);
		return 2;
	}
	/* As good as empty, but with tenants that have used something. */
	run(BATCH);
	run(count);
	return 0;
}
