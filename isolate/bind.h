/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Paths of the caller's shown in a sandbox. The caller opened them with its own rights
 * and passed O_PATH descriptors; nothing here follows a path that anyone else wrote.
 *
 * A bind is nosuid and nodev, read-only unless asked for and allowed, and idmapped where
 * the file system can: what belongs to uid 1000 outside belongs to uid 1000 inside. It
 * is shown below one of a few directories that are empty in every sandbox.
 */
#ifndef ISOLATE_BIND_H
#define ISOLATE_BIND_H

#include <base/err.h>

#include "spec.h"

/* 0 if every target is allowed and every descriptor a path to a file or directory. */
int bind_check(const struct spec_launch *launch, const int *fds, struct tn_error *err);

/*
 * In the child, in the mount namespace that the descriptors come from: replace each of
 * @fds by a detached clone, restricted and mapped by @user_ns_fd. 0, or -1 and errno;
 * EOPNOTSUPP: to be writable it would have to be mapped, and the file system cannot.
 */
int bind_clone(const struct spec_launch *launch, int *fds, int user_ns_fd);

/* In the sandbox's own mount namespace: attach the clones. 0, or -1 and errno. */
int bind_attach(const struct spec_launch *launch, const int *fds);

#endif
