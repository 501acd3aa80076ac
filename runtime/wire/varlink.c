/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which message a descriptor belongs to is the one hard question here.
 *
 * A stream socket keeps no message boundaries, but Linux ends a recvmsg(2) at the
 * end of the buffer (one sendmsg(2), cut into pieces of about 32 KiB) whose
 * descriptors it hands over: nothing sent later is glued on. What was sent *earlier*
 * without descriptors may be glued in front, and one sendmsg(2) may hold several
 * messages or begin in the middle of one. So the end of such a read is known, the
 * first byte of the carrying buffer is not, unless a read is kept from crossing it:
 *
 *   - Each read is peeked at first. Where no descriptors come with what is there, it has
 *     no such question, and is read as a whole, however many messages it is.
 *   - Else, at the start of a message exactly one byte is read. Descriptors that come
 *     with it came with that byte, and so with this message; its rest is read up to its
 *     NUL and not further, so that the first byte of the next message is again the first
 *     of a read.
 *   - Descriptors that come with any later byte belong to no message: the peer
 *     broke the protocol.
 *
 * In consequence only the newest message in the input can have descriptors to which
 * more may be added, and reading pauses while a whole message with descriptors waits
 * to be taken: a connection never holds those of two messages.
 *
 * Output is one run of bytes. Messages without descriptors share a sendmsg(2); one
 * with descriptors begins a sendmsg(2), where they travel with its first byte.
 *
 * jansson bounds neither depth (its limit is 2048) nor the length of what it is
 * given, so length is bounded by the buffer and depth is counted before parsing.
 */
#include "varlink.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>

#include <base/fd.h>

#define INPUT_MESSAGES_MAX   64 /* whole ones read ahead */
#define OUTPUT_BATCHES_MAX   16 /* queued messages that carry descriptors */
#define OUTPUT_BYTES_INITIAL 4096
#define OUTPUT_ROOM_BYTES    1024 /* what most messages take */

/* Descriptors that go with the byte at @offset of the output. */
struct batch {
	size_t offset;
	int fds[VARLINK_FDS_MAX];
	size_t fds_n;
};

static const struct varlink_bounds all_there_is = {
	.bytes_max = VARLINK_MSG_BYTES_MAX,
	.depth_max = VARLINK_DEPTH_MAX,
	.messages_max = INPUT_MESSAGES_MAX,
	.takes_fds = true,
};

struct varlink {
	int fd;
	struct varlink_bounds bounds;
	bool peer_closed;
	bool protocol_broken;

	char *in; /* bounds.bytes_max */
	size_t in_n;
	size_t ends[INPUT_MESSAGES_MAX]; /* offsets behind the NUL of each whole message */
	size_t ends_n;
	int in_fds[VARLINK_FDS_MAX]; /* of the newest message, whole or not */
	size_t in_fds_n;

	char *out;
	size_t out_size, out_n;
	struct batch batches[OUTPUT_BATCHES_MAX]; /* by offset */
	size_t batches_n;
};

union fds_cmsg {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(VARLINK_FDS_MAX * sizeof(int))];
};

static void close_all(int *fds, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		fd_closep(&fds[i]);
	*n = 0;
}

int varlink_new(struct varlink **ret, int fd, struct tn_error *err)
{
	return varlink_new_bounded(ret, fd, &all_there_is, err);
}

int varlink_new_bounded(struct varlink **ret, int fd, const struct varlink_bounds *bounds,
                        struct tn_error *err)
{
	struct varlink *link = calloc(1, sizeof(*link));
	int flags = fcntl(fd, F_GETFL);

	if (link == NULL || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		int r = link == NULL ? err_set(err, TN_SYSTEM, ENOMEM, "allocate a connection")
		                     : err_errno(err, "make the connection non-blocking");

		fd_closep(&fd);
		free(link);
		return r;
	}
	assert(bounds->bytes_max <= VARLINK_MSG_BYTES_MAX &&
	       bounds->messages_max <= INPUT_MESSAGES_MAX);
	link->fd = fd;
	link->bounds = *bounds;
	link->in = malloc(bounds->bytes_max);
	if (link->in == NULL) {
		varlink_free(link);
		return err_set(err, TN_SYSTEM, ENOMEM, "allocate a connection");
	}
	*ret = link;
	return 0;
}

struct varlink *varlink_free(struct varlink *link)
{
	if (link == NULL)
		return NULL;
	close_all(link->in_fds, &link->in_fds_n);
	for (size_t i = 0; i < link->batches_n; i++)
		close_all(link->batches[i].fds, &link->batches[i].fds_n);
	fd_closep(&link->fd);
	free(link->in);
	free(link->out);
	free(link);
	return NULL;
}

int varlink_fd(const struct varlink *link)
{
	return link->fd;
}

