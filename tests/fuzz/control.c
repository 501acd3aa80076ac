/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target: peers of the control socket that are admins and send anything, to the whole
 * control plane in one process, with a real store, policy files and sockets. This file is the
 * peers and tenantd.
 *
 * The input is what two peers send. Control characters, which JSON has none of, tell what else
 * happens; see enum command.
 *
 * Whatever it is: once both have hung up, the controller has as many descriptors as before, no
 * execution is left, and a third peer is served. State that an input leaves would make the next
 * one behave differently, so tenantd takes no new tenant and lets no launch succeed.
 */
#include <context.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <base/fd.h>
#include <base/fdpass.h>
#include <wire/varlink.h>

#define PEERS_N     2
#define LAUNCHES    8
#define TURNS_MAX   4096
#define ANSWER_USEC 100000
#define REPLY_BYTES 65536

enum command {
	COMMAND_TURN = 1,    /* the controller runs until nothing is left to do */
	COMMAND_PEER = 2,    /* the other peer goes on */
	COMMAND_FDS = 3,     /* the next bytes carry stdio and arguments of a Run */
	COMMAND_NULL = 4,    /* the next bytes carry one more descriptor */
	COMMAND_ANSWER = 5,  /* tenantd refuses the oldest launch */
	COMMAND_READ = 6,    /* the peer reads what there is */
	COMMAND_HANG_UP = 7, /* the peer closes, and connects again */
	COMMANDS_N,
};

union message {
	struct spec_head head;
	struct spec_tenant_apply apply;
	struct spec_tenant_remove remove;
	struct spec_launch launch;
	struct spec_kill kill;
};

static struct plane {
	char dir[64];
	struct loop *loop;
	struct context *context;
	struct spec_launch launches[LAUNCHES]; /* not answered yet, oldest first */
	size_t launches_n;
	int supervisor;
	int cgroup;
	int null;
	int args;
	bool takes_tenants;
} plane;

