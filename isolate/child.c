/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "child.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/fdpass.h>
#include <base/io.h>
#include <base/num.h>

#include "init.h"
#include "landlock.h"
#include "start.h"
#include "terminal.h"

#define CHILD_EXIT_FAILED 125
#define CHILD_INIT_FD     5
#define CHILD_QUEUES_FD   6 /* until Landlock has been told of it */
#define CHILD_MOUNTS_FD   7
#define CPU_NSEC_PER_SEC  1000000000u

static const char *const stage_texts[CHILD_STAGES_N] = {
	[CHILD_ARGS] = "read the arguments",
	[CHILD_OOM_SCORE] = "set oom_score_adj",
	[CHILD_RLIMIT] = "set resource limits",
	[CHILD_LEAF_FILES] = "clone the leaf's size files",
	[CHILD_TEMPLATE] = "copy the tenant's mount namespace",
	[CHILD_SETNS] = "enter the tenant's namespaces",
	[CHILD_MOUNTS] = "enter the sandbox's mount namespace",
	[CHILD_UNSHARE] = "unshare the cgroup namespace",
	[CHILD_PROC] = "mount /proc",
	[CHILD_PROC_MASK] = "mask /proc",
	[CHILD_TMP] = "mount /tmp and /dev/shm",
	[CHILD_PTS] = "mount /dev/pts",
	[CHILD_READ_ONLY] = "make /data and /cache read-only",
	[CHILD_LEAF_ATTACH] = "attach the leaf's size files",
	[CHILD_BIND_CLONE] =
		"clone a path of the host to bind (writable: one that can map ids)",
	[CHILD_BIND_ATTACH] = "attach a bound path or mount a tmpfs",
	[CHILD_HAND_OVER] = "hand the mount namespace over",
	[CHILD_USERNS] = "enter the user namespace",
	[CHILD_BOUNDING] = "drop the bounding set",
	[CHILD_IDS] = "take the tenant's ids",
	[CHILD_CAPS] = "drop all capabilities",
	[CHILD_TERMINAL] = "open a terminal",
	[CHILD_FDS] = "arrange descriptors",
	[CHILD_NO_NEW_PRIVS] = "set no_new_privs",
	[CHILD_LANDLOCK] = "confine writing by Landlock",
	[CHILD_SECCOMP] = "install the seccomp filter",
	[CHILD_EXEC_INIT] = "execute tenant-init",
	[CHILD_RECORD] = "note the process in the execution's record",
};

int child_error(uint32_t stage, int32_t error, struct tn_error *err)
{
	const char *what = "set up the sandbox";

	/* Told from a refusal by executions_max through its errno. */
	if (stage == INIT_STAGE_FORK && error == EAGAIN)
		return err_set(err, TN_QUOTA, EAGAIN,
		               "tasks_max is reached (the kernel's pids.max)");
	errno = error > 0 ? error : EIO;
	if (stage > 0 && stage < CHILD_STAGES_N)
		what = stage_texts[stage];
	else if (stage == INIT_STAGE_CHDIR)
		what = error == EACCES ? "enter the working directory as the command's user"
		                       : "enter the working directory";
	else if (stage == INIT_STAGE_FORK)
		what = "fork the workload";
	return err_errno(err, "%s: %s", what, strerror(errno));
}

/* What tells of the host, its kernel or the work of others. */
static const char *const hidden_paths[] = {
	"/proc/acpi/",      "/proc/asound/",       "/proc/scsi/",      "/proc/kcore",
	"/proc/keys",       "/proc/key-users",     "/proc/kallsyms",   "/proc/kmsg",
	"/proc/loadavg",    "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
	"/proc/interrupts", "/proc/sched_debug",   "/proc/pressure/",
};

static const char *const read_only_paths[] = {
	"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs",
};

static size_t existing(const char *const *paths, size_t n, const char **ret)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		if (access(paths[i], F_OK) == 0)
			ret[found++] = paths[i];
	return found;
}

/* As the kernel has it: SIG_DFL is all zeroes, with no flags, restorer or mask. */
struct kernel_action {
	unsigned long words[4];
};

