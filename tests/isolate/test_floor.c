/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* isolate/floor.c: what the program says of every system call, and that the kernel takes it. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fd.h>
#include <isolate/floor.h>
#include <policy/filter.h>

TestSuite(floor, .timeout = 30);

#define ALLOW  SECCOMP_RET_ALLOW
#define KILL   SECCOMP_RET_KILL_PROCESS
#define REFUSE (SECCOMP_RET_ERRNO | EPERM)
#define HIGH   0xdead00000000ull /* of a 64-bit argument, which the kernel does not read */

#ifdef __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#else
#define ARCH AUDIT_ARCH_AARCH64
#endif

/* What stands behind the floor here: a policy of one instruction. */
static struct sock_fprog joined(bool host_files, uint32_t policy)
{
	static struct sock_filter code[BPF_MAXINSNS];
	static struct floors floors;
	struct sock_filter only = BPF_STMT(BPF_RET | BPF_K, policy);
	const struct sock_fprog program = { .len = 1, .filter = &only };
	size_t n;

	floors_make(&floors);
	n = floor_join(host_files ? &floors.host_files : &floors.usual, &program, code);
	return (struct sock_fprog){ .len = (unsigned short)n, .filter = code };
}

/* The part of classic BPF that the kernel lets a seccomp filter have and ours use. */
static uint32_t answer_of(const struct sock_fprog *program, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < program->len; pc++) {
		const struct sock_filter *insn = &program->filter[pc];
		bool yes = false;

		switch (insn->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			cr_assert_leq(insn->k + sizeof(a), sizeof(*data));
			memcpy(&a, (const char *)data + insn->k, sizeof(a));
			continue;
		case BPF_RET | BPF_K:
			return insn->k;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= insn->k;
			continue;
		case BPF_JMP | BPF_JA:
			pc += insn->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == insn->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= insn->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			yes = a > insn->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			yes = (a & insn->k) != 0;
			break;
		default:
			cr_assert_fail("instruction %zu is none we know", pc);
		}
		pc += yes ? insn->jt : insn->jf;
	}
	cr_assert_fail("the program has no end");
	return KILL;
}

static uint32_t run_before(const struct seccomp_data *data, bool host_files, uint32_t policy)
{
	const struct sock_fprog program = joined(host_files, policy);

	return answer_of(&program, data);
}

static uint32_t run_of(const struct seccomp_data *data, bool host_files)
{
	return run_before(data, host_files, ALLOW);
}

static uint32_t run(const struct seccomp_data *data)
{
	return run_of(data, false);
}

static uint32_t said(long nr, uint64_t a, uint64_t b, uint64_t c)
{
	const struct seccomp_data data = { .nr = (int)nr, .arch = ARCH, .args = { a, b, c } };

	return run(&data);
}

static const long refused[] = {
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_open_tree,
	467, /* open_tree_attr */
	SYS_move_mount,
	SYS_fsopen,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fspick,
	SYS_mount_setattr,
	SYS_unshare,
	SYS_setns,
	SYS_bpf,
	SYS_perf_event_open,
	SYS_add_key,
	SYS_request_key,
	SYS_keyctl,
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
	SYS_userfaultfd,
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_pidfd_getfd,
	SYS_kexec_load,
	SYS_kexec_file_load,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
};

static bool is_refused(long nr)
{
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (refused[i] == nr)
			return true;
	return false;
}

Test(floor, refuses_what_is_on_the_list_whatever_the_arguments)
{
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		cr_expect_eq(said(refused[i], 0, 0, 0), REFUSE, "%ld", refused[i]);
		cr_expect_eq(said(refused[i], ~0ull, ~0ull, ~0ull), REFUSE, "%ld", refused[i]);
	}
	cr_expect_eq(said(SYS_clone3, 0, 0, 0), (SECCOMP_RET_ERRNO | ENOSYS));
}

Test(floor, leaves_every_other_number_to_the_policy)
{
	for (long nr = 0; nr < 2048; nr++)
		if (!is_refused(nr) && nr != SYS_clone3)
			cr_expect_eq(said(nr, 0, 0, 0), ALLOW, "%ld", nr);
	cr_expect_eq(said(-1, 0, 0, 0), ALLOW, "as libseccomp does");
}

Test(floor, refuses_each_namespace_flag_of_clone_among_others)
{
	static const uint64_t flags[] = { CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
		                          CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
		                          CLONE_NEWNET, 0x7E020000 };
	const uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
	                        CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS;

	cr_expect_eq(said(SYS_clone, SIGCHLD, 0, 0), ALLOW);
	cr_expect_eq(said(SYS_clone, thread, 0, 0), ALLOW);
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		cr_expect_eq(said(SYS_clone, flags[i] | SIGCHLD, 0, 0), REFUSE);
		cr_expect_eq(said(SYS_clone, flags[i] | thread | HIGH, 0, 0), REFUSE);
	}
}

