/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The seccomp filter of a policy as the kernel loads it: an allow-list compiled once
 * into BPF (libseccomp, native architecture only, rearranged by tree.h) and sealed, so
 * that every launch installs the same bytes.
 *
 * What is not allowed fails with EPERM. Two things differ: clone3, whose flags lie in
 * memory that a filter cannot read, and system calls too new for libseccomp to know
 * fail with ENOSYS, so that a C library falls back to the call it used before. Another
 * architecture's calls, those of x32 too, end the process.
 */
#ifndef POLICY_FILTER_H
#define POLICY_FILTER_H

#include <stddef.h>

#include <base/err.h>

#define FILTER_INSNS_MAX 3968 /* of BPF_MAXINSNS; the rest is for what tenantd adds */

/* Returns a fully sealed close-on-exec memfd of struct sock_filter, owned by the
 * caller, or -errno. */
int filter_compile_default(struct tn_error *err);

/* How many names of the allow-list this libseccomp does not know: calls of newer
 * kernels, refused with ENOSYS as if the kernel did not have them. *ret_names, unless
 * NULL, is how many names there are. */
size_t filter_unknown_names(size_t *ret_names);

#endif
