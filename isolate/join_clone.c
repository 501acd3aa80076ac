/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "join_clone.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/io.h>
#include <base/num.h>

#include "init.h"

/* What the process that clones works on; in tenantd's memory. */
struct work {
	struct join_clone *child;
	struct context context; /* of its message queues */
	struct tn_error *err;
	int result;
};

/* From the execution's own IPC namespace: after a restart that is not its tenant's of now. */
static int queues_take(struct work *work)
{
	const struct child_request *request = &work->child->request;

	if (request->masks->landlock_abi == 0)
		return 0;
	if (setns(request->join_pid_fd, CLONE_NEWIPC) < 0)
		return err_errno(work->err, "enter the execution's IPC namespace");
	return context_queues_open(&work->context.queues_fd, work->err);
}

static int clone_from_here(struct work *work)
{
	struct join_clone *child = work->child;
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | CLONE_PARENT,
		.cgroup = (uint64_t)child->request.leaf_fd,
		.pidfd = (uint64_t)(uintptr_t)&child->pid_fd,
	};
	long pid;

	if (setns(child->request.join_pid_fd, CLONE_NEWPID) < 0)
		return err_errno(work->err, "enter the execution's pid namespace");
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		child_join(&child->request);
	child->pid = (int)pid;
	return pid < 0 ? err_errno(work->err, "clone into the leaf: %s", strerror(errno)) : 0;
}

static int run(void *argument)
{
	struct work *work = argument;

	work->result = queues_take(work);
	if (work->result == 0)
		work->result = clone_from_here(work);
	_exit(0);
}

static void run_in_our_memory(const struct mounts_place *place, struct work *work)
{
	sigset_t all, before;
	int pid;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	pid = clone(run, place->stack_tops[0], CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD,
	            work);
	if (pid < 0)
		work->result = err_errno(work->err, "fork");
	else
		(void)waitpid(pid, NULL, 0);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
}

/*
 * The lowest that it can go to from then on, too. Not by the child itself, which may be stopped
 * with the lock for it held; see child.h.
 */
static int32_t oom_score_set(const struct mounts_place *place, const struct join_clone *child)
{
	char path[48], text[24];
	int r;

	(void)snprintf(path, sizeof(path), "%d/oom_score_adj", child->pid);
	num_put(text, child->request.oom_score_adj);
	r = io_write_file_at(place->proc_fd, path, text);
	/* It has ended: its pidfd tells. */
	return r == -ENOENT || r == -ESRCH ? 0 : (int32_t)-r;
}

/* What the kernel says of a pid namespace that ends, and of a leaf that is full. */
static int explain(int r, struct tn_error *err)
{
	if (r == -ESRCH || r == -ENOMEM)
		return err_set(err, TN_NOT_FOUND, ESRCH, "the execution is ending");
	if (r == -EAGAIN)
		return child_error(INIT_STAGE_FORK, EAGAIN, err);
	return r;
}

int join_clone(const struct mounts_place *place, struct join_clone *child, struct tn_error *err)
{
	struct work work = { .child = child, .err = err, .result = -EIO };
	int ends[2];

	child->pid_fd = child->go_fd = FD_NONE;
	child->error = 0;
	context_init(&work.context);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_errno(err, "socket to let a command begin");
	child->request.mounts_peer_fd = ends[0];
	child->request.mounts_fd = ends[1];
	child->request.context = &work.context;
	run_in_our_memory(place, &work);
	fd_closep(&work.context.queues_fd);
	(void)close(ends[1]);
	child->go_fd = ends[0];
	if (work.result < 0) {
		join_clone_go(child, false);
		return explain(work.result, err);
	}
	child->error = oom_score_set(place, child);
	return 0;
}

void join_clone_go(struct join_clone *child, bool go)
{
	if (go)
		(void)send(child->go_fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	fd_closep(&child->go_fd);
}
