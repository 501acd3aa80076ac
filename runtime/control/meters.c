/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "meters.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/id_table.h>
#include <base/log.h>

#include "connection.h"
#include "inside.h"

#define SWEEP_USEC 1000000

static const struct connection_bounds bounds = {
	.wire = { .bytes_max = METER_MSG_BYTES_MAX,
	          .depth_max = METER_DEPTH_MAX,
	          .messages_max = METER_CALLS_MAX },
	.calls_max = METER_CALLS_MAX,
};

/* What flows off at its own pace. Once it has gone over, it is to be down to @low again. */
struct bucket {
	int64_t level; /* microseconds; one part in @share of the time flows off */
	int64_t share;
	int64_t max, low;
	int64_t at; /* CLOCK_MONOTONIC */
};

#define KEPT_USEC     (CLOCK_USEC_PER_SEC / METER_KEPT_PER_SEC) /* of one that is kept */
#define KEPT_MAX_USEC ((int64_t)METER_KEPT_BURST * KEPT_USEC)

struct meter_socket {
	struct id_node node; /* first: found by its tenant */
	struct connection_owner owner;
	struct meters *all;
	struct loop *loop;           /* of its own */
	struct loop_source *turn;    /* its place in the controller's */
	struct loop_source *arrival; /* in its own */
	struct loop_source *tender;
	int64_t tend_at; /* CLOCK_MONOTONIC; 0: not armed */
	int listen_fd;
	struct connection *connections;
	size_t connections_n;
	struct bucket time, kept;
	bool rests;
	size_t logged_n, unlogged_n; /* since @logged_at */
	int64_t logged_at;
};

struct meters {
	struct context *context;
	struct batch *batch;
	struct id_table table;
};

static struct meter_socket *meter_of(struct connection_owner *owner)
{
	return (struct meter_socket *)(void *)((char *)owner -
	                                       offsetof(struct meter_socket, owner));
}

static void bucket_flow(struct bucket *bucket, int64_t now)
{
	const int64_t gone = (now - bucket->at) / bucket->share;

	bucket->level = bucket->level > gone ? bucket->level - gone : 0;
	bucket->at += gone * bucket->share;
}

static bool bucket_is_over(const struct bucket *bucket, bool rests)
{
	return bucket->level > (rests ? bucket->low : bucket->max);
}

static int64_t bucket_wait_usec(const struct bucket *bucket)
{
	return bucket->level > bucket->low ? (bucket->level - bucket->low) * bucket->share : 0;
}

/* Look after it within @usec. */
static void meter_tend_within(struct meter_socket *meter, int64_t usec)
{
	const int64_t at = clock_usec(CLOCK_MONOTONIC) + usec;

	if (meter->tend_at != 0 && meter->tend_at <= at)
		return;
	meter->tend_at = at;
	loop_disarm(meter->tender);
	loop_arm(meter->tender, usec);
}

static void meter_on_doomed(struct connection_owner *owner)
{
	meter_tend_within(meter_of(owner), 0);
}

static void meter_on_partial(struct connection_owner *owner)
{
	meter_tend_within(meter_of(owner), SWEEP_USEC);
}

/* To be refused costs a workload nothing. */
static bool meter_may_log(struct connection_owner *owner)
{
	struct meter_socket *meter = meter_of(owner);

	meter_tend_within(meter, METER_LOG_USEC);
	if (meter->logged_n < METER_LOG_MAX) {
		meter->logged_n++;
		return true;
	}
	meter->unlogged_n++;
	return false;
}

static void meter_on_kept(struct connection_owner *owner)
{
	meter_of(owner)->kept.level += KEPT_USEC;
}

/* Whether it has had more than its share, and when it may go on. */
static void meter_pace(struct meter_socket *meter)
{
	const int64_t now = clock_usec(CLOCK_MONOTONIC);
	int64_t wait, wait_kept;

	bucket_flow(&meter->time, now);
	bucket_flow(&meter->kept, now);
	meter->rests = bucket_is_over(&meter->time, meter->rests) ||
	               bucket_is_over(&meter->kept, meter->rests);
	loop_watch_events(meter->turn, meter->rests ? 0 : EPOLLIN);
	if (!meter->rests)
		return;
	wait = bucket_wait_usec(&meter->time);
	wait_kept = bucket_wait_usec(&meter->kept);
	meter_tend_within(meter, wait > wait_kept ? wait : wait_kept);
}

/* What has been done for it since @began, of CLOCK_THREAD_CPUTIME_ID: that others have the
 * processor meanwhile is not its doing. */
static void meter_charge(struct meter_socket *meter, int64_t began)
{
	meter->time.level += clock_usec(CLOCK_THREAD_CPUTIME_ID) - began;
	meter_pace(meter);
}

