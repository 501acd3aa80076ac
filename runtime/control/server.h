/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket. Who a peer is comes from the kernel when it connects; what it may
 * do is decided per call. A peer is bounded in everything it can make us hold: bytes
 * and depth of a message, time for one, connections of a user, replies it does not read.
 *
 * On one connection calls are handled one after the other; only METHOD_ASIDE overtakes.
 */
#ifndef RUNTIME_CONTROL_SERVER_H
#define RUNTIME_CONTROL_SERVER_H

#include <base/err.h>

#define SERVER_CONNECTIONS_MAX      1024
#define SERVER_CONNECTIONS_FOR_ROOT 32 /* of these */
#define SERVER_CONNECTIONS_UID_MAX  32 /* of one user, not counting running executions */
#define SERVER_PARTIAL_USEC_MAX     10000000
#define SERVER_STREAM_BYTES         65536 /* a stream waits while more is unread */

struct batch;
struct context;
struct server;

/* Consumes @listen_fd, also on failure. @context is borrowed. */
int server_new(struct server **ret, struct context *context, int listen_fd,
               struct tn_error *err);
/* What could not be said of peers' rights may be by now: who waits for that goes on. */
void server_retry(struct server *server);
/* In which all calls on quotas are answered; borrowed. */
struct batch *server_batch(const struct server *server);
/* Closes every connection; executions run on. Accepts NULL. Always returns NULL. */
struct server *server_free(struct server *server);

#endif
