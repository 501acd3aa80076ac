/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * isolate/start.c and isolate/init.c, begun as tenantd's child begins them: with the
 * status file as 3, the launch pipe as 4 and tenant-init as 5. As root that is pid 1 of a pid
 * namespace of its own, otherwise the subreaper of what it starts.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <base/io.h>
#include <isolate/init.h>
#include <isolate/record.h>
#include <isolate/start.h>

#include "rig.h"

TestSuite(init, .timeout = 60, .init = rig_dir_make, .fini = rig_dir_remove);

#define ARGS_MAX    8
#define REPORTS_MAX 4
#define FDS_FROM    20 /* ours lie above the numbers that the child gives out */
#define INIT_FD     5
#define INIT_STAGE  1
#define NOBODY      65534
#define SH(script)  "/bin/sh", "-c", script

struct launch {
	const char *argv[ARGS_MAX];
	const char *workdir;   /* "/" */
	const char *path;      /* "PATH=…"; none */
	void (*prepare)(void); /* in the child, before either is begun */
	bool alone;            /* without tenant-init */
	int init_fd;           /* instead of tenant-init; 0: that */
	bool same_pids;        /* no pid namespace */
	int terminal;          /* descriptor 0; 0: /dev/null is */
	bool claimed;          /* what descriptor 0 is to be: the controlling terminal */
};

struct run {
	pid_t pid;
	int status_fd;
	int report_fd; /* what tenant-init writes to its 4 */
	int out_fd;    /* standard output and error of the workload */
};

/* Everything that can be told once it is over. */
struct outcome {
	struct init_report reports[REPORTS_MAX];
	size_t reports_n;
	struct init_status status; /* the first */
	bool has_status;
	int init_status; /* tenant-init's own, as waitpid(2) gives it */
	char out[256];
};

static int high(int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, FDS_FROM);

	cr_assert_geq(moved, 0);
	(void)close(fd);
	return moved;
}

static void pipe_high(int ends[2])
{
	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	ends[0] = high(ends[0]);
	ends[1] = high(ends[1]);
}

/* In the child: nothing here may assert, the exit status has to tell. */
static void enter(const struct launch *launch, const int order[INIT_FD + 1])
	__attribute__((noreturn));
