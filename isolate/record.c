/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "record.h"

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/io.h>

#define RECORD_STATUS_SUFFIX ".status"
#define RECORD_NAME_BYTES    (ID_TEXT_BYTES + sizeof(RECORD_STATUS_SUFFIX))

static_assert(sizeof(struct init_status) == 32, "a status record is one small write");

static void status_name(const struct id *execution, char name[RECORD_NAME_BYTES])
{
	id_format(execution, name);
	(void)strncat(name, RECORD_STATUS_SUFFIX, RECORD_NAME_BYTES - ID_TEXT_BYTES);
}

/* A part of a file, with what is read or written taken as bytes. */
#define PART(at, n) ((struct iovec){ (void *)(uintptr_t)(at), (n) })

/* The parts of @launch that hold something; most of it is room for more. Returns how many. */
static int launch_parts(const struct spec_launch *launch, struct iovec *ret)
{
	int n = 0;

	ret[n++] = PART(launch, offsetof(struct spec_launch, env));
	ret[n++] = PART(launch->env, launch->env_bytes);
	ret[n++] = PART(launch->binds, launch->binds_n * sizeof(launch->binds[0]));
	ret[n++] = PART(&launch->tmpfs_n, sizeof(launch->tmpfs_n));
	ret[n++] = PART(launch->tmpfs, launch->tmpfs_n * sizeof(launch->tmpfs[0]));
	return n;
}

#define LAUNCH_PARTS_MAX 5

static int put(int dir_fd, const struct record *record, const struct spec_launch *launch,
               struct tn_error *err)
{
	struct iovec parts[1 + LAUNCH_PARTS_MAX] = { PART(record, sizeof(*record)) };
	const int parts_n = 1 + (launch != NULL ? launch_parts(launch, parts + 1) : 0);
	char name[ID_TEXT_BYTES];
	cleanup_fd int fd = FD_NONE;
	size_t bytes = 0;
	ssize_t n;

	id_format(&record->execution, name);
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_errno(err, "record %s", name);
	for (int i = 0; i < parts_n; i++)
		bytes += parts[i].iov_len;
	n = pwritev(fd, parts, parts_n, 0);
	if (n < 0)
		return err_errno(err, "write record %s", name);
	if ((size_t)n != bytes)
		return err_set(err, TN_SYSTEM, ENOSPC, "write record %s", name);
	return 0;
}

int record_write(int dir_fd, const struct record *record, struct tn_error *err)
{
	return put(dir_fd, record, NULL, err);
}

static bool read_whole(int fd, void *at, size_t n, off_t *place)
{
	const ssize_t got = pread(fd, at, n, *place);

	*place += (off_t)n;
	return got == (ssize_t)n;
}

/* In the order of launch_parts(), each part's size being known from one before. */
static bool launch_read(int fd, struct spec_launch *launch)
{
	off_t at = sizeof(struct record);

	return read_whole(fd, launch, offsetof(struct spec_launch, env), &at) &&
	       launch->env_bytes <= sizeof(launch->env) && launch->binds_n <= SPEC_BINDS_MAX &&
	       read_whole(fd, launch->env, launch->env_bytes, &at) &&
	       read_whole(fd, launch->binds, launch->binds_n * sizeof(launch->binds[0]), &at) &&
	       read_whole(fd, &launch->tmpfs_n, sizeof(launch->tmpfs_n), &at) &&
	       launch->tmpfs_n <= SPEC_TMPFS_MAX &&
	       read_whole(fd, launch->tmpfs, launch->tmpfs_n * sizeof(launch->tmpfs[0]), &at);
}

int record_launch(int dir_fd, const struct id *execution, struct spec_launch *ret,
                  struct tn_error *err)
{
	char name[ID_TEXT_BYTES];
	cleanup_fd int fd = FD_NONE;

	id_format(execution, name);
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_errno(err, "record %s", name);
	memset(ret, 0, sizeof(*ret));
	if (!launch_read(fd, ret) || !id_equal(&ret->execution, execution))
		return err_set(err, TN_SYSTEM, EBADMSG, "record %s does not hold its launch",
		               name);
	return 0;
}

int record_create(int dir_fd, const struct record *record, const struct spec_launch *launch,
                  int *ret_status_fd, struct tn_error *err)
{
	char name[RECORD_NAME_BYTES];
	int fd, r;

	status_name(&record->execution, name);
	fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
	            0600);
	if (fd < 0)
		return err_errno(err, "create %s", name);
	/* Who leaves its word there at the end must find the room, however full the file system
	 * is by then. The record has its own from now on: it does not grow. */
	r = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, sizeof(struct init_status)) < 0 &&
	                    errno != EOPNOTSUPP
	            ? err_errno(err, "room for %s", name)
	            : put(dir_fd, record, launch, err);
	if (r < 0) {
		(void)close(fd);
		(void)record_remove(dir_fd, &record->execution);
		return r;
	}
	*ret_status_fd = fd;
	return 0;
}

static int file_remove(int dir_fd, const char *name)
{
	return unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int record_remove(int dir_fd, const struct id *execution)
{
	char name[RECORD_NAME_BYTES];
	int r, status;

	status_name(execution, name);
	status = file_remove(dir_fd, name);
	id_format(execution, name);
	r = file_remove(dir_fd, name);
	return r < 0 ? r : status;
}

int record_status_open(int dir_fd, const struct id *execution)
{
	char name[RECORD_NAME_BYTES];
	int fd;

	status_name(execution, name);
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

bool record_status_read(int status_fd, struct init_status *ret)
{
	return pread(status_fd, ret, sizeof(*ret), 0) == (ssize_t)sizeof(*ret) &&
	       ret->magic == INIT_STATUS_MAGIC && ret->kind >= INIT_STATUS_WAITED &&
	       ret->kind <= INIT_STATUS_FAILED;
}

static bool record_read(int dir_fd, const char *name, struct record *ret)
{
	cleanup_fd int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char own_name[ID_TEXT_BYTES];

	if (fd < 0 || pread(fd, ret, sizeof(*ret), 0) != (ssize_t)sizeof(*ret) ||
	    ret->magic != RECORD_MAGIC)
		return false;
	id_format(&ret->execution, own_name);
	return strcmp(own_name, name) == 0;
}

/* A status file is made before its record: alone, it is what a crash has left. */
static void status_sweep(int dir_fd, const char *name)
{
	char text[RECORD_NAME_BYTES];
	struct id id;

	(void)snprintf(text, sizeof(text), "%.*s", ID_TEXT_BYTES - 1, name);
	if (id_parse(text, &id) < 0)
		return;
	status_name(&id, text);
	if (strcmp(text, name) != 0)
		return;
	id_format(&id, text);
	if (faccessat(dir_fd, text, F_OK, 0) < 0)
		(void)record_remove(dir_fd, &id);
}

int record_each(int dir_fd, void (*visit)(const struct record *record, void *context),
                void *context, struct tn_error *err)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (dir == NULL) {
		fd_closep(&fd);
		return err_errno(err, "list the executions' records");
	}
	while ((entry = readdir(dir)) != NULL) {
		struct record record;
		struct id id;

		status_sweep(dir_fd, entry->d_name);
		if (id_parse(entry->d_name, &id) < 0)
			continue;
		if (record_read(dir_fd, entry->d_name, &record))
			visit(&record, context);
		else
			(void)record_remove(dir_fd, &id);
	}
	(void)closedir(dir);
	return 0;
}
