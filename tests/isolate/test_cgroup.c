/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * isolate/cgroup.c on directories of ordinary files: what is written and how counters
 * are read. mkdirat(2) is wrapped, so that a new directory can have the files that the
 * kernel would give a cgroup, or be refused as the kernel would.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <base/fd.h>
#include <isolate/cgroup.h>

#include "rig.h"

TestSuite(cgroup, .timeout = 30, .init = rig_dir_make, .fini = rig_dir_remove);

#define ALL                                                                                    \
	(SPEC_CONTROLLER_CPU | SPEC_CONTROLLER_MEMORY | SPEC_CONTROLLER_PIDS |                 \
	 SPEC_CONTROLLER_IO)

/* The rows that io.stat repeats per device; loops are there and have no traffic. */
#define IO_STAT                                                                                \
	"7:0 \n"                                                                               \
	"8:0 rbytes=1000 wbytes=200 rios=3 wios=4 dbytes=77 dios=5\n"                          \
	"259:1 rbytes=30 wbytes=4 rios=1 wios=1 dbytes=0 dios=0\n"

static const char *const *populate; /* names, NULL-terminated; for the next mkdirat(2) */
static int refuse_with;             /* an errno for the next mkdirat(2) */

int __real_mkdirat(int dir_fd, const char *path, mode_t mode);
int __wrap_mkdirat(int dir_fd, const char *path, mode_t mode);

