/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plane.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <base/fd.h>
#include <base/fdpass.h>

#define CONNECT_TRIES_MAX 5000
#define TURNS_MAX         4096
#define ANSWER_USEC       100000

union message {
	struct spec_head head;
	struct spec_tenant_apply apply;
	struct spec_tenant_remove remove;
	struct spec_launch launch;
	struct spec_kill kill;
};

struct plane plane;

void require(bool condition)
{
	if (!condition)
		abort();
}

void plane_path(char path[static PLANE_PATH_BYTES], const char *name)
{
	require(snprintf(path, PLANE_PATH_BYTES, "%s/%s", plane.dir, name) < PLANE_PATH_BYTES);
}

static int plane_unlink(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void plane_done(void)
{
	(void)nftw(plane.dir, plane_unlink, 8, FTW_DEPTH | FTW_PHYS);
}

static void plane_directory(const char *name)
{
	char path[128];

	plane_path(path, name);
	require(mkdir(path, 0755) == 0);
}

static void plane_address(struct sockaddr_un *ret, const char *name)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	require(snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/%s", plane.dir, name) > 0);
}

int plane_listen(const char *name)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	plane_address(&address, name);
	require(bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	require(listen(fd, 64) == 0);
	return fd;
}

int plane_connect(const char *name)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	plane_address(&address, name);
	/* A tenant that has had its share is not accepted for a while, and its backlog is full.
	 */
	for (int i = 0; connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0;
	     i++) {
		require(errno == EAGAIN && i < CONNECT_TRIES_MAX);
		plane_turn();
		(void)usleep(1000);
	}
	return fd;
}

void supervisor_say(enum spec_op op, uint64_t serial, struct spec_head *message, size_t bytes,
                    int fd)
{
	struct tn_error err;

	*message = (struct spec_head){ .bytes = (uint32_t)bytes,
		                       .op = (uint16_t)op,
		                       .version = SPEC_VERSION,
		                       .serial = serial };
	require(fdpass_send(plane.supervisor, message, bytes, &fd, fd >= 0, &err) == 0);
}

void supervisor_answer_launch(void)
{
	struct spec_started started = { .tenant = plane.launches[0].tenant,
		                        .execution = plane.launches[0].execution,
		                        .not_executed = 1 };

	if (plane.launches_n == 0)
		return;
	(void)err_refuse(&started.error, TN_QUOTA, "no");
	supervisor_say(SPEC_STARTED, plane.launches[0].head.serial, &started.head,
	               sizeof(started), FD_NONE);
	plane.launches_n--;
	memmove(plane.launches, plane.launches + 1,
	        plane.launches_n * sizeof(plane.launches[0]));
}

static void supervisor_reply(const union message *to)
{
	struct spec_reply reply = { .tenant = to->apply.tenant };

	if (to->head.op == SPEC_TENANT_APPLY && !plane.takes_tenants &&
	    strcmp(to->apply.name, "acme") != 0)
		(void)err_refuse(&reply.error, TN_STATE, "no");
	if (to->head.op == SPEC_TENANT_APPLY && plane.takes_tenants)
		plane.tenant = to->apply.tenant;
	supervisor_say(SPEC_REPLY, to->head.serial, &reply.head, sizeof(reply), FD_NONE);
}

static void supervisor_take(const union message *message)
{
	if (message->head.op == SPEC_TENANT_APPLY || message->head.op == SPEC_TENANT_REMOVE ||
	    message->head.op == SPEC_TENANT_FREEZE || message->head.op == SPEC_TENANT_DELETE ||
	    message->head.op == SPEC_TENANT_SQUEEZE)
		supervisor_reply(message);
	if (message->head.op != SPEC_LAUNCH)
		return;
	if (plane.launches_n == PLANE_LAUNCHES)
		supervisor_answer_launch();
	plane.launches[plane.launches_n++] = message->launch;
}

/* Whether there was a message. */
static bool supervisor_turn(void)
{
	static union message message;
	struct tn_error err;
	int fds[SPEC_FDS_MAX];
	size_t fds_n = 0;

	if (fdpass_recv(plane.supervisor, &message, sizeof(message), fds, SPEC_FDS_MAX, &fds_n,
	                &err) < 0)
		return false;
	fdpass_close(fds, fds_n);
	supervisor_take(&message);
	return true;
}

