/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When the daemon goes away amid a run: the execution goes on, and what is lost is the
 * connection. It is tried again at short intervals until the daemon is back, and then asked to
 * go on as before.
 */
#ifndef RUNTIME_CLIENT_REJOIN_H
#define RUNTIME_CLIENT_REJOIN_H

#include "connection.h"

/* How long the daemon may be away: longer than the upgrade of a package. */
#define REJOIN_SEC_MAX 60

struct rejoin {
	char *path;       /* the daemon's socket; owned */
	int timer_fd;     /* readable when it is time to try; FD_NONE: nothing is lost */
	int64_t deadline; /* CLOCK_MONOTONIC */
};

#define REJOIN_INIT                                                                            \
	{                                                                                      \
		NULL, FD_NONE, 0                                                               \
	}

/* The connection is lost. */
int rejoin_begin(struct rejoin *rejoin, struct tn_error *err);
/* So is the one that rejoin_try() gave, without an answer: the time goes on. */
int rejoin_again(struct rejoin *rejoin, struct tn_error *err);
/* 1: *ret is a connection on which Rejoin of @id has been asked; 0: later; or -errno. */
int rejoin_try(struct rejoin *rejoin, const char *id, struct varlink **ret,
               struct tn_error *err);
void rejoin_done(struct rejoin *rejoin);

#endif