int __wrap_mkdirat(int dir_fd, const char *path, mode_t mode)
{
	int r;

	if (refuse_with != 0) {
		errno = refuse_with;
		return -1;
	}
	r = __real_mkdirat(dir_fd, path, mode);
	for (const char *const *name = populate; r == 0 && name != NULL && *name != NULL;
	     name++) {
		char file[RIG_PATH_BYTES_MAX];

		(void)snprintf(file, sizeof(file), "%s/%s", path, *name);
		(void)close(openat(dir_fd, file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	}
	return r;
}

static const char *const leaf_files[] = { "cpu.max", "memory.max", "pids.max",
	                                  "memory.oom.group", NULL };

static const struct spec_execution_limits some = { .cpu_quota_usec = 50000,
	                                           .memory_max_bytes = 67108864,
	                                           .tasks_max = 10 };
static const struct spec_execution_limits unlimited = { .cpu_quota_usec = SPEC_UNLIMITED,
	                                                .memory_max_bytes = SPEC_UNLIMITED,
	                                                .tasks_max = SPEC_UNLIMITED };

static void leaf_make(const struct spec_execution_limits *limits, bool oom_group,
                      uint32_t controllers)
{
	struct tn_error err = { 0 };
	cleanup_fd int fd = FD_NONE;

	populate = leaf_files;
	fd = cg_leaf_create(rig_dir.fd, "leaf", limits, oom_group, controllers, &err);
	cr_assert_geq(fd, 0, "%s", err.msg);
	cr_expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	cr_expect_neq(fcntl(fd, F_GETFL) & O_PATH, 0);
}

Test(cgroup, writes_the_limits_of_a_leaf)
{
	leaf_make(&some, true, ALL);
	cr_expect_str_eq(rig_get("leaf/cpu.max"), "50000 100000");
	cr_expect_str_eq(rig_get("leaf/memory.max"), "67108864");
	cr_expect_str_eq(rig_get("leaf/pids.max"), "10");
	cr_expect_str_eq(rig_get("leaf/memory.oom.group"), "1");
}

Test(cgroup, leaves_the_kernels_default_where_nothing_is_limited)
{
	leaf_make(&unlimited, false, ALL);
	for (size_t i = 0; leaf_files[i] != NULL; i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "leaf/%s", leaf_files[i]);
		cr_expect_str_eq(rig_get(path), "");
	}
}

Test(cgroup, writes_nothing_to_a_controller_that_is_not_there)
{
	leaf_make(&some, true, SPEC_CONTROLLER_PIDS);
	cr_expect_str_eq(rig_get("leaf/cpu.max"), "");
	cr_expect_str_eq(rig_get("leaf/memory.max"), "");
	cr_expect_str_eq(rig_get("leaf/memory.oom.group"), "");
	cr_expect_str_eq(rig_get("leaf/pids.max"), "10");
}

Test(cgroup, lets_everyone_read_a_leafs_counters)
{
	struct stat st;

	leaf_make(&unlimited, false, 0);
	cr_assert_eq(stat(rig_path("leaf"), &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0755, "%o", st.st_mode);
}

Test(cgroup, leaves_no_leaf_behind_when_a_limit_cannot_be_set)
{
	static const struct {
		uint32_t controllers;
		const char *message;
	} rows[] = {
		{ SPEC_CONTROLLER_CPU, "limit leaf 'leaf': write '50000 100000' to cpu.max: No "
		                       "such file or directory" },
		{ SPEC_CONTROLLER_MEMORY, "limit leaf 'leaf': write '67108864' to memory.max: "
		                          "No such file or directory" },
		{ SPEC_CONTROLLER_PIDS,
		  "limit leaf 'leaf': write '10' to pids.max: No such file or directory" },
	};
	struct tn_error err = { 0 };

	/* The directory stays empty: no file takes its limit. */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cr_expect_eq(cg_leaf_create(rig_dir.fd, "leaf", &some, true,
		                            rows[i].controllers, &err),
		             -ENOENT);
		cr_expect_eq(err.code, TN_SYSTEM);
		cr_expect_str_eq(err.msg, rows[i].message);
		cr_expect_not(rig_exists("leaf"));
	}
	cr_expect_eq(cg_leaf_create(rig_dir.fd, "leaf", &unlimited, true, ALL, &err), -ENOENT);
	cr_expect_str_eq(
		err.msg,
		"limit leaf 'leaf': write '1' to memory.oom.group: No such file or directory");
	cr_expect_not(rig_exists("leaf"));
}

Test(cgroup, keeps_a_leaf_that_was_there_before)
{
	struct tn_error err = { 0 };

	leaf_make(&some, false, ALL);
	cr_expect_eq(cg_leaf_create(rig_dir.fd, "leaf", &some, false, ALL, &err), -EEXIST);
	cr_expect_eq(err.code, TN_SYSTEM);
	cr_expect_str_eq(rig_get("leaf/pids.max"), "10");
}

Test(cgroup, says_that_a_quota_is_reached_only_when_the_kernel_says_so)
{
	struct tn_error err = { 0 };

	refuse_with = EAGAIN;
	cr_expect_eq(cg_leaf_create(rig_dir.fd, "leaf", &some, false, ALL, &err), -EDQUOT);
	cr_expect_eq(err.code, TN_QUOTA);
	refuse_with = ENOMEM;
	cr_expect_eq(cg_leaf_create(rig_dir.fd, "leaf", &some, false, ALL, &err), -ENOMEM);
	cr_expect_eq(err.code, TN_SYSTEM);
	cr_expect_str_eq(err.msg, "create leaf 'leaf' (is memory_max reached, or the host's "
	                          "memory?): Cannot allocate memory");
}

Test(cgroup, kills_by_one_write)
{
	struct tn_error err = { 0 };

	cr_expect_eq(cg_kill(rig_dir.fd, &err), -ENOENT);
	cr_expect_str_eq(err.msg, "write '1' to cgroup.kill: No such file or directory");
	rig_put("cgroup.kill", "", 0600);
	cr_expect_eq(cg_kill(rig_dir.fd, &err), 0);
	cr_expect_str_eq(rig_get("cgroup.kill"), "1");
}

Test(cgroup, knows_a_frozen_node)
{
	cr_expect_not(cg_frozen(rig_dir.fd), "a root has no such file");
	rig_put("cgroup.freeze", "0\n", 0600);
	cr_expect_not(cg_frozen(rig_dir.fd));
	rig_put("cgroup.freeze", "", 0600);
	cr_expect_not(cg_frozen(rig_dir.fd));
	rig_put("cgroup.freeze", "1\n", 0600);
	cr_expect(cg_frozen(rig_dir.fd));
}

Test(cgroup, does_not_mind_that_a_leaf_is_gone)
{
	struct tn_error err = { 0 };

	cr_assert_eq(mkdir(rig_path("leaf"), 0755), 0);
	cr_expect_eq(cg_leaf_remove(rig_dir.fd, "leaf", &err), 0);
	cr_expect_not(rig_exists("leaf"));
	cr_expect_eq(cg_leaf_remove(rig_dir.fd, "leaf", &err), 0);
}

/* Of files that were open, and of files that were not. */
static void counters_read(uint32_t controllers, struct spec_counters *ret)
{
	struct spec_counters by_name = *ret;
	struct cg_counter_files files;

	cg_counter_files_init(&files);
	cg_counters_read(rig_dir.fd, controllers, &files, &by_name);
	cg_counter_files_open(&files, rig_dir.fd, controllers);
	cg_counters_read(rig_dir.fd, controllers, &files, ret);
	cg_counter_files_close(&files);
	cr_expect_arr_eq(ret, &by_name, sizeof(by_name));
}

Test(cgroup, reads_every_counter_from_its_file)
{
	struct spec_counters c;

	memset(&c, 0x11, sizeof(c));
	/* A kernel may add keys that end in one of ours. */
	rig_put("cpu.stat",
	        "usage_usec 5000\nuser_usec 3000\nsystem_usec 2000\n"
	        "core_sched.usage_usec 9\nnr_periods 8\nnr_throttled 7\n"
	        "throttled_usec 600\nnr_bursts 0\nburst_usec 1\n",
	        0600);
	rig_put("memory.peak", "4096\n", 0600);
	rig_put("memory.events", "low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\n",
	        0600);
	rig_put("io.stat", IO_STAT, 0600);
	rig_put("pids.peak", "12\n", 0600);
	rig_put("pids.events", "max 13\n", 0600);
	rig_put("cpu.pressure",
	        "some avg10=0.00 avg60=0.00 avg300=1.50 total=700\n"
	        "full avg10=0.00 avg60=0.00 avg300=0.00 total=11\n",
	        0600);
	rig_put("memory.pressure", "some avg10=0.00 total=800\nfull avg10=0.00 total=22\n",
	        0600);
	rig_put("io.pressure", "some avg10=0.00 total=900\nfull avg10=0.00 total=33\n", 0600);
	counters_read(ALL, &c);
	cr_expect_eq(c.cpu_usec, 5000);
	cr_expect_eq(c.cpu_user_usec, 3000);
	cr_expect_eq(c.cpu_system_usec, 2000);
	cr_expect_eq(c.throttled_usec, 600);
	cr_expect_eq(c.memory_peak_bytes, 4096);
	cr_expect_eq(c.oom_kills, 5);
	cr_expect_eq(c.io_read_bytes, 1030);
	cr_expect_eq(c.io_write_bytes, 204);
	cr_expect_eq(c.pids_peak, 12);
	cr_expect_eq(c.pids_refused, 13);
	cr_expect_eq(c.stall_cpu_usec, 700, "the first line only");
	cr_expect_eq(c.stall_memory_usec, 800);
	cr_expect_eq(c.stall_io_usec, 900);
	cr_expect_eq(c.tenant_throttled_usec, 0x1111111111111111, "left alone");
	cr_expect_eq(c.overhead_usec, 0x1111111111111111, "left alone");
	cr_expect_eq(cg_throttled_usec(rig_dir.fd, ALL), 600);
	cr_expect_eq(cg_cpu_usec(rig_dir.fd), c.cpu_usec);

	/* What is known not to be there is not looked for. */
	counters_read(ALL & ~(uint32_t)SPEC_CONTROLLER_MEMORY, &c);
	cr_expect_eq(c.memory_peak_bytes, SPEC_ABSENT);
	cr_expect_eq(c.pids_peak, 12);
	cr_expect_eq(cg_throttled_usec(rig_dir.fd, SPEC_CONTROLLER_IO), SPEC_ABSENT);
}

static int64_t counter_at(const struct spec_counters *counters, size_t i)
{
	int64_t value;

	memcpy(&value, (const char *)counters + i * sizeof(value), sizeof(value));
	return value;
}

Test(cgroup, says_that_a_counter_is_absent_rather_than_zero)
{
	struct spec_counters c;
	size_t absent = 0;

	memset(&c, 0x11, sizeof(c));
	counters_read(ALL, &c);
	for (size_t i = 0; i < sizeof(c) / sizeof(int64_t); i++)
		absent += counter_at(&c, i) == SPEC_ABSENT;
	cr_expect_eq(absent, sizeof(c) / sizeof(int64_t) - 2, "all but the two left alone");
	cr_expect_eq(cg_throttled_usec(rig_dir.fd, ALL), SPEC_ABSENT);
	cr_expect_eq(cg_cpu_usec(rig_dir.fd), SPEC_ABSENT);

	/* Without the cpu controller cpu.stat has no word on throttling. */
	rig_put("cpu.stat", "usage_usec 5\nuser_usec 3\nsystem_usec 2\n", 0600);
	counters_read(ALL, &c);
	cr_expect_eq(c.cpu_usec, 5);
	cr_expect_eq(c.throttled_usec, SPEC_ABSENT);
	cr_expect_eq(cg_throttled_usec(rig_dir.fd, ALL), SPEC_ABSENT);
	cr_expect_eq(cg_cpu_usec(rig_dir.fd), 5);
	cr_expect_eq(c.memory_peak_bytes, SPEC_ABSENT);
}

Test(cgroup, reads_no_traffic_as_zero)
{
	struct spec_counters c = { 0 };

	rig_put("io.stat", "", 0600);
	counters_read(ALL, &c);
	cr_expect_eq(c.io_read_bytes, 0);
	cr_expect_eq(c.io_write_bytes, 0);
	rig_put("io.stat", "7:0 \n7:1 \n", 0600);
	counters_read(ALL, &c);
	cr_expect_eq(c.io_read_bytes, 0);
}

Test(cgroup, has_no_figure_where_the_file_is_longer_than_can_be_read)
{
	char text[8192] = "7:0 rbytes=1 ";
	struct spec_counters c = { 0 };

	memset(text + strlen(text), ' ', sizeof(text) - 1 - strlen(text));
	text[sizeof(text) - 1] = '\0';
	rig_put("io.stat", text, 0600);
	counters_read(ALL, &c);
	cr_expect_eq(c.io_read_bytes, SPEC_ABSENT);
}