/* By system call, since libc keeps two signals for itself. */
static bool ignored(int signal)
{
	struct kernel_action now = { { 0 } };

	return syscall(SYS_rt_sigaction, signal, NULL, &now, sizeof(now.words[0])) == 0 &&
	       now.words[0] == (unsigned long)SIG_IGN;
}

void child_masks_probe(struct child_masks *masks)
{
	char text[16];
	int64_t last = CAP_LAST_CAP;

	masks->hidden_n = existing(hidden_paths, ARRAY_LEN(hidden_paths), masks->hidden);
	masks->read_only_n = existing(read_only_paths, ARRAY_LEN(read_only_paths),
	                              masks->read_only);
	if (io_read_file_at(AT_FDCWD, "/proc/sys/kernel/cap_last_cap", text, sizeof(text)) >
	    0) {
		text[strcspn(text, "\n")] = '\0';
		(void)num_parse(text, 63, &last);
	}
	masks->cap_last = (int)last;
	masks->landlock_abi = ll_abi();
	masks->ignored = 0;
	for (int signal = 1; signal < _NSIG; signal++)
		if (ignored(signal))
			masks->ignored |= UINT64_C(1) << (signal - 1);
}

static void tell(const struct child_request *request, uint32_t stage, int error)
{
	struct init_report report = { .stage = stage, .error = error };
	struct timespec cpu = { 0 };

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	report.cpu_nsec = (uint64_t)cpu.tv_sec * CPU_NSEC_PER_SEC + (uint64_t)cpu.tv_nsec;
	(void)!write(request->report_fd, &report, sizeof(report));
}

static void fail(const struct child_request *request, uint32_t stage) __attribute__((noreturn));
static void fail(const struct child_request *request, uint32_t stage)
{
	tell(request, stage, errno);
	_exit(CHILD_EXIT_FAILED);
}

/*
 * What is still ours must not be read or opened through /proc: not our memory, not our
 * descriptors, and not the program that the last exec comes from.
 */
