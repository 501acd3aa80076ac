/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "faulty_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES_MAX 256
/* A log without one of its writes ends there: more would be lost and less could be seen. */
#define LOST_IN 16

/* SQLite gives room for it and for what the VFS below keeps behind it. */
struct faulty_file {
	sqlite3_file file; /* first: SQLite knows it by this */
	sqlite3_file *below;
	char path[PATH_BYTES_MAX];
};

/* What a write has replaced, the last one first. */
struct undo {
	struct undo *next;
	char path[PATH_BYTES_MAX];
	sqlite3_int64 at, size; /* the file's size before it */
	ssize_t n;
	unsigned char was[];
};

static sqlite3_vfs *below;
static sqlite3_vfs layer;
static size_t nth, calls_n, failed_n;
static int broken, broken_errno, last_errno;
static bool is_volatile;
static struct undo *undos;

/* The result code to fail with, or 0. */
static int fault(bool writes, int sqlite, int errno_value)
{
	calls_n++;
	if (writes && broken != 0) {
		last_errno = broken_errno;
		return broken;
	}
	if (calls_n != nth)
		return 0;
	failed_n++;
	last_errno = errno_value;
	return sqlite;
}

static sqlite3_file *below_of(sqlite3_file *file)
{
	return ((struct faulty_file *)(void *)file)->below;
}

static int faulty_close(sqlite3_file *file)
{
	sqlite3_file *f = below_of(file);

	return f->pMethods != NULL ? f->pMethods->xClose(f) : SQLITE_OK;
}

static int faulty_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
	sqlite3_file *f = below_of(file);
	int rc = fault(false, SQLITE_IOERR_READ, EIO);

	return rc != 0 ? rc : f->pMethods->xRead(f, to, n, at);
}

static const char *path_of(sqlite3_file *file)
{
	return ((struct faulty_file *)(void *)file)->path;
}

static void undo_keep(const char *path, sqlite3_int64 at, int n)
{
	int fd = is_volatile ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	struct undo *undo;

	if (fd < 0)
		return;
	undo = calloc(1, sizeof(*undo) + (size_t)n);
	undo->next = undos;
	(void)snprintf(undo->path, sizeof(undo->path), "%s", path);
	undo->at = at;
	undo->size = lseek(fd, 0, SEEK_END);
	undo->n = pread(fd, undo->was, (size_t)n, at);
	undos = undo;
	(void)close(fd);
}

/* All that was written to @path is on the disk. */
static void undo_forget(const char *path)
{
	struct undo **slot = &undos;

	while (*slot != NULL) {
		struct undo *undo = *slot;

		if (strcmp(undo->path, path) != 0) {
			slot = &undo->next;
			continue;
		}
		*slot = undo->next;
		free(undo);
	}
}

static void undo_apply(const struct undo *undo)
{
	int fd = open(undo->path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	if (undo->n > 0)
		(void)!pwrite(fd, undo->was, (size_t)undo->n, undo->at);
	(void)!ftruncate(fd, undo->size);
	(void)close(fd);
}

void faulty_vfs_volatile(void)
{
	is_volatile = true;
}

void faulty_vfs_power_loss(unsigned int seed)
{
	is_volatile = false;
	srandom(seed);
	while (undos != NULL) {
		struct undo *undo = undos;

		if (seed == 0 || random() % LOST_IN == 0)
			undo_apply(undo);
		undos = undo->next;
		free(undo);
	}
}

/* Half of it has been written when the disk is found to be full. */
static int faulty_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
	sqlite3_file *f = below_of(file);
	int rc = fault(true, SQLITE_FULL, ENOSPC);

	undo_keep(path_of(file), at, n);
	if (rc == 0)
		return f->pMethods->xWrite(f, from, n, at);
	if (n > 1)
		(void)f->pMethods->xWrite(f, from, n / 2, at);
	return rc;
}

static int faulty_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	sqlite3_file *f = below_of(file);
	int rc = fault(true, SQLITE_IOERR_TRUNCATE, EIO);

	return rc != 0 ? rc : f->pMethods->xTruncate(f, size);
}

static int faulty_sync(sqlite3_file *file, int flags)
{
	sqlite3_file *f = below_of(file);
	int rc = fault(true, SQLITE_IOERR_FSYNC, EIO);

	if (rc == 0)
		undo_forget(path_of(file));
	return rc != 0 ? rc : f->pMethods->xSync(f, flags);
}

static int faulty_size(sqlite3_file *file, sqlite3_int64 *ret)
{
	sqlite3_file *f = below_of(file);
	int rc = fault(false, SQLITE_IOERR_FSTAT, EIO);

	return rc != 0 ? rc : f->pMethods->xFileSize(f, ret);
}

static int faulty_lock(sqlite3_file *file, int lock)
{
	sqlite3_file *f = below_of(file);
	int rc = fault(false, SQLITE_IOERR_LOCK, ENOLCK);

	return rc != 0 ? rc : f->pMethods->xLock(f, lock);
}

static int faulty_unlock(sqlite3_file *file, int lock)
{
	sqlite3_file *f = below_of(file);

	return f->pMethods->xUnlock(f, lock);
}

