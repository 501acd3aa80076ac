/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The calls of <tenant/event.h>, as calls.c has those of client.h. */
#include <tenant/event.h>

#include "client.h"
#include "record.h"

static int on_missed(const struct call *call, json_t *parameters, struct tn_error *err)
{
	const json_t *kept_from = client_member(parameters, "kept_from");

	/* The one reply of an empty list has neither. */
	if (kept_from == NULL)
		return 0;
	if (!json_is_integer(kept_from) || json_integer_value(kept_from) < 0)
		return err_refuse(err, TN_PROTOCOL,
		                  "'kept_from' of the daemon's reply is no "
		                  "number of an event");
	if (call->events_missed != NULL)
		call->events_missed(json_integer_value(kept_from), call->userdata);
	return 0;
}

static int on_event(struct call *call, json_t *parameters, struct tn_error *err)
{
	json_t *json = client_member(parameters, "event");
	struct tn_event event = { 0 };
	int r;

	if (json == NULL)
		return on_missed(call, parameters, err);
	r = record_read(tn_event_fields(), json, &event, sizeof(event), err);
	if (r < 0)
		return r;
	r = call->each_event(&event, call->userdata) != 0;
	tn_event_done(&event);
	return r;
}

int tn_event_list_start(struct tn_client *client, const struct tn_event_query *query,
                        struct tn_error *err)
{
	const struct call call = {
		.on_reply = on_event,
		.patient = query->follow,
		.each_event = query->each,
		.events_missed = query->missed,
		.userdata = query->userdata,
	};
	int r = query->tenant != NULL ? check_tenant(query->tenant, err) : 0;

	if (r == 0 && query->since != TN_ABSENT && query->since < 0)
		r = err_refuse(err, TN_INVALID, "events are numbered from 1 on");
	if (r < 0)
		return r;
	return client_start(client, "ListEvents",
	                    json_pack("{s:o, s:s?, s:b}", "since",
	                              json_int_or_null(query->since), "tenant", query->tenant,
	                              "follow", query->follow),
	                    CONNECTION_MORE, &call, err);
}

int tn_event_list(struct tn_client *client, const struct tn_event_query *query,
                  struct tn_error *err)
{
	return client_finish(client, tn_event_list_start(client, query, err), err);
}
