/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The event loop of tenant-controller: the one adapter to sd-event.
 *
 * A source belongs to who made it and is freed by it, before the loop. Callbacks
 * return nothing: what can fail in one is answered or logged where it happens, since
 * nobody above it could do better.
 */
#ifndef RUNTIME_LOOP_H
#define RUNTIME_LOOP_H

#include <stdint.h>

#include <base/err.h>

struct loop;
struct loop_source;

/* @events as epoll(7) names them; 0 for timers and signals. */
typedef void loop_fn(void *userdata, uint32_t events);

struct loop_handler {
	loop_fn *fn;
	void *userdata;
};

int loop_new(struct loop **ret, struct tn_error *err);
/* Accepts NULL. Always returns NULL. */
struct loop *loop_free(struct loop *loop);

/* Run until loop_stop(). Returns its status, or -errno. */
int loop_run(struct loop *loop, struct tn_error *err);
void loop_stop(struct loop *loop, int status);

/* Wait at most @usec for something and handle it: 1 if there was, 0 if not, or -errno. */
int loop_turn(struct loop *loop, int64_t usec, struct tn_error *err);

/*
 * For a loop within another: the outer watches this descriptor, borrowed, and gives the inner
 * a loop_turn() of no time when it can be read. So all that the inner one watches has together
 * one turn in the outer's round. The inner one is for descriptors alone.
 */
int loop_fd(const struct loop *loop);

/* Watch the borrowed @fd. */
int loop_watch(struct loop *loop, int fd, uint32_t events, struct loop_handler handler,
               struct loop_source **ret, struct tn_error *err);
void loop_watch_events(struct loop_source *source, uint32_t events);

/* A timer, not armed. It fires once per loop_arm(), on CLOCK_MONOTONIC. */
int loop_timer(struct loop *loop, struct loop_handler handler, struct loop_source **ret,
               struct tn_error *err);
/* Arm for @usec from now; one that is armed keeps its earlier time. */
void loop_arm(struct loop_source *source, int64_t usec);
void loop_disarm(struct loop_source *source);

/* What is to be done once the events of this turn have had theirs, once per loop_arm()
 * (whatever time that says), before anything is waited for. */
int loop_turn_end(struct loop *loop, struct loop_handler handler, struct loop_source **ret,
                  struct tn_error *err);

/* Take @signal out of its default action and into the loop. */
int loop_signal(struct loop *loop, int signal, struct loop_handler handler,
                struct loop_source **ret, struct tn_error *err);

/* Have @source's turn only when there is nothing else to handle. */
void loop_when_idle(struct loop_source *source);

/* Accepts NULL. Always returns NULL. */
struct loop_source *loop_source_free(struct loop_source *source);

#endif
