/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cgstat.c on directories of ordinary files, with contents as kernels 6.1 and 6.18 write. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <base/fd.h>

#include "cgstat.h"

TestSuite(cgstat, .timeout = 10);

#define LEAF "0192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f"

struct fixture {
	char dir[32];
	int root;
};

static void put(const struct fixture *fixture, const char *path, const char *text)
{
	char full[256];
	FILE *file;

	(void)snprintf(full, sizeof(full), "%s/%s", fixture->dir, path);
	file = fopen(full, "we");
	cr_assert(file != NULL);
	cr_assert_geq(fputs(text, file), 0);
	cr_assert_eq(fclose(file), 0);
}

static void fixture_init(struct fixture *fixture)
{
	char path[128];

	(void)snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/tenantd-cg-XXXXXX");
	cr_assert(mkdtemp(fixture->dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/acme", fixture->dir);
	cr_assert_eq(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/acme/" LEAF, fixture->dir);
	cr_assert_eq(mkdir(path, 0755), 0);
	fixture->root = open(fixture->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(fixture->root, 0);
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
	fd_closep(&fixture->root);
	(void)nftw(fixture->dir, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
}

Test(cgstat, reads_every_counter_of_a_leaf)
{
	struct fixture fixture;
	struct cgstat stat;
	struct stat st;
	struct id id;
	struct tn_error err = { 0 };

	fixture_init(&fixture);
	put(&fixture, "acme/" LEAF "/cpu.stat",
	    "usage_usec 1234567\nuser_usec 1000000\nsystem_usec "
	    "234567\ncore_sched.force_idle_usec "
	    "0\nnr_periods 10\nnr_throttled 2\nthrottled_usec 3456\nnr_bursts 0\nburst_usec "
	    "0\n");
	put(&fixture, "acme/" LEAF "/memory.peak", "67108864\n");
	put(&fixture, "acme/" LEAF "/memory.events",
	    "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n");
	put(&fixture, "acme/" LEAF "/io.stat",
	    "8:0 rbytes=1000 wbytes=2000 rios=1 wios=2 dbytes=0 dios=0\n"
	    "253:1 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n");
	put(&fixture, "acme/" LEAF "/pids.peak", "17\n");
	put(&fixture, "acme/" LEAF "/pids.events", "max 5\n");
	put(&fixture, "acme/" LEAF "/cpu.pressure",
	    "some avg10=0.00 avg60=0.00 avg300=0.00 total=111\n"
	    "full avg10=0.00 avg60=0.00 avg300=0.00 total=1\n");
	put(&fixture, "acme/" LEAF "/memory.pressure",
	    "some avg10=0.00 avg60=0.00 avg300=0.00 total=222\n"
	    "full avg10=0.00 avg60=0.00 avg300=0.00 total=2\n");
	put(&fixture, "acme/" LEAF "/io.pressure",
	    "some avg10=0.00 avg60=0.00 avg300=0.00 total=333\n");

	cr_assert_eq(id_parse(LEAF, &id), 0);
	cr_assert_eq(cgstat_read(fixture.root, "acme", &id, &stat, &err), 0, "%s", err.msg);
	cr_expect_eq(stat.counters.cpu_usec, 1234567);
	cr_expect_eq(stat.counters.cpu_user_usec, 1000000);
	cr_expect_eq(stat.counters.cpu_system_usec, 234567);
	cr_expect_eq(stat.counters.throttled_usec, 3456);
	cr_expect_eq(stat.counters.memory_peak_bytes, 67108864);
	cr_expect_eq(stat.counters.oom_kills, 2);
	cr_expect_eq(stat.counters.io_read_bytes, 1010);
	cr_expect_eq(stat.counters.io_write_bytes, 2020);
	cr_expect_eq(stat.counters.pids_peak, 17);
	cr_expect_eq(stat.counters.pids_refused, 5);
	cr_expect_eq(stat.counters.stall_cpu_usec, 111);
	cr_expect_eq(stat.counters.stall_memory_usec, 222);
	cr_expect_eq(stat.counters.stall_io_usec, 333);
	cr_expect_eq(stat.counters.overhead_usec, SPEC_ABSENT, "no file says it");
	cr_expect_eq(stat.counters.tenant_throttled_usec, SPEC_ABSENT);
	cr_assert_eq(fstatat(fixture.root, "acme/" LEAF, &st, 0), 0);
	cr_expect_eq(stat.cgroup_id, (int64_t)st.st_ino);
	fixture_done(&fixture);
}

Test(cgstat, tells_absent_from_zero)
{
	struct fixture fixture;
	struct cgstat stat;
	struct tn_error err = { 0 };

	fixture_init(&fixture);
	/* Without the cpu controller there is no throttling to count. */
	put(&fixture, "acme/cpu.stat", "usage_usec 5\nuser_usec 3\nsystem_usec 2\n");
	put(&fixture, "acme/io.stat", "");
	put(&fixture, "acme/pids.peak", "not a number\n");
	put(&fixture, "acme/memory.peak", "99999999999999999999\n");
	cr_assert_eq(cgstat_read(fixture.root, "acme", NULL, &stat, &err), 0, "%s", err.msg);
	cr_expect_eq(stat.counters.cpu_usec, 5);
	cr_expect_eq(stat.counters.throttled_usec, SPEC_ABSENT);
	cr_expect_eq(stat.counters.io_read_bytes, 0, "an empty io.stat is no transfer");
	cr_expect_eq(stat.counters.io_write_bytes, 0);
	cr_expect_eq(stat.counters.pids_peak, SPEC_ABSENT);
	cr_expect_eq(stat.counters.memory_peak_bytes, SPEC_ABSENT);
	cr_expect_eq(stat.counters.stall_cpu_usec, SPEC_ABSENT);
	cr_expect_eq(stat.counters.oom_kills, SPEC_ABSENT);
	fixture_done(&fixture);
}

Test(cgstat, says_when_a_cgroup_is_gone)
{
	struct fixture fixture;
	struct cgstat stat = { .cgroup_id = 7 };
	struct tn_error err = { 0 };

	fixture_init(&fixture);
	cr_expect_eq(cgstat_read(fixture.root, "globex", NULL, &stat, &err), -ENOENT);
	cr_expect_eq(cgstat_read(fixture.root, "acme", NULL, &stat, &err), -ENOENT,
	             "a directory without cpu.stat is no cgroup any more");
	fixture_done(&fixture);
}

Test(cgstat, does_not_follow_a_link_out_of_the_tree)
{
	struct fixture fixture;
	struct cgstat stat;
	struct tn_error err = { 0 };

	fixture_init(&fixture);
	cr_assert_eq(symlinkat("acme", fixture.root, "alias"), 0);
	put(&fixture, "acme/cpu.stat", "usage_usec 5\n");
	cr_expect_lt(cgstat_read(fixture.root, "alias", NULL, &stat, &err), 0);
	fixture_done(&fixture);
}

Test(cgstat, looks_at_what_is_now)
{
	struct fixture fixture;
	struct cgstat_look look;
	struct stat st;
	struct tn_error err = { 0 };

	fixture_init(&fixture);
	put(&fixture, "acme/cpu.stat", "usage_usec 12\nnr_periods 10\nnr_throttled 2\n");
	put(&fixture, "acme/memory.current", "4096\n");
	put(&fixture, "acme/memory.max", "max\n");
	put(&fixture, "acme/pids.current", "5\n");
	put(&fixture, "acme/pids.max", "64\n");
	put(&fixture, "acme/io.stat", "");
	cr_assert_eq(cgstat_look(fixture.root, "acme", NULL, &look, &err), 0, "%s", err.msg);
	cr_assert_eq(fstatat(fixture.root, "acme", &st, 0), 0);
	cr_expect_eq(look.cgroup_id, (int64_t)st.st_ino);
	cr_expect_eq(look.cpu_usec, 12);
	cr_expect_eq(look.cpu_periods, 10);
	cr_expect_eq(look.cpu_periods_throttled, 2);
	cr_expect_eq(look.memory_bytes, 4096);
	cr_expect_eq(look.memory_max_bytes, SPEC_ABSENT);
	cr_expect_eq(look.tasks, 5);
	cr_expect_eq(look.tasks_max, 64);
	cr_expect_eq(look.io_read_bytes, 0);
	cr_expect_eq(look.stall_memory_usec, SPEC_ABSENT);
	/* What is not there, or was removed while it was read, has no figure at all. */
	cr_expect_eq(cgstat_look(fixture.root, "globex", NULL, &look, &err), -ENOENT);
	cr_expect_eq(look.memory_bytes, SPEC_ABSENT);
	cr_expect_eq(look.cgroup_id, SPEC_ABSENT);
	cr_assert_eq(unlinkat(fixture.root, "acme/cpu.stat", 0), 0);
	cr_expect_eq(cgstat_look(fixture.root, "acme", NULL, &look, &err), -ENOENT);
	cr_expect_eq(look.tasks, SPEC_ABSENT);
	cr_expect_eq(look.cgroup_id, SPEC_ABSENT);
	fixture_done(&fixture);
}
