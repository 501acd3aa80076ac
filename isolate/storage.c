/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/fd.h>

#include "spec.h"

/* No UUID. */
#define DISCARDED_DIR ".deleted"

/* The tenant's directory below @root, made first if @make; -ENOENT if there is none. */
static int directory_open(const char *root, const struct id *tenant, bool make,
                          struct tn_error *err)
{
	cleanup_fd int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	char name[ID_TEXT_BYTES];
	int fd;

	if (root_fd < 0)
		return err_errno(err, "storage root %s", root);
	id_format(tenant, name);
	if (make && mkdirat(root_fd, name, 0700) < 0 && errno != EEXIST)
		return err_errno(err, "create %s/%s", root, name);
	fd = openat(root_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_errno(err, "open %s/%s", root, name) : fd;
}

int storage_make(const char *root, const struct id *tenant, int64_t uid_first,
                 struct tn_error *err)
{
	const uid_t uid = (uid_t)(uid_first + SPEC_WORKLOAD_UID);
	cleanup_fd int dir_fd = directory_open(root, tenant, true, err);

	if (dir_fd < 0)
		return dir_fd;
	if (mkdirat(dir_fd, "data", 0700) < 0 && errno != EEXIST)
		return err_errno(err, "create the tenant's data directory");
	/* Also when it was there: a crash may have come between the two. */
	if (fchownat(dir_fd, "data", uid, uid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "chown the tenant's data directory");
	return 0;
}

int storage_open(const char *root, const struct id *tenant, struct tn_error *err)
{
	cleanup_fd int dir_fd = directory_open(root, tenant, false, err);
	int fd;

	if (dir_fd < 0)
		return dir_fd;
	fd = openat(dir_fd, "data", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_errno(err, "open the tenant's data directory") : fd;
}

int storage_check_empty(const char *root, const struct id *tenant, struct tn_error *err)
{
	struct tn_error cause = { 0 };
	cleanup_fd int dir_fd = directory_open(root, tenant, false, &cause);
	cleanup_fd int fd = FD_NONE;
	struct dirent *entry;
	DIR *dir;
	int r = 0;

	if (dir_fd == -ENOENT && access(root, F_OK) == 0)
		return 0;
	if (dir_fd < 0) {
		*err = cause;
		return dir_fd;
	}
	fd = openat(dir_fd, "data", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(err, "open the tenant's data directory");
	dir = fdopendir(fd_take(&fd));
	if (dir == NULL)
		return err_errno(err, "read the tenant's data directory");
	while (r == 0 && (entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = err_set(err, TN_STATE, ENOTEMPTY, "the tenant has stored data");
	(void)closedir(dir);
	return r;
}

int storage_discarded_open(const char *root, struct tn_error *err)
{
	cleanup_fd int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int fd;

	if (root_fd < 0)
		return err_errno(err, "storage root %s", root);
	fd = openat(root_fd, DISCARDED_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_errno(err, "open %s/" DISCARDED_DIR, root) : fd;
}

int storage_discard(const char *root, const struct id *tenant, struct tn_error *err)
{
	cleanup_fd int root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	char from[ID_TEXT_BYTES], to[sizeof(DISCARDED_DIR) + ID_TEXT_BYTES];

	if (root_fd < 0)
		return err_errno(err, "storage root %s", root);
	if (mkdirat(root_fd, DISCARDED_DIR, 0700) < 0 && errno != EEXIST)
		return err_errno(err, "create %s/" DISCARDED_DIR, root);
	id_format(tenant, from);
	(void)snprintf(to, sizeof(to), DISCARDED_DIR "/%s", from);
	if (renameat(root_fd, from, root_fd, to) < 0) {
		if (errno != ENOENT)
			return err_errno(err, "move %s/%s to " DISCARDED_DIR, root, from);
		/* An earlier one of us may have got that far. */
		return faccessat(root_fd, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	}
	/* Or a power loss could bring it back. */
	if (fsync(root_fd) < 0)
		return err_errno(err, "sync %s", root);
	return 1;
}

/* What has been removed stays so, before somebody else has its ids. */
static int root_sync(const char *root, struct tn_error *err)
{
	cleanup_fd int root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (root_fd < 0)
		return err_errno(err, "storage root %s", root);
	return fsync(root_fd) < 0 ? err_errno(err, "sync %s", root) : 0;
}

int storage_remove_empty(const char *root, const struct id *tenant, struct tn_error *err)
{
	struct tn_error cause = { 0 };
	cleanup_fd int dir_fd = directory_open(root, tenant, false, &cause);
	char path[PATH_MAX], name[ID_TEXT_BYTES];

	/* A root that is gone may only not be mounted: then nobody knows what is stored. */
	if (dir_fd == -ENOENT && access(root, F_OK) == 0)
		return 0;
	if (dir_fd < 0) {
		*err = cause;
		return dir_fd;
	}
	if (unlinkat(dir_fd, "data", AT_REMOVEDIR) < 0 && errno != ENOENT)
		return errno == ENOTEMPTY
		               ? err_set(err, TN_STATE, ENOTEMPTY, "the tenant has stored data")
		               : err_errno(err, "remove the tenant's data directory");
	id_format(tenant, name);
	(void)snprintf(path, sizeof(path), "%s/%s", root, name);
	if (rmdir(path) < 0)
		return err_errno(err, "remove %s", path);
	return root_sync(root, err);
}