static void meter_on_turn(void *userdata, uint32_t events)
{
	struct meter_socket *meter = userdata;
	const int64_t began = clock_usec(CLOCK_THREAD_CPUTIME_ID);
	struct tn_error err = { 0 };

	(void)events;
	if (loop_turn(meter->loop, 0, &err) < 0)
		log_event(LOG_ERR, "a tenant's socket cannot be served",
		          LF_STR("error", err.msg), LF_END);
	meter_charge(meter, began);
}

static int meter_admit(struct meter_socket *meter, int fd, struct peer *ret,
                       struct tn_error *err)
{
	const struct context *context = meter->owner.context;
	struct inside_place place = { .proc_fd = context->proc_fd,
		                      .cgroup_root = context->cgroup_root };
	struct tenant *tenant;
	int r = tenants_get_by_id(context->tenants, &meter->node.id, &tenant, err);

	if (r < 0)
		return r;
	place.tenant_name = tenant->row.name;
	r = inside_read(fd, &place, &meter->node.id, ret, err);
	if (r < 0)
		return r;
	/* tenantd tells of what runs before it tells of the socket; what it was about to tell
	 * of when the controller before us ended may yet come. */
	if (context->settled && !executions_runs(context->executions, &ret->execution))
		return err_refuse(err, TN_NOT_PERMITTED, "its execution has ended");
	return 0;
}

