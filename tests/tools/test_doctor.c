/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The doctor on hosts that are made up below a directory. What it asks the running
 * kernel itself is not looked at here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <criterion/criterion.h>

#include <base/fd.h>
#include <base/io.h>
#include <tools/doctor.h>

static char root[] = "/tmp/test-doctor-XXXXXX";
static char *text;

static void set_up(void)
{
	cr_assert_not_null(mkdtemp(root));
}

static void tear_down(void)
{
	char command[64];

	(void)snprintf(command, sizeof(command), "rm -rf %s", root);
	cr_assert_eq(system(command), 0);
	free(text);
}

TestSuite(doctor, .timeout = 30, .init = set_up, .fini = tear_down);

/* Make a file below the root, and the directories above it. */
static void make(const char *path, const char *content)
{
	char full[512];
	int fd;

	(void)snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		cr_assert(mkdir(full, 0755) == 0 || errno == EEXIST);
		*p = '/';
	}
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	cr_assert_geq(fd, 0);
	cr_assert_eq(io_write_all(fd, content, strlen(content)), 0);
	cr_assert_eq(close(fd), 0);
}

static int diagnose(bool json)
{
	cleanup_fd int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t n;
	FILE *file = open_memstream(&text, &n);
	struct doctor doctor = {
		.root_fd = root_fd,
		.root = root,
		.config = "/etc/tenantd",
		.socket = "/tmp/there/is/none",
		.file = file,
		.json = json,
	};
	int status;

	cr_assert(root_fd >= 0 && file != NULL);
	status = doctor_run(&doctor);
	cr_assert_eq(fclose(file), 0);
	return status;
}

/* A line that begins with @beginning and holds @part. */
static void expect_line(const char *beginning, const char *part)
{
	for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
		const char *end = strchr(line, '\n'), *found = strstr(line, part);

		if (strncmp(line, beginning, strlen(beginning)) == 0 && found != NULL &&
		    found < end)
			return;
	}
	cr_expect_fail("no line '%s' with '%s' in:\n%s", beginning, part, text);
}

