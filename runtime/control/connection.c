/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "connection.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/log.h>

#include "batch.h"
#include "encode.h"
#include "methods.h"
#include "rights.h"
#include "server.h"

/* Of a list: so many that are left out in one turn of the loop. */
#define SKIPS_MAX 64

static void connection_pump(struct connection *connection);

static struct call *call_free(struct call *call)
{
	if (call == NULL)
		return NULL;
	if (call->free_state != NULL)
		call->free_state(call->state);
	json_decref(call->ahead);
	varlink_message_done(&call->message);
	free(call->arguments);
	free(call);
	return NULL;
}

void connection_doom(struct connection *connection)
{
	if (connection->doomed)
		return;
	connection->doomed = true;
	loop_watch_events(connection->source, 0);
	connection->owner->doomed(connection->owner);
}

/* poll(2) and epoll(7) number these events alike. */
static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT, "events need no translation");

static bool is_bounded(const struct connection *connection)
{
	return connection->owner->bounds != NULL;
}

/* First the peer reads its answers, then it is heard; what is here waits for its next turn,
 * which is when it can be written to. */
static uint32_t bounded_events(struct connection *connection)
{
	if (varlink_output_bytes(connection->link) == 0)
		connection->unread_since = 0;
	else if (connection->unread_since == 0)
		connection->unread_since = clock_usec(CLOCK_MONOTONIC);
	if (connection->unread_since != 0 || connection->holds ||
	    varlink_waiting(connection->link))
		return EPOLLOUT;
	return EPOLLIN;
}

static void connection_listen(struct connection *connection)
{
	uint32_t events = (uint32_t)varlink_events(connection->link);

	if (connection->doomed)
		return;
	if (connection->holds)
		events &= ~(uint32_t)EPOLLIN;
	if (is_bounded(connection))
		events = bounded_events(connection);
	/* Once it can be written to, which is at once unless much is unread: at the next turn.
	 */
	if (connection->resting)
		events |= EPOLLOUT;
	if (connection->more_follow)
		events &= ~(uint32_t)EPOLLOUT;
	loop_watch_events(connection->source, events);
}

/* A list is written in larger pieces, one per turn of the loop; so are answers of a batch. */
static bool streaming(const struct connection *connection)
{
	return connection->more_follow ||
	       (connection->call != NULL && connection->call->next != NULL);
}

static void connection_send(struct connection *connection, const json_t *json, int fd)
{
	struct tn_error err = { 0 };

	if (connection->doomed)
		return;
	if (varlink_send(connection->link, json, &fd, fd >= 0, &err) < 0 ||
	    (!streaming(connection) && varlink_flush(connection->link, &err) < 0)) {
		if (connection->owner->may_log(connection->owner))
			log_event(LOG_INFO, "a peer is dropped",
			          LF_INT("uid", (int64_t)connection->peer.uid),
			          LF_STR("error", err.msg), LF_END);
		connection_doom(connection);
		return;
	}
	connection_listen(connection);
}

/* Free the call and let the next one have its turn. */
static void call_end(struct call *call)
{
	struct connection *connection = call->connection;
	bool current = connection != NULL && connection->call == call;

	if (current) {
		connection->call = NULL;
		connection->executing = false;
	}
	if (call->aside && connection != NULL) {
		connection->aside_n--;
		current = true;
	}
	(void)call_free(call);
	if (!current || connection->doomed)
		return;
	connection_pump(connection);
	connection_listen(connection);
}

/* Takes over @body; @fd is borrowed, or FD_NONE. */
static void call_send_with_fd(struct call *call, json_t *body, int fd)
{
	if (call->connection != NULL && !call->oneway) {
		if (body != NULL)
			connection_send(call->connection, body, fd);
		else
			connection_doom(call->connection);
	}
	json_decref(body);
}

static void call_send(struct call *call, json_t *body)
{
	call_send_with_fd(call, body, FD_NONE);
}

void call_reply_with_fd(struct call *call, json_t *parameters, int fd)
{
	call_send_with_fd(call, json_pack("{s:o}", "parameters", parameters), fd);
	call_end(call);
}

void call_reply(struct call *call, json_t *parameters)
{
	call_reply_with_fd(call, parameters, FD_NONE);
}

void call_reply_more(struct call *call, json_t *parameters)
{
	call_reply_more_with_fd(call, parameters, FD_NONE);
}

void call_reply_more_with_fd(struct call *call, json_t *parameters, int fd)
{
	call_send_with_fd(
		call, json_pack("{s:o, s:b}", "parameters", parameters, "continues", 1), fd);
}

void call_refuse(struct call *call, json_t *refusal)
{
	const struct connection *connection = call->connection;

	if (connection != NULL && connection->aside_n > 0 && !call->aside &&
	    batch_refuse(connection->owner->batch, call, refusal) == 0)
		return;
	call_send(call, refusal);
	call_end(call);
}

