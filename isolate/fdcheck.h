/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which descriptors may enter a sandbox. A descriptor is a door: a directory leads out
 * of the sandbox's root, a device past its walls, a file of procfs or cgroupfs into the
 * kernel's controls.
 */
#ifndef ISOLATE_FDCHECK_H
#define ISOLATE_FDCHECK_H

#include <base/err.h>

/*
 * 0 for a regular file, pipe, socket, terminal, eventfd or one of /dev/null, zero, full,
 * random and urandom; otherwise a refusal (TN_NOT_PERMITTED) that says what @fd is.
 */
int fdcheck_stdio(int fd, struct tn_error *err);

/* 0 for an O_PATH descriptor of a regular file or directory on a file system of files. */
int fdcheck_path(int fd, struct tn_error *err);

/*
 * 0 if @fd, an O_PATH descriptor, is @root or lies below it, by the name it has now. Only
 * root may be able to write to @root and the directories above it, or names say nothing.
 */
int fdcheck_beneath(int fd, const char *root, struct tn_error *err);

/* 0 for a fully sealed memfd of exactly @bytes. */
int fdcheck_sealed(int fd, int64_t bytes, struct tn_error *err);

#endif
