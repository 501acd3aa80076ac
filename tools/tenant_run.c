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
 * Until the workload has been executed, a signal that would have ended it ends the
 * attempt. When this process dies, its connection goes with it, and so does the run.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>

#include <base/err.h>
#include <base/fd.h>

#include "output.h"
#include "run_options.h"
#include "run_report.h"

#define EXIT_RUNTIME 125
#define EXIT_SIGNAL  128

static const int forwarded[] = { SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
	                         SIGUSR2, SIGALRM, SIGCONT, SIGTSTP };
/* Before the workload exists, these are for us. */
static const int ending[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

struct running {
	const struct run_options *options;
	struct tn_run *run;
	int signal_fd;
	bool started;
	int ended_by; /* a signal, before it had started */
};

/* A closed descriptor 0, 1 or 2 would be given to the next file that is opened. */
static int open_stdio(struct tn_error *err)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_CLOEXEC) != fd)
			return err_errno(err, "open /dev/null: %s", strerror(errno));
	return 0;
}

static int open_signals(int *ret_fd, struct tn_error *err)
{
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
		(void)sigaddset(&set, forwarded[i]);
	for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++)
		(void)sigaddset(&set, signal);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_errno(err, "block signals: %s", strerror(errno));
	*ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *ret_fd < 0 ? err_errno(err, "open a signalfd: %s", strerror(errno)) : 0;
}

static bool ends_attempt(int signal)
{
	for (size_t i = 0; i < ARRAY_LEN(ending); i++)
		if (ending[i] == signal)
			return true;
	return false;
}

/* Pass on what has come. */
static int forward_signals(struct running *running, struct tn_error *err)
{
	struct signalfd_siginfo info;

	while (read(running->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		int signal = (int)info.ssi_signo, r;

		if (!running->started && ends_attempt(signal)) {
			running->ended_by = signal;
			return 0;
		}
		r = tn_run_signal(running->run, signal, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static void say_queued(const struct running *running)
{
	if (running->options->verbose)
		(void)fprintf(stderr,
		              "tenant-run: waiting for a slot of %s, %" PRId64 " before\n",
		              running->options->tenant, tn_run_waiting_before(running->run));
}

static void say_started(const struct running *running)
{
	if (!running->options->quiet && tn_run_unenforced(running->run) != NULL)
		(void)fprintf(stderr, "tenant-run: this host does not enforce: %s\n",
		              tn_run_unenforced(running->run));
	if (running->options->verbose)
		(void)fprintf(stderr, "tenant-run: %s: started for %s\n",
		              tn_run_id(running->run), running->options->tenant);
}

/* Take what the daemon said. 1: the run has ended. */
static int take_events(struct running *running, struct tn_error *err)
{
	int r;

	while ((r = tn_run_process(running->run, err)) > TN_RUN_NOTHING && r != TN_RUN_EXITED) {
		if (r == TN_RUN_QUEUED)
			say_queued(running);
		if (r != TN_RUN_STARTED)
			continue;
		running->started = true;
		say_started(running);
	}
	return r == TN_RUN_EXITED ? 1 : r;
}

static int wait_for_end(struct running *running, struct tn_error *err)
{
	int r;

	while ((r = take_events(running, err)) == 0) {
		struct pollfd fds[] = {
			{ .fd = tn_run_fd(running->run),
			  .events = tn_run_events(running->run) },
			{ .fd = running->signal_fd, .events = POLLIN },
		};

		if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
			return err_errno(err, "wait: %s", strerror(errno));
		if (fds[1].revents != 0)
			r = forward_signals(running, err);
		if (r < 0 || running->ended_by != 0)
			return r;
	}
	return r < 0 ? r : 0;
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

static int start(struct running *running, const struct tn_client *client, struct tn_error *err)
{
	const struct run_options *options = running->options;
	struct tn_run_bind binds[TN_RUN_BINDS_MAX] = { 0 };
	char *targets[TN_RUN_BINDS_MAX] = { NULL };
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;
	int r = 0;

	spec.tenant = options->tenant;
	spec.argv = (const char *const *)options->command;
	spec.env = (const char *const *)options->env;
	spec.workdir = options->workdir;
	spec.limits = options->limits;
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

	if (running->options->verbose)
		run_print_summary(execution, stderr);
	if (!running->options->quiet && execution->reason != TN_REASON_EXITED)
		say_why(running, execution);
	r = run_report_finish(report, execution, NULL, err);
	return r < 0 ? r : run_exit_status(execution);
}

/* The same of one that failed, as *err says. */
static void report_failure(const struct running *running, struct run_report *report,
                           const struct tn_error *err)
{
	const char *id = running->run != NULL ? tn_run_id(running->run) : NULL;
	struct tn_execution record = run_record_unknown(running->options->tenant, id);
	struct tn_error also;

	if (run_report_finish(report, &record, err, &also) < 0)
		output_error("tenant-run", running->options->json, &also);
}

static int run(const struct run_options *options, const struct tn_client *client,
               struct tn_error *err)
{
	struct running running = { .options = options, .signal_fd = FD_NONE };
	struct run_report report;
	int r = run_report_open(&report, options->report, err);

	if (r < 0)
		return r;
	r = open_signals(&running.signal_fd, err);
	if (r == 0)
		r = start(&running, client, err);
	if (r == 0)
		r = wait_for_end(&running, err);
	if (r == 0 && running.ended_by != 0)
		r = err_set(err, TN_STATE, EINTR, "signal %d came before the command started",
		            running.ended_by);
	if (r == 0)
		r = conclude(&running, &report, err);
	else
		report_failure(&running, &report, err);

	run_report_done(&report);
	tn_run_free(running.run);
	fd_closep(&running.signal_fd);
	if (running.ended_by == 0)
		return r;
	output_error("tenant-run", options->json, err);
	return EXIT_SIGNAL + running.ended_by;
}

static int dry_run(const struct run_options *options, struct tn_client *client,
                   struct tn_error *err)
{
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;
	struct tn_plan plan = { 0 };
	int r;

	spec.tenant = options->tenant;
	spec.limits = options->limits;
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
	r = tn_client_open(options->socket, &client, err);
	if (r < 0)
		return r;
	r = options->dry_run ? dry_run(options, client, err) : run(options, client, err);
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
