/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a sandbox may write to, said a second time. The mounts say it first: read-only but
 * for a few. This repeats the same list to Landlock, so that a mount that should have been
 * read-only and is not, by a mistake of ours, still cannot be written to.
 *
 * Landlock knows of writing, making, removing, renaming and truncating. It knows nothing
 * of modes, owners, times and extended attributes, which the mounts alone keep.
 */
#ifndef ISOLATE_LANDLOCK_H
#define ISOLATE_LANDLOCK_H

#include <stdbool.h>

#include "spec.h"

/* The ABI of this kernel, or 0 if it has none that can be used. */
int ll_abi(void);

/*
 * Begin the list, inside the sandbox's root with all its mounts in place but /proc. Takes two
 * descriptors more than are open. @abi is what ll_abi() gave; at 0 there is no list, and
 * FD_NONE is it. @queues_fd is of the directory of the message queues (mq_overview(7)), which
 * no path leads to, or FD_NONE. @joins: workload has run in there, and may have moved what
 * leads to a bound path or a tmpfs: what is not where it was is not on the list then. A
 * descriptor that closes with an exec, or -1 and errno.
 */
int ll_begin(int abi, const struct spec_launch *launch, int queues_fd, bool joins);

/* Add /proc, and confine this thread for good, without a capability but with no_new_privs set.
 * Closes @list_fd. 0, or -1 and errno. */
int ll_confine(int abi, int list_fd);

#endif
