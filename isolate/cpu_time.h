/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When to look at the CPU time of an execution again. Nothing tells when a cgroup has used
 * an amount of it, so it is looked at when the limit could be reached at the earliest:
 * after what is left, divided among all CPUs. A quota would not make that later, since what
 * it gives for a period may be used at once.
 *
 * Near the limit that would be ever sooner, hence a least distance. It bounds how far an
 * execution gets beyond its limit: by that time on every CPU. One that used nothing since
 * the last look is left alone for longer and longer, so that many that wait just below
 * their limits cost nothing. Pure.
 */
#ifndef ISOLATE_CPU_TIME_H
#define ISOLATE_CPU_TIME_H

#include <stdint.h>

#define CPU_TIME_WAIT_USEC_MIN      5000
#define CPU_TIME_WAIT_IDLE_USEC_MAX 40000 /* of the least distance */
#define CPU_TIME_WAIT_USEC_MAX      1000000

struct cpu_time {
	int64_t usec_max; /* SPEC_UNLIMITED: never to be looked at */
	int64_t cpus;     /* that can be used at the same time, at least 1 */
	int64_t used_usec;
	int64_t least_usec;
};

void cpu_time_init(struct cpu_time *time, int64_t usec_max, int64_t cpus);

/* @used_usec have been used. How long to wait, in microseconds; 0: the limit is reached. */
int64_t cpu_time_next(struct cpu_time *time, int64_t used_usec);

#endif