static void hide(void)
{
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/*
 * exec keeps what is ignored, and systemd ignores SIGPIPE for its services: a workload
 * finds every signal at its default. clone3 has reset those that are caught.
 */
static void signals_default(const struct child_masks *masks)
{
	const struct kernel_action action = { { 0 } };

	for (int signal = 1; signal < _NSIG; signal++)
		if ((masks->ignored & UINT64_C(1) << (signal - 1)) != 0)
			(void)syscall(SYS_rt_sigaction, signal, &action, NULL,
			              sizeof(action.words[0]));
}

static void limit(const struct child_request *request, int resource, int64_t value)
{
	struct rlimit both = { (rlim_t)value, (rlim_t)value };

	if (value == SPEC_UNLIMITED)
		both.rlim_cur = both.rlim_max = RLIM_INFINITY;
	if (prlimit(0, (__rlimit_resource_t)resource, &both, NULL) < 0)
		fail(request, CHILD_RLIMIT);
}

/*
 * The way in takes descriptors of its own, above all of tenantd's: the tier's number, which
 * may be smaller, holds from confine() on. A greater one has to be allowed here.
 */
static void descriptors_allow(const struct child_request *request)
{
	const int64_t wanted = request->launch->limits.nofile_max;
	struct rlimit now;

	if (prlimit(0, RLIMIT_NOFILE, NULL, &now) < 0)
		fail(request, CHILD_RLIMIT);
	if (now.rlim_max < (rlim_t)wanted)
		limit(request, RLIMIT_NOFILE, wanted);
}

/* While still in the initial user namespace: raising them takes a capability over it. */
static void process_limits(const struct child_request *request)
{
	const struct spec_execution_limits *limits = &request->launch->limits;
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	descriptors_allow(request);
	limit(request, RLIMIT_FSIZE, limits->fsize_bytes_max);
	limit(request, RLIMIT_CORE, request->core_bytes_max);
	/* The leaf's pids.max counts processes; a second count per uid would only confuse.
	 * Without CAP_SYS_RESOURCE it stays what we have ourselves. */
	(void)prlimit(0, RLIMIT_NPROC, &unlimited, NULL);
}

/* Namespaces of a process that has none of its own choice: see floor.h. */
static void namespaces_join(const struct child_request *request)
{
	const int types = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
	                  CLONE_NEWNS;

	if (setns(request->join_pid_fd, types) < 0)
		fail(request, CHILD_SETNS);
}

static void namespaces_enter(const struct child_request *request)
{
	static const struct {
		enum context_ns ns;
		int type;
	} order[] = {
		{ CONTEXT_NET, CLONE_NEWNET },
		{ CONTEXT_IPC, CLONE_NEWIPC },
		{ CONTEXT_UTS, CLONE_NEWUTS },
	};

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (setns(request->context->fds[order[i].ns], order[i].type) < 0)
			fail(request, CHILD_SETNS);
	/* The cgroup namespace roots at the leaf that we were born in. */
	if (unshare(CLONE_NEWCGROUP) < 0)
		fail(request, CHILD_UNSHARE);
}

/* If who makes them fails, or tenantd, the socket ends or we are killed. */
static void mounts_enter(const struct child_request *request)
{
	struct tn_error ignored = { 0 };
	int fd = FD_NONE;
	size_t fds_n = 0;
	char nothing;

	if (fdpass_recv(request->mounts_fd, &nothing, sizeof(nothing), &fd, 1, &fds_n,
	                &ignored) < 0 ||
	    setns(fd, CLONE_NEWNS) < 0)
		fail(request, CHILD_MOUNTS);
	(void)close(fd);
}

/* First all mounts but /proc are there; then that; then what masks it, and who made them is
 * gone. */
static void mounts_wait(const struct child_request *request)
{
	char byte;

	if (read(request->mounts_fd, &byte, sizeof(byte)) != (ssize_t)sizeof(byte))
		fail(request, CHILD_MOUNTS);
}

/* From root of nothing to the tenant's uid: the order is the kernel's, see capabilities(7). */
static void privileges_drop(const struct child_request *request)
{
	const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
	                           SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_SETUID_FIXUP |
	                           SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
	                           SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	const int user_fd = request->joins ? request->join_pid_fd
	                                   : request->context->fds[CONTEXT_USER];
	const uid_t uid = request->launch->uid;
	const gid_t gid = request->launch->gid;

	if (setns(user_fd, CLONE_NEWUSER) < 0)
		fail(request, CHILD_USERNS);
	/* Entering a user namespace fills the bounding set again. */
	for (int cap = 0; cap <= request->masks->cap_last; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			fail(request, CHILD_BOUNDING);
	if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0)
		fail(request, CHILD_BOUNDING);
	if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, gid, gid, gid) < 0 ||
	    syscall(SYS_setresuid, uid, uid, uid) < 0)
		fail(request, CHILD_IDS);
	/* With other ids the kernel decides anew, by fs.suid_dumpable. Up to here nobody inside
	 * could trace us for the capabilities that we have still. */
	hide();
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
	    syscall(SYS_capset, &header, none) < 0)
		fail(request, CHILD_CAPS);
}

static bool same_key(const char *entry, const char *ours)
{
	size_t n = strcspn(ours, "=");

	return strncmp(entry, ours, n) == 0 && entry[n] == '=';
}

static bool key_in(char *const *entries, size_t n, const char *entry)
{
	for (size_t i = 0; i < n; i++)
		if (same_key(entries[i], entry))
			return true;
	return false;
}

/* @n pointers to the strings that follow one another at *@text, which moves behind them. */
static void strings_index(char **text, size_t n, char **ret)
{
	for (size_t i = 0; i < n; i++) {
		ret[i] = *text;
		*text += strlen(*text) + 1;
	}
	ret[n] = NULL;
}

/* /data belongs to the first ordinary user, who may keep it from the others. */
static const char *workdir_default(const struct spec_launch *launch)
{
	return launch->uid == SPEC_WORKLOAD_UID ? "/data" : "/";
}

struct vectors {
	char **argv; /* the command, NULL */
	char **envp;
	const char *dir;
	char *stack; /* for who executes it */
};

static size_t env_entries_max(const struct spec_launch *launch)
{
	return (size_t)launch->envc + launch->env_n;
}

