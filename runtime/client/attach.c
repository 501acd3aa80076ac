/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Beside a detached execution: its log, which is a file and needs no daemon, looked at ten
 * times a second; and a connection of its own, on which a Wait is under way and signals go out.
 */
#include <tenant/attach.h>

#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/id.h>

#include "client.h"
#include "record.h"
#include "rejoin.h"

#define LOOK_NSEC 100000000
/* So long for the last of what has ended to be written down. */
#define LAST_USEC        10000000
#define SIGNALS_KEPT_MAX 16

struct tn_attach {
	char id[ID_TEXT_BYTES];
	char *path; /* of the daemon's socket */
	struct tn_log *log;
	struct varlink *link; /* NULL: the daemon is away */
	int epoll_fd, timer_fd;
	int64_t away_until; /* CLOCK_MONOTONIC; while it is away */
	int64_t last_until; /* once it has ended: until then the log may lag behind */
	bool ended, told;
	struct tn_execution execution;
	int signals[SIGNALS_KEPT_MAX]; /* for when it is back */
	size_t signals_n;
};

static int send_signal(struct tn_attach *attach, int signal, struct tn_error *err)
{
	return connection_call(attach->link, "Signal",
	                       json_pack("{s:s, s:i}", "id", attach->id, "signal", signal),
	                       CONNECTION_ONEWAY, err);
}

/* Ask for the end, and pass on what has had to wait. */
static int ask(struct tn_attach *attach, struct tn_error *err)
{
	struct epoll_event readable = { .events = EPOLLIN };
	int r = connection_open(attach->path, &attach->link, err);

	if (r < 0)
		return r;
	r = connection_call(attach->link, "Wait", json_pack("{s:s}", "id", attach->id),
	                    CONNECTION_ONE, err);
	for (size_t i = 0; r == 0 && i < attach->signals_n; i++)
		r = send_signal(attach, attach->signals[i], err);
	/* What is small enough for the socket needs no further turn. */
	if (r == 0)
		r = varlink_process(attach->link, err);
	if (r == 0 &&
	    epoll_ctl(attach->epoll_fd, EPOLL_CTL_ADD, varlink_fd(attach->link), &readable) < 0)
		r = err_errno(err, "watch the connection: %s", strerror(errno));
	if (r < 0)
		attach->link = varlink_free(attach->link);
	else
		attach->signals_n = 0;
	return r;
}

static int timer_start(struct tn_attach *attach, struct tn_error *err)
{
	const struct itimerspec looks = { .it_value = { .tv_nsec = 1 },
		                          .it_interval = { .tv_nsec = LOOK_NSEC } };
	struct epoll_event readable = { .events = EPOLLIN };

	attach->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	attach->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (attach->epoll_fd < 0 || attach->timer_fd < 0 ||
	    timerfd_settime(attach->timer_fd, 0, &looks, NULL) < 0 ||
	    epoll_ctl(attach->epoll_fd, EPOLL_CTL_ADD, attach->timer_fd, &readable) < 0)
		return err_errno(err, "look at a log: %s", strerror(errno));
	return 0;
}

/* What was written before is not of interest. */
static int skip(struct tn_attach *attach, struct tn_error *err)
{
	struct tn_log_piece piece;
	int r;

	do
		r = tn_log_next(attach->log, &piece, err);
	while (r == 1);
	return r;
}

static int open_log(struct tn_attach *attach, struct tn_client *client,
                    enum tn_attach_from from, struct tn_error *err)
{
	int r = tn_log_open(client, attach->id, &attach->log, err);

	if (r < 0)
		return r;
	if (tn_log_in_journal(attach->log))
		return err_refuse(err, TN_STATE,
		                  "its output is in the journal: journalctl EXECUTION=%s",
		                  attach->id);
	if (!tn_log_running(attach->log))
		return err_refuse(err, TN_STATE,
		                  "execution %s has ended; what it wrote is in its log",
		                  attach->id);
	return from == TN_ATTACH_NOW ? skip(attach, err) : 0;
}

int tn_attach_start(struct tn_client *client, const char *id, enum tn_attach_from from,
                    struct tn_attach **ret, struct tn_error *err)
{
	struct tn_attach *attach;
	int r;

	if (id == NULL)
		return err_refuse(err, TN_INVALID, "no execution to attach to");
	r = check_id(id, err);
	if (r < 0)
		return r;
	attach = calloc(1, sizeof(*attach));
	if (attach == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "attach");
	attach->epoll_fd = attach->timer_fd = FD_NONE;
	memcpy(attach->id, id, sizeof(attach->id));
	attach->path = strdup(client_path(client));
	if (attach->path == NULL)
		r = err_set(err, TN_SYSTEM, ENOMEM, "attach");
	if (r == 0)
		r = open_log(attach, client, from, err);
	if (r == 0)
		r = timer_start(attach, err);
	if (r == 0)
		r = ask(attach, err);
	if (r < 0) {
		tn_attach_free(attach);
		return r;
	}
	*ret = attach;
	return 0;
}

