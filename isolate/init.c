/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenant-init: pid 1 of every sandbox.
 *
 * Its child, the workload, is there already (start.h). It forwards signals to the child's
 * process group, reaps what is orphaned, and ends when that child ends; the kernel then kills
 * whatever is left in the pid namespace. What it saw goes to the status file as one
 * record, which survives the death of tenantd.
 *
 * Freestanding, without a libc: starting glibc costs more than the whole sandbox. By
 * the time this runs the filter is loaded and no capability is left. The workload has
 * the same uid, so nobody may read or write this process's memory or reach its descriptors
 * through /proc/1: a program that cannot be read is executed so, and the first act is to
 * say it again, for a host where fs.suid_dumpable has it otherwise.
 */
#include <asm/unistd.h>
#include <errno.h>
#include <linux/prctl.h>
#include <linux/time.h>
#include <linux/wait.h>
#include <stdbool.h>
#include <stddef.h>

#include "init.h"
#include "raw_call.h"

/* Freestanding: <signal.h> would bring a libc's idea of these. */
#define INIT_SIGCHLD       17
#define INIT_SIG_SETMASK   2
#define INIT_SIGSET_BYTES  8
#define INIT_CPUTIME_CLOCK 2 /* CLOCK_PROCESS_CPUTIME_ID */
#define INIT_FAILURES_MAX  100

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
	CALL(__NR_exit_group, status, 0, 0, 0);
	/* Where that is refused: a signal that process 1 cannot survive either. */
	__builtin_trap();
}

static uint64_t cpu_nsec(void)
{
	struct __kernel_timespec ts = { 0 };

	CALL(__NR_clock_gettime, INIT_CPUTIME_CLOCK, &ts, 0, 0);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void status_write(int wait_status)
{
	struct init_status status = { .magic = INIT_STATUS_MAGIC,
		                      .kind = INIT_STATUS_WAITED,
		                      .wait_status = wait_status,
		                      .init_cpu_nsec = cpu_nsec() };

	CALL(__NR_write, INIT_STATUS_FD, &status, sizeof(status), 0);
}

static long number(const char *text)
{
	long n = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		n = n * 10 + (*text - '0');
	return n;
}

enum workload {
	WORKLOAD_RUNS,
	WORKLOAD_ENDED, /* and its status is known */
	WORKLOAD_LOST,  /* how it ends cannot be known any more */
};

/* Reap what has ended. @wait: until that includes the workload. */
static enum workload reap(int workload_pid, bool wait, int *status)
{
	enum workload workload = WORKLOAD_RUNS;
	int failures = 0;

	for (;;) {
		int one = 0;
		long pid = CALL(__NR_wait4, -1, &one, (wait ? 0 : WNOHANG) | __WALL, NULL);

		if (pid == workload_pid) {
			*status = one;
			workload = WORKLOAD_ENDED;
		}
		if (pid == 0 || (wait && workload == WORKLOAD_ENDED))
			return workload;
		if (pid == -ECHILD || (pid < 0 && ++failures == INIT_FAILURES_MAX))
			return workload == WORKLOAD_ENDED ? workload : WORKLOAD_LOST;
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
	const long pid = number(argv[1]);
	enum workload workload = WORKLOAD_RUNS;
	int status = 0;

	CALL(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0);
	/* They are, from before the workload was there: what came meanwhile is waiting. */
	CALL(__NR_rt_sigprocmask, INIT_SIG_SETMASK, &all, NULL, INIT_SIGSET_BYTES);

	while (workload == WORKLOAD_RUNS) {
		long signal = CALL(__NR_rt_sigtimedwait, &all, NULL, NULL, INIT_SIGSET_BYTES);
		/* Then the end alone is waited for. */
		const bool deaf = signal < 0 && signal != -EINTR && signal != -EAGAIN;

		if (signal == INIT_SIGCHLD || deaf)
			workload = reap((int)pid, deaf, &status);
		else if (signal > 0)
			forward(pid, signal);
	}

	/* Without a record tenantd says that it is not known. */
	if (workload == WORKLOAD_ENDED)
		status_write(status);
	init_exit(0);
}
