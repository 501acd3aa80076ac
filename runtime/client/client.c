/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client: one connection, at most one call in progress.
 *
 * The connection is made by tn_client_open(), so that a daemon that is not there is
 * known at once, and made again when a call starts and the old one is gone: ended by
 * the daemon while idle (it was restarted), by an error of the protocol, or by us
 * because a call was abandoned halfway through its replies. A call that was sent is
 * never sent again, since it may have been done.
 *
 * While it is idle the connection lies in the client's home, where a run finds it and
 * where it leaves it again: making one costs both sides more than the call. A run may
 * outlive its client and be used by another thread, hence the home is counted and what
 * lies there is exchanged atomically. Only the client's own thread takes something out.
 */
#include "client.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <base/clock.h>
#include <base/exec_ref.h>
#include <base/fd.h>
#include <base/id.h>
#include <base/name.h>

#include "record.h"

#define REPLY_USEC_MAX (30 * (int64_t)CLOCK_USEC_PER_SEC)

struct home {
	atomic_uint users;
	_Atomic(struct varlink *) idle;
};

struct tn_client {
	char *path;
	struct home *home;
	struct varlink *link; /* of the call in progress; else NULL */
	bool calling;
	struct call call;
	int64_t timeout_usec;
	bool quota_refused;
	struct tn_quota_error quota;
};

struct home *home_free(struct home *home)
{
	if (home != NULL && atomic_fetch_sub(&home->users, 1) == 1) {
		varlink_free(atomic_load(&home->idle));
		free(home);
	}
	return NULL;
}

void home_put(struct home *home, struct varlink *link)
{
	struct varlink *none = NULL;

	if (!atomic_compare_exchange_strong(&home->idle, &none, link))
		varlink_free(link);
}

/* Of use: nothing comes from a daemon that was asked nothing but its end. */
static bool still_connected(struct varlink *link)
{
	struct varlink_message message = { 0 };
	struct tn_error ignored;
	bool quiet = varlink_process(link, &ignored) == 0 &&
	             varlink_next(link, &message, &ignored) == 0;

	varlink_message_done(&message);
	return quiet;
}

const char *client_path(const struct tn_client *client)
{
	return client->path;
}

int client_connect(const struct tn_client *client, struct varlink **ret, struct home **ret_home,
                   struct tn_error *err)
{
	struct varlink *link = atomic_exchange(&client->home->idle, NULL);

	if (link != NULL && !still_connected(link))
		link = varlink_free(link);
	if (link == NULL) {
		int r = connection_open(client->path, &link, err);

		if (r < 0)
			return r;
	}
	*ret = link;
	if (ret_home != NULL) {
		atomic_fetch_add(&client->home->users, 1);
		*ret_home = client->home;
	}
	return 0;
}

static int home_new(struct home **ret, const char *path, struct tn_error *err)
{
	struct home *home = calloc(1, sizeof(*home));
	struct varlink *link;
	int r;

	if (home == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "allocate a client");
	atomic_store(&home->users, 1);
	r = connection_open(path, &link, err);
	if (r < 0) {
		(void)home_free(home);
		return r;
	}
	home_put(home, link);
	*ret = home;
	return 0;
}

int tn_client_open(const char *path, struct tn_client **ret_client, struct tn_error *err)
{
	struct tn_client *client = calloc(1, sizeof(*client));
	int r;

	if (client == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "allocate a client");
	client->timeout_usec = REPLY_USEC_MAX;
	client->path = strdup(path != NULL ? path : TN_SOCKET_PATH);
	r = client->path != NULL ? home_new(&client->home, client->path, err)
	                         : err_set(err, TN_SYSTEM, ENOMEM, "allocate a client");
	if (r < 0) {
		tn_client_free(client);
		return r;
	}
	*ret_client = client;
	return 0;
}

int tn_client_open_self(struct tn_client **ret_client, struct tn_error *err)
{
	return tn_client_open(TN_METER_PATH, ret_client, err);
}

struct tn_client *tn_client_free(struct tn_client *client)
{
	if (client == NULL)
		return NULL;
	varlink_free(client->link);
	(void)home_free(client->home);
	free(client->path);
	free(client);
	return NULL;
}

void tn_client_set_timeout(struct tn_client *client, int64_t usec)
{
	client->timeout_usec = usec;
}

static const struct varlink *present_link(const struct tn_client *client)
{
	return client->link != NULL ? client->link : atomic_load(&client->home->idle);
}

int tn_client_fd(const struct tn_client *client)
{
	const struct varlink *link = present_link(client);

	return link != NULL ? varlink_fd(link) : FD_NONE;
}

short tn_client_events(const struct tn_client *client)
{
	const struct varlink *link = present_link(client);

	if (link == NULL)
		return 0;
	return varlink_events(link);
}

const struct tn_quota_error *tn_client_quota_error(const struct tn_client *client)
{
	return client->quota_refused ? &client->quota : NULL;
}

/* Replies that may still come belong to nobody: the connection goes with them. */
void tn_client_cancel(struct tn_client *client)
{
	if (!client->calling)
		return;
	client->calling = false;
	client->link = varlink_free(client->link);
}

/* Its connection is idle again. */
static void call_over(struct tn_client *client)
{
	client->calling = false;
	home_put(client->home, client->link);
	client->link = NULL;
}

int client_start(struct tn_client *client, const char *method, json_t *parameters,
                 enum connection_mode mode, const struct call *call, struct tn_error *err)
{
	int r = 0;

