/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Run: it holds its connection until the execution has ended: the
 * first reply says that the workload has been executed, the last holds its record.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <base/clock.h>
#include <base/fd.h>
#include <policy/units.h>

#include "../identity.h"
#include "command.h"
#include "connection.h"
#include "encode.h"
#include "lookup.h"
#include "methods.h"
#include "rights.h"

static_assert(COMMAND_FDS_N + SPEC_BINDS_MAX <= SPEC_FDS_MAX, "all of them cross the channel");

struct run_arguments {
	const char *tenant;
	struct command_arguments command;
	struct plan_narrowing limits;
	json_t *binds;
	int64_t queue_usec_max;
	bool dry_run;
	const char *id;
	const char *user;
	json_t *tmpfs;
	bool read_only;
	bool no_init;
	bool detached;
	const char *name;
};

#define LIMIT_ROW(field)                                                                       \
	{                                                                                      \
		.name = #field, .kind = PARAM_INT,                                             \
		.offset = offsetof(struct plan_narrowing, field)                               \
	}

static const struct param limits_params[] = {
	LIMIT_ROW(memory_max_bytes),
	LIMIT_ROW(cpu_quota_usec),
	LIMIT_ROW(tasks_max),
	LIMIT_ROW(runtime_usec_max),
	LIMIT_ROW(kill_after_usec),
	LIMIT_ROW(cpu_usec_max),
	{ .name = NULL },
};

#define RUN_AT(field) .offset = offsetof(struct run_arguments, field)

static const struct param run_params[] = {
	{ .name = "tenant", .kind = PARAM_STRING, .required = true, RUN_AT(tenant) },
	COMMAND_ROWS(struct run_arguments, command),
	{ .name = "limits", .kind = PARAM_STRUCT, .fields = limits_params, RUN_AT(limits) },
	{ .name = "binds", .kind = PARAM_JSON, .json = JSON_ARRAY, RUN_AT(binds) },
	{ .name = "queue_usec_max", .kind = PARAM_INT, RUN_AT(queue_usec_max) },
	{ .name = "dry_run", .kind = PARAM_BOOL, RUN_AT(dry_run) },
	{ .name = "id", .kind = PARAM_STRING, RUN_AT(id) },
	{ .name = "user", .kind = PARAM_STRING, .max = PLAN_USER_BYTES_MAX - 1, RUN_AT(user) },
	{ .name = "tmpfs", .kind = PARAM_JSON, .json = JSON_ARRAY, RUN_AT(tmpfs) },
	{ .name = "read_only", .kind = PARAM_BOOL, RUN_AT(read_only) },
	{ .name = "no_init", .kind = PARAM_BOOL, RUN_AT(no_init) },
	{ .name = "detached", .kind = PARAM_BOOL, RUN_AT(detached) },
	{ .name = "name", .kind = PARAM_STRING, .max = NAME_BYTES_MAX - 1, RUN_AT(name) },
	{ .name = NULL },
};

struct bind_arguments {
	int64_t fd;
	const char *target;
	bool writable;
};

static const struct param bind_params[] = {
	{ .name = "fd",
	  .kind = PARAM_INT,
	  .required = true,
	  .offset = offsetof(struct bind_arguments, fd) },
	{ .name = "target",
	  .kind = PARAM_STRING,
	  .required = true,
	  .max = SPEC_PATH_BYTES_MAX - 1,
	  .offset = offsetof(struct bind_arguments, target) },
	{ .name = "writable",
	  .kind = PARAM_BOOL,
	  .offset = offsetof(struct bind_arguments, writable) },
	{ .name = NULL },
};

struct tmpfs_arguments {
	const char *target;
	int64_t bytes_max;
};

static const struct param tmpfs_params[] = {
	{ .name = "target",
	  .kind = PARAM_STRING,
	  .required = true,
	  .max = SPEC_PATH_BYTES_MAX - 1,
	  .offset = offsetof(struct tmpfs_arguments, target) },
	{ .name = "bytes_max",
	  .kind = PARAM_INT,
	  .offset = offsetof(struct tmpfs_arguments, bytes_max) },
	{ .name = NULL },
};