static void meter_take(struct meter_socket *meter, int taken)
{
	const int bytes = METER_SNDBUF_BYTES;
	struct connection *connection = NULL;
	cleanup_fd int fd = taken;
	struct peer peer = { 0 };
	struct tn_error err = { 0 };
	int r = meter_admit(meter, fd, &peer, &err);

	/* What a peer does not read lies in memory of ours. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	if (r == 0)
		r = connection_new(&connection, &meter->owner, fd_take(&fd), &peer, &err);
	if (r != 0) {
		if (meter_may_log(&meter->owner))
			log_event(LOG_WARNING, "a connection is refused",
			          LF_STR("error", err.msg), LF_END);
		return;
	}
	connection->next = meter->connections;
	meter->connections = connection;
	meter->connections_n++;
	meter_tend_within(meter, SWEEP_USEC);
}

/* Of those that nothing is under way on, the one that has been silent for the longest time. */
static struct connection *meter_longest_idle(const struct meter_socket *meter)
{
	struct connection *longest = NULL;

	for (struct connection *c = meter->connections; c != NULL; c = c->next)
		if (!c->doomed && connection_is_idle(c) &&
		    (longest == NULL || c->heard_at < longest->heard_at))
			longest = c;
	return longest;
}

/* Somebody waits and there is no room: who has been silent for a while gives way. */
static void meter_make_room(struct meter_socket *meter)
{
	struct connection *longest = meter_longest_idle(meter);

	if (longest != NULL &&
	    clock_usec(CLOCK_MONOTONIC) - longest->heard_at >= METER_SPARE_USEC)
		connection_doom(longest);
	else
		meter_tend_within(meter, METER_SPARE_USEC);
	/* Until one has gone. */
	loop_watch_events(meter->arrival, 0);
}

static void meter_on_arrival(void *userdata, uint32_t events)
{
	struct meter_socket *meter = userdata;
	int fd;

	(void)events;
	if (meter->connections_n >= METER_CONNECTIONS_MAX) {
		meter_make_room(meter);
		return;
	}
	fd = accept4(meter->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0) {
		meter_take(meter, fd);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == EINVAL) {
		/* Or it would wake us for ever. */
		loop_watch_events(meter->arrival, 0);
		meter_tend_within(meter, SWEEP_USEC);
	}
}

static void meter_reap(struct meter_socket *meter)
{
	struct connection **slot = &meter->connections;

	while (*slot != NULL) {
		struct connection *connection = *slot;

		if (!connection->doomed) {
			slot = &connection->next;
			continue;
		}
		*slot = connection->next;
		meter->connections_n--;
		connection_close(connection, false);
	}
}

static bool is_overdue(int64_t since, int64_t now)
{
	return since != 0 && now - since > METER_SLOW_USEC_MAX;
}

static void meter_sweep(struct meter_socket *meter, int64_t now)
{
	for (struct connection *c = meter->connections; c != NULL; c = c->next)
		if (!c->doomed &&
		    (is_overdue(c->partial_since, now) || is_overdue(c->unread_since, now) ||
		     (connection_is_idle(c) && now - c->heard_at > METER_IDLE_USEC_MAX)))
			connection_doom(c);
	if (now - meter->logged_at < METER_LOG_USEC)
		return;
	if (meter->unlogged_n > 0)
		log_event(LOG_WARNING, "further refusals were not logged",
		          LF_INT("count", (int64_t)meter->unlogged_n), LF_END);
	meter->logged_n = meter->unlogged_n = 0;
	meter->logged_at = now;
}

static void meter_tend(struct meter_socket *meter)
{
	meter->tend_at = 0;
	meter_sweep(meter, clock_usec(CLOCK_MONOTONIC));
	meter_reap(meter);
	loop_watch_events(meter->arrival, EPOLLIN);
}

static void meter_on_tend(void *userdata, uint32_t events)
{
	struct meter_socket *meter = userdata;
	const int64_t began = clock_usec(CLOCK_THREAD_CPUTIME_ID);

	(void)events;
	meter_tend(meter);
	meter_charge(meter, began);
	if (meter->connections_n > 0)
		meter_tend_within(meter, SWEEP_USEC);
	else if (meter->logged_n > 0)
		meter_tend_within(meter, METER_LOG_USEC);
}

static struct meter_socket *meter_free(struct meter_socket *meter)
{
	while (meter->connections != NULL) {
		struct connection *connection = meter->connections;

		meter->connections = connection->next;
		connection_close(connection, true);
	}
	meter->turn = loop_source_free(meter->turn);
	meter->tender = loop_source_free(meter->tender);
	meter->arrival = loop_source_free(meter->arrival);
	meter->loop = loop_free(meter->loop);
	fd_closep(&meter->listen_fd);
	free(meter);
	return NULL;
}

static void meter_init(struct meter_socket *meter, struct meters *meters,
                       const struct id *tenant)
{
	const int64_t now = clock_usec(CLOCK_MONOTONIC);

	meter->node.id = *tenant;
	meter->all = meters;
	meter->time = (struct bucket){ 0, METER_SHARE, METER_BURST_USEC, METER_BURST_USEC / 2,
		                       now };
	meter->kept = (struct bucket){ 0, 1, KEPT_MAX_USEC, KEPT_MAX_USEC - CLOCK_USEC_PER_SEC,
		                       now };
	meter->owner = (struct connection_owner){ .context = meters->context,
		                                  .bounds = &bounds,
		                                  .batch = meters->batch,
		                                  .doomed = meter_on_doomed,
		                                  .partial = meter_on_partial,
		                                  .may_log = meter_may_log,
		                                  .kept = meter_on_kept };
}

static int meter_watch(struct meter_socket *meter, struct tn_error *err)
{
	struct loop *outer = meter->all->context->loop;
	int flags = fcntl(meter->listen_fd, F_GETFL);
	int r;

	if (flags < 0 || fcntl(meter->listen_fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_errno(err, "take a tenant's socket");
	r = loop_new(&meter->loop, err);
	if (r < 0)
		return r;
	meter->owner.loop = meter->loop;
	r = loop_watch(meter->loop, meter->listen_fd, EPOLLIN,
	               (struct loop_handler){ meter_on_arrival, meter }, &meter->arrival, err);
	if (r == 0)
		r = loop_timer(outer, (struct loop_handler){ meter_on_tend, meter },
		               &meter->tender, err);
	if (r == 0)
		r = loop_watch(outer, loop_fd(meter->loop), EPOLLIN,
		               (struct loop_handler){ meter_on_turn, meter }, &meter->turn,
		               err);
	return r;
}

int meters_add(struct meters *meters, const struct id *tenant, int listen_fd,
               struct tn_error *err)
{
	struct meter_socket *meter = calloc(1, sizeof(*meter));
	int r;

	if (meter == NULL) {
		r = err_errno(err, "take a tenant's socket");
		fd_closep(&listen_fd);
		return r;
	}
	meter_init(meter, meters, tenant);
	meter->listen_fd = listen_fd;
	r = meter_watch(meter, err);
	if (r < 0) {
		(void)meter_free(meter);
		return r;
	}
	meters_drop(meters, tenant);
	id_table_add(&meters->table, &meter->node);
	return 0;
}

void meters_drop(struct meters *meters, const struct id *tenant)
{
	struct meter_socket *meter = id_table_find(&meters->table, tenant);

	if (meter == NULL)
		return;
	id_table_remove(&meters->table, &meter->node);
	(void)meter_free(meter);
}

int meters_new(struct meters **ret, struct context *context, struct batch *batch,
               struct tn_error *err)
{
	struct meters *meters = calloc(1, sizeof(*meters));

	if (meters == NULL)
		return err_errno(err, "allocate the tenants' sockets");
	meters->context = context;
	meters->batch = batch;
	*ret = meters;
	return 0;
}

static void on_free(void *member, void *context)
{
	(void)context;
	(void)meter_free(member);
}

struct meters *meters_free(struct meters *meters)
{
	if (meters == NULL)
		return NULL;
	id_table_each(&meters->table, on_free, NULL);
	free(meters);
	return NULL;
}
