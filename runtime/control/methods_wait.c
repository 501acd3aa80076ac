/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Wait: for the end of an execution that anybody has started. Rejoin: the same in the place of
 * a Run whose connection went with the daemon before this one. One that
 * tenantd has not told of yet, as after a restart, is waited for as well, be it in the store or
 * not: either tenantd tells how it ended, or it counts as lost or as never launched.
 */
#include <stdlib.h>

#include "connection.h"
#include "encode.h"
#include "lookup.h"
#include "methods.h"

static void wait_reply(struct call *call, const struct record *record)
{
	call_reply(call, json_pack("{s:o}", "execution", encode_record(record)));
}

static int wait_refuse(const char *id, struct tn_error *err)
{
	return err_refuse(err, TN_NOT_FOUND, "there is no execution %s", id);
}

struct wait_arguments {
	const char *id;
};

static const struct param wait_params[] = {
	{ .name = "id",
	  .kind = PARAM_STRING,
	  .required = true,
	  .offset = offsetof(struct wait_arguments, id) },
	{ .name = NULL },
};

static void wait_on_ended(void *userdata, const struct record *record, const char *why)
{
	struct call *call = userdata;
	const struct wait_arguments *arguments = call->arguments;
	struct tn_error err = { 0 };

	(void)why;
	if (record != NULL) {
		wait_reply(call, record);
		return;
	}
	(void)wait_refuse(arguments->id, &err);
	call_fail(call, &err);
}

static void wait_abandoned(struct call *call)
{
	executions_unawait(call->context->executions, call->state);
}

/* 1 and how it ended; 0 if it has not, or tenantd may still tell of it; or -errno. */
static int wait_look(struct context *context, const char *text, const struct id *id,
                     struct record *ret, struct tn_error *err)
{
	int r;

	if (executions_runs(context->executions, id))
		return 0;
	r = journal_commit(context->journal, NULL, err);
	if (r < 0)
		return r;
	r = context->store->ops->execution_by_id(context->store, id, ret, err);
	/* The store may have lost it with the controller before this one. */
	if (r == 0)
		return context->settled ? wait_refuse(text, err) : 0;
	return r < 0 ? r : ret->state == RECORD_EXITED;
}

/* Takes over @waiter, which is zeroed but for what the kinds of waiting differ in. */
static int wait_begin(struct call *call, const struct id *id, struct execution_waiter waiter,
                      void (*abandoned)(struct call *call), struct tn_error *err)
{
	struct execution_waiter *kept = calloc(1, sizeof(*kept));

	if (kept == NULL)
		return err_errno(err, "wait for an execution");
	*kept = waiter;
	kept->id = *id;
	kept->userdata = call;
	call->state = kept;
	call->free_state = free;
	call->abandoned = abandoned;
	executions_await(call->context->executions, kept);
	return 0;
}

static int handle_wait(struct call *call, struct tn_error *err)
{
	const struct wait_arguments *arguments = call->arguments;
	struct record record;
	struct id id;
	int r = lookup_execution(call->context, &call->connection->peer, arguments->id, &id,
	                         err);

	if (r == 0)
		r = wait_look(call->context, arguments->id, &id, &record, err);
	if (r < 0)
		return r;
	if (r == 1) {
		wait_reply(call, &record);
		return 0;
	}
	return wait_begin(call, &id, (struct execution_waiter){ .ended = wait_on_ended },
	                  wait_abandoned, err);
}

static void rejoin_on_ended(void *userdata, const struct record *record, const char *why)
{
	if (record == NULL)
		wait_on_ended(userdata, NULL, why);
	else
		call_reply(userdata, encode_exited(record, why));
}

static void rejoin_on_started(void *userdata)
{
	const struct call *call = userdata;
	const struct wait_arguments *arguments = call->arguments;

	call_reply_more(userdata,
	                json_pack("{s:s, s:s}", "event", "started", "id", arguments->id));
}

/* Whoever had it has gone for good. */
static void rejoin_abandoned(struct call *call)
{
	const struct execution_waiter *waiter = call->state;

	executions_unawait(call->context->executions, waiter);
	/* A detached one is nobody's. */
	if (executions_is_orphan(call->context->executions, &waiter->id))
		executions_detach(call->context->executions, &waiter->id);
}

static int rejoin_look(struct context *context, const char *text, const struct id *id,
                       struct record *ret, struct tn_error *err)
{
	int r = wait_look(context, text, id, ret, err);

	if (r == 0 && executions_runs(context->executions, id) &&
	    !executions_is_orphan(context->executions, id))
		return err_refuse(err, TN_STATE, "execution %s has not lost its caller", text);
	return r;
}

static int handle_rejoin(struct call *call, struct tn_error *err)
{
	const struct wait_arguments *arguments = call->arguments;
	struct record record = { 0 };
	struct id id;
	int r = lookup_id(arguments->id, &id, err);

	if (r == 0)
		r = rejoin_look(call->context, arguments->id, &id, &record, err);
	if (r < 0)
		return r;
	if (r == 1) {
		call_reply(call, encode_exited(&record, ""));
		return 0;
	}
	r = wait_begin(call, &id,
	               (struct execution_waiter){ .owns = true,
	                                          .ended = rejoin_on_ended,
	                                          .started = rejoin_on_started },
	               rejoin_abandoned, err);
	if (r < 0)
		return r;
	call_set_executing(call, true);
	call_reply_more(call,
	                json_pack("{s:s, s:s, s:b}", "event", "rejoined", "id", arguments->id,
	                          "started",
	                          executions_has_started(call->context->executions, &id)));
	return 0;
}

const struct method methods_wait[] = {
	{ "io.tenantd.Wait", handle_wait, 0, wait_params, sizeof(struct wait_arguments) },
	{ "io.tenantd.Rejoin", handle_rejoin, METHOD_STREAMS, wait_params,
	  sizeof(struct wait_arguments) },
	{ .name = NULL },
};
