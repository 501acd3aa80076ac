/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* isolate/skeleton.c and the table in template.c that must be the same as its own. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include <base/io.h>
#include <isolate/skeleton.h>
#include <isolate/template.h>

#include "rig.h"

static int skeleton_fd = FD_NONE;

/* In a mount namespace of the test's own, which ends with it. */
static void skeleton_mount(void)
{
	struct tn_error err = { 0 };

	rig_dir_make();
	rig_need_root();
	cr_assert_eq(unshare(CLONE_NEWNS), 0);
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	cr_assert_eq(mkdir(rig_path("root"), 0755), 0);
	(void)umask(077);
	cr_assert_eq(skeleton_make(rig_path("root"), &err), 0, "%s", err.msg);
	skeleton_fd = open(rig_path("root"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(skeleton_fd, 0);
}

static void skeleton_unmount(void)
{
	if (skeleton_fd >= 0)
		(void)umount2(rig_path("root"), MNT_DETACH);
	fd_closep(&skeleton_fd);
	rig_dir_remove();
}

TestSuite(skeleton, .timeout = 30, .init = skeleton_mount, .fini = skeleton_unmount);

Test(skeleton, has_a_place_for_every_size_file_of_a_cgroup_and_no_other)
{
	cleanup_fd int fd = openat(skeleton_fd, "sys/fs/cgroup", O_RDONLY | O_DIRECTORY);
	const struct dirent *entry;
	size_t n = 0;
	DIR *dir;

	for (unsigned int i = 0; i < TEMPLATE_CGROUP_FILES_N; i++)
		cr_expect_eq(faccessat(fd, template_cgroup_file(i), F_OK, 0), 0, "%s",
		             template_cgroup_file(i));
	dir = fdopendir(fd_take(&fd));
	cr_assert(dir != NULL);
	while ((entry = readdir(dir)) != NULL)
		n += entry->d_name[0] != '.';
	(void)closedir(dir);
	cr_expect_eq(n, TEMPLATE_CGROUP_FILES_N);
}

Test(skeleton, can_be_changed_by_nobody)
{
	struct statvfs fs;

	cr_assert_eq(fstatvfs(skeleton_fd, &fs), 0);
	cr_expect_neq(fs.f_flag & ST_RDONLY, 0);
	cr_expect_neq(fs.f_flag & ST_NOSUID, 0);
	cr_expect_neq(fs.f_flag & ST_NOEXEC, 0);
	cr_expect_lt(openat(skeleton_fd, "etc/x", O_WRONLY | O_CREAT, 0600), 0);
	cr_expect_eq(errno, EROFS);
	cr_expect_lt(openat(skeleton_fd, "etc/passwd", O_WRONLY), 0);
	cr_expect_eq(errno, EROFS);
}

Test(skeleton, has_the_standard_devices_for_everyone_whatever_the_umask)
{
	static const struct {
		const char *path;
		unsigned int major_no, minor_no;
	} devices[] = { { "dev/null", 1, 3 },   { "dev/zero", 1, 5 },    { "dev/full", 1, 7 },
		        { "dev/random", 1, 8 }, { "dev/urandom", 1, 9 }, { "dev/tty", 5, 0 } };

	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		struct stat st;

		cr_assert_eq(fstatat(skeleton_fd, devices[i].path, &st, AT_SYMLINK_NOFOLLOW),
		             0);
		cr_expect_eq(st.st_mode, S_IFCHR | 0666, "%s: %o", devices[i].path, st.st_mode);
		cr_expect_eq(st.st_rdev, makedev(devices[i].major_no, devices[i].minor_no));
		cr_expect_eq(st.st_uid, 0);
	}
}

Test(skeleton, knows_who_the_workload_is)
{
	char text[1024];

	cr_assert_gt(io_read_file_at(skeleton_fd, "etc/passwd", text, sizeof(text)), 0);
	cr_expect(strstr(text, "\ntenant:x:1000:1000:tenant:/data:/bin/sh\n") != NULL, "%s",
	          text);
	cr_assert_gt(io_read_file_at(skeleton_fd, "etc/group", text, sizeof(text)), 0);
	cr_expect(strstr(text, "\ntenant:x:1000:\n") != NULL, "%s", text);
}

Test(skeleton, takes_no_secret_of_the_hosts_along)
{
	static const char *const secrets[] = { "etc/shadow",
		                               "etc/gshadow",
		                               "etc/sudoers",
		                               "etc/ssl/private",
		                               "etc/tenantd",
		                               "etc/ssh/ssh_host_rsa_key",
		                               "etc/ssh/ssh_host_ed25519_key" };

	for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
		cr_expect_neq(faccessat(skeleton_fd, secrets[i], F_OK, AT_SYMLINK_NOFOLLOW), 0,
		              "%s", secrets[i]);
}
