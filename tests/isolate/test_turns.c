/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* isolate/turns.c: who comes after whom. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include <base/fd.h>
#include <isolate/turns.h>

#include "rig.h"

TestSuite(turns, .timeout = 20);

static struct turns turns;

static struct id id_of(int n)
{
	return (struct id){ .bytes = { (uint8_t)n, 3 } };
}

/* What has been run, or dropped (negative), in order. */
static int done[TURNS_LAUNCHES_MAX * 2];
static size_t done_n;

struct numbered {
	struct turns_job job;
	int n;
};

static void run(void *context)
{
	done[done_n++] = ((const struct numbered *)context)->n;
}

static void drop(void *context)
{
	done[done_n++] = -((const struct numbered *)context)->n;
}

static void add_of_kind(int tenant, int n, void (*dropped)(void *context))
{
	const struct id id = id_of(tenant);
	struct numbered *numbered = calloc(1, sizeof(*numbered));

	cr_assert_not_null(numbered);
	numbered->n = n;
	numbered->job = (struct turns_job){
		.execution = id_of(n), .run = run, .drop = dropped, .context = numbered
	};
	cr_assert(turns_add(&turns, &id, &numbered->job));
}

static void add(int tenant, int n)
{
	add_of_kind(tenant, n, drop);
}

/* Number of what is run next, 0 if there is nothing. */
static int next(void)
{
	const size_t before = done_n;

	if (!turns_run(&turns))
		return 0;
	cr_assert_eq(done_n, before + 1);
	return done[before];
}

static void expect_order(const int *order, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cr_expect_eq(next(), order[i], "at %zu", i);
	cr_expect_eq(next(), 0);
	cr_expect_eq(turns.launches_n, 0);
}

static void expect_all_of(int tenant, const int *order, size_t n)
{
	const struct id id = id_of(tenant);
	const size_t before = done_n;

	turns_run_all_of(&turns, &id);
	cr_assert_eq(done_n, before + n);
	if (n > 0)
		cr_expect_arr_eq(done + before, order, n * sizeof(*order));
}

Test(turns, give_each_tenant_one_after_the_other)
{
	static const int order[] = { 11, 21, 31, 12, 32, 13, 14 };

	for (int i = 1; i <= 4; i++)
		add(1, 10 + i);
	add(2, 21);
	add(3, 31);
	add(3, 32);
	cr_expect_eq(turns.launches_n, 7);
	expect_order(order, ARRAY_LEN(order));
}

/* Also one that has just had its turn, and one that comes while others wait. */
Test(turns, hold_up_who_comes_last_by_one_launch_of_each_other)
{
	static const int rest[] = { 12, 22, 13 };

	for (int i = 1; i <= 3; i++)
		add(1, 10 + i);
	cr_expect_eq(next(), 11);
	add(2, 21);
	cr_expect_eq(next(), 12);
	cr_expect_eq(next(), 21);
	add(2, 22);
	add(1, 12);
	cr_expect_eq(next(), 13);
	cr_expect_eq(next(), 22);
	cr_expect_eq(next(), 12);
	for (int i = 2; i <= 3; i++)
		add(1, 10 + i);
	add(2, 22);
	expect_order(rest, ARRAY_LEN(rest));
}

Test(turns, run_all_of_one_tenant_in_order_and_leave_the_others)
{
	static const int of_second[] = { 21, 22 }, rest[] = { 11, 31, 12 };

	add(1, 11);
	add(1, 12);
	add(2, 21);
	add(3, 31);
	add(2, 22);
	expect_all_of(2, of_second, ARRAY_LEN(of_second));
	expect_all_of(2, NULL, 0);
	expect_all_of(9, NULL, 0);
	expect_order(rest, ARRAY_LEN(rest));
}

/* Also the last of the list goes, and what is added then comes behind what is left. */
Test(turns, stay_whole_whichever_tenant_leaves)
{
	for (int leaves = 1; leaves <= 3; leaves++) {
		const int its = 10 * leaves;

		for (int tenant = 1; tenant <= 3; tenant++)
			add(tenant, 10 * tenant);
		expect_all_of(leaves, &its, 1);
		add(4, 40);
		for (int tenant = 1; tenant <= 4; tenant++)
			if (tenant != leaves)
				cr_expect_eq(next(), 10 * tenant, "%d left", leaves);
		cr_expect_eq(next(), 0);
	}
}

static bool is_of(int n, int tenant)
{
	const struct id execution = id_of(n), wanted = id_of(tenant);
	struct id found;

	return turns_tenant_of(&turns, &execution, &found) && id_equal(&found, &wanted);
}

