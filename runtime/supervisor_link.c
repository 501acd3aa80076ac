/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "supervisor_link.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include <base/fd.h>
#include <base/fdpass.h>

/* One turn of the loop takes so many messages, then others have their turn. */
#define SUPERVISOR_BURST_MAX 4

struct supervisor_queued {
	struct supervisor_queued *next;
	int fds[SPEC_FDS_MAX];
	size_t fds_n;
	size_t bytes;
	char message[];
};

struct supervisor_waiting {
	uint64_t serial;
	supervisor_reply_fn *fn;
	void *userdata;
};

struct supervisor_link {
	struct loop_source *source;
	const struct supervisor_handlers *handlers;
	void *userdata;
	int fd;
	bool greeted;
	bool gone;
	uint64_t serial;
	int reply_fd; /* of the reply that is being told */

	struct supervisor_queued *first;
	struct supervisor_queued **last;
	size_t queued_n;

	/* A ring, oldest first. */
	struct supervisor_waiting waiting[SUPERVISOR_REPLIES_MAX];
	size_t waiting_first;
	size_t waiting_n;
};

static_assert(SPEC_MSG_BYTES_MAX <= FDPASS_MSG_BYTES_MAX, "fdpass_recv() takes every message");
static_assert(SPEC_FDS_MAX <= FDPASS_FDS_MAX, "fdpass_send() takes all descriptors");
static_assert(sizeof(struct spec_launch) <= SPEC_MSG_BYTES_MAX, "the largest message fits");

static struct supervisor_queued *queued_free(struct supervisor_queued *queued)
{
	for (size_t i = 0; i < queued->fds_n; i++)
		fd_closep(&queued->fds[i]);
	free(queued);
	return NULL;
}

static void supervisor_gone(struct supervisor_link *link, const struct tn_error *why)
{
	if (link->gone)
		return;
	link->gone = true;
	link->source = loop_source_free(link->source);
	link->handlers->gone(link->userdata, why);
}

/* 1 if the socket has taken it, 0 if it is full, or -errno. */
static int supervisor_put(struct supervisor_link *link, const void *message, size_t bytes,
                          const int *fds, size_t fds_n, struct tn_error *err)
{
	int r = fdpass_send(link->fd, message, bytes, fds, fds_n, err);

	if (r == -EAGAIN)
		return 0;
	return r < 0 ? r : 1;
}

static int supervisor_queue(struct supervisor_link *link,
                            const struct supervisor_request *request, struct tn_error *err)
{
	struct supervisor_queued *queued;

	if (link->queued_n == SUPERVISOR_QUEUE_MAX)
		return err_set(err, TN_STATE, ENOBUFS, "tenantd is too busy");
	queued = calloc(1, sizeof(*queued) + request->bytes);
	if (queued == NULL)
		return err_errno(err, "queue a request to tenantd");
	queued->bytes = request->bytes;
	memcpy(queued->message, request->message, request->bytes);
	for (size_t i = 0; i < request->fds_n; i++) {
		queued->fds[i] = fcntl(request->fds[i], F_DUPFD_CLOEXEC, 0);
		if (queued->fds[i] < 0) {
			int r = err_errno(err, "queue a request to tenantd");

			(void)queued_free(queued);
			return r;
		}
		queued->fds_n++;
	}
	*link->last = queued;
	link->last = &queued->next;
	link->queued_n++;
	loop_watch_events(link->source, EPOLLIN | EPOLLOUT);
	return 0;
}

int supervisor_send(struct supervisor_link *link, const struct supervisor_request *request,
                    struct tn_error *err)
{
	int r = 0;

	assert(request->bytes <= SPEC_MSG_BYTES_MAX && request->fds_n <= SPEC_FDS_MAX);

	if (link->gone)
		return err_set(err, TN_UNREACHABLE, EPIPE, "tenantd has gone away");
	*request->message = (struct spec_head){
		.bytes = (uint32_t)request->bytes,
		.op = (uint16_t)request->op,
		.version = SPEC_VERSION,
		.serial = link->serial + 1,
	};
	/* Nothing may overtake what waits. */
	if (link->first == NULL)
		r = supervisor_put(link, request->message, request->bytes, request->fds,
		                   request->fds_n, err);
	if (r == 0)
		r = supervisor_queue(link, request, err);
	if (r < 0)
		return r;
	link->serial++;
	return 0;
}

