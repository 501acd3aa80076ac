/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "context.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/fdpass.h>
#include <base/io.h>

#include "link.h"
#include "spec.h"
#include "template.h"

#define CONTEXT_FDS_N (CONTEXT_NS_N + 1)
#define MAP_BYTES_MAX 128

/* Rows of /proc/self/ns, in the order of enum context_ns; the user namespaces are the
 * grandchildren's. */
static const char *const ns_files[] = {
	[CONTEXT_NET] = "/proc/self/ns/net",
	[CONTEXT_IPC] = "/proc/self/ns/ipc",
	[CONTEXT_UTS] = "/proc/self/ns/uts",
	[CONTEXT_MNT] = "/proc/self/ns/mnt",
};

void context_init(struct context *context)
{
	for (int i = 0; i < CONTEXT_NS_N; i++)
		context->fds[i] = FD_NONE;
	context->queues_fd = FD_NONE;
}

void context_done(struct context *context)
{
	for (int i = 0; i < CONTEXT_NS_N; i++)
		fd_closep(&context->fds[i]);
	fd_closep(&context->queues_fd);
}

/* The user namespace's first process: seals it and waits to be released. */
static void userns_first(int release_fd) __attribute__((noreturn));
static void userns_first(int release_fd)
{
	char byte;

	/* Nothing below may open another one: kernel bugs are reached that way. */
	if (io_write_file_at(AT_FDCWD, "/proc/sys/user/max_user_namespaces", "0") < 0)
		_exit(1);
	/* Ends when the builder closes its end. */
	(void)!read(release_fd, &byte, 1);
	_exit(0);
}

static int map_write(pid_t pid, const char *file, const char *map, struct tn_error *err)
{
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	r = io_write_file_at(AT_FDCWD, path, map);
	return r < 0 ? err_set(err, TN_SYSTEM, -r, "write '%s' to %s", map, file) : 0;
}

static int userns_open(pid_t pid, const char *map, struct tn_error *err)
{
	char path[64];
	int fd, r = map_write(pid, "uid_map", map, err);

	if (r == 0)
		r = map_write(pid, "gid_map", map, err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_errno(err, "open the user namespace") : fd;
}

/*
 * Become @uid in name, with every capability of root's. Whoever makes a user namespace is
 * charged for all that is counted in it (inotify, message queues, pending signals, locked
 * memory): were that root, one tenant could use up what is root's and every other tenant's.
 */
static int charged_user(uid_t uid, unsigned long securebits)
{
	if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) < 0 ||
	    syscall(SYS_setresuid, -1, uid, -1) < 0)
		return -1;
	return prctl(PR_SET_SECUREBITS, securebits, 0, 0, 0);
}

/* A process of this one in a new user namespace, which the last of the tenant's ids made. */
static pid_t userns_clone(int64_t uid_first)
{
	const uid_t owner = (uid_t)(uid_first + SPEC_UIDS_PER_TENANT - 1);
	pid_t pid;

	if (charged_user(owner, SECBIT_NO_SETUID_FIXUP) < 0)
		return -1;
	pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	if (pid != 0 && charged_user(0, 0) < 0)
		return -1;
	return pid;
}

/* Users and groups are mapped alike, by the lines of @map. */
static int userns_make(int64_t uid_first, const char *map, struct tn_error *err)
{
	int release[2], fd, status = 0;
	pid_t pid;

	if (pipe2(release, O_CLOEXEC) < 0)
		return err_errno(err, "pipe");
	pid = userns_clone(uid_first);
	if (pid == 0) {
		(void)close(release[1]);
		userns_first(release[0]);
	}
	(void)close(release[0]);
	if (pid < 0) {
		(void)close(release[1]);
		return err_errno(err, "clone a user namespace");
	}
	fd = userns_open(pid, map, err);
	(void)close(release[1]);
	if (waitpid(pid, &status, 0) < 0 || status != 0) {
		fd_closep(&fd);
		return err_refuse(err, TN_SYSTEM,
		                  "seal the user namespace: max_user_namespaces");
	}
	return fd;
}

