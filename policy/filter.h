/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The seccomp filter of a policy as the kernel loads it: an allow-list compiled once
 * into BPF (libseccomp, native architecture only, optimised tree) and sealed, so that
 * every launch installs the same bytes.
 */
#ifndef POLICY_FILTER_H
#define POLICY_FILTER_H

#include <base/err.h>

/* Returns a fully sealed close-on-exec memfd of struct sock_filter, owned by the
 * caller, or -errno. */
int filter_compile_default(struct tn_error *err);

#endif
