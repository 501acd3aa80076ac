/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenant-run: run a command as a tenant, as if it had been run here.
 *
 * Standard input, output and error are handed over as they are; nothing is copied in
 * between. What is left to do here is to wait, and to pass on signals: all that can be
 * caught are blocked and read from a signalfd, so that none can come between two
 * steps. The workload is in a session of its own, hence Ctrl-C reaches it only in this
 * way. TSTP is passed on too, and does not stop this process: what it would wait for
 * then, nobody could see.
 *
 * With -t the command has a terminal of its own instead, and relay.h copies between it
 * and the standard streams, in a second process (guard.h).
 *
 * Until the workload has been executed, a signal that would have ended it ends the
 * attempt. When this process dies, its connection goes with it, and so does the run; when
 * tenantd dies, the run goes on, and is taken up again when tenantd is back.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include <base/err.h>
#include <base/fd.h>

#include "attend.h"
#include "exit_status.h"
#include "output.h"
#include "run_options.h"
#include "run_report.h"
#include "run_status.h"

struct running {
	const struct run_options *options;
	struct run_status *status;
	struct attend attend;
};

static void on_started(void *userdata, const struct tn_run *run)
{
	const struct running *running = userdata;
	const char *id = tn_run_id(run);

	if (running->options->detach)
		(void)puts(id);
	run_status_started(running->status, id, running->options->tenant);
	if (!running->options->quiet && tn_run_unenforced(run) != NULL)
		(void)fprintf(stderr, "tenant-run: this host does not enforce: %s\n",
		              tn_run_unenforced(run));
	if (running->options->verbose)
		(void)fprintf(stderr, "tenant-run: %s: started for %s\n", id,
		              running->options->tenant);
}

/*
 * Opened here, with the caller's rights: the daemon opens nothing on a caller's word.
 * *ret_target is where it is shown, for the caller to free.
 */
static int open_bind(const struct run_bind_option *option, struct tn_run_bind *bind,
                     char **ret_target, struct tn_error *err)
{
	bind->fd = open(option->source, O_PATH | O_CLOEXEC);
	if (bind->fd >= 0)
		*ret_target = option->target != NULL ? strdup(option->target)
		                                     : realpath(option->source, NULL);
	if (*ret_target == NULL)
		return err_errno(err, "bind %s: %s", option->source, strerror(errno));
	bind->target = *ret_target;
	bind->writable = option->writable;
	return 0;
}

/* What counts for a plan too. */
static void take_options(const struct run_options *options, struct tn_run_spec *spec)
{
	spec->tenant = options->tenant;
	spec->limits = options->limits;
	spec->user = options->user;
	spec->tmpfs = options->tmpfs;
	spec->tmpfs_n = options->tmpfs_n;
	spec->read_only = options->read_only;
	spec->no_init = options->no_init;
}

static int start(struct running *running, const struct tn_client *client, struct tn_error *err)
{
	const struct run_options *options = running->options;
	struct tn_run_bind binds[TN_RUN_BINDS_MAX] = { 0 };
	char *targets[TN_RUN_BINDS_MAX] = { NULL };
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;
	int r = 0;

	take_options(options, &spec);
	spec.argv = (const char *const *)options->command;
	spec.env = (const char *const *)options->env.items;
	spec.workdir = options->workdir;
	spec.tty = options->tty;
	spec.detached = options->detach;
	spec.name = options->name;
	terminal_size(&spec.tty_rows, &spec.tty_cols);
	spec.queue_usec_max = options->queue_usec_max;
	spec.binds = binds;
	for (size_t i = 0; r == 0 && i < options->binds_n; i++) {
		r = open_bind(&options->binds[i], &binds[i], &targets[i], err);
		spec.binds_n++;
	}
	if (r == 0)
		r = tn_run_start(client, &spec, &running->attend.run, err);
	for (size_t i = 0; i < spec.binds_n; i++) {
		free(targets[i]);
		fd_closep(&binds[i].fd);
	}
	return r;
}

/*
 * Why it ended, in a line. The daemon hands the arguments on unread, so only we can say
 * which command it was that could not be executed.
 */
static void say_why(const struct running *running, const struct tn_execution *execution)
{
	const char *why = tn_run_explanation(running->attend.run);
	const int64_t code = execution->exit_code;

	if (why == NULL)
		why = tn_reason_name(execution->reason);
	if (execution->reason == TN_REASON_RUNTIME && (code == 126 || code == 127))
		(void)fprintf(stderr, "tenant-run: %s: %s\n", running->options->command[0],
		              why);
	else
		(void)fprintf(stderr, "tenant-run: %s\n", why);
}

/* All that there is to say has been said; but that it has been said is for certain. */
static int conclude_left(struct tn_error *err)
{
	if (fflush(stdout) != 0)
		return err_errno(err, "write the execution's id: %s", strerror(errno));
	return EXIT_SUCCESS;
}

