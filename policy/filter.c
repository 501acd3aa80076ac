/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory: the list allows what programs that compute, talk over UNIX and IP sockets and
 * manage their own processes and files need: compilers, interpreters, git, ssh, the
 * runtimes of Java, Go and Node. It stays within what container runtimes commonly allow
 * to a container without capabilities and leaves out more: tracing and reading other
 * processes, kernel keys, asynchronous I/O rings, everything that makes or enters
 * namespaces, mounts, NUMA placement, file handles, address families beyond UNIX, IP
 * and routing netlink.
 *
 * Arguments are compared on the 32 bits that the kernel reads of them.
 */
#include "filter.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <seccomp.h>

#include <base/fd.h>

#include "tree.h"

/* Not in <sys/ioctl.h>: paste and more into the virtual console, as its user. */
#define FILTER_TIOCLINUX 0x541C

#define FILTER_NAMESPACES                                                                      \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |         \
	 CLONE_NEWPID | CLONE_NEWNET)
static_assert(FILTER_NAMESPACES == 0x7E020000, "every namespace that clone can make");

#define FILTER_LOW 0xffffffffu

/*
 * System call numbers are one sequence for all architectures from 424 on; those that
 * libseccomp cannot name up to here are newer than it.
 */
#define FILTER_NR_COMMON_FIRST 424
#define FILTER_NR_COMMON_LAST  511

/* Allowed whatever the arguments. */
/* clang-format off */
static const char *const allowed[] = {
	/* Files and directories by path. */
	"access", "chdir", "chmod", "chown", "creat", "faccessat", "faccessat2", "fchdir",
	"fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat", "futimesat", "getcwd",
	"lchown", "link", "linkat", "lstat", "mkdir", "mkdirat", "mknod", "mknodat",
	"newfstatat", "open", "openat", "openat2", "readlink", "readlinkat", "rename",
	"renameat", "renameat2", "rmdir", "stat", "statfs", "statx", "symlink", "symlinkat",
	"truncate", "umask", "unlink", "unlinkat", "utime", "utimensat", "utimes",
	/* Extended attributes. */
	"fgetxattr", "flistxattr", "fremovexattr", "fsetxattr", "getxattr", "getxattrat",
	"lgetxattr", "listxattr", "listxattrat", "llistxattr", "lremovexattr", "lsetxattr",
	"removexattr", "removexattrat", "setxattr", "setxattrat",
	/* Descriptors. */
	"cachestat", "close", "close_range", "copy_file_range", "dup", "dup2", "dup3",
	"fadvise64", "fallocate", "fcntl", "fdatasync", "flock", "fstat", "fstatfs", "fsync",
	"ftruncate", "getdents", "getdents64", "lseek", "pipe", "pipe2", "pread64", "preadv",
	"preadv2", "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readv", "sendfile",
	"splice", "sync", "sync_file_range", "syncfs", "tee", "vmsplice", "write", "writev",
	/* Waiting for descriptors. */
	"epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2",
	"epoll_wait", "eventfd", "eventfd2", "inotify_add_watch", "inotify_init",
	"inotify_init1", "inotify_rm_watch", "poll", "ppoll", "pselect6", "select", "signalfd",
	"signalfd4", "timerfd_create", "timerfd_gettime", "timerfd_settime",
	/* POSIX asynchronous I/O, but not io_uring, which no filter can look into. */
	"io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_setup", "io_submit",
	/* Memory. */
	"brk", "madvise", "map_shadow_stack", "membarrier", "memfd_create", "mincore", "mlock",
	"mlock2", "mlockall", "mmap", "mprotect", "mremap", "mseal", "msync", "munlock",
	"munlockall", "munmap", "pkey_alloc", "pkey_free", "pkey_mprotect", "remap_file_pages",
	/* Processes and threads. */
	"arch_prctl", "execve", "execveat", "exit", "exit_group", "fork", "futex",
	"futex_requeue", "futex_wait", "futex_waitv", "futex_wake", "get_robust_list",
	"get_thread_area", "getcpu", "getpgid", "getpgrp", "getpid", "getppid", "getpriority",
	"getrlimit", "getrusage", "getsid", "gettid", "ioprio_get", "ioprio_set", "pidfd_open",
	"prctl", "prlimit64", "process_mrelease", "restart_syscall", "rseq",
	"sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity",
	"sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval",
	"sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler",
	"sched_yield", "set_robust_list", "set_thread_area", "set_tid_address", "setpgid",
	"setpriority", "setrlimit", "setsid", "vfork", "wait4", "waitid",
	/* Who one is: without capabilities these only look or only give up. */
	"capget", "capset", "getegid", "geteuid", "getgid", "getgroups", "getresgid",
	"getresuid", "getuid", "setfsgid", "setfsuid", "setgid", "setgroups", "setregid",
	"setresgid", "setresuid", "setreuid", "setuid",
	/* Sandboxes within: they can only narrow what is left. */
	"landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "seccomp",
	/* Signals. */
	"alarm", "getitimer", "kill", "pause", "pidfd_send_signal", "rt_sigaction",
	"rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
	"rt_sigtimedwait", "rt_tgsigqueueinfo", "setitimer", "sigaltstack", "tgkill", "tkill",
	/* Time, to read. */
	"clock_getres", "clock_gettime", "clock_nanosleep", "gettimeofday", "nanosleep", "time",
	"timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_settime",
	"times",
	/* Sockets once there are some. */
	"accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt",
	"listen", "recvfrom", "recvmmsg", "recvmsg", "sendmmsg", "sendmsg", "sendto",
	"setsockopt", "shutdown",
	/* Messages, semaphores and shared memory: the tenant has its own IPC namespace. */
	"mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend", "mq_unlink",
	"msgctl", "msgget", "msgrcv", "msgsnd", "semctl", "semget", "semop", "semtimedop",
	"shmat", "shmctl", "shmdt", "shmget",
	/* The kernel's own return from a probed function, for an admin who traces. */
	"uretprobe",
	/* The rest. */
	"getrandom", "sysinfo", "uname",
};
/* clang-format on */

