/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Drain and Undrain: whether this node launches, and when nothing runs any more. */
#include <stdlib.h>

#include "methods.h"

struct drain_arguments {
	bool wait;
};

static const struct param drain_params[] = {
	{ .name = "wait",
	  .kind = PARAM_BOOL,
	  .offset = offsetof(struct drain_arguments, wait) },
	{ .name = NULL },
};

static void drain_reply(struct call *call)
{
	struct executions *executions = call->context->executions;

	call_reply(call, json_pack("{s:I}", "running",
	                           (json_int_t)executions_count(executions, NULL)));
}

static void drain_on_ended(void *userdata, const struct tn_error *why)
{
	struct call *call = userdata;

	if (why != NULL)
		call_fail(call, why);
	else
		drain_reply(call);
}

static void drain_abandoned(struct call *call)
{
	drain_unawait(call->context->drain, call->state);
}

static int drain_wait(struct call *call, struct tn_error *err)
{
	struct drain_waiter *waiter = calloc(1, sizeof(*waiter));
	int r;

	if (waiter == NULL)
		return err_errno(err, "wait for the end of all");
	*waiter = (struct drain_waiter){ .ended = drain_on_ended, .userdata = call };
	call->state = waiter;
	call->free_state = free;
	r = drain_await(call->context->drain, waiter, err);
	if (r == 0)
		call->abandoned = drain_abandoned;
	if (r > 0)
		drain_reply(call);
	return r < 0 ? r : 0;
}

static int handle_drain(struct call *call, struct tn_error *err)
{
	const struct drain_arguments *arguments = call->arguments;
	const struct actor actor = call_actor(call);
	int r = drain_begin(call->context->drain, &actor, err);

	if (r < 0)
		return r;
	if (arguments->wait)
		return drain_wait(call, err);
	drain_reply(call);
	return 0;
}

static int handle_undrain(struct call *call, struct tn_error *err)
{
	const struct actor actor = call_actor(call);
	int r = drain_end(call->context->drain, &actor, err);

	if (r < 0)
		return r;
	call_reply(call, json_object());
	return 0;
}

const struct method methods_drain[] = {
	{ "io.tenantd.Drain", handle_drain, 0, drain_params, sizeof(struct drain_arguments) },
	{ "io.tenantd.Undrain", handle_undrain, 0, NULL, 0 },
	{ .name = NULL },
};