int supervisor_ask(struct supervisor_link *link, const struct supervisor_request *request,
                   supervisor_reply_fn *fn, void *userdata, struct tn_error *err)
{
	size_t slot = (link->waiting_first + link->waiting_n) % SUPERVISOR_REPLIES_MAX;
	int r;

	if (link->waiting_n == SUPERVISOR_REPLIES_MAX)
		return err_set(err, TN_STATE, ENOBUFS, "tenantd is too busy");
	r = supervisor_send(link, request, err);
	if (r < 0)
		return r;
	link->waiting[slot] = (struct supervisor_waiting){ link->serial, fn, userdata };
	link->waiting_n++;
	return 0;
}

static int supervisor_flush(struct supervisor_link *link, struct tn_error *err)
{
	while (link->first != NULL) {
		struct supervisor_queued *queued = link->first;
		int r = supervisor_put(link, queued->message, queued->bytes, queued->fds,
		                       queued->fds_n, err);

		if (r <= 0)
			return r;
		link->first = queued->next;
		if (link->first == NULL)
			link->last = &link->first;
		link->queued_n--;
		(void)queued_free(queued);
	}
	loop_watch_events(link->source, EPOLLIN);
	return 0;
}

static int supervisor_reply(struct supervisor_link *link, const struct spec_reply *reply,
                            int fd, struct tn_error *err)
{
	struct supervisor_waiting *oldest = &link->waiting[link->waiting_first];

	if (link->waiting_n == 0 || oldest->serial != reply->head.serial)
		return err_refuse(err, TN_PROTOCOL, "tenantd answers what it was not asked");
	link->waiting_first = (link->waiting_first + 1) % SUPERVISOR_REPLIES_MAX;
	link->waiting_n--;
	link->reply_fd = fd;
	oldest->fn(oldest->userdata, reply);
	link->reply_fd = FD_NONE;
	return 0;
}

int supervisor_reply_fd(const struct supervisor_link *link)
{
	return link->reply_fd;
}

union supervisor_message {
	struct spec_head head;
	struct spec_hello hello;
	struct spec_reply reply;
	struct spec_started started;
	struct spec_exited exited;
	struct spec_reserved reserved;
	struct spec_slots slots;
	struct spec_meter meter;
};

static const struct incoming {
	enum spec_op op;
	size_t bytes;
	bool with_fd, without_fd; /* how it may come */
} incoming[] = {
	{ SPEC_HELLO, sizeof(struct spec_hello), true, false },
	{ SPEC_REPLY, sizeof(struct spec_reply), true, true },
	{ SPEC_STARTED, sizeof(struct spec_started), true, true },
	{ SPEC_EXITED, sizeof(struct spec_exited), false, true },
	{ SPEC_REPLAYED, sizeof(struct spec_head), false, true },
	{ SPEC_RESERVED, sizeof(struct spec_reserved), false, true },
	{ SPEC_SLOTS, sizeof(struct spec_slots), false, true },
	{ SPEC_METER, sizeof(struct spec_meter), true, true },
};

/* tenantd is trusted; this finds a program of another version before it does harm. */
static int supervisor_check(const struct supervisor_link *link,
                            const union supervisor_message *message, size_t n, int fd,
                            struct tn_error *err)
{
	const struct spec_head *head = &message->head;

	if (n < sizeof(*head) || head->bytes != n)
		return err_refuse(err, TN_PROTOCOL, "tenantd sent a message of %zu bytes", n);
	if (head->version != SPEC_VERSION)
		return err_refuse(err, TN_PROTOCOL, "tenantd speaks version %d, we speak %d",
		                  head->version, SPEC_VERSION);
	for (size_t i = 0; i < ARRAY_LEN(incoming); i++) {
		const struct incoming *row = &incoming[i];
		const bool hello = row->op == SPEC_HELLO;

		if (row->op != (enum spec_op)head->op || row->bytes != n)
			continue;
		if (hello == link->greeted || (hello && fd < 0))
			return err_refuse(err, TN_PROTOCOL,
			                  "tenantd did not begin with its greeting");
		if (!(fd >= 0 ? row->with_fd : row->without_fd))
			return err_refuse(err, TN_PROTOCOL,
			                  "tenantd sent a descriptor with operation %d",
			                  head->op);
		return 0;
	}
	return err_refuse(err, TN_PROTOCOL, "tenantd sent operation %d of %zu bytes", head->op,
	                  n);
}

