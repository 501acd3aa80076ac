/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loop.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>

#include <base/fd.h>

int loop_init(struct loop *loop, struct tn_error *err)
{
	loop->done = false;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll_fd < 0 ? err_errno(err, "create epoll") : 0;
}

void loop_done(struct loop *loop)
{
	fd_closep(&loop->epoll_fd);
}

/* So many are taken before what waits for none to be there. */
#define LOOP_EVENTS_MAX 32

static int loop_control(struct loop *loop, int op, struct loop_source *source, uint32_t events,
                        struct tn_error *err)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (epoll_ctl(loop->epoll_fd, op, source->fd, &event) < 0)
		return err_errno(err, "watch descriptor %d", source->fd);
	return 0;
}

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events,
             struct tn_error *err)
{
	return loop_control(loop, EPOLL_CTL_ADD, source, events, err);
}

int loop_change(struct loop *loop, struct loop_source *source, uint32_t events,
                struct tn_error *err)
{
	return loop_control(loop, EPOLL_CTL_MOD, source, events, err);
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	if (source->fd >= 0)
		(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
}

static bool idle_run(const struct loop *loop)
{
	return loop->idle.run != NULL && loop->idle.run(loop->idle.context);
}

int loop_run(struct loop *loop, struct tn_error *err)
{
	bool busy = loop->idle.run != NULL;
	int events = 0;

	while (!loop->done) {
		struct epoll_event event;
		int n = epoll_wait(loop->epoll_fd, &event, 1, busy ? 0 : -1);

		if (n < 0 && errno != EINTR)
			return err_errno(err, "wait for events");
		if (n == 1) {
			const struct loop_source *source = event.data.ptr;

			source->ready(source->context, event.events);
			busy = loop->idle.run != NULL;
		}
		if (n != 1 || ++events == LOOP_EVENTS_MAX) {
			busy = idle_run(loop);
			events = 0;
		}
	}
	return 0;
}
