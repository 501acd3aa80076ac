/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rejoin.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>

#define TRY_EVERY_NSEC 50000000
#define NSEC_PER_MSEC  1000000

int rejoin_begin(struct rejoin *rejoin, unsigned int pause_msec, struct tn_error *err)
{
	/* A timer of 0 ns would never expire. */
	const struct itimerspec times = {
		.it_value.tv_sec = pause_msec / 1000,
		.it_value.tv_nsec = (long)(pause_msec % 1000) * NSEC_PER_MSEC + 1,
		.it_interval.tv_nsec = TRY_EVERY_NSEC,
	};
	struct epoll_event readable = { .events = EPOLLIN };

	rejoin->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	rejoin->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	rejoin->deadline = clock_usec(CLOCK_MONOTONIC) +
	                   (int64_t)REJOIN_SEC_MAX * CLOCK_USEC_PER_SEC;
	if (rejoin->timer_fd >= 0 && rejoin->epoll_fd >= 0 &&
	    timerfd_settime(rejoin->timer_fd, 0, &times, NULL) == 0 &&
	    epoll_ctl(rejoin->epoll_fd, EPOLL_CTL_ADD, rejoin->timer_fd, &readable) == 0)
		return 0;
	(void)err_errno(err, "wait for tenantd to come back: %s", strerror(errno));
	rejoin_end(rejoin);
	return -err->sys_errno;
}

/* Also asks, at once: what is small enough for the socket needs no further turn. */
static int ask(const struct rejoin *rejoin, const char *id, struct varlink **ret,
               struct tn_error *err)
{
	struct epoll_event readable = { .events = EPOLLIN };
	struct varlink *link = NULL;
	int r = connection_open(rejoin->path, &link, err);

	if (r < 0)
		return r;
	r = connection_call(link, "Rejoin", json_pack("{s:s}", "id", id), CONNECTION_MORE, err);
	if (r == 0)
		r = varlink_process(link, err);
	if (r == 0 &&
	    epoll_ctl(rejoin->epoll_fd, EPOLL_CTL_ADD, varlink_fd(link), &readable) < 0)
		r = err_errno(err, "watch the connection: %s", strerror(errno));
	if (r < 0) {
		varlink_free(link);
		return r;
	}
	*ret = link;
	return 0;
}

int rejoin_check(const struct rejoin *rejoin, struct tn_error *err)
{
	uint64_t times;

	(void)!read(rejoin->timer_fd, &times, sizeof(times));
	if (clock_usec(CLOCK_MONOTONIC) < rejoin->deadline)
		return 0;
	return err_set(err, TN_UNREACHABLE, EPIPE,
	               "tenantd went away before the run had ended, and has not come back "
	               "within %d s; see: systemctl status tenantd",
	               REJOIN_SEC_MAX);
}

int rejoin_try(struct rejoin *rejoin, const char *id, struct varlink **ret,
               struct tn_error *err)
{
	uint64_t times;
	int r;

	if (read(rejoin->timer_fd, &times, sizeof(times)) < 0)
		return errno == EAGAIN ? 0 : err_errno(err, "wait for tenantd");
	r = ask(rejoin, id, ret, err);
	if (r == 0)
		return 1;
	/* A daemon on its way up is not there yet; one on its way down takes a connection and
	 * drops it. */
	return err->code == TN_UNREACHABLE ? rejoin_check(rejoin, err) : r;
}

void rejoin_end(struct rejoin *rejoin)
{
	fd_closep(&rejoin->timer_fd);
	fd_closep(&rejoin->epoll_fd);
}

void rejoin_done(struct rejoin *rejoin)
{
	free(rejoin->path);
	rejoin_end(rejoin);
}
