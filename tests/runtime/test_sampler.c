/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sampler over a real store and a tree of ordinary files, on a clock of the test's: what is
 * booked is what the files say, to the unit, and what does not run costs nothing.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <base/clock.h>
#include <base/fd.h>

#include "identity.h"
#include "sampler.h"
#include "store_fixture.h"

TestSuite(sampler, .timeout = 60);

#define TENANTS_MAX 32
#define MIB         (INT64_C(1) << 20)
#define MSEC        INT64_C(1000)
#define HOUR_AT     (INT64_C(472222) * LEDGER_HOUR_USEC) /* an hour's first microsecond */
#define PLACE_MAX   256

static struct fixture fixture;
static struct loop *loop;
static struct sampler *sampler;
static struct tenant tenants[TENANTS_MAX];
static struct id execution;
static char root[64];
static int root_fd;
static int books_n, looks_n; /* transactions, and readings in them */
static bool store_fails;
static int64_t monotonic, realtime;

static int64_t clock_of_test(clockid_t clock)
{
	return clock == CLOCK_REALTIME ? realtime : monotonic;
}

static void pass(int64_t usec)
{
	monotonic += usec;
	realtime += usec;
}

static int on_book(void *userdata, const struct ledger_sample *samples, size_t n,
                   struct tn_error *err)
{
	const struct store_batch batch = { .samples = samples, .samples_n = n };
	int r;

	(void)userdata;
	if (store_fails)
		return err_set(err, TN_SYSTEM, ENOSPC, "book");
	r = fixture.store->ops->book(fixture.store, &batch, err);
	cr_assert_eq(r, 0, "%s", err->msg);
	books_n++;
	looks_n += (int)n;
	for (size_t i = 0; i < n; i++)
		sampler_booked(sampler, &samples[i]);
	return 0;
}

static void begin_sampler(size_t kept_max)
{
	struct tn_error err = { 0 };

	cr_assert_eq(sampler_new(&sampler,
	                         &(struct sampler_config){ .loop = loop,
	                                                   .root_fd = &root_fd,
	                                                   .boot_id = BOOT_A,
	                                                   .book = on_book,
	                                                   .clock = clock_of_test,
	                                                   .kept_max = kept_max },
	                         &err),
	             0, "%s", err.msg);
}

static void put(size_t tenant, const char *file, const char *text)
{
	char path[PLACE_MAX];
	FILE *out;

	(void)snprintf(path, sizeof(path), "%s/t%zu/%s", root, tenant, file);
	out = fopen(path, "we");
	cr_assert(out != NULL, "%s: %m", path);
	cr_assert_geq(fputs(text, out), 0);
	cr_assert_eq(fclose(out), 0);
}

static void put_cpu(size_t tenant, int64_t usec)
{
	char text[128];

	(void)snprintf(text, sizeof(text),
	               "usage_usec %lld\nuser_usec 1\nsystem_usec 2\nthrottled_usec 0\n",
	               (long long)usec);
	put(tenant, "cpu.stat", text);
}

static void put_memory(size_t tenant, int64_t bytes)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%lld\n", (long long)bytes);
	put(tenant, "memory.current", text);
}

static void put_node(size_t tenant)
{
	char path[PLACE_MAX];

	(void)snprintf(path, sizeof(path), "%s/t%zu", root, tenant);
	cr_assert_eq(mkdir(path, 0755), 0);
	put_cpu(tenant, 0);
	put_memory(tenant, 0);
	put(tenant, "io.stat", "");
}

static void tenant_add(size_t i)
{
	char name[NAME_BYTES_MAX];
	struct tn_error err = { 0 };

	(void)snprintf(name, sizeof(name), "t%zu", i);
	tenants[i] = (struct tenant){ .row = tenant_make(name) };
	cr_assert_eq(fixture.store->ops->tenant_insert(fixture.store, &tenants[i].row, &err), 0,
	             "%s", err.msg);
	put_node(i);
}

