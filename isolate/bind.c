/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bind.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/num.h>

#include "fdcheck.h"

/* /tmp is the execution's own already; the others get a tmpfs for the mount points. */
static const char *const tops[] = { "/home", "/media", "/mnt", "/opt", "/srv", "/tmp" };

static size_t top_of(const char *target)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(tops); i++) {
		size_t n = strlen(tops[i]);

		if (strncmp(target, tops[i], n) == 0 && target[n] == '/')
			break;
	}
	return i;
}

/* Is @a the same as @b, or a directory above it? */
static bool covers(const char *a, const char *b)
{
	size_t n = strlen(a);

	return strncmp(a, b, n) == 0 && (b[n] == '\0' || b[n] == '/');
}

/* Targets of the binds, then of the tmpfs. */
static uint32_t targets_n(const struct spec_launch *launch)
{
	return launch->binds_n + launch->tmpfs_n;
}

static const char *target_of(const struct spec_launch *launch, uint32_t i)
{
	return i < launch->binds_n ? launch->binds[i].target
	                           : launch->tmpfs[i - launch->binds_n].target;
}

static int target_check(const struct spec_launch *launch, uint32_t i, struct tn_error *err)
{
	const char *target = target_of(launch, i);

	if (top_of(target) == ARRAY_LEN(tops))
		return err_refuse(err, TN_INVALID,
		                  "cannot %s %s: a path below /home, /media, /mnt, /opt, /srv "
		                  "or /tmp was expected",
		                  i < launch->binds_n ? "bind to" : "mount a tmpfs on", target);
	for (uint32_t j = 0; j < targets_n(launch); j++)
		if (i != j && covers(target_of(launch, j), target))
			return err_refuse(err, TN_INVALID,
			                  "the targets %s and %s lie one in the other",
			                  target_of(launch, j), target);
	return 0;
}

int bind_check(const struct spec_launch *launch, const int *fds, struct tn_error *err)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < targets_n(launch); i++)
		r = target_check(launch, i, err);
	for (uint32_t i = 0; r == 0 && i < launch->binds_n; i++) {
		r = fdcheck_path(fds[i], err);
		if (r < 0)
			return err_wrap(err, r, "bind to %s", launch->binds[i].target);
	}
	return r;
}

static int clone_one(int fd, bool writable, int user_ns_fd)
{
	struct mount_attr limits = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV };
	struct mount_attr mapping = { .attr_set = MOUNT_ATTR_IDMAP,
		                      .userns_fd = (uint64_t)user_ns_fd };
	int tree = open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

	if (!writable)
		limits.attr_set |= MOUNT_ATTR_RDONLY;
	if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &limits, sizeof(limits)) < 0)
		return -1;
	if (mount_setattr(tree, "", AT_EMPTY_PATH, &mapping, sizeof(mapping)) == 0)
		return tree;
	/* Unmapped, everything would belong to nobody: to be read that may do. */
	if (errno == EINVAL && !writable)
		return tree;
	errno = errno == EINVAL ? EOPNOTSUPP : errno;
	return -1;
}

int bind_clone(const struct spec_launch *launch, int *fds, int user_ns_fd)
{
	for (uint32_t i = 0; i < launch->binds_n; i++) {
		fds[i] = clone_one(fds[i], launch->binds[i].writable != 0, user_ns_fd);
		if (fds[i] < 0)
			return -1;
	}
	return 0;
}

/* Make the directories above @path; nothing of a tenant's has been here yet. */
static int parents_make(const char *path)
{
	char part[PATH_MAX];

	(void)snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -1;
		*slash = '/';
	}
	return 0;
}

static int bind_attach_one(const char *target, int tree)
{
	cleanup_fd int fd = FD_NONE;
	struct stat st;

	if (fstat(tree, &st) < 0)
		return -1;
	if (S_ISDIR(st.st_mode)) {
		if (mkdir(target, 0755) < 0)
			return -1;
	} else {
		fd = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0)
			return -1;
	}
	return move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH);
}

int bind_tmpfs_mount(const char *target, unsigned long flags, int64_t bytes_max)
{
	static const char size[] = "mode=1777,size=";
	char options[64] = "mode=1777";

	if (bytes_max != SPEC_UNLIMITED) {
		memcpy(options, size, sizeof(size));
		num_put(options + strlen(size), bytes_max);
	}
	return mount("tmpfs", target, "tmpfs", flags, options);
}

static int tmpfs_attach(const struct spec_tmpfs *tmpfs, int64_t memory_max_bytes)
{
	const int64_t bytes = tmpfs->bytes_max < memory_max_bytes ? tmpfs->bytes_max
	                                                          : memory_max_bytes;

	if (mkdir(tmpfs->target, 0755) < 0)
		return -1;
	return bind_tmpfs_mount(tmpfs->target, MS_NOSUID | MS_NODEV, bytes);
}

int bind_attach(const struct spec_launch *launch, const int *fds, int64_t memory_max_bytes)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	bool mounted[ARRAY_LEN(tops)] = { false };

	for (uint32_t i = 0; i < targets_n(launch); i++) {
		const char *target = target_of(launch, i);
		size_t top = top_of(target);
		int r;

		if (!mounted[top] && strcmp(tops[top], "/tmp") != 0 &&
		    mount("binds", tops[top], "tmpfs", flags, "mode=755,size=1m") < 0)
			return -1;
		mounted[top] = true;
		if (parents_make(target) < 0)
			return -1;
		r = i < launch->binds_n ? bind_attach_one(target, fds[i])
		                        : tmpfs_attach(&launch->tmpfs[i - launch->binds_n],
		                                       memory_max_bytes);
		if (r < 0)
			return -1;
	}
	for (size_t top = 0; top < ARRAY_LEN(tops); top++)
		if (mounted[top] && strcmp(tops[top], "/tmp") != 0 &&
		    mount(NULL, tops[top], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags,
		          NULL) < 0)
			return -1;
	return 0;
}