static void make_good_host(void)
{
	make("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
	make("/proc/sys/user/max_user_namespaces", "65536\n");
	make("/proc/sys/kernel/seccomp/actions_avail",
	     "kill_process kill_thread trap errno user_notif trace log allow\n");
	make("/proc/sys/kernel/core_pattern", "core\n");
	make("/sys/devices/system/cpu/smt/active", "0\n");
	make("/sys/devices/system/cpu/vulnerabilities/meltdown", "Not affected\n");
	make("/proc/swaps", "Filename Type Size Used Priority\n");
	make("/proc/self/mountinfo",
	     "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
	     "30 22 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
	     "31 22 8:2 / /var/lib rw - xfs /dev/sda2 rw,prjquota\n"
	     "32 22 8:3 / /var/lib/tenantdish rw - ext4 /dev/sda3 rw\n");
	make("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma\n");
	make("/sys/fs/cgroup/system.slice/cgroup.kill", "");
	make("/sys/fs/cgroup/system.slice/memory.peak", "1\n");
	make("/sys/fs/cgroup/system.slice/cpu.pressure", "some\n");
	make("/proc/pressure/cpu", "some avg10=0.00\n");
	make("/etc/tenantd/bounds.conf", "# ids\nuid_base = 2000000000\nslots_max = 100\n");
	make("/etc/subuid", "alice:100000:65536\n");
	make("/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
	make("/etc/group", "root:x:0:\ntenantd-admin:x:999:alice\n");
	make("/run/systemd/system/x", "");
}

Test(doctor, finds_nothing_wrong_with_a_good_host)
{
	make_good_host();
	/* No daemon runs, and there are no tiers. */
	cr_expect_eq(diagnose(false), EXIT_FAILURE);
	expect_line("ok    kernel 6.1.0-18-amd64", "");
	expect_line("ok    user namespaces", "65536");
	expect_line("ok    seccomp filters", "");
	expect_line("ok    hyper-threads", "");
	expect_line("ok    processor flaws", "");
	expect_line("ok    swap", "none");
	expect_line("ok    cgroup v2", "/sys/fs/cgroup");
	expect_line("ok    controller cpu", "");
	expect_line("ok    controller memory", "");
	expect_line("ok    controller pids", "");
	expect_line("ok    controller io", "");
	expect_line("ok    cgroup.kill", "");
	expect_line("ok    memory.peak", "");
	expect_line("ok    pressure stall", "");
	expect_line("ok    cpu.pressure", "");
	expect_line("ok    ids of tenants", "2000000000 to 2006553599");
	expect_line("ok    storage", "xfs with project quotas");
	expect_line("ok    group tenantd-admin", "");
	expect_line("ok    systemd", "");
	expect_line("FAIL  daemon", "systemctl status tenantd");
	expect_line("FAIL  policy files", "");
	expect_line("needed and missing: 2", "");
}

Test(doctor, says_that_controllers_are_bound_to_v1_and_how_to_free_them)
{
	make_good_host();
	make("/proc/self/mountinfo",
	     "30 22 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	     "31 22 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
	     "32 22 0:28 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n");
	make("/sys/fs/cgroup/unified/cgroup.controllers", "pids\n");
	make("/sys/fs/cgroup/unified/a/cgroup.procs", "");
	cr_expect_eq(diagnose(false), EXIT_FAILURE);
	expect_line("warn  cgroup v2", "hybrid");
	expect_line("FAIL  controller cpu", "systemd.unified_cgroup_hierarchy=1");
	expect_line("FAIL  controller io", "bound to a v1 hierarchy");
	expect_line("FAIL  controller memory", "not in this kernel");
	expect_line("ok    controller pids", "");
	expect_line("FAIL  cgroup.kill", "missing");
	expect_line("warn  storage", "without project quotas");
}

Test(doctor, says_what_an_old_or_careless_host_lacks)
{
	make_good_host();
	make("/proc/sys/kernel/osrelease", "5.15.0\n");
	make("/proc/sys/user/max_user_namespaces", "0\n");
	make("/proc/sys/kernel/seccomp/actions_avail", "errno allow kill_process_not\n");
	make("/proc/sys/kernel/core_pattern", "|/usr/lib/systemd/systemd-coredump %P\n");
	make("/proc/sys/fs/suid_dumpable", "1\n");
	make("/sys/devices/system/cpu/smt/active", "1\n");
	make("/sys/devices/system/cpu/vulnerabilities/mds", "Vulnerable: no microcode\n");
	make("/proc/swaps", "Filename Type\n/dev/sda5 partition\n");
	make("/proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
	cr_expect_eq(diagnose(false), EXIT_FAILURE);
	expect_line("FAIL  kernel 5.15.0", "6.1 or later");
	expect_line("FAIL  user namespaces", "user.max_user_namespaces");
	expect_line("FAIL  seccomp filters", "kill_process");
	expect_line("ok    core dumps", "off in sandboxes");
	expect_line("warn  programs that cannot be read", "fs.suid_dumpable=2");
	expect_line("warn  hyper-threads", "nosmt");
	expect_line("warn  processor flaws", "mds");
	expect_line("ok    swap", "memory_swap_max");
	expect_line("FAIL  cgroup v2", "not mounted");
}

Test(doctor, finds_ids_that_belong_to_somebody)
{
	make_good_host();
	make("/etc/subuid", "alice:100000:65536\nbob:2006553599:1\n");
	make("/etc/subgid", "bob:2006553600:65536\n");
	make("/etc/passwd", "root:x:0:0::/root:/bin/sh\nmallory:x:2000000007:5::/:/bin/sh\n");
	(void)diagnose(false);
	expect_line("FAIL  ids of tenants and /etc/subuid", "bob:2006553599:1");
	expect_line("FAIL  ids of tenants and /etc/passwd", "mallory");
	cr_expect_null(strstr(text, "/etc/subgid"));

	free(text);
	make("/etc/tenantd/bounds.conf", "uid_base = 600000\nslots_max=10\n");
	(void)diagnose(false);
	expect_line("FAIL  ids of tenants", "systemd's containers");
	cr_expect_null(strstr(text, "/etc/subuid"));
}

Test(doctor, says_that_nobody_but_root_can_administer)
{
	make_good_host();
	make("/etc/group", "root:x:0:\ntenantd-administrators:x:999:\n");
	(void)diagnose(false);
	expect_line("warn  group tenantd-admin", "groupadd --system tenantd-admin");
}

Test(doctor, distrusts_bounds_that_others_can_write)
{
	char path[128];

	make_good_host();
	(void)snprintf(path, sizeof(path), "%s/etc/tenantd/bounds.conf", root);
	cr_assert_eq(chmod(path, 0664), 0);
	(void)diagnose(false);
	expect_line("FAIL  /etc/tenantd/bounds.conf", "others than root");

	free(text);
	cr_assert_eq(unlink(path), 0);
	(void)diagnose(false);
	expect_line("FAIL  /etc/tenantd/bounds.conf", "No such file");
}

Test(doctor, says_the_same_as_json)
{
	make_good_host();
	cr_expect_eq(diagnose(true), EXIT_FAILURE);
	expect_line("  {\"check\": \"kernel\", \"verdict\": \"ok\", \"what\": \"kernel "
	            "6.1.0-18-amd64\", \"why\": null},",
	            "");
	expect_line("  {\"check\": \"daemon\", \"verdict\": \"fail\"",
	            "systemctl status tenantd");
	cr_expect_eq(text[0], '[');
	cr_expect_str_eq(text + strlen(text) - 3, "\n]\n");
}
