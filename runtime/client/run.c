/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A run: one Run call on a connection that nobody else uses meanwhile, and whose end is
 * the run's end. It asks for more; the first reply says that the command has been
 * executed, the last holds the record. Signals go the other way on the same connection,
 * as oneway calls.
 */
#include <tenant/run.h>

#include <poll.h>
#include <stdlib.h>

#include <base/fd.h>
#include <base/id.h>

#include "args.h"
#include "client.h"
#include "record.h"

#define SIGNALS_KEPT_MAX 16

static_assert(TN_RUN_BINDS_MAX + 4 == VARLINK_FDS_MAX, "stdio, arguments and binds fit");

enum run_state {
	RUN_ASKED,
	RUN_STARTED,
	RUN_EXITED,
	RUN_FAILED,
};

/* More than the names of all controllers. */
#define UNENFORCED_BYTES_MAX 128

struct tn_run {
	struct varlink *link;
	struct home *home; /* where link goes once the run is over */
	enum run_state state;
	char id[ID_TEXT_BYTES];
	json_t *last; /* the last reply, which explanation points into */
	const char *explanation;
	char unenforced[UNENFORCED_BYTES_MAX];
	struct tn_execution execution;
	int signals[SIGNALS_KEPT_MAX]; /* for when it has started */
	size_t signals_n;
	bool quota_refused;
	struct tn_quota_error quota;
};

static json_t *pack_limits(const struct tn_run_limits *limits)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "memory_max_bytes",
	                 json_int_or_null(limits->memory_max_bytes), "cpu_quota_usec",
	                 json_int_or_null(limits->cpu_quota_usec), "tasks_max",
	                 json_int_or_null(limits->tasks_max), "runtime_usec_max",
	                 json_int_or_null(limits->runtime_usec_max), "kill_after_usec",
	                 json_int_or_null(limits->kill_after_usec));
}

/* Binds follow stdin, stdout, stderr and the arguments. */
static json_t *pack_binds(const struct tn_run_spec *spec)
{
	json_t *binds = json_array();

	for (size_t i = 0; i < spec->binds_n; i++) {
		json_t *bind = json_pack("{s:i, s:s, s:b}", "fd", (int)i + 4, "target",
		                         spec->binds[i].target, "writable",
		                         spec->binds[i].writable);

		if (json_array_append_new(binds, bind) < 0) {
			json_decref(binds);
			return NULL;
		}
	}
	return binds;
}

static json_t *pack_run(const struct tn_run_spec *spec, const struct args *args)
{
	return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:o, s:o, s:b}", "tenant",
	                 spec->tenant, "stdin", 0, "stdout", 1, "stderr", 2, "args", 3, "argc",
	                 args->argc, "envc", args->envc, "limits", pack_limits(&spec->limits),
	                 "binds", pack_binds(spec), "dry_run", false);
}

static int check_spec(const struct tn_run_spec *spec, struct tn_error *err)
{
	if (spec->binds_n > TN_RUN_BINDS_MAX)
		return err_refuse(err, TN_INVALID, "more than %d paths to bind",
		                  TN_RUN_BINDS_MAX);
	for (size_t i = 0; i < spec->binds_n; i++)
		if (spec->binds[i].target[0] != '/')
			return err_refuse(err, TN_INVALID, "bind to '%s': not an absolute path",
			                  spec->binds[i].target);
	return check_tenant(spec->tenant, err);
}

static int ask(struct tn_run *run, const struct tn_client *client,
               const struct tn_run_spec *spec, struct tn_error *err)
{
	int fds[VARLINK_FDS_MAX] = { spec->stdin_fd, spec->stdout_fd, spec->stderr_fd };
	struct args args;
	int r = args_new(spec, &args, err);

	if (r < 0)
		return r;
	fds[3] = args.fd;
	for (size_t i = 0; i < spec->binds_n; i++)
		fds[4 + i] = spec->binds[i].fd;
	/* Only now: what cannot be asked leaves the connection where it is. */
	r = client_connect(client, &run->link, &run->home, err);
	if (r < 0) {
		fd_closep(&args.fd);
		return r;
	}
	r = connection_call_with_fds(run->link, "Run", pack_run(spec, &args), fds,
	                             4 + spec->binds_n, err);
	fd_closep(&args.fd);
	return r;
}

