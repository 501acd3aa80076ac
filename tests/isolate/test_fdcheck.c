/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* isolate/fdcheck.c: every kind of descriptor a caller can have, let in or kept out. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <base/fd.h>
#include <isolate/fdcheck.h>

#include "rig.h"

TestSuite(fdcheck, .timeout = 30, .init = rig_dir_make, .fini = rig_dir_remove);

#define EXPECTED                                                                               \
	" may not be passed into a sandbox; a file, pipe, socket, terminal, eventfd or "       \
	"/dev/null was expected"

static void allowed(int fd, const char *name)
{
	struct tn_error err = { 0 };

	cr_assert_geq(fd, 0, "%s: %s", name, strerror(errno));
	cr_expect_eq(fdcheck_stdio(fd, &err), 0, "%s: %s", name, err.msg);
	(void)close(fd);
}

static void refused(int fd, const char *name, const char *what)
{
	struct tn_error err = { 0 };
	char message[256];

	cr_assert_geq(fd, 0, "%s: %s", name, strerror(errno));
	(void)snprintf(message, sizeof(message), "%s" EXPECTED, what);
	cr_expect_eq(fdcheck_stdio(fd, &err), -EPERM, "%s was allowed", name);
	cr_expect_eq(err.code, TN_NOT_PERMITTED, "%s", name);
	cr_expect_str_eq(err.msg, message);
	(void)close(fd);
}

Test(fdcheck, lets_files_pipes_and_sockets_in)
{
	int ends[2];

	rig_put("file", "x", 0600);
	allowed(open(rig_path("file"), O_RDONLY), "a file");
	allowed(open(rig_path("file"), O_WRONLY | O_APPEND), "a file to write");
	allowed(memfd_create("x", MFD_CLOEXEC), "a memfd");
	cr_assert_eq(pipe(ends), 0);
	allowed(ends[0], "a pipe to read");
	allowed(ends[1], "a pipe to write");
	cr_assert_eq(mkfifo(rig_path("fifo"), 0600), 0);
	allowed(open(rig_path("fifo"), O_RDWR), "a fifo");
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	allowed(ends[0], "a socket");
	allowed(socket(AF_INET, SOCK_STREAM, 0), "an internet socket");
	allowed(eventfd(0, EFD_CLOEXEC), "an eventfd");
}

Test(fdcheck, lets_the_harmless_devices_and_terminals_in)
{
	static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full",
		                               "/dev/random", "/dev/urandom" };
	int master;

	for (size_t i = 0; i < ARRAY_LEN(devices); i++)
		allowed(open(devices[i], O_RDONLY), devices[i]);
	master = posix_openpt(O_RDWR | O_NOCTTY);
	cr_assert_geq(master, 0);
	cr_assert_eq(grantpt(master), 0);
	cr_assert_eq(unlockpt(master), 0);
	allowed(open(ptsname(master), O_RDWR | O_NOCTTY), "a terminal");
	allowed(master, "a terminal's master");
}

Test(fdcheck, keeps_directories_and_bare_paths_out)
{
	rig_put("file", "x", 0600);
	refused(open("/", O_RDONLY | O_DIRECTORY), "the root", "a directory");
	refused(open(rig_dir.path, O_RDONLY), "a directory", "a directory");
	refused(open("/", O_PATH), "a path to the root", "an O_PATH descriptor");
	refused(open(rig_path("file"), O_PATH), "a path to a file", "an O_PATH descriptor");
	refused(open("/dev/null", O_PATH), "a path to /dev/null", "an O_PATH descriptor");
}

static int device_open(mode_t kind, unsigned int major_no, unsigned int minor_no)
{
	const char *path = rig_path("device");
	int fd;

	(void)unlink(path);
	cr_assert_eq(mknod(path, kind | 0600, makedev(major_no, minor_no)), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	(void)unlink(path);
	return fd;
}

Test(fdcheck, keeps_other_devices_out_whatever_their_name)
{
	int fd;

	rig_need_root();
	refused(device_open(S_IFCHR, 1, 11), "/dev/kmsg", "this device");
	/* By its number, not by its name, it is /dev/null. */
	allowed(device_open(S_IFCHR, 1, 3), "a node of /dev/null's");
	/* What this kernel lacks or hides cannot be opened and not be passed either. */
	fd = device_open(S_IFCHR, 1, 1);
	if (fd >= 0)
		refused(fd, "/dev/mem", "this device");
	fd = device_open(S_IFCHR, 10, 229);
	if (fd >= 0)
		refused(fd, "/dev/fuse", "this device");
}

Test(fdcheck, keeps_block_devices_out)
{
	int fd = FD_NONE;

	rig_need_root();
	for (unsigned int minor_no = 0; minor_no < 8 && fd < 0; minor_no++)
		fd = device_open(S_IFBLK, 7, minor_no);
	for (unsigned int major_no = 252; major_no < 255 && fd < 0; major_no++)
		fd = device_open(S_IFBLK, major_no, 0);
	rig_need(fd >= 0, "there is no block device to open");
	refused(fd, "a block device", "a block device");
}

Test(fdcheck, keeps_the_kernels_own_file_systems_out)
{
	refused(open("/proc/self/status", O_RDONLY), "status", "procfs");
	refused(open("/proc/self/mem", O_RDWR), "mem", "procfs");
	refused(open("/proc/version", O_RDONLY), "version", "procfs");
	refused(open("/proc/self", O_RDONLY | O_DIRECTORY), "/proc/self", "procfs");
	refused(open("/proc/self/ns/net", O_RDONLY), "a namespace", "nsfs");
}

/* A file of the first mounted file system of @magic, or -1. */
static int file_of(unsigned long magic, const char *const *paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int fd = open(paths[i], O_RDONLY);
		struct statfs fs;

		if (fd >= 0 && fstatfs(fd, &fs) == 0 && (unsigned long)fs.f_type == magic)
			return fd;
		(void)close(fd);
	}
	return -1;
}

