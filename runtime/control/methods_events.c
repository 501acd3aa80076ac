/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ListEvents: what has become different, and what does. A follower is woken when there is more
 * and reads it from the store, so that one that does not keep up costs no memory: it reads on
 * from its place once it has taken what it got.
 */
#include <stdlib.h>

#include "connection.h"
#include "encode.h"
#include "methods.h"
#include "rights.h"

struct events_arguments {
	int64_t since;
	const char *tenant;
	bool follow;
};

static const struct param events_params[] = {
	{ .name = "since",
	  .kind = PARAM_INT,
	  .offset = offsetof(struct events_arguments, since) },
	{ .name = "tenant",
	  .kind = PARAM_STRING,
	  .offset = offsetof(struct events_arguments, tenant) },
	{ .name = "follow",
	  .kind = PARAM_BOOL,
	  .offset = offsetof(struct events_arguments, follow) },
	{ .name = NULL },
};

struct list {
	struct event_feed *feed;
	struct event_watcher watcher;
	struct id tenant;
	bool of_tenant;
	int64_t after;  /* the peer has all up to this number, or wants none of them */
	bool has_place; /* and wants to know if what follows is not kept */
};

static void list_free(void *state)
{
	struct list *list = state;

	event_feed_unwatch(list->feed, &list->watcher);
	free(list);
}

static int list_reply(json_t *reply, json_t **ret, struct tn_error *err)
{
	*ret = reply;
	return reply != NULL ? 1 : err_set(err, TN_SYSTEM, ENOMEM, "list events");
}

/* Operators are told of their tenants, for as long as they are that; of the node, admins. */
static bool list_shows(const struct call *call, const struct event *event)
{
	const struct peer *peer = &call->connection->peer;
	struct tn_error ignored = { 0 };
	struct tenant *tenant;

	if (peer->admin)
		return true;
	return event->of_tenant &&
	       tenants_get_by_id(call->context->tenants, &event->tenant, &tenant, &ignored) ==
	               0 &&
	       rights_see(call->context, peer, &tenant->row);
}

static int list_next(struct call *call, json_t **ret, struct tn_error *err)
{
	const struct events_arguments *arguments = call->arguments;
	struct store *store = call->context->store;
	struct list *list = call->state;
	struct store_event_span span = { 0 };
	struct event event;
	int r = store->ops->event_span(store, &span, err);

	if (r < 0)
		return r;
	if (list->has_place && span.first > list->after + 1) {
		list->after = span.first - 1;
		return list_reply(json_pack("{s:I}", "kept_from", (json_int_t)span.first), ret,
		                  err);
	}
	r = store->ops->event_next(store, list->of_tenant ? &list->tenant : NULL, list->after,
	                           &event, err);
	if (r < 0)
		return r;
	list->has_place = true;
	if (r == 1) {
		list->after = event.seq;
		r = CALL_SKIP;
		if (list_shows(call, &event))
			r = list_reply(json_pack("{s:o}", "event", encode_event(&event)), ret,
			               err);
		event_done(&event);
		return r;
	}
	/* What is another tenant's has been passed over. */
	if (list->after < span.last)
		list->after = span.last;
	return arguments->follow ? CALL_LATER : 0;
}

static void list_on_more(void *userdata)
{
	call_resume(userdata);
}

/*
 * A place that no event has reached is of another store, or of this one before an older copy
 * took its place. To wait there would be to miss what happens until then.
 */
static int list_check_place(struct store *store, const struct list *list, struct tn_error *err)
{
	struct store_event_span span = { 0 };
	int r = store->ops->event_span(store, &span, err);

	if (r == 0 && list->after > span.last)
		r = err_refuse(
			err, TN_INVALID,
			"there is no event %lld yet, the last is %lld: what knows of one "
			"has it from another store",
			(long long)list->after, (long long)span.last);
	return r;
}

static int list_begin(struct call *call, struct list *list, struct tn_error *err)
{
	const struct events_arguments *arguments = call->arguments;
	struct context *context = call->context;
	struct tenant *tenant;
	int r = 0;

	list->has_place = arguments->since != PARAMS_ABSENT;
	list->after = list->has_place ? arguments->since : 0;
	if (arguments->tenant != NULL) {
		r = tenants_get(context->tenants, arguments->tenant, &tenant, err);
		if (r < 0)
			return r;
		list->of_tenant = true;
		list->tenant = tenant->row.id;
	}
	/* What has been answered to somebody is told to whoever asks after that. */
	r = journal_commit(context->journal, NULL, err);
	if (r == 0 && context->store->ops->events_wait(context->store))
		r = context->store->ops->sync(context->store, err);
	return r < 0 ? r : list_check_place(context->store, list, err);
}

static int handle_events(struct call *call, struct tn_error *err)
{
	const struct events_arguments *arguments = call->arguments;
	struct list *list = calloc(1, sizeof(*list));
	int r;

	if (list == NULL)
		return err_errno(err, "list events");
	list->feed = call->context->feed;
	list->watcher = (struct event_watcher){ .more = list_on_more, .userdata = call };
	call->state = list;
	call->free_state = list_free;
	r = list_begin(call, list, err);
	if (r < 0)
		return r;
	if (arguments->follow)
		event_feed_watch(list->feed, &list->watcher);
	call_stream(call, list_next);
	return 0;
}

const struct method methods_events[] = {
	{ "io.tenantd.ListEvents", handle_events, METHOD_STREAMS, events_params,
	  sizeof(struct events_arguments) },
	{ .name = NULL },
};
