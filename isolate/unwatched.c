/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unwatched.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <base/fd.h>

#include "join.h"

#define LOOK_NSEC 10000000

static void look_later(struct executions *all)
{
	const struct itimerspec soon = { .it_value = { .tv_nsec = LOOK_NSEC } };

	(void)timerfd_settime(all->looking.fd, 0, &soon, NULL);
}

void unwatched_watch(struct executions *all, struct loop_source *source, bool *unwatched)
{
	struct tn_error ignored = { 0 };

	*unwatched = loop_add(all->loop, source, EPOLLIN, &ignored) < 0;
	if (*unwatched)
		look_later(all);
}

void unwatched_look(struct executions *all, struct loop_source *source, bool *unwatched)
{
	struct pollfd end = { .fd = source->fd, .events = POLLIN };

	if (!*unwatched)
		return;
	if (poll(&end, 1, 0) != 1) {
		unwatched_watch(all, source, unwatched);
		return;
	}
	*unwatched = false;
	source->ready(source->context, EPOLLIN);
}

static void look_at(void *member, void *context)
{
	struct execution *e = member;

	unwatched_look(context, &e->pid, &e->unwatched);
}

static void on_look(void *context, uint32_t events)
{
	struct executions *all = context;
	uint64_t ticks;

	(void)events;
	(void)!read(all->looking.fd, &ticks, sizeof(ticks));
	id_table_each(&all->table, look_at, all);
	joins_look(all);
}

int unwatched_start(struct executions *all, struct tn_error *err)
{
	all->looking = (struct loop_source){
		timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), on_look, all
	};
	if (all->looking.fd < 0)
		return err_errno(err, "create a timer");
	return loop_add(all->loop, &all->looking, EPOLLIN, err);
}

void unwatched_stop(struct executions *all)
{
	if (all->looking.ready == NULL)
		return;
	loop_remove(all->loop, &all->looking);
	fd_closep(&all->looking.fd);
}
