/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The standard streams of a run: descriptors of the caller's, /dev/null, or memory.
 *
 * Memory to read is a sealed memfd, so that there is no pipe to feed and none to break.
 * Output that is kept is a pipe each, read whenever there is something, whether it is kept
 * or not: whichever the command fills first, it never waits for the other.
 */
#ifndef RUNTIME_CLIENT_STREAMS_H
#define RUNTIME_CLIENT_STREAMS_H

#include <base/err.h>

#include <tenant/run.h>

enum stream {
	STREAM_IN,
	STREAM_OUT,
	STREAM_ERR,
	STREAMS_N,
};

/* One that is captured. */
struct stream_capture {
	int fd; /* FD_NONE: not captured, or at its end */
	size_t max;
	size_t size; /* allocated */
	char *bytes;
	struct tn_output output; /* its bytes are bytes, or "" */
};

struct streams {
	int theirs[STREAMS_N];                     /* what the command gets */
	bool ours[STREAMS_N];                      /* to be closed here */
	struct stream_capture captured[STREAMS_N]; /* but STREAM_IN */
	bool kill_on_overflow;
	int epoll_fd; /* of the pipes and the connection; FD_NONE if nothing is captured */
};

/* To be released by streams_done() also on failure. */
int streams_open(struct streams *streams, const struct tn_run_spec *spec, struct tn_error *err);
void streams_done(struct streams *streams);

/* The command's ends have been handed over. */
void streams_close_theirs(struct streams *streams);

/* Have epoll_fd tell of @events of the connection @fd as well. */
int streams_watch(const struct streams *streams, int fd, short events, struct tn_error *err);

/* Take what there is. */
int streams_read(struct streams *streams, struct tn_error *err);
/* The same when the command has ended: then no more is waited for. */
int streams_finish(struct streams *streams, struct tn_error *err);

/* Whether the command has written more than it may. */
bool streams_overflowed(const struct streams *streams);

/* NULL if it is not captured. */
const struct tn_output *streams_output(const struct streams *streams, enum stream stream);

#endif
