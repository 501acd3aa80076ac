/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dispatch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <base/fdpass.h>
#include <base/log.h>

#include "join.h"
#include "notify.h"

static void reply(struct dispatch *d, const struct spec_head *request, const struct id *tenant,
                  const struct spec_slot *slot, const struct tn_error *error)
{
	struct spec_reply message = {
		.head = { sizeof(message), SPEC_REPLY, SPEC_VERSION, request->serial },
		.tenant = *tenant,
		.slot = *slot,
		.error = *error,
	};

	channel_send(d->channel, &message, FD_NONE);
}

/* What came with a message; a handler moves out of @fds what it keeps. */
struct received {
	int *fds;
	size_t fds_n;
};

/* To begin something: a launch, or a command that is to join one. */
union begin {
	struct spec_head head;
	struct spec_launch launch;
	struct spec_join join;
};

static bool is_join(const union begin *request)
{
	return request->head.op == SPEC_JOIN;
}

static const struct id *tenant_of(const union begin *request)
{
	return is_join(request) ? &request->join.tenant : &request->launch.tenant;
}

static const struct id *execution_of(const union begin *request)
{
	return is_join(request) ? &request->join.execution : &request->launch.execution;
}

static void refuse(struct dispatch *d, const union begin *request, const struct tn_error *why)
{
	const struct spec_started refused = {
		.head = { sizeof(refused), SPEC_STARTED, SPEC_VERSION, request->head.serial },
		.tenant = *tenant_of(request),
		.execution = *execution_of(request),
		.not_executed = 1,
		.error = *why,
	};

	channel_send(d->channel, &refused, FD_NONE);
}

static void begin_now(struct dispatch *d, const union begin *request, const int *fds,
                      size_t fds_n)
{
	struct tn_error why = { 0 };
	int r;

	if (is_join(request))
		r = executions_join(d->executions, &request->join, fds, fds_n, &why);
	else
		r = executions_launch(d->executions, &request->launch, fds, fds_n, &why);
	if (r < 0)
		refuse(d, request, &why);
}

/* One that waits, with descriptors of its own. */
struct waiting {
	struct turns_job job;
	struct dispatch *dispatch;
	int fds[SPEC_FDS_MAX];
	size_t fds_n;
	union begin request;
};

static void waiting_drop(void *context)
{
	struct waiting *waiting = context;

	fdpass_close(waiting->fds, waiting->fds_n);
	free(waiting);
}

static bool waiting_is_held(const void *context)
{
	const struct waiting *waiting = context;

	return !is_join(&waiting->request) &&
	       executions_crowded(waiting->dispatch->executions,
	                          &waiting->request.launch.tenant);
}

static void waiting_run(void *context)
{
	struct waiting *waiting = context;
	struct dispatch *d = waiting->dispatch;

	/* Once the controller is gone, its clients are, too. */
	if (d->channel->socket.fd >= 0)
		begin_now(d, &waiting->request, waiting->fds, waiting->fds_n);
	waiting_drop(waiting);
}

static void begin(struct dispatch *d, const void *message, struct received received)
{
	const union begin *request = message;
	struct waiting *waiting = malloc(sizeof(*waiting));

	if (waiting == NULL) {
		begin_now(d, request, received.fds, received.fds_n);
		return;
	}
	waiting->dispatch = d;
	memcpy(&waiting->request, request, request->head.bytes);
	waiting->fds_n = received.fds_n;
	waiting->job = (struct turns_job){ .execution = *execution_of(request),
		                           .run = waiting_run,
		                           .drop = waiting_drop,
		                           .is_held = waiting_is_held,
		                           .context = waiting };
	for (size_t i = 0; i < received.fds_n; i++)
		waiting->fds[i] = fd_take(&received.fds[i]);
	while (d->turns->launches_n >= TURNS_LAUNCHES_MAX)
		turns_run_held(d->turns);
	if (!turns_add(d->turns, tenant_of(request), &waiting->job))
		waiting_run(waiting);
}

/* What is asked of an execution finds all that was asked for its tenant before. */
static void launch_before(struct dispatch *d, const struct id *execution)
{
	struct id tenant;

	if (turns_tenant_of(d->turns, execution, &tenant))
		turns_run_all_of(d->turns, &tenant);
}

