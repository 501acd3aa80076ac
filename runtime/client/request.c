/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "request.h"

#include "client.h"

static_assert(TN_RUN_BINDS_MAX + 4 == VARLINK_FDS_MAX, "stdio, arguments and binds fit");

/* NULL, which "o*" leaves out, if it is not asked for: each word is read by the daemon, too. */
static json_t *asked(int64_t number)
{
	return number == TN_ABSENT ? NULL : json_integer(number);
}

static json_t *pack_limits(const struct tn_run_limits *limits)
{
	return json_pack("{s:o*, s:o*, s:o*, s:o*, s:o*, s:o*}", "memory_max_bytes",
	                 asked(limits->memory_max_bytes), "cpu_quota_usec",
	                 asked(limits->cpu_quota_usec), "tasks_max", asked(limits->tasks_max),
	                 "runtime_usec_max", asked(limits->runtime_usec_max), "kill_after_usec",
	                 asked(limits->kill_after_usec), "cpu_usec_max",
	                 asked(limits->cpu_usec_max));
}

int request_stdio_n(const struct tn_run_spec *spec)
{
	return spec->tty || spec->detached ? 0 : 3;
}

static json_t *pack_binds(const struct tn_run_spec *spec)
{
	json_t *binds = json_array();

	for (size_t i = 0; i < spec->binds_n; i++) {
		json_t *bind = json_pack(
			"{s:i, s:s, s:b}", "fd", request_stdio_n(spec) + 1 + (int)i, "target",
			spec->binds[i].target, "writable", spec->binds[i].writable);

		if (json_array_append_new(binds, bind) < 0) {
			json_decref(binds);
			return NULL;
		}
	}
	return binds;
}

static json_t *pack_tmpfs(const struct tn_run_spec *spec)
{
	json_t *list = json_array();

	for (size_t i = 0; i < spec->tmpfs_n; i++) {
		json_t *tmpfs = json_pack("{s:s, s:o}", "target", spec->tmpfs[i].target,
		                          "bytes_max",
		                          json_int_or_null(spec->tmpfs[i].bytes_max));

		if (json_array_append_new(list, tmpfs) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* Add what says how to run, whether it is run or only planned. */
static json_t *add_options(json_t *parameters, const struct tn_run_spec *spec)
{
	json_t *options = json_pack("{s:s*, s:o, s:b, s:b}", "user", spec->user, "tmpfs",
	                            pack_tmpfs(spec), "read_only", spec->read_only, "no_init",
	                            spec->no_init);
	int r = json_object_update(parameters, options);

	json_decref(options);
	if (r == 0)
		return parameters;
	json_decref(parameters);
	return NULL;
}

/* Where it reads and writes. */
static json_t *pack_streams(const struct tn_run_spec *spec)
{
	if (spec->detached)
		return json_pack("{s:b}", "detached", true);
	if (spec->tty)
		return json_pack("{s:{s:i, s:i}}", "terminal", "rows", spec->tty_rows, "cols",
		                 spec->tty_cols);
	return json_pack("{s:i, s:i, s:i}", "stdin", 0, "stdout", 1, "stderr", 2);
}

json_t *request_pack(const struct tn_run_spec *spec, const struct args *args, const char *id)
{
	/* Daemons that do not know of waiting are not told unless it is wanted. */
	json_t *queue = spec->queue_usec_max > 0 ? json_integer(spec->queue_usec_max) : NULL;
	json_t *run = json_pack("{s:s, s:s*}", "tenant", spec->tenant, "name", spec->name);
	json_t *streams = pack_streams(spec);
	json_t *rest = json_pack(
		"{s:i, s:i, s:i, s:o, s:o, s:o*, s:b, s:s}", "args", request_stdio_n(spec),
		"argc", args->argc, "envc", args->envc, "limits", pack_limits(&spec->limits),
		"binds", pack_binds(spec), "queue_usec_max", queue, "dry_run", false, "id", id);

	if (json_object_update(run, streams) < 0 || json_object_update(run, rest) < 0) {
		json_decref(run);
		run = NULL;
	}
	json_decref(streams);
	json_decref(rest);
	return add_options(run, spec);
}

json_t *request_pack_exec(const struct tn_run_spec *spec, const struct args *args,
                          const char *execution, const char *id)
{
	json_t *parameters = json_pack("{s:s, s:i, s:i, s:i, s:s*, s:s}", "execution",
	                               execution, "args", request_stdio_n(spec), "argc",
	                               args->argc, "envc", args->envc, "user", spec->user, "id",
	                               id);
	json_t *streams = pack_streams(spec);
	int r = json_object_update(parameters, streams);

	json_decref(streams);
	if (r == 0)
		return parameters;
	json_decref(parameters);
	return NULL;
}

json_t *request_pack_plan(const struct tn_run_spec *spec)
{
	json_t *parameters = json_pack("{s:s, s:n, s:n, s:n, s:n, s:i, s:i, s:o, s:[], s:b}",
	                               "tenant", spec->tenant, "stdin", "stdout", "stderr",
	                               "args", "argc", 0, "envc", 0, "limits",
	                               pack_limits(&spec->limits), "binds", "dry_run", true);

	return add_options(parameters, spec);
}

int request_check_plan(const struct tn_run_spec *spec, struct tn_error *err)
{
	if (spec->tmpfs_n > TN_RUN_TMPFS_MAX)
		return err_refuse(err, TN_INVALID, "more than %d tmpfs", TN_RUN_TMPFS_MAX);
	for (size_t i = 0; i < spec->tmpfs_n; i++)
		if (spec->tmpfs[i].target[0] != '/')
			return err_refuse(err, TN_INVALID,
			                  "tmpfs on '%s': not an absolute path",
			                  spec->tmpfs[i].target);
	return check_tenant(spec->tenant, err);
}

int request_check_exec(const struct tn_exec_spec *spec, struct tn_error *err)
{
	if (spec->execution == NULL)
		return err_refuse(err, TN_INVALID, "no execution to join");
	if (spec->tty && spec->capture != NULL)
		return err_refuse(err, TN_INVALID, "what a terminal says is not captured");
	return check_id(spec->execution, err);
}

int request_check(const struct tn_run_spec *spec, struct tn_error *err)
{
	if (spec->binds_n > TN_RUN_BINDS_MAX)
		return err_refuse(err, TN_INVALID, "more than %d paths to bind",
		                  TN_RUN_BINDS_MAX);
	for (size_t i = 0; i < spec->binds_n; i++)
		if (spec->binds[i].target[0] != '/')
			return err_refuse(err, TN_INVALID, "bind to '%s': not an absolute path",
			                  spec->binds[i].target);
	if (spec->tty && spec->capture != NULL)
		return err_refuse(err, TN_INVALID, "what a terminal says is not captured");
	if (spec->detached && (spec->tty || spec->capture != NULL))
		return err_refuse(
			err, TN_INVALID,
			"a detached command has no terminal, and its output is kept by "
			"the daemon: tn_log_open()");
	if (spec->queue_usec_max < 0)
		return err_refuse(err, TN_INVALID, "the time to wait for a slot is negative");
	return request_check_plan(spec, err);
}
