/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * floor calls|i386|x32: run under a policy filter that allows everything, tries what
 * tenantd's own filter refuses. Of "calls", says "all held", or each that was not refused in
 * the way the filter does it. Most of these would be given to an unprivileged process, or
 * fail with another error, if the filter were not there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define HIGH     0xdead00000000ul
#define X32_BIT  0x40000000
#define KEY_USER "user"

static int open_n;

static void refused(const char *what, long r, int expected)
{
	if (r < 0 && errno == expected)
		return;
	printf("%s gave %ld, %s\n", what, r, r < 0 ? strerrorname_np(errno) : "no error");
	open_n++;
}

static long cloned(unsigned long flags)
{
	long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return pid;
}

static void mounts(void)
{
	refused("mount", mount("none", "/tmp", "tmpfs", 0, NULL), EPERM);
	refused("umount2", umount2("/nowhere", 0), EPERM);
	refused("pivot_root", syscall(SYS_pivot_root, "/nowhere", "/nowhere"), EPERM);
	refused("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 0), EPERM);
	refused("open_tree_attr", syscall(467, AT_FDCWD, "/", 0, NULL, 0), EPERM);
	refused("move_mount", syscall(SYS_move_mount, -1, "", -1, "", -1), EPERM);
	refused("fsopen", syscall(SYS_fsopen, "nothing", 0), EPERM);
	refused("fsconfig", syscall(SYS_fsconfig, -1, -1, NULL, NULL, 0), EPERM);
	refused("fsmount", syscall(SYS_fsmount, -1, 0, 0), EPERM);
	refused("fspick", syscall(SYS_fspick, AT_FDCWD, "/nowhere", 0), EPERM);
	refused("mount_setattr", syscall(SYS_mount_setattr, -1, "", -1, NULL, 0), EPERM);
}

static void namespaces(void)
{
	static const unsigned long flags[] = { CLONE_NEWNS,  CLONE_NEWCGROUP,     CLONE_NEWUTS,
		                               CLONE_NEWIPC, CLONE_NEWUSER,       CLONE_NEWPID,
		                               CLONE_NEWNET, CLONE_NEWUSER | HIGH };

	refused("unshare of a user namespace", unshare(CLONE_NEWUSER), EPERM);
	/* Without the filter, nothing to unshare is no error. */
	refused("unshare of nothing", unshare(0), EPERM);
	refused("setns", setns(-1, 0), EPERM);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		refused("clone", cloned(flags[i]), EPERM);
	refused("clone3", syscall(SYS_clone3, NULL, 0), ENOSYS);
}

static void kernel(void)
{
	struct io_uring_params ring = { 0 };

	refused("bpf", syscall(SYS_bpf, -1, NULL, 0), EPERM);
	refused("perf_event_open", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0), EPERM);
	refused("add_key", syscall(SYS_add_key, KEY_USER, "a", "b", 1, -2), EPERM);
	refused("request_key", syscall(SYS_request_key, KEY_USER, "a", NULL, 0), EPERM);
	refused("keyctl", syscall(SYS_keyctl, 0, -3, 1), EPERM);
	refused("io_uring_setup", syscall(SYS_io_uring_setup, 1, &ring), EPERM);
	refused("io_uring_enter", syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0), EPERM);
	refused("io_uring_register", syscall(SYS_io_uring_register, -1, 0, NULL, 0), EPERM);
	refused("userfaultfd", syscall(SYS_userfaultfd, 1), EPERM);
	refused("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0), EPERM);
	refused("init_module", syscall(SYS_init_module, NULL, 0, NULL), EPERM);
	refused("finit_module", syscall(SYS_finit_module, -1, NULL, 0), EPERM);
	refused("delete_module", syscall(SYS_delete_module, NULL, 0), EPERM);
	refused("AF_VSOCK", socket(AF_VSOCK, SOCK_STREAM, 0), EPERM);
	refused("AF_ALG", socket(AF_ALG, SOCK_SEQPACKET, 0), EPERM);
	refused("AF_ALG, high bits set", syscall(SYS_socket, HIGH | AF_ALG, SOCK_SEQPACKET, 0),
	        EPERM);
}

static void processes(void)
{
	char from = 'x', to = 'y';
	struct iovec local = { &from, 1 }, remote = { &to, 1 };
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	refused("ptrace", ptrace(PTRACE_TRACEME, 0, NULL, NULL), EPERM);
	refused("process_vm_readv", process_vm_readv(getpid(), &local, 1, &remote, 1, 0),
	        EPERM);
	refused("process_vm_writev", process_vm_writev(getpid(), &local, 1, &remote, 1, 0),
	        EPERM);
	refused("pidfd_getfd", syscall(SYS_pidfd_getfd, pidfd, 1, 0), EPERM);
}

static void terminals(void)
{
	int master, slave;
	char c = 'x';

	if (openpty(&master, &slave, NULL, NULL, NULL) < 0) {
		refused("a terminal to type into", 0, EPERM);
		return;
	}
	refused("TIOCSTI", ioctl(slave, TIOCSTI, &c), EPERM);
	refused("TIOCSTI, high bits set", syscall(SYS_ioctl, slave, HIGH | TIOCSTI, &c), EPERM);
	refused("TIOCLINUX", ioctl(slave, 0x541C, &c), EPERM);
	refused("TIOCLINUX, high bits set", syscall(SYS_ioctl, slave, HIGH | 0x541C, &c),
	        EPERM);
}

static void core_dumps(void)
{
	const struct rlimit none = { 0, 0 }, all = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit before, after;

	(void)getrlimit(RLIMIT_CORE, &before);
	refused("a lower RLIMIT_CORE", syscall(SYS_setrlimit, RLIMIT_CORE, &none), EINVAL);
	refused("a higher RLIMIT_CORE", syscall(SYS_setrlimit, RLIMIT_CORE, &all), EINVAL);
	refused("RLIMIT_CORE, high bits set", syscall(SYS_setrlimit, HIGH | RLIMIT_CORE, &none),
	        EINVAL);
	refused("prlimit of RLIMIT_CORE", prlimit(0, RLIMIT_CORE, &none, NULL), EINVAL);
	refused("prlimit of another's", prlimit(getpid(), RLIMIT_CORE, &none, &after), EINVAL);
	(void)getrlimit(RLIMIT_CORE, &after);
	if (before.rlim_cur != after.rlim_cur || before.rlim_max != after.rlim_max)
		refused("RLIMIT_CORE unchanged", 0, EINVAL);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "x32") == 0) {
		printf("%ld\n", syscall(X32_BIT | SYS_getpid));
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "i386") == 0) {
		long r = 20; /* getpid of i386 */

		__asm__ volatile("int $0x80" : "+a"(r) : : "memory");
		printf("%ld\n", r);
		return 0;
	}
	mounts();
	namespaces();
	kernel();
	processes();
	terminals();
	core_dumps();
	if (open_n == 0)
		puts("all held");
	return open_n > 0;
}
