/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy/filter.c: what the kernel answers once the exported filter is installed. Each
 * check runs in a child of its own, which reports by its exit status alone.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/io.h>
#include <policy/filter.h>

TestSuite(policy_filter, .timeout = 60);

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
/* Bit 30 of a number marks a call of the x32 ABI. */
#define X32_BIT 0x40000000

/* A child's exit status when the check itself could not be made. */
enum {
	CHILD_OK = 0,
	CHILD_NO_FILTER = 200
};

static int compile(void)
{
	struct tn_error err = { 0 };
	int fd = filter_compile_default(&err);

	cr_assert_geq(fd, 0, "%s", err.msg);
	return fd;
}

static size_t instructions(int fd)
{
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	return (size_t)st.st_size / sizeof(struct sock_filter);
}

/* Install the filter in @fd as a launch does. */
static bool install(int fd, struct sock_filter *code, size_t n)
{
	struct sock_fprog program = { .len = (unsigned short)n, .filter = code };

	return pread(fd, code, n * sizeof(*code), 0) == (ssize_t)(n * sizeof(*code)) &&
	       prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

/* Run @check under the filter in a child. Returns its wait status. */
static int run(int (*check)(const void *), const void *argument)
{
	cleanup_fd int fd = compile();
	size_t n = instructions(fd);
	cleanup_free struct sock_filter *code = calloc(n, sizeof(*code));
	int status = -1;
	pid_t pid;

	cr_assert_not_null(code);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0)
		_exit(install(fd, code, n) ? check(argument) : CHILD_NO_FILTER);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

/* One system call and the errno that it ends with; 0 is success. */
struct call {
	const char *name;
	long nr;
	long args[6];
	int expected;
};

static int call_errno(const struct call *call)
{
	const long *a = call->args;

	errno = 0;
	return syscall(call->nr, a[0], a[1], a[2], a[3], a[4], a[5]) < 0 ? errno : 0;
}

static int check_call(const void *argument)
{
	return call_errno(argument);
}

static void expect_calls(const struct call *calls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int status = run(check_call, &calls[i]);

		cr_assert(WIFEXITED(status), "%s: status %#x", calls[i].name,
		          (unsigned int)status);
		cr_expect_eq(WEXITSTATUS(status), calls[i].expected, "%s: errno %d, not %d",
		             calls[i].name, WEXITSTATUS(status), calls[i].expected);
	}
}

#define CALL(name, expected, ...)                                                              \
	{                                                                                      \
#name, SYS_##name, { __VA_ARGS__ }, expected                                   \
	}

Test(policy_filter, is_sealed_and_small_enough_for_the_kernel)
{
	cleanup_fd int fd = compile();
	size_t n = instructions(fd);
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	cr_expect_eq((size_t)st.st_size % sizeof(struct sock_filter), 0);
	cr_expect_gt(n, 50, "no stub");
	/* Each of them costs every launch. */
	cr_expect_lt(n, 128);
	cr_expect_eq(fcntl(fd, F_GET_SEALS), SEALS);
	cr_expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	cr_expect_eq(lseek(fd, 0, SEEK_CUR), 0, "a reader starts at the beginning");
	cr_expect_lt(pwrite(fd, "", 1, 0), 0);
	cr_expect_eq(errno, EPERM);
	cr_expect_lt(ftruncate(fd, 0), 0);
	cr_expect_eq(errno, EPERM);
}

Test(policy_filter, is_the_same_every_time)
{
	cleanup_fd int a = compile(), b = compile();
	size_t n = instructions(a) * sizeof(struct sock_filter);
	cleanup_free char *text_a = malloc(n), *text_b = malloc(n);

	cr_assert_eq(instructions(b) * sizeof(struct sock_filter), n);
	cr_assert_eq(io_read_all(a, text_a, n), (ssize_t)n);
	cr_assert_eq(io_read_all(b, text_b, n), (ssize_t)n);
	cr_expect_eq(memcmp(text_a, text_b, n), 0);
}

Test(policy_filter, knows_most_names_of_its_list)
{
	size_t names = 0, unknown = filter_unknown_names(&names);

	/* libseccomp 2.5.4 knows all but those of Linux 6.7 and later. */
	cr_expect_gt(names, 250);
	cr_expect_lt(unknown, 10);
	cr_expect_eq(filter_unknown_names(NULL), unknown);
}

