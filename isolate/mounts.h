/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mounts of one execution, made beside its child and not by it.
 *
 * To mount takes locks of the whole host, and until Linux 6.18 a quota of CPU time stops a
 * process also where it holds one: everybody else's launches would wait for the throttled
 * tenant's next turn. So what runs in a leaf mounts nothing. A process of tenantd's own
 * cgroup does, while the child is cloned, and sends the namespace to the child and to the
 * keeper (keeper.h). Then one more of the child's pid namespace, because that is what a /proc
 * shows, mounts that.
 *
 * They run in tenantd's memory on stacks of their own, and tenantd stands still meanwhile, as
 * with vfork(2): copies would cost more than the mounts do. They wait for nothing that a
 * tenant could hold up.
 */
#ifndef ISOLATE_MOUNTS_H
#define ISOLATE_MOUNTS_H

#include <stdbool.h>

#include <base/err.h>

#include "child.h"

/* What every launch uses; made once. */
struct mounts_place {
	char *stack_tops[2];
	int proc_fd; /* tenantd's own /proc */
	/* Sets the last pid of whose namespace the writer is in; FD_NONE: no kernel for it. */
	int last_pid_fd;
};

int mounts_place_make(struct mounts_place *place, struct tn_error *err);

struct mounts {
	const struct child_request *request;
	/* The child's pid, waited for: asked once what needs none is there. Not positive:
	 * there is no child, which is no failure of the mounts. */
	int32_t (*child_pid)(void *context);
	void *context;
	int keeper_fd; /* FD_NONE: there is none to keep them */
	/* Results. */
	bool made; /* all of them */
	bool kept;
	enum child_stage failed_stage;
	int error; /* errno; 0: nothing failed */
};

/*
 * Make them. On @request->mounts_peer_fd the child is sent the namespace as soon as it is
 * there, a byte when all in it but /proc is, one when that is, too, without what masks it, and
 * the last, which it may go on with, when all are made and who made them has left its pid
 * namespace. Nothing of it is left but what is in the results. A child that has ended meanwhile
 * is no error.
 */
void mounts_make(const struct mounts_place *place, struct mounts *mounts);

#endif
