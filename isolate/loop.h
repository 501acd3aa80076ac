/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantd's event loop: epoll over sources that their owners embed.
 *
 * One event is taken at a time, so that a handler may remove and free any source: no
 * batch is left that could still name it.
 */
#ifndef ISOLATE_LOOP_H
#define ISOLATE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <base/err.h>

/* What is done when no event is there, or has been for a while: true if there was something. */
struct loop_idle {
	bool (*run)(void *context); /* NULL: nothing ever is */
	void *context;
};

struct loop {
	int epoll_fd;
	bool done;
	struct loop_idle idle;
};

/* @ready is called with the events of epoll(7) and @context; @fd is borrowed. */
struct loop_source {
	int fd;
	void (*ready)(void *context, uint32_t events);
	void *context;
};

int loop_init(struct loop *loop, struct tn_error *err);
void loop_done(struct loop *loop);

/* @source must stay where it is until it is removed. */
int loop_add(struct loop *loop, struct loop_source *source, uint32_t events,
             struct tn_error *err);
int loop_change(struct loop *loop, struct loop_source *source, uint32_t events,
                struct tn_error *err);

/* Before the descriptor is closed. Accepts a source that was never added. */
void loop_remove(struct loop *loop, struct loop_source *source);

/* Until loop->done. */
int loop_run(struct loop *loop, struct tn_error *err);

#endif
