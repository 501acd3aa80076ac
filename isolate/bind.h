/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a caller has shown in a sandbox: paths of its own, which it opened with its own
 * rights and passed as O_PATH descriptors, so that nothing here follows a path that anyone
 * else wrote; and fresh tmpfs.
 *
 * A bind is nosuid and nodev, read-only unless asked for and allowed, and idmapped where
 * the file system can: what belongs to uid 1000 outside belongs to uid 1000 inside, and
 * to all other users of a sandbox nothing belongs there that is anyone's outside. A
 * tmpfs is nosuid and nodev too, and everyone may write there. Both are shown below one of
 * a few directories that are empty in every sandbox, none of them within another.
 */
#ifndef ISOLATE_BIND_H
#define ISOLATE_BIND_H

#include <base/err.h>

#include "spec.h"

/* 0 if every target is allowed and every bind's descriptor a path to a file or directory. */
int bind_check(const struct spec_launch *launch, const int *fds, struct tn_error *err);

/*
 * In the mount namespace that the descriptors come from: replace each of
 * @fds by a detached clone, restricted and mapped by @user_ns_fd. 0, or -1 and errno;
 * EOPNOTSUPP: to be writable it would have to be mapped, and the file system cannot.
 */
int bind_clone(const struct spec_launch *launch, int *fds, int user_ns_fd);

/*
 * In the sandbox's own mount namespace: attach the clones and mount the tmpfs, each of at
 * most @memory_max_bytes. 0, or -1 and errno.
 */
int bind_attach(const struct spec_launch *launch, const int *fds, int64_t memory_max_bytes);

/* A tmpfs at @target that everyone may write to: 0, or -1 and errno. */
int bind_tmpfs_mount(const char *target, unsigned long flags, int64_t bytes_max);

#endif
