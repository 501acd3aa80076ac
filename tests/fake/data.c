/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "data.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/data.h>
#include <base/fd.h>
#include <base/fdpass.h>
#include <isolate/data_server.h>
#include <logs/ring.h>

/* Of one who is to end: amid a file, amid anything. */
#define ANSWERS_MOVING 2
#define ANSWERS_HASTY  5

/* Pass so many requests and answers on between @client and @server. */
static void relay(int client, int server, int n)
{
	static char buf[FDPASS_MSG_BYTES_MAX];

	for (int i = 0; i < 2 * n; i++) {
		const int from = i % 2 == 0 ? client : server;
		struct tn_error err = { 0 };
		int fd = FD_NONE;
		size_t fds_n = 0;
		int r = fdpass_recv(from, buf, sizeof(buf), &fd, 1, &fds_n, &err);

		if (r < 0 || fdpass_send(from == client ? server : client, buf, (size_t)r, &fd,
		                         fds_n, &err) < 0)
			return;
		fd_closep(&fd);
	}
}

static _Noreturn void serve(int sock, const char *root, const char *path, bool writable,
                            bool moved)
{
	struct data_server server = { .sock = sock,
		                      .owner = geteuid(),
		                      .writable = writable,
		                      .path = path,
		                      .idle_msec = 60000 };

	(void)umask(0);
	if (moved &&
	    (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
		_exit(1);
	server.root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	server.fds_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_exit(data_serve(&server) < 0);
}

static void process_begin(pid_t parent)
{
	(void)signal(SIGPIPE, SIG_IGN);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
}

/* In a process of its own. */
static _Noreturn void serve_some(int sock, const char *root, const char *path, bool writable,
                                 bool moved, int requests_n)
{
	const pid_t self = getpid();
	int ends[2];

	if (requests_n == 0)
		serve(sock, root, path, writable, moved);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		_exit(1);
	if (fork() == 0) {
		process_begin(self);
		(void)close(sock);
		(void)close(ends[0]);
		serve(ends[1], root, path, writable, moved);
	}
	(void)close(ends[1]);
	relay(sock, ends[0], requests_n);
	_exit(0);
}

/* Of a tenant, the first time. */
static bool is_first(const char *root)
{
	char mark[sizeof(struct sockaddr_un)];
	int fd;

	(void)snprintf(mark, sizeof(mark), "%s.moved", root);
	fd = open(mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	(void)close(fd);
	return true;
}

int fake_data_open(int connection, const char *tenant, const json_t *parameters)
{
	const char *path = json_string_value(json_object_get(parameters, "path"));
	const bool writable = json_is_true(json_object_get(parameters, "writable"));
	const bool moved = strcmp(tenant, "moving") == 0;
	const bool ends = strcmp(tenant, "hasty") == 0;
	const pid_t self = getpid();
	struct sockaddr_un address = { 0 };
	socklen_t n = sizeof(address);
	char root[sizeof(address)];
	int socks[2];
	pid_t pid;

	(void)getsockname(connection, (struct sockaddr *)&address, &n);
	(void)snprintf(root, sizeof(root), "%.96s.data", address.sun_path);
	if (path == NULL || (mkdir(root, 0700) < 0 && errno != EEXIST) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		process_begin(self);
		(void)close(socks[0]);
		serve_some(socks[1], root, path, writable, moved,
		           ends                      ? ANSWERS_HASTY
		           : moved && is_first(root) ? ANSWERS_MOVING
		                                     : 0);
	}
	(void)close(socks[1]);
	return socks[0];
}

int fake_log_open(bool ours)
{
	const struct ring_about about = { .bytes_max = RING_BYTES_MIN,
		                          .sink = ours ? RING_FILE : RING_JOURNAL };
	struct tn_error ignored = { 0 };
	struct ring ring;
	int fd = memfd_create("log", MFD_CLOEXEC);

	(void)ring_create(fd, &about, &ignored);
	(void)ring_open(&ring, fd, &ignored);
	(void)ring_add(&ring, RING_STDOUT, INT64_C(1700000000000000), "out", 3, &ignored);
	(void)ring_add(&ring, RING_STDERR, INT64_C(1700000000500000), "err\n", 4, &ignored);
	(void)ring_add(&ring, RING_STDOUT, INT64_C(1700000001000000), "put\nnext\n", 9,
	               &ignored);
	(void)ring_finish(&ring, &ignored);
	return fd;
}
