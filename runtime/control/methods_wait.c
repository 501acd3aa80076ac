/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Wait: for the end of an execution that anybody has started. One that the store takes for
 * running and tenantd has not told of yet, as after a restart, is waited for as well: either
 * tenantd tells how it ended, or it counts as lost.
 */
#include <stdlib.h>

#include "encode.h"
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

static void wait_on_ended(void *userdata, const struct record *record)
{
	struct call *call = userdata;
	const struct wait_arguments *arguments = call->arguments;
	struct tn_error err = { 0 };

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

/* 1 and how it ended; 0 if it has not; or -errno. */
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
	if (r == 0)
		return wait_refuse(text, err);
	return r < 0 ? r : ret->state == RECORD_EXITED;
}

static int handle_wait(struct call *call, struct tn_error *err)
{
	const struct wait_arguments *arguments = call->arguments;
	struct execution_waiter *waiter;
	struct record record;
	struct id id;
	int r;

	if (id_parse(arguments->id, &id) < 0)
		return err_refuse(err, TN_INVALID, "'%.64s' is no execution's id",
		                  arguments->id);
	r = wait_look(call->context, arguments->id, &id, &record, err);
	if (r < 0)
		return r;
	if (r == 1) {
		wait_reply(call, &record);
		return 0;
	}
	waiter = calloc(1, sizeof(*waiter));
	if (waiter == NULL)
		return err_errno(err, "wait for an execution");
	*waiter =
		(struct execution_waiter){ .id = id, .ended = wait_on_ended, .userdata = call };
	call->state = waiter;
	call->free_state = free;
	call->abandoned = wait_abandoned;
	executions_await(call->context->executions, waiter);
	return 0;
}

const struct method methods_wait[] = {
	{ "io.tenantd.Wait", handle_wait, 0, wait_params, sizeof(struct wait_arguments) },
	{ .name = NULL },
};
