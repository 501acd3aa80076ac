/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the running kernel and its processors offer. */
#include "doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/num.h>

#define KERNEL_MAJOR_MIN 6
#define KERNEL_MINOR_MIN 1

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif
#define LANDLOCK_VERSION 1u /* asks for the ABI instead of a ruleset */
#define LANDLOCK_ABI_MIN 2  /* the first that lets files be moved between directories */

static void check_version(struct doctor *doctor)
{
	char text[128] = "", what[160];
	long major, minor = 0;
	char *end;

	(void)doctor_read(doctor, "/proc/sys/kernel/osrelease", text, sizeof(text));
	text[strcspn(text, "\n")] = '\0';
	(void)snprintf(what, sizeof(what), "kernel %s", text);
	major = strtol(text, &end, 10);
	if (*end == '.')
		minor = strtol(end + 1, NULL, 10);
	if (major > KERNEL_MAJOR_MIN ||
	    (major == KERNEL_MAJOR_MIN && minor >= KERNEL_MINOR_MIN))
		doctor_say(doctor, DOCTOR_OK, what, NULL);
	else
		doctor_say(doctor, DOCTOR_FAIL, what, "6.1 or later is needed");
}

static void check_user_namespaces(struct doctor *doctor)
{
	char text[64];
	int64_t n = 0;

	(void)doctor_read(doctor, "/proc/sys/user/max_user_namespaces", text, sizeof(text));
	text[strcspn(text, "\n")] = '\0';
	if (num_parse(text, INT64_MAX, &n) == 0 && n > 0)
		doctor_say(doctor, DOCTOR_OK, "user namespaces", "at most %s of them", text);
	else
		doctor_say(
			doctor, DOCTOR_FAIL, "user namespaces",
			"off, and a tenant's ids live in one; sysctl "
			"user.max_user_namespaces=65536, or boot a kernel with CONFIG_USER_NS");
}

static void check_seccomp(struct doctor *doctor)
{
	static const char *const needed[] = { "kill_process", "errno", "allow" };
	char text[256];

	(void)doctor_read(doctor, "/proc/sys/kernel/seccomp/actions_avail", text, sizeof(text));
	for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
		if (doctor_has_word(text, needed[i]) && prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0)
			continue;
		doctor_say(doctor, DOCTOR_FAIL, "seccomp filters",
		           "the action '%s' is missing; CONFIG_SECCOMP_FILTER is needed",
		           needed[i]);
		return;
	}
	doctor_say(doctor, DOCTOR_OK, "seccomp filters", NULL);
}

static void check_no_new_privs(struct doctor *doctor)
{
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) >= 0)
		doctor_say(doctor, DOCTOR_OK, "no_new_privs", NULL);
	else
		doctor_say(doctor, DOCTOR_FAIL, "no_new_privs", "the kernel does not know it");
}

static void check_landlock(struct doctor *doctor)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);

	if (abi >= LANDLOCK_ABI_MIN)
		doctor_say(doctor, DOCTOR_OK, "Landlock",
		           "ABI %ld; what a sandbox may write to is said twice", abi);
	else if (abi > 0)
		doctor_say(doctor, DOCTOR_WARN, "Landlock",
		           "ABI %ld, and %d is needed; mounts and ids still confine files", abi,
		           LANDLOCK_ABI_MIN);
	else
		doctor_say(
			doctor, DOCTOR_WARN, "Landlock",
			"%s; mounts and ids still confine files; boot with lsm=landlock,... to "
			"have a second wall",
			errno == EOPNOTSUPP ? "built in but not enabled"
					    : "not in this kernel");
}

/* A directory that is none: EBADF tells that the flag is known, and nothing is started. */
static void check_clone3(struct doctor *doctor)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP | CLONE_PIDFD,
		                   .cgroup = INT_MAX };
	int pidfd;

	args.pidfd = (uint64_t)(uintptr_t)&pidfd;
	if (syscall(SYS_clone3, &args, sizeof(args)) < 0 && errno == EBADF)
		doctor_say(doctor, DOCTOR_OK, "clone3 into a cgroup", NULL);
	else
		doctor_say(doctor, DOCTOR_FAIL, "clone3 into a cgroup",
		           "%s; a container's seccomp profile may hide it", strerror(errno));
}

