/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * isolate/launcher.c: whose a child is, where it begins, and who waits for it. What children
 * do here is not what they do in a launch: they are told by the number of arguments.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/io.h>
#include <isolate/launcher.h>

#include "rig.h"

#define REPEATED 50

/* What a child is to do. */
enum {
	EXITS,
	EXECUTES, /* something that waits for its end */
	WAITS,
	MAPS,
	TELLS_LATER, /* on a byte in status_fd: its flags, to report_fd */
	LEAVES_ONE,  /* executes, and has a process left in its memory until a byte comes */
};

static char node[RIG_PATH_BYTES_MAX];
static int node_fd = FD_NONE;
static struct launchers launchers;
static struct context context;
static struct sock_filter code[BPF_MAXINSNS];
static struct sock_fprog filter = { .len = 1, .filter = code };
static struct spec_launch launch;
static struct child_request request;

static void leaf_make(void)
{
	const char *tree;

	rig_need_root();
	tree = rig_cgroup2();
	rig_need(tree != NULL, "no cgroup v2 is mounted");
	(void)snprintf(node, sizeof(node), "%s/tn-launcher-%d", tree, (int)getpid());
	rig_need(mkdir(node, 0755) == 0, "the cgroup v2 tree is not ours to write");
	node_fd = open(node, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(node_fd, 0);
	request = (struct child_request){
		.leaf_fd = node_fd, .context = &context, .launch = &launch, .filter = &filter
	};
}

static void leaf_remove(void)
{
	if (node_fd < 0)
		return;
	launchers_stop(&launchers);
	(void)io_write_file_at(node_fd, "cgroup.kill", "1");
	while (waitpid(-1, NULL, 0) > 0)
		;
	fd_closep(&node_fd);
	cr_expect_eq(rmdir(node), 0, "%s: %s", node, strerror(errno));
}

TestSuite(launcher, .timeout = 30, .init = leaf_make, .fini = leaf_remove);

static void tell_later(const struct child_request *r)
{
	char byte;

	if (read(r->status_fd, &byte, 1) != 1)
		_exit(1);
	(void)!write(r->report_fd, &r->launch->flags, sizeof(r->launch->flags));
	(void)!write(r->report_fd, &r->context->queues_fd, sizeof(r->context->queues_fd));
	(void)!write(r->report_fd, &r->filter->filter[0].k, sizeof(uint32_t));
}

static int stay(void *argument)
{
	const struct child_request *r = argument;
	char byte;

	_exit(read(r->status_fd, &byte, 1) == 1 ? 0 : 1);
}

/* As isolate/start.c begins a workload beside tenant-init. */
static void leave_one(const struct child_request *r)
{
	static _Alignas(16) char stack[16384];
	int32_t *pid = &r->maps->workload;

	(void)clone(stay, stack + sizeof(stack),
	            CLONE_VM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD,
	            (void *)(uintptr_t)r, pid, NULL, pid);
}

static void enter(const struct child_request *r)
{
	const size_t bytes = (size_t)1 << 20;
	char *const nothing[] = { NULL };
	char *const words[] = { (char *)(uintptr_t) "sleep", (char *)(uintptr_t) "1000", NULL };

	if (r->launch->argc == LEAVES_ONE)
		leave_one(r);
	if (r->launch->argc == EXECUTES || r->launch->argc == LEAVES_ONE)
		(void)execve("/bin/sleep", words, nothing);
	if (r->launch->argc == WAITS)
		for (;;)
			(void)pause();
	if (r->launch->argc == MAPS && r->maps != NULL) {
		r->maps->at[1] = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		r->maps->bytes[1] = bytes;
	}
	if (r->launch->argc == TELLS_LATER)
		tell_later(r);
	/* The first of a pid namespace, and in the leaf. */
	_exit(syscall(SYS_getpid) == 1 ? 7 : 1);
}

static void start(void)
{
	struct tn_error err = { 0 };

	cr_assert_eq(launchers_start(&launchers, enter, &err), 0, "%s", err.msg);
}

static int cloned(int *ret_pid, int *ret_pid_fd, struct tn_error *err)
{
	struct launching launching;

	launcher_begin(&launchers, &request, &launching);
	return launcher_finish(&launching, ret_pid, ret_pid_fd, err);
}

/* Returns a child's pidfd. */
static int child(uint32_t what, int *ret_pid)
{
	struct tn_error err = { 0 };
	int pid_fd = FD_NONE;

	launch.argc = what;
	cr_assert_eq(cloned(ret_pid, &pid_fd, &err), 0, "%s", err.msg);
	cr_assert_gt(*ret_pid, 0);
	cr_assert_geq(pid_fd, 0);
	return pid_fd;
}

static void expect_end(int pid_fd, int code_wanted, int status)
{
	siginfo_t info = { 0 };

	cr_assert_eq(waitid(P_PIDFD, (id_t)pid_fd, &info, WEXITED), 0, "%s", strerror(errno));
	cr_expect_eq(info.si_code, code_wanted);
	cr_expect_eq(info.si_status, status);
	(void)close(pid_fd);
}

static const char *comm_of(int pid)
{
	static char text[64];
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	cr_assert_gt(io_read_file_at(AT_FDCWD, path, text, sizeof(text)), 0);
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static size_t launchers_n(void)
{
	size_t n = 0;

	for (size_t i = 0; i < LAUNCHERS_MAX; i++)
		n += launchers.all[i] != NULL;
	return n;
}

static bool is_in_leaf(int pid)
{
	char text[4096] = "\n", word[32];

	(void)snprintf(word, sizeof(word), "\n%d\n", pid);
	cr_assert_geq(io_read_file_at(node_fd, "cgroup.procs", text + 1, sizeof(text) - 1), 0);
	return strstr(text, word) != NULL;
}

/* The pid of the first launcher: our only child that is no execution's. */
static pid_t launcher_pid_now(void)
{
	char text[4096];
	int pid = 0;

	cr_assert_gt(
		io_read_file_at(AT_FDCWD, "/proc/thread-self/children", text, sizeof(text)), 0);
	cr_assert_eq(sscanf(text, "%d", &pid), 1);
	return pid;
}

static size_t lines_of_maps(pid_t pid)
{
	static char text[1 << 20];
	char path[32];
	size_t n = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	cr_assert_gt(io_read_file_at(AT_FDCWD, path, text, sizeof(text)), 0);
	for (const char *at = strchr(text, '\n'); at != NULL; at = strchr(at + 1, '\n'))
		n++;
	return n;
}

/* Reaped by whoever asks next: a zombie is dead enough. */
static void end_wait(pid_t pid)
{
	siginfo_t info;

	cr_assert_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

Test(launcher, clones_a_child_that_is_ours_and_begins_in_the_leaf)
{
	int pid, pid_fd;

	start();
	pid_fd = child(EXITS, &pid);
	expect_end(pid_fd, CLD_EXITED, 7);
	pid_fd = child(WAITS, &pid);
	cr_expect(is_in_leaf(pid));
	cr_expect_not(is_in_leaf((int)getpid()));
	cr_assert_eq(kill(pid, SIGKILL), 0);
	expect_end(pid_fd, CLD_KILLED, SIGKILL);
	cr_expect_eq(launchers.forked_n, 0);
}

Test(launcher, has_every_signal_blocked_in_the_child_and_ours_left_as_they_were)
{
	sigset_t before, after;
	int pid, pid_fd;

	start();
	cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &before), 0);
	pid_fd = child(WAITS, &pid);
	cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &after), 0);
	cr_expect_arr_eq(&before, &after, sizeof(uint64_t));
	for (int signal = 1; signal < SIGRTMIN; signal++)
		if (signal != SIGKILL && signal != SIGSTOP)
			cr_assert_eq(kill(pid, signal), 0);
	cr_expect(is_in_leaf(pid));
	cr_assert_eq(kill(pid, SIGKILL), 0);
	expect_end(pid_fd, CLD_KILLED, SIGKILL);
}