/* Nobody is there any more to hear of it: as if it had never been begun. */
static bool launch_forget(struct dispatch *d, const struct id *execution)
{
	const struct turns_job *job = turns_take(d->turns, execution);
	const struct waiting *waiting;
	struct tn_error why = { 0 };

	if (job == NULL)
		return false;
	waiting = job->context;
	(void)err_refuse(&why, TN_STATE, "its client has gone");
	refuse(d, &waiting->request, &why);
	waiting_drop(job->context);
	return true;
}

static void tenant_apply(struct dispatch *d, const void *message, struct received received)
{
	const struct spec_tenant_apply *apply = message;
	struct spec_slot slot = { 0 };
	struct tn_error err = { 0 };

	turns_run_all_of(d->turns, &apply->tenant);
	(void)tenants_apply(d->tenants, apply, received.fds[0], &slot, &err);
	reply(d, &apply->head, &apply->tenant, &slot, &err);
}

static void tenant_squeeze(struct dispatch *d, const void *message, struct received received)
{
	const struct spec_tenant_squeeze *request = message;
	const struct spec_slot none = { 0 };
	struct tn_error err = { 0 };

	(void)received;
	(void)tenants_squeeze(d->tenants, request, &err);
	reply(d, &request->head, &request->tenant, &none, &err);
}

static void tenant_remove(struct dispatch *d, const void *message, struct received received)
{
	const struct spec_tenant_remove *remove = message;
	const struct spec_slot none = { 0 };
	struct tn_error err = { 0 };

	(void)received;
	turns_run_all_of(d->turns, &remove->tenant);
	(void)tenants_remove(d->tenants, &remove->tenant, &err);
	reply(d, &remove->head, &remove->tenant, &none, &err);
}

/* Launches that wait are not begun first: it is not to run more that a tenant is frozen. */
static void tenant_freeze(struct dispatch *d, const void *message, struct received received)
{
	const struct spec_tenant_freeze *request = message;
	const struct spec_slot none = { 0 };
	struct tn_error err = { 0 };

	(void)received;
	if (request->frozen > 1)
		(void)err_refuse(&err, TN_INVALID, "a tenant is frozen or it is not");
	else
		(void)executions_freeze(d->executions, &request->tenant, request->frozen == 1,
		                        &err);
	reply(d, &request->head, &request->tenant, &none, &err);
}

static void tenant_delete(struct dispatch *d, const void *message, struct received received)
{
	const struct spec_tenant_delete *request = message;
	const struct spec_slot none = { 0 };
	struct tn_error err = { 0 };

	(void)received;
	turns_run_all_of(d->turns, &request->tenant);
	if (request->how == SPEC_DELETE_ALL)
		data_servers_end_tenant(d->data, &request->tenant);
	if (request->how > SPEC_DELETE_ALL)
		(void)err_refuse(&err, TN_INVALID, "a tenant is not deleted in the way %u",
		                 request->how);
	else
		(void)tenants_delete(d->tenants, &request->tenant,
		                     (enum spec_delete_how)request->how, &err);
	reply(d, &request->head, &request->tenant, &none, &err);
}

/* What has ended meanwhile can no longer be signalled: not worth a word. */
static void log_failure(int r, const char *what, const struct tn_error *err)
{
	if (r < 0 && err->code != TN_NOT_FOUND && err->sys_errno != ESRCH)
		log_event(LOG_WARNING, what, LF_STR("error", err->msg), LF_END);
}

static void send_signal(struct dispatch *d, const void *message, struct received received)
{
	const struct spec_signal *request = message;
	struct tn_error err = { 0 };

	(void)received;
	launch_before(d, &request->execution);
	log_failure(
		executions_signal(d->executions, &request->execution, request->signal, &err),
		"cannot forward a signal", &err);
}

/* Nobody but an admin gives time: what else ends an execution does so at once. */
static int kill_parse(const struct spec_kill *request, struct kill_how *ret,
                      struct tn_error *err)
{
	*ret = (struct kill_how){ .why = (enum spec_kill_why)request->why };
	if (request->why == SPEC_KILL_NONE || request->why > SPEC_KILL_QUOTA)
		ret->why = SPEC_KILL_ADMIN;
	if (request->grace_usec <= 0 || ret->why != SPEC_KILL_ADMIN)
		return 0;
	ret->grace_usec = request->grace_usec;
	ret->signal = request->signal;
	return execution_signal_check(request->signal, err);
}

