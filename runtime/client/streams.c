/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "streams.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include <base/fd.h>

#include "memfd.h"

#define BYTES_INITIAL 4096
#define BYTES_DROPPED 8192 /* read at once of what is not kept */
/* Of one stream, before the other and the connection have their turn. */
#define BYTES_PER_TURN (INT64_C(1) << 20)

/* poll(2) and epoll(7) number these events alike. */
static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT, "events need no translation");

static int open_null(int *ret, struct tn_error *err)
{
	*ret = open("/dev/null", O_RDWR | O_CLOEXEC);
	return *ret < 0 ? err_errno(err, "open /dev/null: %s", strerror(errno)) : 0;
}

static int open_pipe(struct streams *streams, enum stream stream, size_t max,
                     struct tn_error *err)
{
	struct stream_capture *captured = &streams->captured[stream];
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe: %s", strerror(errno));
	captured->fd = ends[0];
	captured->max = max;
	captured->output.bytes = "";
	streams->theirs[stream] = ends[1];
	streams->ours[stream] = true;
	/* Of our end alone: the command finds an ordinary pipe. */
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
		return err_errno(err, "make a pipe: %s", strerror(errno));
	return 0;
}

static int open_epoll(struct streams *streams, struct tn_error *err)
{
	streams->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (streams->epoll_fd < 0)
		return err_errno(err, "make an epoll descriptor: %s", strerror(errno));
	for (int i = STREAM_OUT; i < STREAMS_N; i++) {
		struct epoll_event event = { .events = EPOLLIN };

		if (streams->captured[i].fd >= 0 &&
		    epoll_ctl(streams->epoll_fd, EPOLL_CTL_ADD, streams->captured[i].fd,
		              &event) < 0)
			return err_errno(err, "watch a pipe: %s", strerror(errno));
	}
	return 0;
}

static int open_captured(struct streams *streams, const struct tn_run_capture *capture,
                         struct tn_error *err)
{
	const size_t max[STREAMS_N] = { [STREAM_OUT] = capture->stdout_bytes_max,
		                        [STREAM_ERR] = capture->stderr_bytes_max };
	bool any = false;
	int r = 0;

	streams->kill_on_overflow = capture->kill_on_overflow;
	if (capture->stdin_bytes != NULL) {
		r = memfd_sealed("tenant-stdin", capture->stdin_bytes, capture->stdin_n, err);
		if (r < 0)
			return r;
		streams->theirs[STREAM_IN] = r;
		streams->ours[STREAM_IN] = true;
		r = 0;
	}
	for (int i = STREAM_OUT; r == 0 && i < STREAMS_N; i++) {
		if (max[i] == 0)
			continue;
		r = open_pipe(streams, (enum stream)i, max[i], err);
		any = true;
	}
	return r == 0 && any ? open_epoll(streams, err) : r;
}

int streams_open(struct streams *streams, const struct tn_run_spec *spec, struct tn_error *err)
{
	int r = 0;

	*streams = (struct streams){
		.theirs = { spec->stdin_fd, spec->stdout_fd, spec->stderr_fd },
		.epoll_fd = FD_NONE,
	};
	for (int i = 0; i < STREAMS_N; i++)
		streams->captured[i].fd = FD_NONE;
	if (spec->capture != NULL)
		r = open_captured(streams, spec->capture, err);
	for (int i = 0; r == 0 && i < STREAMS_N; i++) {
		if (streams->theirs[i] != TN_RUN_DEVNULL)
			continue;
		r = open_null(&streams->theirs[i], err);
		streams->ours[i] = true;
	}
	return r;
}

void streams_close_theirs(struct streams *streams)
{
	for (int i = 0; i < STREAMS_N; i++)
		if (streams->ours[i])
			fd_closep(&streams->theirs[i]);
}

/* A copy of it may live on in a child of the caller's, so that closing alone would leave it
 * watched. */
static void end_capture(const struct streams *streams, struct stream_capture *captured)
{
	if (captured->fd < 0)
		return;
	(void)epoll_ctl(streams->epoll_fd, EPOLL_CTL_DEL, captured->fd, NULL);
	fd_closep(&captured->fd);
}

