/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fdatasync(2) that somebody else waits for: the kernel, by asynchronous I/O.
 *
 * A disk takes milliseconds to answer, in which the controller could not launch
 * anything. There is one request at a time; its end makes a descriptor readable.
 */
#ifndef RUNTIME_STORE_WAL_SYNC_H
#define RUNTIME_STORE_WAL_SYNC_H

#include <linux/aio_abi.h>
#include <stdbool.h>

#include <base/err.h>

/* Zeroed and done() again, or init()ed. */
struct wal_sync {
	aio_context_t context; /* 0: the kernel has no asynchronous I/O for us */
	int file_fd;
	int event_fd;
	bool busy;
};

/* Opens @path. A kernel that refuses asynchronous I/O is no failure, but begin() is then. */
int wal_sync_init(struct wal_sync *sync, const char *path, struct tn_error *err);
void wal_sync_done(struct wal_sync *sync);

/* -EOPNOTSUPP if the caller has to wait for the disk itself, -EBUSY while one is under way. */
int wal_sync_begin(struct wal_sync *sync);
/* When event_fd is readable: 0 or how it failed. */
int wal_sync_end(struct wal_sync *sync, struct tn_error *err);

#endif