static void kill_now(struct dispatch *d, const void *message, struct received received)
{
	const struct spec_kill *request = message;
	struct tn_error err = { 0 };
	struct kill_how how;
	int r = kill_parse(request, &how, &err);

	(void)received;
	if (r < 0) {
		log_failure(r, "cannot end an execution", &err);
		return;
	}
	if (how.why == SPEC_KILL_CLIENT_GONE && !request->whole_tenant &&
	    launch_forget(d, &request->execution))
		return;
	if (request->whole_tenant)
		turns_run_all_of(d->turns, &request->tenant);
	else
		launch_before(d, &request->execution);
	if (request->whole_tenant)
		executions_kill_tenant(d->executions, &request->tenant, &how);
	else
		log_failure(executions_kill(d->executions, &request->execution, &how, &err),
		            "cannot kill an execution", &err);
}

static void settled(struct dispatch *d, const void *message, struct received received)
{
	const struct spec_settled *request = message;

	(void)received;
	executions_settled(d->executions, &request->execution);
}

static void ready(struct dispatch *d, const void *message, struct received received)
{
	(void)d;
	(void)message;
	(void)received;
}

static void status(struct dispatch *d, const void *message, struct received received)
{
	const struct spec_status *request = message;
	char text[SPEC_STATUS_BYTES_MAX + 1] = "";

	(void)d;
	(void)received;
	memcpy(text, request->text, sizeof(request->text));
	notify_status(text);
}

static void reserve(struct dispatch *d, const void *message, struct received received)
{
	(void)received;
	reserve_ask(d->reserve, message);
}

static void data(struct dispatch *d, const void *message, struct received received)
{
	const struct spec_data *request = message;
	struct spec_reply answer = {
		.head = { sizeof(answer), SPEC_REPLY, SPEC_VERSION, request->head.serial },
		.tenant = request->tenant,
	};
	cleanup_fd int fd = FD_NONE;

	(void)received;
	(void)data_servers_start(d->data, request, &fd, &answer.error);
	channel_send(d->channel, &answer, fd);
}

static const struct row {
	enum spec_op op;
	size_t bytes;
	size_t fds_min, fds_max;
	void (*handle)(struct dispatch *d, const void *message, struct received received);
} rows[] = {
	{ SPEC_TENANT_APPLY, sizeof(struct spec_tenant_apply), 1, 1, tenant_apply },
	{ SPEC_TENANT_REMOVE, sizeof(struct spec_tenant_remove), 0, 0, tenant_remove },
	{ SPEC_TENANT_FREEZE, sizeof(struct spec_tenant_freeze), 0, 0, tenant_freeze },
	{ SPEC_TENANT_DELETE, sizeof(struct spec_tenant_delete), 0, 0, tenant_delete },
	{ SPEC_TENANT_SQUEEZE, sizeof(struct spec_tenant_squeeze), 0, 0, tenant_squeeze },
	{ SPEC_LAUNCH, sizeof(struct spec_launch), 1, 4 + SPEC_BINDS_MAX, begin },
	{ SPEC_JOIN, sizeof(struct spec_join), 1, 4, begin },
	{ SPEC_SIGNAL, sizeof(struct spec_signal), 0, 0, send_signal },
	{ SPEC_KILL, sizeof(struct spec_kill), 0, 0, kill_now },
	{ SPEC_SETTLED, sizeof(struct spec_settled), 0, 0, settled },
	{ SPEC_READY, sizeof(struct spec_head), 0, 0, ready },
	{ SPEC_STATUS, sizeof(struct spec_status), 0, 0, status },
	{ SPEC_RESERVE, sizeof(struct spec_reserve), 0, 0, reserve },
	{ SPEC_DATA, sizeof(struct spec_data), 0, 0, data },
};

void dispatch_message(struct dispatch *d, const struct spec_head *message, int *fds,
                      size_t fds_n)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].op == message->op && rows[i].bytes == message->bytes &&
		    fds_n >= rows[i].fds_min && fds_n <= rows[i].fds_max) {
			rows[i].handle(d, message, (struct received){ fds, fds_n });
			return;
		}
	log_event(LOG_ERR, "a message from the controller that fits no request",
	          LF_INT("op", message->op), LF_INT("bytes", message->bytes),
	          LF_INT("fds", (int64_t)fds_n), LF_END);
}
