/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fdcheck.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <base/fd.h>

/* Of nsfs; <linux/magic.h> has it as NSFS_MAGIC since 4.x, cgroup2 and proc too. */
static const struct refused_fs {
	unsigned long magic;
	const char *name;
} refused_fs[] = {
	{ PROC_SUPER_MAGIC, "procfs" },
	{ SYSFS_MAGIC, "sysfs" },
	{ CGROUP2_SUPER_MAGIC, "cgroup2" },
	{ CGROUP_SUPER_MAGIC, "cgroup" },
	{ NSFS_MAGIC, "nsfs" },
	{ DEBUGFS_MAGIC, "debugfs" },
	{ TRACEFS_MAGIC, "tracefs" },
	{ SECURITYFS_MAGIC, "securityfs" },
	{ BPF_FS_MAGIC, "bpffs" },
};

#define FDCHECK_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* Device numbers as devices.txt of the kernel's documentation assigns them. */
static bool character_device_allowed(int fd, dev_t device)
{
	unsigned int major_no = major(device), minor_no = minor(device);

	if (major_no == 1)
		return minor_no == 3 || minor_no == 5 || (minor_no >= 7 && minor_no <= 9);
	/* Terminals: consoles and serial lines as well as pseudo-terminals. */
	return isatty(fd) == 1;
}

static bool is_eventfd(int fd)
{
	char path[64], target[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	return strcmp(target, "anon_inode:[eventfd]") == 0;
}

static int refuse(struct tn_error *err, const char *what)
{
	return err_refuse(
		err, TN_NOT_PERMITTED,
		"%s may not be passed into a sandbox; a file, pipe, socket, terminal, "
		"eventfd or /dev/null was expected",
		what);
}

static int check_kind(int fd, const struct stat *st, struct tn_error *err)
{
	switch (st->st_mode & S_IFMT) {
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		return 0;
	case S_IFDIR:
		return refuse(err, "a directory");
	case S_IFBLK:
		return refuse(err, "a block device");
	case S_IFCHR:
		return character_device_allowed(fd, st->st_rdev) ? 0
		                                                 : refuse(err, "this device");
	default:
		return is_eventfd(fd) ? 0 : refuse(err, "a descriptor of this kind");
	}
}

static int check_fs(int fd, struct tn_error *err)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return err_errno(err, "examine the descriptor");
	for (size_t i = 0; i < ARRAY_LEN(refused_fs); i++)
		if ((unsigned long)fs.f_type == refused_fs[i].magic)
			return refuse(err, refused_fs[i].name);
	return 0;
}

int fdcheck_stdio(int fd, struct tn_error *err)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;
	int r;

	if (flags < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "examine the descriptor");
	if ((flags & O_PATH) != 0)
		return refuse(err, "an O_PATH descriptor");
	r = check_fs(fd, err);
	return r < 0 ? r : check_kind(fd, &st, err);
}

int fdcheck_path(int fd, struct tn_error *err)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (flags < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "examine the descriptor");
	if ((flags & O_PATH) == 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
		return err_refuse(err, TN_NOT_PERMITTED,
		                  "only a file or a directory can be bound");
	return check_fs(fd, err);
}

/*
 * A name can be made up in a mount namespace of one's own, but of such a mount no clone can
 * be made in the host's, where ours are.
 */
int fdcheck_beneath(int fd, const char *root, struct tn_error *err)
{
	char link[64], path[PATH_MAX];
	size_t root_n = strlen(root);
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return err_errno(err, "examine the descriptor");
	path[n] = '\0';
	if (strncmp(path, root, root_n) == 0 && (path[root_n] == '/' || path[root_n] == '\0'))
		return 0;
	return err_refuse(err, TN_NOT_PERMITTED,
	                  "%.200s does not lie below %s, the bind_root of "
	                  "bounds.conf",
	                  path, root);
}

int fdcheck_sealed(int fd, int64_t bytes, struct tn_error *err)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & FDCHECK_SEALS) != FDCHECK_SEALS)
		return err_refuse(err, TN_INVALID, "not a fully sealed memfd");
	if (fstat(fd, &st) < 0)
		return err_errno(err, "stat a memfd");
	if (st.st_size != bytes)
		return err_refuse(err, TN_INVALID,
		                  "%" PRId64 " bytes where %" PRId64 " were announced",
		                  (int64_t)st.st_size, bytes);
	return 0;
}