/* What a Run needs while it runs, and the descriptors as long as it may have to wait. */
struct run {
	struct admission_request admission; /* first: an admission's run is at its place */
	struct call *call;
	struct tenant *tenant;
	const struct policy_tier *tier; /* of the policy it was planned by */
	struct plan plan;
	struct id id; /* the execution's, of the caller's choice or ours */
	struct actor actor;
	bool launched;
	bool log_begun; /* its log goes if it is not launched */
	struct id log_tenant;
	struct command command;
	struct spec_bind binds[SPEC_BINDS_MAX];
	uint32_t binds_n;
	struct spec_tmpfs tmpfs[SPEC_TMPFS_MAX];
	uint32_t tmpfs_n;
};

static void run_free(void *state)
{
	struct run *run = state;

	if (run->log_begun)
		logbook_drop(&run->call->context->logbook, &run->log_tenant, &run->id);
	command_done(&run->command);
	free(run);
}

static int run_take_bind(struct call *call, struct run *run, json_t *json, struct tn_error *err)
{
	struct spec_bind *bind = &run->binds[run->binds_n];
	struct bind_arguments arguments;
	char bad[PARAMS_NAME_BYTES_MAX];
	int r = params_parse(json, bind_params, &arguments, bad, err);

	if (r == 0)
		r = command_take_fd(call, &run->command, arguments.fd, "bind", err);
	if (r == 0)
		r = plan_bind(run->tier, run->command.fds[run->command.fds_n - 1],
		              arguments.target, arguments.writable, err);
	if (r < 0)
		return r;
	(void)snprintf(bind->target, sizeof(bind->target), "%s", arguments.target);
	bind->writable = arguments.writable;
	run->binds_n++;
	return 0;
}

/* It has no stream of the caller's: those it has are made when it is launched. */
static int run_take_detached(struct run *run, const struct run_arguments *arguments,
                             struct tn_error *err)
{
	if (run->command.tty)
		return err_refuse(err, TN_INVALID, "a terminal cannot be left to itself");
	for (size_t i = 0; i < COMMAND_ARGS; i++) {
		if (arguments->command.fds[i] != PARAMS_ABSENT)
			return err_refuse(err, TN_INVALID,
			                  "stdin, stdout and stderr of a detached command are "
			                  "not the caller's");
		run->command.fds[run->command.fds_n++] = FD_NONE;
	}
	return 0;
}

static int run_take_tmpfs(struct run *run, json_t *json, struct tn_error *err)
{
	struct tmpfs_arguments arguments;
	char bad[PARAMS_NAME_BYTES_MAX];
	int r = params_parse(json, tmpfs_params, &arguments, bad, err);

	if (r == 0)
		r = plan_tmpfs(&run->plan, arguments.target, arguments.bytes_max,
		               &run->tmpfs[run->tmpfs_n], err);
	if (r == 0)
		run->tmpfs_n++;
	return r;
}

/* What says how to run, whether it is run or only planned. */
static int run_take_options(struct run *run, const struct run_arguments *arguments,
                            struct tn_error *err)
{
	int r = plan_user(&run->plan, arguments->user, err);

	run->tmpfs_n = 0;
	if (arguments->read_only)
		run->plan.flags |= SPEC_LAUNCH_READ_ONLY;
	if (arguments->no_init)
		run->plan.flags |= SPEC_LAUNCH_NO_INIT;
	if (r == 0 && json_array_size(arguments->tmpfs) > SPEC_TMPFS_MAX)
		r = err_refuse(err, TN_INVALID, "more than %d tmpfs", SPEC_TMPFS_MAX);
	for (size_t i = 0; r == 0 && i < json_array_size(arguments->tmpfs); i++)
		r = run_take_tmpfs(run, json_array_get(arguments->tmpfs, i), err);
	return r;
}

static int run_take_fds(struct call *call, struct run *run, struct tn_error *err)
{
	const struct run_arguments *arguments = call->arguments;
	int r = command_take_terminal(&run->command, &arguments->command, err);

	if (r == 0 && arguments->detached)
		r = run_take_detached(run, arguments, err);
	if (r == 0)
		r = command_take(call, &run->command, &arguments->command, !arguments->detached,
		                 err);
	if (r == 0 && json_array_size(arguments->binds) > SPEC_BINDS_MAX)
		r = err_refuse(err, TN_INVALID, "more than %d binds", SPEC_BINDS_MAX);
	for (size_t i = 0; r == 0 && i < json_array_size(arguments->binds); i++)
		r = run_take_bind(call, run, json_array_get(arguments->binds, i), err);
	return r < 0 ? r : command_check_rest(call, err);
}

