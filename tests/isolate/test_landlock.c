/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * isolate/landlock.c: a root of which everything can be written to, as if no mount were
 * read-only, and what of it is left once the tenant is confined.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fd.h>
#include <isolate/landlock.h>

#include "rig.h"

#define UID 54321

TestSuite(landlock, .init = rig_dir_make, .fini = rig_dir_remove, .timeout = 30);

/* As in a sandbox, all of it the tenant's own and on a writable file system. */
static const char *const directories[] = {
	"/usr", "/usr/sub", "/etc",  "/data", "/data/sub", "/cache",  "/tmp",
	"/dev", "/dev/shm", "/proc", "/mnt",  "/mnt/rw",   "/mnt/ro", "/run",
};
static const char *const files[] = { "/usr/file", "/etc/file",    "/dev/node", "/proc/knob",
	                             "/run/file", "/mnt/ro/file", "/mnt/one" };

/* Of the host: the made-up /proc has no links to descriptors. */
static int proc_fd;
/* Of an IPC namespace of our own. */
static int queues_fd = FD_NONE;

static int queues_open(void)
{
	cleanup_fd int fs = FD_NONE;

	if (unshare(CLONE_NEWIPC) < 0)
		return -1;
	fs = fsopen("mqueue", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	queues_fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return queues_fd < 0 ? -1 : 0;
}

static int root_make(void)
{
	proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0 || queues_open() < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("root", rig_dir.path, "tmpfs", 0, "mode=777") < 0 ||
	    chroot(rig_dir.path) < 0 || chdir("/") < 0 || setresuid(UID, UID, UID) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(directories); i++)
		if (mkdir(directories[i], 0777) < 0)
			return -1;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (mknod(files[i], S_IFREG | 0666, 0) < 0)
			return -1;
	return 0;
}