Test(policy_filter, lets_ordinary_calls_through)
{
	static const struct call calls[] = {
		CALL(getpid, 0, 0),
		CALL(getrandom, EFAULT, 1, 16),
		CALL(openat, ENOENT, AT_FDCWD, (long)"/no such file", O_RDONLY),
		CALL(socket, 0, AF_UNIX, SOCK_STREAM),
		CALL(socket, 0, AF_INET, SOCK_STREAM),
		CALL(socket, 0, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE),
		CALL(personality, 0, 0xffffffff),
		CALL(personality, 0, 0x20000),
		CALL(clone, 0, SIGCHLD),
		CALL(close_range, 0, 100, 200),
		CALL(ioctl, EBADF, -1, TCGETS),
		CALL(prctl, 0, PR_SET_DUMPABLE, 0),
	};

	expect_calls(calls, ARRAY_LEN(calls));
}

static const struct call foreign_calls[] = {
	CALL(unshare, EPERM, CLONE_NEWUSER),
	CALL(unshare, EPERM, 0),
	CALL(setns, EPERM, -1),
	CALL(mount, EPERM, 0),
	CALL(umount2, EPERM, 0),
	CALL(pivot_root, EPERM, 0),
	CALL(chroot, EPERM, 0),
	CALL(open_tree, EPERM, 0),
	CALL(move_mount, EPERM, 0),
	CALL(fsopen, EPERM, 0),
	CALL(fsconfig, EPERM, 0),
	CALL(fsmount, EPERM, 0),
	CALL(fspick, EPERM, 0),
	CALL(mount_setattr, EPERM, 0),
	CALL(ptrace, EPERM, 0),
	CALL(process_vm_readv, EPERM, 0),
	CALL(process_vm_writev, EPERM, 0),
	CALL(process_madvise, EPERM, 0),
	CALL(pidfd_getfd, EPERM, 0),
	CALL(kcmp, EPERM, 0),
	CALL(io_uring_setup, EPERM, 0),
	CALL(io_uring_enter, EPERM, 0),
	CALL(io_uring_register, EPERM, 0),
	CALL(add_key, EPERM, 0),
	CALL(request_key, EPERM, 0),
	CALL(keyctl, EPERM, 0),
	CALL(bpf, EPERM, 0),
	CALL(perf_event_open, EPERM, 0),
	CALL(userfaultfd, EPERM, 0),
	CALL(init_module, EPERM, 0),
	CALL(finit_module, EPERM, 0),
	CALL(delete_module, EPERM, 0),
	CALL(kexec_load, EPERM, 0),
	CALL(swapon, EPERM, 0),
	CALL(swapoff, EPERM, 0),
	CALL(reboot, EPERM, 0),
	CALL(quotactl, EPERM, 0),
	CALL(quotactl_fd, EPERM, 0),
	CALL(acct, EPERM, 0),
	CALL(open_by_handle_at, EPERM, 0),
	CALL(name_to_handle_at, EPERM, 0),
	CALL(fanotify_init, EPERM, 0),
	CALL(syslog, EPERM, 0),
	CALL(vhangup, EPERM, 0),
	CALL(settimeofday, EPERM, 0),
	CALL(clock_settime, EPERM, 0),
	CALL(clock_adjtime, EPERM, 0),
	CALL(adjtimex, EPERM, 0),
	CALL(sethostname, EPERM, 0),
	CALL(setdomainname, EPERM, 0),
	CALL(nfsservctl, EPERM, 0),
	CALL(lookup_dcookie, EPERM, 0),
	CALL(move_pages, EPERM, 0),
	CALL(migrate_pages, EPERM, 0),
	CALL(mbind, EPERM, 0),
	CALL(set_mempolicy, EPERM, 0),
	CALL(get_mempolicy, EPERM, 0),
#ifdef __x86_64__
	CALL(iopl, EPERM, 0),
	CALL(ioperm, EPERM, 0),
	CALL(modify_ldt, EPERM, 0),
	CALL(uselib, EPERM, 0),
	CALL(ustat, EPERM, 0),
	CALL(sysfs, EPERM, 0),
	CALL(_sysctl, EPERM, 0),
	CALL(create_module, EPERM, 0),
#endif
};