size_t varlink_output_bytes(const struct varlink *link)
{
	return link->out_n;
}

/* Offset of the first byte of the message being read. */
static size_t partial_start(const struct varlink *link)
{
	return link->ends_n == 0 ? 0 : link->ends[link->ends_n - 1];
}

bool varlink_partial(const struct varlink *link)
{
	return link->in_n > partial_start(link);
}

bool varlink_waiting(const struct varlink *link)
{
	return link->ends_n > 0;
}

static bool input_full(const struct varlink *link)
{
	bool at_start = link->in_n == partial_start(link);

	if (link->ends_n == 0)
		return false;
	return link->in_n == link->bounds.bytes_max ||
	       link->ends_n == link->bounds.messages_max || (at_start && link->in_fds_n > 0);
}

short varlink_events(const struct varlink *link)
{
	short events = 0;

	if (!input_full(link))
		events |= POLLIN;
	if (link->out_n > 0)
		events |= POLLOUT;
	return events;
}

static int broke(struct varlink *link, struct tn_error *err, const char *what)
{
	link->protocol_broken = true;
	return err_refuse(err, TN_PROTOCOL, "%s", what);
}

/*
 * Take every descriptor out of @msg into @fds. More than fit are closed. Returns how
 * many there were.
 */
static size_t fds_from_cmsgs(struct msghdr *msg, int fds[static VARLINK_FDS_MAX])
{
	size_t n = 0;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(msg, cmsg)) {
		size_t here;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		here = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < here; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
			if (n < VARLINK_FDS_MAX)
				fds[n] = fd;
			else
				fd_closep(&fd);
			n++;
		}
	}
	return n;
}

/*
 * Look at what can be read behind the input without taking it, and whether descriptors come
 * with any of it: without room for them the kernel can only say that there are some. Returns
 * the number of bytes, 0 if there are none now or the peer has closed, or -errno.
 */
static ssize_t peek(struct varlink *link, bool *ret_fds, struct tn_error *err)
{
	struct iovec iov = { .iov_base = link->in + link->in_n,
		             .iov_len = link->bounds.bytes_max - link->in_n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	do
		n = recvmsg(link->fd, &msg, MSG_PEEK);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n == 0 || (n < 0 && errno == ECONNRESET)) {
		link->peer_closed = true;
		return 0;
	}
	if (n < 0)
		return err_errno(err, "receive from the peer");
	*ret_fds = (msg.msg_flags & MSG_CTRUNC) != 0;
	return n;
}

/* How many of the @n bytes that were peeked at are to be taken in one read. */
static size_t read_size(const struct varlink *link, size_t n, bool fds)
{
	const char *p = link->in + link->in_n, *nul;
	size_t messages = link->bounds.messages_max - link->ends_n, size = 0;

	if (fds && link->in_n == partial_start(link))
		return 1;
	if (fds || link->in_fds_n > 0)
		messages = 1;
	for (; messages > 0 && size < n; messages--) {
		nul = memchr(p + size, '\0', n - size);
		size = nul == NULL ? n : (size_t)(nul - p) + 1;
	}
	return size;
}

/* Take @n bytes, which are there, behind the input, and the descriptors of a first byte. */
static int receive(struct varlink *link, size_t n, struct tn_error *err)
{
	const bool first = n == 1 && link->in_n == partial_start(link);
	union fds_cmsg control = { 0 };
	struct iovec iov = { .iov_base = link->in + link->in_n, .iov_len = n };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		/* Not CMSG_SPACE, whose padding may have room for one more. */
		.msg_controllen = CMSG_LEN(
			link->bounds.takes_fds ? VARLINK_FDS_MAX * sizeof(int) : 0),
	};
	int fds[VARLINK_FDS_MAX];
	size_t fds_n;
	ssize_t got;

	do
		got = recvmsg(link->fd, &msg, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return err_errno(err, "receive from the peer");

	fds_n = fds_from_cmsgs(&msg, fds);
	if ((msg.msg_flags & MSG_CTRUNC) != 0 || (fds_n > 0 && !first)) {
		close_all(fds, &fds_n);
		return broke(link, err,
		             first ? "more descriptors with a message than may be"
		                   : "descriptors in the middle of a message");
	}
	if (first) {
		memcpy(link->in_fds, fds, fds_n * sizeof(fds[0]));
		link->in_fds_n = fds_n;
	}
	for (; got > 0; got--)
		if (link->in[link->in_n++] == '\0')
			link->ends[link->ends_n++] = link->in_n;
	return 0;
}

