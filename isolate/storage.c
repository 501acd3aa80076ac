/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/fd.h>

#include "spec.h"

static int root_open(const char *root, struct tn_error *err)
{
	int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? err_errno(err, "storage root %s", root) : fd;
}

int storage_make(const char *root, const struct id *tenant, int64_t uid_first,
                 struct tn_error *err)
{
	const uid_t uid = (uid_t)(uid_first + SPEC_WORKLOAD_UID);
	cleanup_fd int root_fd = root_open(root, err);
	cleanup_fd int dir_fd = FD_NONE;
	char name[ID_TEXT_BYTES];

	if (root_fd < 0)
		return root_fd;
	id_format(tenant, name);
	if (mkdirat(root_fd, name, 0700) < 0 && errno != EEXIST)
		return err_errno(err, "create %s/%s", root, name);
	dir_fd = openat(root_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir_fd < 0)
		return err_errno(err, "open %s/%s", root, name);
	if (mkdirat(dir_fd, "data", 0700) < 0 && errno != EEXIST)
		return err_errno(err, "create %s/%s/data", root, name);
	/* Also when it was there: a crash may have come between the two. */
	if (fchownat(dir_fd, "data", uid, uid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "chown %s/%s/data", root, name);
	return 0;
}

int storage_remove_empty(const char *root, const struct id *tenant, struct tn_error *err)
{
	cleanup_fd int root_fd = root_open(root, err);
	cleanup_fd int dir_fd = FD_NONE;
	char name[ID_TEXT_BYTES];

	if (root_fd < 0)
		return root_fd;
	id_format(tenant, name);
	dir_fd = openat(root_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir_fd < 0)
		return errno == ENOENT ? 0 : err_errno(err, "open %s/%s", root, name);
	if (unlinkat(dir_fd, "data", AT_REMOVEDIR) < 0 && errno != ENOENT)
		return errno == ENOTEMPTY
		               ? err_set(err, TN_STATE, ENOTEMPTY, "the tenant has stored data")
		               : err_errno(err, "remove %s/%s/data", root, name);
	if (unlinkat(root_fd, name, AT_REMOVEDIR) < 0)
		return err_errno(err, "remove %s/%s", root, name);
	return 0;
}