Test(policy_filter, refuses_what_is_not_a_tenants_business)
{
	expect_calls(foreign_calls, ARRAY_LEN(foreign_calls));
}

Test(policy_filter, makes_no_namespaces)
{
	static const struct call calls[] = {
		CALL(clone, EPERM, CLONE_NEWUSER | SIGCHLD),
		CALL(clone, EPERM, CLONE_NEWNS | SIGCHLD),
		CALL(clone, EPERM, CLONE_NEWPID | SIGCHLD),
		CALL(clone, EPERM, CLONE_NEWNET | SIGCHLD),
		CALL(clone, EPERM, CLONE_NEWIPC | SIGCHLD),
		CALL(clone, EPERM, CLONE_NEWUTS | SIGCHLD),
		CALL(clone, EPERM, CLONE_NEWCGROUP | SIGCHLD),
		CALL(clone, EPERM, CLONE_VM | CLONE_NEWUSER),
		CALL(clone, EPERM, (long)(UINT64_C(1) << 32 | CLONE_NEWUSER)),
		CALL(clone3, ENOSYS, 0, 0),
		CALL(clone3, ENOSYS, 0, 88),
	};

	expect_calls(calls, ARRAY_LEN(calls));
}

Test(policy_filter, opens_few_kinds_of_sockets)
{
	static const struct call calls[] = {
		CALL(socket, EPERM, AF_VSOCK, SOCK_STREAM),
		CALL(socket, EPERM, AF_ALG, SOCK_SEQPACKET),
		CALL(socket, EPERM, AF_PACKET, SOCK_RAW),
		CALL(socket, EPERM, AF_KEY, SOCK_RAW),
		CALL(socket, EPERM, AF_TIPC, SOCK_RAW),
		CALL(socket, EPERM, AF_MAX, SOCK_RAW),
		CALL(socket, EPERM, AF_UNSPEC, SOCK_RAW),
		CALL(socket, EPERM, -1, SOCK_RAW),
		CALL(socket, EPERM, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER),
		CALL(socket, EPERM, AF_NETLINK, SOCK_RAW, NETLINK_AUDIT),
		CALL(socket, EPERM, AF_NETLINK, SOCK_RAW, NETLINK_XFRM),
		/* The kernel reads 32 bits of either argument, and so does the filter. */
		CALL(socket, EPERM, (long)(UINT64_C(1) << 32 | AF_VSOCK), SOCK_STREAM),
		CALL(socket, EPERM, (long)(UINT64_C(1) << 63 | AF_ALG), SOCK_SEQPACKET),
		CALL(socket, EPERM, AF_NETLINK, SOCK_RAW,
		     (long)(UINT64_C(1) << 32 | NETLINK_NETFILTER)),
		CALL(socket, 0, (long)(UINT64_C(1) << 32 | AF_UNIX), SOCK_STREAM),
		CALL(socketpair, EFAULT, AF_UNIX, SOCK_STREAM, 0, 1),
		CALL(socketpair, EPERM, AF_VSOCK, SOCK_STREAM, 0, 1),
		CALL(socketpair, EPERM, AF_TIPC, SOCK_STREAM, 0, 1),
	};

	expect_calls(calls, ARRAY_LEN(calls));
}

Test(policy_filter, knows_the_usual_personalities_only)
{
	static const struct call calls[] = {
		CALL(personality, EPERM, 0x0040000), /* no address space randomisation */
		CALL(personality, EPERM, 0x0400000), /* reading is executing */
		CALL(personality, EPERM, 0x0100000), /* pages may lie at zero */
		CALL(personality, EPERM, (long)(UINT64_C(1) << 32 | 0x0040000)),
		CALL(personality, 0, 0),
	};

	expect_calls(calls, ARRAY_LEN(calls));
}

/* The first command of @n from @first on, under @high, with the wrong answer; 0: none. */
static int ioctl_fault(uint32_t first, uint32_t n, uint64_t high)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t command = first + i;
		bool refused = command == TIOCSTI || command == 0x541C;
		long r = syscall(SYS_ioctl, -1, high << 32 | command, NULL);

		if (r >= 0 || errno != (refused ? EPERM : EBADF))
			return 1;
	}
	return 0;
}

