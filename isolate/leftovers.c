/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "leftovers.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <syslog.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/log.h>

#include "execution.h"

#define PAUSE_SEC_MAX 60

static void try_later(struct leftovers *leftovers)
{
	struct itimerspec when = { 0 };

	if (leftovers->armed)
		return;
	leftovers->armed = true;
	if (leftovers->pause_sec == 0)
		leftovers->pause_sec = 1;
	when.it_value.tv_sec = leftovers->pause_sec;
	(void)timerfd_settime(leftovers->timer.fd, 0, &when, NULL);
}

static void calm_down(struct leftovers *leftovers)
{
	if (!leftovers->armed)
		leftovers->pause_sec = 0;
}

void leftovers_stored(void *context, bool left)
{
	struct executions *all = context;

	if (!left) {
		calm_down(&all->leftovers);
		return;
	}
	all->leftovers.stored = true;
	try_later(&all->leftovers);
}

static void record_keep(struct leftovers *leftovers, const struct id *id)
{
	if (leftovers->records_n < LEFTOVERS_MAX)
		leftovers->records[leftovers->records_n++] = *id;
	try_later(leftovers);
}

void leftovers_record_remove(struct executions *all, const struct id *id)
{
	char text[ID_TEXT_BYTES];
	int r = record_remove(all->dir_fd, id);

	if (r == 0)
		return;
	id_format(id, text);
	log_event(LOG_WARNING, "a record cannot be removed yet", LF_STR("execution", text),
	          LF_STR("error", strerror(-r)), LF_END);
	record_keep(&all->leftovers, id);
}

/* Of an execution that has the id anew it is no leftover any more. */
static void records_try(struct executions *all)
{
	struct leftovers *leftovers = &all->leftovers;
	const size_t n = leftovers->records_n;

	leftovers->records_n = 0;
	for (size_t i = 0; i < n; i++)
		if (!executions_have(all, &leftovers->records[i]) &&
		    record_remove(all->dir_fd, &leftovers->records[i]) < 0)
			record_keep(leftovers, &leftovers->records[i]);
}

static void on_timer(void *context, uint32_t events)
{
	struct executions *all = context;
	struct leftovers *leftovers = &all->leftovers;
	const bool stored = leftovers->stored;
	uint64_t ticks;

	(void)events;
	(void)!read(leftovers->timer.fd, &ticks, sizeof(ticks));
	leftovers->pause_sec = 2 * leftovers->pause_sec < PAUSE_SEC_MAX
	                               ? 2 * leftovers->pause_sec
	                               : PAUSE_SEC_MAX;
	leftovers->stored = leftovers->armed = false;
	records_try(all);
	if (stored)
		remover_wake(&all->tenants->remover);
	else
		calm_down(leftovers);
}

int leftovers_start(struct executions *all, struct tn_error *err)
{
	all->leftovers.timer = (struct loop_source){
		timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), on_timer, all
	};
	if (all->leftovers.timer.fd < 0)
		return err_errno(err, "create a timer");
	return loop_add(all->loop, &all->leftovers.timer, EPOLLIN, err);
}

void leftovers_stop(struct executions *all)
{
	if (all->leftovers.timer.ready == NULL)
		return;
	loop_remove(all->loop, &all->leftovers.timer);
	fd_closep(&all->leftovers.timer.fd);
}
