/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who has each execution's mount namespace last: a process of tenantd's own cgroup.
 *
 * The kernel takes a mount namespace apart in whatever process lets go of it last, under
 * locks of the whole host. That must be none in a leaf: it may be throttled while it holds
 * them. It cannot be tenantd either, of whose descriptors every child begins with a copy
 * that it keeps until it is let run. So one process that clones nobody keeps them all.
 *
 * It is asked to drop what has no process left, and tells when that holds nothing any more: an
 * execution's end is told only when its files in memory are no longer charged to its tenant.
 * Where there are none, and that is most often so, it need not wait for the mounts to be gone.
 */
#ifndef ISOLATE_KEEPER_H
#define ISOLATE_KEEPER_H

#include <sys/types.h>

#include <base/err.h>
#include <base/id.h>

#include "loop.h"

#define KEEPER_MEMORY_MAX 2

/* Of one execution; borrowed. */
struct keeper_mounts {
	int ns_fd;
	int memory_fds[KEEPER_MEMORY_MAX]; /* O_PATH: the file systems in memory, or */
	size_t memory_n;                   /* 0: it is not known which there are */
};

struct keeper {
	struct loop_source source;
	struct loop *loop;
	pid_t pid;
	/* The mounts of @execution, of which was asked, hold nothing any more. */
	void (*dropped)(void *context, const struct id *execution);
	/* It has died, and a new one keeps nothing yet: no answer will come. */
	void (*lost)(void *context);
	void *context;
};

/* @loop and all that follows it in @keeper, but the pid, are set. */
int keeper_start(struct keeper *keeper, struct tn_error *err);

/* Let go of all it keeps; the process ends. Accepts one that was never started. */
void keeper_stop(struct keeper *keeper);

/* Keep copies of @mounts. @keeper_fd is the keeper's source.fd, or a copy of it. */
int keeper_hold(int keeper_fd, const struct id *execution, const struct keeper_mounts *mounts,
                struct tn_error *err);

/* 0: dropped() or lost() will be called. */
int keeper_drop(struct keeper *keeper, const struct id *execution, struct tn_error *err);

#endif