static int check_ioctl(const void *argument)
{
	const uint64_t highs[] = { 0, 1, 0x80000000, 0xffffffff, 0x5412 };

	(void)argument;
	for (size_t i = 0; i < ARRAY_LEN(highs); i++) {
		/* Everything around the two, and everything one bit away from them. */
		if (ioctl_fault(0, 0x10000, highs[i]) != 0 ||
		    ioctl_fault(0xffff0000, 0x10000, highs[i]) != 0)
			return 1;
		for (unsigned int bit = 16; bit < 32; bit++)
			if (ioctl_fault((UINT32_C(1) << bit) | 0x5400, 0x40, highs[i]) != 0)
				return 2;
	}
	/* As a language with signed integers passes TIOCGPTN, 0x80045430. */
	if (syscall(SYS_ioctl, -1, (long)(int32_t)TIOCGPTN, NULL) >= 0 || errno != EBADF)
		return 3;
	return CHILD_OK;
}

Test(policy_filter, keeps_words_out_of_terminals_and_allows_every_other_ioctl)
{
	int status = run(check_ioctl, NULL);

	cr_assert(WIFEXITED(status));
	cr_expect_eq(WEXITSTATUS(status), CHILD_OK, "check %d", WEXITSTATUS(status));
}

Test(policy_filter, says_that_newer_calls_do_not_exist)
{
	/* A C library falls back on ENOSYS, but takes EPERM for an answer. */
	static const struct call calls[] = {
		{ "the last common number", 511, { 0 }, ENOSYS },
		{ "the first beyond them", 512, { 0 }, EPERM },
	};

	expect_calls(calls, ARRAY_LEN(calls));
}

#ifdef __x86_64__
static int check_x32(const void *argument)
{
	(void)argument;
	return (int)syscall(X32_BIT | SYS_getpid);
}

/* The 32-bit ABI: number 20 is its getpid. */
static int check_i386(const void *argument)
{
	long r;

	(void)argument;
	/* A sanitizer would make an exit of it. */
	(void)signal(SIGSEGV, SIG_DFL);
	__asm__ volatile("int $0x80" : "=a"(r) : "0"(20L) : "memory", "r8", "r9", "r10", "r11");
	return r > 0;
}

/* A kernel that lacks this ABI ends who uses it by itself, before any filter is asked. */
static int i386_ends_by(void)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(check_i386(NULL) != 1);
	cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : SIGSYS;
}

Test(policy_filter, kills_whoever_uses_another_abi)
{
	int x32 = run(check_x32, NULL), i386 = run(check_i386, NULL);

	cr_expect(WIFSIGNALED(x32) && WTERMSIG(x32) == SIGSYS, "x32: status %#x",
	          (unsigned int)x32);
	cr_expect(WIFSIGNALED(i386) && WTERMSIG(i386) == i386_ends_by(), "i386: status %#x",
	          (unsigned int)i386);
}
#endif

/* What a process that starts others does: fork, exec, wait, a pipe between. */
static int check_shell(const void *argument)
{
	(void)argument;
	execl("/bin/sh", "sh", "-c",
	      "test \"$(echo a | tr a b)\" = b && cat < /proc/self/stat >/dev/null",
	      (char *)NULL);
	return 1;
}

Test(policy_filter, is_wide_enough_for_a_shell)
{
	int status = run(check_shell, NULL);

	cr_assert(WIFEXITED(status));
	cr_expect_eq(WEXITSTATUS(status), 0);
}

static int check_compiler(const void *argument)
{
	execlp("cc", "cc", "-x", "c", "-O2", "-o", (const char *)argument,
	       TEST_SOURCE_ROOT "/tests/policy/filter_probe.c", (char *)NULL);
	return 1;
}

static int check_compiled(const void *argument)
{
	execl((const char *)argument, (const char *)argument, (char *)NULL);
	return 1;
}

Test(policy_filter, is_wide_enough_for_a_compiler_and_threads)
{
	char path[] = "/tmp/tenantd-filter-XXXXXX";
	int fd = mkstemp(path), compiled, ran;

	cr_assert_geq(fd, 0);
	(void)close(fd);
	compiled = run(check_compiler, path);
	ran = run(check_compiled, path);
	(void)unlink(path);
	cr_assert(WIFEXITED(compiled));
	cr_expect_eq(WEXITSTATUS(compiled), 0);
	cr_assert(WIFEXITED(ran), "status %#x", (unsigned int)ran);
	cr_expect_eq(WEXITSTATUS(ran), 0);
}