static json_t *unenforced_list(const struct context *context)
{
	const char *names[CONTEXT_UNENFORCED_MAX];
	size_t n = context_unenforced(context, names);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(list, json_string(names[i]));
	return list;
}

static void run_on_started(void *userdata, const struct record *record, int terminal)
{
	struct call *call = userdata;
	const struct run_arguments *arguments = call->arguments;
	struct run *run = call->state;
	json_t *index = run->command.tty && terminal >= 0 ? json_integer(0) : json_null();
	char id[ID_TEXT_BYTES];
	json_t *reply;

	command_done(&run->command);
	run->log_begun = false;
	id_format(&record->id, id);
	reply = json_pack("{s:s, s:s, s:o, s:o, s:o}", "event", "started", "id", id,
	                  "execution", encode_record(record), "terminal", index, "unenforced",
	                  unenforced_list(call->context));
	if (!arguments->detached) {
		call_reply_more_with_fd(call, reply, run->command.tty ? terminal : FD_NONE);
		return;
	}
	executions_release(call->context->executions, &run->id);
	call_reply(call, reply);
}

static void run_on_exited(void *userdata, const struct record *record, const char *why)
{
	call_reply(userdata, encode_exited(record, why));
}

/* The kernel refused, by one of its two counters; it does not tell the one of processes. */
static void run_quota(const struct call *call, const struct tn_error *err,
                      struct call_quota *ret)
{
	const struct run *run = call->state;
	const struct spec_tenant_limits *limits = &run->plan.tenant;

	/* It has said which. */
	if (run->call->meter[0] != '\0')
		return;
	if (err->sys_errno == EAGAIN)
		*ret = (struct call_quota){
			.meter = "tasks",
			.limit = limits->tasks_max,
			.used = limits->tasks_max,
			.requested = 1,
		};
	else
		*ret = (struct call_quota){
			.meter = "executions",
			.limit = limits->executions_max,
			.used = (int64_t)run->tenant->executions_n,
			.requested = 1,
		};
}

/* The last answer to a Run that was not launched. */
static void run_fail(struct call *call, const struct tn_error *err)
{
	if (err->code == TN_QUOTA)
		run_quota(call, err, &call->quota);
	call_fail(call, err);
}

static void run_on_refused(void *userdata, const struct tn_error *why)
{
	struct call *call = userdata;
	struct run *run = call->state;
	struct tn_error err = *why;

	run->launched = false;
	if (executions_lack_room(why) &&
	    admission_refused(call->context->admission, &run->admission, &err) == 0)
		return;
	run_fail(call, &err);
}

static const struct execution_client run_client = {
	.started = run_on_started,
	.exited = run_on_exited,
	.refused = run_on_refused,
};

static void run_abandoned(struct call *call)
{
	struct run *run = call->state;

	if (run->launched)
		executions_detach(call->context->executions, &run->id);
	else
		admission_leave(call->context->admission, &run->admission);
}

/* What a detached one writes is kept from its first byte on. */
static int run_log(struct call *call, struct run *run, struct tn_error *err)
{
	const struct run_arguments *arguments = call->arguments;
	const struct tenant_row *row = &run->tenant->row;
	struct ring_about about = {
		.tenant = row->id,
		.execution = run->id,
		.bytes_max = run->tier->limits.log_bytes_max,
		.sink = run->tier->log == POLICY_LOG_JOURNAL ? RING_JOURNAL : RING_FILE,
	};
	int r;

	if (!arguments->detached || run->log_begun)
		return 0;
	(void)snprintf(about.tenant_name, sizeof(about.tenant_name), "%s", row->name);
	(void)snprintf(about.name, sizeof(about.name), "%s",
	               arguments->name != NULL ? arguments->name : "");
	r = logbook_begin(&call->context->logbook, &about, run->command.fds, err);
	run->log_begun = r == 0;
	run->log_tenant = row->id;
	return r;
}

