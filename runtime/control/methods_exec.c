/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Exec: a further command in an execution that runs. As a Run it holds its connection until
 * it has ended, and Signal, Kill, Wait and Rejoin take its id.
 */
#include <stdlib.h>

#include <base/fd.h>

#include "../identity.h"
#include "command.h"
#include "connection.h"
#include "encode.h"
#include "lookup.h"
#include "methods.h"

struct exec_arguments {
	const char *execution;
	struct command_arguments command;
	const char *user;
	const char *id;
};

static const struct param exec_params[] = {
	{ .name = "execution",
	  .kind = PARAM_STRING,
	  .required = true,
	  .offset = offsetof(struct exec_arguments, execution) },
	COMMAND_ROWS(struct exec_arguments, command),
	{ .name = "user",
	  .kind = PARAM_STRING,
	  .max = PLAN_USER_BYTES_MAX - 1,
	  .offset = offsetof(struct exec_arguments, user) },
	{ .name = "id", .kind = PARAM_STRING, .offset = offsetof(struct exec_arguments, id) },
	{ .name = NULL },
};

struct exec {
	struct command command;
	struct id id; /* its own */
};

static void exec_free(void *state)
{
	struct exec *exec = state;

	command_done(&exec->command);
	free(exec);
}

static void exec_on_started(void *userdata, const struct record *record, int terminal)
{
	struct call *call = userdata;
	const struct exec *exec = call->state;
	const bool tty = exec->command.tty;
	char id[ID_TEXT_BYTES];

	id_format(&record->id, id);
	call_reply_more_with_fd(call,
	                        json_pack("{s:s, s:s, s:o, s:o}", "event", "started", "id", id,
	                                  "execution", encode_record(record), "terminal",
	                                  tty && terminal >= 0 ? json_integer(0) : json_null()),
	                        tty ? terminal : FD_NONE);
}

static void exec_on_exited(void *userdata, const struct record *record, const char *why)
{
	call_reply(userdata, encode_exited(record, why));
}

static void exec_on_refused(void *userdata, const struct tn_error *why)
{
	struct call *call = userdata;

	/* What is counted there is the processes of the leaf. */
	if (why->code == TN_QUOTA)
		call->quota = (struct call_quota){ .meter = "tasks", .requested = 1 };
	call_fail(call, why);
}

static const struct execution_client exec_client = {
	.started = exec_on_started,
	.exited = exec_on_exited,
	.refused = exec_on_refused,
};

static void exec_abandoned(struct call *call)
{
	const struct exec *exec = call->state;

	executions_detach(call->context->executions, &exec->id);
}

static int exec_user(const struct exec_arguments *arguments, struct execution_join *request,
                     struct tn_error *err)
{
	struct plan plan = { 0 };
	int r;

	if (arguments->user == NULL)
		return 0;
	r = plan_user(&plan, arguments->user, err);
	request->as_user = true;
	request->uid = plan.uid;
	request->gid = plan.gid;
	return r;
}

static int exec_take(struct call *call, struct exec *exec, struct execution_join *request,
                     struct tn_error *err)
{
	const struct exec_arguments *arguments = call->arguments;
	const struct command_arguments *command = &arguments->command;
	int r = command_take_terminal(&exec->command, command, err);

	if (r == 0)
		r = command_take(call, &exec->command, command, true, err);
	if (r == 0)
		r = command_check_rest(call, err);
	if (r < 0)
		return r;
	request->argc = (uint32_t)command->argc;
	request->envc = (uint32_t)command->envc;
	request->args_bytes = exec->command.args_bytes;
	request->tty = exec->command.tty;
	request->tty_rows = request->tty ? (uint32_t)command->terminal.rows : 0;
	request->tty_cols = request->tty ? (uint32_t)command->terminal.cols : 0;
	request->fds = exec->command.fds;
	request->fds_n = exec->command.fds_n;
	return 0;
}

static int exec_id(struct call *call, struct exec *exec, struct tn_error *err)
{
	const struct exec_arguments *arguments = call->arguments;

	if (arguments->id != NULL)
		return execution_id_take(call->context, arguments->id, &exec->id, err);
	exec->id = identity_new();
	return 0;
}

static int exec_begin(struct call *call, struct exec *exec, struct execution_join *request,
                      struct tn_error *err)
{
	const struct peer *peer = &call->connection->peer;
	int r = exec_take(call, exec, request, err);

	if (r < 0)
		return r;
	request->id = exec->id;
	request->asked_uid = peer->uid;
	request->asked_pid = peer->pid;
	r = executions_join(call->context->executions, request, &exec_client, call, err);
	/* tenantd has its own; ours would keep the client's pipes open. */
	command_done(&exec->command);
	if (r < 0)
		return r;
	call->abandoned = exec_abandoned;
	call_set_executing(call, true);
	return 0;
}

static int handle_exec(struct call *call, struct tn_error *err)
{
	const struct exec_arguments *arguments = call->arguments;
	struct exec *exec = calloc(1, sizeof(*exec));
	struct execution_join request = { 0 };
	int r;

	if (exec == NULL)
		return err_errno(err, "execute a command");
	call->state = exec;
	call->free_state = exec_free;
	r = lookup_execution(call->context, &call->connection->peer, arguments->execution,
	                     &request.joins, err);
	if (r == 0)
		r = exec_user(arguments, &request, err);
	if (r == 0)
		r = exec_id(call, exec, err);
	return r < 0 ? r : exec_begin(call, exec, &request, err);
}

const struct method methods_exec[] = {
	{ "io.tenantd.Exec", handle_exec, METHOD_FDS | METHOD_STREAMS, exec_params,
	  sizeof(struct exec_arguments) },
	{ .name = NULL },
};
