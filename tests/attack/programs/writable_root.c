/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A library to preload into tenantd: every mount that it makes read-only stays writable, as
 * if each of those lines of code had been forgotten. For the test that what a workload may
 * write to does not depend on mounts alone.
 */
#define _GNU_SOURCE
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

int mount(const char *source, const char *target, const char *type, unsigned long flags,
          const void *data)
{
	return (int)syscall(SYS_mount, source, target, type, flags & ~(unsigned long)MS_RDONLY,
	                    data);
}

int mount_setattr(int dirfd, const char *path, unsigned int flags, struct mount_attr *attr,
                  size_t size)
{
	struct mount_attr writable = *attr;

	writable.attr_set &= ~(__u64)MOUNT_ATTR_RDONLY;
	return (int)syscall(SYS_mount_setattr, dirfd, path, flags, &writable, size);
}