void call_fail_service(struct call *call, const char *error, json_t *parameters)
{
	char name[96];

	(void)snprintf(name, sizeof(name), "org.varlink.service.%s", error);
	call_refuse(call, json_pack("{s:s, s:o}", "error", name, "parameters", parameters));
}

/* Who may not call a method at all is not looked up anything for. */
static void call_note_refusal(const struct call *call, const struct tn_error *err)
{
	struct context *context = call->context;
	const json_t *parameters = json_object_get(call->message.json, "parameters");
	const char *name = json_string_value(json_object_get(parameters, "tenant"));
	struct tn_error ignored = { 0 };
	struct tenant *tenant = NULL;

	if (call->connection == NULL || !(call->denied || refusals_counts(err->code)))
		return;
	if (call->connection->peer.inside) {
		if (tenants_get_by_id(context->tenants, &call->connection->peer.tenant, &tenant,
		                      &ignored) < 0)
			tenant = NULL;
	} else if (!call->denied && name != NULL &&
	           tenants_get(context->tenants, name, &tenant, &ignored) < 0) {
		tenant = NULL;
	}
	refusals_note(context->refusals,
	              &(struct refusal){ call_actor(call), err, call->method->name,
	                                 tenant != NULL ? &tenant->row : NULL });
}

void call_fail(struct call *call, const struct tn_error *err)
{
	json_t *parameters = json_pack("{s:o}", "message", encode_message(err->msg));
	const struct call_quota *quota = &call->quota;

	if (err->code == TN_QUOTA && parameters != NULL)
		(void)json_object_update_new(
			parameters,
			json_pack("{s:s, s:I, s:I, s:I, s:o}", "meter",
		                  quota->meter != NULL ? quota->meter : "", "limit",
		                  (json_int_t)quota->limit, "used", (json_int_t)quota->used,
		                  "requested", (json_int_t)quota->requested, "reset_at",
		                  quota->reset_at > 0 ? json_integer(quota->reset_at)
		                                      : json_null()));
	call_note_refusal(call, err);
	call_refuse(call, json_pack("{s:s, s:o}", "error", err_row(err->code)->name,
	                            "parameters", parameters));
}

struct actor call_actor(const struct call *call)
{
	const struct connection *connection = call->connection;

	if (connection == NULL)
		return ACTOR_NONE;
	return (struct actor){ connection->peer.uid, connection->peer.pid,
		               connection->peer.login_uid };
}

void call_set_aside(struct call *call)
{
	struct connection *connection = call->connection;

	call->aside = true;
	connection->aside_n++;
	if (connection->call == call)
		connection->call = NULL;
}

void call_drop(struct call *call)
{
	(void)call_free(call);
}

void call_set_executing(struct call *call, bool executing)
{
	if (call->connection != NULL)
		call->connection->executing = executing;
}

static void call_produce(struct call *call)
{
	struct connection *connection = call->connection;
	struct tn_error err = { 0 };
	size_t skipped_n = 0;

	connection->resting = false;
	while (!connection->doomed &&
	       varlink_output_bytes(connection->link) < SERVER_STREAM_BYTES) {
		json_t *item = NULL;
		json_t *ahead = call->ahead;
		int r = call->next(call, &item, &err);

		if (r < 0) {
			call_fail(call, &err);
			return;
		}
		if (r == CALL_SKIP) {
			connection->resting = ++skipped_n == SKIPS_MAX;
			if (connection->resting)
				return;
			continue;
		}
		call->ahead = item;
		if (r == CALL_LATER) {
			if (ahead != NULL)
				call_reply_more(call, ahead);
			return;
		}
		if (r == 0) {
			call_reply(call, ahead != NULL ? ahead : json_object());
			return;
		}
		if (ahead != NULL)
			call_reply_more(call, ahead);
	}
}

void call_stream(struct call *call,
                 int (*next)(struct call *call, json_t **ret, struct tn_error *err))
{
	call->next = next;
	call_produce(call);
}

void call_resume(struct call *call)
{
	if (!call->connection->doomed)
		call_produce(call);
}

static int call_parse(struct call *call, char bad[static PARAMS_NAME_BYTES_MAX],
                      struct tn_error *err)
{
	const struct method *method = call->method;

	call->arguments = calloc(1, method->arguments_bytes + 1);
	if (call->arguments == NULL)
		return err_errno(err, "take a call");
	if (method->params == NULL)
		return params_parse(json_object_get(call->message.json, "parameters"),
		                    (const struct param[]){ { .name = NULL } }, call->arguments,
		                    bad, err);
	return params_parse(json_object_get(call->message.json, "parameters"), method->params,
	                    call->arguments, bad, err);
}