static void enter(const struct launch *launch, const int order[INIT_FD + 1])
{
	static _Alignas(16) char stack[START_STACK_BYTES];
	int32_t workload;
	sigset_t all;
	char *argv[ARGS_MAX + 1] = { NULL };
	char *envp[] = { (char *)(uintptr_t)launch->path, NULL };
	const struct start what = {
		.argv = argv,
		.envp = envp,
		.dir = launch->workdir != NULL ? launch->workdir : "/",
		.terminal = launch->claimed,
		.report_fd = INIT_REPORT_FD,
		.status_fd = launch->alone ? FD_NONE : INIT_STATUS_FD,
	};
	const struct start_place place = { INIT_FD, stack, &workload };

	for (size_t i = 0; i < ARGS_MAX; i++)
		argv[i] = (char *)(uintptr_t)launch->argv[i];
	for (int i = 0; i <= INIT_FD; i++)
		if (dup3(order[i], i, i >= INIT_STATUS_FD ? O_CLOEXEC : 0) < 0)
			_exit(99);
	if (close_range(INIT_FD + 1, ~0u, 0) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(98);
	/* As it is in who has been cloned for an execution. */
	if (sigfillset(&all) < 0 || sigprocmask(SIG_SETMASK, &all, NULL) < 0)
		_exit(96);
	if (launch->prepare != NULL)
		launch->prepare();
	if (launch->alone)
		start_command(&what);
	(void)start_with_init(&what, &place, INIT_STAGE);
	_exit(97);
}

static struct run start(const struct launch *launch)
{
	unsigned long flags = SIGCHLD;
	int report[2], out[2], order[INIT_FD + 1];
	struct run run;

	pipe_high(report);
	pipe_high(out);
	order[0] = launch->terminal > 0 ? high(dup(launch->terminal))
	                                : high(open("/dev/null", O_RDWR | O_CLOEXEC));
	order[1] = order[2] = out[1];
	order[INIT_STATUS_FD] = high(memfd_create("status", MFD_CLOEXEC));
	cr_assert_eq(fcntl(order[INIT_STATUS_FD], F_SETFL, O_APPEND), 0);
	order[INIT_REPORT_FD] = report[1];
	order[INIT_FD] = launch->init_fd > 0 ? high(launch->init_fd)
	                                     : high(open(TENANT_INIT, O_PATH | O_CLOEXEC));
	if (geteuid() == 0 && !launch->same_pids)
		flags |= CLONE_NEWPID;

	run.pid = (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
	if (run.pid == 0)
		enter(launch, order);
	cr_assert_gt(run.pid, 0, "%s", strerror(errno));
	run.status_fd = order[INIT_STATUS_FD];
	run.report_fd = report[0];
	run.out_fd = out[0];
	(void)close(order[0]);
	(void)close(out[1]);
	(void)close(report[1]);
	(void)close(order[INIT_FD]);
	return run;
}

static struct outcome finish(struct run *run)
{
	struct outcome outcome = { .reports_n = 0 };
	ssize_t n = io_read_all(run->report_fd, outcome.reports, sizeof(outcome.reports));

	cr_assert_geq(n, 0);
	cr_assert_eq((size_t)n % sizeof(struct init_report), 0);
	outcome.reports_n = (size_t)n / sizeof(struct init_report);
	n = io_read_all(run->out_fd, outcome.out, sizeof(outcome.out) - 1);
	cr_assert_geq(n, 0);
	cr_assert_eq(waitpid(run->pid, &outcome.init_status, 0), run->pid);
	outcome.has_status = record_status_read(run->status_fd, &outcome.status);
	(void)close(run->report_fd);
	(void)close(run->out_fd);
	(void)close(run->status_fd);
	return outcome;
}

static struct outcome ended(const struct launch *launch)
{
	struct run run = start(launch);

	return finish(&run);
}

/* Until the workload has written @text; it must come first. */
static void await(const struct run *run, const char *text)
{
	char got[16] = "";

	cr_assert_eq(io_read_all(run->out_fd, got, strlen(text)), (ssize_t)strlen(text));
	cr_assert_str_eq(got, text);
}

/* The workload ran and was waited for: its wait status. */
static int waited(const struct outcome *outcome)
{
	cr_expect_eq(outcome->reports_n, 1);
	cr_expect_eq(outcome->reports[0].stage, INIT_STAGE_EXECUTING);
	cr_expect_eq(outcome->reports[0].error, 0);
	cr_assert(outcome->has_status);
	cr_assert_eq(outcome->status.kind, INIT_STATUS_WAITED);
	cr_expect_eq(outcome->status.error, 0);
	cr_expect_eq(outcome->init_status, 0, "tenant-init ended with %x",
	             (unsigned int)outcome->init_status);
	return outcome->status.wait_status;
}

static void expect_exit(const struct launch *launch, int code)
{
	struct outcome outcome = ended(launch);
	int status = waited(&outcome);

	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == code, "%d: %x: %s", code,
	          (unsigned int)status, outcome.out);
}

static void expect_out(const struct launch *launch, const char *out)
{
	struct outcome outcome = ended(launch);

	cr_expect_eq(waited(&outcome), 0);
	cr_expect_str_eq(outcome.out, out);
}

/* The exec failed with @error: said at once, and the first of the records. */
static void expect_not_executed(const struct launch *launch, int error)
{
	struct outcome outcome = ended(launch);

	cr_expect_eq(outcome.reports_n, 2);
	cr_expect_eq(outcome.reports[0].stage, INIT_STAGE_EXECUTING);
	cr_expect_eq(outcome.reports[1].stage, INIT_STAGE_EXEC);
	cr_expect_eq(outcome.reports[1].error, error, "%s", strerror(outcome.reports[1].error));
	cr_assert(outcome.has_status);
	cr_expect_eq(outcome.status.kind, INIT_STATUS_NOT_EXECUTED);
	cr_expect_eq(outcome.status.error, error);
}

Test(init, says_that_it_executes_and_lets_go_of_the_pipe_while_the_workload_runs)
{
	const struct launch launch = { .argv = { SH("echo up; exec sleep 30") } };
	struct run run = start(&launch);
	struct init_report report;
	struct outcome outcome;

	cr_assert_eq(io_read_all(run.report_fd, &report, sizeof(report)),
	             (ssize_t)sizeof(report));
	cr_expect_eq(report.stage, INIT_STAGE_EXECUTING);
	cr_expect_eq(report.error, 0);
	cr_expect_gt(report.cpu_nsec, 0);
	/* The end of the pipe is the news that the exec has succeeded. */
	cr_expect_eq(read(run.report_fd, &report, sizeof(report)), 0);
	await(&run, "up\n");
	cr_expect_not(record_status_read(run.status_fd, &outcome.status), "it runs still");
	cr_assert_eq(kill(run.pid, SIGTERM), 0);
	outcome = finish(&run);
	cr_assert(outcome.has_status);
	cr_expect_eq(outcome.status.wait_status, SIGTERM);
	cr_expect_gt(outcome.status.init_cpu_nsec, 0);
}

Test(init, records_how_the_workload_exited)
{
	static const struct launch zero = { .argv = { "/bin/true" } };
	static const struct launch seven = { .argv = { SH("exit 7") } };
	static const struct launch most = { .argv = { SH("exit 255") } };

	expect_exit(&zero, 0);
	expect_exit(&seven, 7);
	expect_exit(&most, 255);
}

Test(init, records_the_signal_that_ended_the_workload)
{
	static const struct launch killed = { .argv = { SH("kill -KILL $$") } };
	static const struct launch terminated = { .argv = { SH("kill -TERM $$") } };
	struct outcome outcome = ended(&killed);

	cr_expect_eq(waited(&outcome), SIGKILL);
	outcome = ended(&terminated);
	cr_expect_eq(waited(&outcome), SIGTERM);
}

Test(init, passes_arguments_and_environment_on_unchanged)
{
	static const struct launch launch = {
		.argv = { SH("echo \"$#:$0:$1:$2:$PATH\""), "zero", "", "a b" },
		.path = "PATH=/bin:/usr/bin",
	};

	expect_out(&launch, "2:zero::a b:/bin:/usr/bin\n");
}

Test(init, says_why_a_command_cannot_be_executed)
{
	const struct launch missing = { .argv = { "/nonexistent/x" } };
	const struct launch not_found = { .argv = { "tn-no-such-command" } };
	const struct launch empty = { .argv = { "" } };
	const struct launch directory = { .argv = { "/" } };
	struct launch own = { .argv = { rig_path("file") } };

	expect_not_executed(&missing, ENOENT);
	expect_not_executed(&not_found, ENOENT);
	expect_not_executed(&empty, ENOENT);
	expect_not_executed(&directory, EACCES);
	rig_put("file", "#!/bin/sh\nexit 0\n", 0644);
	expect_not_executed(&own, EACCES);
	rig_put("file", "neither a program nor a script", 0755);
	expect_not_executed(&own, ENOEXEC);
}

/* a/tool, b/tool, …: scripts that say where they lie. */
static void tool_put(const char *dir, mode_t mode)
{
	char name[64], text[64];

	(void)mkdir(rig_path(dir), 0755);
	(void)snprintf(name, sizeof(name), "%s/tool", dir);
	(void)snprintf(text, sizeof(text), "#!/bin/sh\necho %s\n", dir);
	rig_put(name, text, mode);
}

/* PATH as the names of directories below ours, and "" as it is. */
static struct launch searching(char path[static 1024], const char *const *dirs, size_t n)
{
	size_t at = (size_t)snprintf(path, 1024, "PATH=");

	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(path + at, 1024 - at, "%s%s", i > 0 ? ":" : "",
		                       dirs[i][0] != '\0' ? rig_path(dirs[i]) : "");
	return (struct launch){ .argv = { "tool" }, .path = path };
}

Test(init, searches_the_path_in_its_order)
{
	char path[1024];
	struct launch launch;

	tool_put("a", 0755);
	tool_put("b", 0755);
	tool_put("shut", 0644);
	rig_put("file", "", 0644);
	launch = searching(path, (const char *const[]){ "a", "b" }, 2);
	expect_out(&launch, "a\n");
	launch = searching(path, (const char *const[]){ "b", "a" }, 2);
	expect_out(&launch, "b\n");
	/* What is missing, no directory or not executable is passed over. */
	launch = searching(path, (const char *const[]){ "none", "file", "shut", "b" }, 4);
	expect_out(&launch, "b\n");
	/* An empty entry is the working directory. */
	launch = searching(path, (const char *const[]){ "", "b" }, 2);
	launch.workdir = rig_path("a");
	expect_out(&launch, "a\n");
	launch = searching(path, (const char *const[]){ "none", "" }, 2);
	launch.workdir = rig_path("a");
	expect_out(&launch, "a\n");
	/* A name with a slash is not searched for. */
	launch.argv[0] = "./tool";
	launch.workdir = rig_path("b");
	expect_out(&launch, "b\n");
}

Test(init, prefers_to_say_that_a_command_was_found_but_is_forbidden)
{
	char path[1024];
	struct launch launch;

	tool_put("shut", 0644);
	(void)mkdir(rig_path("empty"), 0755);
	launch = searching(path, (const char *const[]){ "shut", "empty" }, 2);
	expect_not_executed(&launch, EACCES);
	launch = searching(path, (const char *const[]){ "empty", "shut" }, 2);
	expect_not_executed(&launch, EACCES);
	launch = searching(path, (const char *const[]){ "empty" }, 1);
	expect_not_executed(&launch, ENOENT);
}

Test(init, finds_the_usual_commands_without_a_path)
{
	static const struct launch launch = { .argv = { "true" } };

	expect_exit(&launch, 0);
}

Test(init, passes_over_a_path_entry_that_is_too_long)
{
	static char path[6000] = "PATH=/";
	static const struct launch launch = { .argv = { "true" }, .path = path };

	memset(path + 6, 'x', 5000);
	(void)strcat(path, ":/usr/bin:/bin");
	expect_exit(&launch, 0);
}

static void expect_no_workdir(const struct launch *launch, int error)
{
	struct outcome outcome = ended(launch);

	cr_expect_eq(outcome.reports_n, 1, "nothing is executed after that");
	cr_expect_eq(outcome.reports[0].stage, INIT_STAGE_CHDIR);
	cr_expect_eq(outcome.reports[0].error, error, "%s", strerror(outcome.reports[0].error));
	cr_assert(outcome.has_status);
	cr_expect_eq(outcome.status.kind, INIT_STATUS_FAILED);
	cr_expect_eq(outcome.status.error, error);
	cr_expect_str_eq(outcome.out, "");
}

static void become_nobody(void)
{
	if (syscall(SYS_setgroups, 0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		_exit(96);
}

Test(init, starts_the_workload_in_its_directory_or_not_at_all)
{
	struct launch launch = { .argv = { SH("pwd") }, .workdir = "/usr" };

	expect_out(&launch, "/usr\n");
	launch.workdir = "/nonexistent";
	expect_no_workdir(&launch, ENOENT);
	launch.workdir = "/bin/sh";
	expect_no_workdir(&launch, ENOTDIR);
	rig_need_root();
	/* Entered with the workload's rights, not with ours. */
	launch.workdir = rig_dir.path;
	launch.prepare = become_nobody;
	expect_no_workdir(&launch, EACCES);
}

static void leave_a_jail(void)
{
	if (chdir("/") < 0 || chroot(rig_path("jail")) < 0)
		_exit(96);
}

Test(init, enters_no_directory_that_its_root_does_not_lead_to)
{
	const struct launch launch = { .argv = { "/bin/true" },
		                       .workdir = ".",
		                       .prepare = leave_a_jail };

	rig_need_root();
	cr_assert_eq(mkdir(rig_path("jail"), 0755), 0);
	expect_no_workdir(&launch, EXDEV);
}

Test(init, forwards_signals_to_the_whole_process_group)
{
	static const struct launch launch = { .argv = { INIT_PROBE, "signal" } };
	const int signals[] = { SIGHUP,  SIGINT,  SIGQUIT,  SIGTERM, SIGUSR1,  SIGUSR2, SIGALRM,
		                SIGCONT, SIGTSTP, SIGWINCH, SIGPIPE, SIGRTMIN, SIGRTMAX };

	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		struct run run = start(&launch);
		struct outcome outcome;
		int status;

		await(&run, "r");
		cr_assert_eq(kill(run.pid, signals[i]), 0);
		outcome = finish(&run);
		status = waited(&outcome);
		cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == signals[i],
		          "signal %d: %x", signals[i], (unsigned int)status);
	}
}

/* In real time, which what it forks is not. */
static bool go_first(bool yes)
{
	const struct sched_param first = { .sched_priority = 1 },
				 usual = { .sched_priority = 0 };

	return yes ? sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first) == 0
	           : sched_setscheduler(0, SCHED_OTHER, &usual) == 0;
}

