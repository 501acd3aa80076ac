/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * isolate/keeper.c: what is kept, for how long, and what is told of it. It keeps any
 * descriptor; a pipe shows by its end when the last copy of the other one is closed.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <base/fd.h>
#include <isolate/keeper.h>

#include "rig.h"

TestSuite(keeper, .timeout = 20);

#define MANY     3000
#define REPEATED 20

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
static int hold_with(int n, struct keeper_mounts mounts)
{
	const struct id id = id_of(n);
	struct tn_error err = { 0 };
	int ends[2];

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	mounts.ns_fd = ends[1];
	cr_assert_eq(keeper_hold(keeper.source.fd, &id, &mounts, &err), 0, "%s", err.msg);
	(void)close(ends[1]);
	return ends[0];
}

static int hold(int n)
{
	return hold_with(n, (struct keeper_mounts){ .memory_n = 0 });
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

/* A file system in memory, attached nowhere. */
static int memory_make(void)
{
	int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	int fd;

	cr_assert_geq(context, 0);
	cr_assert_eq(syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0), 0);
	fd = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
	cr_assert_geq(fd, 0);
	(void)close(context);
	return fd;
}

/* What is in them counts to the tenant until it is gone, a file without a byte too. */
Test(keeper, tells_only_what_is_so_where_something_is_stored)
{
	static const char *const names[] = { "file", "directory" };

	rig_need_root();
	start();
	for (int n = 0; n < 2 * REPEATED; n++) {
		const struct keeper_mounts mounts = {
			.memory_fds = { memory_make(), memory_make() }, .memory_n = 2
		};
		const int at = mounts.memory_fds[n % 2];
		int end;

		if (n < REPEATED)
			cr_assert_eq(mknodat(at, names[0], S_IFREG | 0600, 0), 0);
		else
			cr_assert_eq(mkdirat(at, names[1], 0700), 0);
		end = hold_with(n, mounts);
		(void)close(mounts.memory_fds[0]);
		(void)close(mounts.memory_fds[1]);
		drop(n);
		wait_for_drops((size_t)n + 1);
		cr_assert(is_gone(end, 0), "it was told before it was so");
		(void)close(end);
	}
	keeper_stop(&keeper);
}

Test(keeper, lets_go_also_where_nothing_was_stored)
{
	struct keeper_mounts mounts = { .memory_n = 1 };
	int end;

	rig_need_root();
	mounts.memory_fds[0] = memory_make();
	start();
	end = hold_with(1, mounts);
	drop(1);
	wait_for_drops(1);
	cr_expect(is_gone(end, 5000));
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
	const struct keeper_mounts mounts = { .ns_fd = STDIN_FILENO };
	struct tn_error err = { 0 };

	cr_expect_eq(keeper_hold(FD_NONE, &id, &mounts, &err), -ENOTCONN);
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
