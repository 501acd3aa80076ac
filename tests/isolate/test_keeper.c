/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * isolate/keeper.c: what is kept, for how long, and what is told of it. It keeps any
 * descriptor; a pipe shows by its end when the last copy of the other one is closed.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/fd.h>
#include <isolate/keeper.h>

#include "rig.h"

TestSuite(keeper, .timeout = 20);

#define MANY 3000

static struct loop loop;
static struct keeper keeper;
static size_t dropped_n, lost_n;
static struct id dropped_last;
static size_t dropped_wanted;

static struct id id_of(int n)
{
	return (struct id){ .bytes = { (uint8_t)n, (uint8_t)(n >> 8), 7 } };
}

static void dropped(void *context, const struct id *execution)
{
	cr_expect_eq(context, &keeper);
	dropped_last = *execution;
	loop.done = ++dropped_n == dropped_wanted;
}

static void lost(void *context)
{
	cr_expect_eq(context, &keeper);
	lost_n++;
	loop.done = true;
}

static void start(void)
{
	struct tn_error err = { 0 };

	cr_assert_eq(loop_init(&loop, &err), 0);
	keeper = (struct keeper){
		.loop = &loop, .dropped = dropped, .lost = lost, .context = &keeper
	};
	cr_assert_eq(keeper_start(&keeper, &err), 0, "%s", err.msg);
}

static void wait_for_drops(size_t n)
{
	struct tn_error err = { 0 };

	dropped_wanted = n;
	loop.done = false;
	cr_assert_eq(loop_run(&loop, &err), 0, "%s", err.msg);
}

/* Returns the end that shows whether the other, which the keeper now has alone, is there. */
static int hold(int n)
{
	const struct id id = id_of(n);
	struct tn_error err = { 0 };
	int ends[2];

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	cr_assert_eq(keeper_hold(keeper.source.fd, &id, ends[1], &err), 0, "%s", err.msg);
	(void)close(ends[1]);
	return ends[0];
}

static void drop(int n)
{
	const struct id id = id_of(n);
	struct tn_error err = { 0 };

	cr_assert_eq(keeper_drop(&keeper, &id, &err), 0, "%s", err.msg);
}

static bool is_gone(int end, int wait_msec)
{
	struct pollfd one = { .fd = end };

	return poll(&one, 1, wait_msec) == 1 && (one.revents & POLLHUP) != 0;
}

Test(keeper, keeps_each_until_it_is_to_drop_it_and_tells_when_it_has)
{
	struct id second = id_of(2);
	int ends[2];

	start();
	ends[0] = hold(1);
	ends[1] = hold(2);
	drop(2);
	wait_for_drops(1);
	cr_expect(id_equal(&dropped_last, &second));
	cr_expect(is_gone(ends[1], 0), "it was told before it was so");
	cr_expect_not(is_gone(ends[0], 50));
	drop(1);
	wait_for_drops(2);
	cr_expect(is_gone(ends[0], 0));
	cr_expect_eq(lost_n, 0);
	keeper_stop(&keeper);
}

Test(keeper, answers_for_what_it_does_not_have)
{
	struct id id = id_of(9);

	start();
	drop(9);
	wait_for_drops(1);
	cr_expect(id_equal(&dropped_last, &id));
	keeper_stop(&keeper);
}

/* As many as can be asked for before an answer is taken: neither waits for the other. */
Test(keeper, never_waits_for_its_answers_to_be_taken)
{
	rig_need_root();
	start();
	for (int i = 0; i < MANY; i++)
		drop(i);
	wait_for_drops(MANY);
	cr_expect_eq(dropped_n, MANY);
	keeper_stop(&keeper);
}

Test(keeper, begins_anew_when_it_has_died)
{
	struct tn_error err = { 0 };
	int before, after;

	start();
	before = hold(1);
	cr_assert_eq(kill(keeper.pid, SIGKILL), 0);
	cr_assert_eq(loop_run(&loop, &err), 0);
	cr_expect_eq(lost_n, 1);
	cr_expect_eq(dropped_n, 0);
	cr_expect(is_gone(before, 5000));

	after = hold(1);
	cr_expect_not(is_gone(after, 50));
	drop(1);
	wait_for_drops(1);
	cr_expect(is_gone(after, 0));
	keeper_stop(&keeper);
}

Test(keeper, lets_go_of_all_when_it_is_stopped)
{
	int end;

	start();
	end = hold(1);
	keeper_stop(&keeper);
	cr_expect(is_gone(end, 5000));
	cr_expect_lt(keeper.source.fd, 0);
	keeper_stop(&keeper);
}

Test(keeper, refuses_when_there_is_none)
{
	struct keeper none = { .source.fd = FD_NONE };
	const struct id id = id_of(1);
	struct tn_error err = { 0 };

	cr_expect_eq(keeper_hold(FD_NONE, &id, 0, &err), -ENOTCONN);
	cr_expect_eq(keeper_drop(&none, &id, &err), -ENOTCONN);
	keeper_stop(&none);
}

/* What it had of tenantd's would stay open in it, a client's end of a pipe for example. */
Test(keeper, has_no_other_descriptor_of_the_one_that_starts_it)
{
	int ends[2];

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	start();
	(void)close(ends[1]);
	cr_expect(is_gone(ends[0], 5000));
	keeper_stop(&keeper);
}