struct tn_attach *tn_attach_free(struct tn_attach *attach)
{
	if (attach == NULL)
		return NULL;
	varlink_free(attach->link);
	tn_log_free(attach->log);
	fd_closep(&attach->epoll_fd);
	fd_closep(&attach->timer_fd);
	tn_execution_done(&attach->execution);
	free(attach->path);
	free(attach);
	return NULL;
}

int tn_attach_fd(const struct tn_attach *attach)
{
	return attach->epoll_fd;
}

/* The daemon has gone: its place is looked at with each look at the log. */
static void lose(struct tn_attach *attach)
{
	attach->link = varlink_free(attach->link);
	attach->away_until = clock_usec(CLOCK_MONOTONIC) +
	                     (int64_t)REJOIN_SEC_MAX * CLOCK_USEC_PER_SEC;
}

static int come_back(struct tn_attach *attach, struct tn_error *err)
{
	int r = ask(attach, err);

	if (r == 0 || err->code != TN_UNREACHABLE)
		return r;
	if (clock_usec(CLOCK_MONOTONIC) < attach->away_until)
		return 0;
	return err_set(err, TN_UNREACHABLE, EPIPE,
	               "tenantd went away, and has not come back within %d s; see: systemctl "
	               "status tenantd",
	               REJOIN_SEC_MAX);
}

static int on_answer(struct tn_attach *attach, json_t *parameters, struct tn_error *err)
{
	int r = record_read(tn_execution_fields(), json_object_get(parameters, "execution"),
	                    &attach->execution, sizeof(attach->execution), err);

	if (r < 0)
		return r;
	attach->ended = true;
	attach->link = varlink_free(attach->link);
	attach->last_until = clock_usec(CLOCK_MONOTONIC) + LAST_USEC;
	return 0;
}

static int hear(struct tn_attach *attach, struct tn_error *err)
{
	struct tn_quota_error quota;
	json_t *parameters = NULL;
	bool continues;
	int r = varlink_process(attach->link, err);

	if (r == -EPIPE) {
		lose(attach);
		return 0;
	}
	if (r == 0)
		r = connection_reply(attach->link, &parameters, &continues, &quota, NULL, NULL,
		                     err);
	if (r <= 0)
		return r;
	r = on_answer(attach, parameters, err);
	json_decref(parameters);
	return r;
}

int tn_attach_process(struct tn_attach *attach, struct tn_log_piece *ret_piece,
                      struct tn_error *err)
{
	uint64_t looks;
	int r = 0;

	if (attach->told)
		return TN_ATTACH_NOTHING;
	(void)!read(attach->timer_fd, &looks, sizeof(looks));
	if (!attach->ended)
		r = attach->link != NULL ? hear(attach, err) : come_back(attach, err);
	/* Only what is there after it has ended is all of it. */
	if (r == 0)
		r = tn_log_next(attach->log, ret_piece, err);
	if (r != 0)
		return r < 0 ? r : TN_ATTACH_OUTPUT;
	if (!attach->ended ||
	    (!tn_log_ended(attach->log) && clock_usec(CLOCK_MONOTONIC) < attach->last_until))
		return TN_ATTACH_NOTHING;
	attach->told = true;
	return TN_ATTACH_EXITED;
}

int tn_attach_signal(struct tn_attach *attach, int signal, struct tn_error *err)
{
	int r;

	if (attach->ended)
		return err_set(err, TN_STATE, ESRCH, "the execution has ended");
	if (attach->link != NULL) {
		r = send_signal(attach, signal, err);
		if (r == 0)
			r = varlink_process(attach->link, err);
		if (r != -EPIPE)
			return r;
		lose(attach);
	}
	if (attach->signals_n == SIGNALS_KEPT_MAX)
		return err_set(err, TN_STATE, EAGAIN, "too many signals that have to wait");
	attach->signals[attach->signals_n++] = signal;
	return 0;
}

const struct tn_execution *tn_attach_execution(const struct tn_attach *attach)
{
	return attach->told ? &attach->execution : NULL;
}

static int wait_for_end(struct tn_attach *attach, tn_attach_fn *each, void *userdata,
                        struct tn_error *err)
{
	struct tn_log_piece piece;
	int r;

	while ((r = tn_attach_process(attach, &piece, err)) != TN_ATTACH_EXITED) {
		struct pollfd pollfd = { .fd = attach->epoll_fd, .events = POLLIN };

		if (r == TN_ATTACH_OUTPUT)
			r = each != NULL ? each(&piece, userdata) : 0;
		else if (r == TN_ATTACH_NOTHING && poll(&pollfd, 1, -1) < 0 && errno != EINTR)
			r = err_errno(err, "wait for an execution: %s", strerror(errno));
		if (r < 0)
			return r;
	}
	return 0;
}

int tn_attach(struct tn_client *client, const char *id, enum tn_attach_from from,
              tn_attach_fn *each, void *userdata, struct tn_execution *ret,
              struct tn_error *err)
{
	struct tn_attach *attach = NULL;
	int r = tn_attach_start(client, id, from, &attach, err);

	if (r < 0)
		return r;
	assert(attach != NULL);
	r = wait_for_end(attach, each, userdata, err);
	if (r == 0) {
		*ret = attach->execution;
		attach->execution = (struct tn_execution){ 0 };
	}
	tn_attach_free(attach);
	return r;
}
