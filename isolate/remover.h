/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who removes what deleted tenants have left: a process of tenantd's own, one tenant's files
 * after the other, so that nobody waits for a million of them. Only when the last one with a
 * range's ids is gone does the range return to the pool.
 *
 * The slot table says what is still to be removed, so that it is gone on with after a restart.
 */
#ifndef ISOLATE_REMOVER_H
#define ISOLATE_REMOVER_H

#include <stdbool.h>
#include <sys/types.h>

#include <base/err.h>
#include <base/id.h>

#include "loop.h"
#include "slots.h"

/* The first three are borrowed and set, tried and its context may be, the rest is zeroed;
 * source.fd is FD_NONE. */
struct remover {
	struct loop *loop;
	struct slots *slots;
	const char *storage_root;
	/* All has been tried; @left: something could not be removed, and it is to be woken
	 * later. */
	void (*tried)(void *context, bool left);
	void *context;
	struct loop_source source; /* pidfd of the process, if there is one */
	pid_t pid;
	int64_t slot;   /* whose files it removes */
	bool look_anew; /* more has been discarded meanwhile */
	bool failed;    /* since it was woken */
};

/* Something has been discarded, or may have been before we began. */
void remover_wake(struct remover *remover);

/* End the process; what it has left is for the next tenantd. */
void remover_stop(struct remover *remover);

/*
 * Remove the directory @name below the borrowed @dir_fd with all that is in it, whatever a
 * tenant has made of it; nothing is followed, and nesting costs neither memory nor
 * descriptors. 0, also if there is none, or -errno.
 */
int remover_remove(int dir_fd, const char *name);

#endif
