/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ranges of 32-bit numbers as masks and values. A seccomp rule compares 64 bits, but
 * the kernel reads only the low 32 of an argument such as ioctl's command: a rule "not
 * equal" is passed with a bit set above them. A rule can mask, though only for equal;
 * so what is allowed is written as prefixes, just as networks are.
 */
#ifndef POLICY_PREFIX_H
#define POLICY_PREFIX_H

#include <stddef.h>
#include <stdint.h>

/* Every number of which the bits in @mask are those of @value. */
struct prefix {
	uint32_t mask;
	uint32_t value;
};

/* What one range can take: two at each level but the first and the last. */
#define PREFIX_RANGE_MAX 62

/* Cover @first to @last, inclusive, and nothing else. Returns how many were needed. */
size_t prefix_range(uint32_t first, uint32_t last, struct prefix ret[static PREFIX_RANGE_MAX]);

/*
 * Cover every number but the @n in @holes, which ascend and do not repeat. Returns how
 * many were needed, at most @max, or 0 if more would be.
 */
size_t prefix_all_but(const uint32_t *holes, size_t n, struct prefix *ret, size_t max);

#endif
