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
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/io.h>
#include <base/num.h>

#include "bind.h"
#include "init.h"
#include "template.h"

#define CHILD_EXIT_FAILED 125
#define CHILD_INIT_FD     5
#define CHILD_PTS_OPTIONS "newinstance,ptmxmode=0666,mode=620,max=64"

enum child_stage {
	CHILD_ARGS = 1,
	CHILD_OOM_SCORE,
	CHILD_RLIMIT,
	CHILD_LEAF_FILES,
	CHILD_SETNS,
	CHILD_UNSHARE,
	CHILD_PROC,
	CHILD_PROC_MASK,
	CHILD_TMP,
	CHILD_PTS,
	CHILD_LEAF_ATTACH,
	CHILD_BIND_CLONE,
	CHILD_BIND_ATTACH,
	CHILD_USERNS,
	CHILD_BOUNDING,
	CHILD_IDS,
	CHILD_CAPS,
	CHILD_FDS,
	CHILD_NO_NEW_PRIVS,
	CHILD_SECCOMP,
	CHILD_EXEC_INIT,
	CHILD_STAGES_N,
};

static const char *const stage_texts[CHILD_STAGES_N] = {
	[CHILD_ARGS] = "read the arguments",
	[CHILD_OOM_SCORE] = "set oom_score_adj",
	[CHILD_RLIMIT] = "set resource limits",
	[CHILD_LEAF_FILES] = "clone the leaf's size files",
	[CHILD_SETNS] = "enter the tenant's namespaces",
	[CHILD_UNSHARE] = "unshare mount and cgroup namespaces",
	[CHILD_PROC] = "mount /proc",
	[CHILD_PROC_MASK] = "mask /proc",
	[CHILD_TMP] = "mount /tmp and /dev/shm",
	[CHILD_PTS] = "mount /dev/pts",
	[CHILD_LEAF_ATTACH] = "attach the leaf's size files",
	[CHILD_BIND_CLONE] =
		"clone a path of the host to bind (writable: one that can map ids)",
	[CHILD_BIND_ATTACH] = "attach a bound path",
	[CHILD_USERNS] = "enter the user namespace",
	[CHILD_BOUNDING] = "drop the bounding set",
	[CHILD_IDS] = "take the tenant's ids",
	[CHILD_CAPS] = "drop all capabilities",
	[CHILD_FDS] = "arrange descriptors",
	[CHILD_NO_NEW_PRIVS] = "set no_new_privs",
	[CHILD_SECCOMP] = "install the seccomp filter",
	[CHILD_EXEC_INIT] = "execute tenant-init",
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
		what = "enter the working directory";
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
	masks->ignored = 0;
	for (int signal = 1; signal < _NSIG; signal++)
		if (ignored(signal))
			masks->ignored |= UINT64_C(1) << (signal - 1);
}

static void fail(const struct child_request *request, enum child_stage stage)
	__attribute__((noreturn));
