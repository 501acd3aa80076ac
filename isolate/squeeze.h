/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tenant that is to use less memory: its memory.high is lowered for a while, so that the
 * kernel slows it down and takes back what it can, and kills nothing.
 *
 * The write itself does not return before the kernel has tried, which may take long, so a
 * process of its own makes it. What memory.high was stands on the node, as an extended
 * attribute: whoever dies meanwhile, the next tenantd finds it there and puts it back.
 */
#ifndef ISOLATE_SQUEEZE_H
#define ISOLATE_SQUEEZE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <base/err.h>

#include "loop.h"

/* Embedded by a tenant. Zeroed but for source.fd, which is FD_NONE: there is none. */
struct squeeze {
	struct loop *loop;         /* borrowed */
	int node_fd;               /* of the tenant's cgroup; borrowed */
	struct loop_source source; /* pidfd of the process that writes, if there is one */
	pid_t pid;
	bool held; /* memory.high is not what the tenant's limits say */
};

/* Begin: memory.high is on its way to @high_bytes. Again, with another figure, is no failure.
 */
int squeeze_begin(struct squeeze *squeeze, int64_t high_bytes, struct tn_error *err);

/* The tenant has limits anew, and memory.high is @high_bytes, as they say. */
void squeeze_end(struct squeeze *squeeze, int64_t high_bytes);

/* Put memory.high back to what it was. Nothing if it is not held. */
void squeeze_undo(struct squeeze *squeeze);

/* End the process, too, as before the tenant is freed; memory.high stays. */
void squeeze_stop(struct squeeze *squeeze);

/* The same as squeeze_undo() of what a tenantd before us has left on the node of @node_fd: 1 if
 * there was something, 0 if not, or -errno. */
int squeeze_recover(int node_fd, struct tn_error *err);

#endif
