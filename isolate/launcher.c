/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "launcher.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <base/fd.h>

#include "init.h"
#include "raw_call.h"

#define LAUNCHER_NAME "tenantd-launch"
/* So often is looked for a child without a wait: mostly it takes some ten microseconds. */
#define LAUNCHER_LOOKS     1000
#define LAUNCHER_WAIT_NSEC 1000000
/* It is woken and dies as soon as its child is gone. */
#define LAUNCHER_DEATH_MSEC 20

enum launcher_state {
	LAUNCHER_IDLE,
	LAUNCHER_BUSY, /* from the request on until nobody else is in its memory any more */
};

/*
 * What tenantd and a launcher both have mapped, and the launcher's child until it executes.
 * tenantd takes nothing back from it but the child's numbers, which the kernel has put there
 * before the child ran.
 */
struct share {
	uint32_t state; /* enum launcher_state; a futex */
	int32_t pid;    /* 0: not yet, negative: -errno; a futex */
	int32_t pid_fd; /* a descriptor in the table that both use */
	launcher_enter_fn *enter;
	struct child_request request;
	struct child_maps maps;
	struct spec_launch launch;
	struct context context;
	struct sock_fprog filter;
	struct sock_filter code[BPF_MAXINSNS];
};

struct launcher {
	struct share *share;
	int pid;
	int pid_fd;
	uint64_t turn; /* the last one's number */
};

static void word_wait(const void *word, uint32_t while_it_is, long nsec)
{
	const struct timespec most = { .tv_nsec = nsec };

	(void)syscall(SYS_futex, word, FUTEX_WAIT, while_it_is, nsec > 0 ? &most : NULL, NULL,
	              0);
}

static void word_wake(const void *word)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/*
 * The child goes on in this very frame, on the same stack: it calls, and never returns.
 * Everything that this function reads afterwards lies in the share or in registers, which the
 * kernel gives back.
 */
__attribute__((noinline)) static void child_clone(struct share *share)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP | CLONE_PIDFD | CLONE_NEWPID | CLONE_CLEAR_SIGHAND |
		         CLONE_PARENT | CLONE_PARENT_SETTID | CLONE_VM | CLONE_VFORK,
		.cgroup = (uint64_t)share->request.leaf_fd,
		.pidfd = (uint64_t)(uintptr_t)&share->pid_fd,
		.parent_tid = (uint64_t)(uintptr_t)&share->pid,
	};
	const long pid = CALL(SYS_clone3, &args, sizeof(args), 0, 0);

	if (pid == 0)
		share->enter(&share->request);
	if (pid > 0)
		return;
	__atomic_store_n(&share->pid, (int32_t)pid, __ATOMIC_RELEASE);
	word_wake(&share->pid);
}

/* The child has executed, or is no more; what it mapped is ours once its workload has, too. */
static void maps_drop(struct child_maps *maps)
{
	int32_t workload;

	while ((workload = __atomic_load_n(&maps->workload, __ATOMIC_ACQUIRE)) != 0)
		word_wait(&maps->workload, (uint32_t)workload, 0);
	for (size_t i = 0; i < ARRAY_LEN(maps->at); i++)
		if (maps->at[i] != NULL)
			(void)munmap(maps->at[i], maps->bytes[i]);
	*maps = (struct child_maps){ 0 };
}

static bool is_busy(const struct share *share)
{
	return __atomic_load_n(&share->state, __ATOMIC_ACQUIRE) == LAUNCHER_BUSY;
}

static void request_await(const struct share *share)
{
	while (!is_busy(share))
		word_wait(&share->state, LAUNCHER_IDLE, 0);
}

static void serve(struct share *share) __attribute__((noreturn));
static void serve(struct share *share)
{
	for (;;) {
		request_await(share);
		child_clone(share);
		maps_drop(&share->maps);
		__atomic_store_n(&share->state, LAUNCHER_IDLE, __ATOMIC_RELEASE);
	}
}