static int run_launch(struct call *call, struct run *run, struct tn_error *err)
{
	const struct run_arguments *arguments = call->arguments;
	struct execution_request request = {
		.tenant = run->tenant,
		.id = run->id,
		.name = arguments->name,
		.detached = arguments->detached,
		.actor = run->actor,
		.plan = &run->plan,
		.policy_hash = policy_hash(call->context->policies.present),
		.argc = (uint32_t)arguments->command.argc,
		.envc = (uint32_t)arguments->command.envc,
		.args_bytes = run->command.args_bytes,
		.tty = run->command.tty,
		.tty_rows = run->command.tty ? (uint32_t)arguments->command.terminal.rows : 0,
		.tty_cols = run->command.tty ? (uint32_t)arguments->command.terminal.cols : 0,
		.fds = run->command.fds,
		.fds_n = run->command.fds_n,
		.binds = run->binds,
		.binds_n = run->binds_n,
		.tmpfs = run->tmpfs,
		.tmpfs_n = run->tmpfs_n,
	};
	int r = run_log(call, run, err);

	if (r == 0)
		r = executions_launch(call->context->executions, &request, &run_client, call,
		                      err);
	if (r < 0)
		return r;
	run->launched = true;
	call->abandoned = run_abandoned;
	call_set_executing(call, true);
	/* tenantd has its own; ours would keep the client's pipes open. But one that may have
	 * to wait needs them again. */
	if (run->admission.wait_usec_max <= 0)
		command_done(&run->command);
	return 0;
}

static json_t *run_options(const struct call *call, const struct run *run)
{
	const struct run_arguments *arguments = call->arguments;
	json_t *list = json_array();
	char text[SPEC_PATH_BYTES_MAX + PLAN_VALUE_BYTES_MAX], size[PLAN_VALUE_BYTES_MAX];

	(void)snprintf(text, sizeof(text), "%u:%u", run->plan.uid, run->plan.gid);
	(void)encode_limit(list, "user", text, arguments->user != NULL ? "--user" : "default");
	(void)encode_limit(list, "read_only", arguments->read_only ? "yes" : "no",
	                   arguments->read_only ? "--read-only" : "default");
	(void)encode_limit(list, "init", arguments->no_init ? "no" : "yes",
	                   arguments->no_init ? "--no-init" : "default");
	for (uint32_t i = 0; i < run->tmpfs_n; i++) {
		units_bytes_format(run->tmpfs[i].bytes_max, size, sizeof(size));
		(void)snprintf(text, sizeof(text), "%s:%s", run->tmpfs[i].target, size);
		(void)encode_limit(list, "tmpfs", text, "--tmpfs");
	}
	return list;
}

/*
 * What the tenant's tier makes of the request, as policy is now. Done again when the turn of
 * one that waited has come, so that everything that parameters make of the plan belongs here.
 */
static int run_plan(struct call *call, struct run *run, struct tn_error *err)
{
	const struct run_arguments *arguments = call->arguments;
	int r = tenants_tier(call->context->tenants, run->tenant, &run->tier, err);

	if (r == 0)
		r = plan_resolve(run->tier, &arguments->limits, &run->plan, err);
	return r < 0 ? r : run_take_options(run, arguments, err);
}

static int run_check_active(const struct run *run, struct tn_error *err)
{
	if (run->tenant->leaving && run->tenant->row.status == TENANT_ACTIVE)
		return err_refuse(err, TN_STATE, "tenant '%s' is being deleted",
		                  run->tenant->row.name);
	if (run->tenant->row.status == TENANT_ACTIVE)
		return 0;
	return err_refuse(err, TN_STATE, "tenant '%s' is %s", run->tenant->row.name,
	                  tenant_status_name(run->tenant->row.status));
}

static struct run *run_of(struct admission_request *request)
{
	return (struct run *)(void *)request;
}

/* Of what the kernel measures something is used up. */
static int run_check_quotas(struct run *run, struct tn_error *err)
{
	const struct context *context = run->call->context;
	struct quota_exhausted exhausted;
	int r = quota_admits(context->tenants, context->journal, context->store, run->tenant,
	                     clock_usec(CLOCK_REALTIME), &exhausted, err);

	if (r < 0 && err->code == TN_QUOTA) {
		memcpy(run->call->meter, exhausted.meter, sizeof(run->call->meter));
		run->call->quota = (struct call_quota){ run->call->meter, exhausted.limit,
			                                exhausted.used, 1, exhausted.reset_at };
	}
	return r;
}

