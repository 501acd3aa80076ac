/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* isolate/reserve.c: what is left to the host, by systemd or by the kernel's files. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/io.h>
#include <isolate/reserve.h>

#define MIB INT64_C(1048576)

static char dir[] = "/tmp/tenantd-reserve-XXXXXX";
static char systemctl[64];

static const struct bounds bounds = { .reserve_memory_bytes = 64 * MIB,
	                              .reserve_cpu_percent = 5 };

static struct rig {
	struct loop loop;
	struct hierarchy hierarchy;
	struct reserve reserve;
	struct tn_error error;
	size_t told_n;
} rig;

static void put(const char *name, const char *text, mode_t mode)
{
	char path[128];
	cleanup_fd int fd = FD_NONE;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(io_write_all(fd, text, strlen(text)), 0);
}

/* "" if it is not there. */
static const char *get(const char *name)
{
	static char text[512];

	if (io_read_file_at(rig.hierarchy.root_fd, name, text, sizeof(text)) < 0)
		text[0] = '\0';
	return text;
}

static void told(void *context, const struct tn_error *error)
{
	struct rig *r = context;

	r->told_n++;
	r->error = *error;
	r->loop.done = true;
}

static void begin(void)
{
	struct tn_error err = { 0 };

	cr_assert_not_null(mkdtemp(dir));
	rig.hierarchy.root_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rig.hierarchy.controllers = SPEC_CONTROLLER_CPU | SPEC_CONTROLLER_MEMORY;
	(void)snprintf(rig.hierarchy.path, sizeof(rig.hierarchy.path),
	               "/sys/fs/cgroup/x.slice/y.service");
	(void)snprintf(systemctl, sizeof(systemctl), "%s/systemctl", dir);
	cr_assert_eq(loop_init(&rig.loop, &err), 0);
	rig.reserve = (struct reserve){ .loop = &rig.loop,
		                        .hierarchy = &rig.hierarchy,
		                        .bounds = &bounds,
		                        .systemctl = systemctl,
		                        .told = told,
		                        .context = &rig };
	put("memory.max", "max", 0644);
	put("cpu.max", "max 100000", 0644);
}