/*
 * With tenantd's table of descriptors: so none has to be sent, and the child's pidfd is there
 * at once. It is killed with tenantd, or it would keep those open.
 */
static int launcher_fork(struct share *share, int parent, int *ret_pid_fd)
{
	struct clone_args args = { .flags = CLONE_FILES | CLONE_PIDFD,
		                   .exit_signal = SIGCHLD,
		                   .pidfd = (uint64_t)(uintptr_t)ret_pid_fd };
	sigset_t all, before;
	long pid;

	*ret_pid_fd = FD_NONE;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		(void)prctl(PR_SET_NAME, LAUNCHER_NAME, 0, 0, 0);
		if (getppid() != parent)
			_exit(1);
		serve(share);
	}
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return (int)pid;
}

static struct launcher *launcher_new(launcher_enter_fn *enter, struct tn_error *err)
{
	struct launcher *launcher = calloc(1, sizeof(*launcher));
	struct share *share = mmap(NULL, sizeof(*share), PROT_READ | PROT_WRITE,
	                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (launcher == NULL || share == MAP_FAILED) {
		(void)err_errno(err, "a launcher's memory");
		goto undo;
	}
	share->enter = enter;
	launcher->share = share;
	launcher->pid = launcher_fork(share, (int)getpid(), &launcher->pid_fd);
	if (launcher->pid > 0)
		return launcher;
	(void)err_errno(err, "fork a launcher");
undo:
	if (share != MAP_FAILED)
		(void)munmap(share, sizeof(*share));
	free(launcher);
	return NULL;
}

/* It has died, or is about to. */
static struct launcher *launcher_free(struct launcher *launcher)
{
	(void)waitpid(launcher->pid, NULL, 0);
	(void)close(launcher->pid_fd);
	(void)munmap(launcher->share, sizeof(*launcher->share));
	free(launcher);
	return NULL;
}

/* Also for who is not its parent. */
static bool dies_within(const struct launcher *launcher, int msec)
{
	struct pollfd end = { .fd = launcher->pid_fd, .events = POLLIN };

	return poll(&end, 1, msec) == 1;
}

static bool has_died(const struct launcher *launcher)
{
	return dies_within(launcher, 0);
}

int launchers_start(struct launchers *launchers, launcher_enter_fn *enter, struct tn_error *err)
{
	*launchers = (struct launchers){ .enter = enter };
	launchers->all[0] = launcher_new(enter, err);
	return launchers->all[0] == NULL ? -err->sys_errno : 0;
}

void launchers_stop(struct launchers *launchers)
{
	for (size_t i = 0; i < LAUNCHERS_MAX; i++) {
		struct launcher *launcher = launchers->all[i];

		if (launcher == NULL)
			continue;
		(void)kill(launcher->pid, SIGKILL);
		launchers->all[i] = launcher_free(launcher);
	}
}

/* One that has nothing to do, a new one if need be. NULL: there is none. */
static struct launcher *launcher_pick(struct launchers *launchers, size_t *ret_place)
{
	size_t vacant = LAUNCHERS_MAX;
	struct tn_error ignored = { 0 };