/* Read until the socket is empty, the peer has closed, or the input is full. */
static int read_input(struct varlink *link, struct tn_error *err)
{
	while (!link->peer_closed && !input_full(link)) {
		const size_t room = link->bounds.bytes_max - link->in_n;
		bool fds = false;
		size_t size;
		ssize_t n;
		int r;

		if (room == 0)
			return broke(link, err,
			             link->bounds.bytes_max == VARLINK_MSG_BYTES_MAX
			                     ? "a message is longer than 64 KiB"
			                     : "a message is longer than may be here");
		n = peek(link, &fds, err);
		if (n <= 0)
			return (int)n;
		size = read_size(link, (size_t)n, fds);
		r = receive(link, size, err);
		if (r < 0)
			return r;
		/* That was all: what has come since, a poll tells. */
		if (size == (size_t)n && size < room && !fds)
			return 0;
	}
	return 0;
}

/* The first @n bytes of the output are gone. */
static void drop_output(struct varlink *link, size_t n)
{
	size_t sent = 0;

	while (sent < link->batches_n && link->batches[sent].offset < n) {
		close_all(link->batches[sent].fds, &link->batches[sent].fds_n);
		sent++;
	}
	link->batches_n -= sent;
	memmove(link->batches, link->batches + sent,
	        link->batches_n * sizeof(link->batches[0]));
	for (size_t i = 0; i < link->batches_n; i++)
		link->batches[i].offset -= n;

	link->out_n -= n;
	memmove(link->out, link->out + n, link->out_n);
}

/* One sendmsg(2) of the first @n bytes of the output, with descriptors or without. */
static ssize_t send_bytes(const struct varlink *link, size_t n, const int *fds, size_t fds_n)
{
	union fds_cmsg control = { 0 };
	struct iovec iov = { .iov_base = link->out, .iov_len = n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	if (fds_n > 0) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fds_n * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, fds_n * sizeof(int));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(fds_n * sizeof(int));
	}
	do
		sent = sendmsg(link->fd, &msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent;
}

/* Up to the next message with descriptors, which begins a sendmsg(2) of its own. */
static ssize_t send_some(const struct varlink *link)
{
	const struct batch *first = link->batches;
	bool carries = link->batches_n > 0 && first->offset == 0;
	size_t next = carries ? 1 : 0;

	return send_bytes(link,
	                  next < link->batches_n ? link->batches[next].offset : link->out_n,
	                  first->fds, carries ? first->fds_n : 0);
}

static int write_output(struct varlink *link, struct tn_error *err)
{
	while (link->out_n > 0) {
		ssize_t n = send_some(link);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
			/* It may have said why before it went: what arrived is still read. */
			link->peer_closed = true;
			return 0;
		}
		if (n < 0)
			return err_errno(err, "send to the peer");
		drop_output(link, (size_t)n);
	}
	return 0;
}

int varlink_flush(struct varlink *link, struct tn_error *err)
{
	return link->protocol_broken ? broke(link, err, "the connection has ended")
	                             : write_output(link, err);
}

int varlink_process(struct varlink *link, struct tn_error *err)
{
	bool closed;
	int r;

	if (link->protocol_broken)
		return broke(link, err, "the connection has ended");
	r = write_output(link, err);
	if (r < 0)
		return r;

	/* A peer that no longer reads may still have sent something. */
	closed = link->peer_closed;
	link->peer_closed = false;
	r = read_input(link, err);
	link->peer_closed |= closed;
	if (link->peer_closed && link->out_n > 0)
		drop_output(link, link->out_n);
	if (r < 0)
		return r;
	if (link->peer_closed && link->ends_n == 0)
		return err_set(err, TN_UNREACHABLE, EPIPE, "the peer closed the connection%s",
		               link->in_n > 0 ? " in the middle of a message" : "");
	return 0;
}