static void fail(const struct child_request *request, enum child_stage stage)
{
	struct init_report report = { .stage = stage, .error = errno };

	(void)!write(request->report_fd, &report, sizeof(report));
	_exit(CHILD_EXIT_FAILED);
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

/*
 * Put @number behind the text at @end; both end in a NUL. Without stdio, which nothing else
 * needs on the way in: each page of libc's that the child runs through is a fault, which maps
 * 16 of them, which its exec takes down again.
 */
static void number_put(char *end, int64_t number)
{
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
	char digits[20];
	size_t n = 0;

	if (number < 0)
		*end++ = '-';
	do
		digits[n++] = (char)('0' + rest % 10);
	while ((rest /= 10) > 0);
	while (n > 0)
		*end++ = digits[--n];
	*end = '\0';
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
 * may be smaller, holds from fds_arrange() on. A greater one has to be allowed here.
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

/*
 * Both while still in the initial user namespace: raising limits and fixing the lowest
 * oom_score_adj take capabilities over it.
 */
static void process_limits(const struct child_request *request)
{
	const struct spec_execution_limits *limits = &request->launch->limits;
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	char text[24];

	number_put(text, request->oom_score_adj);
	if (io_write_file_at(AT_FDCWD, "/proc/self/oom_score_adj", text) < 0)
		fail(request, CHILD_OOM_SCORE);
	descriptors_allow(request);
	limit(request, RLIMIT_FSIZE, limits->fsize_bytes_max);
	limit(request, RLIMIT_CORE, request->core_bytes_max);
	/* The leaf's pids.max counts processes; a second count per uid would only confuse.
	 * Without CAP_SYS_RESOURCE it stays what we have ourselves. */
	(void)prlimit(0, RLIMIT_NPROC, &unlimited, NULL);
}

/*
 * A mount can only be cloned in the namespace it belongs to, and tenantd's own is a
 * private copy of the host's.
 */
static void binds_clone(const struct child_request *request, int *fds)
{
	memcpy(fds, request->bind_fds, sizeof(request->bind_fds));
	if (request->launch->binds_n == 0)
		return;
	if (setns(request->host_mnt_fd, CLONE_NEWNS) < 0 ||
	    bind_clone(request->launch, fds, request->context->fds[CONTEXT_USER]) < 0)
		fail(request, CHILD_BIND_CLONE);
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
		{ CONTEXT_MNT, CLONE_NEWNS },
	};

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (setns(request->context->fds[order[i].ns], order[i].type) < 0)
			fail(request, CHILD_SETNS);
	/* The cgroup namespace roots at the leaf that we were born in. */
	if (unshare(CLONE_NEWNS | CLONE_NEWCGROUP) < 0)
		fail(request, CHILD_UNSHARE);
}

static void proc_mount(const struct child_request *request)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	const struct child_masks *masks = request->masks;

	if (mount("proc", "/proc", "proc", flags, NULL) < 0)
		fail(request, CHILD_PROC);
	for (size_t i = 0; i < masks->hidden_n; i++) {
		const char *path = masks->hidden[i];
		bool directory = path[strlen(path) - 1] == '/';

		/* The skeleton's own /dev/null: nobody but root has written there. */
		if (mount(directory ? "/run/empty" : "/dev/null", path, NULL, MS_BIND, NULL) <
		    0)
			fail(request, CHILD_PROC_MASK);
	}
	for (size_t i = 0; i < masks->read_only_n; i++) {
		const char *path = masks->read_only[i];

		if (mount(path, path, NULL, MS_BIND, NULL) < 0 ||
		    mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) < 0)
			fail(request, CHILD_PROC_MASK);
	}
}

static void private_mount(const struct child_request *request)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV;
	char options[64] = "mode=1777,size=";
	const size_t sized = strlen(options);

	if (request->memory_max_bytes != SPEC_UNLIMITED)
		number_put(options + sized, request->memory_max_bytes);
	else
		options[sized - strlen(",size=")] = '\0';
	if (mount("tmp", "/tmp", "tmpfs", flags, options) < 0 ||
	    mount("shm", "/dev/shm", "tmpfs", flags | MS_NOEXEC, options) < 0)
		fail(request, CHILD_TMP);

	/* No gid=: Linux 6.1 reads it as a signed number, and our ids lie above 2^31. A
	 * terminal then has the gid of who opened it, which is what grantpt(3) needs. */
	if (mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, CHILD_PTS_OPTIONS) < 0)
		fail(request, CHILD_PTS);
}

