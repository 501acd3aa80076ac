/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/fdpass.h>
#include <base/io.h>
#include <base/num.h>

#include "bind.h"
#include "cpu_pin.h"
#include "keeper.h"
#include "template.h"

#define MOUNTS_STACK_BYTES 131072
#define MOUNTS_PTS_OPTIONS "newinstance,ptmxmode=0666,mode=620,max=64"

/* What the steps hand on. */
struct work {
	const struct child_request *request;
	struct mounts *mounts;
	const struct mounts_place *place;
	int ns_fd;
	bool made_inside;
	int32_t child; /* its pid; not positive: there is none */
	int leaf_fds[TEMPLATE_CGROUP_FILES_N];
	int bind_fds[SPEC_BINDS_MAX];
};

static int leaf_files_open(struct work *work)
{
	const struct child_request *request = work->request;
	struct tn_error ignored = { 0 };

	return template_cgroup_files_open(request->leaf_fd, request->leaf_files, work->leaf_fds,
	                                  &ignored);
}

/*
 * A mount can only be cloned in the namespace it belongs to, and tenantd's own is a
 * private copy of the host's.
 */
static int binds_clone(struct work *work)
{
	const struct child_request *request = work->request;

	memcpy(work->bind_fds, request->bind_fds, sizeof(work->bind_fds));
	if (request->launch->binds_n == 0)
		return 0;
	if (setns(request->host_mnt_fd, CLONE_NEWNS) < 0)
		return -1;
	return bind_clone(request->launch, work->bind_fds,
	                  request->context->fds[CONTEXT_USER_BINDS]);
}

static int template_copy(struct work *work)
{
	if (setns(work->request->context->fds[CONTEXT_MNT], CLONE_NEWNS) < 0)
		return -1;
	return unshare(CLONE_NEWNS);
}

/*
 * The child goes in while they are being made, and does beside us what needs none of them. A
 * child that is gone cannot take them, and its end will be told by its pidfd. Until the keeper
 * has them we do, whatever becomes of the child.
 */
static int hand_over(struct work *work)
{
	struct tn_error ignored = { 0 };

	work->ns_fd = openat(work->place->proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (work->ns_fd < 0)
		return -1;
	(void)fdpass_send(work->request->mounts_peer_fd, "", 1, &work->ns_fd, 1, &ignored);
	return 0;
}

static int proc_mount(struct work *work)
{
	(void)work;
	return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

static int proc_mask(struct work *work)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	const struct child_masks *masks = work->request->masks;

	for (size_t i = 0; i < masks->hidden_n; i++) {
		const char *path = masks->hidden[i];
		bool directory = path[strlen(path) - 1] == '/';

		/* The skeleton's own /dev/null: nobody but root has written there. */
		if (mount(directory ? "/run/empty" : "/dev/null", path, NULL, MS_BIND, NULL) <
		    0)
			return -1;
	}
	for (size_t i = 0; i < masks->read_only_n; i++) {
		const char *path = masks->read_only[i];

		if (mount(path, path, NULL, MS_BIND, NULL) < 0 ||
		    mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) < 0)
			return -1;
	}
	return 0;
}

static int tmp_mount(struct work *work)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV;
	const int64_t bytes_max = work->request->memory_max_bytes;

	if (bind_tmpfs_mount("/tmp", flags, bytes_max) < 0)
		return -1;
	return bind_tmpfs_mount("/dev/shm", flags | MS_NOEXEC, bytes_max);
}

/* No gid=: Linux 6.1 reads it as a signed number, and our ids lie above 2^31. A terminal
 * then has the gid of who opened it, which is what grantpt(3) needs. */
static int pts_mount(struct work *work)
{
	(void)work;
	return mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, MOUNTS_PTS_OPTIONS);
}

/* In this execution's mounts alone; they are still as the template has made them. */
static int storage_restrict(struct work *work)
{
	static const char *const paths[] = { "/data", "/cache" };
	struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };

	if ((work->request->launch->flags & SPEC_LAUNCH_READ_ONLY) == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (mount_setattr(AT_FDCWD, paths[i], AT_SYMLINK_NOFOLLOW, &read_only,
		                  sizeof(read_only)) < 0)
			return -1;
	return 0;
}

