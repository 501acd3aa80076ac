/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* isolate/bind.c: where a path of the caller's may be shown, and which. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <base/fd.h>
#include <isolate/bind.h>

#include "rig.h"

TestSuite(bind, .timeout = 20, .init = rig_dir_make, .fini = rig_dir_remove);

static int check(const char *a, const char *b, int fd, struct tn_error *err)
{
	static struct spec_launch launch;
	int fds[SPEC_BINDS_MAX] = { fd, fd };

	launch.binds_n = b == NULL ? 1 : 2;
	(void)snprintf(launch.binds[0].target, SPEC_PATH_BYTES_MAX, "%s", a);
	(void)snprintf(launch.binds[1].target, SPEC_PATH_BYTES_MAX, "%s", b == NULL ? "" : b);
	return bind_check(&launch, fds, err);
}

Test(bind, is_shown_below_a_few_directories_only)
{
	static const char *const good[] = { "/home/a", "/media/a", "/mnt/a",
		                            "/opt/a",  "/srv/a",   "/tmp/a/b/c" };
	static const char *const bad[] = { "/",        "/home",   "/tmp",   "/homes/a",
		                           "/ho/a",    "/data/a", "/etc/x", "/usr/a",
		                           "/proc/a",  "/dev/a",  "/run/a", "/sys/a",
		                           "/a/tmp/b", "tmp/a",   "" };
	struct tn_error err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		cr_expect_eq(check(good[i], NULL, rig_dir.fd, &err), 0, "%s: %s", good[i],
		             err.msg);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cr_expect_eq(check(bad[i], NULL, rig_dir.fd, &err), -EINVAL, "%s", bad[i]);
		cr_expect_eq(err.code, TN_INVALID);
		cr_expect(strstr(err.msg,
		                 "a path below /home, /media, /mnt, /opt, /srv or /tmp "
		                 "was expected") != NULL,
		          "%s", err.msg);
	}
}

Test(bind, never_lies_in_another_one)
{
	static const struct {
		const char *a, *b;
		bool good;
	} rows[] = {
		{ "/mnt/a", "/mnt/b", true },     { "/mnt/a", "/mnt/ab", true },
		{ "/mnt/a/b", "/mnt/a/c", true }, { "/mnt/a", "/tmp/a", true },
		{ "/mnt/a", "/mnt/a", false },    { "/mnt/a", "/mnt/a/b", false },
		{ "/mnt/a/b", "/mnt/a", false },  { "/tmp/a/b/c", "/tmp/a", false },
	};
	struct tn_error err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int r = check(rows[i].a, rows[i].b, rig_dir.fd, &err);

		cr_expect_eq(r, rows[i].good ? 0 : -EINVAL, "%s and %s", rows[i].a, rows[i].b);
		if (!rows[i].good)
			cr_expect(strstr(err.msg, "lie one in the other") != NULL, "%s",
			          err.msg);
	}
}

static int check_tmpfs(const char *bind, const char *a, const char *b, struct tn_error *err)
{
	static struct spec_launch launch;
	int fds[SPEC_BINDS_MAX] = { rig_dir.fd };

	launch.binds_n = bind == NULL ? 0 : 1;
	launch.tmpfs_n = b == NULL ? 1 : 2;
	(void)snprintf(launch.binds[0].target, SPEC_PATH_BYTES_MAX, "%s",
	               bind == NULL ? "" : bind);
	(void)snprintf(launch.tmpfs[0].target, SPEC_PATH_BYTES_MAX, "%s", a);
	(void)snprintf(launch.tmpfs[1].target, SPEC_PATH_BYTES_MAX, "%s", b == NULL ? "" : b);
	return bind_check(&launch, fds, err);
}

Test(bind, shares_its_places_with_tmpfs)
{
	static const struct {
		const char *bind, *a, *b;
		bool good;
	} rows[] = {
		{ NULL, "/mnt/a", NULL, true },        { NULL, "/tmp/a/b", "/srv/a", true },
		{ "/mnt/a", "/mnt/b", NULL, true },    { "/mnt/a", "/mnt/a", NULL, false },
		{ "/mnt/a", "/mnt/a/b", NULL, false }, { "/mnt/a/b", "/mnt/a", NULL, false },
		{ NULL, "/mnt/a", "/mnt/a", false },   { NULL, "/mnt/a/b", "/mnt/a", false },
	};
	static const char *const bad[] = { "/",      "/mnt",     "/tmp", "/data/a",
		                           "/usr/a", "/dev/shm", "" };
	struct tn_error err = { 0 };
	char text[160];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int r = check_tmpfs(rows[i].bind, rows[i].a, rows[i].b, &err);

		cr_expect_eq(r, rows[i].good ? 0 : -EINVAL, "row %zu: %s", i, err.msg);
		if (!rows[i].good)
			cr_expect(strstr(err.msg, "lie one in the other") != NULL, "%s",
			          err.msg);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cr_expect_eq(check_tmpfs(NULL, bad[i], NULL, &err), -EINVAL, "%s", bad[i]);
		(void)snprintf(text, sizeof(text),
		               "cannot mount a tmpfs on %s: a path below /home, /media, /mnt, "
		               "/opt, /srv or /tmp was expected",
		               bad[i]);
		cr_expect_str_eq(err.msg, text);
	}
}

Test(bind, is_of_a_path_to_a_file_or_directory)
{
	struct tn_error err = { 0 };
	cleanup_fd int file = FD_NONE, opened = FD_NONE, proc = FD_NONE;

	rig_put("file", "x", 0600);
	file = open(rig_path("file"), O_PATH | O_CLOEXEC);
	opened = open(rig_path("file"), O_RDONLY | O_CLOEXEC);
	proc = open("/proc", O_PATH | O_CLOEXEC);
	cr_expect_eq(check("/mnt/a", NULL, file, &err), 0, "%s", err.msg);
	cr_expect_eq(check("/mnt/a", NULL, opened, &err), -EPERM);
	cr_expect_str_eq(err.msg, "bind to /mnt/a: only a file or a directory can be bound");
	cr_expect_eq(check("/mnt/a", NULL, proc, &err), -EPERM);
	cr_expect_eq(strncmp(err.msg, "bind to /mnt/a: procfs ", 23), 0, "%s", err.msg);
	cr_expect_eq(err.code, TN_NOT_PERMITTED);
}

Test(bind, of_nothing_is_fine)
{
	static const struct spec_launch launch;
	struct tn_error err = { 0 };

	cr_expect_eq(bind_check(&launch, NULL, &err), 0, "%s", err.msg);
}