/* Going first on one CPU, tenant-init looks for signals before its child has run at all. */
static void pending_signal(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) < 0 || raise(SIGTERM) != 0 ||
	    !go_first(true))
		_exit(96);
}

Test(init, forwards_a_signal_that_came_before_the_workload_has_its_own_group)
{
	static const struct launch launch = { .argv = { SH("sleep 5") },
		                              .prepare = pending_signal };
	struct outcome outcome;

	rig_need(go_first(true) && go_first(false), "real-time scheduling is not ours to set");
	outcome = ended(&launch);
	cr_assert(outcome.has_status);
	cr_expect_eq(outcome.status.kind, INIT_STATUS_WAITED);
	cr_expect_eq(outcome.status.wait_status, SIGTERM, "it was lost: %x",
	             (unsigned int)outcome.status.wait_status);
}

Test(init, reaps_what_is_orphaned)
{
	static const struct launch launch = { .argv = { INIT_PROBE, "orphan" } };

	expect_exit(&launch, 0);
}

Test(init, keeps_its_descriptors_to_itself)
{
	static const struct launch launch = { .argv = { INIT_PROBE, "fds" } };

	expect_exit(&launch, 0);
}

Test(init, gives_the_workload_a_session_and_signals_of_its_own)
{
	static const struct launch launch = { .argv = { INIT_PROBE, "fresh" } };

	expect_exit(&launch, 0);
}