/* Allowed if the low 32 bits of argument @arg, masked, are @value; any row will do. */
static const struct filter_row {
	const char *name;
	unsigned int arg;
	uint32_t mask;
	uint32_t value;
	bool second; /* and those of the argument after next are @second_value */
	uint32_t second_value;
} conditional[] = {
	{ .name = "clone", .arg = 0, .mask = FILTER_NAMESPACES, .value = 0 },
	/* The personalities of Linux and SVR4 for 64 and 32 bits; all bits set asks. */
	{ .name = "personality", .arg = 0, .mask = FILTER_LOW, .value = 0x0 },
	{ .name = "personality", .arg = 0, .mask = FILTER_LOW, .value = 0x8 },
	{ .name = "personality", .arg = 0, .mask = FILTER_LOW, .value = 0x20000 },
	{ .name = "personality", .arg = 0, .mask = FILTER_LOW, .value = 0x20008 },
	{ .name = "personality", .arg = 0, .mask = FILTER_LOW, .value = 0xffffffff },
	/* Other families reach hypervisors (VSOCK), kernel cryptography (ALG), or rarely
	 * used protocol code, which socket() would load as a module. */
	{ .name = "socket", .arg = 0, .mask = FILTER_LOW, .value = AF_UNIX },
	{ .name = "socket", .arg = 0, .mask = FILTER_LOW, .value = AF_INET },
	{ .name = "socket", .arg = 0, .mask = FILTER_LOW, .value = AF_INET6 },
	/* getifaddrs() needs routes; netfilter, audit and the others stay out. */
	{ .name = "socket",
	  .arg = 0,
	  .mask = FILTER_LOW,
	  .value = AF_NETLINK,
	  .second = true,
	  .second_value = NETLINK_ROUTE },
	{ .name = "socketpair", .arg = 0, .mask = FILTER_LOW, .value = AF_UNIX },
};

/* ioctl commands that put words into a terminal's input. */
static const uint32_t ioctl_refused[] = { TIOCSTI, FILTER_TIOCLINUX };

/* Allowed but with these; libseccomp is told that they are allowed. */
static const struct tree_refusal refusals[] = {
	{ .nr = SYS_ioctl,
	  .argument = 1,
	  .values = ioctl_refused,
	  .values_n = ARRAY_LEN(ioctl_refused),
	  .answer = SECCOMP_RET_ERRNO | EPERM },
};

static void filter_releasep(scmp_filter_ctx *context)
{
	if (*context != NULL)
		seccomp_release(*context);
}

static int add(scmp_filter_ctx context, uint32_t action, int nr, unsigned int args_n,
               const struct scmp_arg_cmp *args, struct tn_error *err)
{
	int r = seccomp_rule_add_array(context, action, nr, args_n, args);

	return r < 0 ? err_set(err, TN_SYSTEM, -r, "seccomp rule for system call %d", nr) : 0;
}