static int leaf_files_attach(struct work *work)
{
	for (unsigned int i = 0; i < TEMPLATE_CGROUP_FILES_N; i++) {
		char path[64];

		if (work->leaf_fds[i] < 0)
			continue;
		(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/%s",
		               template_cgroup_file(i));
		if (move_mount(work->leaf_fds[i], "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) <
		    0)
			return -1;
	}
	return 0;
}

static int binds_attach(struct work *work)
{
	return bind_attach(work->request->launch, work->bind_fds,
	                   work->request->memory_max_bytes);
}

/* What is left to be made has nothing to do with what the child does next. */
static int so_far_tell(struct work *work)
{
	(void)send(work->request->mounts_peer_fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	return 0;
}

static bool go_tell(const struct work *work)
{
	return send(work->request->mounts_peer_fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

/* Until now they are ours, whatever becomes of the child; then they never are its alone. */
static void keep(struct work *work)
{
	static const char *const in_memory[] = { "/tmp", "/dev/shm" };
	struct mounts *mounts = work->mounts;
	struct keeper_mounts kept = { .ns_fd = work->ns_fd };
	struct tn_error ignored = { 0 };

	/* Others can be anywhere. */
	for (size_t i = 0; i < ARRAY_LEN(in_memory) && work->request->launch->tmpfs_n == 0;
	     i++) {
		kept.memory_fds[i] = open(in_memory[i], O_PATH | O_CLOEXEC);
		if (kept.memory_fds[i] >= 0)
			kept.memory_n++;
	}
	/* With one of them unknown, none is: the keeper waits then until all are gone. */
	if (kept.memory_n < ARRAY_LEN(in_memory))
		kept.memory_n = 0;
	mounts->kept = keeper_hold(mounts->keeper_fd, &work->request->launch->execution, &kept,
	                           &ignored) >= 0;
}

typedef int step_fn(struct work *work); /* negative, and errno */

struct step {
	enum child_stage stage;
	step_fn *take;
};

static bool take(struct work *work, const struct step *steps, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (steps[i].take(work) < 0) {
			work->mounts->failed_stage = steps[i].stage;
			work->mounts->error = errno;
			return false;
		}
	return true;
}

/* What tells of processes, or is told to them. */
static const struct step inside[] = {
	{ CHILD_PROC, proc_mount },
	{ CHILD_HAND_OVER, so_far_tell },
	{ CHILD_PROC_MASK, proc_mask },
};

static int run_inside(void *argument)
{
	struct work *work = argument;

	/* The pid that is ours is to be free for the sandbox's next again. */
	(void)!pwrite(work->place->last_pid_fd, "1", 1, 0);
	work->made_inside = take(work, inside, ARRAY_LEN(inside));
	_exit(0);
}

/* Not by clone3, which has no wrapper that changes the stack; no handler can run, since
 * every signal is blocked. */
static int run_in_our_memory(int (*run)(void *), char *stack_top, struct work *work)
{
	return clone(run, stack_top, CLONE_VM | CLONE_VFORK | SIGCHLD, work);
}

static int child_find(struct work *work)
{
	work->child = work->mounts->child_pid(work->mounts->context);
	return 0;
}

/*
 * If the child is killed, so is everything in its pid namespace, and nothing more can come
 * in: that is the child's end, not our failure.
 */
static int inside_run(struct work *work)
{
	cleanup_fd int pid_fd = FD_NONE;
	int pid;

	if (work->child <= 0)
		return 0;
	pid_fd = (int)syscall(SYS_pidfd_open, work->child, 0);
	if (pid_fd < 0 || setns(pid_fd, CLONE_NEWPID) < 0)
		return errno == ESRCH ? 0 : -1;
	pid = run_in_our_memory(run_inside, work->place->stack_tops[1], work);
	if (pid < 0)
		return errno == ENOMEM ? 0 : -1;
	(void)waitpid(pid, NULL, 0);
	return 0;
}

/* The lowest that it can go to from then on, too: we have the capability for that. */
static int oom_score_set(struct work *work)
{
	char path[48], text[24];
	int r;

	if (work->child <= 0)
		return 0;
	(void)snprintf(path, sizeof(path), "%d/oom_score_adj", work->child);
	num_put(text, work->request->oom_score_adj);
	r = io_write_file_at(work->place->proc_fd, path, text);
	/* The child has ended: its pidfd tells. */
	if (r == -ENOENT || r == -ESRCH)
		return 0;
	errno = -r;
	return r < 0 ? -1 : 0;
}

static const struct step outside[] = {
	{ CHILD_LEAF_FILES, leaf_files_open },
	{ CHILD_BIND_CLONE, binds_clone },
	{ CHILD_TEMPLATE, template_copy },
	{ CHILD_HAND_OVER, hand_over },
	{ CHILD_TMP, tmp_mount },
	{ CHILD_PTS, pts_mount },
	{ CHILD_READ_ONLY, storage_restrict },
	{ CHILD_LEAF_ATTACH, leaf_files_attach },
	{ CHILD_BIND_ATTACH, binds_attach },
	{ CHILD_HAND_OVER, so_far_tell },
	{ CHILD_PROC, child_find },
	{ CHILD_PROC, inside_run },
	{ CHILD_OOM_SCORE, oom_score_set },
};

/*
 * In tenantd's memory, but with descriptors, directories and namespaces of its own: nothing
 * has to be undone. No exit handlers, no buffers.
 */
static int run_outside(void *argument)
{
	struct work *work = argument;

	/* The last word: all is made, and nobody else is left in the child's pid namespace. */
	work->mounts->made = take(work, outside, ARRAY_LEN(outside)) && work->made_inside &&
	                     go_tell(work);
	if (work->ns_fd >= 0)
		keep(work);
	_exit(0);
}

void mounts_make(const struct mounts_place *place, struct mounts *mounts)
{
	struct work work = {
		.request = mounts->request, .mounts = mounts, .place = place, .ns_fd = FD_NONE
	};
	struct cpu_pin cpu;
	sigset_t all, before;
	int pid;

	mounts->made = mounts->kept = false;
	mounts->error = 0;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	cpu_pin(&cpu);
	pid = run_in_our_memory(run_outside, place->stack_tops[0], &work);
	if (pid < 0) {
		mounts->failed_stage = CHILD_TEMPLATE;
		mounts->error = errno;
	} else {
		(void)waitpid(pid, NULL, 0);
	}
	cpu_unpin(&cpu);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
}

static char *stack_make(struct tn_error *err)
{
	const long page = sysconf(_SC_PAGESIZE);
	char *stack = mmap(NULL, MOUNTS_STACK_BYTES, PROT_READ | PROT_WRITE,
	                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (stack != MAP_FAILED && mprotect(stack, (size_t)page, PROT_NONE) == 0)
		return stack + MOUNTS_STACK_BYTES;
	(void)err_errno(err, "a stack to make mounts on");
	return NULL;
}

int mounts_place_make(struct mounts_place *place, struct tn_error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(place->stack_tops); i++) {
		place->stack_tops[i] = stack_make(err);
		if (place->stack_tops[i] == NULL)
			return -err->sys_errno;
	}
	place->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	place->last_pid_fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	return place->proc_fd < 0 ? err_errno(err, "open /proc") : 0;
}