/* What it was about, as the peer has it: a name, a UUID, or anything else. */
static const char *call_subject(const struct call *call)
{
	const json_t *parameters = json_object_get(call->message.json, "parameters");
	const char *text = json_string_value(json_object_get(parameters, "tenant"));

	if (text == NULL)
		text = json_string_value(json_object_get(parameters, "id"));
	return text != NULL ? text : "";
}

static int call_authorise(struct call *call, const char *method, struct tn_error *err)
{
	struct connection *connection = call->connection;
	const struct peer *peer = &connection->peer;
	int r = rights_check(call->context, peer, method,
	                     json_object_get(call->message.json, "parameters"), err);

	/* Whoever waits for an answer has been kept from getting here. */
	if (r > 0)
		r = err_refuse(err, TN_STATE, "it is not known yet who may do this; try again");
	if (r < 0 && connection->owner->may_log(connection->owner))
		log_event(LOG_WARNING, "a call is refused", LF_INT("uid", (int64_t)peer->uid),
		          LF_INT("gid", (int64_t)peer->gid), LF_INT("pid", peer->pid),
		          LF_STR("method", method), LF_STR("tenant", call_subject(call)),
		          LF_STR("reason", err->msg), LF_END);
	return r;
}

static void call_fail_unknown(struct call *call, const char *name)
{
	const char *dot = strrchr(name, '.');
	size_t n = dot != NULL ? (size_t)(dot - name) : 0;

	if (methods_interface(name, n) != NULL)
		call_fail_service(call, "MethodNotFound", json_pack("{s:s}", "method", name));
	else
		call_fail_service(call, "InterfaceNotFound",
		                  json_pack("{s:s%}", "interface", name, n));
}

/* Ends the call unless it may be handled: then 0. */
static int call_admit(struct call *call, const char *name)
{
	char bad[PARAMS_NAME_BYTES_MAX];
	struct tn_error err = { 0 };

	if (call->method == NULL) {
		call_fail_unknown(call, name);
		return -ENOENT;
	}
	if (call_authorise(call, name, &err) < 0) {
		call->denied = true;
		call_fail(call, &err);
		return -EPERM;
	}
	if (call_parse(call, bad, &err) < 0) {
		call_fail_service(call, "InvalidParameter",
		                  json_pack("{s:o, s:o}", "parameter", encode_message(bad),
		                            "message", encode_message(err.msg)));
		return -EINVAL;
	}
	if ((call->method->flags & METHOD_STREAMS) != 0 && !call->more) {
		call_fail_service(call, "ExpectedMore", json_object());
		return -EINVAL;
	}
	if ((call->method->flags & METHOD_FDS) == 0 && call->message.fds_n > 0) {
		(void)err_refuse(&err, TN_INVALID, "%s takes no descriptors", name);
		call_fail(call, &err);
		return -EINVAL;
	}
	return 0;
}

/* Takes over @message. */
static void connection_handle(struct connection *connection, struct varlink_message *message)
{
	const char *name = json_string_value(json_object_get(message->json, "method"));
	struct call *call = calloc(1, sizeof(*call));
	struct tn_error err = { 0 };

	if (name == NULL || call == NULL) {
		free(call);
		varlink_message_done(message);
		connection_doom(connection);
		return;
	}
	call->connection = connection;
	call->context = connection->owner->context;
	call->method = methods_find(name);
	call->message = *message;
	*message = (struct varlink_message){ 0 };
	call->more = json_is_true(json_object_get(call->message.json, "more"));
	call->oneway = json_is_true(json_object_get(call->message.json, "oneway"));
	/* One that overtakes is answered before this returns and is never the current one. */
	if (connection->call == NULL)
		connection->call = call;
	if (call_admit(call, name) < 0)
		return;
	if (call->method->handle(call, &err) < 0)
		call_fail(call, &err);
}

/* Whether @message can be handled while a call is under way. */
static bool message_overtakes(const struct varlink_message *message)
{
	const char *name = json_string_value(json_object_get(message->json, "method"));
	const struct method *method = name != NULL ? methods_find(name) : NULL;

	return method != NULL && (method->flags & METHOD_ASIDE) != 0 &&
	       json_is_true(json_object_get(message->json, "oneway"));
}

/* Whether @message has to wait for what is aside: else answers would not keep their order. */
static bool message_must_wait(const struct connection *connection,
                              const struct varlink_message *message)
{
	const char *name = json_string_value(json_object_get(message->json, "method"));
	const struct method *method = name != NULL ? methods_find(name) : NULL;

	if (connection->aside_n == 0)
		return false;
	return method == NULL || (method->flags & METHOD_BATCHED) == 0 ||
	       connection->aside_n >= BATCH_CALLS_OF_ONE_MAX;
}

