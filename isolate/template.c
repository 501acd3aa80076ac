/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "template.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <base/fd.h>

#include "spec.h"

static const char *const cgroup_files[TEMPLATE_CGROUP_FILES_N] = {
	"cgroup.controllers", "memory.max", "memory.current", "cpu.max", "pids.max",
};

/* Bound from the host where they are directories of their own, not links into /usr. */
static const char *const host_directories[] = { "/usr",   "/bin",   "/sbin",  "/lib",
	                                        "/lib32", "/lib64", "/libx32" };

const char *template_cgroup_file(unsigned int i)
{
	assert(i < TEMPLATE_CGROUP_FILES_N);
	return cgroup_files[i];
}

int template_cgroup_files_open(int cgroup_fd, uint32_t wanted, int fds[TEMPLATE_CGROUP_FILES_N],
                               struct tn_error *err)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
		                               MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };

	for (unsigned int i = 0; i < TEMPLATE_CGROUP_FILES_N; i++) {
		fds[i] = FD_NONE;
		if ((wanted & 1u << i) == 0)
			continue;
		fds[i] = open_tree(cgroup_fd, cgroup_files[i],
		                   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (fds[i] < 0 && errno == ENOENT)
			continue;
		if (fds[i] < 0 ||
		    mount_setattr(fds[i], "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
			return err_errno(err, "clone the mount of %s", cgroup_files[i]);
	}
	return 0;
}

/* @path below the root being assembled. */
static void inside(const struct context_request *request, const char *path, char out[PATH_MAX])
{
	(void)snprintf(out, PATH_MAX, "%s%s", request->staging_path, path);
}

static int bind_host_directories(const struct context_request *request, struct tn_error *err)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
		                               MOUNT_ATTR_NODEV };

	for (size_t i = 0; i < ARRAY_LEN(host_directories); i++) {
		const char *path = host_directories[i];
		char target[PATH_MAX];
		struct stat st;

		if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
			continue;
		inside(request, path, target);
		if (mount(path, target, NULL, MS_BIND | MS_REC, NULL) < 0)
			return err_errno(err, "bind %s", path);
		if (mount_setattr(AT_FDCWD, target, AT_RECURSIVE, &attr, sizeof(attr)) < 0)
			return err_errno(err, "make %s read-only", path);
	}
	return 0;
}

/* /run/tenant: what of the skeleton's /etc differs between tenants, and the tenant's socket,
 * which can be connected to wherever its mount is read-only. */
static int run_mount(const struct context_request *request, struct tn_error *err)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	char dir[PATH_MAX];

	inside(request, "/run/tenant", dir);
	if (mount(request->run_path, dir, NULL, MS_BIND, NULL) < 0)
		return err_errno(err, "bind %s to /run/tenant", request->run_path);
	if (mount(NULL, dir, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) < 0)
		return err_errno(err, "make /run/tenant read-only");
	return 0;
}

static int storage_mount(const struct context_request *request, struct tn_error *err)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV;
	const int64_t uid = request->uid_first + SPEC_WORKLOAD_UID;
	char target[PATH_MAX], options[128], size[24] = "50%";

	inside(request, "/data", target);
	if (mount(request->storage_path, target, NULL, MS_BIND, NULL) < 0)
		return err_errno(err, "bind %s to /data", request->storage_path);
	if (mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | flags, NULL) < 0)
		return err_errno(err, "restrict /data");

	if (request->memory_max_bytes != SPEC_UNLIMITED)
		(void)snprintf(size, sizeof(size), "%" PRId64, request->memory_max_bytes);
	(void)snprintf(options, sizeof(options),
	               "mode=700,uid=%" PRId64 ",gid=%" PRId64 ",size=%s", uid, uid, size);
	inside(request, "/cache", target);
	if (mount("cache", target, "tmpfs", flags, options) < 0)
		return err_errno(err, "mount /cache");
	return 0;
}

static int cgroup_files_attach(const struct context_request *request, const int *fds,
                               struct tn_error *err)
{
	for (unsigned int i = 0; i < TEMPLATE_CGROUP_FILES_N; i++) {
		char path[64], target[PATH_MAX];

		if (fds[i] < 0)
			continue;
		(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", cgroup_files[i]);
		inside(request, path, target);
		if (move_mount(fds[i], "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return err_errno(err, "attach %s", path);
	}
	return 0;
}

static int pivot(const char *root, struct tn_error *err)
{
	if (chdir(root) < 0)
		return err_errno(err, "enter %s", root);
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_errno(err, "pivot_root to %s", root);
	/* The old root lies on top of the new one now. */
	if (umount2(".", MNT_DETACH) < 0)
		return err_errno(err, "detach the old root");
	if (chdir("/") < 0)
		return err_errno(err, "enter the new root");
	return 0;
}

int template_enter(const struct context_request *request,
                   const int files_fds[TEMPLATE_CGROUP_FILES_N], struct tn_error *err)
{
	int r;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno(err, "make all mounts private");
	if (mount(request->skeleton_path, request->staging_path, NULL, MS_BIND, NULL) < 0)
		return err_errno(err, "bind the skeleton");
	r = bind_host_directories(request, err);
	if (r == 0)
		r = run_mount(request, err);
	if (r == 0)
		r = storage_mount(request, err);
	if (r == 0)
		r = cgroup_files_attach(request, files_fds, err);
	if (r == 0)
		r = pivot(request->staging_path, err);
	return r;
}
