/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <base/fd.h>

/* Newer than the headers of Debian 12. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ull << 14)
#endif

/* ABI 1 cannot allow a rename from one directory to another. */
#define LL_ABI_MIN      2
#define LL_ABI_TRUNCATE 3

/* Of what is there already: nothing is made, removed or renamed. */
#define LL_CONTENT (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)

/* Everything that changes a tree. ioctls of devices are the seccomp filter's business. */
#define LL_TREE                                                                                \
	(LL_CONTENT | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |         \
	 LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |                          \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |                          \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                        \
	 LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)

/* Where a sandbox may write, besides what is bound into it to be written to. */
static const struct place {
	const char *path;
	uint64_t rights;
	bool kept; /* written to also by an execution that is read-only */
} places[] = {
	{ "/data", LL_TREE, false },
	{ "/cache", LL_TREE, false },
	{ "/tmp", LL_TREE, true },
	{ "/dev/shm", LL_TREE, true },
	/* Nodes and terminals. */
	{ "/dev", LL_CONTENT, true },
};

/* A thread's name, oom_score_adj upwards; what matters in there is mounted read-only. */
#define LL_PROC LL_CONTENT

int ll_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	                   LANDLOCK_CREATE_RULESET_VERSION);

	return abi < LL_ABI_MIN ? 0 : (int)abi;
}

static uint64_t known(int abi, uint64_t rights)
{
	return abi < LL_ABI_TRUNCATE ? rights & ~LANDLOCK_ACCESS_FS_TRUNCATE : rights;
}

static int allow_fd(int ruleset_fd, int fd, uint64_t rights)
{
	const struct landlock_path_beneath_attr beneath = { .allowed_access = rights,
		                                            .parent_fd = fd };

	return (int)syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH,
	                    &beneath, 0);
}

/* A rule for a file cannot speak of what only directories have. */
static int allow_opened(int ruleset_fd, int path_fd, uint64_t rights)
{
	int r;

	if (path_fd < 0)
		return -1;
	r = allow_fd(ruleset_fd, path_fd, rights);
	if (r < 0 && errno == EINVAL && (rights & ~LL_CONTENT) != 0)
		r = allow_fd(ruleset_fd, path_fd, rights & LL_CONTENT);
	return r;
}

static int allow(int ruleset_fd, const char *path, uint64_t rights)
{
	cleanup_fd int fd = open(path, O_PATH | O_CLOEXEC);

	return allow_opened(ruleset_fd, fd, rights);
}

/*
 * A path that leads through directories of the workload's, which it may have moved away. In
 * their place there may be a link to anywhere: that is not followed.
 */
static int allow_target(int ruleset_fd, const char *path, uint64_t rights, bool joins)
{
	const struct open_how how = { .flags = O_PATH | O_CLOEXEC,
		                      .resolve = RESOLVE_NO_SYMLINKS };
	cleanup_fd int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	if (fd < 0 && joins && errno != EMFILE && errno != ENFILE && errno != ENOMEM)
		return 0;
	return allow_opened(ruleset_fd, fd, rights);
}

static int allow_all(int abi, int ruleset_fd, const struct spec_launch *launch, int queues_fd,
                     bool joins)
{
	const bool read_only = (launch->flags & SPEC_LAUNCH_READ_ONLY) != 0;

	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if ((places[i].kept || !read_only) &&
		    allow(ruleset_fd, places[i].path, known(abi, places[i].rights)) < 0)
			return -1;
	for (uint32_t i = 0; i < launch->binds_n; i++)
		if (launch->binds[i].writable &&
		    allow_target(ruleset_fd, launch->binds[i].target, known(abi, LL_TREE),
		                 joins) < 0)
			return -1;
	for (uint32_t i = 0; i < launch->tmpfs_n; i++)
		if (allow_target(ruleset_fd, launch->tmpfs[i].target, known(abi, LL_TREE),
		                 joins) < 0)
			return -1;
	return queues_fd < 0 ? 0 : allow_fd(ruleset_fd, queues_fd, known(abi, LL_CONTENT));
}

int ll_begin(int abi, const struct spec_launch *launch, int queues_fd, bool joins)
{
	const struct landlock_ruleset_attr handled = { .handled_access_fs = known(abi,
		                                                                  LL_TREE) };
	cleanup_fd int list_fd = FD_NONE;

	if (abi == 0)
		return FD_NONE;
	list_fd = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
	if (list_fd < 0 || allow_all(abi, list_fd, launch, queues_fd, joins) < 0)
		return -1;
	return fd_take(&list_fd);
}

int ll_confine(int abi, int list_fd)
{
	cleanup_fd int fd = list_fd;

	if (abi == 0)
		return 0;
	if (allow(fd, "/proc", known(abi, LL_PROC)) < 0)
		return -1;
	return syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -1 : 0;
}
