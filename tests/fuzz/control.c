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
#include "plane.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <base/fd.h>

#define PEERS_N 2
#define SOCKET  "control.sock"

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

static int args_fd;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static void peer_command(struct peer_end *peer, uint8_t command)
{
	switch ((enum command)command) {
	case COMMAND_TURN:
		plane_turn();
		break;
	case COMMAND_FDS:
		for (peer->fds_n = 0; peer->fds_n < 3; peer->fds_n++)
			peer->fds[peer->fds_n] = plane.null;
		peer->fds[peer->fds_n++] = args_fd;
		break;
	case COMMAND_NULL:
		if (peer->fds_n < ARRAY_LEN(peer->fds))
			peer->fds[peer->fds_n++] = plane.null;
		break;
	case COMMAND_ANSWER:
		supervisor_answer_launch();
		break;
	case COMMAND_READ:
		peer_read_all(peer);
		break;
	case COMMAND_HANG_UP:
		(void)close(peer->fd);
		/* Connections that nobody accepts are no more than the backlog. */
		plane_turn();
		peer->fd = plane_connect(SOCKET);
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

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	plane_init("control", "tier: free\nlimits: {memory_max: 128M}\n");
	args_fd = args_sealed();
	plane_start();
	plane.takes_tenants = true;
	plane_ask(SOCKET,
	          "{\"method\":\"io.tenantd.CreateTenant\","
	          "\"parameters\":{\"name\":\"acme\",\"tier\":\"free\",\"metadata\":{}}}");
	plane.takes_tenants = false;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct peer_end peers[PEERS_N] = { 0 };
	int before = plane_lowest_free();

	for (size_t i = 0; i < PEERS_N; i++)
		peers[i].fd = plane_connect(SOCKET);
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
	require(plane_lowest_free() == before);
	plane_ask(SOCKET, "{\"method\":\"io.tenantd.GetStatus\"}");
	return 0;
}
