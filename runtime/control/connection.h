/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One connection of the control socket: takes messages, has the methods answer them,
 * sends what they reply.
 *
 * A connection that fails is doomed at once and closed by the server at the next turn of
 * the loop, so that no callback finds it gone on its way back.
 */
#ifndef RUNTIME_CONTROL_CONNECTION_H
#define RUNTIME_CONTROL_CONNECTION_H

#include <wire/varlink.h>

#include "call.h"
#include "peer.h"

struct connection {
	struct connection *next; /* the server's list */
	struct connection_owner *owner;
	struct varlink *link;
	struct loop_source *source;
	struct peer peer;
	struct call *call;           /* under way */
	size_t aside_n;              /* calls that wait in a batch */
	struct varlink_message held; /* its turn has not come */
	bool holds;
	bool pumping;
	bool doomed;
	bool executing;
	bool more_follow; /* answers, of the batch: what is sent waits for them */
	size_t turn_left; /* bounded: so many calls in this turn yet */
	bool resting;     /* in the middle of a list of which much is left out */
	/* CLOCK_MONOTONIC, 0: it is not so. */
	int64_t partial_since; /* a message is half here */
	int64_t unread_since;  /* an answer is, at the peer's; bounded */
	int64_t heard_at;      /* a call came; bounded */
};

/* Of peers that are bounded more than the control socket's: what is not read of one answer
 * keeps further calls from being read, and so does a turn that is over. */
struct connection_bounds {
	struct varlink_bounds wire;
	size_t calls_max; /* of one connection in a turn */
};

/* What a connection needs of its server. */
struct connection_owner {
	struct context *context;
	struct loop *loop;                      /* that its connections are watched by */
	const struct connection_bounds *bounds; /* NULL: the control socket's */
	struct batch *batch;
	void (*doomed)(struct connection_owner *owner);
	void (*partial)(struct connection_owner *owner);
	/* Whether a refusal may still be logged now. */
	bool (*may_log)(struct connection_owner *owner);
	/* A call has left something in the store that stays. NULL: that is as may be. */
	void (*kept)(struct connection_owner *owner);
};

/* Consumes @fd, also on failure, and what @peer owns unless it fails. @owner is borrowed. */
int connection_new(struct connection **ret, struct connection_owner *owner, int fd,
                   struct peer *peer, struct tn_error *err);
/* What could not be said of its peer's rights may be by now. */
void connection_retry(struct connection *connection);
/* Abandons its call, unless @quietly: then what the call has begun goes on. */
void connection_close(struct connection *connection, bool quietly);
/* Whether it has neither called nor is being answered. */
bool connection_is_idle(const struct connection *connection);
void connection_doom(struct connection *connection);

#endif
