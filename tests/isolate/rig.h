/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of isolate/ share: a directory to work in, and how to say that a
 * machine cannot show what a test is about.
 */
#ifndef TESTS_ISOLATE_RIG_H
#define TESTS_ISOLATE_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define RIG_PATH_BYTES_MAX 256

/* Go on if @met. Otherwise skip this test because of @why, or fail it under TN_MUST_RUN=1. */
void rig_need(bool met, const char *why);
void rig_need_root(void);

/* Where cgroup v2 is mounted. Where it is not, as in a bare root, it is mounted in a mount
 * namespace of this process alone. NULL if that cannot be. */
const char *rig_cgroup2(void);

/* A fresh directory below /tmp: its path, and an O_PATH descriptor. One per process. */
struct rig_dir {
	char path[RIG_PATH_BYTES_MAX];
	int fd;
};
extern struct rig_dir rig_dir;

/* For .init and .fini of a suite. */
void rig_dir_make(void);
void rig_dir_remove(void);

/* "<the directory>/<name>"; valid until the call after the next. */
const char *rig_path(const char *name);

/* Write @text to the file @name of the directory, which gets @mode. */
void rig_put(const char *name, const char *text, mode_t mode);
void rig_put_bytes(const char *name, const void *bytes, size_t n, mode_t mode);

/* The file @name of the directory as a string; static. */
const char *rig_get(const char *name);

/* Whether @name exists in the directory. */
bool rig_exists(const char *name);

/* Entries of the directory. */
size_t rig_entries_n(void);

#endif