static void set_up(void)
{
	struct tn_error err = { 0 };

	fixture_init(&fixture);
	(void)snprintf(root, sizeof(root), "/tmp/tenantd-sa-XXXXXX");
	cr_assert(mkdtemp(root) != NULL);
	root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(root_fd, 0);
	cr_assert_eq(loop_new(&loop, &err), 0, "%s", err.msg);
	monotonic = 77 * MSEC;
	realtime = HOUR_AT + 60 * 1000 * MSEC;
	execution = identity_new();
	tenant_add(0);
	fixture.tenant = tenants[0].row.id;
	begin_sampler(0);
}

static int unlink_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void tear_down(void)
{
	sampler = sampler_free(sampler);
	loop = loop_free(loop);
	fd_closep(&root_fd);
	(void)nftw(root, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
	for (size_t i = 0; i < TENANTS_MAX; i++)
		if (tenants[i].row.metadata != NULL)
			tenant_row_done(&tenants[i].row);
	fixture_done(&fixture);
}

static void start(size_t tenant)
{
	tenants[tenant].executions_n++;
	sampler_on_started(sampler, &tenants[tenant], &execution);
}

static void end(size_t tenant, int64_t wall_usec, int64_t peak)
{
	tenants[tenant].executions_n--;
	sampler_on_ended(sampler, &tenants[tenant], &execution, wall_usec, peak);
}

static int64_t total(enum ledger_meter meter)
{
	return totals_of(&fixture).meters[meter];
}

/* In the hour that begins at @at. */
static int64_t of_hour(int64_t at, enum ledger_meter meter)
{
	struct store_totals totals;
	struct tn_error err = { 0 };

	cr_assert_eq(fixture.store->ops->totals(fixture.store, &fixture.tenant, at,
	                                        at + LEDGER_HOUR_USEC, &totals, &err),
	             0, "%s", err.msg);
	return totals.meters[meter];
}

static size_t fds_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	cr_assert_not_null(dir);
	while (readdir(dir) != NULL)
		n++;
	(void)closedir(dir);
	return n;
}

/* Numbers that look like chance and are the same every time. */
static uint64_t next_number(void)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

Test(sampler, books_what_the_kernel_has_counted_over_many_looks, .init = set_up,
     .fini = tear_down)
{
	int64_t cpu = 0;

	start(0);
	for (int i = 0; i < 300; i++) {
		cpu += (int64_t)(next_number() % 100000);
		put_cpu(0, cpu);
		pass(1000 * MSEC);
		sampler_turn(sampler, true);
		cr_assert_eq(total(METER_CPU_TIME), cpu, "after look %d", i);
	}
	cr_expect_eq(total(METER_CPU_UNATTRIBUTED), LEDGER_ABSENT, "a look closes no sum");
	cr_expect_eq(of_hour(HOUR_AT, METER_CPU_TIME), cpu);
}

Test(sampler, begins_an_epoch_with_another_cgroup, .init = set_up, .fini = tear_down)
{
	char path[PLACE_MAX], aside[PLACE_MAX];

	put_memory(0, 10 * MIB);
	put_cpu(0, 500);
	start(0);
	pass(1000 * MSEC);
	sampler_turn(sampler, true);
	/* A removed cgroup's files say nothing any more. */
	put(0, "cpu.stat", "");
	(void)snprintf(path, sizeof(path), "%s/t0", root);
	(void)snprintf(aside, sizeof(aside), "%s/aside", root);
	cr_assert_eq(rename(path, aside), 0);
	pass(1000 * MSEC);
	sampler_turn(sampler, true);
	cr_expect_eq(sampler_kept(sampler), 0);
	put_node(0);
	put_cpu(0, 70);
	put_memory(0, 30 * MIB);
	pass(1000 * MSEC);
	sampler_turn(sampler, true);
	cr_expect_eq(total(METER_CPU_TIME), 570);
	cr_expect_eq(total(METER_MEMORY_TIME), 10 * 1000,
	             "no line leads from one to the other");
	pass(1000 * MSEC);
	sampler_turn(sampler, true);
	cr_expect_eq(total(METER_MEMORY_TIME), 10 * 1000 + 30 * 1000);
}

