/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantctl exec: a further command in an execution that runs, in the foreground. Its exit
 * status is the command's, as with tenant-run.
 */
#include "cmd.h"

#include <stdlib.h>

#include <tenant/exec.h>

#include <base/err.h>
#include <base/fd.h>

#include "attend.h"
#include "exit_status.h"
#include "output.h"

int cmd_add_variable(void *target, const char *argument, struct tn_error *err)
{
	struct ctl *ctl = target;

	return environment_name(&ctl->env, argument, err);
}

static void on_started(void *userdata, const struct tn_run *run)
{
	const struct ctl *ctl = userdata;

	if (ctl->verbose)
		(void)fprintf(stderr, "tenantctl: %s: started in %s\n", tn_run_id(run),
		              ctl->execution);
}

/* The command line, which getopt leaves its "--" in where that stands behind an operand. */
static char **command_of(struct ctl *ctl)
{
	char **command = ctl->operands + 1;

	return strcmp(*command, "--") == 0 ? command + 1 : command;
}

static int start(struct ctl *ctl, struct attend *attend, struct tn_error *err)
{
	struct tn_exec_spec spec = TN_EXEC_SPEC_INIT;
	int r = 0;

	spec.execution = cmd_execution_id(ctl, err);
	if (spec.execution == NULL)
		return -err->sys_errno;
	spec.argv = (const char *const *)command_of(ctl);
	spec.workdir = ctl->workdir;
	spec.user = ctl->user;
	spec.tty = ctl->tty;
	terminal_size(&spec.tty_rows, &spec.tty_cols);
	if (ctl->tty)
		r = environment_default(&ctl->env, "TERM", err);
	spec.env = (const char *const *)ctl->env.items;
	return r < 0 ? r : tn_exec_start(ctl->client, &spec, &attend->run, err);
}

/* The daemon hands the arguments on unread: only we can say which could not be executed. */
static void say_why(struct ctl *ctl, const struct tn_run *run)
{
	const struct tn_execution *execution = tn_run_execution(run);
	const char *why = tn_run_explanation(run);

	if (ctl->quiet || execution->reason == TN_REASON_EXITED)
		return;
	if (why == NULL)
		why = tn_reason_name(execution->reason);
	if (execution->reason == TN_REASON_RUNTIME)
		(void)fprintf(stderr, "tenantctl: %s: %s\n", command_of(ctl)[0], why);
	else
		(void)fprintf(stderr, "tenantctl: %s\n", why);
}

/* Standard output is the command's, so the record goes where errors would. */
static void put_record(const struct ctl *ctl, const struct tn_execution *execution)
{
	struct jout out = { .file = stderr };

	if (!ctl->json)
		return;
	output_record(&out, NULL, tn_execution_fields(), execution);
	(void)fputc('\n', stderr);
}

/* Returns the exit status, or -errno. */
static int attend_to(struct ctl *ctl, struct attend *attend, struct tn_error *err)
{
	int r = start(ctl, attend, err);

	if (r == 0)
		r = attend_run(attend, err);
	if (r == 0) {
		const struct tn_execution *execution = tn_run_execution(attend->run);

		if (ctl->json)
			put_record(ctl, execution);
		else
			say_why(ctl, attend->run);
		r = exit_status(execution);
	}
	attend->run = tn_run_free(attend->run);
	if (attend->ended_by == 0)
		return r;
	output_error("tenantctl", ctl->json, err);
	return EXIT_SIGNAL + attend->ended_by;
}

int cmd_exec(struct ctl *ctl, struct tn_error *err)
{
	struct attend attend = ATTEND_INIT;
	int status = EXIT_RUNTIME, r = 0;

	if (*command_of(ctl) == NULL)
		return err_refuse(err, TN_INVALID, "which command? see tenantctl exec --help");
	attend.program = "tenantctl";
	attend.tty = ctl->tty;
	attend.verbose = ctl->verbose;
	attend.on_started = on_started;
	attend.userdata = ctl;
	r = attend_begin(&attend, err);
	if (r == 0)
		r = attend_fork(&attend, &status, err);
	if (r == 0)
		r = attend_to(ctl, &attend, err);
	else if (r > 0)
		r = status;
	attend_done(&attend);
	return r;
}