/* The vectors and, behind them, theirs and ours before they are put together. */
size_t child_pointers_bytes(const struct spec_launch *launch)
{
	return ((size_t)launch->argc + 2 * env_entries_max(launch) + 4) * sizeof(char *);
}

static void *map(const struct child_request *request, unsigned int i, size_t bytes, int fd)
{
	void *at = mmap(NULL, bytes, PROT_READ | (fd < 0 ? PROT_WRITE : 0),
	                MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);

	if (at == MAP_FAILED)
		fail(request, CHILD_ARGS);
	if (request->maps != NULL) {
		request->maps->at[i] = at;
		request->maps->bytes[i] = bytes;
	}
	return at;
}

/*
 * One mapping of the sealed memfd, and one for a stack with the pointers behind it.
 * What the client wrote is only split here, and only after the count of strings and the
 * final NUL have been checked.
 */
static struct vectors vectors_make(const struct child_request *request)
{
	const struct spec_launch *launch = request->launch;
	char *env = (char *)(uintptr_t)launch->env;
	size_t strings = 0, envc = 0;
	struct vectors v;
	char *text, **theirs, **ours;

	text = map(request, 0, launch->args_bytes, request->args_fd);
	v.stack = map(request, 1, START_STACK_BYTES + child_pointers_bytes(launch), FD_NONE);
	v.argv = (void *)(v.stack + START_STACK_BYTES);
	for (size_t i = 0; i < launch->args_bytes; i++)
		strings += text[i] == '\0';
	errno = EINVAL;
	if (text[launch->args_bytes - 1] != '\0' ||
	    strings != (size_t)launch->argc + launch->envc + 1)
		fail(request, CHILD_ARGS);

	v.envp = v.argv + launch->argc + 1;
	theirs = v.envp + env_entries_max(launch) + 1;
	ours = theirs + launch->envc + 1;

	strings_index(&text, launch->argc, v.argv);
	strings_index(&text, launch->envc, theirs);
	strings_index(&env, launch->env_n, ours);
	v.dir = *text != '\0' ? text : workdir_default(launch);

	/* The defaults give way to the client's entries, the others do not. */
	for (size_t i = 0; i < launch->env_n; i++)
		if (i >= launch->env_default_n || !key_in(theirs, launch->envc, ours[i]))
			v.envp[envc++] = ours[i];
	for (size_t i = 0; i < launch->envc; i++)
		if (!key_in(ours + launch->env_default_n, launch->env_n - launch->env_default_n,
		            theirs[i]))
			v.envp[envc++] = theirs[i];
	v.envp[envc] = NULL;
	return v;
}

/* With the ids of the workload, to which the terminal then belongs. */
static void terminal_make(struct child_request *request)
{
	int master, slave;

	if (request->terminal_fd < 0)
		return;
	if (terminal_open(request->launch->tty_rows, request->launch->tty_cols, &master,
	                  &slave) < 0 ||
	    terminal_send(request->terminal_fd, master) < 0)
		fail(request, CHILD_TERMINAL);
	for (size_t i = 0; i < ARRAY_LEN(request->stdio_fds); i++)
		request->stdio_fds[i] = slave;
}

static bool without_init(const struct child_request *request)
{
	return (request->launch->flags & SPEC_LAUNCH_NO_INIT) != 0;
}

/*
 * tenantd keeps its own descriptors above these numbers, so none is overwritten. Without
 * tenant-init its own stay closed. All but the standard ones close with the workload's exec.
 */
