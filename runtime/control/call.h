/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One call on the control socket, from its message to its last reply.
 *
 * A method's handler either fails (then the server answers with the error), or takes
 * charge of the call: it replies at once, replies later, or streams. The last reply
 * frees the call. If the peer goes first, the call is abandoned: one whose handler set
 * @abandoned is told and freed, any other lives on without a connection until its last
 * reply, which goes nowhere.
 */
#ifndef RUNTIME_CONTROL_CALL_H
#define RUNTIME_CONTROL_CALL_H

#include <jansson.h>

#include <wire/varlink.h>

#include "../context.h"
#include "params.h"

struct call;
struct connection;

enum method_flag {
	METHOD_STREAMS = 1 << 0, /* the call must ask for more */
	METHOD_FDS = 1 << 1,     /* takes descriptors */
	METHOD_ASIDE = 1 << 2,   /* may be sent oneway while another call is under way */
	METHOD_BATCHED =
		1 << 3, /* is answered by batch.h, and the next may follow before that */
};

struct method {
	const char *name; /* with its interface; NULL ends a table */
	int (*handle)(struct call *call, struct tn_error *err);
	unsigned int flags; /* enum method_flag */
	const struct param *params;
	size_t arguments_bytes; /* of the struct that params fill */
};

/* What a refusal with TN_QUOTA says beyond its message. */
struct call_quota {
	const char *meter;
	int64_t limit;
	int64_t used;
	int64_t requested;
	int64_t reset_at; /* 0: it is not about a period */
};

#define CALL_SKIP  2
#define CALL_LATER 3

struct call {
	struct connection *connection; /* NULL once the peer has gone */
	struct context *context;
	const struct method *method;
	struct varlink_message message; /* its descriptors, as long as not taken */
	void *arguments;                /* parsed; owned */
	bool more;
	bool denied; /* the peer may not make it */
	bool oneway;
	bool aside; /* it waits in a batch */
	struct call_quota quota;
	char meter[METER_NAME_BYTES_MAX]; /* room for the name in it */

	void *state; /* the handler's; freed with free_state */
	void (*free_state)(void *state);
	void (*abandoned)(struct call *call);

	/* Streams: 1 and the next reply's parameters, CALL_SKIP for a member that is left out,
	 * CALL_LATER if there is no more before call_resume(), 0 at the end, or -errno. */
	int (*next)(struct call *call, json_t **ret, struct tn_error *err);
	json_t *ahead; /* produced and not sent: only then is it known to be the last */
};

/* Answer and end the call. Takes over @parameters; NULL says that memory has run out. */
void call_reply(struct call *call, json_t *parameters);
/* The same, with a copy of the borrowed descriptor @fd beside it. */
void call_reply_with_fd(struct call *call, json_t *parameters, int fd);
/* Answer, with more to come. */
void call_reply_more(struct call *call, json_t *parameters);
/* The same, with a copy of the borrowed descriptor @fd beside it unless that is FD_NONE. */
void call_reply_more_with_fd(struct call *call, json_t *parameters, int fd);
/* End the call with io.tenantd's error for @err. */
void call_fail(struct call *call, const struct tn_error *err);
/* End the call with one of org.varlink.service's errors; takes over @parameters. */
void call_fail_service(struct call *call, const char *error, json_t *parameters);

/* Reply with all that @next gives, as fast as the peer reads. */
void call_stream(struct call *call,
                 int (*next)(struct call *call, json_t **ret, struct tn_error *err));

/* What said CALL_LATER may have more. The call may end by it. */
void call_resume(struct call *call);

/* It is not the current one of its connection any more, which may handle the next, and is
 * answered by and by. */
void call_set_aside(struct call *call);
/* End the call with @refusal, a whole message, which is taken over: in its turn, if answers
 * wait before it. */
void call_refuse(struct call *call, json_t *refusal);
/* Ends the call without an answer. */
void call_drop(struct call *call);

/* Who makes the call, for the event that tells of what it changes. */
struct actor call_actor(const struct call *call);

/* An execution is attached to the connection or no longer is: it does not count as one of
 * its user's. */
void call_set_executing(struct call *call, bool executing);

#endif
