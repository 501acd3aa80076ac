/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The delegated tree as a whole: found and checked at start, tenants' nodes made and
 * changed. This is the one file that uses libcgroup.
 *
 * libcgroup writes controllers above a delegated root and takes v1 where it finds it.
 * So the delegated directory is bound over the cgroup2 mount point in tenantd's own
 * mount namespace, above which libcgroup then sees nothing, and every controller it
 * reports is checked to be cgroup2. What is frequent or racy (leaves, launches, kills,
 * statistics) does not come through here but uses directory descriptors: cgroup.h.
 */
#ifndef ISOLATE_HIERARCHY_H
#define ISOLATE_HIERARCHY_H

#include <stdbool.h>

#include <base/err.h>

#include "spec.h"

struct hierarchy {
	int root_fd;          /* O_PATH of the tree's root */
	uint32_t controllers; /* enum spec_controller: those enabled for tenants */
	char path[SPEC_PATH_BYTES_MAX];
};

/*
 * Open the tree at @path, enable its controllers for tenants and confine libcgroup to
 * it. The caller has a mount namespace of its own. Missing controllers are an error
 * that names each with the reason, unless @allow_missing.
 */
int hierarchy_open(struct hierarchy *hierarchy, const char *path, bool allow_missing,
                   struct tn_error *err);
void hierarchy_close(struct hierarchy *hierarchy);

/*
 * Create the node @name, or bring an existing one to @limits, and read them back. On failure a
 * new node is gone again, and an existing one has the limits that it had. A memory_max below
 * what is in use is refused with TN_STATE unless @may_kill, and of an existing node only.
 */
int hierarchy_tenant_apply(const struct hierarchy *hierarchy, const char *name,
                           const struct spec_tenant_limits *limits, bool may_kill,
                           struct tn_error *err);

/* O_PATH of the node @name, owned by the caller. */
int hierarchy_tenant_open(const struct hierarchy *hierarchy, const char *name,
                          struct tn_error *err);

/* Remove the empty node @name; no error if there is none. */
int hierarchy_tenant_remove(const struct hierarchy *hierarchy, const char *name,
                            struct tn_error *err);

#endif