void plane_turn(void)
{
	struct tn_error err;
	int turns = 0;
	bool more = true;

	while (more) {
		/* Names are looked up by a process of its own, which is waited for. */
		const bool asked = accounts_busy(plane.context->accounts);
		int r = loop_turn(plane.loop, asked ? ANSWER_USEC : 0, &err);

		require(r >= 0 && turns++ < TURNS_MAX);
		more = supervisor_turn() || r == 1 || asked;
	}
}

void plane_start(void)
{
	char policy[PLANE_PATH_BYTES], store[PLANE_PATH_BYTES], proc[PLANE_PATH_BYTES];
	struct tn_error err;
	struct context_config config = { .policy_dir = policy,
		                         .store_dir = store,
		                         .proc_dir = proc,
		                         .listen_fd = plane_listen("control.sock"),
		                         .admin_gid = getgid(),
		                         .admin_gid_known = true };
	struct spec_hello hello = { .tenants_max = 10,
		                    .executions_max = 10,
		                    .cgroup_root = "/sys/fs/cgroup/tree" };
	int pair[2];

	plane_path(policy, "policy");
	plane_path(store, "store");
	plane_path(proc, "proc");
	require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) ==
	        0);
	config.channel_fd = pair[0];
	plane.supervisor = pair[1];
	require(loop_new(&plane.loop, &err) == 0);
	require(context_new(&plane.context, plane.loop, &config, &err) == 0);
	supervisor_say(SPEC_HELLO, 0, &hello.head, sizeof(hello), plane.cgroup);
	plane_turn();
}

void peer_send(struct peer_end *peer, const uint8_t *data, size_t n)
{
	struct tn_error err;
	size_t part = n < FDPASS_MSG_BYTES_MAX ? n : FDPASS_MSG_BYTES_MAX;

	for (; n > 0; data += part, n -= part) {
		part = part < n ? part : n;
		(void)fdpass_send(peer->fd, data, part, peer->fds, peer->fds_n, &err);
		peer->fds_n = 0;
	}
}

void peer_read_all(const struct peer_end *peer)
{
	static char replies[PLANE_REPLY_BYTES];

	while (recv(peer->fd, replies, sizeof(replies), 0) > 0)
		;
}

void plane_ask(const char *name, const char *call)
{
	struct peer_end peer = { .fd = plane_connect(name) };
	char reply[4096];
	ssize_t n;

	peer_send(&peer, (const uint8_t *)call, strlen(call) + 1);
	plane_turn();
	n = recv(peer.fd, reply, sizeof(reply), 0);
	require(n > 0 && reply[n - 1] == '\0');
	require(strstr(reply, "\"error\"") == NULL);
	(void)close(peer.fd);
	plane_turn();
}

static void plane_file(const char *name, const char *text)
{
	char path[PLANE_PATH_BYTES];
	FILE *file;

	plane_path(path, name);
	file = fopen(path, "we");
	require(file != NULL);
	require(fputs(text, file) >= 0);
	require(fclose(file) == 0);
}

void plane_init(const char *name, const char *tier)
{
	char path[PLANE_PATH_BYTES];

	(void)snprintf(plane.dir, sizeof(plane.dir), "/dev/shm/fuzz-%s-XXXXXX", name);
	require(mkdtemp(plane.dir) != NULL && atexit(plane_done) == 0);
	plane_directory("policy");
	plane_directory("policy/tiers");
	plane_directory("policy/prices");
	plane_directory("store");
	plane_directory("cgroup");
	plane_directory("proc");
	plane_file("policy/tiers/free.yaml", tier);
	plane_file("policy/prices/std.yaml",
	           "book: std\ncurrency: USD\nvalid_from: 2020-01-01\n"
	           "prices: {tokens: {price: \"0.4\", per: 1000}}\n");
	plane_path(path, "cgroup");
	plane.cgroup = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	plane.null = open("/dev/null", O_RDWR | O_CLOEXEC);
}

int plane_lowest_free(void)
{
	int fd = fcntl(plane.null, F_DUPFD_CLOEXEC, 0);

	(void)close(fd);
	return fd;
}
