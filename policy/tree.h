/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A seccomp filter rewritten so that it is cheap to install, and decides the same.
 *
 * Every launch installs the filter, and the kernel then checks, translates and compiles
 * each instruction, and runs the program once for each system call that it has, to learn
 * which are always allowed. So it is the instructions that cost, and the steps of a call:
 * a comparison for each of 300 system calls costs more than all mounts of a launch.
 * Allowed numbers lie side by side, though; a search among the ranges takes a quarter.
 */
#ifndef POLICY_TREE_H
#define POLICY_TREE_H

#include <linux/filter.h>
#include <stddef.h>

/*
 * Rewrite the @n instructions of @from, a filter that libseccomp made for one
 * architecture, into @to, which has room for @max. Returns their number, or 0 if @from has
 * another shape than is understood: it is to be used as it is then.
 */
size_t tree_rebuild(const struct sock_filter *from, size_t n, struct sock_filter *to,
                    size_t max);

#endif
