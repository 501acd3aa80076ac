/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * isolate/join.c on a real process that stands for pid 1 of a sandbox: what a command that
 * joins it gets, how it is told of, how it ends, and what nobody inside sees of it on its way.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/fdpass.h>
#include <base/io.h>
#include <isolate/execution_state.h>
#include <isolate/join.h>

#include "rig.h"

#define UID_FIRST 1879048192
#define TOLD_MAX  64

static const struct id joined_id = { .bytes = { 1 } }, tenant_id = { .bytes = { 3 } };

static char node[RIG_PATH_BYTES_MAX];
static struct executions all;
static struct loop loop;
static struct child_masks masks;
static struct floors floors;
static struct filters filters;
static struct tenants tenants;
static struct tenant tenant;
static struct execution *running;
static struct spec_launch launch;
static struct tn_error err;
static pid_t first; /* pid 1 of the sandbox */

static union told {
	struct spec_head head;
	struct spec_started started;
	struct spec_exited exited;
} told[TOLD_MAX];
static size_t told_n;
static int terminal_fd = FD_NONE;

static void tell(void *context, const void *message, int fd)
{
	const struct spec_head *head = message;

	(void)context;
	cr_assert_lt(told_n, (size_t)TOLD_MAX);
	memcpy(&told[told_n++], message, head->bytes);
	if (fd >= 0)
		terminal_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static void put(const char *path, const char *text)
{
	cr_assert_eq(io_write_file_at(AT_FDCWD, path, text), 0, "%s", path);
}

/* A process on the other side tells how far it is, and is told to go on. */
static void step(int fd)
{
	char byte = 0;

	if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
		_exit(1);
}

/* In namespaces of its own, as a user of its own, not dumpable: what an execution's pid 1 is.
 */
static void be_first(int sock) __attribute__((noreturn));
static void be_first(int sock)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", 0, NULL) < 0 ||
	    mount("devpts", "/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=620") <
	            0 ||
	    sethostname("inside", 6) < 0 || unshare(CLONE_NEWUSER) < 0)
		_exit(1);
	step(sock);
	if (setresgid(1000, 1000, 1000) < 0 || setresuid(1000, 1000, 1000) < 0)
		_exit(1);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)!write(sock, "", 1);
	for (;;)
		(void)pause();
}

static void first_make(int leaf_fd, int *ret_pid_fd)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP | CLONE_PIDFD | CLONE_NEWPID |
		                            CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
		                            CLONE_NEWUTS | CLONE_NEWCGROUP,
		                   .exit_signal = SIGCHLD,
		                   .cgroup = (uint64_t)leaf_fd,
		                   .pidfd = (uint64_t)(uintptr_t)ret_pid_fd };
	char path[64], map[64], byte;
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	first = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	cr_assert_geq(first, 0, "%s", strerror(errno));
	if (first == 0)
		be_first(ends[1]);
	(void)close(ends[1]);
	rig_need(read(ends[0], &byte, 1) == 1, "a user namespace or /proc cannot be had");
	(void)snprintf(map, sizeof(map), "0 %d 65536", UID_FIRST);
	(void)snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)first);
	put(path, map);
	(void)snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)first);
	put(path, map);
	cr_assert_eq(write(ends[0], "", 1), 1);
	cr_assert_eq(read(ends[0], &byte, 1), 1);
	(void)close(ends[0]);
}

