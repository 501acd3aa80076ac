/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When the daemon goes away amid a run: the execution goes on, and what is lost is the
 * connection. It is tried again at short intervals until the daemon is back, and then asked to
 * go on as before. A socket that somebody keeps open takes a connection also while no daemon
 * answers: until it does, the time that it may be away goes on.
 */
#ifndef RUNTIME_CLIENT_REJOIN_H
#define RUNTIME_CLIENT_REJOIN_H

#include "connection.h"

/* How long the daemon may be away: longer than the upgrade of a package. */
#define REJOIN_SEC_MAX 60

struct rejoin {
	char *path;       /* the daemon's socket; owned */
	int epoll_fd;     /* readable when there is something to do; FD_NONE: nothing is lost */
	int timer_fd;     /* when to try again, or to give up */
	int64_t deadline; /* CLOCK_MONOTONIC */
};

#define REJOIN_INIT                                                                            \
	{                                                                                      \
		NULL, FD_NONE, FD_NONE, 0                                                      \
	}

/* The connection is lost; it is tried again @pause_msec from now, and then at short intervals.
 */
int rejoin_begin(struct rejoin *rejoin, unsigned int pause_msec, struct tn_error *err);
/* 1: *ret is a connection on which Rejoin of @id has been asked; 0: later; or -errno. If that
 * connection ends without an answer, the next one is to be tried. */
int rejoin_try(struct rejoin *rejoin, const char *id, struct varlink **ret,
               struct tn_error *err);
/* While the answer is awaited: 0, or -errno once the daemon has been away for too long. */
int rejoin_check(const struct rejoin *rejoin, struct tn_error *err);
/* It has answered. */
void rejoin_end(struct rejoin *rejoin);
void rejoin_done(struct rejoin *rejoin);

#endif
