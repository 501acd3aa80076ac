/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* isolate/cpu_time.c: looked at in time, and not more often than it takes. */
#include <criterion/criterion.h>
#include <stdint.h>

#include <isolate/cpu_time.h>
#include <isolate/spec.h>

TestSuite(cpu_time, .timeout = 20);

#define MSEC INT64_C(1000)
#define SEC  INT64_C(1000000)

static struct cpu_time limit_of(int64_t usec_max, int64_t cpus)
{
	struct cpu_time time;

	cpu_time_init(&time, usec_max, cpus);
	return time;
}

Test(cpu_time, is_reached_at_the_limit_and_beyond)
{
	struct cpu_time time = limit_of(2 * SEC, 4);

	cr_expect_gt(cpu_time_next(&time, 2 * SEC - 1), 0);
	cr_expect_eq(cpu_time_next(&time, 2 * SEC), 0);
	cr_expect_eq(cpu_time_next(&time, 9 * SEC), 0);
}

Test(cpu_time, is_looked_at_when_all_cpus_together_could_have_reached_it)
{
	struct cpu_time time = limit_of(2 * SEC, 4);

	cr_expect_eq(cpu_time_next(&time, 400 * MSEC), 400 * MSEC);
	cr_expect_eq(cpu_time_next(&time, 1600 * MSEC), 100 * MSEC);
	cr_expect_eq(cpu_time_next(&time, 2 * SEC - 1), CPU_TIME_WAIT_USEC_MIN);
}

Test(cpu_time, is_looked_at_once_a_second_at_least)
{
	struct cpu_time time = limit_of(SPEC_UNLIMITED - 1, 1);

	cr_expect_eq(cpu_time_next(&time, 0), CPU_TIME_WAIT_USEC_MAX);
	time = limit_of(3600 * SEC, 2);
	cr_expect_eq(cpu_time_next(&time, 3590 * SEC), CPU_TIME_WAIT_USEC_MAX);
}

Test(cpu_time, is_looked_at_more_rarely_while_nothing_is_used)
{
	struct cpu_time time = limit_of(SEC, 2);
	int64_t wait = 0, before;

	cr_expect_eq(cpu_time_next(&time, SEC - 1), CPU_TIME_WAIT_USEC_MIN);
	for (int i = 0; i < 20; i++) {
		before = wait;
		wait = cpu_time_next(&time, SEC - 1);
		cr_expect_geq(wait, before);
		cr_expect_leq(wait, CPU_TIME_WAIT_IDLE_USEC_MAX);
	}
	cr_expect_eq(wait, CPU_TIME_WAIT_IDLE_USEC_MAX);
}

Test(cpu_time, is_watched_closely_again_as_soon_as_some_is_used)
{
	struct cpu_time time = limit_of(SEC, 2);

	for (int i = 0; i < 5; i++)
		(void)cpu_time_next(&time, SEC - 9);
	cr_expect_eq(cpu_time_next(&time, SEC - 8), CPU_TIME_WAIT_USEC_MIN);
}

/* Whatever it does, it is caught less than one distance after its limit, on every CPU. */
Test(cpu_time, lets_nobody_far_beyond_the_limit)
{
	for (int64_t cpus = 1; cpus <= 64; cpus *= 2) {
		struct cpu_time time = limit_of(2 * SEC, cpus);
		int64_t used = 0, wait;
		int looks = 0;

		while ((wait = cpu_time_next(&time, used)) > 0 && ++looks < 10000)
			used += wait * cpus;
		cr_expect_leq(used, 2 * SEC + cpus * CPU_TIME_WAIT_USEC_MIN);
		/* One thread alone takes longest to get there. */
		time = limit_of(2 * SEC, cpus);
		used = looks = 0;
		while ((wait = cpu_time_next(&time, used)) > 0 && ++looks < 10000)
			used += wait;
		cr_expect_leq(used, 2 * SEC + CPU_TIME_WAIT_USEC_MIN);
		cr_expect_lt(looks, 401, "%d looks on %lld CPUs", looks, (long long)cpus);
	}
}

Test(cpu_time, takes_a_number_of_cpus_that_is_not_known_for_one)
{
	struct cpu_time time = limit_of(SEC, -1);

	cr_expect_eq(cpu_time_next(&time, 500 * MSEC), 500 * MSEC);
}