static void fds_arrange(const struct child_request *request)
{
	const bool init = !without_init(request);
	const struct {
		int fd, flags;
		bool wanted;
	} order[] = {
		{ request->stdio_fds[0], 0, true },
		{ request->stdio_fds[1], 0, true },
		{ request->stdio_fds[2], 0, true },
		[INIT_STATUS_FD] = { request->status_fd, O_CLOEXEC, init },
		[INIT_REPORT_FD] = { request->report_fd, O_CLOEXEC, true },
		[CHILD_INIT_FD] = { request->init_fd, O_CLOEXEC, init },
		[CHILD_QUEUES_FD] = { request->context->queues_fd, O_CLOEXEC,
		                      request->context->queues_fd >= 0 },
		[CHILD_MOUNTS_FD] = { request->mounts_fd, O_CLOEXEC, !request->joins },
	};

	for (int i = 0; i < (int)ARRAY_LEN(order); i++)
		if (order[i].wanted && dup3(order[i].fd, i, order[i].flags) < 0)
			fail(request, CHILD_FDS);
	if (close_range(request->joins ? CHILD_MOUNTS_FD : CHILD_MOUNTS_FD + 1, ~0u, 0) < 0)
		fail(request, CHILD_FDS);
}

/* Without tenant-init it is pid 1, and tenantd waits for it itself. */
static void workload(const struct child_request *request, const struct vectors *v)
	__attribute__((noreturn));
static void workload(const struct child_request *request, const struct vectors *v)
{
	const bool init = !without_init(request);
	const struct start start = {
		.argv = v->argv,
		.envp = v->envp,
		.dir = v->dir,
		.terminal = request->terminal_fd >= 0,
		.joins = request->joins,
		.report_fd = INIT_REPORT_FD,
		.status_fd = init ? INIT_STATUS_FD : FD_NONE,
	};
	int32_t nobody_waits;
	const struct start_place place = {
		.init_fd = CHILD_INIT_FD,
		.stack = v->stack,
		.workload = request->maps != NULL ? &request->maps->workload : &nobody_waits,
	};

	if (!init)
		start_command(&start);
	fail(request, start_with_init(&start, &place, CHILD_EXEC_INIT));
}

/*
 * What holds from here to the end of every process of the sandbox: no privilege from a
 * file, no writing but where the mounts allow it, and no system call that either our own
 * filter or the policy's refuses, which are one program. Landlock takes descriptors, so the
 * tier's number of them holds only after it.
 */
static void confine(const struct child_request *request)
{
	const int abi = request->masks->landlock_abi;
	const int queues_fd = request->context->queues_fd < 0 ? FD_NONE : CHILD_QUEUES_FD;
	int list_fd;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fail(request, CHILD_NO_NEW_PRIVS);
	list_fd = ll_begin(abi, request->launch, queues_fd, request->joins);
	if (abi != 0 && list_fd < 0)
		fail(request, CHILD_LANDLOCK);
	if (!request->joins)
		mounts_wait(request);
	if (ll_confine(abi, list_fd) < 0)
		fail(request, CHILD_LANDLOCK);
	if (queues_fd >= 0)
		(void)close(queues_fd);
	limit(request, RLIMIT_NOFILE, request->launch->limits.nofile_max);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, request->filter) < 0)
		fail(request, CHILD_SECCOMP);
}

void child_enter(const struct child_request *request)
{
	struct child_request moved = *request;
	struct vectors v;

	hide();
	(void)close(request->mounts_peer_fd);
	(void)setsid();
	(void)umask(022);
	signals_default(request->masks);
	process_limits(request);
	v = vectors_make(request);
	namespaces_enter(request);
	mounts_enter(request);
	privileges_drop(request);
	mounts_wait(request);
	terminal_make(&moved);
	fds_arrange(&moved);
	moved.report_fd = INIT_REPORT_FD;
	moved.mounts_fd = CHILD_MOUNTS_FD;
	confine(&moved);
	/* Who made the mounts was of our pid namespace: nobody inside is to see it. This read
	 * is under the policy's filter, which cannot make it give a byte that is not there. */
	mounts_wait(&moved);
	workload(&moved, &v);
}

void child_join(const struct child_request *request)
{
	struct child_request moved = *request;
	struct vectors v;

	hide();
	(void)close(request->mounts_peer_fd);
	mounts_wait(request);
	(void)setsid();
	(void)umask(022);
	signals_default(request->masks);
	process_limits(request);
	v = vectors_make(request);
	namespaces_join(request);
	privileges_drop(request);
	terminal_make(&moved);
	fds_arrange(&moved);
	moved.report_fd = INIT_REPORT_FD;
	confine(&moved);
	workload(&moved, &v);
}
