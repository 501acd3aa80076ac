/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loop.h"

#include <stdbool.h>
#include <stdlib.h>
#include <systemd/sd-event.h>
#include <time.h>

#include <base/fd.h>

/* sd-event's default of 250 ms would swallow the commit window. */
#define LOOP_ACCURACY_USEC 1000

/*
 * A turn ends when nothing else is ready, so that all that was has its part in it; and since
 * something always may be, when one that has had its part is ready again.
 */
#define TURN_GOES_ON (SD_EVENT_PRIORITY_NORMAL + 1)
#define TURN_IS_OVER (SD_EVENT_PRIORITY_NORMAL - 1)

struct loop {
	sd_event *event;
	struct loop_source *turn_end; /* or NULL */
	uint64_t turn;             /* counts those that something is to be done at the end of */
	struct loop_source *heard; /* what is being handled, or NULL */
};

struct loop_source {
	struct loop *loop;
	sd_event_source *source;
	struct loop_handler handler;
	bool armed;
	bool of_turn;  /* it ends turns: there is no time to set */
	uint64_t turn; /* the last in which it had its part */
};

static int loop_failed(struct tn_error *err, int r, const char *what)
{
	errno = -r;
	return err_errno(err, "%s", what);
}

int loop_new(struct loop **ret, struct tn_error *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int r;

	if (loop == NULL)
		return err_errno(err, "allocate the event loop");
	r = sd_event_new(&loop->event);
	if (r < 0) {
		free(loop);
		return loop_failed(err, r, "create the event loop");
	}
	*ret = loop;
	return 0;
}

struct loop *loop_free(struct loop *loop)
{
	if (loop != NULL)
		(void)sd_event_unref(loop->event);
	free(loop);
	return NULL;
}

int loop_run(struct loop *loop, struct tn_error *err)
{
	int r = sd_event_loop(loop->event);

	return r < 0 ? loop_failed(err, r, "run the event loop") : r;
}

void loop_stop(struct loop *loop, int status)
{
	(void)sd_event_exit(loop->event, status);
}

int loop_turn(struct loop *loop, int64_t usec, struct tn_error *err)
{
	int r = sd_event_run(loop->event, (uint64_t)usec);

	return r < 0 ? loop_failed(err, r, "turn the event loop") : r;
}

int loop_fd(const struct loop *loop)
{
	return sd_event_get_fd(loop->event);
}

/* NULL if memory has run out. */
static struct loop_source *loop_source_new(struct loop *loop, struct loop_handler handler,
                                           struct tn_error *err)
{
	struct loop_source *source = calloc(1, sizeof(*source));

	if (source == NULL) {
		(void)err_set(err, TN_SYSTEM, ENOMEM, "allocate an event source");
		return NULL;
	}
	source->loop = loop;
	source->handler = handler;
	return source;
}

/* Whether @source has its part in this turn. Else the turn ends, and then it is ready still. */
static bool turn_takes(struct loop_source *source)
{
	struct loop *loop = source->loop;

	if (loop->turn_end != NULL && loop->turn_end->armed && source->turn == loop->turn) {
		(void)sd_event_source_set_priority(loop->turn_end->source, TURN_IS_OVER);
		return false;
	}
	source->turn = loop->turn;
	loop->heard = source;
	return true;
}

static int loop_on_io(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	struct loop_source *source = userdata;
	struct loop *loop = source->loop;

	(void)s;
	(void)fd;
	if (!turn_takes(source))
		return 0;
	source->handler.fn(source->handler.userdata, events);
	/* The source may be gone. */
	loop->heard = NULL;
	return 0;
}

static int loop_on_time(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct loop_source *source = userdata;

	(void)s;
	(void)usec;
	source->armed = false;
	source->handler.fn(source->handler.userdata, 0);
	return 0;
}

static int loop_on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
	struct loop_source *source = userdata;

	(void)s;
	(void)si;
	source->handler.fn(source->handler.userdata, 0);
	return 0;
}

int loop_watch(struct loop *loop, int fd, uint32_t events, struct loop_handler handler,
               struct loop_source **ret, struct tn_error *err)
{
	struct loop_source *source = loop_source_new(loop, handler, err);
	int r;

