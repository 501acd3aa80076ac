/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wal_sync.h"

#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <base/fd.h>

int wal_sync_init(struct wal_sync *sync, const char *path, struct tn_error *err)
{
	*sync = (struct wal_sync){ .file_fd = FD_NONE, .event_fd = FD_NONE };
	sync->file_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (sync->file_fd < 0)
		return err_errno(err, "open %s", path);
	sync->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (sync->event_fd < 0)
		return err_errno(err, "create an eventfd");
	if (syscall(SYS_io_setup, 1, &sync->context) < 0)
		sync->context = 0;
	return 0;
}

void wal_sync_done(struct wal_sync *sync)
{
	/* Waits for what is under way. */
	if (sync->context != 0)
		(void)syscall(SYS_io_destroy, sync->context);
	sync->context = 0;
	fd_closep(&sync->event_fd);
	fd_closep(&sync->file_fd);
}

int wal_sync_begin(struct wal_sync *sync)
{
	struct iocb request = { .aio_lio_opcode = IOCB_CMD_FDSYNC,
		                .aio_fildes = (uint32_t)sync->file_fd,
		                .aio_flags = IOCB_FLAG_RESFD,
		                .aio_resfd = (uint32_t)sync->event_fd };
	struct iocb *requests[] = { &request };
	struct stat st;

	if (sync->busy)
		return -EBUSY;
	/* A file that is no longer the one at its path would be synced in vain. */
	if (sync->context == 0 || fstat(sync->file_fd, &st) < 0 || st.st_nlink == 0)
		return -EOPNOTSUPP;
	if (syscall(SYS_io_submit, sync->context, 1, requests) != 1)
		return -EOPNOTSUPP;
	sync->busy = true;
	return 0;
}

int wal_sync_end(struct wal_sync *sync, struct tn_error *err)
{
	struct io_event event = { .res = 0 };
	uint64_t count;

	if (read(sync->event_fd, &count, sizeof(count)) < 0)
		return err_errno(err, "sync the store");
	if (syscall(SYS_io_getevents, sync->context, 1, 1, &event, NULL) != 1)
		return err_errno(err, "sync the store");
	sync->busy = false;
	if (event.res < 0)
		return err_set(err, TN_SYSTEM, (int)-event.res, "sync the store: %s",
		               strerror((int)-event.res));
	return 0;
}
