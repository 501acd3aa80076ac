/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "record.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
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

int record_write(int dir_fd, const struct record *record, struct tn_error *err)
{
	char name[ID_TEXT_BYTES];
	cleanup_fd int fd = FD_NONE;
	ssize_t n;

	id_format(&record->execution, name);
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_errno(err, "record %s", name);
	n = pwrite(fd, record, sizeof(*record), 0);
	if (n < 0)
		return err_errno(err, "write record %s", name);
	if ((size_t)n != sizeof(*record))
		return err_set(err, TN_SYSTEM, ENOSPC, "write record %s", name);
	return 0;
}

int record_create(int dir_fd, const struct record *record, int *ret_status_fd,
                  struct tn_error *err)
{
	char name[RECORD_NAME_BYTES];
	int fd, r;

	status_name(&record->execution, name);
	fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
	            0600);
	if (fd < 0)
		return err_errno(err, "create %s", name);
	r = record_write(dir_fd, record, err);
	if (r < 0) {
		(void)close(fd);
		record_remove(dir_fd, &record->execution);
		return r;
	}
	*ret_status_fd = fd;
	return 0;
}

void record_remove(int dir_fd, const struct id *execution)
{
	char name[RECORD_NAME_BYTES];

	status_name(execution, name);
	(void)unlinkat(dir_fd, name, 0);
	id_format(execution, name);
	(void)unlinkat(dir_fd, name, 0);
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
		record_remove(dir_fd, &id);
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
			record_remove(dir_fd, &id);
	}
	(void)closedir(dir);
	return 0;
}