	if (source == NULL)
		return -ENOMEM;
	r = sd_event_add_io(loop->event, &source->source, fd, events, loop_on_io, source);
	if (r < 0) {
		(void)loop_source_free(source);
		return loop_failed(err, r, "watch a descriptor");
	}
	*ret = source;
	return 0;
}

void loop_watch_events(struct loop_source *source, uint32_t events)
{
	(void)sd_event_source_set_io_events(source->source, events);
}

int loop_timer(struct loop *loop, struct loop_handler handler, struct loop_source **ret,
               struct tn_error *err)
{
	struct loop_source *source = loop_source_new(loop, handler, err);
	int r;

	if (source == NULL)
		return -ENOMEM;
	r = sd_event_add_time(loop->event, &source->source, CLOCK_MONOTONIC, 0,
	                      LOOP_ACCURACY_USEC, loop_on_time, source);
	if (r >= 0)
		r = sd_event_source_set_enabled(source->source, SD_EVENT_OFF);
	if (r < 0) {
		(void)loop_source_free(source);
		return loop_failed(err, r, "add a timer");
	}
	*ret = source;
	return 0;
}

static int loop_on_turn_end(sd_event_source *s, void *userdata)
{
	(void)sd_event_source_set_priority(s, TURN_GOES_ON);
	return loop_on_time(s, 0, userdata);
}

int loop_turn_end(struct loop *loop, struct loop_handler handler, struct loop_source **ret,
                  struct tn_error *err)
{
	struct loop_source *source = loop_source_new(loop, handler, err);
	int r;

	if (source == NULL)
		return -ENOMEM;
	source->of_turn = true;
	r = sd_event_add_defer(loop->event, &source->source, loop_on_turn_end, source);
	if (r >= 0)
		r = sd_event_source_set_priority(source->source, TURN_GOES_ON);
	if (r >= 0)
		r = sd_event_source_set_enabled(source->source, SD_EVENT_OFF);
	if (r < 0) {
		(void)loop_source_free(source);
		return loop_failed(err, r, "add what ends a turn");
	}
	loop->turn_end = source;
	*ret = source;
	return 0;
}

void loop_arm(struct loop_source *source, int64_t usec)
{
	if (source->armed)
		return;
	source->armed = true;
	if (source->of_turn) {
		/* Whoever has it armed has had its part. */
		source->loop->turn++;
		if (source->loop->heard != NULL)
			source->loop->heard->turn = source->loop->turn;
		(void)sd_event_source_set_enabled(source->source, SD_EVENT_ONESHOT);
		return;
	}
	(void)sd_event_source_set_time_relative(source->source, (uint64_t)usec);
	(void)sd_event_source_set_enabled(source->source, SD_EVENT_ONESHOT);
}

void loop_disarm(struct loop_source *source)
{
	source->armed = false;
	(void)sd_event_source_set_enabled(source->source, SD_EVENT_OFF);
}

int loop_signal(struct loop *loop, int signal, struct loop_handler handler,
                struct loop_source **ret, struct tn_error *err)
{
	struct loop_source *source = loop_source_new(loop, handler, err);
	int r;

	if (source == NULL)
		return -ENOMEM;
	r = sd_event_add_signal(loop->event, &source->source, signal | SD_EVENT_SIGNAL_PROCMASK,
	                        loop_on_signal, source);
	if (r < 0) {
		(void)loop_source_free(source);
		return loop_failed(err, r, "take a signal");
	}
	*ret = source;
	return 0;
}

void loop_when_idle(struct loop_source *source)
{
	(void)sd_event_source_set_priority(source->source, SD_EVENT_PRIORITY_IDLE);
}

struct loop_source *loop_source_free(struct loop_source *source)
{
	if (source == NULL)
		return NULL;
	if (source->loop->turn_end == source)
		source->loop->turn_end = NULL;
	if (source->loop->heard == source)
		source->loop->heard = NULL;
	(void)sd_event_source_disable_unref(source->source);
	free(source);
	return NULL;
}