Test(fdcheck, keeps_sysfs_out)
{
	const char *path = rig_path("mnt");
	char file[128];

	/* One of our own: it need not be mounted here. */
	rig_need_root();
	cr_assert_eq(unshare(CLONE_NEWNS), 0);
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	(void)mkdir(path, 0700);
	cr_assert_eq(mount("sysfs", path, "sysfs", 0, NULL), 0);
	refused(open(path, O_RDONLY), "sysfs", "sysfs");
	(void)snprintf(file, sizeof(file), "%s/kernel/uevent_seqnum", path);
	refused(open(file, O_RDONLY), "a file of sysfs", "sysfs");
	cr_assert_eq(umount2(path, MNT_DETACH), 0);
}

Test(fdcheck, keeps_cgroups_out)
{
	static const char *const v1[] = { "/sys/fs/cgroup/pids/cgroup.procs",
		                          "/sys/fs/cgroup/cpu/cgroup.procs" };
	const char *tree = rig_cgroup2();
	int fd = file_of(CGROUP_SUPER_MAGIC, v1, ARRAY_LEN(v1));
	char path[64];

	if (fd >= 0)
		refused(fd, "a file of cgroup v1", "cgroup");
	rig_need(tree != NULL, "there is no cgroup2 here");
	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", tree);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	refused(fd, "a file of cgroup2", "cgroup2");
}

Test(fdcheck, keeps_the_other_control_file_systems_out)
{
	static const char *const types[] = { "debugfs", "tracefs", "securityfs", "bpf" };
	static const char *const names[] = { "debugfs", "tracefs", "securityfs", "bpffs" };
	size_t tried = 0;

	rig_need_root();
	cr_assert_eq(unshare(CLONE_NEWNS), 0);
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		const char *path = rig_path("mnt");

		(void)mkdir(path, 0700);
		if (mount(types[i], path, types[i], 0, NULL) < 0)
			continue;
		refused(open(path, O_RDONLY), types[i], names[i]);
		cr_assert_eq(umount2(path, MNT_DETACH), 0);
		tried++;
	}
	rig_need(tried > 0, "this kernel mounts none of them");
}

Test(fdcheck, keeps_handles_of_the_kernel_out)
{
	sigset_t none;

	(void)sigemptyset(&none);
	refused((int)syscall(SYS_pidfd_open, getpid(), 0), "a pidfd",
	        "a descriptor of this kind");
	refused(epoll_create1(0), "an epoll", "a descriptor of this kind");
	refused(timerfd_create(CLOCK_MONOTONIC, 0), "a timerfd", "a descriptor of this kind");
	refused(signalfd(-1, &none, 0), "a signalfd", "a descriptor of this kind");
	refused(inotify_init(), "an inotify", "a descriptor of this kind");
}

Test(fdcheck, fails_on_what_is_not_open)
{
	struct tn_error err = { 0 };

	cr_expect_eq(fdcheck_stdio(FD_NONE, &err), -EBADF);
	cr_expect_eq(err.code, TN_SYSTEM);
	cr_expect_eq(fdcheck_path(FD_NONE, &err), -EBADF);
	cr_expect_lt(fdcheck_sealed(FD_NONE, 0, &err), 0);
}

static void path_expect(const char *path, int flags, bool good, const char *what)
{
	cleanup_fd int fd = open(path, flags | O_CLOEXEC);
	struct tn_error err = { 0 };

	cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
	cr_expect_eq(fdcheck_path(fd, &err), good ? 0 : -EPERM, "%s: %s", path, err.msg);
	if (!good) {
		cr_expect_eq(err.code, TN_NOT_PERMITTED);
		cr_expect(strstr(err.msg, what) != NULL, "%s: %s", path, err.msg);
	}
}