/* Its turn has come. What was true when it asked may not be any more. */
static int run_on_turn(struct admission_request *request, struct tn_error *err)
{
	struct run *run = run_of(request);
	const int *binds = run->command.fds + run->command.fds_n -
	                   run->binds_n; /* the last of them */
	int r = 0;

	r = run_check_quotas(run, err);
	if (r < 0 || request->since == 0)
		return r < 0 ? r : run_launch(run->call, run, err);
	r = rights_check(run->call->context, &run->call->connection->peer,
	                 run->call->method->name,
	                 json_object_get(run->call->message.json, "parameters"), err);
	if (r >= 0)
		r = run_check_active(run, err);
	if (r == 0)
		r = run_plan(run->call, run, err);
	for (uint32_t i = 0; r == 0 && i < run->binds_n; i++)
		r = plan_bind(run->tier, binds[i], run->binds[i].target,
		              run->binds[i].writable != 0, err);
	return r < 0 ? r : run_launch(run->call, run, err);
}

static void run_on_queued(struct admission_request *request, size_t before)
{
	struct call *call = run_of(request)->call;

	call->abandoned = run_abandoned;
	call_set_executing(call, true);
	call_reply_more(call, json_pack("{s:s, s:I}", "event", "queued", "waiting_before",
	                                (json_int_t)before));
}

static void run_on_ended(struct admission_request *request, const struct tn_error *why)
{
	run_fail(run_of(request)->call, why);
}

static const struct admission_client run_admission = {
	.launch = run_on_turn,
	.queued = run_on_queued,
	.ended = run_on_ended,
};

static int run_reply_plan(struct call *call, const struct run *run, struct tn_error *err)
{
	struct spec_launch launch = { 0 };
	int r = plan_environment(&run->plan, run->tenant->row.name, &launch, err);

	if (r < 0)
		return r;
	call_reply(call, json_pack("{s:s, s:s, s:o, s:o, s:o, s:s, s:o}", "event", "plan",
	                           "tier", run->tier->name, "limits", encode_limits(&run->plan),
	                           "options", run_options(call, run), "environment",
	                           encode_strings(launch.env, launch.env_n), "policy_hash",
	                           policy_hash_hex(call->context->policies.present),
	                           "unenforced", unenforced_list(call->context)));
	return 0;
}

int execution_id_take(struct context *context, const char *text, struct id *ret,
                      struct tn_error *err)
{
	struct store *store = context->store;
	struct record record;
	int r = lookup_id(text, ret, err);

	if (r == 0)
		r = executions_runs(context->executions, ret) ||
		    journal_waits(context->journal, ret);
	if (r == 0)
		r = store->ops->execution_by_id(store, ret, &record, err);
	return r == 1 ? err_refuse(err, TN_EXISTS, "the execution's id is taken") : r;
}

/* An id that the caller has chosen, so that it can be asked for by that whatever comes. */
static int run_take_id(struct call *call, struct run *run, struct tn_error *err)
{
	const struct run_arguments *arguments = call->arguments;

	if (arguments->name != NULL && !name_valid(arguments->name))
		return err_refuse(err, TN_INVALID,
		                  "'%s' is no name for an execution: it is " NAME_RULE,
		                  arguments->name);
	if (arguments->id == NULL) {
		run->id = identity_new();
		return 0;
	}
	return execution_id_take(call->context, arguments->id, &run->id, err);
}

static int handle_run(struct call *call, struct tn_error *err)
{
	const struct run_arguments *arguments = call->arguments;
	struct context *context = call->context;
	struct run *run = calloc(1, sizeof(*run));
	int r;

	if (run == NULL)
		return err_errno(err, "run a command");
	call->state = run;
	call->free_state = run_free;
	run->call = call;
	run->actor = call_actor(call);
	r = tenants_get(context->tenants, arguments->tenant, &run->tenant, err);
	if (r == 0)
		r = run_plan(call, run, err);
	if (r < 0)
		return r;
	if (arguments->dry_run)
		return run_reply_plan(call, run, err);
	r = run_check_active(run, err);
	if (r < 0)
		return r;
	if (!call->more) {
		call_fail_service(call, "ExpectedMore", json_object());
		return 0;
	}
	r = run_take_id(call, run, err);
	if (r == 0)
		r = run_take_fds(call, run, err);
	if (r < 0)
		return r;
	run->admission.tenant = run->tenant;
	run->admission.client = &run_admission;
	run->admission.wait_usec_max = arguments->queue_usec_max;
	r = admission_enter(context->admission, &run->admission, err);
	if (r < 0 && err->code == TN_QUOTA)
		run_quota(call, err, &call->quota);
	return r;
}

const struct method methods_run[] = {
	{ "io.tenantd.Run", handle_run, METHOD_FDS, run_params, sizeof(struct run_arguments) },
	{ .name = NULL },
};
