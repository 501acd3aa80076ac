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
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include <base/err.h>
#include <base/fd.h>

#include "exit_status.h"
#include "guard.h"
#include "output.h"
#include "relay.h"
#include "run_options.h"
#include "run_report.h"
#include "run_status.h"
#include "signals.h"

/* Before the workload exists, these are for us. */
static const int ending[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

struct running {
	const struct run_options *options;
	struct run_status *status;
	struct tn_run *run;
	int signal_fd; /* what is read from it are struct signalfd_siginfo */
	bool started;
	int ended_by; /* a signal, before it had started */
	struct guard guard;
	struct relay *relay; /* NULL: no terminal, or not yet */
};

/* A closed descriptor 0, 1 or 2 would be given to the next file that is opened. */
static int open_stdio(struct tn_error *err)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_CLOEXEC) != fd)
			return err_errno(err, "open /dev/null: %s", strerror(errno));
	return 0;
}

static bool is_ending(int signal)
{
	for (size_t i = 0; i < ARRAY_LEN(ending); i++)
		if (ending[i] == signal)
			return true;
	return false;
}

static void resize(const struct running *running)
{
	uint16_t rows, cols;

	if (running->relay == NULL)
		return;
	terminal_size(&rows, &cols);
	relay_resize(running->relay, rows, cols);
}

/* Back from having been stopped: the shell may have set its own modes meanwhile. */
static void resume(struct running *running)
{
	struct tn_error lost = { 0 };

	if (running->relay == NULL || !terminal_is_ours(&running->guard.terminal))
		return;
	resize(running);
	/* One that has hung up sends this signal too: what is read from it tells. */
	(void)guard_raw(&running->guard, &lost);
}

static int take_signal(struct running *running, const struct signalfd_siginfo *info,
                       struct tn_error *err)
{
	const int signal = (int)info->ssi_signo;

	if (signals_mean_us(info)) {
		signals_take_default(signal);
		return 0;
	}
	if (signal == SIGWINCH) {
		resize(running);
		return 0;
	}
	if (!running->started && is_ending(signal)) {
		running->ended_by = signal;
		return 0;
	}
	if (signal == SIGCONT)
		resume(running);
	return tn_run_signal(running->run, signal, err);
}

/* Pass on what has come. */
static int forward_signals(struct running *running, struct tn_error *err)
{
	struct signalfd_siginfo info;
	ssize_t n;

	while ((n = read(running->signal_fd, &info, sizeof(info))) == (ssize_t)sizeof(info)) {
		int r = take_signal(running, &info, err);

		if (r < 0 || running->ended_by != 0)
			return r;
	}
	/* A signalfd has no end: this is the pipe of a guard. */
	return n == 0 ? err_set(err, TN_STATE, EPIPE, "tenant-run was killed") : 0;
}

static int start_relay(struct running *running, struct tn_error *err)
{
	int r;

	running->relay = malloc(sizeof(*running->relay));
	if (running->relay == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "no memory to copy a terminal");
	r = relay_init(running->relay, STDIN_FILENO, STDOUT_FILENO, tn_run_tty(running->run),
	               err);
	if (r == 0)
		r = guard_raw(&running->guard, err);
	/* It may have changed while the command was being started. */
	resize(running);
	return r;
}

static int on_started(struct running *running, struct tn_error *err)
{
	const char *id = tn_run_id(running->run);

	running->started = true;
	run_status_started(running->status, id, running->options->tenant);
	if (!running->options->quiet && tn_run_unenforced(running->run) != NULL)
		(void)fprintf(stderr, "tenant-run: this host does not enforce: %s\n",
		              tn_run_unenforced(running->run));
	if (running->options->verbose)
		(void)fprintf(stderr, "tenant-run: %s: started for %s\n", id,
		              running->options->tenant);
	if (!running->options->tty)
		return 0;
	guard_note_started(&running->guard, id);
	return start_relay(running, err);
}

static void say_queued(const struct running *running)
{
	if (running->options->verbose)
		(void)fprintf(stderr,
		              "tenant-run: waiting for a slot of %s, %" PRId64 " before\n",
		              running->options->tenant, tn_run_waiting_before(running->run));
}

static void say_daemon(const struct running *running, const char *what)
{
	if (running->options->verbose)
		(void)fprintf(stderr, "tenant-run: tenantd %s\n", what);
}

/* Take what the daemon said. 1: the run has ended. */
static int take_events(struct running *running, struct tn_error *err)
{
	int r;

	while ((r = tn_run_process(running->run, err)) > TN_RUN_NOTHING && r != TN_RUN_EXITED) {
		if (r == TN_RUN_QUEUED)
			say_queued(running);
		if (r == TN_RUN_LOST)
			say_daemon(running, "went away; waiting for it");
		if (r == TN_RUN_REJOINED)
			say_daemon(running, "is back");
		if (r == TN_RUN_STARTED)
			r = on_started(running, err);
		if (r < 0)
			return r;
	}
	return r == TN_RUN_EXITED ? 1 : r;
}

static void poll_relay(const struct running *running, struct pollfd *fds)
{
	for (int i = 0; i < RELAY_POLL_N; i++)
		fds[i] = (struct pollfd){ .fd = FD_NONE };
	if (running->relay != NULL)
		relay_poll(running->relay, fds);
}

enum wait_poll {
	WAIT_RUN = RELAY_POLL_N,
	WAIT_SIGNALS,
	WAIT_N,
};