/* How @child ends in such a root, confined by @abi for @launch. */
static int status_for(int abi, const struct spec_launch *launch, int (*child)(void))
{
	int status = -1;
	pid_t pid;

	rig_need_root();
	rig_need(abi == 0 || ll_abi() > 0, "this kernel has no Landlock");
	pid = fork();
	if (pid == 0) {
		if (root_make() < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			_exit(100);
		_exit(ll_confine(abi, ll_begin(abi, launch, queues_fd, false)) < 0 ? 101
		                                                                   : child());
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The same for a launch that binds /mnt/ro and, to be written to, @writable. */
static int status_in(int abi, const char *writable, int (*child)(void))
{
	static struct spec_launch launch = {
		.binds = { { .target = "/mnt/ro" }, { .writable = 1 } },
		.binds_n = 2,
	};

	(void)snprintf(launch.binds[1].target, SPEC_PATH_BYTES_MAX, "%s", writable);
	return status_for(abi, &launch, child);
}

static int opens(const char *path, int flags)
{
	cleanup_fd int fd = open(path, flags | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : 0;
}

static int result(int r)
{
	return r < 0 ? -errno : 0;
}

/* Each way to change something, on a path @dir: how many were refused with EACCES. */
static int changes_refused(const char *dir)
{
	char made[64], file[64], link_[64];
	int refused = 0;

	(void)snprintf(made, sizeof(made), "%s/made", dir);
	(void)snprintf(file, sizeof(file), "%s/file", dir);
	(void)snprintf(link_, sizeof(link_), "%s/link", dir);
	const int results[] = {
		opens(file, O_WRONLY | O_CREAT),
		opens(file, O_RDWR),
		result(mkdir(made, 0700)),
		result(rmdir(made)),
		result(symlink("x", link_)),
		result(unlink(link_)),
		result(mkfifo(link_, 0600)),
		result(unlink(link_)),
		result(mknod(link_, S_IFSOCK | 0600, 0)),
		result(rename(link_, made)),
		result(unlink(made)),
		result(unlink(file)),
	};

	for (size_t i = 0; i < ARRAY_LEN(results); i++)
		refused += results[i] == -EACCES;
	return refused;
}

static int nothing_refused_in_writable_places(void)
{
	static const char *const places[] = { "/data", "/data/sub", "/cache",
		                              "/tmp",  "/dev/shm",  "/mnt/rw" };

	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (changes_refused(places[i]) > 0)
			return 1 + (int)i;
	return 0;
}

/* Removing what is not there fails otherwise; all that could change something does not. */
static int all_refused_elsewhere(void)
{
	static const char *const places[] = {
		"/", "/usr", "/usr/sub", "/etc", "/mnt/ro", "/run"
	};

	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (changes_refused(places[i]) < 5)
			return 1 + (int)i;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		bool content = strncmp(files[i], "/dev/", 5) == 0 ||
		               strncmp(files[i], "/proc/", 6) == 0;

		if (opens(files[i], O_WRONLY) != (content ? 0 : -EACCES) ||
		    opens(files[i], O_RDONLY) != 0 || result(unlink(files[i])) != -EACCES)
			return 20 + (int)i;
	}
	return opens("/dev/new", O_WRONLY | O_CREAT) == -EACCES &&
	                       result(mkdir("/proc/new", 0700)) == -EACCES
	               ? 0
	               : 40;
}

static int everything_goes(void)
{
	for (size_t i = 0; i < ARRAY_LEN(directories); i++)
		if (changes_refused(directories[i]) > 0)
			return 1 + (int)i;
	return 0;
}

Test(landlock, without_it_such_a_root_can_be_written_to_everywhere)
{
	cr_expect_eq(status_in(0, "/mnt/rw", everything_goes), 0);
}

Test(landlock, refuses_to_change_what_no_mount_protects)
{
	cr_expect_eq(status_in(ll_abi(), "/mnt/rw", all_refused_elsewhere), 0);
}

Test(landlock, leaves_the_writable_places_writable)
{
	cr_expect_eq(status_in(ll_abi(), "/mnt/rw", nothing_refused_in_writable_places), 0);
}

/* The oldest kernel we run on has ABI 2, which cannot speak of truncating. */
Test(landlock, does_the_same_by_the_oldest_abi)
{
	cr_expect_eq(status_in(2, "/mnt/rw", all_refused_elsewhere), 0);
	cr_expect_eq(status_in(2, "/mnt/rw", nothing_refused_in_writable_places), 0);
}

static int moves(void)
{
	int fd = open("/data", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	char name[16];

	(void)snprintf(name, sizeof(name), "%d", fd);
	if (opens("/data/a", O_WRONLY | O_CREAT) < 0 || rename("/data/a", "/data/sub/b") < 0)
		return 1;
	if (link("/data/sub/b", "/data/c") < 0 || rename("/data/c", "/cache/c") < 0)
		return 2;
	if (fd < 0 || linkat(proc_fd, name, AT_FDCWD, "/data/d", AT_SYMLINK_FOLLOW) < 0)
		return 3;
	if (rename("/cache/c", "/etc/c") != -1 || errno != EACCES)
		return 4;
	return rename("/etc/file", "/data/file") == -1 && errno == EACCES ? 0 : 5;
}

Test(landlock, lets_files_be_moved_between_writable_places_only)
{
	cr_expect_eq(status_in(ll_abi(), "/mnt/rw", moves), 0);
}

static int truncates(void)
{
	if (truncate("/usr/file", 0) == 0 && ll_abi() >= 3)
		return 1;
	return truncate("/dev/node", 0) == 0 ? 0 : 2;
}

Test(landlock, refuses_to_truncate_where_the_kernel_can)
{
	cr_expect_eq(status_in(ll_abi(), "/mnt/rw", truncates), 0);
}

static int one_file(void)
{
	if (opens("/mnt/one", O_RDWR) != 0 || unlink("/mnt/one") == 0)
		return 1;
	return opens("/mnt/two", O_RDWR | O_CREAT) == -EACCES ? 0 : 2;
}

Test(landlock, allows_a_single_file_that_is_bound_writable)
{
	cr_expect_eq(status_in(ll_abi(), "/mnt/one", one_file), 0);
}

static int only_what_is_fresh(void)
{
	static const char *const fresh[] = { "/tmp", "/dev/shm", "/mnt/rw" };
	static const char *const stored[] = { "/data", "/data/sub", "/cache" };

	for (size_t i = 0; i < ARRAY_LEN(fresh); i++)
		if (changes_refused(fresh[i]) > 0)
			return 1 + (int)i;
	for (size_t i = 0; i < ARRAY_LEN(stored); i++)
		if (changes_refused(stored[i]) < 5)
			return 20 + (int)i;
	return 0;
}

Test(landlock, keeps_a_read_only_execution_to_its_own_tmpfs)
{
	static const struct spec_launch launch = {
		.flags = SPEC_LAUNCH_READ_ONLY,
		.tmpfs = { { .target = "/mnt/rw" } },
		.tmpfs_n = 1,
	};

	cr_expect_eq(status_for(ll_abi(), &launch, only_what_is_fresh), 0);
}

static int message_queue(void)
{
	struct mq_attr attributes = { .mq_maxmsg = 2, .mq_msgsize = 8 };
	const mqd_t made = mq_open("/queue", O_RDWR | O_CREAT, 0600, &attributes);
	char text[8];

	if (made < 0)
		return 1;
	if (mq_send(made, "x", 1, 0) < 0 || mq_open("/queue", O_WRONLY) < 0)
		return 2;
	return mq_receive(made, text, sizeof(text), NULL) == 1 && mq_unlink("/queue") == 0 ? 0
	                                                                                   : 3;
}

/* No path leads to them, and Landlock refuses what has no root that it knows. */
Test(landlock, leaves_message_queues_alone)
{
	cr_expect_eq(status_in(ll_abi(), "/mnt/rw", message_queue), 0);
}

static int pipe_and_memory(void)
{
	int ends[2], fd = memfd_create("x", MFD_CLOEXEC);

	if (fd < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return 1;
	return ftruncate(fd, 4096) == 0 && write(ends[1], "x", 1) == 1 ? 0 : 2;
}

Test(landlock, does_not_touch_what_has_no_path)
{
	cr_expect_eq(status_in(ll_abi(), "/mnt/rw", pipe_and_memory), 0);
}

Test(landlock, fails_where_a_place_is_missing)
{
	cr_expect_eq(status_in(ll_abi(), "/mnt/none", pipe_and_memory), 101);
}
