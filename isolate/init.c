/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenant-init: pid 1 of every sandbox.
 *
 * It executes the workload as its child, forwards signals to the child's process
 * group, reaps what is orphaned, and ends when that child ends; the kernel then kills
 * whatever is left in the pid namespace. What it saw goes to the status file as one
 * record, which survives the death of tenantd.
 *
 * Freestanding, without a libc: starting glibc costs more than the whole sandbox. By
 * the time this runs the filter is loaded and no capability is left. The workload has
 * the same uid, so the first act is to become undumpable: nobody may read or write
 * this process's memory or reach its descriptors through /proc/1.
 */
#include <asm/ioctls.h>
#include <asm/unistd.h>
#include <errno.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/time.h>
#include <linux/wait.h>
#include <stdbool.h>
#include <stddef.h>

#include "init.h"
#include "workload.h"

/* Freestanding: <signal.h> would bring a libc's idea of these. */
#define INIT_SIGCHLD           17
#define INIT_SIG_SETMASK       2
#define INIT_SIGSET_BYTES      8
#define INIT_CPUTIME_CLOCK     2 /* CLOCK_PROCESS_CPUTIME_ID */
#define INIT_EXIT_FAILED       125
#define INIT_EXIT_NOT_EXECUTED 127

#if defined(__x86_64__)
__asm__(".globl _start\n"
        "_start:\n"
        "	xor %ebp, %ebp\n"
        "	mov %rsp, %rdi\n"
        "	and $-16, %rsp\n"
        "	call init_main\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n"
        "_start:\n"
        "	mov x29, #0\n"
        "	mov x0, sp\n"
        "	and sp, x0, #-16\n"
        "	bl init_main\n");
#endif

void init_main(long *stack) __attribute__((noreturn));

static void init_exit(int status) __attribute__((noreturn));
static void init_exit(int status)
{
	for (;;)
		CALL(__NR_exit_group, status, 0, 0, 0);
}

static uint64_t cpu_nsec(void)
{
	struct __kernel_timespec ts = { 0 };

	CALL(__NR_clock_gettime, INIT_CPUTIME_CLOCK, &ts, 0, 0);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void status_write(enum init_status_kind kind, int wait_status, int error)
{
	struct init_status status = { .magic = INIT_STATUS_MAGIC,
		                      .kind = kind,
		                      .wait_status = wait_status,
		                      .error = error,
		                      .init_cpu_nsec = cpu_nsec() };

	CALL(__NR_write, INIT_STATUS_FD, &status, sizeof(status), 0);
}

static void report_write(enum init_stage stage, int error)
{
	struct init_report report = { .stage = stage, .error = error, .cpu_nsec = cpu_nsec() };

	CALL(__NR_write, INIT_REPORT_FD, &report, sizeof(report), 0);
}

/*
 * A new session has no terminal. The first descriptor becomes its own only where it was
 * opened for this sandbox: else it is one that was handed in, and may be somebody's.
 */
static void session_begin(bool terminal)
{
	CALL(__NR_setsid, 0, 0, 0, 0);
	if (terminal)
		CALL(__NR_ioctl, 0, TIOCSCTTY, 0, 0);
}

/* In a frame of its own: until it executes it has our stack, and our caller reads on there. */
static void workload(const char *dir, char **argv, char **envp, bool terminal)
	__attribute__((noreturn, noinline));
static void workload(const char *dir, char **argv, char **envp, bool terminal)
{
	uint64_t none = 0;
	int error;

	session_begin(terminal);
	CALL(__NR_rt_sigprocmask, INIT_SIG_SETMASK, &none, NULL, INIT_SIGSET_BYTES);

	error = workload_enter(dir);
	if (error != 0) {
		report_write(INIT_STAGE_CHDIR, error);
		status_write(INIT_STATUS_FAILED, 0, error);
		init_exit(INIT_EXIT_FAILED);
	}

	report_write(INIT_STAGE_EXECUTING, 0);
	error = workload_execute(argv, envp);
	report_write(INIT_STAGE_EXEC, error);
	status_write(INIT_STATUS_NOT_EXECUTED, 0, error);
	init_exit(INIT_EXIT_NOT_EXECUTED);
}

/* Reap what has ended; true and *status once that includes the workload. */
static bool reap(int workload_pid, int *status)
{
	bool ended = false;

	for (;;) {
		int one = 0;
		long pid = CALL(__NR_wait4, -1, &one, WNOHANG | __WALL, NULL);

		if (pid <= 0)
			return ended;
		if (pid == workload_pid) {
			*status = one;
			ended = true;
		}
	}
}

/*
 * To the workload's group. Until the child leads one there is none: then to the child,
 * which has every signal blocked and takes it once it is ready.
 */
static void forward(long workload_pid, long signal)
{
	if (CALL(__NR_kill, -workload_pid, signal, 0, 0) == -ESRCH)
		CALL(__NR_kill, workload_pid, signal, 0, 0);
}

void init_main(long *stack)
{
	uint64_t all = ~(uint64_t)0;
	char **argv = (char **)(stack + 1);
	char **envp = argv + *stack + 1;
	int status = 0;
	long pid;

	CALL(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0);
	CALL(__NR_rt_sigprocmask, INIT_SIG_SETMASK, &all, NULL, INIT_SIGSET_BYTES);
	CALL(__NR_fcntl, INIT_STATUS_FD, F_SETFD, FD_CLOEXEC, 0);
	CALL(__NR_fcntl, INIT_REPORT_FD, F_SETFD, FD_CLOEXEC, 0);

	/* As vfork(2) does: whatever keeps it from executing keeps us, too, and what is
	 * signalled meanwhile waits. */
	pid = CALL(__NR_clone, INIT_SIGCHLD | CLONE_VM | CLONE_VFORK, 0, 0, 0);
	if (pid == 0)
		workload(argv[1], argv + 2, envp, argv[0][sizeof(INIT_NAME) - 1] != '\0');
	if (pid < 0) {
		report_write(INIT_STAGE_FORK, (int)-pid);
		status_write(INIT_STATUS_FAILED, 0, (int)-pid);
		init_exit(INIT_EXIT_FAILED);
	}
	CALL(__NR_close, INIT_REPORT_FD, 0, 0, 0);
	/* The workload's own files are no business of ours, and it may wait for the
	 * last reader or writer of its standard streams to go. */
	for (int fd = 0; fd < INIT_STATUS_FD; fd++)
		CALL(__NR_close, fd, 0, 0, 0);

	for (;;) {
		long signal = CALL(__NR_rt_sigtimedwait, &all, NULL, NULL, INIT_SIGSET_BYTES);

		if (signal == INIT_SIGCHLD && reap((int)pid, &status))
			break;
		if (signal > 0 && signal != INIT_SIGCHLD)
			forward(pid, signal);
	}

	status_write(INIT_STATUS_WAITED, status, 0);
	init_exit(0);
}
