/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/fd.h>

#include "spec.h"

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
	return 0;
}
