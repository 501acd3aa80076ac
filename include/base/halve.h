/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where to halve a search among ranges of system call numbers, for programs that the kernel
 * runs once for each number when it loads them. What counts there is the mean of the steps
 * over all numbers, not the most steps for any: a wide range is to be found early.
 */
#ifndef BASE_HALVE_H
#define BASE_HALVE_H

#include <stddef.h>
#include <stdint.h>

/* No kernel has as many system calls: what lies beyond has no weight. */
#define HALVE_NUMBERS_MAX 512

typedef uint32_t halve_first_fn(const void *ranges, size_t i);

static inline uint32_t halve_distance(uint32_t a, uint32_t b)
{
	return a > b ? a - b : b - a;
}

/*
 * Of the ranges @first to before @end, two or more that ascend, the one that is to begin the
 * upper half: its first number is the nearest to the middle of them all. @first_of gives the
 * first number of a range; @n is how many there are altogether.
 */
static inline size_t halve(const void *ranges, halve_first_fn *first_of, size_t n, size_t first,
                           size_t end)
{
	const uint32_t low = first_of(ranges, first);
	uint32_t high = end < n ? first_of(ranges, end) : HALVE_NUMBERS_MAX;
	size_t best = first + (end - first) / 2;
	uint32_t middle;

	if (high > HALVE_NUMBERS_MAX)
		high = HALVE_NUMBERS_MAX;
	if (low >= high)
		return best;
	middle = low + (high - low) / 2;
	for (size_t i = first + 1; i < end; i++)
		if (halve_distance(first_of(ranges, i), middle) <
		    halve_distance(first_of(ranges, best), middle))
			best = i;
	return best;
}

#endif
