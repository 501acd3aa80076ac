/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* isolate/cgroup.c on a real tree: a node of our own at the top of cgroup v2. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/io.h>
#include <isolate/cgroup.h>

#include "rig.h"

static const struct spec_execution_limits unlimited = { .cpu_quota_usec = SPEC_UNLIMITED,
	                                                .memory_max_bytes = SPEC_UNLIMITED,
	                                                .tasks_max = SPEC_UNLIMITED };
static char node[RIG_PATH_BYTES_MAX];
static int node_fd = FD_NONE;

static void node_make(void)
{
	const char *tree;

	rig_need_root();
	tree = rig_cgroup2();
	rig_need(tree != NULL, "no cgroup v2 is mounted");
	(void)snprintf(node, sizeof(node), "%s/tn-unit-%d", tree, (int)getpid());
	rig_need(mkdir(node, 0755) == 0, "the cgroup v2 tree is not ours to write");
	node_fd = open(node, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(node_fd, 0);
}

/* Also after a failed test: nothing in it survives, and it goes. */
static void node_remove(void)
{
	static const char *const leaves[] = { "one", "two" };

	if (node_fd < 0)
		return;
	(void)io_write_file_at(node_fd, "cgroup.kill", "1");
	while (waitpid(-1, NULL, 0) > 0)
		;
	for (size_t i = 0; i < ARRAY_LEN(leaves); i++)
		(void)unlinkat(node_fd, leaves[i], AT_REMOVEDIR);
	fd_closep(&node_fd);
	cr_expect_eq(rmdir(node), 0, "%s: %s", node, strerror(errno));
}

TestSuite(cgroup_kernel, .timeout = 30, .init = node_make, .fini = node_remove);

static int leaf_create(const char *name)
{
	struct tn_error err = { 0 };
	int fd = cg_leaf_create(node_fd, name, &unlimited, false, 0, &err);

	cr_assert_geq(fd, 0, "%s", err.msg);
	return fd;
}

/* A process born in @leaf_fd that waits for its end. */
static pid_t process_in(int leaf_fd)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP,
		                   .exit_signal = SIGCHLD,
		                   .cgroup = (uint64_t)leaf_fd };
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		for (;;)
			(void)pause();
	cr_assert_gt(pid, 0, "%s", strerror(errno));
	return (pid_t)pid;
}

static bool leaf_exists(const char *name)
{
	return faccessat(node_fd, name, F_OK, 0) == 0;
}

Test(cgroup_kernel, refuses_one_leaf_more_than_the_node_may_have)
{
	struct tn_error err = { 0 };

	cr_assert_eq(io_write_file_at(node_fd, "cgroup.max.descendants", "1"), 0);
	(void)leaf_create("one");
	cr_expect_eq(cg_leaf_create(node_fd, "two", &unlimited, false, 0, &err), -EDQUOT);
	cr_expect_eq(err.code, TN_QUOTA);
	cr_expect_str_eq(err.msg,
	                 "executions_max is reached (the kernel's cgroup.max.descendants)");
	cr_expect_not(leaf_exists("two"));
	/* The place is free as soon as the leaf is gone. */
	cr_expect_eq(cg_leaf_remove(node_fd, "one", &err), 0, "%s", err.msg);
	(void)leaf_create("two");
}

Test(cgroup_kernel, leaves_nothing_behind_when_a_controller_is_not_there)
{
	const struct spec_execution_limits limits = { .cpu_quota_usec = 50000,
		                                      .memory_max_bytes = 1 << 20,
		                                      .tasks_max = 5 };
	struct tn_error err = { 0 };

	/* No controller is enabled for the children of a node that was just made. */
	cr_expect_eq(
		cg_leaf_create(node_fd, "one", &limits, true, SPEC_CONTROLLER_MEMORY, &err),
		-ENOENT);
	cr_expect_str_eq(
		err.msg,
		"limit leaf 'one': write '1048576' to memory.max: No such file or directory");
	cr_expect_not(leaf_exists("one"));
}

Test(cgroup_kernel, kills_all_that_is_in_a_leaf_and_removes_it_only_then)
{
	struct tn_error err = { 0 };
	int leaf_fd = leaf_create("one");
	pid_t pids[] = { process_in(leaf_fd), process_in(leaf_fd) };
	int status = 0;

	cr_expect_eq(cg_leaf_remove(node_fd, "one", &err), -EBUSY);
	cr_expect_str_eq(err.msg, "remove leaf 'one': Device or resource busy");
	cr_expect(leaf_exists("one"));
	cr_assert_eq(cg_kill(leaf_fd, &err), 0, "%s", err.msg);
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		cr_assert_eq(waitpid(pids[i], &status, 0), pids[i]);
		cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%x",
		          (unsigned int)status);
	}
	cr_expect_eq(cg_leaf_remove(node_fd, "one", &err), 0, "%s", err.msg);
	cr_expect_not(leaf_exists("one"));
}

Test(cgroup_kernel, sees_what_is_frozen)
{
	int leaf_fd = leaf_create("one");

	cr_expect_not(cg_frozen(leaf_fd));
	cr_assert_eq(io_write_file_at(leaf_fd, "cgroup.freeze", "1"), 0);
	cr_expect(cg_frozen(leaf_fd));
	cr_assert_eq(io_write_file_at(leaf_fd, "cgroup.freeze", "0"), 0);
	cr_expect_not(cg_frozen(leaf_fd));
}

Test(cgroup_kernel, counts_what_a_process_used_after_it_has_ended)
{
	int leaf_fd = leaf_create("one");
	struct clone_args args = { .flags = CLONE_INTO_CGROUP,
		                   .exit_signal = SIGCHLD,
		                   .cgroup = (uint64_t)leaf_fd };
	struct spec_counters before, after, by_name;
	struct cg_counter_files files, none;
	long pid;

	cg_counter_files_init(&none);
	cg_counter_files_init(&files);
	cg_counter_files_open(&files, leaf_fd, ~0u);
	cg_counters_read(leaf_fd, ~0u, &files, &before);
	cr_expect_eq(before.cpu_usec, 0);
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		for (volatile unsigned int i = 0; i < 20000000; i++)
			;
		_exit(0);
	}
	cr_assert_eq(waitpid((pid_t)pid, NULL, 0), (pid_t)pid);
	after = by_name = (struct spec_counters){ 0 };
	cg_counters_read(leaf_fd, ~0u, &files, &after);
	cg_counters_read(leaf_fd, ~0u, &none, &by_name);
	cr_expect_arr_eq(&after, &by_name, sizeof(after), "the same, however they are read");
	cg_counter_files_close(&files);
	cr_expect_gt(after.cpu_usec, 1000);
	cr_expect_geq(after.cpu_usec + 1, after.cpu_user_usec + after.cpu_system_usec);
	/* The node was given no controllers, so there is nobody to count these. */
	cr_expect_eq(after.memory_peak_bytes, SPEC_ABSENT);
	cr_expect_eq(after.pids_peak, SPEC_ABSENT);
	cr_expect_eq(after.io_read_bytes, SPEC_ABSENT);
}