/* It stands still no longer than that, whatever becomes of the child then. */
Test(launcher, has_time_again_once_the_child_has_executed)
{
	int pids[2], fds[2];

	start();
	fds[0] = child(EXECUTES, &pids[0]);
	for (int i = 0; i < REPEATED; i++)
		expect_end(child(EXITS, &pids[1]), CLD_EXITED, 7);
	cr_assert_eq(kill(pids[0], SIGKILL), 0);
	expect_end(fds[0], CLD_KILLED, SIGKILL);
	cr_expect_eq(launchers.forked_n, 0);
}

static bool is_idle(const struct launcher *wanted)
{
	struct launching launching;
	struct tn_error err = { 0 };
	int pid, pid_fd;

	launch.argc = EXITS;
	launcher_begin(&launchers, &request, &launching);
	cr_assert_eq(launcher_finish(&launching, &pid, &pid_fd, &err), 0, "%s", err.msg);
	expect_end(pid_fd, CLD_EXITED, 7);
	return launching.by == wanted;
}

/* What the child has begun beside itself uses what the child has mapped. */
Test(launcher, has_no_time_while_a_workload_that_has_not_executed_is_in_its_memory)
{
	int pid, fd, ends[2];

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	request.status_fd = ends[0];
	start();
	fd = child(LEAVES_ONE, &pid);
	while (strcmp(comm_of(pid), "sleep") != 0)
		(void)sched_yield();
	for (int i = 0; i < REPEATED; i++)
		cr_expect_not(is_idle(launchers.all[0]));
	cr_assert_eq(write(ends[1], "", 1), 1);
	while (!is_idle(launchers.all[0]))
		(void)sched_yield();
	cr_expect_eq(launchers.forked_n, 0);
	cr_assert_eq(kill(pid, SIGKILL), 0);
	expect_end(fd, CLD_KILLED, SIGKILL);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static int cpus_of(int pid)
{
	cpu_set_t set;

	cr_assert_eq(sched_getaffinity(pid, sizeof(set), &set), 0);
	return CPU_COUNT(&set);
}

Test(launcher, lets_a_child_be_where_we_can_be)
{
	const int ours = cpus_of(0);
	int pid, fd;

	start();
	for (int i = 0; i < REPEATED; i++) {
		fd = child(EXECUTES, &pid);
		while (strcmp(comm_of(pid), "sleep") != 0)
			(void)sched_yield();
		cr_expect_eq(cpus_of(pid), ours);
		cr_assert_eq(kill(pid, SIGKILL), 0);
		expect_end(fd, CLD_KILLED, SIGKILL);
	}
	cr_expect_eq(cpus_of(0), ours);
}

Test(launcher, is_never_waited_for_while_a_child_does_not_get_on)
{
	int pids[LAUNCHERS_MAX + 2], fds[LAUNCHERS_MAX + 2];
	const int n = ARRAY_LEN(pids);

	start();
	for (int i = 0; i < n; i++)
		fds[i] = child(WAITS, &pids[i]);
	cr_expect_eq(launchers_n(), LAUNCHERS_MAX);
	/* All are busy: the others are copies of us. */
	cr_expect_eq(launchers.forked_n, 2);
	for (int i = 0; i < n; i++) {
		cr_expect(is_in_leaf(pids[i]));
		cr_assert_eq(kill(pids[i], SIGKILL), 0);
		expect_end(fds[i], CLD_KILLED, SIGKILL);
	}
}

Test(launcher, keeps_nothing_that_a_child_has_mapped)
{
	size_t before;
	pid_t launcher;
	int pid;

	start();
	launcher = launcher_pid_now();
	expect_end(child(MAPS, &pid), CLD_EXITED, 7);
	before = lines_of_maps(launcher);
	for (int i = 0; i < REPEATED; i++)
		expect_end(child(MAPS, &pid), CLD_EXITED, 7);
	cr_expect_leq(lines_of_maps(launcher), before + 1);
}

static bool lost_with(const struct launcher_turn *turn)
{
	return launchers_lost(&launchers, turn);
}

/* A child of the kind that waits is killed, and its launcher too if so wanted. */
static struct launcher_turn turn_ended(bool with_launcher)
{
	struct launching launching;
	struct tn_error err = { 0 };
	pid_t launcher = launcher_pid_now();
	int pid, pid_fd;

	launch.argc = WAITS;
	launcher_begin(&launchers, &request, &launching);
	cr_assert_eq(launcher_finish(&launching, &pid, &pid_fd, &err), 0, "%s", err.msg);
	if (with_launcher)
		cr_assert_eq(kill(launcher, SIGKILL), 0);
	cr_assert_eq(kill(pid, SIGKILL), 0);
	expect_end(pid_fd, CLD_KILLED, SIGKILL);
	return launching.turn;
}

Test(launcher, is_known_to_have_died_with_its_child)
{
	const struct launcher_turn none = { 0 };
	struct launcher_turn alone, together;

	start();
	cr_expect_not(lost_with(&none));
	alone = turn_ended(false);
	cr_expect_not(lost_with(&alone));
	together = turn_ended(true);
	cr_expect(lost_with(&together));
	cr_expect_not(lost_with(&alone));
	/* Also when there is another in its place. */
	alone = turn_ended(false);
	cr_expect_eq(alone.place, together.place);
	cr_expect(lost_with(&together));
	cr_expect_not(lost_with(&alone));
	cr_expect_eq(launchers_n(), 1);
}

/* Its memory would not be the tenant's. */
Test(launcher, clones_nobody_with_long_arguments)
{
	int pid;

	start();
	launch.envc = LAUNCHER_POINTERS_BYTES_MAX / sizeof(char *);
	expect_end(child(EXITS, &pid), CLD_EXITED, 7);
	cr_expect_eq(launchers.forked_n, 1);
	launch.envc = 0;
	expect_end(child(EXITS, &pid), CLD_EXITED, 7);
	cr_expect_eq(launchers.forked_n, 1);
}

Test(launcher, has_copied_all_that_the_child_is_to_know)
{
	int in[2], out[2], pid, pid_fd, queues_fd = 0;
	uint32_t flags = 0, k = 0;
	const char byte = 1;

	cr_assert_eq(pipe2(in, O_CLOEXEC), 0);
	cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
	start();
	request.status_fd = in[0];
	request.report_fd = out[1];
	launch.flags = 0x1234;
	context.queues_fd = 77;
	code[0].k = 0x5678;
	pid_fd = child(TELLS_LATER, &pid);
	launch.flags = context.queues_fd = 0;
	code[0].k = 0;
	request = (struct child_request){ .leaf_fd = node_fd };
	cr_assert_eq(write(in[1], &byte, 1), 1);
	cr_assert_eq(read(out[0], &flags, sizeof(flags)), sizeof(flags));
	cr_assert_eq(read(out[0], &queues_fd, sizeof(queues_fd)), sizeof(queues_fd));
	cr_assert_eq(read(out[0], &k, sizeof(k)), sizeof(k));
	cr_expect_eq(flags, 0x1234);
	cr_expect_eq(queues_fd, 77);
	cr_expect_eq(k, 0x5678);
	expect_end(pid_fd, CLD_EXITED, 7);
}

/* Out of memory a tenant can have one killed together with its child. */
Test(launcher, is_replaced_when_it_has_died_and_takes_no_child_with_it)
{
	int pids[2], pid_fd;
	pid_t launcher;

	start();
	launcher = launcher_pid_now();
	pid_fd = child(WAITS, &pids[0]);
	cr_assert_eq(kill(launcher, SIGKILL), 0);
	end_wait(launcher);
	for (int i = 0; i < REPEATED; i++)
		expect_end(child(EXITS, &pids[1]), CLD_EXITED, 7);
	cr_expect(is_in_leaf(pids[0]));
	cr_assert_eq(kill(pids[0], SIGKILL), 0);
	expect_end(pid_fd, CLD_KILLED, SIGKILL);
	cr_expect_eq(launchers.forked_n, 0);
}

Test(launcher, says_what_the_kernel_said)
{
	struct tn_error err = { 0 };
	int pid = 0, pid_fd = FD_NONE;

	start();
	request.leaf_fd = 4000;
	cr_expect_eq(cloned(&pid, &pid_fd, &err), -EBADF);
	cr_expect_str_eq(err.msg, "clone into the leaf: Bad file descriptor");
	cr_expect_eq(pid, 0);
	/* It serves the next. */
	request.leaf_fd = node_fd;
	expect_end(child(EXITS, &pid), CLD_EXITED, 7);
	cr_expect_eq(launchers.forked_n, 0);
}

/* Whoever makes its mounts asks for it, and is another process of ours. */
Test(launcher, tells_a_childs_pid_also_to_another_process)
{
	struct launching launching;
	struct tn_error err = { 0 };
	int pid = 0, pid_fd = FD_NONE, status = 0;
	pid_t asks;

	start();
	launch.argc = WAITS;
	launcher_begin(&launchers, &request, &launching);
	asks = fork();
	if (asks == 0)
		_exit(launcher_pid(&launching) > 0 && is_in_leaf(launcher_pid(&launching)) ? 0
		                                                                           : 1);
	cr_assert_eq(waitpid(asks, &status, 0), asks);
	cr_expect_eq(status, 0);
	cr_assert_eq(launcher_finish(&launching, &pid, &pid_fd, &err), 0, "%s", err.msg);
	cr_expect_eq(launcher_pid(&launching), pid);
	cr_assert_eq(kill(pid, SIGKILL), 0);
	expect_end(pid_fd, CLD_KILLED, SIGKILL);
}

/* One that dies with a request is no reason to wait for ever, whoever waits. */
Test(launcher, fails_a_child_whose_launcher_dies_before_it_is_there)
{
	struct launching launching;
	struct tn_error err = { 0 };
	int pid = 0, pid_fd = FD_NONE, status = 0;
	pid_t launcher, asks;

	start();
	launcher = launcher_pid_now();
	cr_assert_eq(kill(launcher, SIGSTOP), 0);
	launcher_begin(&launchers, &request, &launching);
	asks = fork();
	if (asks == 0)
		_exit(launcher_pid(&launching) == -ECHILD ? 0 : 1);
	cr_assert_eq(kill(launcher, SIGKILL), 0);
	cr_assert_eq(waitpid(asks, &status, 0), asks);
	cr_expect_eq(status, 0);
	cr_expect_eq(launcher_finish(&launching, &pid, &pid_fd, &err), -ECHILD);
	cr_expect_str_eq(err.msg,
	                 "the process that was to begin the sandbox has died; launch again");
	/* The next has another. */
	expect_end(child(EXITS, &pid), CLD_EXITED, 7);
	cr_expect_eq(launchers.forked_n, 0);
}

Test(launcher, goes_with_the_others_when_they_are_stopped)
{
	int pid, pid_fd;

	start();
	pid_fd = child(WAITS, &pid);
	launchers_stop(&launchers);
	cr_expect_eq(launchers_n(), 0);
	/* The child goes on; no other child of ours is left. */
	cr_expect(is_in_leaf(pid));
	cr_assert_eq(kill(pid, SIGKILL), 0);
	expect_end(pid_fd, CLD_KILLED, SIGKILL);
	cr_expect_eq(waitpid(-1, NULL, 0), -1);
}