	for (size_t i = 0; i < LAUNCHERS_MAX; i++) {
		struct launcher **place = &launchers->all[i];
		const bool idle = *place != NULL && !is_busy((*place)->share);

		*ret_place = i;
		if (*place != NULL && has_died(*place)) {
			launchers->lost_in_turn[i] = (*place)->turn;
			*place = launcher_free(*place);
		} else if (idle) {
			return *place;
		}
		if (*place == NULL && vacant == LAUNCHERS_MAX)
			vacant = i;
	}
	if (vacant == LAUNCHERS_MAX)
		return NULL;
	*ret_place = vacant;
	launchers->all[vacant] = launcher_new(launchers->enter, &ignored);
	return launchers->all[vacant];
}

/* A copy of all that @request leads to, since it is ours no longer than the call. */
static void launcher_give(struct share *share, const struct child_request *request)
{
	share->request = *request;
	share->launch = *request->launch;
	share->context = *request->context;
	share->filter = *request->filter;
	assert(share->filter.len <= BPF_MAXINSNS);
	memcpy(share->code, request->filter->filter, share->filter.len * sizeof(*share->code));
	share->filter.filter = share->code;
	share->request.launch = &share->launch;
	share->request.context = &share->context;
	share->request.filter = &share->filter;
	share->request.maps = &share->maps;
	share->pid = 0;
	share->pid_fd = FD_NONE;
	__atomic_store_n(&share->state, LAUNCHER_BUSY, __ATOMIC_RELEASE);
	word_wake(&share->state);
}

/* As a copy of tenantd. No CLONE_VFORK: we would wait at the tenant's mercy. */
static int32_t clone_here(struct launchers *launchers, const struct child_request *request,
                          int *ret_pid_fd)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP | CLONE_PIDFD | CLONE_NEWPID | CLONE_CLEAR_SIGHAND,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)request->leaf_fd,
		.pidfd = (uint64_t)(uintptr_t)ret_pid_fd,
	};
	sigset_t all, before;
	long pid;
	int error;

	*ret_pid_fd = FD_NONE;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	pid = syscall(SYS_clone3, &args, sizeof(args));
	error = errno;
	if (pid == 0)
		launchers->enter(request);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	launchers->forked_n++;
	return pid < 0 ? -error : (int32_t)pid;
}

void launcher_begin(struct launchers *launchers, const struct child_request *request,
                    struct launching *ret)
{
	*ret = (struct launching){ .pid_fd = FD_NONE };
	if (child_pointers_bytes(request->launch) <= LAUNCHER_POINTERS_BYTES_MAX)
		ret->by = launcher_pick(launchers, &ret->turn.place);
	if (ret->by == NULL) {
		ret->pid = clone_here(launchers, request, &ret->pid_fd);
		return;
	}
	ret->turn.number = ret->by->turn = ++launchers->turns_n;
	launcher_give(ret->by->share, request);
}

/*
 * The kernel puts the child's number there, but wakes nobody, and the launcher stands still
 * from then on.
 */
static int32_t launcher_take(const struct launcher *launcher)
{
	const struct share *share = launcher->share;

	for (int look = 0;; look++) {
		const bool dead = look > LAUNCHER_LOOKS && has_died(launcher);
		const int32_t pid = __atomic_load_n(&share->pid, __ATOMIC_ACQUIRE);

		if (pid != 0 || dead)
			return pid != 0 ? pid : -ECHILD;
		if (look < LAUNCHER_LOOKS)
			(void)sched_yield();
		else
			word_wait(&share->pid, 0, LAUNCHER_WAIT_NSEC);
	}
}

int32_t launcher_pid(struct launching *launching)
{
	if (launching->pid == 0)
		launching->pid = launcher_take(launching->by);
	return launching->pid;
}

int launcher_finish(struct launching *launching, int *ret_pid, int *ret_pid_fd,
                    struct tn_error *err)
{
	const int32_t pid = launcher_pid(launching);

	if (pid == -ECHILD)
		return err_set(
			err, TN_STATE, ECHILD,
			"the process that was to begin the sandbox has died; launch again");
	if (pid == -EAGAIN)
		return child_error(INIT_STAGE_FORK, EAGAIN, err);
	if (pid < 0) {
		errno = -pid;
		return err_errno(err, "clone into the leaf: %s", strerror(-pid));
	}
	*ret_pid = pid;
	*ret_pid_fd = launching->by != NULL ? launching->by->share->pid_fd : launching->pid_fd;
	return 0;
}

bool launchers_lost(const struct launchers *launchers, const struct launcher_turn *turn)
{
	const struct launcher *launcher = launchers->all[turn->place];

	if (turn->number == 0)
		return false;
	if (launcher != NULL && launcher->turn == turn->number)
		/* One that has time again has survived it. */
		return is_busy(launcher->share) && dies_within(launcher, LAUNCHER_DEATH_MSEC);
	return launchers->lost_in_turn[turn->place] == turn->number;
}