int tn_run_start(const struct tn_client *client, const struct tn_run_spec *spec,
                 struct tn_run **ret, struct tn_error *err)
{
	struct tn_run *run;
	int r = check_spec(spec, err);

	if (r < 0)
		return r;
	run = calloc(1, sizeof(*run));
	if (run == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "allocate a run");
	r = ask(run, client, spec, err);
	if (r < 0) {
		tn_run_free(run);
		return r;
	}
	*ret = run;
	return 0;
}

struct tn_run *tn_run_free(struct tn_run *run)
{
	if (run == NULL)
		return NULL;
	tn_execution_done(&run->execution);
	json_decref(run->last);
	if (run->state == RUN_EXITED)
		home_put(run->home, run->link);
	else
		varlink_free(run->link);
	(void)home_free(run->home);
	free(run);
	return NULL;
}

int tn_run_fd(const struct tn_run *run)
{
	return varlink_fd(run->link);
}

short tn_run_events(const struct tn_run *run)
{
	return varlink_events(run->link);
}

static int send_signal(struct tn_run *run, int signal, struct tn_error *err)
{
	return connection_call(run->link, "Signal",
	                       json_pack("{s:s, s:i}", "id", run->id, "signal", signal),
	                       CONNECTION_ONEWAY, err);
}

/* "cpu, memory"; what does not fit is left out. */
static void read_unenforced(struct tn_run *run, const json_t *names)
{
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));

		if (name == NULL || n + strlen(name) + sizeof(", ") > sizeof(run->unenforced))
			continue;
		n += (size_t)snprintf(run->unenforced + n, sizeof(run->unenforced) - n, "%s%s",
		                      n > 0 ? ", " : "", name);
	}
}

static int on_started(struct tn_run *run, const json_t *parameters, struct tn_error *err)
{
	const char *id = json_string_value(json_object_get(parameters, "id"));
	struct id ignored;
	int r = 0;

	if (run->state != RUN_ASKED || id == NULL || id_parse(id, &ignored) < 0)
		return err_refuse(err, TN_PROTOCOL, "the daemon's reply does not name the run");
	memcpy(run->id, id, sizeof(run->id)); /* as long as every UUID */
	read_unenforced(run, json_object_get(parameters, "unenforced"));
	run->state = RUN_STARTED;
	for (size_t i = 0; r == 0 && i < run->signals_n; i++)
		r = send_signal(run, run->signals[i], err);
	return r < 0 ? r : TN_RUN_STARTED;
}

/* It may be the first reply too: a command that could not be executed never started. */
static int on_exited(struct tn_run *run, json_t *parameters, struct tn_error *err)
{
	int r = record_read(tn_execution_fields(), json_object_get(parameters, "execution"),
	                    &run->execution, sizeof(run->execution), err);

	if (r < 0)
		return r;
	run->last = json_incref(parameters);
	run->explanation = json_string_value(json_object_get(parameters, "explanation"));
	run->state = RUN_EXITED;
	return TN_RUN_EXITED;
}

static int on_event(struct tn_run *run, json_t *parameters, bool continues,
                    struct tn_error *err)
{
	const char *event = json_string_value(json_object_get(parameters, "event"));

	if (event != NULL && continues && strcmp(event, "started") == 0)
		return on_started(run, parameters, err);
	if (event != NULL && !continues && strcmp(event, "exited") == 0)
		return on_exited(run, parameters, err);
	return err_refuse(err, TN_PROTOCOL, "the daemon's reply is no event of a run");
}

