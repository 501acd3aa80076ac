/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target: workloads on their tenants' own sockets that send anything, to the whole
 * control plane in one process. This file is the workloads.
 *
 * The input is what they send: two of acme, one of globex. Control characters, which JSON has
 * none of, tell what else happens; see enum command.
 *
 * Whatever it is: of acme's no more is used than there is, nothing is used but in the tenant
 * whose socket it was sent on; once all have hung up the controller has as many descriptors as
 * before, and each tenant is served. What an input has used is thrown away with the store every
 * INPUTS_MAX inputs.
 */
#include "plane.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <base/backup.h>
#include <base/fd.h>
#include <wire/varlink.h>

#define INPUTS_MAX  1000
#define PATIENCE    1000 /* turns of 1 ms until a tenant that has had its share goes on */
#define TOKENS_MAX  1000
#define CONTROL     "control.sock"
#define DESCRIPTORS 2
#define STORE       "store/" BACKUP_STORE_FILE

enum command {
	COMMAND_TURN = 1,    /* the controller runs until nothing is left to do */
	COMMAND_PEER = 2,    /* the next peer goes on */
	COMMAND_NULL = 3,    /* the next bytes carry a descriptor */
	COMMAND_READ = 4,    /* the peer reads what there is */
	COMMAND_HANG_UP = 5, /* the peer closes, and connects again */
	COMMAND_HALF = 6,    /* it sends no more, and reads */
	COMMANDS_N,
};

static const struct {
	const char *name, *socket;
} tenants[] = { { "acme", "acme.sock" }, { "globex", "globex.sock" } };

static const size_t tenant_of_peer[] = { 0, 0, 1 };
#define PEERS_N ARRAY_LEN(tenant_of_peer)

static int listening[ARRAY_LEN(tenants)];
static struct id executions[ARRAY_LEN(tenants)];
static size_t inputs_n;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* From now on we are in that leaf. */
static void be_of(size_t tenant)
{
	char path[PLANE_PATH_BYTES], name[64], id[ID_TEXT_BYTES];
	FILE *file;

	id_format(&executions[tenant], id);
	(void)snprintf(name, sizeof(name), "proc/%d", (int)getpid());
	plane_path(path, name);
	(void)mkdir(path, 0755);
	(void)snprintf(name, sizeof(name), "proc/%d/cgroup", (int)getpid());
	plane_path(path, name);
	file = fopen(path, "we");
	require(file != NULL);
	require(fprintf(file, "0::/tree/%s/%s\n", tenants[tenant].name, id) > 0);
	require(fclose(file) == 0);
}

static int workload_connect(size_t tenant)
{
	int fd = plane_connect(tenants[tenant].socket);

	be_of(tenant);
	plane_turn();
	return fd;
}

static void tenant_begin(size_t i)
{
	char call[256];
	struct spec_started started = { .execution = executions[i] };
	struct spec_meter meter = { { 0 }, { { 0 } } };

	(void)snprintf(
		call, sizeof(call),
		"{\"method\":\"io.tenantd.CreateTenant\",\"parameters\":{\"name\":\"%s\","
		"\"tier\":\"free\",\"metadata\":{}}}",
		tenants[i].name);
	plane.takes_tenants = true;
	plane_ask(CONTROL, call);
	plane.takes_tenants = false;
	started.tenant = meter.tenant = plane.tenant;
	started.started_unix_usec = 1700000000000000;
	supervisor_say(SPEC_STARTED, 0, &started.head, sizeof(started), FD_NONE);
	supervisor_say(SPEC_METER, 0, &meter.head, sizeof(meter), listening[i]);
	plane_turn();
}

static void world_begin(void)
{
	struct spec_head replayed;

	plane_start();
	for (size_t i = 0; i < ARRAY_LEN(tenants); i++)
		tenant_begin(i);
	supervisor_say(SPEC_REPLAYED, 0, &replayed, sizeof(replayed), FD_NONE);
	plane_turn();
}

static void world_end(void)
{
	static const char *const files[] = { STORE, STORE "-wal", STORE "-shm", CONTROL };
	char path[PLANE_PATH_BYTES];

	plane.context = context_free(plane.context);
	plane.loop = loop_free(plane.loop);
	(void)close(plane.supervisor);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		plane_path(path, files[i]);
		(void)unlink(path);
	}
	inputs_n = 0;
}