Test(init, holds_no_end_of_the_workloads_streams)
{
	static const struct launch launch = {
		.argv = { SH("echo x; exec sleep 30 >/dev/null 2>&1") },
	};
	struct run run = start(&launch);
	char rest[8];

	await(&run, "x\n");
	/* The reader learns that nothing more will come although the workload runs. */
	cr_expect_eq(io_read_all(run.out_fd, rest, sizeof(rest)), 0);
	cr_expect_eq(waitpid(run.pid, NULL, WNOHANG), 0);
	cr_assert_eq(kill(run.pid, SIGTERM), 0);
	cr_expect_eq(finish(&run).status.wait_status, SIGTERM);
}

/*
 * A terminal that was handed in belongs to somebody else's session, or will. Here it is of
 * none, so that to take it would succeed.
 */
Test(init, makes_a_terminal_the_controlling_one_only_where_it_is_told_to)
{
	struct launch launch = {
		.argv = { SH("(: </dev/tty) 2>/dev/null && echo yes || echo no") }
	};
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	rig_need(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0,
	         "there are no terminals here");
	launch.terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	cr_assert_geq(launch.terminal, 0);
	expect_out(&launch, "no\n");
	launch.claimed = true;
	expect_out(&launch, "yes\n");
	(void)close(launch.terminal);
	(void)close(master);
}