static int next_event(struct tn_run *run, struct tn_error *err)
{
	json_t *parameters;
	bool continues;
	int r = connection_reply(run->link, &parameters, &continues, &run->quota, err);

	if (r == 0) {
		r = varlink_process(run->link, err);
		if (r < 0 && r != -EPIPE)
			return r;
		if (r == -EPIPE)
			return err_set(err, TN_UNREACHABLE, EPIPE,
			               "tenantd went away before the run had ended");
		r = connection_reply(run->link, &parameters, &continues, &run->quota, err);
	}
	if (r <= 0)
		return r;
	r = on_event(run, parameters, continues, err);
	json_decref(parameters);
	return r;
}

int tn_run_process(struct tn_run *run, struct tn_error *err)
{
	int r;

	if (run->state == RUN_EXITED)
		return TN_RUN_NOTHING;
	if (run->state == RUN_FAILED)
		return err_refuse(err, TN_STATE, "the run has failed");
	r = next_event(run, err);
	if (r < 0) {
		run->state = RUN_FAILED;
		run->quota_refused = err->code == TN_QUOTA;
	}
	return r;
}

int tn_run_wait(struct tn_run *run, struct tn_error *err)
{
	while (run->state != RUN_EXITED) {
		int r = tn_run_process(run, err);
		struct pollfd pollfd = { .fd = tn_run_fd(run), .events = tn_run_events(run) };

		if (r < 0)
			return r;
		if (r == TN_RUN_NOTHING && poll(&pollfd, 1, -1) < 0 && errno != EINTR)
			return err_errno(err, "wait for the run: %s", strerror(errno));
	}
	return 0;
}

int tn_run_signal(struct tn_run *run, int signal, struct tn_error *err)
{
	if (run->state == RUN_STARTED)
		return send_signal(run, signal, err);
	if (run->state != RUN_ASKED)
		return err_set(err, TN_STATE, ESRCH, "the run has ended");
	if (run->signals_n == SIGNALS_KEPT_MAX)
		return err_set(err, TN_STATE, EAGAIN,
		               "too many signals before the run started");
	run->signals[run->signals_n++] = signal;
	return 0;
}

const char *tn_run_id(const struct tn_run *run)
{
	return run->id[0] != '\0' ? run->id : NULL;
}

const struct tn_execution *tn_run_execution(const struct tn_run *run)
{
	return run->state == RUN_EXITED ? &run->execution : NULL;
}

const char *tn_run_explanation(const struct tn_run *run)
{
	return run->explanation;
}

const char *tn_run_unenforced(const struct tn_run *run)
{
	return run->unenforced[0] != '\0' ? run->unenforced : NULL;
}

const struct tn_quota_error *tn_run_quota_error(const struct tn_run *run)
{
	return run->quota_refused ? &run->quota : NULL;
}

int tn_run_plan_start(struct tn_client *client, const struct tn_run_spec *spec,
                      struct tn_plan *ret, struct tn_error *err)
{
	const struct call call = {
		.on_reply = client_on_record,
		.ret = ret,
		.ret_fields = tn_plan_fields(),
		.ret_size = sizeof(*ret),
	};
	int r = check_tenant(spec->tenant, err);

	if (r < 0)
		return r;
	return client_start(client, "Run",
	                    json_pack("{s:s, s:n, s:n, s:n, s:n, s:i, s:i, s:o, s:[], s:b}",
	                              "tenant", spec->tenant, "stdin", "stdout", "stderr",
	                              "args", "argc", 0, "envc", 0, "limits",
	                              pack_limits(&spec->limits), "binds", "dry_run", true),
	                    CONNECTION_ONE, &call, err);
}

int tn_run_plan(struct tn_client *client, const struct tn_run_spec *spec, struct tn_plan *ret,
                struct tn_error *err)
{
	return client_finish(client, tn_run_plan_start(client, spec, ret, err), err);
}
