/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Statistics of cgroups, read below the tree's root descriptor: root/TENANT is the node
 * that is billed, root/TENANT/EXECUTION the leaf of one execution. They are
 * world-readable, so no privilege is needed; nothing here writes.
 *
 * What the kernel does not give (its controller is not enabled, or the kernel is older)
 * is SPEC_ABSENT, never 0.
 */
#ifndef RUNTIME_CGSTAT_H
#define RUNTIME_CGSTAT_H

#include <base/err.h>

#include <isolate/spec.h>

struct cgstat {
	int64_t cgroup_id;             /* the inode: no two cgroups of a boot have the same */
	struct spec_counters counters; /* but overhead_usec and tenant_throttled_usec */
};

/* Read the tenant's node, or with @execution its leaf. -ENOENT if there is no such cgroup. */
int cgstat_read(int root_fd, const char *tenant, const struct id *execution, struct cgstat *ret,
                struct tn_error *err);

#endif