void streams_done(struct streams *streams)
{
	streams_close_theirs(streams);
	for (int i = STREAM_OUT; i < STREAMS_N; i++) {
		end_capture(streams, &streams->captured[i]);
		free(streams->captured[i].bytes);
	}
	fd_closep(&streams->epoll_fd);
}

int streams_watch(const struct streams *streams, int fd, short events, struct tn_error *err)
{
	struct epoll_event event = { .events = (uint32_t)events };

	if (streams->epoll_fd < 0 ||
	    epoll_ctl(streams->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0)
		return 0;
	if (errno == ENOENT && epoll_ctl(streams->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	return err_errno(err, "watch the connection: %s", strerror(errno));
}

/* Room for more than nothing and for the NUL, unless the bound is reached. */
static int make_room(struct stream_capture *captured, struct tn_error *err)
{
	size_t size = captured->size == 0 ? BYTES_INITIAL : captured->size;
	char *bytes;

	if (captured->output.n == captured->max || captured->output.n + 1 < captured->size)
		return 0;
	if (captured->size > 0 && __builtin_mul_overflow(size, (size_t)2, &size))
		size = SIZE_MAX;
	if (size - 1 > captured->max)
		size = captured->max + 1;
	bytes = realloc(captured->bytes, size);
	if (bytes == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "keep the output");
	captured->bytes = bytes;
	captured->size = size;
	captured->output.bytes = bytes;
	return 0;
}

/* One read: how much there was, 0 at the end, -EAGAIN if there is nothing now. */
static ssize_t read_some(struct stream_capture *captured, struct tn_error *err)
{
	char dropped[BYTES_DROPPED];
	ssize_t n = make_room(captured, err);
	size_t room;

	if (n < 0)
		return n;
	room = captured->output.n < captured->max ? captured->size - 1 - captured->output.n : 0;
	do
		n = room > 0 ? read(captured->fd, captured->bytes + captured->output.n, room)
		             : read(captured->fd, dropped, sizeof(dropped));
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		n = -EAGAIN;
	else if (n < 0)
		return err_errno(err, "read the output: %s", strerror(errno));
	if (room == 0)
		captured->output.truncated |= n > 0;
	else if (n > 0)
		captured->output.n += (size_t)n;
	if (captured->bytes != NULL)
		captured->bytes[captured->output.n] = '\0';
	return n;
}

static int read_stream(const struct streams *streams, struct stream_capture *captured,
                       int64_t bytes_max, struct tn_error *err)
{
	for (int64_t taken = 0; captured->fd >= 0 && taken < bytes_max;) {
		ssize_t n = read_some(captured, err);

		if (n == -EAGAIN)
			break;
		if (n < 0)
			return (int)n;
		if (n == 0)
			end_capture(streams, captured);
		taken += n;
	}
	return 0;
}

int streams_read(struct streams *streams, struct tn_error *err)
{
	int r = 0;

	for (int i = STREAM_OUT; r == 0 && i < STREAMS_N; i++)
		r = read_stream(streams, &streams->captured[i], BYTES_PER_TURN, err);
	return r;
}

int streams_finish(struct streams *streams, struct tn_error *err)
{
	int r = 0;

	for (int i = STREAM_OUT; r == 0 && i < STREAMS_N; i++) {
		struct stream_capture *captured = &streams->captured[i];

		if (captured->fd < 0)
			continue;
		/* All that the command wrote is in the pipe. Its end need not come: the command
		 * may have given it to another, who may write for ever. */
		r = read_stream(streams, captured, fcntl(captured->fd, F_GETPIPE_SZ), err);
		end_capture(streams, captured);
	}
	return r;
}

bool streams_overflowed(const struct streams *streams)
{
	bool more = false;

	for (int i = STREAM_OUT; i < STREAMS_N; i++)
		more |= streams->captured[i].output.truncated;
	return more;
}

const struct tn_output *streams_output(const struct streams *streams, enum stream stream)
{
	return streams->captured[stream].max > 0 ? &streams->captured[stream].output : NULL;
}