Test(sampler, carries_what_is_below_the_unit, .init = set_up, .fini = tear_down)
{
	ledger_area whole = 0, error = 0;
	int64_t before = 4097, at = monotonic;

	put_memory(0, before);
	start(0);
	for (int i = 0; i < 1000; i++) {
		const int64_t bytes = (int64_t)(next_number() % (3 * MIB));
		const int64_t usec = 1 + (int64_t)(next_number() % 3000);

		put_memory(0, bytes);
		pass(usec);
		sampler_turn(sampler, i % 3 == 0);
		whole += (ledger_area)(before + bytes) * (ledger_area)usec;
		error += (ledger_area)(before < bytes ? bytes - before : before - bytes) *
		         (ledger_area)usec;
		before = bytes;
	}
	sampler_turn(sampler, true);
	cr_expect_gt(monotonic, at);
	cr_expect_eq(total(METER_MEMORY_TIME), (int64_t)(whole / LEDGER_MIB_MSEC));
	cr_expect_eq(total(METER_MEMORY_ERROR), (int64_t)(error / LEDGER_MIB_MSEC));
	cr_expect_gt(total(METER_MEMORY_TIME), 1000);
}

Test(sampler, keeps_products_beyond_64_bits, .init = set_up, .fini = tear_down)
{
	/* 2^42 bytes for 2^40 microseconds. */
	put_memory(0, INT64_C(1) << 42);
	start(0);
	pass(INT64_C(1) << 40);
	sampler_turn(sampler, true);
	cr_expect_eq(total(METER_MEMORY_TIME),
	             (INT64_C(1) << 22) * ((INT64_C(1) << 40) / MSEC) +
	                     (INT64_C(1) << 22) * 776 / 1000);
	cr_expect_eq(total(METER_MEMORY_ERROR), 0);
}

Test(sampler, writes_nothing_when_nothing_has_changed, .init = set_up, .fini = tear_down)
{
	put_cpu(0, 500);
	start(0);
	sampler_turn(sampler, true);
	cr_assert_eq(books_n, 1);
	for (int i = 0; i < 20; i++) {
		pass(1000 * MSEC);
		sampler_turn(sampler, true);
	}
	cr_expect_eq(books_n, 1);
	put_cpu(0, 501);
	sampler_turn(sampler, true);
	cr_expect_eq(books_n, 2);
	cr_expect_eq(total(METER_CPU_TIME), 501);
}

Test(sampler, books_all_of_an_interval_in_one_transaction, .init = set_up, .fini = tear_down)
{
	for (size_t i = 1; i < TENANTS_MAX; i++)
		tenant_add(i);
	for (size_t i = 0; i < TENANTS_MAX; i++) {
		put_memory(i, MIB);
		start(i);
	}
	for (int i = 0; i < 5; i++) {
		for (int look = 1; look < SAMPLER_LOOKS; look++) {
			pass(125 * MSEC);
			sampler_turn(sampler, false);
		}
		pass(125 * MSEC);
		sampler_turn(sampler, true);
	}
	cr_expect_eq(books_n, 5);
	cr_expect_eq(looks_n, 5 * TENANTS_MAX);
	for (size_t i = 0; i < TENANTS_MAX; i++) {
		fixture.tenant = tenants[i].row.id;
		cr_expect_eq(total(METER_MEMORY_TIME), 5000);
	}
}

Test(sampler, costs_nothing_when_nothing_runs, .init = set_up, .fini = tear_down)
{
	struct tn_error err = { 0 };
	const size_t fds = fds_open();

	put_memory(0, 10 * MIB);
	start(0);
	cr_expect_eq(fds_open(), fds + CGSTAT_KEPT_FDS);
	pass(1000 * MSEC);
	end(0, LEDGER_ABSENT, LEDGER_ABSENT);
	cr_expect_eq(sampler_active(sampler), 1, "until its last look is booked");
	sampler_turn(sampler, true);
	cr_expect_eq(books_n, 1);
	cr_expect_eq(total(METER_MEMORY_TIME), 10 * 1000);
	cr_expect_eq(sampler_active(sampler), 0);
	cr_expect_eq(fds_open(), fds);
	put_cpu(0, 99);
	for (int i = 0; i < 20; i++) {
		pass(1000 * MSEC);
		sampler_turn(sampler, true);
		/* None of its timers either. */
		cr_expect_eq(loop_turn(loop, 1000, &err), 0);
	}
	cr_expect_eq(books_n, 1);
}

