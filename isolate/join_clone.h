/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The process of a command that joins an execution: who clones it.
 *
 * A process is in the pid namespace that its parent has chosen for its children. tenantd's own
 * children are to be in others, so a process of its own cgroup chooses: it shares tenantd's
 * memory and descriptors, stands in for it for some microseconds, and leaves tenantd its
 * child (CLONE_PARENT). That child has a copy of the memory, and nobody waits for it.
 */
#ifndef ISOLATE_JOIN_CLONE_H
#define ISOLATE_JOIN_CLONE_H

#include "child.h"
#include "mounts.h"

struct join_clone {
	struct child_request request; /* context, mounts_fd and mounts_peer_fd are set here */
	int pid, pid_fd;              /* the child's; the caller's */
	int32_t error;                /* of CHILD_OOM_SCORE, for which it cannot begin; or 0 */
	int go_fd;                    /* for join_clone_go() */
};

/*
 * Clone a child into @child->request.leaf_fd and the pid namespace of
 * @child->request.join_pid_fd. It waits for join_clone_go(), which has to follow.
 * -errno: there is none, with ESRCH (TN_NOT_FOUND) because the execution is ending.
 */
int join_clone(const struct mounts_place *place, struct join_clone *child,
               struct tn_error *err);

/* Let it begin, or, if not @go, end without having begun. */
void join_clone_go(struct join_clone *child, bool go);

#endif
