/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* policy/prefix.c: the prefixes of a range hold the range, once, and nothing else. */
#include <criterion/criterion.h>
#include <stdbool.h>

#include <base/fd.h>
#include <policy/prefix.h>

TestSuite(policy_prefix, .timeout = 60);

/* How many of the prefixes hold @x. */
static size_t holders(const struct prefix *prefixes, size_t n, uint32_t x)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += (x & prefixes[i].mask) == prefixes[i].value;
	return count;
}

static uint64_t numbers_in(const struct prefix *prefixes, size_t n)
{
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += (uint64_t)(uint32_t)~prefixes[i].mask + 1;
	return total;
}

static void expect_range(uint32_t first, uint32_t last)
{
	struct prefix prefixes[PREFIX_RANGE_MAX];
	size_t n = prefix_range(first, last, prefixes);

	cr_expect_eq(numbers_in(prefixes, n), (uint64_t)last - first + 1, "%u to %u", first,
	             last);
	cr_expect_eq(holders(prefixes, n, first), 1, "%u to %u", first, last);
	cr_expect_eq(holders(prefixes, n, last), 1, "%u to %u", first, last);
	if (first > 0)
		cr_expect_eq(holders(prefixes, n, first - 1), 0, "%u to %u", first, last);
	if (last < UINT32_MAX)
		cr_expect_eq(holders(prefixes, n, last + 1), 0, "%u to %u", first, last);
}

Test(policy_prefix, covers_every_small_range_exactly)
{
	for (uint32_t first = 0; first < 64; first++) {
		for (uint32_t last = first; last < 64; last++) {
			struct prefix prefixes[PREFIX_RANGE_MAX];
			size_t n = prefix_range(first, last, prefixes);

			for (uint32_t x = 0; x < 64; x++)
				cr_expect_eq(holders(prefixes, n, x), x >= first && x <= last,
				             "%u in %u to %u", x, first, last);
		}
	}
}

Test(policy_prefix, covers_ranges_up_to_the_last_number)
{
	expect_range(0, UINT32_MAX);
	expect_range(1, UINT32_MAX);
	expect_range(0, UINT32_MAX - 1);
	expect_range(1, UINT32_MAX - 1);
	expect_range(UINT32_MAX, UINT32_MAX);
	expect_range(0x7fffffff, 0x80000000);
	expect_range(0x5413, 0x541b);
}

Test(policy_prefix, needs_at_most_as_many_as_there_is_room_for)
{
	struct prefix prefixes[PREFIX_RANGE_MAX];

	/* The worst case: a number of each size on the way up, and again on the way down. */
	cr_expect_eq(prefix_range(1, UINT32_MAX - 1, prefixes), PREFIX_RANGE_MAX);
}

Test(policy_prefix, leaves_out_the_holes_and_nothing_else)
{
	static const uint32_t holes[] = { 0x5412, 0x541C };
	struct prefix prefixes[3 * PREFIX_RANGE_MAX];
	size_t n = prefix_all_but(holes, ARRAY_LEN(holes), prefixes, ARRAY_LEN(prefixes));

	cr_expect_eq(numbers_in(prefixes, n), (UINT64_C(1) << 32) - 2);
	for (uint32_t x = 0; x < 0x20000; x++)
		cr_expect_eq(holders(prefixes, n, x), x != 0x5412 && x != 0x541C, "%#x", x);
	for (unsigned int bit = 17; bit < 32; bit++) {
		cr_expect_eq(holders(prefixes, n, 0x5412 | UINT32_C(1) << bit), 1);
		cr_expect_eq(holders(prefixes, n, 0x541C | UINT32_C(1) << bit), 1);
	}
}

Test(policy_prefix, takes_holes_at_both_ends)
{
	static const uint32_t holes[] = { 0, 1, UINT32_MAX };
	struct prefix prefixes[4 * PREFIX_RANGE_MAX];
	size_t n = prefix_all_but(holes, ARRAY_LEN(holes), prefixes, ARRAY_LEN(prefixes));

	cr_expect_eq(numbers_in(prefixes, n), (UINT64_C(1) << 32) - 3);
	for (size_t i = 0; i < ARRAY_LEN(holes); i++)
		cr_expect_eq(holders(prefixes, n, holes[i]), 0, "%u", holes[i]);
}

Test(policy_prefix, says_so_when_there_is_no_room)
{
	static const uint32_t holes[] = { 0x5412 };
	struct prefix prefixes[4 * PREFIX_RANGE_MAX];
	size_t n = prefix_all_but(holes, 1, prefixes, ARRAY_LEN(prefixes));

	cr_assert_gt(n, 1);
	cr_expect_eq(prefix_all_but(holes, 1, prefixes, n), n);
	cr_expect_eq(prefix_all_but(holes, 1, prefixes, n - 1), 0);
}
