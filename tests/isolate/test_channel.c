/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The controller's process: what is done when it ends. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <base/fd.h>
#include <isolate/channel.h>

#include "rig.h"

#define OF_NOBODY 65534

static struct loop loop;
static struct channel channel;
static struct loop_source stop;
static int started_n;

static void on_connected(void *context)
{
	(void)context;
	started_n++;
}

static void on_stop(void *context, uint32_t events)
{
	(void)context;
	(void)events;
	loop.done = true;
}

static void set_up(void)
{
	static const char *const argv[] = { "/bin/false", NULL };
	struct tn_error err = { 0 };

	rig_need_root();
	cr_assert_eq(loop_init(&loop, &err), 0, "%s", err.msg);
	/* Not as a literal: it is too large for a stack. */
	memset(&channel, 0, sizeof(channel));
	channel.loop = &loop;
	channel.uid = OF_NOBODY;
	channel.gid = OF_NOBODY;
	channel.listen_fd = STDERR_FILENO;
	channel.path = argv[0];
	channel.argv = argv;
	channel.connected = on_connected;
	stop = (struct loop_source){ timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), on_stop,
		                     NULL };
	cr_assert_eq(loop_add(&loop, &stop, EPOLLIN, &err), 0, "%s", err.msg);
}

static void tear_down(void)
{
	channel_stop(&channel);
	loop_remove(&loop, &stop);
	fd_closep(&stop.fd);
	loop_done(&loop);
}

TestSuite(channel, .timeout = 30, .init = set_up, .fini = tear_down);

static void run(long msec)
{
	const struct itimerspec when = { .it_value = { msec / 1000, msec % 1000 * 1000000 } };
	struct tn_error err = { 0 };

	cr_assert_eq(timerfd_settime(stop.fd, 0, &when, NULL), 0);
	loop.done = false;
	cr_assert_eq(loop_run(&loop, &err), 0, "%s", err.msg);
}

Test(channel, gives_up_on_a_controller_that_never_came_up)
{
	struct tn_error err = { 0 };

	cr_assert_eq(channel_start(&channel, &err), 0, "%s", err.msg);
	cr_assert_eq(loop_run(&loop, &err), 0, "%s", err.msg);
	cr_expect_eq(started_n, 1);
}

Test(channel, starts_one_that_does_not_come_up_again_ever_more_seldom)
{
	struct tn_error err = { 0 };

	channel.was_ready = true;
	cr_assert_eq(channel_start(&channel, &err), 0, "%s", err.msg);
	/* After 100, 300, 700 and 1500 ms; without the pauses' growth it were 15 by then. */
	run(16L * CHANNEL_RESTART_MSEC);
	cr_expect_geq(started_n, 2);
	cr_expect_leq(started_n, 5);
	cr_expect_gt(channel.pause_msec, CHANNEL_RESTART_MSEC);
	cr_expect_leq(channel.pause_msec, CHANNEL_RESTART_MSEC_MAX);
}