static int unlink_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void finish(void)
{
	(void)nftw(dir, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(reserve, .timeout = 30, .init = begin, .fini = finish);

static void wait_told(void)
{
	struct tn_error err = { 0 };

	rig.loop.done = false;
	cr_assert_eq(loop_run(&rig.loop, &err), 0, "%s", err.msg);
}

Test(reserve, leaves_what_is_said_but_never_less_than_half_to_tenants)
{
	struct reserve_limits limits = reserve_compute(2048 * MIB, 2, 512 * MIB, 10000);

	cr_expect_eq(limits.memory_bytes, 1536 * MIB);
	cr_expect_eq(limits.cpu_usec, 190000);
	limits = reserve_compute(2048 * MIB, 2, 0, 0);
	cr_expect_eq(limits.memory_bytes, SPEC_UNLIMITED);
	cr_expect_eq(limits.cpu_usec, SPEC_UNLIMITED);
	limits = reserve_compute(2048 * MIB, 1, INT64_MAX, INT64_MAX);
	cr_expect_eq(limits.memory_bytes, 1024 * MIB);
	cr_expect_eq(limits.cpu_usec, 50000);
	/* Whole pages, and hundredths of a percent. */
	limits = reserve_compute(2048 * MIB, 1, 1, 12345);
	cr_expect_eq(limits.memory_bytes, 2048 * MIB - 4096);
	cr_expect_eq(limits.cpu_usec, 87650);
}

Test(reserve, writes_to_a_tree_that_is_ours)
{
	char expected[64];
	struct sysinfo info;

	cr_assert_eq(sysinfo(&info), 0);
	reserve_init(&rig.reserve, false);
	reserve_set(&rig.reserve, 64 * MIB, 10000);
	cr_expect_eq(rig.told_n, 1);
	cr_expect_eq(rig.error.code, TN_OK, "%s", rig.error.msg);
	(void)snprintf(expected, sizeof(expected), "%lld",
	               (long long)reserve_compute((int64_t)info.totalram * info.mem_unit, 1,
	                                          64 * MIB, 0)
	                       .memory_bytes);
	cr_expect_eq(strncmp(get("memory.max"), expected, strlen(expected)), 0, "%s",
	             get("memory.max"));
	(void)snprintf(expected, sizeof(expected), "%lld 100000",
	               (long long)(sysconf(_SC_NPROCESSORS_ONLN) * 100000 - 10000));
	cr_expect_eq(strncmp(get("cpu.max"), expected, strlen(expected)), 0, "%s",
	             get("cpu.max"));
	/* What holds nothing is not written to, and what is not there is said. */
	cr_assert_eq(unlinkat(rig.hierarchy.root_fd, "memory.max", 0), 0);
	reserve_set(&rig.reserve, 64 * MIB, 0);
	cr_expect(strstr(rig.error.msg, "to memory.max: No such file") != NULL, "%s",
	          rig.error.msg);
	rig.hierarchy.controllers = SPEC_CONTROLLER_CPU;
	reserve_set(&rig.reserve, 64 * MIB, 0);
	cr_expect_eq(rig.error.code, TN_OK, "%s", rig.error.msg);
	cr_expect_eq(strncmp(get("cpu.max"), "max 100000", 10), 0, "%s", get("cpu.max"));
	cr_expect_eq(rig.told_n, 3);
}

Test(reserve, asks_systemd_for_a_unit_that_is_its)
{
	char script[256];

	(void)snprintf(script, sizeof(script), "#!/bin/sh\necho \"$@\" >>%s/asked\n", dir);
	put("systemctl", script, 0755);
	reserve_init(&rig.reserve, true);
	cr_expect_str_eq(rig.reserve.unit, "y.service");
	reserve_set(&rig.reserve, 0, 0);
	/* Asked while the first is under way: the last counts, and is told of. */
	reserve_set(&rig.reserve, 1 * MIB, 1000);
	reserve_set(&rig.reserve, 0, 0);
	wait_told();
	cr_expect_eq(rig.told_n, 1);
	cr_expect_eq(rig.error.code, TN_OK, "%s", rig.error.msg);
	cr_expect_str_eq(get("asked"), "--no-ask-password set-property --runtime y.service "
	                               "MemoryMax=infinity CPUQuota=\n"
	                               "--no-ask-password set-property --runtime y.service "
	                               "MemoryMax=infinity CPUQuota=\n");
	/* The files are systemd's to write. */
	cr_expect_eq(strncmp(get("memory.max"), "max", 3), 0);
	cr_assert_eq(unlinkat(rig.hierarchy.root_fd, "asked", 0), 0);
	reserve_set(&rig.reserve, 1 * MIB, 1234);
	wait_told();
	cr_expect(strstr(get("asked"), ".76%\n") != NULL ||
	                  strstr(get("asked"), ".77%\n") != NULL,
	          "%s", get("asked"));
}

Test(reserve, says_so_when_systemd_does_not)
{
	reserve_init(&rig.reserve, true);
	reserve_set(&rig.reserve, 0, 0);
	wait_told();
	cr_expect(strstr(rig.error.msg, "systemctl set-property y.service failed (127)") !=
	                  NULL,
	          "%s", rig.error.msg);
	put("systemctl", "#!/bin/sh\nexit 1\n", 0755);
	reserve_set(&rig.reserve, 0, 0);
	wait_told();
	cr_expect(strstr(rig.error.msg, "failed (1)") != NULL, "%s", rig.error.msg);
	cr_expect_eq(rig.told_n, 2);
}

Test(reserve, is_no_less_than_bounds_say)
{
	struct spec_reserve request = { .memory_bytes = 64 * MIB - 1, .cpu_usec = 5000 };

	reserve_init(&rig.reserve, false);
	reserve_ask(&rig.reserve, &request);
	cr_expect_str_eq(rig.error.msg,
	                 "host_reserve.memory of 67108863 is outside bounds.conf");
	request = (struct spec_reserve){ .memory_bytes = 64 * MIB, .cpu_usec = 4999 };
	reserve_ask(&rig.reserve, &request);
	cr_expect_str_eq(rig.error.msg, "host_reserve.cpu of 4999 is outside bounds.conf");
	request = (struct spec_reserve){ .memory_bytes = -1, .cpu_usec = -1 };
	reserve_ask(&rig.reserve, &request);
	cr_expect_eq(rig.error.code, TN_INVALID);
	cr_expect_eq(strncmp(get("memory.max"), "max", 3), 0);
	request = (struct spec_reserve){ .memory_bytes = 64 * MIB, .cpu_usec = 5000 };
	reserve_ask(&rig.reserve, &request);
	cr_expect_eq(rig.error.code, TN_OK, "%s", rig.error.msg);
	cr_expect_neq(strncmp(get("memory.max"), "max", 3), 0);
}