/* The supervisor's text is NUL-terminated whatever it sends. */
static void supervisor_terminate(union supervisor_message *message)
{
	if (message->head.op == SPEC_HELLO) {
		message->hello.cgroup_root[SPEC_PATH_BYTES_MAX - 1] = '\0';
		message->hello.storage_root[SPEC_PATH_BYTES_MAX - 1] = '\0';
	} else if (message->head.op == SPEC_REPLY) {
		message->reply.slot.cgroup[SPEC_PATH_BYTES_MAX - 1] = '\0';
		message->reply.slot.storage_path[SPEC_PATH_BYTES_MAX - 1] = '\0';
		message->reply.error.msg[TN_ERROR_MSG_BYTES - 1] = '\0';
	} else if (message->head.op == SPEC_STARTED) {
		message->started.error.msg[TN_ERROR_MSG_BYTES - 1] = '\0';
	} else if (message->head.op == SPEC_RESERVED) {
		message->reserved.error.msg[TN_ERROR_MSG_BYTES - 1] = '\0';
	} else if (message->head.op == SPEC_EXITED) {
		message->exited.error.msg[TN_ERROR_MSG_BYTES - 1] = '\0';
	}
}

/* 1 if there was a message, 0 if there is none now, or -errno. */
static int supervisor_take(struct supervisor_link *link, struct tn_error *err)
{
	union supervisor_message message = { 0 };
	cleanup_fd int fd = FD_NONE;
	size_t fds_n = 0;
	int r = fdpass_recv(link->fd, &message, sizeof(message), &fd, 1, &fds_n, err);

	if (r == -EAGAIN)
		return 0;
	if (r >= 0)
		r = supervisor_check(link, &message, (size_t)r, fd, err);
	if (r < 0)
		return r;
	supervisor_terminate(&message);
	switch (message.head.op) {
	case SPEC_HELLO:
		link->greeted = true;
		link->handlers->hello(link->userdata, &message.hello, fd_take(&fd));
		return 1;
	case SPEC_STARTED:
		link->handlers->started(link->userdata, &message.started, fd);
		return 1;
	case SPEC_EXITED:
		link->handlers->exited(link->userdata, &message.exited);
		return 1;
	case SPEC_RESERVED:
		link->handlers->reserved(link->userdata, &message.reserved.error);
		return 1;
	case SPEC_REPLAYED:
		link->handlers->replayed(link->userdata);
		return 1;
	case SPEC_SLOTS:
		message.slots.n = message.slots.n < SPEC_SLOTS_MAX ? message.slots.n
		                                                   : SPEC_SLOTS_MAX;
		link->handlers->slots(link->userdata, &message.slots);
		return 1;
	case SPEC_METER:
		link->handlers->meter(link->userdata, &message.meter.tenant, fd_take(&fd));
		return 1;
	default:
		r = supervisor_reply(link, &message.reply, fd, err);
		return r < 0 ? r : 1;
	}
}

static void supervisor_on_io(void *userdata, uint32_t events)
{
	struct supervisor_link *link = userdata;
	struct tn_error err = { 0 };
	int r = 0;

	if ((events & EPOLLOUT) != 0)
		r = supervisor_flush(link, &err);
	for (int i = 0; r >= 0 && i < SUPERVISOR_BURST_MAX; i++) {
		r = supervisor_take(link, &err);
		if (r == 0)
			break;
	}
	if (r < 0)
		supervisor_gone(link, &err);
}

int supervisor_link_new(struct supervisor_link **ret, struct loop *loop, int fd,
                        const struct supervisor_handlers *handlers, void *userdata,
                        struct tn_error *err)
{
	struct supervisor_link *link = calloc(1, sizeof(*link));
	int flags = fcntl(fd, F_GETFL);
	int r = 0;

	if (link == NULL || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		r = err_errno(err, "take the channel to tenantd");
		fd_closep(&fd);
		free(link);
		return r;
	}
	link->fd = fd;
	link->reply_fd = FD_NONE;
	link->handlers = handlers;
	link->userdata = userdata;
	link->last = &link->first;
	r = loop_watch(loop, fd, EPOLLIN, (struct loop_handler){ supervisor_on_io, link },
	               &link->source, err);
	if (r < 0) {
		(void)supervisor_link_free(link);
		return r;
	}
	*ret = link;
	return 0;
}

struct supervisor_link *supervisor_link_free(struct supervisor_link *link)
{
	if (link == NULL)
		return NULL;
	link->gone = true;
	while (link->first != NULL) {
		struct supervisor_queued *queued = link->first;

		link->first = queued->next;
		(void)queued_free(queued);
	}
	for (; link->waiting_n > 0; link->waiting_n--) {
		struct supervisor_waiting *oldest = &link->waiting[link->waiting_first];

		link->waiting_first = (link->waiting_first + 1) % SUPERVISOR_REPLIES_MAX;
		oldest->fn(oldest->userdata, NULL);
	}
	link->source = loop_source_free(link->source);
	fd_closep(&link->fd);
	free(link);
	return NULL;
}