/* Say and write down what is known of a run that has ended. Returns the exit status. */
static int conclude(const struct running *running, struct run_report *report,
                    struct tn_error *err)
{
	const struct tn_execution *execution = tn_run_execution(running->attend.run);
	int r;

	run_status_exited(running->status, execution);
	if (running->options->verbose)
		run_print_summary(execution, stderr);
	if (!running->options->quiet && execution->reason != TN_REASON_EXITED)
		say_why(running, execution);
	r = run_report_finish(report, execution, NULL, err);
	return r < 0 ? r : exit_status(execution);
}

/* The same of one that failed, as *err says; @id is NULL if it never started. */
static void report_failure(const struct running *running, struct run_report *report,
                           const char *id, const struct tn_error *err)
{
	struct tn_execution record = run_record_unknown(running->options->tenant, id);
	struct tn_error also;

	run_status_failed(running->status, &record, err);
	if (run_report_finish(report, &record, err, &also) < 0)
		output_error("tenant-run", running->options->json, &also);
}

/* From the request to the record. Returns the exit status, or -errno. */
static int run_one(struct running *running, const struct tn_client *client,
                   struct run_report *report, struct tn_error *err)
{
	struct attend *attend = &running->attend;
	int r = start(running, client, err);

	if (r == 0)
		r = attend_run(attend, err);
	if (r == 0)
		r = attend_has_left(attend) ? conclude_left(err)
		                            : conclude(running, report, err);
	else
		report_failure(running, report,
		               running->attend.run != NULL ? tn_run_id(running->attend.run)
		                                           : NULL,
		               err);

	tn_run_free(attend->run);
	if (attend->ended_by == 0)
		return r;
	output_error("tenant-run", running->options->json, err);
	return EXIT_SIGNAL + attend->ended_by;
}

/* With a terminal in a process of its own. */
static int run_guarded(struct running *running, const struct tn_client *client,
                       struct run_report *report, struct tn_error *err)
{
	const struct guard *guard = &running->attend.guard;
	int status = EXIT_RUNTIME;
	int r = attend_fork(&running->attend, &status, err);

	if (r == 0)
		return run_one(running, client, report, err);
	if (r > 0) {
		/* All has been said. */
		run_report_disown(report);
		return status;
	}
	running->status->started = guard_id(guard) != NULL;
	run_report_restart(report);
	report_failure(running, report, guard_id(guard), err);
	return r;
}

static int run(const struct run_options *options, const struct tn_client *client,
               struct run_status *status, struct tn_error *err)
{
	struct running running = { .options = options,
		                   .status = status,
		                   .attend = ATTEND_INIT };
	struct attend *attend = &running.attend;
	struct run_report report;
	int r;

	attend->program = "tenant-run";
	attend->tenant = options->tenant;
	attend->tty = options->tty;
	attend->verbose = options->verbose;
	attend->leaves = options->detach;
	attend->on_started = on_started;
	attend->userdata = &running;
	r = run_report_open(&report, options->report, err);
	if (r == 0)
		r = attend_begin(attend, err);
	if (r < 0)
		run_status_failed(status, NULL, err);
	else
		r = run_guarded(&running, client, &report, err);

	run_report_done(&report);
	attend_done(attend);
	return r;
}

static int dry_run(const struct run_options *options, struct tn_client *client,
                   struct tn_error *err)
{
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;
	struct tn_plan plan = { 0 };
	int r;

	take_options(options, &spec);
	r = tn_run_plan(client, &spec, &plan, err);
	if (r < 0)
		return r;
	r = run_print_plan(&plan, options, stdout);
	tn_plan_done(&plan);
	if (r < 0 || fflush(stdout) != 0)
		return err_set(err, TN_SYSTEM, EIO, "write the plan to standard output");
	return EXIT_SUCCESS;
}

/* Returns the exit status, or -errno. */
static int act(const struct run_options *options, struct tn_error *err)
{
	struct run_status status;
	struct tn_client *client;
	int r;

	if (options->help) {
		run_options_help(stdout);
		return EXIT_SUCCESS;
	}
	if (options->version) {
		(void)puts("tenant-run " TENANTD_VERSION);
		return EXIT_SUCCESS;
	}
	/* First, since what is opened before could be taken for the caller's. */
	r = run_status_init(&status, options->status_fd, err);
	if (r < 0)
		return r;
	r = tn_client_open(options->socket, &client, err);
	if (r < 0) {
		run_status_failed(&status, NULL, err);
		return r;
	}
	r = options->dry_run ? dry_run(options, client, err)
	                     : run(options, client, &status, err);
	tn_client_free(client);
	return r;
}

int main(int argc, char **argv)
{
	struct run_options options = { 0 };
	struct tn_error err = { 0 };
	int r = attend_open_stdio(&err);

	if (r == 0)
		r = run_options_parse(argc, argv, &options, &err);
	if (r == 0)
		r = act(&options, &err);
	if (r < 0)
		output_error("tenant-run", options.json, &err);
	run_options_done(&options);
	return r < 0 ? EXIT_RUNTIME : r;
}