/* Whether it cannot be said yet if the peer may do what @message asks for. */
static bool message_waits(const struct connection *connection,
                          const struct varlink_message *message)
{
	const char *name = json_string_value(json_object_get(message->json, "method"));
	struct tn_error ignored = { 0 };

	return name != NULL &&
	       rights_check(connection->owner->context, &connection->peer, name,
	                    json_object_get(message->json, "parameters"), &ignored) > 0;
}

/* Whether a peer that is bounded has had its turn: others have theirs before the next. */
static bool turn_is_over(const struct connection *connection)
{
	return is_bounded(connection) &&
	       (connection->turn_left == 0 || varlink_output_bytes(connection->link) > 0);
}

static void connection_pump(struct connection *connection)
{
	struct tn_error err = { 0 };

	/* A call that ends while we are here comes back to this loop, not into another. */
	if (connection->pumping)
		return;
	connection->pumping = true;
	while (!connection->doomed && !turn_is_over(connection)) {
		struct varlink_message message;
		int r = 1;

		if (!connection->holds)
			r = varlink_next(connection->link, &connection->held, &err);
		if (r < 0)
			connection_doom(connection);
		if (r <= 0)
			break;
		connection->holds = true;
		connection->partial_since = 0;
		if (connection->call != NULL && !message_overtakes(&connection->held))
			break;
		if (message_must_wait(connection, &connection->held) ||
		    message_waits(connection, &connection->held))
			break;
		message = connection->held;
		connection->held = (struct varlink_message){ 0 };
		connection->holds = false;
		if (is_bounded(connection)) {
			connection->turn_left--;
			connection->heard_at = clock_usec(CLOCK_MONOTONIC);
		}
		connection_handle(connection, &message);
	}
	connection->pumping = false;
}

static void connection_note_partial(struct connection *connection)
{
	if (!varlink_partial(connection->link)) {
		connection->partial_since = 0;
		return;
	}
	if (connection->partial_since == 0)
		connection->partial_since = clock_usec(CLOCK_MONOTONIC);
	connection->owner->partial(connection->owner);
}

static void connection_on_io(void *userdata, uint32_t events)
{
	struct connection *connection = userdata;
	struct tn_error err = { 0 };
	int r;

	if (connection->doomed)
		return;
	if (is_bounded(connection))
		connection->turn_left = connection->owner->bounds->calls_max;
	r = varlink_process(connection->link, &err);
	connection_pump(connection);
	connection->turn_left = 0;
	/* Nobody reads our replies any more, whatever else has been sent. */
	if (r < 0 || (events & (EPOLLHUP | EPOLLERR)) != 0)
		connection_doom(connection);
	if (connection->doomed)
		return;
	if (connection->call != NULL && connection->call->next != NULL)
		call_produce(connection->call);
	connection_note_partial(connection);
	connection_listen(connection);
}

int connection_new(struct connection **ret, struct connection_owner *owner, int fd,
                   struct peer *peer, struct tn_error *err)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	int r;

	if (connection == NULL) {
		r = err_errno(err, "take a connection");
		fd_closep(&fd);
		return r;
	}
	connection->owner = owner;
	connection->heard_at = clock_usec(CLOCK_MONOTONIC);
	r = owner->bounds != NULL
	            ? varlink_new_bounded(&connection->link, fd, &owner->bounds->wire, err)
	            : varlink_new(&connection->link, fd, err);
	if (r == 0)
		r = loop_watch(owner->loop, fd, EPOLLIN,
		               (struct loop_handler){ connection_on_io, connection },
		               &connection->source, err);
	if (r < 0) {
		connection_close(connection, true);
		return r;
	}
	connection->peer = *peer;
	*peer = (struct peer){ 0 };
	*ret = connection;
	return 0;
}

bool connection_is_idle(const struct connection *connection)
{
	return connection->call == NULL && connection->aside_n == 0 && !connection->holds &&
	       connection->partial_since == 0 && connection->unread_since == 0;
}

void connection_close(struct connection *connection, bool quietly)
{
	struct call *call = connection->call;

	connection->source = loop_source_free(connection->source);
	batch_orphan(connection->owner->batch, connection);
	if (call != NULL) {
		call->connection = NULL;
		connection->call = NULL;
		if (call->abandoned != NULL && !quietly)
			call->abandoned(call);
		/* Any other call has somebody who will end it. */
		if (call->abandoned != NULL || call->next != NULL)
			(void)call_free(call);
	}
	if (connection->holds)
		varlink_message_done(&connection->held);
	connection->link = varlink_free(connection->link);
	peer_done(&connection->peer);
	free(connection);
}

void connection_retry(struct connection *connection)
{
	if (connection->doomed || !connection->holds)
		return;
	connection_pump(connection);
	connection_listen(connection);
}