Test(floor, looks_at_the_half_of_an_argument_that_the_kernel_reads)
{
	static const struct {
		long nr;
		uint64_t a, b;
		uint32_t verdict;
	} rows[] = {
		{ SYS_ioctl, 0, TIOCSTI, REFUSE },
		{ SYS_ioctl, 0, HIGH | TIOCSTI, REFUSE },
		{ SYS_ioctl, 0, 0x541C, REFUSE },
		{ SYS_ioctl, 0, HIGH | 0x541C, REFUSE },
		{ SYS_ioctl, TIOCSTI, TCGETS, ALLOW },
		{ SYS_ioctl, 0, HIGH | TIOCGWINSZ, ALLOW },
		{ SYS_socket, AF_VSOCK, SOCK_STREAM, REFUSE },
		{ SYS_socket, HIGH | AF_VSOCK, SOCK_STREAM, REFUSE },
		{ SYS_socket, HIGH | AF_ALG, SOCK_SEQPACKET, REFUSE },
		{ SYS_socket, AF_UNIX, AF_ALG, ALLOW },
		{ SYS_socket, AF_NETLINK, NETLINK_ROUTE, ALLOW },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		cr_expect_eq(said(rows[i].nr, rows[i].a, rows[i].b, 0), rows[i].verdict,
		             "row %zu", i);
}

Test(floor, lets_nobody_change_the_size_of_core_dumps_but_everybody_ask)
{
	const uint32_t invalid = SECCOMP_RET_ERRNO | EINVAL;
	const uint64_t somewhere = 0x7fff00001000, low_half_zero = 0x7fff00000000;

#ifdef SYS_setrlimit
	cr_expect_eq(said(SYS_setrlimit, RLIMIT_CORE, somewhere, 0), invalid);
	cr_expect_eq(said(SYS_setrlimit, HIGH | RLIMIT_CORE, somewhere, 0), invalid);
	cr_expect_eq(said(SYS_setrlimit, RLIMIT_NOFILE, somewhere, 0), ALLOW);
#endif
	cr_expect_eq(said(SYS_prlimit64, 0, RLIMIT_CORE, somewhere), invalid);
	cr_expect_eq(said(SYS_prlimit64, 7, HIGH | RLIMIT_CORE, somewhere), invalid);
	cr_expect_eq(said(SYS_prlimit64, 0, RLIMIT_CORE, low_half_zero), invalid);
	cr_expect_eq(said(SYS_prlimit64, 0, RLIMIT_CORE, 1), invalid);
	cr_expect_eq(said(SYS_prlimit64, 0, RLIMIT_CORE, 0), ALLOW);
	cr_expect_eq(said(SYS_prlimit64, 0, RLIMIT_NOFILE, somewhere), ALLOW);
}

Test(floor, ends_a_process_that_calls_as_another_abi_does)
{
	static const uint32_t others[] = { AUDIT_ARCH_I386, AUDIT_ARCH_ARM, 0, ~0u };

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		const struct seccomp_data data = { .nr = SYS_getpid, .arch = others[i] };

		cr_expect_eq(run(&data), KILL, "%x", others[i]);
	}
#ifdef __x86_64__
	cr_expect_eq(said(0x40000000, 0, 0, 0), KILL);
	cr_expect_eq(said(0x40000000 | SYS_getpid, 0, 0, 0), KILL);
	cr_expect_eq(said(0x7fffffff, 0, 0, 0), KILL);
	cr_expect_eq(said(-2, 0, 0, 0), KILL);
#endif
}

/* The first argument is never a mode nor flags. */
static uint32_t said_of_host_files(long nr, uint64_t b, uint64_t c, uint64_t d)
{
	const struct seccomp_data data = { .nr = (int)nr,
		                           .arch = ARCH,
		                           .args = { 06777, b, c, d } };

	return run_of(&data, true);
}

