/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "prefix.h"

#include <assert.h>
#include <string.h>

size_t prefix_range(uint32_t first, uint32_t last, struct prefix ret[static PREFIX_RANGE_MAX])
{
	uint64_t at = first, end = (uint64_t)last + 1;
	size_t n = 0;

	assert(first <= last);
	while (at < end) {
		/* The largest block that starts here and does not go past the end. */
		uint64_t block = at == 0 ? UINT64_C(1) << 32 : at & -at;

		while (block > end - at)
			block /= 2;
		assert(n < PREFIX_RANGE_MAX);
		ret[n++] = (struct prefix){ .mask = (uint32_t) ~(block - 1),
			                    .value = (uint32_t)at };
		at += block;
	}
	return n;
}

size_t prefix_all_but(const uint32_t *holes, size_t n, struct prefix *ret, size_t max)
{
	uint64_t first = 0;
	size_t total = 0;

	for (size_t i = 0; i <= n; i++) {
		uint64_t end = i < n ? holes[i] : UINT64_C(1) << 32;
		struct prefix part[PREFIX_RANGE_MAX];
		size_t part_n = 0;

		assert(end >= first);
		if (end > first)
			part_n = prefix_range((uint32_t)first, (uint32_t)(end - 1), part);
		if (part_n > max - total)
			return 0;
		memcpy(ret + total, part, part_n * sizeof(*part));
		total += part_n;
		first = end + 1;
	}
	return total;
}
