/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/log.h>

#include "batch.h"
#include "connection.h"

#define ACCEPT_BURST_MAX 32
#define SWEEP_USEC       1000000 /* between looks for messages that never end */
#define LOG_PER_SWEEP    16      /* refusals logged in that time */

struct server {
	struct connection_owner owner; /* first: a connection's owner is its server */
	int listen_fd;
	struct loop_source *source;
	struct loop_source *reaper;
	struct loop_source *sweeper;
	struct connection *connections;
	size_t connections_n;
	size_t logged_n;
	size_t unlogged_n;
};

static struct server *server_of(struct connection_owner *owner)
{
	return (struct server *)(void *)owner;
}

static void server_on_doomed(struct connection_owner *owner)
{
	loop_arm(server_of(owner)->reaper, 0);
}

static void server_on_partial(struct connection_owner *owner)
{
	loop_arm(server_of(owner)->sweeper, SWEEP_USEC);
}

/* Refusals cost a peer nothing, so it must not fill the log with them. */
static bool server_may_log(struct connection_owner *owner)
{
	struct server *server = server_of(owner);

	loop_arm(server->sweeper, SWEEP_USEC);
	if (server->logged_n < LOG_PER_SWEEP) {
		server->logged_n++;
		return true;
	}
	server->unlogged_n++;
	return false;
}

static void server_reap(void *userdata, uint32_t events)
{
	struct server *server = userdata;
	struct connection **slot = &server->connections;

	(void)events;
	while (*slot != NULL) {
		struct connection *connection = *slot;

		if (!connection->doomed) {
			slot = &connection->next;
			continue;
		}
		*slot = connection->next;
		server->connections_n--;
		connection_close(connection, false);
	}
	/* There may be room again. */
	loop_watch_events(server->source, EPOLLIN);
}

static void server_sweep(void *userdata, uint32_t events)
{
	struct server *server = userdata;
	int64_t now = clock_usec(CLOCK_MONOTONIC);
	bool again = false;

	(void)events;
	for (struct connection *c = server->connections; c != NULL; c = c->next) {
		if (c->doomed || c->partial_since == 0)
			continue;
		again = true;
		if (now - c->partial_since > SERVER_PARTIAL_USEC_MAX)
			connection_doom(c);
	}
	if (server->unlogged_n > 0)
		log_event(LOG_WARNING, "further refusals were not logged",
		          LF_INT("count", (int64_t)server->unlogged_n), LF_END);
	server->logged_n = 0;
	server->unlogged_n = 0;
	if (again)
		loop_arm(server->sweeper, SWEEP_USEC);
}

static size_t server_count_uid(const struct server *server, uid_t uid)
{
	size_t n = 0;

	for (const struct connection *c = server->connections; c != NULL; c = c->next)
		n += c->peer.uid == uid && !c->executing && !c->doomed;
	return n;
}

static int server_admit(const struct server *server, const struct peer *peer,
                        struct tn_error *err)
{
	size_t max = SERVER_CONNECTIONS_MAX;

	if (peer->uid != 0)
		max -= SERVER_CONNECTIONS_FOR_ROOT;
	if (server->connections_n >= max)
		return err_refuse(err, TN_STATE, "too many connections");
	if (peer->uid != 0 && server_count_uid(server, peer->uid) >= SERVER_CONNECTIONS_UID_MAX)
		return err_refuse(err, TN_STATE, "too many connections of one user");
	return 0;
}

static int server_take(struct server *server, int taken, struct tn_error *err)
{
	const struct context *context = server->owner.context;
	struct connection *connection = NULL;
	cleanup_fd int fd = taken;
	struct peer peer = { 0 };
	int r = peer_read(fd, context->admin_gid, context->admin_gid_known, &peer, err);

	if (r == 0)
		r = server_admit(server, &peer, err);
	if (r == 0)
		r = connection_new(&connection, &server->owner, fd_take(&fd), &peer, err);
	if (r != 0) {
		peer_done(&peer);
		if (server_may_log(&server->owner))
			log_event(LOG_WARNING, "a connection is refused",
			          LF_INT("uid", (int64_t)peer.uid), LF_INT("pid", peer.pid),
			          LF_STR("error", err->msg), LF_END);
		return r;
	}
	connection->next = server->connections;
	server->connections = connection;
	server->connections_n++;
	return 0;
}

static void server_on_connection(void *userdata, uint32_t events)
{
	struct server *server = userdata;
	struct tn_error err = { 0 };

	(void)events;
	for (int i = 0; i < ACCEPT_BURST_MAX; i++) {
		int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
			/* Waiting peers would wake us for ever: wait until one leaves. */
			log_event(LOG_ERR, "out of descriptors", LF_END);
			loop_watch_events(server->source, 0);
			return;
		}
		if (fd < 0)
			return;
		(void)server_take(server, fd, &err);
	}
}

int server_new(struct server **ret, struct context *context, int listen_fd,
               struct tn_error *err)
{
	struct server *server = calloc(1, sizeof(*server));
	struct loop *loop = context->loop;
	int flags = fcntl(listen_fd, F_GETFL);
	int r;

	if (server == NULL || flags < 0 || fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		r = err_errno(err, "take the control socket");
		fd_closep(&listen_fd);
		free(server);
		return r;
	}
	server->owner = (struct connection_owner){ .context = context,
		                                   .loop = loop,
		                                   .doomed = server_on_doomed,
		                                   .partial = server_on_partial,
		                                   .may_log = server_may_log };
	server->listen_fd = listen_fd;
	r = batch_new(&server->owner.batch, context, err);
	if (r == 0)
		r = loop_watch(loop, listen_fd, EPOLLIN,
		               (struct loop_handler){ server_on_connection, server },
		               &server->source, err);
	if (r == 0)
		r = loop_timer(loop, (struct loop_handler){ server_reap, server },
		               &server->reaper, err);
	if (r == 0)
		r = loop_timer(loop, (struct loop_handler){ server_sweep, server },
		               &server->sweeper, err);
	if (r < 0) {
		(void)server_free(server);
		return r;
	}
	*ret = server;
	return 0;
}

void server_retry(struct server *server)
{
	for (struct connection *c = server->connections; c != NULL; c = c->next)
		connection_retry(c);
}

struct batch *server_batch(const struct server *server)
{
	return server->owner.batch;
}

struct server *server_free(struct server *server)
{
	if (server == NULL)
		return NULL;
	while (server->connections != NULL) {
		struct connection *connection = server->connections;

		server->connections = connection->next;
		connection_close(connection, true);
	}
	server->owner.batch = batch_free(server->owner.batch);
	server->source = loop_source_free(server->source);
	server->reaper = loop_source_free(server->reaper);
	server->sweeper = loop_source_free(server->sweeper);
	fd_closep(&server->listen_fd);
	free(server);
	return NULL;
}
