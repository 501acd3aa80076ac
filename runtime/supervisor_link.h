/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The channel to tenantd (isolate/spec.h), seen from its unprivileged end.
 *
 * Requests go out in order and never block: what the socket does not take waits in a
 * bounded queue. What comes in is checked for version and size; requests that are
 * answered by SPEC_REPLY are answered in order, so the oldest one waiting must be the
 * one a reply names. Anything else, and the end of the channel, means that tenantd is
 * gone: gone() is called once, and nothing can be sent any more.
 */
#ifndef RUNTIME_SUPERVISOR_LINK_H
#define RUNTIME_SUPERVISOR_LINK_H

#include "loop.h"
#include <isolate/spec.h>

#define SUPERVISOR_QUEUE_MAX   512 /* messages not yet taken by the socket */
#define SUPERVISOR_REPLIES_MAX 512 /* requests not yet answered */

struct supervisor_link;

/* Messages are valid during the call. */
struct supervisor_handlers {
	void (*hello)(void *userdata, const struct spec_hello *hello,
	              int root_fd); /* consumed */
	/* @terminal: a terminal's master, borrowed, or FD_NONE. */
	void (*started)(void *userdata, const struct spec_started *started, int terminal);
	void (*exited)(void *userdata, const struct spec_exited *exited);
	/* All that was there before this controller has been told of. */
	void (*replayed)(void *userdata);
	/* How it went with what was asked by SPEC_RESERVE. */
	void (*reserved)(void *userdata, const struct tn_error *why);
	void (*gone)(void *userdata, const struct tn_error *why);
	void (*slots)(void *userdata, const struct spec_slots *slots);
	/* @listen_fd: consumed; FD_NONE: there is none any more. */
	void (*meter)(void *userdata, const struct id *tenant, int listen_fd);
};

/* @reply is NULL when the link is freed before the answer has come. */
typedef void supervisor_reply_fn(void *userdata, const struct spec_reply *reply);

/* Consumes @fd, also on failure. @handlers is borrowed. */
int supervisor_link_new(struct supervisor_link **ret, struct loop *loop, int fd,
                        const struct supervisor_handlers *handlers, void *userdata,
                        struct tn_error *err);
/* Accepts NULL. Always returns NULL. */
struct supervisor_link *supervisor_link_free(struct supervisor_link *link);

/* A request as it goes out: the message, whose head is filled in, and borrowed descriptors. */
struct supervisor_request {
	enum spec_op op;
	struct spec_head *message;
	size_t bytes;
	const int *fds;
	size_t fds_n;
};

/* For a message @m that begins with its head, without descriptors. */
#define SUPERVISOR_REQUEST(op, m)                                                              \
	((struct supervisor_request){ (op), &(m)->head, sizeof(*(m)), NULL, 0 })

/* Send it. -ENOBUFS if too much waits already, -EPIPE if tenantd is gone. */
int supervisor_send(struct supervisor_link *link, const struct supervisor_request *request,
                    struct tn_error *err);

/* Send one that SPEC_REPLY answers: @fn is called exactly once, unless this fails. */
int supervisor_ask(struct supervisor_link *link, const struct supervisor_request *request,
                   supervisor_reply_fn *fn, void *userdata, struct tn_error *err);

/* While a reply is told: the descriptor that came with it, borrowed, or FD_NONE. */
int supervisor_reply_fd(const struct supervisor_link *link);

#endif
