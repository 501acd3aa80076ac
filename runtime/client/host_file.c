/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host_file.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>

#include <base/fd.h>

#define TRIES_MAX 64

/* Two threads of one process may copy into one directory. */
static void spare_name(char name[static HOST_NAME_BYTES])
{
	static atomic_uint number;

	(void)snprintf(name, HOST_NAME_BYTES, ".tenantctl-%d-%u", (int)getpid(),
	               atomic_fetch_add(&number, 1));
}

static int make_named(struct host_file *file, mode_t mode)
{
	for (int i = 0; i < TRIES_MAX; i++) {
		spare_name(file->spare);
		file->fd = openat(file->parent_fd, file->spare,
		                  O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
		if (file->fd >= 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	file->spare[0] = '\0';
	return -errno;
}

int host_file_make(struct host_file *file, int parent_fd, mode_t mode)
{
	*file = (struct host_file){ .parent_fd = parent_fd };
	file->fd = openat(parent_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
	if (file->fd >= 0)
		return 0;
	/* So do file systems say that they know no such files. */
	if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)
		return make_named(file, mode);
	return -errno;
}

static int link_at(const struct host_file *file, const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	return linkat(AT_FDCWD, path, file->parent_fd, name, AT_SYMLINK_FOLLOW);
}

int host_file_commit(struct host_file *file, const char *name)
{
	if (file->spare[0] == '\0' && link_at(file, name) == 0)
		return 0;
	for (int i = 0; file->spare[0] == '\0'; i++) {
		if (errno != EEXIST || i == TRIES_MAX)
			return -errno;
		spare_name(file->spare);
		if (link_at(file, file->spare) < 0)
			file->spare[0] = '\0';
	}
	if (renameat(file->parent_fd, file->spare, file->parent_fd, name) < 0)
		return -errno;
	file->spare[0] = '\0';
	return 0;
}

void host_file_done(struct host_file *file)
{
	int saved_errno = errno;

	if (file->spare[0] != '\0')
		(void)unlinkat(file->parent_fd, file->spare, 0);
	fd_closep(&file->fd);
	errno = saved_errno;
}

int host_link_make(int parent_fd, const char *name, const char *target)
{
	char spare[HOST_NAME_BYTES];

	if (symlinkat(target, parent_fd, name) == 0)
		return 0;
	for (int i = 0; errno == EEXIST && i < TRIES_MAX; i++) {
		spare_name(spare);
		if (symlinkat(target, parent_fd, spare) < 0)
			continue;
		if (renameat(parent_fd, spare, parent_fd, name) == 0)
			return 0;
		i = -errno;
		(void)unlinkat(parent_fd, spare, 0);
		return i;
	}
	return -errno;
}
