/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The floor filter: tenantd's own seccomp program, which every sandbox gets beneath the
 * policy's. A system call goes through only if both let it, so a controller that sends a
 * filter that allows everything opens nothing of what is refused here.
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

#define FLOOR_INSNS_MAX 128

struct floor {
	struct sock_filter code[FLOOR_INSNS_MAX]; /* the program is at its end */
	size_t first;
};

/* Assemble the program, the same on every start; @host_files: that of the last paragraph. */
void floor_make(struct floor *floor, bool host_files);

/* What seccomp(2) takes; points into @floor. */
struct sock_fprog floor_program(const struct floor *floor);

#endif
