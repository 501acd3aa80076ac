/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mounts of one execution, made beside its child and not by it.
 *
 * To mount takes locks of the whole host, and until Linux 6.18 a quota of CPU time stops a
 * process also where it holds one: everybody else's launches would wait for the throttled
 * tenant's next turn. So what runs in a leaf mounts nothing. A process of tenantd's own
 * cgroup does, of the child's pid namespace because that is what a /proc shows, and sends
 * the namespace to the child and to the keeper (keeper.h).
 *
 * It runs in tenantd's memory on a stack of its own, and tenantd stands still meanwhile, as
 * with vfork(2): a copy of its own would cost more than the mounts do. It waits for nothing
 * that a tenant could hold up.
 */
#ifndef ISOLATE_MOUNTS_H
#define ISOLATE_MOUNTS_H

#include <stdbool.h>

#include <base/err.h>

#include "child.h"

/* What every launch uses; made once. */
struct mounts_place {
	char *stack_top;
	int pid_ns_fd; /* tenantd's own pid namespace */
	int proc_fd;   /* tenantd's own /proc */
};

int mounts_place_make(struct mounts_place *place, struct tn_error *err);

struct mounts {
	const struct child_request *request;
	int child_pid_fd;
	int keeper_fd; /* FD_NONE: there is none to keep them */
	/* Results. */
	bool kept;
	enum child_stage failed_stage;
	int error; /* errno; 0: nothing failed */
};

/*
 * Make them. On @request->mounts_peer_fd the child is sent the namespace as soon as it is
 * there, and then a byte when all but masks in /proc and figures of its leaf are. Nothing of it
 * is left but what is in the results. A child that has ended meanwhile is no error.
 */
void mounts_make(const struct mounts_place *place, struct mounts *mounts);

#endif
