/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What can be asked to count one more of something, if it still fits. Each program is quota.c,
 * which has the timed loop, and one of quota_*.c, so that the loop is the same for all.
 *
 * Whatever fails, or is refused, ends the program and says why: what has not ended so was
 * accepted, each of it.
 */
#ifndef BENCH_QUOTA_H
#define BENCH_QUOTA_H

#include <stdbool.h>
#include <stddef.h>

#define SUBJECTS_MAX 16

struct target_options {
	const char *address;         /* a socket's path, or what else says where */
	const char *const *subjects; /* what is counted, each as TENANT/METER */
	size_t subjects_n;           /* up to SUBJECTS_MAX */
	bool durable;                /* wait for the disk, if that is said for each call */
};

struct target;

/* How many may be on their way at a time. */
extern const size_t target_flights_max;

/* Connects; @options outlive it. */
struct target *target_open(const struct target_options *options);

void target_close(struct target *target);

/* One more of the subject @i. It may wait for target_flush(). */
void target_queue(struct target *target, size_t i);

void target_flush(struct target *target);

/* Wait for an answer and take what has come, which all say that it was accepted: how many. */
size_t target_take(struct target *target);

#endif