	if (client->calling)
		r = err_refuse(err, TN_STATE, "the client already makes a call");
	else
		r = client_connect(client, &client->link, NULL, err);
	if (r < 0) {
		json_decref(parameters);
		return r;
	}
	client->quota_refused = false;
	r = connection_call(client->link, method, parameters, mode, err);
	if (r < 0) {
		call_over(client);
		return r;
	}
	client->call = *call;
	client->call.more = mode == CONNECTION_MORE;
	client->calling = true;
	return 0;
}

int client_on_record(struct call *call, json_t *parameters, struct tn_error *err)
{
	return record_read(call->ret_fields, parameters, call->ret, call->ret_size, err);
}

/* A call that has failed gives nothing back. */
static void drop_result(struct call *call)
{
	if (call->replies_n > 0 && call->ret_fields != NULL)
		record_done(call->ret_fields, call->ret, call->ret_size);
}

/* The call is over and the connection is of no more use. */
static int give_up(struct tn_client *client, int r, struct tn_error *err)
{
	drop_result(&client->call);
	tn_client_cancel(client);
	if (r == -EPIPE)
		return err_set(
			err, TN_UNREACHABLE, EPIPE,
			"tenantd went away before it answered; see: systemctl status tenantd");
	return r;
}

/* 1: the call is done; 0: there is no reply yet; 2: it was one of several. */
static int take_reply(struct tn_client *client, struct tn_error *err)
{
	struct call *call = &client->call;
	json_t *parameters;
	bool continues;
	int r = connection_reply(client->link, &parameters, &continues, &client->quota,
	                         call->fd_name, call->ret_fd, err);

	if (r < 0 && err->code == TN_PROTOCOL)
		return give_up(client, r, err);
	if (r < 0) {
		drop_result(call);
		call_over(client);
		client->quota_refused = err->code == TN_QUOTA;
	}
	if (r <= 0)
		return r;

	r = continues && !call->more
	            ? err_refuse(err, TN_PROTOCOL, "the daemon replies more than once")
	            : call->on_reply(call, parameters, err);
	json_decref(parameters);
	if (r < 0)
		return give_up(client, r, err);
	call->replies_n++;
	if (r == 0 && continues)
		return 2;
	if (continues)
		tn_client_cancel(client);
	else
		call_over(client);
	return 1;
}

int tn_client_process(struct tn_client *client, struct tn_error *err)
{
	int r;

	if (!client->calling)
		return err_refuse(err, TN_STATE, "the client makes no call");
	r = varlink_process(client->link, err);
	if (r < 0)
		return give_up(client, r, err);
	do
		r = take_reply(client, err);
	while (r == 2);
	return r;
}

/* Wait for the connection until @deadline on CLOCK_MONOTONIC, or for ever. */
static int wait_until(const struct tn_client *client, int64_t deadline, struct tn_error *err)
{
	struct pollfd pollfd = { .fd = tn_client_fd(client),
		                 .events = tn_client_events(client) };
	int64_t left = deadline - clock_usec(CLOCK_MONOTONIC);
	struct timespec timeout;
	int r;

	if (left < 0)
		left = 0;
	timeout = (struct timespec){
		.tv_sec = left / CLOCK_USEC_PER_SEC,
		.tv_nsec = left % CLOCK_USEC_PER_SEC * CLOCK_NSEC_PER_USEC,
	};
	r = ppoll(&pollfd, 1, client->call.patient ? NULL : &timeout, NULL);
	if (r == 0)
		return err_set(err, TN_UNREACHABLE, ETIMEDOUT, "tenantd does not answer");
	if (r < 0 && errno != EINTR)
		return err_errno(err, "wait for tenantd: %s", strerror(errno));
	return 0;
}

int tn_client_wait(struct tn_client *client, struct tn_error *err)
{
	int64_t deadline = clock_usec(CLOCK_MONOTONIC) + client->timeout_usec;
	size_t replies_n = 0;
	int r;

	while ((r = tn_client_process(client, err)) == 0) {
		/* A list may be long; it is silence that ends the wait. */
		if (client->call.replies_n > replies_n)
			deadline = clock_usec(CLOCK_MONOTONIC) + client->timeout_usec;
		replies_n = client->call.replies_n;
		r = wait_until(client, deadline, err);
		if (r < 0)
			return give_up(client, r, err);
	}
	return r < 0 ? r : 0;
}

int client_finish(struct tn_client *client, int r, struct tn_error *err)
{
	return r < 0 ? r : tn_client_wait(client, err);
}

int check_tenant(const char *tenant, struct tn_error *err)
{
	struct id id;

	if (tenant != NULL && (name_valid(tenant) || id_parse(tenant, &id) == 0))
		return 0;
	return err_refuse(err, TN_INVALID,
	                  "not a tenant's name: it is " NAME_RULE "; or a UUID");
}

int check_id(const char *id_text, struct tn_error *err)
{
	struct id id;

	if (id_parse(id_text, &id) == 0)
		return 0;
	return err_refuse(err, TN_INVALID, "not an execution's UUID");
}

int check_execution(const char *execution, const char *what, struct tn_error *err)
{
	struct exec_ref ref;

	if (execution == NULL)
		return err_refuse(err, TN_INVALID, "no execution %s", what);
	if (exec_ref_parse(execution, &ref) == 0)
		return 0;
	return err_refuse(err, TN_INVALID, "not an execution: it is " EXEC_REF_RULE);
}

json_t *json_int_or_null(int64_t number)
{
	return number == TN_ABSENT ? json_null() : json_integer(number);
}

json_t *client_member(json_t *parameters, const char *name)
{
	json_t *json = json_object_get(parameters, name);

	return json_is_null(json) ? NULL : json;
}

int client_no_member(const char *name, struct tn_error *err)
{
	return err_refuse(err, TN_PROTOCOL, "the daemon's reply has no '%s'", name);
}
