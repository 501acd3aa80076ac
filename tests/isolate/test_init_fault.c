/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenant-init while its calls fail, each in its turn: it ends when its workload does, and has
 * written how that ended, or nothing, which tenantd calls unknown. It never writes what is not
 * so, and it never stays.
 */
#include "init_fault.h"

#include <asm/unistd.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/io.h>
#include <base/num.h>
#include <isolate/init.h>
#include <isolate/record.h>

#include "rig.h"

TestSuite(init_fault, .timeout = 120);

#define PROGRAM_BYTES_MAX 65536
#define ALWAYS            INT64_MAX
#define END_MSEC          20000
#define STATUS            7

/* @statuses: whether the status is known all the same. */
struct row {
	const char *name;
	int64_t call, first, last, error;
	bool status;
};

static const struct row rows[] = {
	/* clang-format off */
	{ "none",                        -1,                   0, 0,      0,      true },
	{ "not to be dumpable",          __NR_prctl,           1, 1,      EINVAL, true },
	{ "to block signals",            __NR_rt_sigprocmask,  1, 1,      EINVAL, true },
	{ "to wait for a signal",        __NR_rt_sigtimedwait, 1, 1,      EINTR,  true },
	{ "the same, otherwise",         __NR_rt_sigtimedwait, 1, 1,      EPERM,  true },
	{ "the second time",             __NR_rt_sigtimedwait, 2, 2,      EPERM,  true },
	{ "always",                      __NR_rt_sigtimedwait, 1, ALWAYS, ENOSYS, true },
	{ "to reap",                     __NR_wait4,           1, 1,      EINTR,  true },
	{ "the same, otherwise",         __NR_wait4,           1, 1,      EPERM,  true },
	{ "the second time",             __NR_wait4,           2, 2,      EPERM,  true },
	{ "the third time",              __NR_wait4,           3, 3,      EPERM,  true },
	{ "ten times",                   __NR_wait4,           1, 10,     ENOMEM, true },
	{ "always",                      __NR_wait4,           1, ALWAYS, ENOSYS, false },
	{ "as if there were no child",   __NR_wait4,           1, ALWAYS, ECHILD, false },
	{ "to read the clock",           __NR_clock_gettime,   1, 1,      EINVAL, true },
	{ "to write the status",         __NR_write,           1, 1,      ENOSPC, false },
	{ "to end",                      __NR_exit_group,      1, ALWAYS, EPERM,  true },
	/* clang-format on */
};

/* A copy of the program in which that is written. */
static int program_with(const struct row *row)
{
	static char program[PROGRAM_BYTES_MAX];
	struct init_fault fault = { .mark = INIT_FAULT_MARK,
		                    .call = row->call,
		                    .first = row->first,
		                    .last = row->last,
		                    .error = row->error };
	cleanup_fd int from = open(TENANT_INIT_FAULT, O_RDONLY | O_CLOEXEC);
	const ssize_t n = io_read_all(from, program, sizeof(program));
	cleanup_fd int to = memfd_create("tenant-init", MFD_CLOEXEC);
	char *at, path[32];

	cr_assert(n > 0 && n < PROGRAM_BYTES_MAX && to >= 0);
	at = memmem(program, (size_t)n, INIT_FAULT_MARK, sizeof(INIT_FAULT_MARK));
	cr_assert_not_null(at);
	memcpy(at, &fault, sizeof(fault));
	cr_assert_eq(io_write_all(to, program, (size_t)n), 0);
	/* What is open for writing is not executed. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", to);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Both as in a sandbox: the workload is there before tenant-init, whose child it is. */
static void begin(int program_fd, int status_fd, void (*workload)(void))
	__attribute__((noreturn));
static void begin(int program_fd, int status_fd, void (*workload)(void))
{
	char name[] = INIT_NAME, pid_text[24];
	char *argv[] = { name, pid_text, NULL };
	char *envp[] = { NULL };
	sigset_t all;
	pid_t pid;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	pid = fork();
	if (pid == 0) {
		(void)setsid();
		workload();
	}
	num_put(pid_text, pid);
	if (pid < 0 || dup2(status_fd, INIT_STATUS_FD) < 0)
		_exit(99);
	(void)syscall(SYS_execveat, program_fd, "", argv, envp, AT_EMPTY_PATH);
	_exit(98);
}

static pid_t start(const struct row *row, int *ret_status_fd, void (*workload)(void))
{
	cleanup_fd int program_fd = program_with(row);
	pid_t pid;

	*ret_status_fd = memfd_create("status", MFD_CLOEXEC);
	cr_assert(program_fd > INIT_STATUS_FD && *ret_status_fd > INIT_STATUS_FD);
	pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		begin(program_fd, *ret_status_fd, workload);
	cr_assert_gt(pid, 0, "%s", strerror(errno));
	return pid;
}

static void expect_end(const struct row *row, pid_t pid, int status_fd)
{
	cleanup_fd int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd end = { .fd = pid_fd, .events = POLLIN };
	struct init_status status;
	int init_status;

	cr_expect_eq(poll(&end, 1, END_MSEC), 1, "%s: it stays", row->name);
	(void)kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, &init_status, 0), pid);
	cr_expect_eq(record_status_read(status_fd, &status), row->status, "%s: status",
	             row->name);
	if (row->status) {
		cr_expect_eq(status.kind, INIT_STATUS_WAITED, "%s", row->name);
		cr_expect_eq(status.wait_status, W_EXITCODE(STATUS, 0), "%s: %x", row->name,
		             (unsigned int)status.wait_status);
	}
	(void)close(status_fd);
}

/* With a child of its own that ends before it, one after it, and one that never does. */
static void ends_by_itself(void)
{
	if (fork() == 0)
		_exit(0);
	if (fork() == 0) {
		(void)usleep(100000);
		_exit(0);
	}
	if (fork() == 0)
		for (;;)
			(void)pause();
	(void)usleep(50000);
	_exit(STATUS);
}

Test(init_fault, ends_with_its_workload_whatever_fails)
{
	rig_need_root();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int status_fd;
		pid_t pid = start(&rows[i], &status_fd, ends_by_itself);

		expect_end(&rows[i], pid, status_fd);
	}
}

static void on_term(int number)
{
	(void)number;
	_exit(STATUS);
}

static void ends_by_a_signal(void)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)signal(SIGTERM, on_term);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (;;)
		(void)pause();
}

/* To the child itself, if it leads no group yet; and to nobody's harm if neither can be. */
Test(init_fault, of_a_signal_loses_no_more_than_that_signal)
{
	static const struct row signal_rows[] = {
		{ "there is no group", __NR_kill, 1, 1, ESRCH, true },
		{ "it may not", __NR_kill, 1, 1, EPERM, true },
		{ "neither is there", __NR_kill, 1, 2, ESRCH, true },
	};

	rig_need_root();
	for (size_t i = 0; i < sizeof(signal_rows) / sizeof(signal_rows[0]); i++) {
		int status_fd;
		pid_t pid = start(&signal_rows[i], &status_fd, ends_by_a_signal);
		siginfo_t ended = { 0 };

		/* Until it has come: whoever loses one is sent another. */
		for (int tries = 0; tries < 400 && ended.si_pid == 0; tries++) {
			cr_assert_eq(kill(pid, SIGTERM), 0);
			(void)usleep(50000);
			cr_assert_eq(
				waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT),
				0);
		}
		expect_end(&signal_rows[i], pid, status_fd);
	}
}