Test(floor, lets_no_set_id_bit_be_given_where_files_are_the_hosts)
{
	static const uint64_t modes[] = { S_ISUID, S_ISGID, 06755, 02755, HIGH | 04711 };

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		const uint64_t mode = modes[i];

#ifdef SYS_open
		cr_expect_eq(said_of_host_files(SYS_chmod, mode, 0, 0), REFUSE);
		cr_expect_eq(said_of_host_files(SYS_creat, mode, 0, 0), REFUSE);
		cr_expect_eq(said_of_host_files(SYS_mknod, mode, 0, 0), REFUSE);
		cr_expect_eq(said_of_host_files(SYS_open, O_CREAT | O_RDWR, mode, 0), REFUSE);
		cr_expect_eq(said_of_host_files(SYS_open, O_TMPFILE | O_RDWR, mode, 0), REFUSE);
		cr_expect_eq(said_of_host_files(SYS_open, O_DIRECTORY, mode, 0), ALLOW);
#endif
		cr_expect_eq(said_of_host_files(SYS_fchmod, mode, 0, 0), REFUSE);
		cr_expect_eq(said_of_host_files(SYS_fchmodat, 0, mode, 0), REFUSE);
		cr_expect_eq(said_of_host_files(452, 0, mode, 0), REFUSE);
		cr_expect_eq(said_of_host_files(SYS_mknodat, 0, mode, 0), REFUSE);
		cr_expect_eq(said_of_host_files(SYS_openat, 0, O_CREAT, mode), REFUSE);
		cr_expect_eq(said_of_host_files(SYS_openat, 0, O_TMPFILE, mode), REFUSE);
		cr_expect_eq(said_of_host_files(SYS_openat, 0, O_RDONLY, mode), ALLOW);
		cr_expect_eq(said(SYS_fchmod, 0, mode, 0), ALLOW, "files of the tenant's own");
	}
	cr_expect_eq(said_of_host_files(SYS_openat2, 0, 0, 0), (SECCOMP_RET_ERRNO | ENOSYS));
	cr_expect_eq(said_of_host_files(SYS_fchmod, 01777, 0, 0), ALLOW);
	cr_expect_eq(said_of_host_files(SYS_openat, 0, O_CREAT, 0644), ALLOW);
}

Test(floor, refuses_all_the_rest_where_files_are_the_hosts)
{
	static const long modes[] = { SYS_openat,   SYS_openat2, SYS_fchmod,
		                      SYS_fchmodat, SYS_mknodat, 452 };

	for (long nr = 0; nr < 1024; nr++) {
		const struct seccomp_data data = { .nr = (int)nr, .arch = ARCH };
		bool of_mode = false;

		for (size_t i = 0; i < ARRAY_LEN(modes); i++)
			of_mode = of_mode || modes[i] == nr;
		if (!of_mode)
			cr_expect_eq(run_of(&data, true), run_of(&data, false), "%ld", nr);
	}
}

Test(floor, is_short_enough_to_be_loaded_by_every_launch)
{
	const struct sock_fprog program = joined(false, ALLOW);

	cr_expect_gt(program.len, 40);
	cr_expect_lt(program.len, 100);
}

/* Whatever the policy is, it is asked about what the floor lets through and nothing else. */
Test(floor, gives_to_the_policy_what_it_lets_through_and_nothing_else)
{
	const uint32_t policy = SECCOMP_RET_ERRNO | EBADMSG;

	for (long nr = 0; nr < 1024; nr++)
		for (int host_files = 0; host_files < 2; host_files++) {
			const struct seccomp_data data = { .nr = (int)nr, .arch = ARCH };
			const uint32_t alone = run_before(&data, host_files, ALLOW);

			cr_expect_eq(run_before(&data, host_files, policy),
			             alone == ALLOW ? policy : alone, "%ld", nr);
		}
}

/* A policy as long as it may be, each part of it reached. */
/* Behind its head or not, it decides what it decides alone. */
Test(floor, asks_a_policy_with_a_search_of_its_own_what_it_would_say_alone)
{
	static struct sock_filter code[BPF_MAXINSNS], theirs[BPF_MAXINSNS];
	struct sock_fprog policy = { .filter = theirs }, both = { .filter = code };
	struct tn_error err = { 0 };
	cleanup_fd int fd = filter_compile_default(&err);
	static struct floors floors;
	ssize_t bytes;

	cr_assert_geq(fd, 0, "%s", err.msg);
	bytes = pread(fd, theirs, sizeof(theirs), 0);
	cr_assert_gt(bytes, 0);
	policy.len = (unsigned short)((size_t)bytes / sizeof(*theirs));
	floors_make(&floors);
	both.len = (unsigned short)floor_join(&floors.usual, &policy, code);
	for (uint32_t nr = 0; nr < 1100; nr++)
		for (uint64_t i = 0; i < 64; i++) {
			const uint64_t argument = i < 32 ? i : UINT64_C(1) << i;
			const struct seccomp_data data = {
				.nr = (int)(nr == 1099 ? UINT32_MAX : nr),
				.arch = ARCH,
				.args = { argument, argument, argument },
			};
			const uint32_t floor_says = run(&data);
			const uint32_t want = floor_says == ALLOW ? answer_of(&policy, &data)
			                                          : floor_says;

			cr_assert_eq(answer_of(&both, &data), want, "call %u", nr);
		}
}