Test(fdcheck, binds_paths_to_files_and_directories_and_nothing_else)
{
	static const char only[] = "only a file or a directory can be bound";

	rig_put("file", "x", 0600);
	cr_assert_eq(mkfifo(rig_path("fifo"), 0600), 0);
	cr_assert_eq(symlink("file", rig_path("link")), 0);
	path_expect(rig_path("file"), O_PATH, true, NULL);
	path_expect(rig_dir.path, O_PATH, true, NULL);
	path_expect(rig_path("file"), O_RDONLY, false, only);
	path_expect(rig_dir.path, O_RDONLY, false, only);
	path_expect(rig_path("link"), O_PATH | O_NOFOLLOW, false, only);
	path_expect(rig_path("fifo"), O_PATH, false, only);
	path_expect("/dev/null", O_PATH, false, only);
	path_expect("/proc", O_PATH, false, "procfs");
	path_expect("/proc/self/status", O_PATH, false, "procfs");
	path_expect("/proc/self/ns/mnt", O_PATH, false, "nsfs");
}

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static void sealed_expect(int seals, off_t size, int64_t announced, const char *refusal)
{
	cleanup_fd int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct tn_error err = { 0 };
	int r;

	cr_assert_eq(ftruncate(fd, size), 0);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	r = fdcheck_sealed(fd, announced, &err);
	if (refusal == NULL) {
		cr_expect_eq(r, 0, "%s", err.msg);
		return;
	}
	cr_expect_eq(r, -EINVAL, "seals %x, %d bytes", (unsigned int)seals, (int)size);
	cr_expect_eq(err.code, TN_INVALID);
	cr_expect_str_eq(err.msg, refusal);
}

Test(fdcheck, wants_every_seal_and_the_announced_size)
{
	static const char unsealed[] = "not a fully sealed memfd";

	sealed_expect(ALL_SEALS, 10, 10, NULL);
	sealed_expect(ALL_SEALS, 0, 0, NULL);
	sealed_expect(ALL_SEALS | F_SEAL_FUTURE_WRITE, 10, 10, NULL);
	sealed_expect(ALL_SEALS, 10, 11, "10 bytes where 11 were announced");
	sealed_expect(ALL_SEALS, 10, 9, "10 bytes where 9 were announced");
	sealed_expect(ALL_SEALS & ~F_SEAL_SEAL, 10, 10, unsealed);
	sealed_expect(ALL_SEALS & ~F_SEAL_SHRINK, 10, 10, unsealed);
	sealed_expect(ALL_SEALS & ~F_SEAL_GROW, 10, 10, unsealed);
	sealed_expect(ALL_SEALS & ~F_SEAL_WRITE, 10, 10, unsealed);
	sealed_expect((ALL_SEALS & ~F_SEAL_WRITE) | F_SEAL_FUTURE_WRITE, 10, 10, unsealed);
	sealed_expect(0, 10, 10, unsealed);
}

Test(fdcheck, takes_no_ordinary_file_for_a_sealed_one)
{
	struct tn_error err = { 0 };
	cleanup_fd int fd = FD_NONE;

	rig_put("file", "0123456789", 0600);
	fd = open(rig_path("file"), O_RDONLY);
	cr_expect_eq(fdcheck_sealed(fd, 10, &err), -EINVAL);
	cr_expect_eq(err.code, TN_INVALID);
}

static int beneath(const char *path, const char *root, struct tn_error *err)
{
	cleanup_fd int fd = open(path, O_PATH | O_CLOEXEC);

	cr_assert_geq(fd, 0, "%s", path);
	return fdcheck_beneath(fd, root, err);
}

Test(fdcheck, tells_what_lies_below_a_directory_by_whole_names)
{
	struct tn_error err = { 0 };

	cr_expect_eq(beneath("/usr", "/usr", &err), 0, "%s", err.msg);
	cr_expect_eq(beneath("/usr/share", "/usr", &err), 0, "%s", err.msg);
	cr_expect_eq(beneath("/usr/../usr/share/./doc", "/usr/share", &err), 0, "%s", err.msg);
	cr_expect_eq(beneath("/usr/share", "/us", &err), -EPERM);
	cr_expect_eq(beneath("/usr", "/usr/share", &err), -EPERM);
	cr_expect_eq(beneath("/", "/usr", &err), -EPERM);
	cr_expect_eq(beneath("/usr/../etc", "/usr", &err), -EPERM);
	cr_expect_eq(err.code, TN_NOT_PERMITTED);
	cr_expect_str_eq(err.msg, "/etc does not lie below /usr, the bind_root of bounds.conf");
}

Test(fdcheck, follows_no_link_that_leads_out)
{
	struct tn_error err = { 0 };

	cr_assert_eq(symlink("/etc", rig_path("way-out")), 0);
	cr_expect_eq(beneath(rig_path("way-out"), rig_dir.path, &err), -EPERM);
}