static int usernses_make(int64_t uid_first, int fds[CONTEXT_NS_N], struct tn_error *err)
{
	const int uid = SPEC_WORKLOAD_UID, rest = SPEC_UIDS_PER_TENANT - SPEC_WORKLOAD_UID - 1;
	char all[MAP_BYTES_MAX], one[MAP_BYTES_MAX];

	(void)snprintf(all, sizeof(all), "0 %" PRId64 " %d", uid_first, SPEC_UIDS_PER_TENANT);
	(void)snprintf(one, sizeof(one), "0 0 %d\n%d %" PRId64 " 1\n%d %d %d", uid, uid,
	               uid_first + uid, uid + 1, uid + 1, rest);
	fds[CONTEXT_USER] = userns_make(uid_first, all, err);
	if (fds[CONTEXT_USER] < 0)
		return fds[CONTEXT_USER];
	fds[CONTEXT_USER_BINDS] = userns_make(uid_first, one, err);
	return fds[CONTEXT_USER_BINDS] < 0 ? fds[CONTEXT_USER_BINDS] : 0;
}

static int namespaces_open(int fds[CONTEXT_NS_N], struct tn_error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(ns_files); i++) {
		fds[i] = open(ns_files[i], O_RDONLY | O_CLOEXEC);
		if (fds[i] < 0)
			return err_errno(err, "open %s", ns_files[i]);
	}
	return 0;
}

int context_queues_open(int *ret, struct tn_error *err)
{
	cleanup_fd int fs = fsopen("mqueue", FSOPEN_CLOEXEC);
	int fd;

	*ret = FD_NONE;
	if (fs < 0 && errno == ENODEV)
		return 0;
	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_errno(err, "open the message queues");
	fd = fsmount(fs, FSMOUNT_CLOEXEC,
	             MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		return err_errno(err, "mount the message queues");
	*ret = fd;
	return 0;
}

/* @fds: the namespaces, then the message queues. */
static int build(const struct context_request *request, int fds[CONTEXT_FDS_N],
                 struct tn_error *err)
{
	int files[TEMPLATE_CGROUP_FILES_N];
	int r = template_cgroup_files_open(request->cgroup_fd, TEMPLATE_CGROUP_FILES_ALL, files,
	                                   err);

	if (r < 0)
		return r;
	r = usernses_make(request->uid_first, fds, err);
	if (r < 0)
		return r;
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
		return err_errno(err, "unshare");
	if (sethostname(request->name, strlen(request->name)) < 0)
		return err_errno(err, "set the host name");
	r = namespaces_open(fds, err);
	if (r == 0)
		r = context_queues_open(&fds[CONTEXT_NS_N], err);
	if (r == 0)
		r = link_loopback_up(err);
	if (r == 0)
		r = template_enter(request, files, err);
	return r;
}

/* The builder leaves everything to its end: descriptors, mounts, children. */
static void builder(const struct context_request *request, int sock) __attribute__((noreturn));
static void builder(const struct context_request *request, int sock)
{
	struct tn_error err = { 0 }, lost = { 0 };
	int fds[CONTEXT_FDS_N] = { [CONTEXT_NS_N] = FD_NONE };

	(void)umask(022);
	if (build(request, fds, &err) < 0)
		(void)fdpass_send(sock, &err, sizeof(err), NULL, 0, &lost);
	else
		(void)fdpass_send(sock, &err, sizeof(err), fds,
		                  CONTEXT_NS_N + (fds[CONTEXT_NS_N] >= 0), &lost);
	_exit(0);
}

static int collect(struct context *context, int sock, struct tn_error *err)
{
	int fds[CONTEXT_FDS_N] = { 0 };
	size_t fds_n = 0;
	struct tn_error built = { 0 };
	int r = fdpass_recv(sock, &built, sizeof(built), fds, CONTEXT_FDS_N, &fds_n, err);

	if (r < 0)
		return err_wrap(err, r, "the builder died");
	if (fds_n >= CONTEXT_NS_N) {
		memcpy(context->fds, fds, sizeof(context->fds));
		context->queues_fd = fds_n > CONTEXT_NS_N ? fds[CONTEXT_NS_N] : FD_NONE;
		return 0;
	}
	fdpass_close(fds, fds_n);
	if (built.code == TN_OK)
		return err_refuse(err, TN_SYSTEM, "the builder sent no namespaces");
	*err = built;
	return -built.sys_errno;
}

int context_build(struct context *context, const struct context_request *request,
                  struct tn_error *err)
{
	int socks[2], r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0)
		return err_errno(err, "socketpair");
	pid = fork();
	if (pid == 0)
		builder(request, socks[1]);
	(void)close(socks[1]);
	r = pid < 0 ? err_errno(err, "fork the builder") : collect(context, socks[0], err);
	(void)close(socks[0]);
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	return r < 0 ? err_wrap(err, r, "context of '%s'", request->name) : 0;
}
