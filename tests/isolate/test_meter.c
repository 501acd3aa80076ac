/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/io.h>
#include <isolate/meter.h>

#include "rig.h"

static const struct id acme = { { 1 } }, globex = { { 2 } };
static struct meters meters;
static int notified = FD_NONE;

static void set_up(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct tn_error err = { 0 };

	rig_dir_make();
	meters = (struct meters){ .dir_fd = FD_NONE };
	cr_assert_eq(meters_open(&meters, rig_dir.path, &err), 0, "%s", err.msg);
	/* systemd's end. */
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig_path("notify"));
	notified = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cr_assert_eq(bind(notified, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
}

static void tear_down(void)
{
	fd_closep(&notified);
	fd_closep(&meters.dir_fd);
	rig_dir_remove();
}

TestSuite(meter, .timeout = 20, .init = set_up, .fini = tear_down);

static const char *path_of(const struct id *id, const char *name)
{
	static char path[512];
	char directory[300];

	meter_path(&meters, id, directory, sizeof(directory));
	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static int make(const struct id *id, const char *name)
{
	struct tn_error err = { 0 };
	int fd = FD_NONE;

	cr_assert_eq(meter_make(&meters, id, name, &fd, &err), 0, "%s", err.msg);
	return fd;
}

/* A connection, or -errno. By a short way: the directory's own name may be long. */
static int reach(const struct id *id)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_fd int dir_fd = open(path_of(id, "."), O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path),
	               "/proc/self/fd/%d/meter.sock", dir_fd);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	return fd;
}

static void told(const char *format, const struct id *id)
{
	char expected[128], text[128] = "", name[ID_TEXT_BYTES];

	id_format(id, name);
	(void)snprintf(expected, sizeof(expected), "%s%s", format, name);
	cr_assert_geq(recv(notified, text, sizeof(text) - 1, 0), 0, "nothing was told");
	cr_expect_str_eq(text, expected);
}

