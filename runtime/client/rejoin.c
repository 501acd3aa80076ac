/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rejoin.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>

#define TRY_EVERY_NSEC 50000000

int rejoin_again(struct rejoin *rejoin, struct tn_error *err)
{
	const struct itimerspec times = { .it_value.tv_nsec = 1,
		                          .it_interval.tv_nsec = TRY_EVERY_NSEC };

	rejoin->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (rejoin->timer_fd < 0 || timerfd_settime(rejoin->timer_fd, 0, &times, NULL) < 0)
		return err_errno(err, "wait for tenantd to come back: %s", strerror(errno));
	return 0;
}

int rejoin_begin(struct rejoin *rejoin, struct tn_error *err)
{
	rejoin->deadline = clock_usec(CLOCK_MONOTONIC) +
	                   (int64_t)REJOIN_SEC_MAX * CLOCK_USEC_PER_SEC;
	return rejoin_again(rejoin, err);
}

/* A daemon that is on its way down may still take a connection, and drop it. */
static int ask(const struct rejoin *rejoin, const char *id, struct varlink **ret,
               struct tn_error *err)
{
	struct varlink *link = NULL;
	int r = connection_open(rejoin->path, &link, err);

	if (r < 0)
		return r;
	r = connection_call(link, "Rejoin", json_pack("{s:s}", "id", id), CONNECTION_MORE, err);
	if (r < 0) {
		varlink_free(link);
		return r;
	}
	*ret = link;
	return 0;
}

int rejoin_try(struct rejoin *rejoin, const char *id, struct varlink **ret,
               struct tn_error *err)
{
	uint64_t times;
	int r;

	if (read(rejoin->timer_fd, &times, sizeof(times)) < 0)
		return errno == EAGAIN ? 0 : err_errno(err, "wait for tenantd");
	r = ask(rejoin, id, ret, err);
	if (r == 0) {
		fd_closep(&rejoin->timer_fd);
		return 1;
	}
	if (err->code == TN_NOT_PERMITTED || err->code == TN_INVALID)
		return r;
	if (clock_usec(CLOCK_MONOTONIC) < rejoin->deadline)
		return 0;
	return err_set(err, TN_UNREACHABLE, EPIPE,
	               "tenantd went away before the run had ended, and has not come back "
	               "within %d s",
	               REJOIN_SEC_MAX);
}

void rejoin_done(struct rejoin *rejoin)
{
	free(rejoin->path);
	fd_closep(&rejoin->timer_fd);
}