static int faulty_reserved(sqlite3_file *file, int *ret)
{
	sqlite3_file *f = below_of(file);

	return f->pMethods->xCheckReservedLock(f, ret);
}

static int faulty_control(sqlite3_file *file, int op, void *argument)
{
	sqlite3_file *f = below_of(file);
	int *ret = argument;

	if (op != SQLITE_FCNTL_LAST_ERRNO || last_errno == 0)
		return f->pMethods->xFileControl(f, op, argument);
	*ret = last_errno;
	return SQLITE_OK;
}

static int faulty_sector(sqlite3_file *file)
{
	sqlite3_file *f = below_of(file);

	return f->pMethods->xSectorSize(f);
}

static int faulty_device(sqlite3_file *file)
{
	sqlite3_file *f = below_of(file);

	return f->pMethods->xDeviceCharacteristics(f);
}

static int faulty_shm_map(sqlite3_file *file, int page, int bytes, int extend,
                          void volatile **ret)
{
	sqlite3_file *f = below_of(file);
	int rc = fault(false, SQLITE_IOERR_SHMMAP, ENOMEM);

	return rc != 0 ? rc : f->pMethods->xShmMap(f, page, bytes, extend, ret);
}

static int faulty_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
	sqlite3_file *f = below_of(file);
	/* Giving back does not fail. */
	int rc = (flags & SQLITE_SHM_UNLOCK) != 0 ? 0
	                                          : fault(false, SQLITE_IOERR_SHMLOCK, ENOLCK);

	return rc != 0 ? rc : f->pMethods->xShmLock(f, offset, n, flags);
}

static void faulty_shm_barrier(sqlite3_file *file)
{
	sqlite3_file *f = below_of(file);

	f->pMethods->xShmBarrier(f);
}

static int faulty_shm_unmap(sqlite3_file *file, int remove)
{
	sqlite3_file *f = below_of(file);

	return f->pMethods->xShmUnmap(f, remove);
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = faulty_close,
	.xRead = faulty_read,
	.xWrite = faulty_write,
	.xTruncate = faulty_truncate,
	.xSync = faulty_sync,
	.xFileSize = faulty_size,
	.xLock = faulty_lock,
	.xUnlock = faulty_unlock,
	.xCheckReservedLock = faulty_reserved,
	.xFileControl = faulty_control,
	.xSectorSize = faulty_sector,
	.xDeviceCharacteristics = faulty_device,
	.xShmMap = faulty_shm_map,
	.xShmLock = faulty_shm_lock,
	.xShmBarrier = faulty_shm_barrier,
	.xShmUnmap = faulty_shm_unmap,
};

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                       int *ret_flags)
{
	struct faulty_file *f = (struct faulty_file *)(void *)file;
	int rc = fault(false, SQLITE_CANTOPEN, EMFILE);

	(void)vfs;
	f->file.pMethods = NULL;
	f->below = (sqlite3_file *)(void *)(f + 1);
	(void)snprintf(f->path, sizeof(f->path), "%s", name != NULL ? name : "");
	if (rc != 0)
		return rc;
	rc = below->xOpen(below, name, f->below, flags, ret_flags);
	if (f->below->pMethods != NULL)
		f->file.pMethods = &methods;
	return rc;
}

static int faulty_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	int rc = fault(true, SQLITE_IOERR_DELETE, EIO);

	(void)vfs;
	return rc != 0 ? rc : below->xDelete(below, name, sync_dir);
}

static int faulty_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
	int rc = fault(false, SQLITE_IOERR_ACCESS, ENOMEM);

	(void)vfs;
	return rc != 0 ? rc : below->xAccess(below, name, flags, ret);
}

static int faulty_path(sqlite3_vfs *vfs, const char *name, int n, char *ret)
{
	int rc = fault(false, SQLITE_CANTOPEN_FULLPATH, ENOMEM);

	(void)vfs;
	return rc != 0 ? rc : below->xFullPathname(below, name, n, ret);
}

static int faulty_last_error(sqlite3_vfs *vfs, int n, char *text)
{
	(void)vfs;
	return last_errno != 0 ? last_errno : below->xGetLastError(below, n, text);
}

void faulty_vfs_register(void)
{
	below = sqlite3_vfs_find(FAULTY_VFS_BELOW);
	layer = *below;
	layer.zName = "faulty";
	layer.szOsFile = (int)sizeof(struct faulty_file) + below->szOsFile;
	layer.xOpen = faulty_open;
	layer.xDelete = faulty_delete;
	layer.xAccess = faulty_access;
	layer.xFullPathname = faulty_path;
	layer.xGetLastError = faulty_last_error;
	(void)sqlite3_vfs_register(&layer, 1);
}

void faulty_vfs_break(int sqlite, int errno_value)
{
	broken = sqlite;
	broken_errno = errno_value;
}

void faulty_vfs_heal(void)
{
	broken = last_errno = 0;
}

void faulty_vfs_arm(size_t which)
{
	nth = which;
	calls_n = failed_n = 0;
	last_errno = 0;
}

size_t faulty_vfs_calls(void)
{
	return calls_n;
}

size_t faulty_vfs_failed(void)
{
	return failed_n;
}