struct peer_end {
	int fd;
	int fds[5]; /* borrowed; they go with the next bytes */
	size_t fds_n;
};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void plane_path(char path[static 128], const char *name)
{
	require(snprintf(path, 128, "%s/%s", plane.dir, name) < 128);
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

static void plane_address(struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	require(snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/control.sock", plane.dir) >
	        0);
}

static int plane_listen(void)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	plane_address(&address);
	require(bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	require(listen(fd, 64) == 0);
	return fd;
}

static int plane_connect(void)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	plane_address(&address);
	require(connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static void supervisor_say(enum spec_op op, uint64_t serial, struct spec_head *message,
                           size_t bytes)
{
	struct tn_error err;

	*message = (struct spec_head){ .bytes = (uint32_t)bytes,
		                       .op = (uint16_t)op,
		                       .version = SPEC_VERSION,
		                       .serial = serial };
	require(fdpass_send(plane.supervisor, message, bytes, &plane.cgroup, op == SPEC_HELLO,
	                    &err) == 0);
}

static void supervisor_answer_launch(void)
{
	struct spec_started started = { .tenant = plane.launches[0].tenant,
		                        .execution = plane.launches[0].execution,
		                        .not_executed = 1 };

	if (plane.launches_n == 0)
		return;
	(void)err_refuse(&started.error, TN_QUOTA, "no");
	supervisor_say(SPEC_STARTED, plane.launches[0].head.serial, &started.head,
	               sizeof(started));
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
	supervisor_say(SPEC_REPLY, to->head.serial, &reply.head, sizeof(reply));
}

static void supervisor_take(const union message *message)
{
	if (message->head.op == SPEC_TENANT_APPLY || message->head.op == SPEC_TENANT_REMOVE ||
	    message->head.op == SPEC_TENANT_FREEZE || message->head.op == SPEC_TENANT_DELETE ||
	    message->head.op == SPEC_TENANT_SQUEEZE)
		supervisor_reply(message);
	if (message->head.op != SPEC_LAUNCH)
		return;
	if (plane.launches_n == LAUNCHES)
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

static void plane_turn(void)
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

static void plane_start(void)
{
	char policy[128], store[128], path[128];
	struct tn_error err;
	struct context_config config = { .policy_dir = policy,
		                         .store_dir = store,
		                         .listen_fd = plane_listen(),
		                         .admin_gid = getgid(),
		                         .admin_gid_known = true };
	struct spec_hello hello = { .tenants_max = 10, .executions_max = 10 };
	int pair[2];

	plane_path(policy, "policy");
	plane_path(store, "store");
	plane_path(path, "cgroup");
	plane.cgroup = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) ==
	        0);
	config.channel_fd = pair[0];
	plane.supervisor = pair[1];
	require(loop_new(&plane.loop, &err) == 0);
	require(context_new(&plane.context, plane.loop, &config, &err) == 0);
	supervisor_say(SPEC_HELLO, 0, &hello.head, sizeof(hello));
	plane_turn();
}

/* argv[0], and the working directory. */
static int args_sealed(void)
{
	static const char args[] = "true\0";
	int fd = memfd_create("args", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	require(write(fd, args, sizeof(args)) == (ssize_t)sizeof(args));
	require(fcntl(fd, F_ADD_SEALS,
	              F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0);
	return fd;
}

static void peer_send(struct peer_end *peer, const uint8_t *data, size_t n)
{
	struct tn_error err;
	size_t part = n < FDPASS_MSG_BYTES_MAX ? n : FDPASS_MSG_BYTES_MAX;

	for (; n > 0; data += part, n -= part) {
		part = part < n ? part : n;
		(void)fdpass_send(peer->fd, data, part, peer->fds, peer->fds_n, &err);
		peer->fds_n = 0;
	}
}

static void peer_command(struct peer_end *peer, uint8_t command)
{
	static char replies[REPLY_BYTES];

	switch ((enum command)command) {
	case COMMAND_TURN:
		plane_turn();
		break;
	case COMMAND_FDS:
		for (peer->fds_n = 0; peer->fds_n < 3; peer->fds_n++)
			peer->fds[peer->fds_n] = plane.null;
		peer->fds[peer->fds_n++] = plane.args;
		break;
	case COMMAND_NULL:
		if (peer->fds_n < ARRAY_LEN(peer->fds))
			peer->fds[peer->fds_n++] = plane.null;
		break;
	case COMMAND_ANSWER:
		supervisor_answer_launch();
		break;
	case COMMAND_READ:
		while (recv(peer->fd, replies, sizeof(replies), 0) > 0)
			;
		break;
	case COMMAND_HANG_UP:
		(void)close(peer->fd);
		/* Connections that nobody accepts are no more than the backlog. */
		plane_turn();
		peer->fd = plane_connect();
		break;
	case COMMAND_PEER:
	case COMMANDS_N:
		break;
	}
}

static void peers_play(struct peer_end *peers, const uint8_t *data, size_t size)
{
	size_t at = 0, now = 0;

	while (at < size) {
		size_t n = at;

		while (n < size && (data[n] == 0 || data[n] >= COMMANDS_N))
			n++;
		peer_send(&peers[now], data + at, n - at);
		if (n < size && data[n] == COMMAND_PEER)
			now = (now + 1) % PEERS_N;
		else if (n < size)
			peer_command(&peers[now], data[n]);
		at = n + 1;
	}
}

static void ask(const char *call)
{
	struct peer_end peer = { .fd = plane_connect() };
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
	char path[128];
	FILE *file;

	plane_path(path, name);
	file = fopen(path, "we");
	require(file != NULL);
	require(fputs(text, file) >= 0);
	require(fclose(file) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	(void)snprintf(plane.dir, sizeof(plane.dir), "/dev/shm/fuzz-control-XXXXXX");
	require(mkdtemp(plane.dir) != NULL && atexit(plane_done) == 0);
	plane_directory("policy");
	plane_directory("policy/tiers");
	plane_directory("policy/prices");
	plane_directory("store");
	plane_directory("cgroup");
	plane_file("policy/tiers/free.yaml", "tier: free\nlimits: {memory_max: 128M}\n");
	plane_file("policy/prices/std.yaml",
	           "book: std\ncurrency: USD\nvalid_from: 2020-01-01\n"
	           "prices: {tokens: {price: \"0.4\", per: 1000}}\n");
	plane.null = open("/dev/null", O_RDWR | O_CLOEXEC);
	plane.args = args_sealed();
	plane_start();
	plane.takes_tenants = true;
	ask("{\"method\":\"io.tenantd.CreateTenant\","
	    "\"parameters\":{\"name\":\"acme\",\"tier\":\"free\",\"metadata\":{}}}");
	plane.takes_tenants = false;
	return 0;
}

/* The lowest free descriptor: the same before and after, if none leaked. */
static int lowest_free(void)
{
	int fd = fcntl(plane.null, F_DUPFD_CLOEXEC, 0);

	(void)close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct peer_end peers[PEERS_N] = { 0 };
	int before = lowest_free();

	for (size_t i = 0; i < PEERS_N; i++)
		peers[i].fd = plane_connect();
	peers_play(peers, data, size);
	plane_turn();
	for (size_t i = 0; i < PEERS_N; i++)
		(void)close(peers[i].fd);
	plane_turn();
	while (plane.launches_n > 0) {
		supervisor_answer_launch();
		plane_turn();
	}
	require(executions_count(plane.context->executions, NULL) == 0);
	require(lowest_free() == before);
	ask("{\"method\":\"io.tenantd.GetStatus\"}");
	return 0;
}
