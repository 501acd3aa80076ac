/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "start.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/num.h>

#include "init.h"
#include "raw_call.h"

#define START_PATH_BYTES_MAX 4096
#define START_EXIT_FAILED    125
#define START_SIGSET_BYTES   8 /* the kernel's */
#define START_NSEC_PER_SEC   1000000000u

static void report_write(const struct start *start, enum init_stage stage, int error)
{
	struct init_report report = { .stage = stage, .error = error };
	struct timespec cpu = { 0 };

	(void)CALL(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, &cpu, 0, 0);
	report.cpu_nsec = (uint64_t)cpu.tv_sec * START_NSEC_PER_SEC + (uint64_t)cpu.tv_nsec;
	(void)CALL(SYS_write, start->report_fd, &report, sizeof(report), 0);
}

/* The sanitizer takes a thread to have one stack, and says so where a function never returns.
 */
#define ANY_STACK __attribute__((noreturn, no_sanitize_address))

static ANY_STACK void fail(const struct start *start, enum init_stage stage,
                           enum init_status_kind kind, int error);
static void fail(const struct start *start, enum init_stage stage, enum init_status_kind kind,
                 int error)
{
	const struct init_status status = { .magic = INIT_STATUS_MAGIC,
		                            .kind = kind,
		                            .error = error };

	if (start->status_fd >= 0)
		(void)CALL(SYS_write, start->status_fd, &status, sizeof(status), 0);
	report_write(start, stage, error);
	for (;;)
		(void)CALL(SYS_exit_group, START_EXIT_FAILED, 0, 0, 0);
}

/*
 * A new session has no terminal. The first descriptor becomes its own only where it was
 * opened for this sandbox: else it is one that was handed in, and may be somebody's.
 */
static void session_begin(bool terminal)
{
	(void)CALL(SYS_setsid, 0, 0, 0, 0);
	if (terminal)
		(void)CALL(SYS_ioctl, 0, TIOCSCTTY, 0, 0);
}

/*
 * In a pid namespace of its own the kernel kills it when pid 1 ends. Where that is another, the
 * tenant-init that was begun for it may be killed from inside: without a parent of ours it is
 * pid 1's.
 */
static void parent_follow(const struct start *start)
{
	if (CALL(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0) == 0 &&
	    CALL(SYS_getppid, 0, 0, 0, 0) == 1)
		fail(start, INIT_STAGE_FORK, INIT_STATUS_FAILED, ESRCH);
}

static void signals_unblock(void)
{
	const uint64_t none = 0;

	(void)CALL(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, START_SIGSET_BYTES);
}

/* As the kernel has it: a handler, and no flags, restorer or mask. */
static void broken_pipe_is(void (*handler)(int))
{
	const struct {
		void (*handler)(int);
		unsigned long rest[3];
	} action = { .handler = handler };

	(void)CALL(SYS_rt_sigaction, SIGPIPE, &action, NULL, START_SIGSET_BYTES);
}

/*
 * The working directory is entered with the workload's own rights. A directory that
 * cannot be named from our root would be one that leaked in: then getcwd(2) gives
 * something that does not begin with '/'. Returns 0 or an errno.
 */
static int enter(const char *dir)
{
	char cwd[START_PATH_BYTES_MAX];
	long r = CALL(SYS_chdir, dir, 0, 0, 0);

	if (r < 0)
		return (int)-r;
	cwd[0] = '\0';
	r = CALL(SYS_getcwd, cwd, sizeof(cwd), 0, 0);
	if (r < 0)
		return (int)-r;
	return cwd[0] == '/' ? 0 : EXDEV;
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
	char *p = out, *end = out + START_PATH_BYTES_MAX - 1;

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
static int execute(char **argv, char **envp)
{
	char path[START_PATH_BYTES_MAX];
	int kept = ENOENT;

	if (argv[0][0] == '\0')
		return ENOENT;
	if (has_slash(argv[0]))
		return (int)-CALL(SYS_execve, argv[0], argv, envp, 0);

	for (const char *dir = path_of(envp);; dir++) {
		if (path_join(path, dir, argv[0])) {
			int error = (int)-CALL(SYS_execve, path, argv, envp, 0);

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

ANY_STACK void start_command(const struct start *start)
{
	int error;

	session_begin(start->terminal);
	if (start->joins)
		parent_follow(start);
	/* tenantd may have died, and with it whoever reads what is reported. That is no reason
	 * to die, too: the next one takes over what it finds. */
	broken_pipe_is(SIG_IGN);
	signals_unblock();
	error = enter(start->dir);
	if (error != 0)
		fail(start, INIT_STAGE_CHDIR, INIT_STATUS_FAILED, error);
	report_write(start, INIT_STAGE_EXECUTING, 0);
	broken_pipe_is(SIG_DFL);
	error = execute(start->argv, start->envp);
	fail(start, INIT_STAGE_EXEC, INIT_STATUS_NOT_EXECUTED, error);
}

static __attribute__((no_sanitize_address)) int command(void *argument)
{
	start_command(argument);
}

/* On pid 1's own stack nothing of it would last: that is somebody else's once pid 1 has
 * executed. */
static long command_clone(const struct start *start, const struct start_place *place)
{
	struct start *its_own = (void *)(place->stack + START_STACK_BYTES - sizeof(*its_own));

	*its_own = *start;
	return clone(command, its_own,
	             CLONE_VM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, its_own,
	             place->workload, NULL, place->workload);
}

uint32_t start_with_init(const struct start *start, const struct start_place *place,
                         uint32_t init_stage)
{
	char name[] = INIT_NAME, pid[24];
	char *argv[] = { name, pid, NULL };
	char *envp[] = { NULL };
	const long workload = command_clone(start, place);

	if (workload < 0)
		return INIT_STAGE_FORK;
	num_put(pid, workload);
	/* The workload's own files are no business of tenant-init's, and it may wait for the
	 * last reader or writer of its standard streams to go. */
	if (close_range(STDIN_FILENO, STDERR_FILENO, 0) == 0 &&
	    fcntl(start->status_fd, F_SETFD, 0) == 0)
		(void)syscall(SYS_execveat, place->init_fd, "", argv, envp, AT_EMPTY_PATH);
	return init_stage;
}