static int add_allowed(scmp_filter_ctx context, struct tn_error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
		int nr = seccomp_syscall_resolve_name(allowed[i]);
		int r;

		/* Newer than libseccomp, or of another architecture (a negative number). */
		if (nr < 0)
			continue;
		r = add(context, SCMP_ACT_ALLOW, nr, 0, NULL, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static struct scmp_arg_cmp masked(unsigned int arg, uint32_t mask, uint32_t value)
{
	return (struct scmp_arg_cmp){
		.arg = arg,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = mask,
		.datum_b = value,
	};
}

static int add_conditional(scmp_filter_ctx context, struct tn_error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(conditional); i++) {
		const struct filter_row *row = &conditional[i];
		struct scmp_arg_cmp args[] = {
			masked(row->arg, row->mask, row->value),
			masked(row->arg + 2, FILTER_LOW, row->second_value),
		};
		int r = add(context, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(row->name),
		            row->second ? 2 : 1, args, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int add_refused(scmp_filter_ctx context, struct tn_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(refusals); i++)
		r = add(context, SCMP_ACT_ALLOW, (int)refusals[i].nr, 0, NULL, err);
	return r;
}

/* What a program is to take for "this kernel does not have it". */
static int add_missing(scmp_filter_ctx context, struct tn_error *err)
{
	int r = add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, NULL, err);

	for (int nr = FILTER_NR_COMMON_FIRST; r == 0 && nr <= FILTER_NR_COMMON_LAST; nr++) {
		cleanup_free char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE,
		                                                           nr);

		if (name == NULL)
			r = add(context, SCMP_ACT_ERRNO(ENOSYS), nr, 0, NULL, err);
	}
	return r;
}

static int attributes_set(scmp_filter_ctx context, struct tn_error *err)
{
	static const struct {
		enum scmp_filter_attr attr;
		uint32_t value;
	} attributes[] = {
		{ SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS },
		{ SCMP_FLTATR_CTL_OPTIMIZE,
		  2 }, /* a tree, which is the shape for rearrange() */
	};

	for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
		int r = seccomp_attr_set(context, attributes[i].attr, attributes[i].value);

		if (r < 0)
			return err_set(err, TN_SYSTEM, -r, "seccomp attribute %d",
			               (int)attributes[i].attr);
	}
	return 0;
}

static int rules_add(scmp_filter_ctx context, struct tn_error *err)
{
	int (*const steps[])(scmp_filter_ctx, struct tn_error *) = {
		attributes_set, add_allowed, add_conditional, add_refused, add_missing,
	};

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		int r = steps[i](context, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* What libseccomp exports, to be closed by the caller, or -errno. */
static int export(scmp_filter_ctx context, struct tn_error *err)
{
	cleanup_fd int fd = memfd_create("tenantd-seccomp", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return err_errno(err, "create memfd for seccomp filter");
	r = seccomp_export_bpf(context, fd);
	if (r < 0)
		return err_set(err, TN_SYSTEM, -r, "export seccomp filter");
	return fd_take(&fd);
}

/* Put the same decisions into fewer instructions, and what is refused with them. */
static int rearrange(int fd, struct tn_error *err)
{
	const size_t room = FILTER_INSNS_MAX * sizeof(struct sock_filter);
	cleanup_free struct sock_filter *from = malloc(room), *to = malloc(room);
	ssize_t bytes;
	size_t n;

	if (from == NULL || to == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "seccomp filter");
	bytes = pread(fd, from, room, 0);
	if (bytes < 0)
		return err_errno(err, "read seccomp filter");
	n = tree_rebuild(from, (size_t)bytes / sizeof(*from), refusals, ARRAY_LEN(refusals), to,
	                 FILTER_INSNS_MAX);
	if (n == 0)
		return err_set(
			err, TN_SYSTEM, EPROTO,
			"libseccomp has made a filter of a shape that is not understood");
	if (pwrite(fd, to, n * sizeof(*to), 0) != (ssize_t)(n * sizeof(*to)) ||
	    ftruncate(fd, (off_t)(n * sizeof(*to))) < 0)
		return err_errno(err, "write seccomp filter");
	return 0;
}

/* Whole instructions, as many as the kernel takes; then nobody changes them again. */
static int seal(int fd, struct tn_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(err, "stat seccomp filter");
	if (st.st_size == 0 || (size_t)st.st_size % sizeof(struct sock_filter) != 0 ||
	    (size_t)st.st_size / sizeof(struct sock_filter) > FILTER_INSNS_MAX)
		return err_set(err, TN_SYSTEM, EFBIG, "seccomp filter of %lld bytes",
		               (long long)st.st_size);
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(err, "rewind seccomp filter");
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) <
	    0)
		return err_errno(err, "seal seccomp filter");
	return 0;
}

int filter_compile_default(struct tn_error *err)
{
	__attribute__((cleanup(filter_releasep)))
	scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	cleanup_fd int fd = FD_NONE;
	int r;

	if (context == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "seccomp filter");
	r = rules_add(context, err);
	if (r < 0)
		return r;
	fd = export(context, err);
	if (fd < 0)
		return fd;
	r = rearrange(fd, err);
	if (r == 0)
		r = seal(fd, err);
	return r < 0 ? r : fd_take(&fd);
}

size_t filter_unknown_names(size_t *ret_names)
{
	size_t unknown = 0;

	for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
		if (seccomp_syscall_resolve_name(allowed[i]) == __NR_SCMP_ERROR)
			unknown++;
	if (ret_names != NULL)
		*ret_names = ARRAY_LEN(allowed);
	return unknown;
}
