/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who clones the children of executions.
 *
 * A copy of tenantd's memory, made, written to and thrown away, is a good part of what a
 * launch costs. With vfork(2) there is none, but whoever calls it stands still until the
 * child has executed something, which in a throttled or frozen tenant may be never. So
 * launchers do: processes of tenantd's own cgroup that do nothing else, one per child on its
 * way in. They have tenantd's descriptors and a memory of their own; what a child is to know
 * lies in a piece that both have mapped. The child is tenantd's, not the launcher's.
 *
 * A child lives in its launcher's memory until it executes, and so does the workload's process
 * that it has begun beside itself (start.h). So what a tenant makes wait, or
 * has killed when its memory is used up, is at worst one launcher, which is replaced.
 *
 * tenantd clones a child itself, as fork(2) does, if every launcher is busy or what the
 * client sent is long: pages that a child of a launcher uses are not the tenant's.
 */
#ifndef ISOLATE_LAUNCHER_H
#define ISOLATE_LAUNCHER_H

#include <stddef.h>

#include <base/err.h>

#include "child.h"

#define LAUNCHERS_MAX 64
/* What a child of a launcher may take for pointers to arguments and environment. */
#define LAUNCHER_POINTERS_BYTES_MAX 65536

/* Never comes back. */
typedef void launcher_enter_fn(const struct child_request *request);

struct launcher;

/* One use of a launcher. */
struct launcher_turn {
	size_t place;
	uint64_t number; /* from 1; 0: tenantd has cloned by itself */
};

struct launchers {
	struct launcher *all[LAUNCHERS_MAX];  /* NULL: no process */
	uint64_t lost_in_turn[LAUNCHERS_MAX]; /* in which the last one of each place died */
	uint64_t turns_n;
	launcher_enter_fn *enter; /* what a child does: child_enter() */
	size_t forked_n;          /* children that tenantd cloned itself */
};

/*
 * Make the first one. What @request->masks of later calls points to is as it will be from
 * here on. @enter may use nothing but what @request leads to.
 */
int launchers_start(struct launchers *launchers, launcher_enter_fn *enter,
                    struct tn_error *err);

/* End them all. Children on their way in go on. */
void launchers_stop(struct launchers *launchers);

/* A child that is being cloned. */
struct launching {
	struct launcher *by; /* NULL: by tenantd itself, and it is there */
	struct launcher_turn turn;
	int32_t pid; /* 0: not looked for yet, negative: -errno */
	int pid_fd;
};

/*
 * clone3 straight into @request->leaf_fd and a new pid namespace, with every signal blocked so
 * that tenant-init misses none. It goes on beside the caller, who is to call launcher_finish()
 * before anything of this request is closed or another begins.
 */
void launcher_begin(struct launchers *launchers, const struct child_request *request,
                    struct launching *ret);

/* The child's pid, or -errno; waits for the launcher, never for the child. */
int32_t launcher_pid(struct launching *launching);

/* The child is ours to wait for; *ret_pid_fd is the caller's. All of the request may change. */
int launcher_finish(struct launching *launching, int *ret_pid, int *ret_pid_fd,
                    struct tn_error *err);

/*
 * Whether the launcher was killed along with the child of that turn, which has ended: what the
 * kernel does to all who have a victim's memory in common when memory runs out, and to
 * nobody else.
 */
bool launchers_lost(const struct launchers *launchers, const struct launcher_turn *turn);

#endif
