/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The template mount namespace of a tenant: the skeleton with the host's /usr
 * (read-only, nosuid, nodev), the tenant's /data and /cache, and its cgroup's size files.
 * What is an execution's own (/proc, /tmp, /dev/shm, /dev/pts) is mounted by mounts.c.
 */
#ifndef ISOLATE_TEMPLATE_H
#define ISOLATE_TEMPLATE_H

#include "context.h"

/* Files of a cgroup that a sandbox may see, in the order of template_cgroup_file(). */
#define TEMPLATE_CGROUP_FILES_N 5
const char *template_cgroup_file(unsigned int i);

#define TEMPLATE_CGROUP_FILES_ALL ((1u << TEMPLATE_CGROUP_FILES_N) - 1)

/*
 * Detached, read-only clones of those size files of @cgroup_fd whose bit is in @wanted, to
 * be attached in another mount namespace; FD_NONE for what is not wanted or not there.
 * Each has to be attached: to close one unused takes an RCU grace period.
 */
int template_cgroup_files_open(int cgroup_fd, uint32_t wanted, int fds[TEMPLATE_CGROUP_FILES_N],
                               struct tn_error *err);

/*
 * Turn the caller's fresh mount namespace into the template and pivot into it.
 * @files_fds come from template_cgroup_files_open().
 */
int template_enter(const struct context_request *request,
                   const int files_fds[TEMPLATE_CGROUP_FILES_N], struct tn_error *err);

#endif
