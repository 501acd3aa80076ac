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

/* Freestanding: <signal.h> would bring a libc's idea of these. */
#define INIT_SIGCHLD           17
#define INIT_SIG_SETMASK       2
#define INIT_SIGSET_BYTES      8
#define INIT_CPUTIME_CLOCK     2 /* CLOCK_PROCESS_CPUTIME_ID */
#define INIT_PATH_BYTES_MAX    4096
#define INIT_EXIT_FAILED       125
#define INIT_EXIT_NOT_EXECUTED 127

#if defined(__x86_64__)
static long call6(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
	                 : "=a"(ret)
	                 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return ret;
}

__asm__(".globl _start\n"
        "_start:\n"
        "	xor %ebp, %ebp\n"
        "	mov %rsp, %rdi\n"
        "	and $-16, %rsp\n"
        "	call init_main\n");
#elif defined(__aarch64__)
static long call6(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
	                 : "+r"(x0)
	                 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
	                 : "memory");
	return x0;
}

__asm__(".globl _start\n"
        "_start:\n"
        "	mov x29, #0\n"
        "	mov x0, sp\n"
        "	and sp, x0, #-16\n"
        "	bl init_main\n");
#else
#error "tenant-init has no system call entry for this architecture"
#endif

#define CALL(n, a, b, c, d) call6((n), (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

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

static bool is_path_entry(const char *env)
{
	return env[0] == 'P' && env[1] == 'A' && env[2] == 'T' && env[3] == 'H' &&
	       env[4] == '=';
}

static const char *path_of(char **envp)
{
	for (; *envp != NULL; envp++)
		if (is_path_entry(*envp))
			return *envp + 5;
	return "/usr/local/bin:/usr/bin:/bin";
}

static bool has_slash(const char *name)
{
	for (; *name != '\0'; name++)
		if (*name == '/')
			return true;
	return false;
}

/* Copy @dir (up to ':' or the end), '/', @name; false if that does not fit. */
static bool path_join(char *out, const char *dir, const char *name)
{
	char *p = out, *end = out + INIT_PATH_BYTES_MAX - 1;

	for (; *dir != '\0' && *dir != ':' && p < end; dir++)
		*p++ = *dir;
	if (p == out)
		*p++ = '.';
	if (p < end)
		*p++ = '/';
	for (; *name != '\0' && p < end; name++)
		*p++ = *name;
	*p = '\0';
	return *name == '\0';
}

/* As execvp(3) searches: EACCES is kept, ENOENT and ENOTDIR go on. Returns an errno. */
static int exec_search(char **argv, char **envp)
{
	static char path[INIT_PATH_BYTES_MAX];
	int kept = ENOENT;

	if (argv[0][0] == '\0')
		return ENOENT;
	if (has_slash(argv[0]))
		return (int)-CALL(__NR_execve, argv[0], argv, envp, 0);

	for (const char *dir = path_of(envp);; dir++) {
		if (path_join(path, dir, argv[0])) {
			int error = (int)-CALL(__NR_execve, path, argv, envp, 0);

			if (error == EACCES)
				kept = error;
			else if (error != ENOENT && error != ENOTDIR)
				return error;
		}
		while (*dir != '\0' && *dir != ':')
			dir++;
		if (*dir == '\0')
			return kept;
	}
}

/*
 * The working directory is entered with the workload's own rights. A directory that
 * cannot be named from our root would be one that leaked in: then getcwd(2) gives
 * something that does not begin with '/'.
 */
static int enter_workdir(const char *dir)
{
	static char cwd[INIT_PATH_BYTES_MAX];
	long r = CALL(__NR_chdir, dir, 0, 0, 0);

	if (r < 0)
		return (int)-r;
	r = CALL(__NR_getcwd, cwd, sizeof(cwd), 0, 0);
	if (r < 0)
		return (int)-r;
	return cwd[0] == '/' ? 0 : EXDEV;
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

static void workload(const char *dir, char **argv, char **envp, bool terminal)
	__attribute__((noreturn));
static void workload(const char *dir, char **argv, char **envp, bool terminal)
{
	uint64_t none = 0;
	int error;

	session_begin(terminal);
	CALL(__NR_rt_sigprocmask, INIT_SIG_SETMASK, &none, NULL, INIT_SIGSET_BYTES);

	error = enter_workdir(dir);
	if (error != 0) {
		report_write(INIT_STAGE_CHDIR, error);
		status_write(INIT_STATUS_FAILED, 0, error);
		init_exit(INIT_EXIT_FAILED);
	}

	report_write(INIT_STAGE_EXECUTING, 0);
	error = exec_search(argv, envp);
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

	pid = CALL(__NR_clone, INIT_SIGCHLD, 0, 0, 0);
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
