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

int bind_check(const struct spec_launch *launch, const int *fds, struct tn_error *err)
{
	for (uint32_t i = 0; i < launch->binds_n; i++) {
		const char *target = launch->binds[i].target;
		int r;

		if (top_of(target) == ARRAY_LEN(tops))
			return err_refuse(
				err, TN_INVALID,
				"cannot bind to %s: a path below /home, /media, /mnt, /opt, "
				"/srv or /tmp was expected",
				target);
		for (uint32_t j = 0; j < launch->binds_n; j++)
			if (i != j && covers(launch->binds[j].target, target))
				return err_refuse(err, TN_INVALID,
				                  "binds to %s and %s lie one in the other",
				                  launch->binds[j].target, target);
		r = fdcheck_path(fds[i], err);
		if (r < 0)
			return err_wrap(err, r, "bind to %s", target);
	}
	return 0;
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

static int target_make(const char *path, int tree)
{
	cleanup_fd int fd = FD_NONE;
	struct stat st;

	if (parents_make(path) < 0 || fstat(tree, &st) < 0)
		return -1;
	if (S_ISDIR(st.st_mode))
		return mkdir(path, 0755);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? -1 : 0;
}

int bind_attach(const struct spec_launch *launch, const int *fds)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	bool mounted[ARRAY_LEN(tops)] = { false };

	for (uint32_t i = 0; i < launch->binds_n; i++) {
		const char *target = launch->binds[i].target;
		size_t top = top_of(target);

		if (!mounted[top] && strcmp(tops[top], "/tmp") != 0 &&
		    mount("binds", tops[top], "tmpfs", flags, "mode=755,size=1m") < 0)
			return -1;
		mounted[top] = true;
		if (target_make(target, fds[i]) < 0 ||
		    move_mount(fds[i], "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return -1;
	}
	for (size_t top = 0; top < ARRAY_LEN(tops); top++)
		if (mounted[top] && strcmp(tops[top], "/tmp") != 0 &&
		    mount(NULL, tops[top], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags,
		          NULL) < 0)
			return -1;
	return 0;
}
