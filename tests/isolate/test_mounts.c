/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * isolate/mounts.c: what is left of who makes the mounts, however that ends. What it mounts
 * is shown by a whole sandbox, in tests/system.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fd.h>
#include <isolate/mounts.h>

#include "rig.h"

TestSuite(mounts, .timeout = 20, .init = rig_need_root);

static struct mounts_place place;
static struct context context;
static struct child_masks masks;
static struct spec_launch launch;
static int talk[2];

/* Forks whenever it is sent a byte, and answers with the number its child had. */
static void child_serve(void) __attribute__((noreturn));
static void child_serve(void)
{
	char byte;

	while (read(talk[1], &byte, 1) == 1) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		(void)waitpid(pid, NULL, 0);
		(void)!write(talk[1], &pid, sizeof(pid));
	}
	_exit(0);
}

/* The first of a new pid namespace; returns its pidfd. */
static int child_make(pid_t *ret_pid)
{
	struct tn_error err = { 0 };

	cr_assert_eq(mounts_place_make(&place, &err), 0, "%s", err.msg);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, talk), 0);
	cr_assert_eq(unshare(CLONE_NEWPID), 0);
	*ret_pid = fork();
	if (*ret_pid == 0)
		child_serve();
	cr_assert_gt(*ret_pid, 0);
	cr_assert_eq(setns(place.pid_ns_fd, CLONE_NEWPID), 0);
	return (int)syscall(SYS_pidfd_open, *ret_pid, 0);
}

static struct mounts make(int pid_fd)
{
	static int peer[2];
	const struct child_request request = { .context = &context,
		                               .masks = &masks,
		                               .launch = &launch,
		                               .leaf_fd = FD_NONE,
		                               .host_mnt_fd = FD_NONE };
	struct mounts mounts = { .request = &request,
		                 .child_pid_fd = pid_fd,
		                 .keeper_fd = FD_NONE };

	context_init(&context);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, peer), 0);
	mounts_make(&place, &mounts);
	return mounts;
}

static void expect_to_be_where_we_were(const sigset_t *before)
{
	sigset_t now;
	int status = 0;
	pid_t pid = fork();

	/* In another pid namespace than ours its parent would be 0. */
	if (pid == 0)
		_exit(getppid() == 0);
	cr_assert_gt(pid, 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0, "children of ours are in the sandbox");
	cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &now), 0);
	for (int signal = 1; signal < SIGRTMAX; signal++)
		cr_expect_eq(sigismember(&now, signal), sigismember(before, signal));
}

Test(mounts, tell_which_step_failed_and_leave_us_where_we_were)
{
	struct mounts mounts;
	sigset_t before;
	pid_t pid;
	int pid_fd = child_make(&pid);

	cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &before), 0);
	mounts = make(pid_fd);
	/* There is no template to enter. */
	cr_expect_eq(mounts.failed_stage, CHILD_TEMPLATE);
	cr_expect_eq(mounts.error, EBADF);
	cr_expect_not(mounts.kept);
	expect_to_be_where_we_were(&before);
	/* No process of it is left, and the child is still there. */
	cr_expect_eq(waitpid(-1, NULL, WNOHANG), 0);
	(void)kill(pid, SIGKILL);
}

Test(mounts, take_the_end_of_the_child_for_no_failure_of_theirs)
{
	struct mounts mounts;
	sigset_t before;
	siginfo_t info;
	pid_t pid;
	int pid_fd = child_make(&pid);

	cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &before), 0);
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	/* First as a zombie, then reaped. */
	for (int round = 0; round < 2; round++) {
		mounts = make(pid_fd);
		cr_expect_eq(mounts.error, 0);
		cr_expect_not(mounts.kept);
		expect_to_be_where_we_were(&before);
		(void)waitpid(pid, NULL, 0);
	}
}

Test(mounts, leave_the_sandboxs_second_pid_to_the_workload)
{
	pid_t pid, second = 0;
	int pid_fd = child_make(&pid);

	rig_need(access("/proc/sys/kernel/ns_last_pid", W_OK) == 0,
	         "this kernel cannot set the next pid");
	(void)make(pid_fd);
	cr_assert_eq(write(talk[0], "", 1), 1);
	cr_assert_eq(read(talk[0], &second, sizeof(second)), (ssize_t)sizeof(second));
	cr_expect_eq(second, 2);
	(void)kill(pid, SIGKILL);
}
