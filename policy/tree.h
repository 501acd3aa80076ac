/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A seccomp filter rewritten so that it is cheap to install, and decides the same.
 *
 * Every launch installs the filter, and the kernel then checks, translates and compiles
 * each instruction, and runs the program once for each system call that it has, to learn
 * which are always allowed. So it is the instructions that cost, and the steps of a call:
 * a comparison for each of 300 system calls costs more than all mounts of a launch.
 * Allowed numbers lie side by side, though; a search among the ranges takes a tenth.
 *
 * What libseccomp can only say at length is said here: "all but these values of the low
 * half of an argument". It compares 64 bits, where the kernel reads 32 of an ioctl's command,
 * so that a rule "not equal" is passed with a bit set above them; masks take fifty rules.
 */
#ifndef POLICY_TREE_H
#define POLICY_TREE_H

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

/* Of a call that the filter allows whatever its arguments: what it is not allowed with. */
struct tree_refusal {
	uint32_t nr;
	size_t argument;        /* 0 to 5 */
	const uint32_t *values; /* of its low 32 bits */
	size_t values_n;
	uint32_t answer; /* as BPF_RET gives it */
};

#define TREE_REFUSALS_MAX 8

/*
 * Rewrite the @n instructions of @from, a filter that libseccomp made for one
 * architecture, into @to, which has room for @max, with the @refusals added. Returns their
 * number, or 0 if @from has another shape than is understood, if a refused call is not
 * allowed, or without room: @to holds nothing of use then.
 */
size_t tree_rebuild(const struct sock_filter *from, size_t n,
                    const struct tree_refusal *refusals, size_t refusals_n,
                    struct sock_filter *to, size_t max);

#endif