/* Nesting of arrays and objects in what may or may not be JSON. */
static size_t json_depth_max(const char *text, size_t n)
{
	size_t depth = 0, deepest = 0;
	bool in_string = false;

	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		if (in_string && c == '\\') {
			i++;
		} else if (c == '"') {
			in_string = !in_string;
		} else if (!in_string && (c == '{' || c == '[')) {
			depth++;
			deepest = depth > deepest ? depth : deepest;
		} else if (!in_string && (c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return deepest;
}

static json_t *parse(struct varlink *link, size_t n, struct tn_error *err)
{
	json_error_t why;
	json_t *json;

	if (json_depth_max(link->in, n) > link->bounds.depth_max) {
		(void)broke(link, err, "a message is nested too deeply");
		return NULL;
	}
	json = json_loadb(link->in, n, JSON_REJECT_DUPLICATES, &why);
	if (json == NULL) {
		(void)broke(link, err, why.text);
		(void)err_wrap(err, -EPROTO, "a message is not JSON");
		return NULL;
	}
	if (!json_is_object(json)) {
		json_decref(json);
		(void)broke(link, err, "a message is not a JSON object");
		return NULL;
	}
	return json;
}

/* Forget the first message, of @n bytes. */
static void drop_input(struct varlink *link, size_t n)
{
	link->ends_n--;
	memmove(link->ends, link->ends + 1, link->ends_n * sizeof(link->ends[0]));
	for (size_t i = 0; i < link->ends_n; i++)
		link->ends[i] -= n;
	link->in_n -= n;
	memmove(link->in, link->in + n, link->in_n);
}

int varlink_next(struct varlink *link, struct varlink_message *ret, struct tn_error *err)
{
	size_t n;
	json_t *json;

	if (link->protocol_broken)
		return broke(link, err, "the connection has ended");
	if (link->ends_n == 0)
		return 0;

	n = link->ends[0];
	json = parse(link, n - 1, err);
	if (json == NULL)
		return -EPROTO;

	*ret = (struct varlink_message){ .json = json };
	if (link->in_n == n) {
		memcpy(ret->fds, link->in_fds, link->in_fds_n * sizeof(ret->fds[0]));
		ret->fds_n = link->in_fds_n;
		link->in_fds_n = 0;
	}
	drop_input(link, n);
	return 1;
}

void varlink_message_done(struct varlink_message *message)
{
	json_decref(message->json);
	message->json = NULL;
	close_all(message->fds, &message->fds_n);
}

int varlink_message_take_fd(struct varlink_message *message, json_int_t index,
                            struct tn_error *err)
{
	if (index < 0 || (size_t)index >= message->fds_n || message->fds[index] < 0)
		return err_refuse(err, TN_INVALID,
		                  "there is no descriptor %lld with the message",
		                  (long long)index);
	return fd_take(&message->fds[index]);
}

static int grow_output(struct varlink *link, size_t n, struct tn_error *err)
{
	size_t size = link->out_size == 0 ? OUTPUT_BYTES_INITIAL : link->out_size;
	char *out;

	if (n > VARLINK_OUTPUT_BYTES_MAX - link->out_n)
		return err_set(err, TN_SYSTEM, ENOBUFS, "the peer does not read its answers");
	if (link->out_n + n <= link->out_size)
		return 0;
	while (size < link->out_n + n)
		size *= 2;
	out = realloc(link->out, size);
	if (out == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "queue a message");
	link->out = out;
	link->out_size = size;
	return 0;
}

static int queue_fds(struct varlink *link, const int *fds, size_t fds_n, struct tn_error *err)
{
	struct batch batch = { .offset = link->out_n };

	if (link->batches_n == OUTPUT_BATCHES_MAX)
		return err_set(err, TN_SYSTEM, ENOBUFS, "the peer does not read its answers");
	for (size_t i = 0; i < fds_n; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			int r = err_errno(err, "duplicate descriptor %d", fds[i]);

			close_all(batch.fds, &batch.fds_n);
			return r;
		}
		batch.fds[batch.fds_n++] = fd;
	}
	link->batches[link->batches_n++] = batch;
	return 0;
}

/*
 * Make the message of @n bytes behind the output part of it, with its descriptors. Before any
 * other output it is sent right away, and they need not be duplicated to wait.
 */
static int carry(struct varlink *link, size_t n, const int *fds, size_t fds_n,
                 struct tn_error *err)
{
	ssize_t sent = 0;
	int r;

	if (fds_n > VARLINK_FDS_MAX)
		return err_refuse(err, TN_INVALID, "more than %d descriptors", VARLINK_FDS_MAX);
	if (link->out_n == 0)
		sent = send_bytes(link, n, fds, fds_n);
	if (sent <= 0) {
		/* What hinders it will hinder the next attempt, which knows what to say. */
		r = queue_fds(link, fds, fds_n, err);
		if (r < 0)
			return r;
	}
	link->out_n += n;
	if (sent > 0)
		drop_output(link, (size_t)sent);
	return 0;
}

int varlink_send(struct varlink *link, const json_t *json, const int *fds, size_t fds_n,
                 struct tn_error *err)
{
	int r = grow_output(link, OUTPUT_ROOM_BYTES, err);
	size_t room = link->out_size - link->out_n, n;

	if (r < 0)
		return r;
	/* Mostly it fits; else this has only measured it. */
	n = json_dumpb(json, link->out + link->out_n, room, JSON_COMPACT);
	if (n == 0)
		return err_refuse(err, TN_INVALID, "a message cannot be written as JSON");
	if (n + 1 > VARLINK_MSG_BYTES_MAX)
		return err_set(err, TN_INVALID, EMSGSIZE, "a message is longer than 64 KiB");
	if (n + 1 > room) {
		r = grow_output(link, n + 1, err);
		if (r == 0)
			(void)json_dumpb(json, link->out + link->out_n, n, JSON_COMPACT);
	}
	if (r < 0)
		return r;
	link->out[link->out_n + n] = '\0';
	if (fds_n > 0)
		return carry(link, n + 1, fds, fds_n, err);
	link->out_n += n + 1;
	return 0;
}
