/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asks the kernel for what a sandbox must not be given. One line each: what, and the name of
 * the error or "0". The first lines are things that are allowed, so that a reader can tell a
 * refusal from a probe that does not work.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/quota.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __x86_64__
#include <sys/io.h>
#endif

static void say(const char *what, long r)
{
	printf("%s %s\n", what, r < 0 ? strerrorname_np(errno) : "0");
}

#define TRY(what, expression)                                                                  \
	do {                                                                                   \
		errno = 0;                                                                     \
		say(what, (long)(expression));                                                 \
	} while (0)

static long put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	long r;
	int kept;

	if (fd < 0)
		return -1;
	r = write(fd, text, strlen(text));
	kept = errno;
	close(fd);
	errno = kept;
	return r;
}

static long opened(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd;
}

/* A child that must not be: it ends at once and is reaped. */
static long cloned(unsigned long flags)
{
	long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	return pid;
}

static long cloned3(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	return pid;
}

static long pushed(void)
{
	int master, slave;
	char c = 'x';
	long r;

	if (openpty(&master, &slave, NULL, NULL, NULL) < 0)
		return 0; /* reads as granted, which fails the test */
	r = ioctl(slave, TIOCSTI, &c);
	return r;
}

static void allowed(void)
{
	TRY("control:getpid", getpid());
	TRY("control:fifo", mknod("/data/fifo", S_IFIFO | 0600, 0));
	TRY("control:clone", cloned(0));
	TRY("control:socket", socket(AF_INET, SOCK_STREAM, 0));
	TRY("control:open", opened("/proc/self/mem", O_RDWR));
	TRY("control:put", put("/proc/self/comm", "renamed"));
}

