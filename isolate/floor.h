/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The floor filter: tenantd's own seccomp program, which comes before the policy's in every
 * sandbox. A system call goes through only if both let it, so a controller that sends a
 * filter that allows everything opens nothing of what is refused here. They are one program
 * for the kernel, since each one costs every launch to load: what the floor lets through it
 * gives to the policy, and BPF only jumps forward, so nothing there leads back or around.
 *
 * Refused with EPERM: the mount API, namespaces (unshare, setns, clone with a namespace
 * flag), bpf, perf, kernel keys, io_uring, userfaultfd, reading and tracing other
 * processes, kexec, modules, the ioctls that type into a terminal (TIOCSTI, TIOCLINUX),
 * sockets of AF_VSOCK and AF_ALG. clone3, whose flags no filter can see, gives ENOSYS, so
 * that a C library falls back to clone. A change of RLIMIT_CORE gives EINVAL, which
 * programs that want to switch their core dumps off take for "cannot be" and go on.
 * Another ABI's calls, those of x32 too, end the process.
 *
 * Where a workload can write to files of the host's (a bind that is writable), what it makes
 * there belongs to the host's user of its number: no set-user-ID or set-group-ID bit may be
 * given, or whoever runs such a file outside becomes that user. openat2, whose mode no filter
 * can see, gives ENOSYS then.
 */
#ifndef ISOLATE_FLOOR_H
#define ISOLATE_FLOOR_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

#include "spec.h"

#define FLOOR_INSNS_MAX 128

struct floor {
	struct sock_filter code[FLOOR_INSNS_MAX]; /* the program is at its end */
	size_t first;
	size_t pass; /* the jump to the policy with the number loaded */
};

/* What a sandbox gets by what is done there. */
struct floors {
	struct floor usual;
	struct floor host_files; /* that of the last paragraph */
};

/* Assemble them, the same on every start. */
void floors_make(struct floors *floors);

/* Put both together, @policy behind the floor, of SPEC_FILTER_INSNS_MAX instructions at most,
 * at @code, which has room for BPF_MAXINSNS. Returns how many they are. */
size_t floor_join(const struct floor *floor, const struct sock_fprog *policy,
                  struct sock_filter *code);

#endif