Test(floor, joins_the_longest_policy_to_what_the_kernel_takes)
{
	static struct sock_filter theirs[SPEC_FILTER_INSNS_MAX], code[BPF_MAXINSNS];
	static struct floors floors;
	const struct sock_fprog policy = { .len = SPEC_FILTER_INSNS_MAX, .filter = theirs };
	size_t n;

	for (size_t i = 0; i < SPEC_FILTER_INSNS_MAX; i++)
		theirs[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (uint32_t)i);
	floors_make(&floors);
	n = floor_join(&floors.host_files, &policy, code);
	cr_expect_leq(n, BPF_MAXINSNS);
	cr_expect_arr_eq(code + n - SPEC_FILTER_INSNS_MAX, theirs, sizeof(theirs));
}

static int filter_load(const struct sock_fprog *program)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program);
}

static int floor_load(void)
{
	const struct sock_fprog program = joined(false, ALLOW);

	return filter_load(&program);
}

static int both_load(void)
{
	static struct sock_filter theirs[FILTER_INSNS_MAX], code[BPF_MAXINSNS];
	static struct floors floors;
	struct tn_error err = { 0 };
	struct sock_fprog policy = { .filter = theirs }, program = { .filter = code };
	cleanup_fd int fd = filter_compile_default(&err);
	ssize_t n = fd < 0 ? -1 : pread(fd, theirs, sizeof(theirs), 0);

	if (n <= 0)
		return -1;
	policy.len = (unsigned short)((size_t)n / sizeof(*theirs));
	floors_make(&floors);
	program.len = (unsigned short)floor_join(&floors.usual, &policy, code);
	return filter_load(&program);
}

/* How @child ends, which runs in a process of its own under what @load loads. */
static int status_of(int (*load)(void), int (*child)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(load() < 0 ? 100 : child());
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static bool fails_with(long r, int number)
{
	return r == -1 && errno == number;
}

/* The number of the first line that is not as it should be, or 0. */
static int tries(void)
{
	const struct rlimit none = { 0, 0 };
	struct rlimit asked;
	pid_t pid;

	if (!fails_with(mount("none", "/", "tmpfs", 0, NULL), EPERM))
		return __LINE__ % 99 + 1;
	if (!fails_with(unshare(CLONE_NEWUSER), EPERM))
		return __LINE__ % 99 + 1;
	if (!fails_with(syscall(SYS_clone3, NULL, 0), ENOSYS))
		return __LINE__ % 99 + 1;
	if (!fails_with(setrlimit(RLIMIT_CORE, &none), EINVAL) ||
	    !fails_with(prlimit(0, RLIMIT_CORE, &none, NULL), EINVAL) ||
	    getrlimit(RLIMIT_CORE, &asked) < 0)
		return __LINE__ % 99 + 1;
	if (!fails_with(ioctl(0, HIGH | TIOCSTI, "x"), EPERM))
		return __LINE__ % 99 + 1;
	pid = fork();
	if (pid == 0)
		_exit(0);
	return pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : __LINE__ % 99 + 1;
}

static int executes(void)
{
	(void)execl("/bin/sh", "sh", "-c", "exit $(($(echo 40) + 2))", NULL);
	return 102;
}

static int nothing_load(void)
{
	return 0;
}

static int calls_as_i386(void)
{
#ifdef __x86_64__
	long nr = 20;

	/* A sanitizer would make an exit of it. */
	(void)signal(SIGSEGV, SIG_DFL);
	__asm__ volatile("int $0x80" : "+a"(nr) : : "memory");
#endif
	return 0;
}

static int calls_as_x32(void)
{
	return syscall(0x40000000 | SYS_getpid) > 0 ? 1 : 0;
}

Test(floor, is_taken_and_kept_by_the_kernel)
{
	cr_expect_eq(status_of(floor_load, tries), 0);
}

Test(floor, comes_before_the_policys_filter_without_standing_in_its_way)
{
	cr_expect_eq(status_of(both_load, tries), 0);
	cr_expect_eq(WEXITSTATUS(status_of(both_load, executes)), 42);
}

#ifdef __x86_64__
Test(floor, ends_a_real_process_of_another_abi)
{
	/* A kernel that lacks this ABI ends who uses it by itself, before any filter is asked.
	 */
	const int unfiltered = status_of(nothing_load, calls_as_i386);
	int status = status_of(floor_load, calls_as_i386);

	cr_expect(WIFSIGNALED(status));
	cr_expect_eq(WTERMSIG(status), WIFSIGNALED(unfiltered) ? WTERMSIG(unfiltered) : SIGSYS);
	status = status_of(floor_load, calls_as_x32);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}
#endif