static void mounts(void)
{
	TRY("mount", mount("none", "/data", "tmpfs", 0, NULL));
	TRY("remount", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
	TRY("umount", umount2("/proc/sys", MNT_DETACH));
	TRY("pivot_root", syscall(SYS_pivot_root, "/data", "/data"));
	TRY("chroot", chroot("/data"));
	TRY("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
	TRY("move_mount", syscall(SYS_move_mount, AT_FDCWD, "/data", AT_FDCWD, "/tmp", 0));
	TRY("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
	TRY("fspick", syscall(SYS_fspick, AT_FDCWD, "/", 0));
	TRY("mount_setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, NULL, 0));
	TRY("swapon", swapon("/data/fifo", 0));
	TRY("swapoff", swapoff("/data/fifo"));
	TRY("quotactl", quotactl(QCMD(Q_SYNC, USRQUOTA), NULL, 0, NULL));
	TRY("fanotify_init", fanotify_init(FAN_CLASS_CONTENT, 0));
	TRY("name_to_handle_at",
	    syscall(SYS_name_to_handle_at, AT_FDCWD, "/data", NULL, NULL, 0));
	TRY("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, NULL, 0));
}

static void namespaces(void)
{
	TRY("unshare:user", unshare(CLONE_NEWUSER));
	TRY("unshare:mnt", unshare(CLONE_NEWNS));
	TRY("unshare:net", unshare(CLONE_NEWNET));
	TRY("unshare:pid", unshare(CLONE_NEWPID));
	TRY("unshare:ipc", unshare(CLONE_NEWIPC));
	TRY("unshare:uts", unshare(CLONE_NEWUTS));
	TRY("unshare:cgroup", unshare(CLONE_NEWCGROUP));
	TRY("clone:user", cloned(CLONE_NEWUSER));
	TRY("clone:net", cloned(CLONE_NEWNET));
	TRY("clone:pid", cloned(CLONE_NEWPID));
	TRY("clone3", cloned3());
	TRY("setns:mnt", setns(open("/proc/self/ns/mnt", O_RDONLY), 0));
	TRY("setns:user", setns(open("/proc/self/ns/user", O_RDONLY), 0));
	TRY("setns:pidfd", setns((int)syscall(SYS_pidfd_open, 1, 0), CLONE_NEWNET));
}

static void processes(void)
{
	struct iovec iov = { &iov, sizeof(iov) };
	int pidfd = (int)syscall(SYS_pidfd_open, 1, 0);

	TRY("ptrace:attach", ptrace(PTRACE_ATTACH, 1, NULL, NULL));
	TRY("ptrace:seize", ptrace(PTRACE_SEIZE, 1, NULL, NULL));
	TRY("process_vm_readv", process_vm_readv(1, &iov, 1, &iov, 1, 0));
	TRY("process_vm_writev", process_vm_writev(1, &iov, 1, &iov, 1, 0));
	TRY("pidfd_getfd", syscall(SYS_pidfd_getfd, pidfd, 0, 0));
	TRY("kcmp", syscall(SYS_kcmp, 1, getpid(), KCMP_FILE, 0, 0));
	TRY("process_madvise", syscall(SYS_process_madvise, pidfd, &iov, 1, 0, 0));
	TRY("move_pages", syscall(SYS_move_pages, 1, 0, NULL, NULL, NULL, 0));
	TRY("/proc/1/mem", opened("/proc/1/mem", O_RDWR));
	TRY("/proc/1/mem for reading", opened("/proc/1/mem", O_RDONLY));
	TRY("/proc/1/fd", opened("/proc/1/fd", O_RDONLY | O_DIRECTORY));
	TRY("/proc/1/fd/3", opened("/proc/1/fd/3", O_WRONLY));
	TRY("/proc/1/map_files", opened("/proc/1/map_files", O_RDONLY | O_DIRECTORY));
	TRY("/proc/1/exe", opened("/proc/1/exe", O_RDONLY));
	TRY("/proc/1/exe for writing", opened("/proc/1/exe", O_WRONLY));
	TRY("/proc/1/root", opened("/proc/1/root", O_RDONLY));
	TRY("/proc/1/cwd", opened("/proc/1/cwd", O_RDONLY));
	TRY("/proc/1/environ", opened("/proc/1/environ", O_RDONLY));
	TRY("/proc/1/auxv", opened("/proc/1/auxv", O_RDONLY));
	TRY("/proc/1/maps", opened("/proc/1/maps", O_RDONLY));
	TRY("/proc/1/ns/mnt", opened("/proc/1/ns/mnt", O_RDONLY));
	TRY("/proc/1/stack", opened("/proc/1/stack", O_RDONLY));
	TRY("/proc/1/oom_score_adj", put("/proc/1/oom_score_adj", "1000"));
	TRY("/proc/1/comm", put("/proc/1/comm", "renamed"));
	TRY("/proc/1/clear_refs", put("/proc/1/clear_refs", "1"));
	TRY("/proc/1/coredump_filter", put("/proc/1/coredump_filter", "0"));
	TRY("/proc/1/timerslack_ns", put("/proc/1/timerslack_ns", "1"));
	TRY("/proc/1/uid_map", put("/proc/1/uid_map", "0 0 1"));
	TRY("/proc/self/uid_map", put("/proc/self/uid_map", "0 0 1"));
	TRY("/proc/self/oom_score_adj", put("/proc/self/oom_score_adj", "-1000"));
}

static void kernel(void)
{
	union bpf_attr bpf = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1
	};
	struct perf_event_attr perf = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(perf) };
	struct io_uring_params ring = { 0 };
	struct timeval tv = { .tv_sec = 1 };
	struct timespec ts = { .tv_sec = 1 };
	struct timex timex = { 0 };

	TRY("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, &bpf, sizeof(bpf)));
	TRY("perf_event_open", syscall(SYS_perf_event_open, &perf, 0, -1, -1, 0));
	TRY("io_uring_setup", syscall(SYS_io_uring_setup, 1, &ring));
	TRY("userfaultfd", syscall(SYS_userfaultfd, 1));
	TRY("add_key", syscall(SYS_add_key, "user", "a", "b", 1, KEY_SPEC_PROCESS_KEYRING));
	TRY("request_key", syscall(SYS_request_key, "user", "a", NULL, 0));
	TRY("keyctl", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
	TRY("init_module", syscall(SYS_init_module, NULL, 0, ""));
	TRY("finit_module", syscall(SYS_finit_module, 0, "", 0));
	TRY("delete_module", syscall(SYS_delete_module, "none", O_NONBLOCK));
	TRY("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
	TRY("reboot", reboot(RB_DISABLE_CAD));
	TRY("syslog", klogctl(10, NULL, 0));
	TRY("acct", acct(NULL));
	TRY("sethostname", sethostname("other", 5));
	TRY("setdomainname", setdomainname("other", 5));
	TRY("settimeofday", settimeofday(&tv, NULL));
	TRY("clock_settime", clock_settime(CLOCK_REALTIME, &ts));
	TRY("adjtimex", adjtimex(&timex));
	TRY("vhangup", vhangup());
#ifdef __x86_64__
	TRY("iopl", iopl(3));
	TRY("ioperm", ioperm(0x80, 1, 1));
#endif
	TRY("TIOCSTI", pushed());
	TRY("/proc/sysrq-trigger", put("/proc/sysrq-trigger", "h"));
	TRY("/proc/sys/kernel/hostname", put("/proc/sys/kernel/hostname", "other"));
	TRY("/proc/sys/kernel/core_pattern", put("/proc/sys/kernel/core_pattern", "|/data/x"));
	TRY("/proc/sys/vm/drop_caches", put("/proc/sys/vm/drop_caches", "1"));
	TRY("/sys/fs/cgroup/memory.max", put("/sys/fs/cgroup/memory.max", "max"));
	TRY("/sys/fs/cgroup/pids.max", put("/sys/fs/cgroup/pids.max", "max"));
}

static void rights(void)
{
	TRY("setuid", setuid(0));
	TRY("setuid to another", setuid(1001));
	TRY("setgid", setgid(0));
	TRY("setgroups", setgroups(1, (gid_t[]){ 0 }));
	TRY("chown", chown("/data/fifo", 0, 0));
	TRY("capset", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0));
	TRY("securebits", prctl(PR_SET_SECUREBITS, 0, 0, 0, 0));
	TRY("mknod:char", mknod("/data/null", S_IFCHR | 0666, makedev(1, 3)));
	TRY("mknod:block", mknod("/data/disk", S_IFBLK | 0666, makedev(254, 0)));
	TRY("socket:packet", socket(AF_PACKET, SOCK_RAW, 0));
	TRY("socket:raw", socket(AF_INET, SOCK_RAW, 255));
	TRY("socket:vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
	TRY("socket:alg", socket(AF_ALG, SOCK_SEQPACKET, 0));
	TRY("socket:audit", socket(AF_NETLINK, SOCK_RAW, 9));
	TRY("nice", setpriority(PRIO_PROCESS, 0, -5));
	TRY("realtime", sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ 1 }));
	TRY("/dev/tty", opened("/dev/tty", O_RDWR));
}

int main(void)
{
	allowed();
	mounts();
	namespaces();
	processes();
	kernel();
	rights();
	return 0;
}