static int wait_for_end(struct running *running, struct tn_error *err)
{
	struct pollfd fds[WAIT_N];
	int r;

	while ((r = take_events(running, err)) == 0) {
		poll_relay(running, fds);
		fds[WAIT_RUN] = (struct pollfd){ .fd = tn_run_fd(running->run),
			                         .events = tn_run_events(running->run) };
		fds[WAIT_SIGNALS] = (struct pollfd){ .fd = running->signal_fd,
			                             .events = POLLIN };
		if (poll(fds, ARRAY_LEN(fds), -1) < 0) {
			if (errno != EINTR)
				return err_errno(err, "wait: %s", strerror(errno));
			continue;
		}
		if (running->relay != NULL)
			relay_process(running->relay, fds);
		if (fds[WAIT_SIGNALS].revents != 0)
			r = forward_signals(running, err);
		if (r < 0 || running->ended_by != 0)
			return r;
	}
	return r < 0 ? r : 0;
}

/* A signal that would have ended the command ends the wait for a slow reader. */
static bool is_interrupted(const struct running *running)
{
	struct signalfd_siginfo info;
	ssize_t n;

	while ((n = read(running->signal_fd, &info, sizeof(info))) == (ssize_t)sizeof(info))
		if (is_ending((int)info.ssi_signo))
			return true;
	return n == 0;
}

/* What the command wrote before its end, to the end. */
static void drain(const struct running *running)
{
	struct pollfd fds[RELAY_POLL_N + 1];

	if (running->relay == NULL)
		return;
	relay_finish(running->relay);
	while (!relay_finished(running->relay)) {
		poll_relay(running, fds);
		/* What is there is read, not waited for. */
		fds[RELAY_POLL_MASTER].fd = FD_NONE;
		fds[RELAY_POLL_N] = (struct pollfd){ .fd = running->signal_fd,
			                             .events = POLLIN };
		if (fds[RELAY_POLL_OUTPUT].fd >= 0 && poll(fds, ARRAY_LEN(fds), -1) < 0)
			continue;
		if (fds[RELAY_POLL_N].revents != 0 && is_interrupted(running))
			return;
		relay_process(running->relay, fds);
	}
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
	terminal_size(&spec.tty_rows, &spec.tty_cols);
	spec.queue_usec_max = options->queue_usec_max;
	spec.binds = binds;
	for (size_t i = 0; r == 0 && i < options->binds_n; i++) {
		r = open_bind(&options->binds[i], &binds[i], &targets[i], err);
		spec.binds_n++;
	}
	if (r == 0)
		r = tn_run_start(client, &spec, &running->run, err);
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
	const char *why = tn_run_explanation(running->run);
	const int64_t code = execution->exit_code;

	if (why == NULL)
		why = tn_reason_name(execution->reason);
	if (execution->reason == TN_REASON_RUNTIME && (code == 126 || code == 127))
		(void)fprintf(stderr, "tenant-run: %s: %s\n", running->options->command[0],
		              why);
	else
		(void)fprintf(stderr, "tenant-run: %s\n", why);
}

/* Say and write down what is known of a run that has ended. Returns the exit status. */
static int conclude(const struct running *running, struct run_report *report,
                    struct tn_error *err)
{
	const struct tn_execution *execution = tn_run_execution(running->run);
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
	int r = start(running, client, err);

	if (r == 0)
		r = wait_for_end(running, err);
	if (r == 0 && running->ended_by != 0)
		r = err_set(err, TN_STATE, EINTR, "signal %d came before the command started",
		            running->ended_by);
	if (r == 0)
		drain(running);
	guard_restore(&running->guard);
	if (r == 0)
		r = conclude(running, report, err);
	else
		report_failure(running, report,
		               running->run != NULL ? tn_run_id(running->run) : NULL, err);

	if (running->relay != NULL)
		relay_done(running->relay);
	free(running->relay);
	tn_run_free(running->run);
	if (running->ended_by == 0)
		return r;
	output_error("tenant-run", running->options->json, err);
	return EXIT_SIGNAL + running->ended_by;
}

/* With a terminal: in a process of its own. */
static int run_guarded(struct running *running, const struct tn_client *client,
                       struct run_report *report, struct tn_error *err)
{
	struct guard *guard = &running->guard;
	int status = EXIT_RUNTIME, r;

	terminal_look(&guard->terminal);
	r = guard_fork(guard, running->signal_fd, &status, err);
	if (r == 0) {
		fd_closep(&running->signal_fd);
		running->signal_fd = fd_take(&guard->signal_fd);
		return run_one(running, client, report, err);
	}
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
		                   .signal_fd = FD_NONE,
		                   .guard = { .signal_fd = FD_NONE } };
	struct run_report report;
	int r;

	/* Who reads what we write may go; that is no reason for the command to end. */
	(void)signal(SIGPIPE, SIG_IGN);
	r = run_report_open(&report, options->report, err);
	if (r == 0)
		r = signals_open(options->tty, &running.signal_fd, err);
	if (r < 0)
		run_status_failed(status, NULL, err);
	else if (options->tty)
		r = run_guarded(&running, client, &report, err);
	else
		r = run_one(&running, client, &report, err);

	run_report_done(&report);
	guard_done(&running.guard);
	fd_closep(&running.signal_fd);
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
	int r = open_stdio(&err);

	if (r == 0)
		r = run_options_parse(argc, argv, &options, &err);
	if (r == 0)
		r = act(&options, &err);
	if (r < 0)
		output_error("tenant-run", options.json, &err);
	run_options_done(&options);
	return r < 0 ? EXIT_RUNTIME : r;
}