Test(meter, has_the_files_of_one_tenant_in_a_directory_that_nobody_passes)
{
	char text[256];
	struct stat st;
	int fd = make(&acme, "acme"), peer;

	cr_assert_eq(stat(meters.path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0700u);
	cr_assert_eq(stat(path_of(&acme, "."), &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0755u);
	cr_assert_eq(stat(path_of(&acme, "meter.sock"), &st), 0);
	cr_expect_eq(st.st_mode, S_IFSOCK | 0666u);
	cr_assert_gt(io_read_file_at(AT_FDCWD, path_of(&acme, "hostname"), text, sizeof(text)),
	             0);
	cr_expect_str_eq(text, "acme");
	cr_assert_gt(io_read_file_at(AT_FDCWD, path_of(&acme, "hosts"), text, sizeof(text)), 0);
	cr_expect_str_eq(text, "127.0.0.1 localhost acme\n::1 localhost\n");
	peer = reach(&acme);
	cr_expect_geq(peer, 0);
	(void)close(peer);
	peer = accept(fd, NULL, NULL);
	cr_expect_geq(peer, 0);
	(void)close(peer);
	cr_expect_eq(reach(&globex), -ENOENT);
	(void)close(fd);
}

Test(meter, is_kept_by_systemd_until_it_ends)
{
	struct tn_error err = { 0 };
	int fd = make(&acme, "acme");

	told("FDSTORE=1\nFDNAME=meter-", &acme);
	cr_expect_eq(meters.open_n, 1u);
	meter_end(&meters, &acme, &fd);
	told("FDSTOREREMOVE=1\nFDNAME=meter-", &acme);
	cr_expect_eq(fd, FD_NONE);
	cr_expect_eq(meters.open_n, 0u);
	cr_expect_eq(reach(&acme), -ENOENT);
	/* Its sandboxes have the directory still. */
	cr_expect_eq(access(path_of(&acme, "hosts"), F_OK), 0);
	cr_expect_eq(meter_forget(&meters, &acme, &err), 0, "%s", err.msg);
	cr_expect_eq(access(path_of(&acme, "."), F_OK), -1);
	cr_expect_eq(meter_forget(&meters, &acme, &err), 0);
}

/* Whoever runs still has the directory, and finds the new one in it. */
Test(meter, takes_the_place_of_one_that_was_lost)
{
	struct stat before, after;
	int lost = make(&acme, "acme"), fd, peer;

	cr_assert_eq(stat(path_of(&acme, "."), &before), 0);
	/* systemd has none, either. */
	told("FDSTORE=1\nFDNAME=meter-", &acme);
	(void)close(lost);
	cr_expect_eq(reach(&acme), -ECONNREFUSED);
	meters.open_n = 0;
	fd = make(&acme, "acme");
	cr_assert_eq(stat(path_of(&acme, "."), &after), 0);
	cr_expect_eq(before.st_ino, after.st_ino);
	peer = reach(&acme);
	cr_expect_geq(peer, 0);
	(void)close(peer);
	(void)close(fd);
}

Test(meter, tells_one_that_somebody_has_shut)
{
	int fd = make(&acme, "acme"), copy = dup(fd), peer;

	cr_expect_not(meter_is_shut(fd));
	/* That somebody waits is nothing of the kind. */
	peer = reach(&acme);
	cr_expect_not(meter_is_shut(fd));
	(void)close(peer);
	cr_expect_not(meter_is_shut(fd));
	cr_assert_eq(shutdown(copy, SHUT_RD), 0);
	cr_expect(meter_is_shut(fd));
	(void)close(copy);
	(void)close(fd);
}

static bool is_acme(void *context, const struct id *id)
{
	(void)context;
	return id_equal(id, &acme);
}

/* In a process whose descriptors are nobody else's: the first check that fails, or 0. */
static int takes_what_was_kept(int kept, int unknown, int *ends)
{
	char names[256], a[ID_TEXT_BYTES], b[ID_TEXT_BYTES], pid[16];
	int fd = FD_NONE, peer = reach(&acme);
	struct tn_error err = { 0 };

	if (peer < 0 || dup2(kept, 3) != 3 || dup2(unknown, 4) != 4 || dup2(unknown, 5) != 5)
		return 1;
	for (size_t i = 0; i < 2; i++)
		(void)close(ends[i]);
	id_format(&acme, a);
	id_format(&globex, b);
	(void)snprintf(names, sizeof(names), "meter-%s:meter-%s:meter-nobody", a, b);
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	(void)setenv("LISTEN_PID", pid, 1);
	(void)setenv("LISTEN_FDS", "3", 1);
	(void)setenv("LISTEN_FDNAMES", names, 1);
	meters_take_kept(&meters, 30);
	if (meters.kept_n != 2 || fcntl(3, F_GETFD) != -1 || fcntl(5, F_GETFD) != -1)
		return 2;
	if (meter_make(&meters, &acme, "acme", &fd, &err) < 0 || fd < 30)
		return 3;
	/* Whoever had connected before waits in it. */
	if ((fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0 || accept(fd, NULL, NULL) < 0)
		return 4;
	meters_sweep(&meters, is_acme, NULL);
	if (meters.kept_n != 0 || access(path_of(&globex, "."), F_OK) == 0)
		return 5;
	return access(path_of(&acme, "meter.sock"), F_OK) == 0 ? 0 : 6;
}

Test(meter, is_taken_over_and_what_is_nobodys_goes)
{
	int ends[2] = { make(&acme, "acme"), make(&globex, "globex") };
	int kept = fcntl(ends[0], F_DUPFD, 20), unknown = fcntl(ends[1], F_DUPFD, 20);
	int status = 0;
	pid_t pid;

	told("FDSTORE=1\nFDNAME=meter-", &acme);
	told("FDSTORE=1\nFDNAME=meter-", &globex);
	meters.open_n = 0;
	pid = fork();
	if (pid == 0)
		_exit(takes_what_was_kept(kept, unknown, ends));
	cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
	cr_expect(WIFEXITED(status));
	cr_expect_eq(WEXITSTATUS(status), 0, "check %d", WEXITSTATUS(status));
	told("FDSTOREREMOVE=1\nFDNAME=meter-", &globex);
}

/* As in a sandbox: another user, by a mount of the one directory that cannot be written to. */
static int connects_through_a_read_only_mount(const char *at)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(path_of(&acme, "."), at, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, at, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) < 0)
		return 1;
	if (chdir(at) < 0 || setresgid(65534, 65534, 65534) < 0 ||
	    setresuid(65534, 65534, 65534) < 0)
		return 2;
	if (open("x", O_WRONLY | O_CREAT, 0600) >= 0 || unlink("meter.sock") == 0 ||
	    open(path_of(&acme, "hosts"), O_RDONLY) >= 0)
		return 3;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "meter.sock");
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? 4 : 0;
}

Test(meter, is_reached_by_a_read_only_mount_and_in_no_other_way)
{
	int fd = make(&acme, "acme"), status = 0;
	pid_t pid;

	rig_need_root();
	cr_assert_eq(mkdir(rig_path("inside"), 0755), 0);
	cr_assert_eq(chmod(rig_dir.path, 0755), 0);
	pid = fork();
	if (pid == 0)
		_exit(connects_through_a_read_only_mount(rig_path("inside")));
	cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
	cr_expect(WIFEXITED(status));
	cr_expect_eq(WEXITSTATUS(status), 0, "check %d", WEXITSTATUS(status));
	(void)close(fd);
}
