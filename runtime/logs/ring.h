/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a detached execution has written, in one file of bounded size.
 *
 * The file is a header and, one after the other, pieces: when, which stream, how much, and
 * the bytes. Their places only grow. Once there is more than the bound the oldest go: the
 * header says where the first one that is left begins, and what lies before it is given back
 * to the file system as a hole. So nothing is ever moved, who reads needs nobody's help, and a
 * file is whole at whatever moment its writer dies: what the header does not count was not
 * written.
 *
 * One writes, any number read. Numbers are the host's own: a file stays on its host.
 */
#ifndef RUNTIME_LOGS_RING_H
#define RUNTIME_LOGS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <base/err.h>
#include <base/id.h>
#include <base/name.h>

#define RING_PIECE_BYTES_MAX 65536
/* Less than a few pieces could not be kept whole. */
#define RING_BYTES_MIN (INT64_C(4) * RING_PIECE_BYTES_MAX)

enum ring_stream {
	RING_STDOUT = 1,
	RING_STDERR,
	RING_LOST, /* an int64_t: so many bytes could not be written here */
};

enum ring_sink {
	RING_FILE,
	RING_JOURNAL, /* the pieces went to the journal: there are none here */
};

/* What is known of the execution before it writes. */
struct ring_about {
	struct id tenant;
	struct id execution;
	char tenant_name[NAME_BYTES_MAX];
	char name[NAME_BYTES_MAX]; /* "": none */
	int64_t bytes_max;
	uint32_t sink; /* enum ring_sink */
	uint32_t pad;
};

/* What changes: written in one piece. Offsets are into the file. */
struct ring_state {
	int64_t first;         /* of the oldest piece that is left */
	int64_t end;           /* behind the newest */
	int64_t rotated_bytes; /* that have gone to make room */
	int64_t rotations;
	int64_t lost_bytes; /* that could not be written */
	int64_t ended;      /* not 0: nothing more will come */
};

struct ring {
	int fd; /* borrowed */
	struct ring_about about;
	struct ring_state state;
	int64_t lost; /* not yet told of by a piece */
};

/* Make an empty one in the empty file @fd. */
int ring_create(int fd, const struct ring_about *about, struct tn_error *err);

/* Go on with what is in @fd. -EBADMSG: that is none. */
int ring_open(struct ring *ring, int fd, struct tn_error *err);

/*
 * Add @n bytes (at most RING_PIECE_BYTES_MAX) of @stream. What cannot be written, because the
 * file system is full for example, is counted and told of by a piece once something can;
 * *err then says why, and -errno is returned, but nothing is amiss.
 */
int ring_add(struct ring *ring, enum ring_stream stream, int64_t unix_usec, const void *bytes,
             size_t n, struct tn_error *err);

/* Nothing more will come. */
int ring_finish(struct ring *ring, struct tn_error *err);

struct ring_piece {
	int64_t unix_usec;
	enum ring_stream stream;
	size_t n;
	int64_t lost; /* of RING_LOST */
	char bytes[RING_PIECE_BYTES_MAX];
};

/* Where a reader is. Zero is the beginning. */
struct ring_reader {
	int64_t at;
	int64_t missed; /* bytes that went before they had been read */
};

/*
 * The next piece of the file @fd, which may be written to meanwhile. 1 and *ret; 0: there is
 * none, and *ret_ended says whether one can still come; or -errno.
 */
int ring_read(int fd, struct ring_reader *reader, struct ring_piece *ret, bool *ret_ended,
              struct tn_error *err);

#endif
