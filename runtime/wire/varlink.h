/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Varlink framing on a UNIX stream socket, for both ends: one JSON object per
 * message, ended by a NUL, with descriptors beside it.
 *
 * A connection owns its socket, a bounded input buffer, a bounded queue of output
 * and the descriptors that have arrived. It never blocks and never installs a
 * handler: the owner polls the socket for varlink_events() and calls
 * varlink_process() when it is ready, then takes whole messages with varlink_next().
 *
 * Descriptors belong to the message whose first byte they arrived with. A message
 * above VARLINK_MSG_BYTES_MAX, deeper than VARLINK_DEPTH_MAX, that is not a JSON
 * object in UTF-8, or with more descriptors than VARLINK_FDS_MAX ends the
 * connection with TN_PROTOCOL.
 */
#ifndef RUNTIME_WIRE_VARLINK_H
#define RUNTIME_WIRE_VARLINK_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include <base/err.h>

#define VARLINK_MSG_BYTES_MAX    65536
#define VARLINK_DEPTH_MAX        16
#define VARLINK_FDS_MAX          16
#define VARLINK_OUTPUT_BYTES_MAX (1u << 20)

struct varlink;

struct varlink_message {
	json_t *json;             /* owned */
	int fds[VARLINK_FDS_MAX]; /* owned, close-on-exec; FD_NONE once taken */
	size_t fds_n;
};

/* Consumes @fd, a connected stream socket, and makes it non-blocking; also on failure. */
int varlink_new(struct varlink **ret, int fd, struct tn_error *err);

/* What a peer may send, where that is less than all there is. */
struct varlink_bounds {
	size_t bytes_max; /* of a message */
	size_t depth_max;
	size_t messages_max; /* whole ones that are read ahead */
	bool takes_fds;
};

/* The same with a peer that is bounded to @bounds: more ends the connection. */
int varlink_new_bounded(struct varlink **ret, int fd, const struct varlink_bounds *bounds,
                        struct tn_error *err);

/* Closes the socket and every descriptor not taken. Accepts NULL, returns NULL. */
struct varlink *varlink_free(struct varlink *link);

int varlink_fd(const struct varlink *link); /* borrowed */

/* POLLIN and POLLOUT as the connection needs them now; 0 from input when it is full. */
short varlink_events(const struct varlink *link);

/* Read and write what the socket takes; both, so that messages may have arrived whenever
 * this was called, and polling would not tell of them any more. 0, or -EPIPE once the peer has
 * closed and all that had arrived was taken, or another -errno. */
int varlink_process(struct varlink *link, struct tn_error *err);

/* Write what can be, and read nothing: what was sent need not wait for the next poll. */
int varlink_flush(struct varlink *link, struct tn_error *err);

/* Take the next whole message: 1 and *ret filled, 0 if there is none yet, or -errno. */
int varlink_next(struct varlink *link, struct varlink_message *ret, struct tn_error *err);

/* Whether a message has begun to arrive and not ended: a server gives it a deadline. */
bool varlink_partial(const struct varlink *link);

/* Whether a whole message is here to be taken. */
bool varlink_waiting(const struct varlink *link);

/* Release what a message still holds. Accepts a zeroed or released one. */
void varlink_message_done(struct varlink_message *message);

/* Take descriptor @index out of @message: the caller owns it. -EINVAL if there is none. */
int varlink_message_take_fd(struct varlink_message *message, json_int_t index,
                            struct tn_error *err);

/* Queue @json (borrowed) with @fds_n borrowed descriptors; a message with some is sent at once
 * if it is the first, else they are duplicated.
 * -ENOBUFS if the peer does not read and the queue is full. */
int varlink_send(struct varlink *link, const json_t *json, const int *fds, size_t fds_n,
                 struct tn_error *err);

/* Bytes queued and not yet written: a sender of long lists waits while this is high. */
size_t varlink_output_bytes(const struct varlink *link);

#endif