Test(sampler, has_a_timer_while_something_runs, .init = set_up, .fini = tear_down)
{
	struct tn_error err = { 0 };

	sampler_set_interval(sampler, 100 * MSEC);
	put_memory(0, MIB);
	start(0);
	for (int i = 0; i < 400 && books_n < 2; i++) {
		cr_assert_geq(loop_turn(loop, 5 * MSEC, &err), 0, "%s", err.msg);
		pass(5 * MSEC);
	}
	cr_expect_eq(books_n, 2);
}

Test(sampler, looks_at_more_tenants_than_it_has_descriptors_for, .init = set_up,
     .fini = tear_down)
{
	const size_t fds = fds_open();

	sampler = sampler_free(sampler);
	begin_sampler(3);
	for (size_t i = 1; i < TENANTS_MAX; i++)
		tenant_add(i);
	for (size_t i = 0; i < TENANTS_MAX; i++) {
		put_memory(i, MIB * (int64_t)(i + 1));
		start(i);
	}
	cr_expect_eq(sampler_kept(sampler), 3);
	for (int look = 0; look < 10; look++) {
		for (size_t i = 0; i < TENANTS_MAX; i++)
			put_cpu(i, 10 * (look + 1) + (int64_t)i);
		pass(500 * MSEC);
		sampler_turn(sampler, look % 2 == 1);
	}
	cr_expect_eq(fds_open(), fds + 3 * CGSTAT_KEPT_FDS);
	for (size_t i = 0; i < TENANTS_MAX; i++) {
		fixture.tenant = tenants[i].row.id;
		cr_expect_eq(total(METER_CPU_TIME), 100 + (int64_t)i);
		cr_expect_eq(total(METER_MEMORY_TIME), 5000 * (int64_t)(i + 1));
	}
}

Test(sampler, takes_as_many_descriptors_as_it_may_have, .init = set_up, .fini = tear_down)
{
	struct rlimit limit = { 40, 48 };

	sampler = sampler_free(sampler);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	begin_sampler(0);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_expect_eq(limit.rlim_cur, 48, "the soft limit is raised");
	for (size_t i = 1; i < TENANTS_MAX; i++)
		tenant_add(i);
	for (size_t i = 0; i < TENANTS_MAX; i++)
		start(i);
	cr_expect_eq(sampler_kept(sampler), 48 / SAMPLER_FDS_DIVISOR / CGSTAT_KEPT_FDS);
}

Test(sampler, does_not_mind_a_wall_clock_that_is_set, .init = set_up, .fini = tear_down)
{
	const int64_t day = 24 * LEDGER_HOUR_USEC;
	const int64_t steps[] = { day, -day, -day, day, LEDGER_HOUR_USEC };
	int64_t sum = 0;

	put_memory(0, 10 * MIB);
	start(0);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		pass(1000 * MSEC);
		put_cpu(0, 1000 * (int64_t)(i + 1));
		realtime += steps[i];
		sampler_turn(sampler, true);
	}
	cr_expect_eq(total(METER_CPU_TIME), 5000);
	cr_expect_eq(total(METER_MEMORY_TIME), 5 * 10 * 1000);
	for (int64_t hour = -25; hour <= 26; hour++)
		sum += of_hour(HOUR_AT + hour * LEDGER_HOUR_USEC, METER_MEMORY_TIME);
	cr_expect_eq(sum, 5 * 10 * 1000);
	cr_expect_eq(of_hour(HOUR_AT + day, METER_MEMORY_TIME), 10 * 1000);
	cr_expect_eq(of_hour(HOUR_AT - day, METER_MEMORY_TIME), 10 * 1000);
}

Test(sampler, books_in_the_hour_in_which_it_was_measured, .init = set_up, .fini = tear_down)
{
	put_memory(0, MIB);
	start(0);
	realtime = HOUR_AT + LEDGER_HOUR_USEC - 2000 * MSEC;
	pass(1000 * MSEC);
	sampler_turn(sampler, true);
	pass(3000 * MSEC);
	sampler_turn(sampler, true);
	cr_expect_eq(of_hour(HOUR_AT, METER_MEMORY_TIME), 1000);
	cr_expect_eq(of_hour(HOUR_AT + LEDGER_HOUR_USEC, METER_MEMORY_TIME), 3000);
}

