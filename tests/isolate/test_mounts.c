/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * isolate/mounts.c: what is left of who makes the mounts, however that ends. What it mounts
 * is shown by a whole sandbox, in tests/system.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/fdpass.h>
#include <isolate/mounts.h>

#include "rig.h"

TestSuite(mounts, .timeout = 20, .init = rig_need_root);

static struct mounts_place place;
static struct context context;
static struct child_masks masks;
static struct spec_launch launch;
static int talk[2];
static cpu_set_t cpus; /* where we may be */

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

/* The first of a new pid namespace. */
static pid_t child_make(void)
{
	const int ours = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	struct tn_error err = { 0 };
	pid_t pid;

	cr_assert_geq(ours, 0);
	cr_assert_eq(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	cr_assert_eq(mounts_place_make(&place, &err), 0, "%s", err.msg);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, talk), 0);
	cr_assert_eq(unshare(CLONE_NEWPID), 0);
	pid = fork();
	if (pid == 0)
		child_serve();
	cr_assert_gt(pid, 0);
	cr_assert_eq(setns(ours, CLONE_NEWPID), 0);
	(void)close(ours);
	return pid;
}

static int32_t pid_of(void *pid)
{
	return *(const pid_t *)pid;
}

/* A copy of our mount namespace in which nothing that is mounted comes back to us. */
static int template_make(void)
{
	char path[48];
	int ready[2], fd;
	char byte;
	pid_t pid;

	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	(void)close(ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return fd;
}

/* What the child would be sent comes at the other end. */
static int peers[2];

static struct mounts make_from(int template_fd, pid_t pid)
{
	const struct child_request request = { .context = &context,
		                               .masks = &masks,
		                               .launch = &launch,
		                               .leaf_fd = FD_NONE,
		                               .host_mnt_fd = FD_NONE,
		                               .memory_max_bytes = 1 << 20,
		                               .mounts_peer_fd = peers[0] };
	struct mounts mounts = {
		.request = &request, .child_pid = pid_of, .context = &pid, .keeper_fd = FD_NONE
	};

	context_init(&context);
	context.fds[CONTEXT_MNT] = template_fd;
	mounts_make(&place, &mounts);
	return mounts;
}

static struct mounts make(pid_t pid)
{
	const int template_fd = template_make();
	struct mounts mounts;

	cr_assert_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, peers),
		0);
	mounts = make_from(template_fd, pid);
	(void)close(template_fd);
	return mounts;
}

static void expect_to_be_where_we_were(const sigset_t *before)
{
	sigset_t now;
	cpu_set_t cpus_now;
	int status = 0;
	pid_t pid = fork();

	/* In another pid namespace than ours its parent would be 0. */
	if (pid == 0)
		_exit(getppid() == 0);
	cr_assert_gt(pid, 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0, "children of ours are in the sandbox");
	cr_assert_eq(sched_getaffinity(0, sizeof(cpus_now), &cpus_now), 0);
	cr_expect(CPU_EQUAL(&cpus, &cpus_now));
	cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &now), 0);
	for (int signal = 1; signal < SIGRTMAX; signal++)
		cr_expect_eq(sigismember(&now, signal), sigismember(before, signal));
}

Test(mounts, tell_which_step_failed_and_leave_us_where_we_were)
{
	const pid_t pid = child_make();
	struct mounts mounts;
	sigset_t before;

	cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &before), 0);
	mounts = make_from(FD_NONE, pid);
	cr_expect_eq(mounts.failed_stage, CHILD_TEMPLATE);
	cr_expect_eq(mounts.error, EBADF);
	cr_expect_not(mounts.kept);
	cr_expect_not(mounts.made);
	expect_to_be_where_we_were(&before);
	/* No process of it is left, and the child is still there. */
	cr_expect_eq(waitpid(-1, NULL, WNOHANG), 0);
	(void)kill(pid, SIGKILL);
}

Test(mounts, send_their_namespace_and_then_three_bytes_and_leave_nothing_else)
{
	const pid_t pid = child_make();
	struct mounts mounts;
	struct stat theirs, ours;
	sigset_t before;
	int fd = FD_NONE;
	size_t fds_n = 0;
	struct tn_error err = { 0 };
	char byte;

	cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &before), 0);
	mounts = make(pid);
	cr_expect_eq(mounts.error, 0, "stage %d: %s", mounts.failed_stage,
	             strerror(mounts.error));
	cr_expect(mounts.made);
	cr_expect_eq(fdpass_recv(peers[1], &byte, 1, &fd, 1, &fds_n, &err), 1, "%s", err.msg);
	cr_assert_eq(fds_n, 1);
	cr_assert_eq(fstat(fd, &theirs), 0);
	cr_assert_eq(stat("/proc/self/ns/mnt", &ours), 0);
	cr_expect_neq(theirs.st_ino, ours.st_ino);
	for (int bytes = 0; bytes < 3; bytes++) {
		cr_expect_eq(fdpass_recv(peers[1], &byte, 1, &fd, 1, &fds_n, &err), 1, "%s",
		             err.msg);
		cr_expect_eq(fds_n, 0);
	}
	cr_expect_eq(recv(peers[1], &byte, 1, 0), -1);
	expect_to_be_where_we_were(&before);
	cr_expect_eq(waitpid(-1, NULL, WNOHANG), 0);
	(void)kill(pid, SIGKILL);
}

/* The namespace and the first byte can come, but not that by which a child goes on. */
static void expect_no_last_word(void)
{
	int words = 0;
	char byte;

	while (recv(peers[1], &byte, 1, 0) == 1)
		words++;
	cr_expect_lt(words, 4);
}

Test(mounts, take_the_end_of_the_child_for_no_failure_of_theirs)
{
	const pid_t pid = child_make();
	struct mounts mounts;
	sigset_t before;
	siginfo_t info;

	cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &before), 0);
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	/* First as a zombie, then reaped; at last there was none. */
	for (int round = 0; round < 3; round++) {
		mounts = make(round < 2 ? pid : -EAGAIN);
		cr_expect_eq(mounts.error, 0);
		cr_expect_not(mounts.made);
		expect_no_last_word();
		expect_to_be_where_we_were(&before);
		(void)waitpid(pid, NULL, 0);
	}
}

Test(mounts, leave_the_sandboxs_second_pid_to_the_workload)
{
	const pid_t pid = child_make();
	pid_t second = 0;

	rig_need(access("/proc/sys/kernel/ns_last_pid", W_OK) == 0,
	         "this kernel cannot set the next pid");
	cr_expect(make(pid).made);
	cr_assert_eq(write(talk[0], "", 1), 1);
	cr_assert_eq(read(talk[0], &second, sizeof(second)), (ssize_t)sizeof(second));
	cr_expect_eq(second, 2);
	(void)kill(pid, SIGKILL);
}