static int init_load(void)
{
	char block[8192];
	cleanup_fd int from = open(TENANT_INIT, O_RDONLY | O_CLOEXEC);
	int to = memfd_create("tenant-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ssize_t n;

	while ((n = io_read_all(from, block, sizeof(block))) > 0)
		cr_assert_eq(io_write_all(to, block, (size_t)n), 0);
	cr_assert_eq(fchmod(to, 0111), 0);
	return to;
}

static void execution_make(int leaf_fd, int pid_fd)
{
	struct sock_filter allow = { .code = BPF_RET | BPF_K, .k = 0x7fff0000 };
	const struct sock_fprog policy = { .len = 1, .filter = &allow };

	running = execution_new(&all, &joined_id);
	running->tenant = &tenant;
	running->leaf_fd = leaf_fd;
	running->pid.fd = pid_fd;
	running->record.tenant = tenant_id;
	running->record.started = 1;
	running->record.pid = first;
	id_table_add(&all.table, &running->node);
	cr_assert_eq(filters_join(&filters, &policy, &running->filter, &err), 0);
	launch = (struct spec_launch){
		.execution = joined_id,
		.tenant = tenant_id,
		.limits = { .nofile_max = 99,
		            .core_bytes_max = 0,
		            .fsize_bytes_max = SPEC_UNLIMITED },
		.env_n = 1,
		.env_bytes = sizeof("PATH=/usr/bin:/bin"),
		.env = "PATH=/usr/bin:/bin",
		.uid = 1000,
		.gid = 1000,
	};
	cr_assert_eq(
		record_create(all.dir_fd, &running->record, &launch, &running->status_fd, &err),
		0);
}

static void set_up(void)
{
	char leaf[RIG_PATH_BYTES_MAX + 8];
	int leaf_fd, pid_fd = FD_NONE;
	const char *tree;

	rig_need_root();
	tree = rig_cgroup2();
	rig_need(tree != NULL, "no cgroup v2 is mounted");
	(void)snprintf(node, sizeof(node), "%s/tn-join-%d", tree, (int)getpid());
	(void)snprintf(leaf, sizeof(leaf), "%s/leaf", node);
	rig_need(mkdir(node, 0755) == 0 && mkdir(leaf, 0755) == 0,
	         "the cgroup v2 tree is not ours to write");
	rig_dir_make();
	/* As tenantd does: the numbers below are the child's. */
	for (int fd = 0; fd < 20;)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	child_masks_probe(&masks);
	/* Where writing is allowed is shown by the tests of whole sandboxes. */
	masks.landlock_abi = 0;
	floors_make(&floors);
	filters = (struct filters){ .floors = &floors, .dir_fd = FD_NONE };
	tenants.filters = &filters;
	cr_assert_eq(loop_init(&loop, &err), 0);
	all.loop = &loop;
	all.tenants = &tenants;
	all.masks = &masks;
	all.dir_fd = rig_dir.fd;
	all.tell = tell;
	all.init_fd = init_load();
	cr_assert_eq(mounts_place_make(&all.mounts_place, &err), 0);
	tenant.cgroup_fd = open(node, O_PATH | O_DIRECTORY | O_CLOEXEC);
	leaf_fd = open(leaf, O_PATH | O_DIRECTORY | O_CLOEXEC);
	first_make(leaf_fd, &pid_fd);
	execution_make(leaf_fd, pid_fd);
}

static void tear_down(void)
{
	if (node[0] == '\0')
		return;
	(void)io_write_file_at(tenant.cgroup_fd, "cgroup.kill", "1");
	while (waitpid(-1, NULL, 0) > 0)
		;
	(void)unlinkat(tenant.cgroup_fd, "leaf", AT_REMOVEDIR);
	cr_expect_eq(rmdir(node), 0, "%s: %s", node, strerror(errno));
	rig_dir_remove();
}

TestSuite(join, .timeout = 60, .init = set_up, .fini = tear_down);

/* Sealed: @argv, no variable, the directory "/". */
static int args_make(const char *const *argv, uint32_t *argc, uint32_t *bytes)
{
	const unsigned int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int fd = memfd_create("args", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	for (*argc = *bytes = 0; argv[*argc] != NULL; (*argc)++) {
		const size_t n = strlen(argv[*argc]) + 1;

		cr_assert_eq(io_write_all(fd, argv[*argc], n), 0);
		*bytes += (uint32_t)n;
	}
	cr_assert_eq(io_write_all(fd, "/", 2), 0);
	*bytes += 2;
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static struct spec_join request_of(uint8_t id)
{
	return (struct spec_join){
		.head = { sizeof(struct spec_join), SPEC_JOIN, SPEC_VERSION, id },
		.tenant = tenant_id,
		.execution = { .bytes = { 9, id } },
		.joins = joined_id,
		.asked_uid = 11,
		.asked_pid = 22,
	};
}

/* @fds: standard streams; the arguments' are put behind them and closed. */
static int ask(struct spec_join request, const char *const *argv, int out)
{
	const bool tty = (request.flags & SPEC_JOIN_TTY) != 0;
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int fds[4] = { null, out >= 0 ? out : null, null };
	int r;

	fds[3] = args_make(argv, &request.argc, &request.args_bytes);
	r = executions_join(&all, &request, tty ? fds + 3 : fds, tty ? 1 : 4, &err);
	(void)close(fds[3]);
	return r;
}

/* Until @n have been told. */
static void await(size_t n)
{
	struct epoll_event event;

	while (told_n < n) {
		cr_assert_eq(epoll_wait(loop.epoll_fd, &event, 1, 20000), 1);
		((struct loop_source *)event.data.ptr)
			->ready(((struct loop_source *)event.data.ptr)->context, event.events);
	}
}

/* What the shell says to @script, and its exit status. */
static const char *say(const char *script, int *ret_status)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	static char text[8192];
	const size_t before = told_n;
	const struct spec_exited *exited = &told[before + 1].exited;
	static uint8_t id = 100;
	int ends[2];
	ssize_t n;

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	cr_assert_eq(ask(request_of(id++), argv, ends[1]), 0, "%s", err.msg);
	(void)close(ends[1]);
	await(before + 2);
	n = io_read_all(ends[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	(void)close(ends[0]);
	cr_assert_eq(told[before].head.op, SPEC_STARTED);
	cr_assert_eq(exited->head.op, SPEC_EXITED);
	cr_assert_eq(exited->kind, SPEC_EXIT_STATUS);
	*ret_status = exited->wait_status;
	return text;
}

static void expect_same_namespace(const char *text, const char *name)
{
	char path[64], link[64] = "";

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)first, name);
	cr_assert_gt(readlink(path, link, sizeof(link) - 1), 0);
	cr_expect(strstr(text, link) != NULL, "%s is not that of pid 1", name);
}

Test(join, has_all_that_the_execution_has_and_no_more)
{
	static const char *const names[] = {
		"mnt", "pid", "net", "ipc", "uts", "user", "cgroup"
	};
	static const char *const facts[] = {
		"CapInh:\t0000000000000000",
		"CapPrm:\t0000000000000000",
		"CapEff:\t0000000000000000",
		"CapBnd:\t0000000000000000",
		"CapAmb:\t0000000000000000",
		"NoNewPrivs:\t1",
		"Seccomp:\t2",
		"Uid:\t1000\t1000\t1000\t1000",
		"Gid:\t1000\t1000\t1000\t1000",
		"Groups:\t \n",
		"host inside",
		"fds 0 1 2 ",
		"oom 500",
		"files 99",
		"dir /",
	};
	int status;
	const char *text = say(
		"ls -l /proc/self/ns; cat /proc/self/status; cat /proc/$$/cgroup;"
		"echo host $(hostname); echo fds $(ls /proc/$$/fd) '';"
		"echo oom $(cat /proc/self/oom_score_adj); echo files $(ulimit -n);"
		"echo dir $(pwd)",
		&status);

	cr_expect_eq(status, 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		expect_same_namespace(text, names[i]);
	for (size_t i = 0; i < ARRAY_LEN(facts); i++)
		cr_expect(strstr(text, facts[i]) != NULL, "%s: not in\n%s", facts[i], text);
	cr_expect(strstr(text, "0::/\n") != NULL, "the leaf is the root of what it sees");
	cr_expect_eq(told[0].started.joined.asked_uid, 11);
	cr_expect_eq(told[1].exited.joined.asked_pid, 22);
	cr_expect(id_equal(&told[1].exited.joined.joins, &joined_id));
	cr_expect_eq(told[1].exited.counters.cpu_usec, SPEC_ABSENT);
}

Test(join, tells_how_its_command_ended)
{
	const char *const missing[] = { "/no/such", NULL };
	int status;

	(void)say("exit 7", &status);
	cr_expect_eq(status, W_EXITCODE(7, 0));
	(void)say("kill -TERM $$", &status);
	cr_expect_eq(status, SIGTERM);
	cr_expect_eq(running->joins_n, 0u);
	cr_expect_eq(all.unsettled_n, 2u);
	cr_assert_eq(ask(request_of(1), missing, FD_NONE), 0, "%s", err.msg);
	await(5);
	cr_expect_eq(told[4].head.op, SPEC_EXITED);
	cr_expect_eq(told[4].exited.kind, SPEC_EXIT_NOT_EXECUTED);
	cr_expect_eq(told[4].exited.exec_errno, ENOENT);
	for (size_t i = 0; i < told_n; i++)
		if (told[i].head.op == SPEC_EXITED)
			executions_settled(&all, &told[i].exited.execution);
	cr_expect_eq(all.unsettled_n, 0u);
	cr_expect_eq(all.joins.n, 0u);
	cr_expect_eq(rig_entries_n(), 2u, "of the execution alone");
}

Test(join, passes_signals_on_and_can_be_killed)
{
	const char *const sleeps[] = { "sleep", "1000", NULL };
	const struct spec_join one = request_of(1), two = request_of(2);
	int ends[2];
	char byte;

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	cr_assert_eq(ask(one,
	                 (const char *const[]){ "sh", "-c",
	                                        "trap 'exit 5' TERM; echo; "
	                                        "while :; do sleep 0.1; done",
	                                        NULL },
	                 ends[1]),
	             0, "%s", err.msg);
	cr_assert_eq(read(ends[0], &byte, 1), 1);
	cr_expect(joins_signal(&all, &one.execution, SIGTERM));
	await(2);
	cr_expect_eq(told[1].exited.wait_status, W_EXITCODE(5, 0));

	cr_assert_eq(ask(two, sleeps, FD_NONE), 0, "%s", err.msg);
	await(3);
	cr_expect(joins_kill(&all, &two.execution, SPEC_KILL_CLIENT_GONE));
	await(4);
	cr_expect_eq(told[3].exited.killed, SPEC_KILL_CLIENT_GONE);
	cr_expect_eq(told[3].exited.kind, SPEC_EXIT_UNKNOWN);
	cr_expect_not(joins_kill(&all, &two.execution, SPEC_KILL_ADMIN), "it has ended");
	cr_expect_not(joins_signal(&all, &joined_id, SIGTERM), "that is an execution");
}

Test(join, ends_with_its_execution)
{
	const char *const sleeps[] = { "sleep", "1000", NULL };
	struct pollfd end = { .fd = running->pid.fd, .events = POLLIN };

	cr_assert_eq(ask(request_of(1), sleeps, FD_NONE), 0, "%s", err.msg);
	await(1);
	cr_assert_eq(kill(first, SIGKILL), 0);
	await(2);
	cr_expect_eq(told[1].exited.killed, SPEC_KILL_WITH_EXECUTION);
	cr_expect_eq(poll(&end, 1, 20000), 1, "nothing is left that pid 1 would wait for");
	cr_expect_eq(ask(request_of(2), sleeps, FD_NONE), -ESRCH);
	cr_expect_eq(err.code, TN_NOT_FOUND);
	cr_expect_eq(running->joins_n, 0u);
}

Test(join, has_a_terminal_of_the_sandboxs_own)
{
	const char *const argv[] = { "sh", "-c", "tty; stty size", NULL };
	struct spec_join request = request_of(1);
	char text[128] = "";

	request.flags = SPEC_JOIN_TTY;
	request.tty_rows = 33;
	request.tty_cols = 44;
	cr_assert_eq(ask(request, argv, FD_NONE), 0, "%s", err.msg);
	await(2);
	cr_assert_geq(terminal_fd, 0);
	cr_expect_gt(read(terminal_fd, text, sizeof(text) - 1), 0);
	cr_expect(strstr(text, "/dev/pts/") != NULL, "%s", text);
}

Test(join, refuses_what_cannot_be)
{
	const char *const argv[] = { "true", NULL };
	struct spec_join request = request_of(1);

	request.joins.bytes[5] = 5;
	cr_expect_lt(ask(request, argv, FD_NONE), 0);
	cr_expect_eq(err.code, TN_NOT_FOUND);
	request = request_of(1);
	request.tenant.bytes[5] = 5;
	cr_expect_lt(ask(request, argv, FD_NONE), 0);
	cr_expect_eq(err.code, TN_NOT_FOUND, "of another tenant");
	request = request_of(1);
	request.uid = SPEC_UIDS_PER_TENANT;
	cr_expect_lt(ask(request, argv, FD_NONE), 0);
	cr_expect_eq(err.code, TN_INVALID);
	request = request_of(1);
	request.flags = 1 << 9;
	cr_expect_lt(ask(request, argv, FD_NONE), 0);
	cr_expect_eq(err.code, TN_INVALID);
	request = request_of(1);
	request.execution = joined_id;
	cr_expect_eq(ask(request, argv, FD_NONE), -EEXIST);
	cr_expect_lt(ask(request_of(1), argv, rig_dir.fd), 0);
	cr_expect_eq(err.code, TN_NOT_PERMITTED, "a directory leads out");
	running->joins_n = JOINS_MAX;
	cr_expect_lt(ask(request_of(1), argv, FD_NONE), 0);
	cr_expect_eq(err.code, TN_STATE);
	running->joins_n = 0;
	running->record.started = 0;
	cr_expect_lt(ask(request_of(1), argv, FD_NONE), 0);
	cr_expect_eq(err.code, TN_NOT_FOUND, "its command has not been executed yet");
	cr_expect_eq(told_n, 0u);
	cr_expect_eq(all.joins.n, 0u);
	cr_expect_eq(rig_entries_n(), 2u);
}

/* A process of the sandbox's, of the same user, that looks into all there is, again and again.
 * What it can look into is to be a program of the sandbox's, never ours. */
static void spy(int told_fd, const char *ours) __attribute__((noreturn));
static void spy(int told_fd, const char *ours)
{
	char path[64], target[PATH_MAX];

	for (;;) {
		for (int pid = 2; pid < 300; pid++) {
			ssize_t n;
			int fd;

			if (pid == getpid())
				continue;
			(void)snprintf(path, sizeof(path), "/proc/%d/exe", pid);
			n = readlink(path, target, sizeof(target) - 1);
			if (n > 0 && (size_t)n == strlen(ours) &&
			    memcmp(target, ours, (size_t)n) == 0)
				(void)!write(told_fd, "e", 1);
			if (n > 0)
				continue;
			(void)snprintf(path, sizeof(path), "/proc/%d/mem", pid);
			fd = open(path, O_RDWR | O_CLOEXEC);
			n = fd < 0 ? -1 : readlink(path, target, sizeof(target));
			if (fd >= 0 && strcmp(target, ours) == 0)
				(void)!write(told_fd, "m", 1);
			fd_closep(&fd);
		}
	}
}

static int spy_run(void *argument)
{
	static char ours[PATH_MAX];
	const int *fds = argument;

	if (readlink("/proc/self/exe", ours, sizeof(ours) - 1) < 0)
		_exit(1);
	if (setns(fds[0], CLONE_NEWNS) < 0 || setns(fds[0], CLONE_NEWUSER) < 0 ||
	    setresgid(1000, 1000, 1000) < 0 || setresuid(1000, 1000, 1000) < 0)
		_exit(1);
	(void)!write(fds[1], "r", 1);
	spy(fds[1], ours);
}

Test(join, is_seen_by_nobody_inside_before_it_has_executed)
{
	const char *const argv[] = { "true", NULL };
	int fds[2], ends[2];
	struct pollfd caught;
	char what;
	pid_t pid;

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	fds[0] = running->pid.fd;
	fds[1] = ends[1];
	/* A child of ours, in the sandbox's pid namespace. */
	pid = fork();
	if (pid == 0) {
		if (setns(running->pid.fd, CLONE_NEWPID) < 0 || fork() != 0)
			_exit(0);
		_exit(spy_run(fds));
	}
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	cr_assert_eq(read(ends[0], &what, 1), 1);
	cr_assert_eq(what, 'r');
	for (uint8_t i = 0; i < 20; i++) {
		cr_assert_eq(ask(request_of(i), argv, FD_NONE), 0, "%s", err.msg);
		await(2 * ((size_t)i + 1));
	}
	caught = (struct pollfd){ .fd = ends[0], .events = POLLIN };
	cr_expect_eq(poll(&caught, 1, 0), 0, "what is ours was seen");
}
