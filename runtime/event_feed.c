/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "event_feed.h"

#include <stdlib.h>
#include <time.h>

#include <base/clock.h>
#include <base/log.h>

struct event_feed {
	struct store *store;
	struct loop_source *timer;
	struct event_watcher *watchers;
	uint64_t round;
	int64_t logged_seq;   /* the log knows up to this */
	int64_t period_began; /* CLOCK_MONOTONIC */
	int64_t logged_n;     /* in this period */
	int64_t unlogged_n;   /* and since the log was last told of some */
	int64_t unlogged_seq; /* the first of these */
};

static void feed_say_unlogged(struct event_feed *feed)
{
	if (feed->unlogged_n == 0)
		return;
	log_event(LOG_NOTICE,
	          "there were more events than are logged; tenantctl events has all",
	          LF_INT("count", feed->unlogged_n), LF_INT("event_seq", feed->unlogged_seq),
	          LF_END);
	feed->unlogged_n = 0;
}

static void feed_log_one(struct event_feed *feed, const struct event *event)
{
	const bool routine = event_kind_row(event->kind)->level >= LOG_INFO;
	const int64_t now = clock_usec(CLOCK_MONOTONIC);

	if (feed->period_began == 0 || now - feed->period_began >= EVENT_FEED_PERIOD_USEC) {
		feed_say_unlogged(feed);
		feed->period_began = now;
		feed->logged_n = 0;
	}
	if (!routine || feed->logged_n < EVENT_FEED_LOGGED_MAX) {
		feed->logged_n += routine;
		event_log(event);
		return;
	}
	if (feed->unlogged_n++ == 0)
		feed->unlogged_seq = event->seq;
}

static void feed_log(struct event_feed *feed)
{
	struct tn_error err = { 0 };
	struct event event;
	int r;

	while ((r = feed->store->ops->event_next(feed->store, NULL, feed->logged_seq, &event,
	                                         &err)) == 1) {
		feed->logged_seq = event.seq;
		feed_log_one(feed, &event);
		event_done(&event);
	}
	if (r < 0)
		log_event(LOG_ERR, "events cannot be read", LF_STR("error", err.msg), LF_END);
	/* What comes after a flood may come much later. */
	if (feed->unlogged_n > 0)
		loop_arm(feed->timer, EVENT_FEED_PERIOD_USEC);
}

/* Whoever is told may leave, and others may come: each search begins anew. */
static void feed_tell(struct event_feed *feed)
{
	struct event_watcher *watcher;

	feed->round++;
	do {
		watcher = feed->watchers;
		while (watcher != NULL && watcher->round == feed->round)
			watcher = watcher->next;
		if (watcher != NULL) {
			watcher->round = feed->round;
			watcher->more(watcher->userdata);
		}
	} while (watcher != NULL);
}

static void feed_on_turn(void *userdata, uint32_t events)
{
	struct event_feed *feed = userdata;

	(void)events;
	if (feed->unlogged_n > 0 &&
	    clock_usec(CLOCK_MONOTONIC) - feed->period_began >= EVENT_FEED_PERIOD_USEC)
		feed_say_unlogged(feed);
	feed_log(feed);
	feed_tell(feed);
}

/* In the midst of whatever told: only noted. */
static void feed_on_events(void *userdata)
{
	const struct event_feed *feed = userdata;

	loop_arm(feed->timer, 0);
}

int event_feed_new(struct event_feed **ret, struct loop *loop, struct store *store,
                   struct tn_error *err)
{
	struct event_feed *feed = calloc(1, sizeof(*feed));
	struct store_event_span span = { 0 };
	int r;

	if (feed == NULL)
		return err_errno(err, "allocate the events' feed");
	feed->store = store;
	r = store->ops->event_span(store, &span, err);
	if (r == 0)
		r = loop_timer(loop, (struct loop_handler){ feed_on_turn, feed }, &feed->timer,
		               err);
	if (r < 0) {
		free(feed);
		return r;
	}
	feed->logged_seq = span.last;
	store->on_events_userdata = feed;
	store->on_events = feed_on_events;
	*ret = feed;
	return 0;
}

struct event_feed *event_feed_free(struct event_feed *feed)
{
	if (feed == NULL)
		return NULL;
	feed_log(feed);
	feed_say_unlogged(feed);
	feed->store->on_events = NULL;
	feed->timer = loop_source_free(feed->timer);
	free(feed);
	return NULL;
}

void event_feed_watch(struct event_feed *feed, struct event_watcher *watcher)
{
	watcher->round = feed->round;
	watcher->next = feed->watchers;
	feed->watchers = watcher;
}

void event_feed_unwatch(struct event_feed *feed, const struct event_watcher *watcher)
{
	struct event_watcher **slot = &feed->watchers;

	while (*slot != NULL && *slot != watcher)
		slot = &(*slot)->next;
	if (*slot != NULL)
		*slot = watcher->next;
}