Test(sampler, loses_no_look_while_the_store_takes_nothing, .init = set_up, .fini = tear_down)
{
	put_memory(0, 10 * MIB);
	start(0);
	pass(1000 * MSEC);
	sampler_turn(sampler, true);
	store_fails = true;
	for (int i = 0; i < 10; i++) {
		/* What a straight line over all of it would not see. */
		put_memory(0, (i % 2 == 0 ? 30 : 10) * MIB);
		put_cpu(0, 100 * (i + 1));
		pass(1000 * MSEC);
		sampler_turn(sampler, true);
	}
	cr_expect_eq(total(METER_MEMORY_TIME), 10 * 1000);
	/* Also of one that has ended meanwhile. */
	end(0, LEDGER_ABSENT, LEDGER_ABSENT);
	sampler_turn(sampler, true);
	cr_expect_eq(sampler_active(sampler), 1);
	store_fails = false;
	sampler_turn(sampler, true);
	cr_expect_eq(total(METER_CPU_TIME), 1000);
	cr_expect_eq(total(METER_MEMORY_TIME), 10 * 1000 + 10 * 20 * 1000);
	cr_expect_eq(sampler_active(sampler), 0);
}

/* As a reading of all, by whoever asks for usage. */
static void read_all(int64_t running)
{
	struct ledger_sample sample = { .tenant = fixture.tenant,
		                        .node = LEDGER_NODE_READ,
		                        .boot_id = BOOT_A,
		                        .at = realtime,
		                        .running_cpu_usec = running };
	struct cgstat_node node;
	struct tn_error err = { 0 };

	cr_assert_eq(cgstat_node(root_fd, "t0", &node, &err), 0, "%s", err.msg);
	sampler_fill(sampler, &fixture.tenant, &node, &sample);
	book(&fixture, NULL, &sample);
	sampler_booked(sampler, &sample);
}

Test(sampler, closes_the_sum_with_every_reading_that_knows_all, .init = set_up,
     .fini = tear_down)
{
	put_memory(0, 10 * MIB);
	put_cpu(0, 1000);
	start(0);
	pass(500 * MSEC);
	sampler_turn(sampler, false);
	pass(500 * MSEC);
	read_all(900);
	cr_expect_eq(total(METER_CPU_TIME), 1000);
	cr_expect_eq(total(METER_CPU_UNATTRIBUTED), 100);
	cr_expect_eq(total(METER_MEMORY_TIME), 10 * 1000);
	put_cpu(0, 1500);
	pass(1000 * MSEC);
	sampler_turn(sampler, true);
	cr_expect_eq(total(METER_CPU_TIME), 1500);
	cr_expect_eq(total(METER_CPU_UNATTRIBUTED), 100, "a look does not touch it");
	cr_expect_eq(total(METER_MEMORY_TIME), 20 * 1000, "and nothing is counted twice");
	read_all(1350);
	cr_expect_eq(total(METER_CPU_UNATTRIBUTED), 150);
	cr_expect_eq(total(METER_MEMORY_TIME), 20 * 1000);
}

Test(sampler, goes_on_where_another_life_has_ended, .init = set_up, .fini = tear_down)
{
	put_memory(0, 10 * MIB);
	start(0);
	pass(1000 * MSEC);
	sampler_turn(sampler, true);
	pass(700 * MSEC);
	sampler_turn(sampler, false);
	sampler = sampler_free(sampler);
	begin_sampler(0);
	put_memory(0, 30 * MIB);
	pass(1300 * MSEC);
	tenants[0].executions_n = 0;
	start(0);
	pass(1000 * MSEC);
	sampler_turn(sampler, true);
	/* A straight line over the 2 s of which nothing is known, and by how much it may err.
	 */
	cr_expect_eq(total(METER_MEMORY_TIME), 10 * 1000 + 2 * 20 * 1000 + 30 * 1000);
	cr_expect_eq(total(METER_MEMORY_ERROR), 2 * 10 * 1000);
}

