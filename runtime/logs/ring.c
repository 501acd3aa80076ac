/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <base/fd.h>

#define RING_MAGIC       UINT64_C(0x31676f6c6e657474) /* "ttenlog1" */
#define RING_PIECES_FROM 4096
/* So much more than has to go goes at once, so that it is not done for every piece. */
#define RING_ROOM(bytes_max) ((bytes_max) / 8)

struct header {
	uint64_t magic;
	struct ring_about about;
	struct ring_state state;
};

struct frame {
	int64_t unix_usec;
	uint32_t n;
	uint32_t stream; /* enum ring_stream */
};

static_assert(sizeof(struct header) <= RING_PIECES_FROM, "the header has its place");

static int damaged(struct tn_error *err)
{
	return err_set(err, TN_SYSTEM, EBADMSG, "the log is damaged");
}

static int write_whole(int fd, const void *bytes, size_t n, int64_t at, struct tn_error *err)
{
	ssize_t written = pwrite(fd, bytes, n, at);

	if (written == (ssize_t)n)
		return 0;
	if (written >= 0)
		errno = ENOSPC;
	return err_errno(err, "write a log: %s", strerror(errno));
}

static int state_write(const struct ring *ring, struct tn_error *err)
{
	return write_whole(ring->fd, &ring->state, sizeof(ring->state),
	                   offsetof(struct header, state), err);
}

static int header_read(int fd, struct header *ret, struct tn_error *err)
{
	const ssize_t n = pread(fd, ret, sizeof(*ret), 0);

	if (n < 0)
		return err_errno(err, "read a log: %s", strerror(errno));
	if (n != (ssize_t)sizeof(*ret) || ret->magic != RING_MAGIC ||
	    ret->state.first < RING_PIECES_FROM || ret->state.end < ret->state.first)
		return damaged(err);
	return 0;
}

int ring_create(int fd, const struct ring_about *about, struct tn_error *err)
{
	const struct header header = {
		.magic = RING_MAGIC,
		.about = *about,
		.state = { .first = RING_PIECES_FROM, .end = RING_PIECES_FROM },
	};

	return write_whole(fd, &header, sizeof(header), 0, err);
}

int ring_open(struct ring *ring, int fd, struct tn_error *err)
{
	struct header header;
	int r = header_read(fd, &header, err);

	if (r < 0)
		return r;
	*ring = (struct ring){ .fd = fd, .about = header.about, .state = header.state };
	return 0;
}

/* The frame at @at, which lies before @end. */
static int frame_read(int fd, int64_t at, int64_t end, struct frame *ret, struct tn_error *err)
{
	const ssize_t n = pread(fd, ret, sizeof(*ret), at);

	if (n < 0)
		return err_errno(err, "read a log: %s", strerror(errno));
	if (n != (ssize_t)sizeof(*ret) || ret->n > RING_PIECE_BYTES_MAX ||
	    at + (int64_t)(sizeof(*ret) + ret->n) > end)
		return damaged(err);
	return 0;
}

/*
 * The oldest go, or all but the one at @newest if they are damaged. The header first: who reads
 * finds no piece that has gone already. Where it cannot be written they stay until the next
 * time.
 */
static void make_room(struct ring *ring, int64_t newest)
{
	/* Of the block that it begins in, the rest has gone before. */
	const int64_t from = ring->state.first & ~(int64_t)(RING_PIECES_FROM - 1);
	const int64_t wanted = ring->about.bytes_max - RING_ROOM(ring->about.bytes_max);
	struct tn_error ignored = { 0 };
	struct frame frame;

	if (ring->state.end - ring->state.first <= ring->about.bytes_max)
		return;
	while (ring->state.end - ring->state.first > wanted) {
		if (frame_read(ring->fd, ring->state.first, ring->state.end, &frame, &ignored) <
		    0) {
			ring->state.first = newest;
			break;
		}
		ring->state.first += (int64_t)(sizeof(frame) + frame.n);
		ring->state.rotated_bytes += frame.stream == RING_LOST ? 0 : frame.n;
	}
	ring->state.rotations++;
	/* A file system without holes keeps what nobody reads any more. */
	if (state_write(ring, &ignored) == 0)
		(void)fallocate(ring->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from,
		                ring->state.first - from);
}

static int piece_write(struct ring *ring, enum ring_stream stream, int64_t unix_usec,
                       const void *bytes, size_t n, struct tn_error *err)
{
	struct frame frame = { .unix_usec = unix_usec, .n = (uint32_t)n, .stream = stream };
	const struct iovec parts[] = {
		{ &frame, sizeof(frame) },
		{ (void *)(uintptr_t)bytes, n },
	};
	const size_t whole = sizeof(frame) + n;
	const ssize_t written = pwritev(ring->fd, parts, ARRAY_LEN(parts), ring->state.end);
	int r;

	if (written != (ssize_t)whole) {
		if (written >= 0)
			errno = ENOSPC;
		return err_errno(err, "write a log: %s", strerror(errno));
	}
	ring->state.end += (int64_t)whole;
	r = state_write(ring, err);
	if (r < 0)
		ring->state.end -= (int64_t)whole;
	else
		make_room(ring, ring->state.end - (int64_t)whole);
	return r;
}

int ring_add(struct ring *ring, enum ring_stream stream, int64_t unix_usec, const void *bytes,
             size_t n, struct tn_error *err)
{
	int r = 0;

	if (ring->lost > 0)
		r = piece_write(ring, RING_LOST, unix_usec, &ring->lost, sizeof(ring->lost),
		                err);
	if (r == 0) {
		ring->lost = 0;
		r = piece_write(ring, stream, unix_usec, bytes, n, err);
	}
	if (r < 0) {
		ring->lost += (int64_t)n;
		ring->state.lost_bytes += (int64_t)n;
	}
	return r;
}

int ring_finish(struct ring *ring, struct tn_error *err)
{
	ring->state.ended = 1;
	return state_write(ring, err);
}

/* A reader of what has gone is taken to what is left. */
static void reader_move(struct ring_reader *reader, const struct ring_state *state)
{
	if (reader->at >= state->first)
		return;
	if (reader->at != 0)
		reader->missed += state->first - reader->at;
	reader->at = state->first;
}

int ring_read(int fd, struct ring_reader *reader, struct ring_piece *ret, bool *ret_ended,
              struct tn_error *err)
{
	for (;;) {
		struct header header;
		struct frame frame = { 0 };
		int r = header_read(fd, &header, err);
		ssize_t n = 0;

		if (r < 0)
			return r;
		reader_move(reader, &header.state);
		*ret_ended = header.state.ended != 0;
		if (reader->at >= header.state.end)
			return 0;
		r = frame_read(fd, reader->at, header.state.end, &frame, err);
		if (r == 0)
			n = pread(fd, ret->bytes, frame.n, reader->at + (int64_t)sizeof(frame));
		/* It may have gone while it was read: then what was read is nothing. */
		if (header_read(fd, &header, err) == 0 && header.state.first > reader->at)
			continue;
		if (r < 0)
			return r;
		if (n != (ssize_t)frame.n ||
		    (frame.stream == RING_LOST && frame.n != sizeof(ret->lost)))
			return damaged(err);
		ret->unix_usec = frame.unix_usec;
		ret->stream = (enum ring_stream)frame.stream;
		ret->n = frame.n;
		ret->lost = 0;
		if (frame.stream == RING_LOST)
			memcpy(&ret->lost, ret->bytes, sizeof(ret->lost));
		reader->at += (int64_t)(sizeof(frame) + frame.n);
		return 1;
	}
}
