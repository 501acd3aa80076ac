/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events on their way to those who hear of them: the log, and whoever watches.
 *
 * Nothing is kept here for anybody. A watcher is told that there is more and reads it from the
 * store, from the number on that it has; a slow one reads later. The log is told of each once,
 * after it is durable; but of executions that begin and end, and the like, only so many a
 * second, because a log that overflows loses what matters. How many it was not told of is
 * said, and the store has them all.
 */
#ifndef RUNTIME_EVENT_FEED_H
#define RUNTIME_EVENT_FEED_H

#include "loop.h"
#include "store/store.h"

#define EVENT_FEED_LOGGED_MAX  100 /* of LOG_INFO, in a period */
#define EVENT_FEED_PERIOD_USEC 1000000

struct event_feed;

/* Embedded by who watches. */
struct event_watcher {
	/* There may be more to read. Whoever is told may stop to watch. */
	void (*more)(void *userdata);
	void *userdata;
	uint64_t round;
	struct event_watcher *next;
};

/* Of what is told in @store (borrowed) from now on. */
int event_feed_new(struct event_feed **ret, struct loop *loop, struct store *store,
                   struct tn_error *err);
/* Tells the log what is left. Accepts NULL. Always returns NULL. */
struct event_feed *event_feed_free(struct event_feed *feed);

void event_feed_watch(struct event_feed *feed, struct event_watcher *watcher);
/* No harm if it does not watch. */
void event_feed_unwatch(struct event_feed *feed, const struct event_watcher *watcher);

#endif