/* Of @n short runs one after the other, whose leaf has 40 MiB of it from 20 ms on to its end.
 */
static void run_short(int n, bool peak_known)
{
	const int64_t base = 2 * MIB, peak = 40 * MIB;
	int64_t waits[] = { 5, 10, 20, 40, 80 };

	put_memory(0, base);
	for (int i = 0; i < n; i++) {
		int64_t left = 300;

		start(0);
		for (size_t k = 0; k < ARRAY_LEN(waits); k++) {
			if (k == 2)
				put_memory(0, base + peak);
			pass(waits[k] * MSEC);
			left -= waits[k];
			sampler_turn(sampler, false);
		}
		pass(left * MSEC);
		put_memory(0, base);
		pass(4 * MSEC); /* until it is told */
		end(0, 300 * MSEC, peak_known ? peak : LEDGER_ABSENT);
		sampler_turn(sampler, true);
		pass(46 * MSEC);
	}
	start(0);
	read_all(0);
}

Test(sampler, is_within_5_percent_for_short_runs, .init = set_up, .fini = tear_down)
{
	const int64_t exact = 500 * (2 * 350 + 40 * (300 - 15));

	run_short(500, true);
	cr_expect_lt(llabs(total(METER_MEMORY_TIME) - exact), exact / 20, "%lld of %lld",
	             (long long)total(METER_MEMORY_TIME), (long long)exact);
	cr_expect_lt(llabs(total(METER_MEMORY_TIME) - exact), total(METER_MEMORY_ERROR),
	             "it says by how much");
}

Test(sampler, takes_no_more_for_a_short_run_than_its_peak, .init = set_up, .fini = tear_down)
{
	put_memory(0, 100 * MIB);
	start(0);
	pass(1000 * MSEC);
	/* 90 MiB of it were reclaimed, 10 had gone with the leaf. */
	put_memory(0, 0);
	end(0, 1000 * MSEC, 10 * MIB);
	sampler_turn(sampler, true);
	cr_expect_eq(total(METER_MEMORY_TIME), (100 + 10) / 2 * 1000);
}

/* Looks at the times that the timer has, at what @load says of each, for @usec. Returns by how
 * many per mille of the @exact mean bytes the result is wrong. */
static int64_t per_mille_wrong(int64_t (*load)(int64_t usec), int64_t usec, int64_t exact)
{
	const int64_t share = CLOCK_USEC_PER_SEC / SAMPLER_LOOKS, from = monotonic;
	int64_t mib_msec;

	put_memory(0, load(0));
	start(0);
	for (int64_t n = 1; n * share < usec; n++) {
		const int64_t at = n * share + sampler_place(n, share);

		pass(from + at - monotonic);
		put_memory(0, load(at));
		sampler_turn(sampler, n % SAMPLER_LOOKS == 0);
	}
	sampler_turn(sampler, true);
	mib_msec = exact / MIB * ((monotonic - from) / MSEC);
	return llabs(total(METER_MEMORY_TIME) - mib_msec) * 1000 / mib_msec;
}

static int64_t sawtooth(int64_t usec)
{
	return 100 * MIB * (usec % (700 * MSEC)) / (700 * MSEC);
}

static int64_t steps(int64_t usec)
{
	return (usec / (5000 * MSEC) % 2 == 0 ? 50 : 100) * MIB;
}

static int64_t in_step(int64_t usec)
{
	return 100 * MIB * (usec % (1000 * MSEC)) / (1000 * MSEC);
}

Test(sampler, is_within_5_percent_for_a_sawtooth, .init = set_up, .fini = tear_down)
{
	cr_expect_lt(per_mille_wrong(sawtooth, 42000 * MSEC, 50 * MIB), 50);
}

Test(sampler, is_within_1_percent_for_steps_of_5_seconds, .init = set_up, .fini = tear_down)
{
	cr_expect_lt(per_mille_wrong(steps, 40000 * MSEC, 75 * MIB), 10);
}

Test(sampler, is_not_in_step_with_a_load_of_its_own_period, .init = set_up, .fini = tear_down)
{
	cr_expect_lt(per_mille_wrong(in_step, 40000 * MSEC, 50 * MIB), 50);
}