static void leaf_files_attach(const struct child_request *request, const int *fds)
{
	for (unsigned int i = 0; i < TEMPLATE_CGROUP_FILES_N; i++) {
		char path[64];

		if (fds[i] < 0)
			continue;
		(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/%s",
		               template_cgroup_file(i));
		if (move_mount(fds[i], "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
			fail(request, CHILD_LEAF_ATTACH);
	}
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
	const uid_t id = SPEC_WORKLOAD_UID;

	if (setns(request->context->fds[CONTEXT_USER], CLONE_NEWUSER) < 0)
		fail(request, CHILD_USERNS);
	/* Entering a user namespace fills the bounding set again. */
	for (int cap = 0; cap <= request->masks->cap_last; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			fail(request, CHILD_BOUNDING);
	if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0)
		fail(request, CHILD_BOUNDING);
	if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, id, id, id) < 0 ||
	    syscall(SYS_setresuid, id, id, id) < 0)
		fail(request, CHILD_IDS);
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

struct vectors {
	char **argv; /* "tenant-init", the working directory, the command, NULL */
	char **envp;
};

/*
 * One mapping of the sealed memfd and one for the pointers, both charged to the leaf.
 * What the client wrote is only split here, and only after the count of strings and the
 * final NUL have been checked.
 */
static struct vectors vectors_make(const struct child_request *request)
{
	const struct spec_launch *launch = request->launch;
	const size_t env_max = (size_t)launch->envc + launch->env_n;
	const size_t pointers = 3 + (size_t)launch->argc + 2 * env_max + 3;
	char *env = (char *)(uintptr_t)launch->env;
	size_t strings = 0, envc = 0;
	struct vectors v;
	char *text, **space, **theirs, **ours;

	text = mmap(NULL, launch->args_bytes, PROT_READ, MAP_PRIVATE, request->args_fd, 0);
	space = mmap(NULL, pointers * sizeof(char *), PROT_READ | PROT_WRITE,
	             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (text == MAP_FAILED || space == MAP_FAILED)
		fail(request, CHILD_ARGS);
	for (size_t i = 0; i < launch->args_bytes; i++)
		strings += text[i] == '\0';
	errno = EINVAL;
	if (text[launch->args_bytes - 1] != '\0' ||
	    strings != (size_t)launch->argc + launch->envc + 1)
		fail(request, CHILD_ARGS);

	v.argv = space;
	v.envp = v.argv + 3 + launch->argc;
	theirs = v.envp + env_max + 1;
	ours = theirs + launch->envc + 1;

	strings_index(&text, launch->argc, v.argv + 2);
	strings_index(&text, launch->envc, theirs);
	strings_index(&env, launch->env_n, ours);
	v.argv[0] = (char *)(uintptr_t) "tenant-init";
	v.argv[1] = *text != '\0' ? text : (char *)(uintptr_t) "/data";

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

/* tenantd keeps its own descriptors above these numbers, so none is overwritten. */
static void fds_arrange(const struct child_request *request)
{
	const int order[] = {
		request->stdio_fds[0], request->stdio_fds[1], request->stdio_fds[2],
		request->status_fd,    request->report_fd,    request->init_fd,
	};

	for (int i = 0; i < (int)ARRAY_LEN(order); i++)
		if (dup3(order[i], i, i == CHILD_INIT_FD ? O_CLOEXEC : 0) < 0)
			fail(request, CHILD_FDS);
	if (close_range(CHILD_INIT_FD + 1, ~0u, 0) < 0)
		fail(request, CHILD_FDS);
}

void child_enter(const struct child_request *request)
{
	struct child_request moved = *request;
	int leaf_fds[TEMPLATE_CGROUP_FILES_N], bind_fds[SPEC_BINDS_MAX];
	struct tn_error ignored = { 0 };
	struct vectors v;

	(void)setsid();
	(void)umask(022);
	signals_default(request->masks);
	process_limits(request);
	if (template_cgroup_files_open(request->leaf_fd, request->leaf_files, leaf_fds,
	                               &ignored) < 0)
		fail(request, CHILD_LEAF_FILES);
	binds_clone(request, bind_fds);
	namespaces_enter(request);
	proc_mount(request);
	private_mount(request);
	leaf_files_attach(request, leaf_fds);
	if (bind_attach(request->launch, bind_fds) < 0)
		fail(request, CHILD_BIND_ATTACH);
	v = vectors_make(request);
	privileges_drop(request);

	fds_arrange(request);
	moved.report_fd = INIT_REPORT_FD;
	limit(&moved, RLIMIT_NOFILE, request->launch->limits.nofile_max);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fail(&moved, CHILD_NO_NEW_PRIVS);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, request->filter) < 0)
		fail(&moved, CHILD_SECCOMP);
	(void)syscall(SYS_execveat, CHILD_INIT_FD, "", v.argv, v.envp, AT_EMPTY_PATH);
	fail(&moved, CHILD_EXEC_INIT);
}