static void check_mount_setattr(struct doctor *doctor)
{
	if (syscall(SYS_mount_setattr, -1, "", 0, NULL, 0) < 0 && errno != ENOSYS)
		doctor_say(doctor, DOCTOR_OK, "mount_setattr and idmapped mounts", NULL);
	else
		doctor_say(doctor, DOCTOR_FAIL, "mount_setattr and idmapped mounts",
		           "%s; a container's seccomp profile may hide it", strerror(errno));
}

static void check_core_dumps(struct doctor *doctor)
{
	char text[256];

	(void)doctor_read(doctor, "/proc/sys/kernel/core_pattern", text, sizeof(text));
	text[strcspn(text, "\n")] = '\0';
	if (text[0] == '|')
		doctor_say(
			doctor, DOCTOR_OK, "core dumps",
			"this host pipes them to a program that runs as root; they are off in "
			"sandboxes");
	else
		doctor_say(doctor, DOCTOR_OK, "core dumps", "off in sandboxes");
}

/* tenant-init is kept from its tenant by being a program that cannot be read. */
static void check_suid_dumpable(struct doctor *doctor)
{
	char text[16];

	if (doctor_read(doctor, "/proc/sys/fs/suid_dumpable", text, sizeof(text)) < 0 ||
	    text[0] != '1')
		doctor_say(doctor, DOCTOR_OK, "programs that cannot be read", NULL);
	else
		doctor_say(doctor, DOCTOR_WARN, "programs that cannot be read",
		           "can be looked into while they run, tenant-init by its tenant for a "
		           "moment; sysctl fs.suid_dumpable=2");
}

static void check_smt(struct doctor *doctor)
{
	char text[16];

	if (doctor_read(doctor, "/sys/devices/system/cpu/smt/active", text, sizeof(text)) < 0)
		doctor_say(doctor, DOCTOR_WARN, "hyper-threads", "the kernel does not say");
	else if (text[0] == '0')
		doctor_say(doctor, DOCTOR_OK, "hyper-threads", "none are active");
	else
		doctor_say(
			doctor, DOCTOR_WARN, "hyper-threads",
			"two tenants can share a core and see each other's timing; boot with "
			"nosmt if they distrust each other");
}

/* The names of the files that say "Vulnerable". */
static void check_mitigations(struct doctor *doctor)
{
	static const char directory[] = "/sys/devices/system/cpu/vulnerabilities";
	char names[256] = "", path[512], text[256];
	cleanup_fd int fd = openat(doctor->root_fd, directory + 1,
	                           O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (dir == NULL) {
		doctor_say(doctor, DOCTOR_WARN, "processor flaws", "the kernel does not say");
		return;
	}
	(void)fd_take(&fd);
	while ((entry = readdir(dir)) != NULL) {
		size_t n = strlen(names);

		(void)snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		if (doctor_read(doctor, path, text, sizeof(text)) > 0 &&
		    strncmp(text, "Vulnerable", strlen("Vulnerable")) == 0)
			(void)snprintf(names + n, sizeof(names) - n, "%s%s", n > 0 ? ", " : "",
			               entry->d_name);
	}
	(void)closedir(dir);
	if (names[0] == '\0')
		doctor_say(doctor, DOCTOR_OK, "processor flaws",
		           "all that are known are mitigated");
	else
		doctor_say(
			doctor, DOCTOR_WARN, "processor flaws",
			"open: %s; a tenant may read others' memory; update the microcode, and "
			"do not boot with mitigations=off",
			names);
}

static void check_swap(struct doctor *doctor)
{
	char text[1024];
	const char *second_line;

	(void)doctor_read(doctor, "/proc/swaps", text, sizeof(text));
	second_line = strchr(text, '\n');
	if (second_line == NULL || second_line[1] == '\0')
		doctor_say(doctor, DOCTOR_OK, "swap", "none");
	else
		doctor_say(
			doctor, DOCTOR_OK, "swap",
			"present; a tier's memory_swap_max says who may use it, 0 unless it is "
			"set; encrypt it if a tenant's memory must not reach a disk");
}

const struct doctor_check doctor_kernel_checks[] = {
	{ "kernel", check_version },
	{ "user_namespaces", check_user_namespaces },
	{ "seccomp", check_seccomp },
	{ "no_new_privs", check_no_new_privs },
	{ "landlock", check_landlock },
	{ "clone3", check_clone3 },
	{ "mount_setattr", check_mount_setattr },
	{ "core_dumps", check_core_dumps },
	{ "suid_dumpable", check_suid_dumpable },
	{ "smt", check_smt },
	{ "mitigations", check_mitigations },
	{ "swap", check_swap },
	{ NULL, NULL },
};
