/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of a process that the loop could not be made to tell. epoll_ctl(2) is the test's. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fd.h>
#include <isolate/execution_state.h>
#include <isolate/unwatched.h>

int __real_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event);

static struct loop loop;
static struct executions all;
static struct execution *e;
static int failing_fd = FD_NONE, told_n;
static pid_t child;

int __wrap_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event)
{
	if (op == EPOLL_CTL_ADD && fd == failing_fd) {
		errno = ENOSPC;
		return -1;
	}
	return __real_epoll_ctl(epoll_fd, op, fd, event);
}

static void on_end(void *context, uint32_t events)
{
	(void)events;
	cr_expect_eq(context, &all);
	cr_expect_eq(waitpid(child, NULL, WNOHANG), child, "it has ended");
	told_n++;
	loop.done = true;
}

static void set_up(void)
{
	static const struct id id = { { 1 } };
	struct tn_error err = { 0 };

	cr_assert_eq(loop_init(&loop, &err), 0, "%s", err.msg);
	all.loop = &loop;
	cr_assert_eq(unwatched_start(&all, &err), 0, "%s", err.msg);
	e = execution_new(&all, &id);
	cr_assert_not_null(e);
	id_table_add(&all.table, &e->node);
	child = fork();
	cr_assert_geq(child, 0);
	while (child == 0)
		(void)pause();
	e->pid = (struct loop_source){ (int)syscall(SYS_pidfd_open, child, 0), on_end, &all };
	cr_assert_geq(e->pid.fd, 0);
}

static void tear_down(void)
{
	(void)kill(child, SIGKILL);
	execution_free(e);
	unwatched_stop(&all);
	loop_done(&loop);
}

TestSuite(unwatched, .timeout = 20, .init = set_up, .fini = tear_down);

static void run(void)
{
	struct tn_error err = { 0 };

	loop.done = false;
	cr_assert_eq(loop_run(&loop, &err), 0, "%s", err.msg);
}

Test(unwatched, end_is_found_all_the_same)
{
	failing_fd = e->pid.fd;
	unwatched_watch(&all, &e->pid, &e->unwatched);
	cr_expect(e->unwatched);
	unwatched_look(&all, &e->pid, &e->unwatched);
	cr_expect(e->unwatched, "it runs");
	cr_expect_eq(told_n, 0);
	cr_assert_eq(kill(child, SIGKILL), 0);
	run();
	cr_expect_eq(told_n, 1);
	cr_expect_not(e->unwatched);
}

Test(unwatched, end_is_told_by_the_loop_as_soon_as_that_can)
{
	failing_fd = e->pid.fd;
	unwatched_watch(&all, &e->pid, &e->unwatched);
	failing_fd = FD_NONE;
	unwatched_look(&all, &e->pid, &e->unwatched);
	cr_expect_not(e->unwatched);
	cr_assert_eq(kill(child, SIGKILL), 0);
	run();
	cr_expect_eq(told_n, 1);
}

Test(unwatched, end_of_what_is_watched_is_nothing_to_look_for)
{
	unwatched_watch(&all, &e->pid, &e->unwatched);
	cr_expect_not(e->unwatched);
	cr_assert_eq(kill(child, SIGKILL), 0);
	cr_assert_eq(waitid(P_PID, (id_t)child, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	unwatched_look(&all, &e->pid, &e->unwatched);
	cr_expect_eq(told_n, 0);
	run();
	cr_expect_eq(told_n, 1);
}