Test(turns, know_whose_an_execution_is_for_as_long_as_it_waits)
{
	const struct id other = id_of(99);
	struct id found;

	add(1, 11);
	add(2, 21);
	add(2, 22);
	cr_expect(is_of(22, 2));
	cr_expect(is_of(11, 1));
	cr_expect_not(turns_tenant_of(&turns, &other, &found));
	cr_expect_eq(next(), 11);
	cr_expect_not(is_of(11, 1));
	cr_expect_eq(next(), 21);
	cr_expect(is_of(22, 2));
}

/* A controller that has ended takes its launches with it, but no end. */
Test(turns, drop_what_can_be_dropped_and_keep_the_rest_in_order)
{
	static const int dropped[] = { -12, -21, -33 }, rest[] = { 11, 31, 13, 32 };

	add_of_kind(1, 11, NULL);
	add(1, 12);
	add_of_kind(1, 13, NULL);
	add(2, 21);
	add_of_kind(3, 31, NULL);
	add_of_kind(3, 32, NULL);
	add(3, 33);
	cr_expect_eq(turns.launches_n, 3);
	turns_drop(&turns);
	cr_assert_eq(done_n, ARRAY_LEN(dropped));
	cr_expect_arr_eq(done, dropped, sizeof(dropped));
	cr_expect_eq(turns.launches_n, 0);
	expect_order(rest, ARRAY_LEN(rest));
	turns_drop(&turns);
	cr_expect_null(turns.first);
}

/* What a job adds to its own tenant is not run before the others have had theirs. */
static void run_and_add(void *context)
{
	run(context);
	add(1, 12);
}

Test(turns, let_a_job_add_another)
{
	static const int rest[] = { 21, 12 };
	struct numbered again = { .n = 11 };
	const struct id id = id_of(1);

	again.job = (struct turns_job){ .run = run_and_add, .context = &again };
	cr_assert(turns_add(&turns, &id, &again.job));
	add(2, 21);
	cr_expect_eq(next(), 11);
	expect_order(rest, ARRAY_LEN(rest));
}

static bool is_full(const void *context)
{
	return ((const struct numbered *)context)->n % 2 == 1;
}

/* An odd number, held until it is even. */
static struct numbered *add_held(int tenant, int n)
{
	const struct id id = id_of(tenant);
	struct numbered *numbered = calloc(1, sizeof(*numbered));

	cr_assert_not_null(numbered);
	numbered->n = n;
	numbered->job = (struct turns_job){ .execution = id_of(n),
		                            .run = run,
		                            .drop = drop,
		                            .is_held = is_full,
		                            .context = numbered };
	cr_assert(turns_add(&turns, &id, &numbered->job));
	return numbered;
}

Test(turns, pass_over_what_is_held_until_it_is_not)
{
	struct numbered *first = add_held(1, 11);

	(void)add_held(1, 12);

	(void)add_held(2, 21);
	add(3, 31);
	/* An end, say: it is not held up by launches of the same tenant. */
	add(1, 16);
	cr_expect_eq(next(), 16);
	cr_expect_eq(next(), 31);
	/* Those of a tenant stay in order: the second waits for the first. */
	cr_expect_eq(next(), 0);
	first->n = 10;
	cr_expect_eq(next(), 10);
	cr_expect_eq(next(), 12);
	cr_expect_eq(next(), 0);
	cr_expect_eq(turns.launches_n, 1);
	turns_run_held(&turns);
	cr_expect_eq(done[done_n - 1], 21);
	cr_expect_eq(turns.launches_n, 0);
}

Test(turns, run_what_is_held_only_if_nothing_else_is_there)
{
	(void)add_held(1, 11);
	add(2, 22);
	turns_run_held(&turns);
	cr_expect_eq(done[done_n - 1], 22);
	turns_run_held(&turns);
	cr_expect_eq(done[done_n - 1], 11);
	cr_expect_null(turns.first);
}

Test(turns, give_back_a_launch_that_nobody_waits_for_and_leave_its_place)
{
	static const int rest[] = { 11, 21, 13, 22 };
	const struct id wanted = id_of(12), last = id_of(23), end = id_of(22), none = id_of(99);
	struct turns_job *job;

	for (int n = 11; n <= 13; n++)
		add(1, n);
	add(2, 21);
	add_of_kind(2, 22, NULL);
	add(2, 23);
	job = turns_take(&turns, &wanted);
	cr_assert_not_null(job);
	cr_expect_eq(((const struct numbered *)job->context)->n, 12);
	cr_assert_not_null(turns_take(&turns, &last));
	cr_expect_null(turns_take(&turns, &end));
	cr_expect_null(turns_take(&turns, &none));
	cr_expect_eq(turns.launches_n, 3);
	cr_expect_eq(done_n, 0);
	expect_order(rest, ARRAY_LEN(rest));
}