static void peer_command(struct peer_end *peer, size_t tenant, uint8_t command)
{
	switch ((enum command)command) {
	case COMMAND_TURN:
		plane_turn();
		break;
	case COMMAND_NULL:
		if (peer->fds_n < DESCRIPTORS)
			peer->fds[peer->fds_n++] = plane.null;
		break;
	case COMMAND_READ:
		peer_read_all(peer);
		break;
	case COMMAND_HANG_UP:
		(void)close(peer->fd);
		plane_turn();
		peer->fd = workload_connect(tenant);
		break;
	case COMMAND_HALF:
		(void)shutdown(peer->fd, SHUT_WR);
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
			peer_command(&peers[now], tenant_of_peer[now], data[n]);
		at = n + 1;
	}
}

/* One that has had more than its share is looked after a little later. */
static bool descriptors_are(int lowest)
{
	struct tn_error err;

	for (int i = 0; i < PATIENCE && plane_lowest_free() != lowest; i++)
		require(loop_turn(plane.loop, 1000, &err) >= 0);
	return plane_lowest_free() == lowest;
}

/* What is used of tokens, which globex never asks for by itself. */
static json_int_t tokens_of(size_t tenant)
{
	struct peer_end peer = { .fd = plane_connect(CONTROL) };
	struct varlink_message message;
	struct varlink *link;
	struct tn_error err;
	json_int_t used = -1;
	char call[256];
	json_t *row;
	size_t i;

	(void)snprintf(
		call, sizeof(call),
		"{\"method\":\"io.tenantd.GetQuotas\",\"parameters\":{\"tenant\":\"%s\"}}",
		tenants[tenant].name);
	peer_send(&peer, (const uint8_t *)call, strlen(call) + 1);
	plane_turn();
	require(varlink_new(&link, peer.fd, &err) == 0 && varlink_process(link, &err) == 0 &&
	        varlink_next(link, &message, &err) == 1);
	json_array_foreach(
		json_object_get(json_object_get(message.json, "parameters"), "quotas"), i, row)
	{
		if (strcmp(json_string_value(json_object_get(row, "meter")), "tokens") == 0)
			used = json_integer_value(json_object_get(row, "used"));
	}
	varlink_message_done(&message);
	(void)varlink_free(link);
	plane_turn();
	return used;
}

static void workload_asks(size_t tenant)
{
	static const char call[] = "{\"method\":\"org.varlink.service.GetInfo\"}";
	struct peer_end peer = { .fd = workload_connect(tenant) };
	char reply[4096];
	struct tn_error err;
	ssize_t n = -1;

	peer_send(&peer, (const uint8_t *)call, sizeof(call));
	for (int i = 0; i < PATIENCE && n < 0; i++) {
		require(loop_turn(plane.loop, 1000, &err) >= 0);
		n = recv(peer.fd, reply, sizeof(reply), 0);
	}
	require(n > 0 && reply[n - 1] == '\0' && strstr(reply, "\"error\"") == NULL);
	(void)close(peer.fd);
	plane_turn();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	plane_init("meter", "tier: free\nlimits: {memory_max: 128M}\n"
	                    "quotas:\n"
	                    "  tokens: {limit: 1000, per: hour, warn: [50]}\n"
	                    "  agents: {limit: 3, warn: [50]}\n");
	for (size_t i = 0; i < ARRAY_LEN(tenants); i++) {
		executions[i] = (struct id){ { (uint8_t)(i + 1) } };
		listening[i] = plane_listen(tenants[i].socket);
	}
	world_begin();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct peer_end peers[PEERS_N] = { 0 };
	int before;

	if (inputs_n++ == INPUTS_MAX) {
		world_end();
		world_begin();
	}
	before = plane_lowest_free();
	for (size_t i = 0; i < PEERS_N; i++)
		peers[i].fd = workload_connect(tenant_of_peer[i]);
	peers_play(peers, data, size);
	plane_turn();
	for (size_t i = 0; i < PEERS_N; i++)
		(void)close(peers[i].fd);
	plane_turn();
	require(descriptors_are(before));
	for (size_t i = 0; i < ARRAY_LEN(tenants); i++) {
		require(tokens_of(i) <= TOKENS_MAX);
		workload_asks(i);
	}
	require(descriptors_are(before));
	return 0;
}
