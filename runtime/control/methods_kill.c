/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signal and Kill. With a time of grace it is tenantd that keeps it: whoever asked may go, and
 * so may we.
 */
#include <signal.h>

#include "connection.h"
#include "lookup.h"
#include "methods.h"

#define SIGNAL_MAX 64

static int signal_check(int64_t signal, struct tn_error *err)
{
	if (signal == 0)
		return err_refuse(err, TN_INVALID, "0 is no signal");
	if (signal == SIGKILL || signal == SIGSTOP)
		return err_refuse(err, TN_INVALID,
		                  "signal %d is not passed on: Kill ends an execution, "
		                  "SuspendTenant stops it",
		                  (int)signal);
	return 0;
}

struct signal_arguments {
	const char *id;
	int64_t signal;
};

static const struct param signal_params[] = {
	{ .name = "id",
	  .kind = PARAM_STRING,
	  .required = true,
	  .offset = offsetof(struct signal_arguments, id) },
	{ .name = "signal",
	  .kind = PARAM_INT,
	  .required = true,
	  .max = SIGNAL_MAX,
	  .offset = offsetof(struct signal_arguments, signal) },
	{ .name = NULL },
};

static int handle_signal(struct call *call, struct tn_error *err)
{
	const struct signal_arguments *arguments = call->arguments;
	struct id id;
	int r = lookup_execution(call->context, &call->connection->peer, arguments->id, &id,
	                         err);

	if (r == 0)
		r = signal_check(arguments->signal, err);
	if (r == 0)
		r = executions_signal(call->context->executions, &id, (int)arguments->signal,
		                      err);
	if (r < 0)
		return r;
	call_reply(call, json_object());
	return 0;
}

struct kill_arguments {
	const char *id;
	const char *tenant;
	int64_t signal;
	int64_t grace_usec;
};

#define KILL_AT(field) .offset = offsetof(struct kill_arguments, field)

static const struct param kill_params[] = {
	{ .name = "id", .kind = PARAM_STRING, KILL_AT(id) },
	{ .name = "tenant", .kind = PARAM_STRING, KILL_AT(tenant) },
	{ .name = "signal", .kind = PARAM_INT, .max = SIGNAL_MAX, KILL_AT(signal) },
	{ .name = "grace_usec", .kind = PARAM_INT, KILL_AT(grace_usec) },
	{ .name = NULL },
};

static int kill_tenant(struct context *context, const char *name,
                       const struct execution_end *how, struct tn_error *err)
{
	struct tenant *tenant;
	int r = tenants_get(context->tenants, name, &tenant, err);

	return r < 0 ? r : executions_kill_all(context->executions, tenant, how, err);
}

static int kill_one(const struct call *call, const char *text, const struct execution_end *how,
                    struct tn_error *err)
{
	struct id id;
	int r = lookup_execution(call->context, &call->connection->peer, text, &id, err);

	if (r == 0)
		r = executions_kill(call->context->executions, &id, how, err);
	return r < 0 ? r : 1;
}

/* A signal alone is not an end: that is Signal's. */
static int kill_how(const struct kill_arguments *arguments, struct execution_end *ret,
                    struct tn_error *err)
{
	*ret = (struct execution_end){ 0 };
	if (arguments->grace_usec == PARAMS_ABSENT && arguments->signal != PARAMS_ABSENT)
		return err_refuse(err, TN_INVALID, "a signal goes with grace_usec: see Signal");
	if (arguments->grace_usec <= 0)
		return 0;
	ret->grace_usec = arguments->grace_usec;
	ret->signal = arguments->signal == PARAMS_ABSENT ? SIGTERM : (int)arguments->signal;
	return signal_check(ret->signal, err);
}

static int handle_kill(struct call *call, struct tn_error *err)
{
	const struct kill_arguments *arguments = call->arguments;
	const struct actor actor = call_actor(call);
	struct execution_end how;
	int r;

	if ((arguments->id == NULL) == (arguments->tenant == NULL))
		return err_refuse(err, TN_INVALID, "either id or tenant must be given");
	r = kill_how(arguments, &how, err);
	if (r < 0)
		return r;
	how.actor = &actor;
	if (arguments->id != NULL)
		r = kill_one(call, arguments->id, &how, err);
	else
		r = kill_tenant(call->context, arguments->tenant, &how, err);
	if (r < 0)
		return r;
	call_reply(call, json_pack("{s:i}", "killed", r));
	return 0;
}

const struct method methods_kill[] = {
	{ "io.tenantd.Signal", handle_signal, METHOD_ASIDE, signal_params,
	  sizeof(struct signal_arguments) },
	{ "io.tenantd.Kill", handle_kill, METHOD_ASIDE, kill_params,
	  sizeof(struct kill_arguments) },
	{ .name = NULL },
};