Test(init, ends_with_the_workload_and_takes_what_it_left_along)
{
	/* What stays behind holds the output open for half a minute. */
	static const struct launch launch = { .argv = { SH("sleep 30 & echo done") } };
	struct timespec before, after;

	rig_need_root();
	(void)clock_gettime(CLOCK_MONOTONIC, &before);
	expect_out(&launch, "done\n");
	(void)clock_gettime(CLOCK_MONOTONIC, &after);
	cr_expect_lt(after.tv_sec - before.tv_sec, 20);
}

/* As the workload's user: 0, or the errno of opening /proc/@pid/@file. */
static int open_as_nobody(pid_t pid, const char *file, int flags)
{
	char path[64];
	int status = 0;
	pid_t child;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	child = fork();
	if (child == 0) {
		become_nobody();
		_exit(open(path, flags | O_CLOEXEC) < 0 ? errno : 0);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

Test(init, cannot_be_read_or_changed_by_the_workloads_user)
{
	static const struct launch launch = { .argv = { SH("echo $$; exec sleep 30") },
		                              .prepare = become_nobody,
		                              .same_pids = true };
	struct run run;
	char text[16] = "";
	pid_t workload;

	rig_need_root();
	run = start(&launch);
	cr_assert_gt(read(run.out_fd, text, sizeof(text) - 1), 0);
	workload = (pid_t)strtol(text, NULL, 10);
	cr_expect_eq(open_as_nobody(run.pid, "mem", O_RDWR), EACCES);
	cr_expect_eq(open_as_nobody(run.pid, "mem", O_RDONLY), EACCES);
	cr_expect_eq(open_as_nobody(run.pid, "environ", O_RDONLY), EACCES);
	cr_expect_eq(open_as_nobody(run.pid, "fd", O_RDONLY | O_DIRECTORY), EACCES);
	/* The user is the same: of the workload itself all that can be had. */
	cr_expect_eq(open_as_nobody(workload, "environ", O_RDONLY), 0);
	cr_expect_eq(open_as_nobody(workload, "fd", O_RDONLY | O_DIRECTORY), 0);
	cr_assert_eq(kill(run.pid, SIGTERM), 0);
	cr_expect_eq(finish(&run).status.wait_status, SIGTERM);
}

/*
 * What tenantd does with tenant-init: may it be executed and not read, nobody looks into it
 * from its first instruction on. Here it is sleep(1), which says nothing of that itself; its
 * argument is a pid.
 */
Test(init, is_kept_from_the_workloads_user_before_it_says_so_itself)
{
	static const struct launch readable = { .argv = { SH("echo x; exec sleep 30") },
		                                .prepare = become_nobody,
		                                .same_pids = true };
	static const char sleep_path[] = "/bin/sleep";
	struct launch launch = readable;
	char block[8192];
	int from = open(sleep_path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	rig_need_root();
	for (int mode = 0111; mode <= 0555; mode += 0444) {
		struct run run;

		launch.init_fd = memfd_create("sleep", MFD_CLOEXEC);
		cr_assert_eq(lseek(from, 0, SEEK_SET), 0);
		while ((n = read(from, block, sizeof(block))) > 0)
			cr_assert_eq(write(launch.init_fd, block, (size_t)n), n);
		cr_assert_eq(fchmod(launch.init_fd, (mode_t)mode), 0);
		run = start(&launch);
		await(&run, "x\n");
		/* Both have executed once the launch pipe ends. */
		cr_assert_eq(io_read_all(run.report_fd, block, sizeof(block)),
		             (ssize_t)sizeof(struct init_report));
		cr_expect_eq(open_as_nobody(run.pid, "mem", O_RDWR), mode == 0111 ? EACCES : 0,
		             "%o", (unsigned int)mode);
		cr_assert_eq(kill(run.pid, SIGKILL), 0);
		cr_assert_eq(waitpid(run.pid, NULL, 0), run.pid);
	}
}

Test(init, says_what_becomes_of_a_command_without_it)
{
	const struct launch directory = { .argv = { "/bin/true" },
		                          .workdir = "/nonexistent",
		                          .alone = true };
	const struct launch missing = { .argv = { "/nonexistent/x" }, .alone = true };
	const struct launch seven = { .argv = { SH("exit 7") }, .alone = true };
	struct outcome outcome = ended(&directory);

	cr_assert_eq(outcome.reports_n, 1);
	cr_expect_eq(outcome.reports[0].stage, INIT_STAGE_CHDIR);
	cr_expect_eq(outcome.reports[0].error, ENOENT);
	outcome = ended(&missing);
	cr_assert_eq(outcome.reports_n, 2);
	cr_expect_eq(outcome.reports[1].stage, INIT_STAGE_EXEC);
	cr_expect_eq(outcome.reports[1].error, ENOENT);
	cr_expect_not(outcome.has_status);
	outcome = ended(&seven);
	cr_expect_eq(outcome.reports_n, 1);
	cr_expect_eq(WEXITSTATUS(outcome.init_status), 7);
}

/* tenantd has died: the next one takes over what it finds. */
Test(init, executes_the_command_also_if_nobody_reads_of_it)
{
	static const struct launch launch = { .argv = { SH("exit 9") } };
	static const struct launch missing = { .argv = { "/nonexistent/x" } };
	struct init_status status;
	struct run run = start(&launch);
	int end = 0;

	(void)close(run.report_fd);
	cr_assert_eq(waitpid(run.pid, &end, 0), run.pid);
	cr_assert(record_status_read(run.status_fd, &status));
	cr_expect_eq(status.kind, INIT_STATUS_WAITED);
	cr_expect_eq(WEXITSTATUS(status.wait_status), 9, "%x",
	             (unsigned int)status.wait_status);
	run = start(&missing);
	(void)close(run.report_fd);
	cr_assert_eq(waitpid(run.pid, &end, 0), run.pid);
	cr_assert(record_status_read(run.status_fd, &status));
	cr_expect_eq(status.kind, INIT_STATUS_NOT_EXECUTED);
}
