/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether the controllers that hold the limits are there, and on cgroup v2. */
#include "doctor.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <base/err.h>
#include <base/fd.h>

/* In the order of doctor_cgroup_checks' needs; by their names on v2 and on v1. */
static const struct controller {
	const char *name, *v1_name;
	enum doctor_verdict without;
	const char *loss; /* what is not enforced without it */
} controllers[] = {
	{ "cpu", "cpu", DOCTOR_FAIL, "cpu_quota and cpu_weight" },
	{ "memory", "memory", DOCTOR_FAIL, "memory_max and memory_high" },
	{ "pids", "pids", DOCTOR_FAIL, "tasks_max" },
	{ "io", "blkio", DOCTOR_FAIL, "I/O limits and I/O accounting" },
};

static bool is_v2(const struct doctor_mount *mount, void *userdata)
{
	struct doctor_mount *ret = userdata;

	*ret = *mount;
	return strcmp(mount->type, "cgroup2") == 0;
}

static bool find_v2(const struct doctor *doctor, struct doctor_mount *ret)
{
	return doctor_each_mount(doctor, is_v2, ret);
}

static void check_mounted(struct doctor *doctor)
{
	struct doctor_mount mount;

	if (!find_v2(doctor, &mount))
		doctor_say(doctor, DOCTOR_FAIL, "cgroup v2",
		           "not mounted; boot with systemd.unified_cgroup_hierarchy=1");
	else if (strcmp(mount.point, "/sys/fs/cgroup") == 0)
		doctor_say(doctor, DOCTOR_OK, "cgroup v2", "at %s", mount.point);
	else
		doctor_say(
			doctor, DOCTOR_WARN, "cgroup v2",
			"at %s beside v1 hierarchies (hybrid), which keep controllers from it; "
			"boot with systemd.unified_cgroup_hierarchy=1",
			mount.point);
}

static bool holds_on_v1(const struct doctor_mount *mount, void *userdata)
{
	const struct controller *controller = userdata;

	return strcmp(mount->type, "cgroup") == 0 &&
	       doctor_has_word(mount->options, controller->v1_name);
}

static void say_missing(struct doctor *doctor, struct controller controller)
{
	char what[64];

	(void)snprintf(what, sizeof(what), "controller %s", controller.name);
	if (doctor_each_mount(doctor, holds_on_v1, &controller))
		doctor_say(doctor, controller.without, what,
		           "bound to a v1 hierarchy; not enforced: %s; boot with "
		           "systemd.unified_cgroup_hierarchy=1",
		           controller.loss);
	else
		doctor_say(doctor, controller.without, what,
		           "not in this kernel, or disabled by cgroup_disable= on its command "
		           "line; not enforced: %s",
		           controller.loss);
}

static void check_controllers(struct doctor *doctor)
{
	char path[320], text[512] = "", what[64];
	struct doctor_mount mount;

	if (find_v2(doctor, &mount)) {
		(void)snprintf(path, sizeof(path), "%s/cgroup.controllers", mount.point);
		(void)doctor_read(doctor, path, text, sizeof(text));
	}
	for (size_t i = 0; i < ARRAY_LEN(controllers); i++) {
		if (!doctor_has_word(text, controllers[i].name)) {
			say_missing(doctor, controllers[i]);
			continue;
		}
		(void)snprintf(what, sizeof(what), "controller %s", controllers[i].name);
		doctor_say(doctor, DOCTOR_OK, what, NULL);
	}
}

/* Whether a child of the root cgroup has @file. -ENOENT: none has; -ECHILD: no child. */
static int child_has(const struct doctor *doctor, const char *file)
{
	struct doctor_mount mount;
	cleanup_fd int fd = FD_NONE;
	const struct dirent *entry;
	int r = -ECHILD;
	DIR *dir;

	if (!find_v2(doctor, &mount))
		return -ECHILD;
	fd = openat(doctor->root_fd, mount.point + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir == NULL)
		return -ECHILD;
	(void)fd_take(&fd);
	while (r != 0 && (entry = readdir(dir)) != NULL) {
		char path[320];

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", entry->d_name, file);
		r = faccessat(dirfd(dir), path, F_OK, 0) == 0 ? 0 : -ENOENT;
	}
	(void)closedir(dir);
	return r;
}

static void check_file(struct doctor *doctor, const char *file, enum doctor_verdict without,
                       const char *loss)
{
	int r = child_has(doctor, file);

	if (r == 0)
		doctor_say(doctor, DOCTOR_OK, file, NULL);
	else if (r == -ECHILD)
		doctor_say(
			doctor, DOCTOR_WARN, file,
			"there is no cgroup to look for it in; every kernel from 6.1 has it");
	else
		doctor_say(doctor, without, file, "missing; %s", loss);
}

static void check_kill(struct doctor *doctor)
{
	check_file(doctor, "cgroup.kill", DOCTOR_FAIL,
	           "a run and all it started could not be ended at once");
}

static void check_memory_peak(struct doctor *doctor)
{
	check_file(doctor, "memory.peak", DOCTOR_WARN,
	           "the largest memory use of a run would be a sample, unless tenantd's own "
	           "cgroup has it: the memory controller is not enabled below the root");
}

static void check_cpu_pressure(struct doctor *doctor)
{
	check_file(doctor, "cpu.pressure", DOCTOR_WARN,
	           "how long a run waited for a CPU is not known");
}

static void check_psi(struct doctor *doctor)
{
	char text[256];

	if (doctor_read(doctor, "/proc/pressure/cpu", text, sizeof(text)) > 0)
		doctor_say(doctor, DOCTOR_OK, "pressure stall information", NULL);
	else
		doctor_say(doctor, DOCTOR_WARN, "pressure stall information",
		           "off; the stall figures of a run are null; boot with psi=1");
}

const struct doctor_check doctor_cgroup_checks[] = {
	{ "cgroup", check_mounted },
	{ "controllers", check_controllers },
	{ "cgroup_kill", check_kill },
	{ "memory_peak", check_memory_peak },
	{ "psi", check_psi },
	{ "cpu_pressure", check_cpu_pressure },
	{ NULL, NULL },
};
