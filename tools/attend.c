/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attend.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include <base/err.h>
#include <base/fd.h>

#include "signals.h"

/* Before the workload exists, these are for us. */
static const int ending[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

int attend_open_stdio(struct tn_error *err)
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

static void resize(const struct attend *attend)
{
	uint16_t rows, cols;

	if (attend->relay == NULL)
		return;
	terminal_size(&rows, &cols);
	relay_resize(attend->relay, rows, cols);
}

/* Back from having been stopped: the shell may have set its own modes meanwhile. */
static void resume(struct attend *attend)
{
	struct tn_error lost = { 0 };

	if (attend->relay == NULL || !terminal_is_ours(&attend->guard.terminal))
		return;
	resize(attend);
	/* One that has hung up sends this signal too: what is read from it tells. */
	(void)guard_raw(&attend->guard, &lost);
}

static int take_signal(struct attend *attend, const struct signalfd_siginfo *info,
                       struct tn_error *err)
{
	const int signal = (int)info->ssi_signo;

	if (signals_mean_us(info)) {
		signals_take_default(signal);
		return 0;
	}
	if (signal == SIGWINCH) {
		resize(attend);
		return 0;
	}
	if (!attend->started && is_ending(signal)) {
		attend->ended_by = signal;
		return 0;
	}
	if (signal == SIGCONT)
		resume(attend);
	return tn_run_signal(attend->run, signal, err);
}

/* Pass on what has come. */
static int forward_signals(struct attend *attend, struct tn_error *err)
{
	struct signalfd_siginfo info;
	ssize_t n;

	while ((n = read(attend->signal_fd, &info, sizeof(info))) == (ssize_t)sizeof(info)) {
		int r = take_signal(attend, &info, err);

		if (r < 0 || attend->ended_by != 0)
			return r;
	}
	/* A signalfd has no end: this is the pipe of a guard. */
	return n == 0 ? err_set(err, TN_STATE, EPIPE, "%s was killed", attend->program) : 0;
}

static int start_relay(struct attend *attend, struct tn_error *err)
{
	int r;

	attend->relay = malloc(sizeof(*attend->relay));
	if (attend->relay == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "no memory to copy a terminal");
	r = relay_init(attend->relay, STDIN_FILENO, STDOUT_FILENO, tn_run_tty(attend->run),
	               err);
	if (r == 0)
		r = guard_raw(&attend->guard, err);
	/* It may have changed while the command was being started. */
	resize(attend);
	return r;
}

static int on_started(struct attend *attend, struct tn_error *err)
{
	attend->started = true;
	if (attend->on_started != NULL)
		attend->on_started(attend->userdata, attend->run);
	if (!attend->tty)
		return 0;
	guard_note_started(&attend->guard, tn_run_id(attend->run));
	return start_relay(attend, err);
}

bool attend_has_left(const struct attend *attend)
{
	return attend->leaves && attend->started;
}

static void say_queued(const struct attend *attend)
{
	if (attend->verbose && attend->tenant != NULL)
		(void)fprintf(stderr, "%s: waiting for a slot of %s, %" PRId64 " before\n",
		              attend->program, attend->tenant,
		              tn_run_waiting_before(attend->run));
}

static void say_daemon(const struct attend *attend, const char *what)
{
	if (attend->verbose)
		(void)fprintf(stderr, "%s: tenantd %s\n", attend->program, what);
}

/* Take what the daemon said. 1: the run has ended, or is left. */
static int take_events(struct attend *attend, struct tn_error *err)
{
	int r;

	while ((r = tn_run_process(attend->run, err)) > TN_RUN_NOTHING && r != TN_RUN_EXITED) {
		if (r == TN_RUN_QUEUED)
			say_queued(attend);
		if (r == TN_RUN_LOST)
			say_daemon(attend, "went away; waiting for it");
		if (r == TN_RUN_REJOINED)
			say_daemon(attend, "is back");
		if (r == TN_RUN_STARTED)
			r = on_started(attend, err);
		if (r < 0)
			return r;
	}
	return r == TN_RUN_EXITED || attend_has_left(attend) ? 1 : r;
}

static void poll_relay(const struct attend *attend, struct pollfd *fds)
{
	for (int i = 0; i < RELAY_POLL_N; i++)
		fds[i] = (struct pollfd){ .fd = FD_NONE };
	if (attend->relay != NULL)
		relay_poll(attend->relay, fds);
}

enum wait_poll {
	WAIT_RUN = RELAY_POLL_N,
	WAIT_SIGNALS,
	WAIT_N,
};

static int wait_for_end(struct attend *attend, struct tn_error *err)
{
	struct pollfd fds[WAIT_N];
	int r;

	while ((r = take_events(attend, err)) == 0) {
		poll_relay(attend, fds);
		fds[WAIT_RUN] = (struct pollfd){ .fd = tn_run_fd(attend->run),
			                         .events = tn_run_events(attend->run) };
		fds[WAIT_SIGNALS] = (struct pollfd){ .fd = attend->signal_fd,
			                             .events = POLLIN };
		if (poll(fds, ARRAY_LEN(fds), -1) < 0) {
			if (errno != EINTR)
				return err_errno(err, "wait: %s", strerror(errno));
			continue;
		}
		if (attend->relay != NULL)
			relay_process(attend->relay, fds);
		if (fds[WAIT_SIGNALS].revents != 0)
			r = forward_signals(attend, err);
		if (r < 0 || attend->ended_by != 0)
			return r;
	}
	return r < 0 ? r : 0;
}

/* A signal that would have ended the command ends the wait for a slow reader. */
static bool is_interrupted(const struct attend *attend)
{
	struct signalfd_siginfo info;
	ssize_t n;

	while ((n = read(attend->signal_fd, &info, sizeof(info))) == (ssize_t)sizeof(info))
		if (is_ending((int)info.ssi_signo))
			return true;
	return n == 0;
}

/* What the command wrote before its end, to the end. */
static void drain(const struct attend *attend)
{
	struct pollfd fds[RELAY_POLL_N + 1];

	if (attend->relay == NULL)
		return;
	relay_finish(attend->relay);
	while (!relay_finished(attend->relay)) {
		poll_relay(attend, fds);
		/* What is there is read, not waited for. */
		fds[RELAY_POLL_MASTER].fd = FD_NONE;
		fds[RELAY_POLL_N] = (struct pollfd){ .fd = attend->signal_fd,
			                             .events = POLLIN };
		if (fds[RELAY_POLL_OUTPUT].fd >= 0 && poll(fds, ARRAY_LEN(fds), -1) < 0)
			continue;
		if (fds[RELAY_POLL_N].revents != 0 && is_interrupted(attend))
			return;
		relay_process(attend->relay, fds);
	}
}

int attend_begin(struct attend *attend, struct tn_error *err)
{
	/* Who reads what we write may go; that is no reason for the command to end. */
	(void)signal(SIGPIPE, SIG_IGN);
	return signals_open(attend->tty, &attend->signal_fd, err);
}

int attend_fork(struct attend *attend, int *ret_status, struct tn_error *err)
{
	struct guard *guard = &attend->guard;
	int r;

	if (!attend->tty)
		return 0;
	terminal_look(&guard->terminal);
	r = guard_fork(guard, attend->signal_fd, ret_status, err);
	if (r != 0)
		return r;
	fd_closep(&attend->signal_fd);
	attend->signal_fd = fd_take(&guard->signal_fd);
	return 0;
}

int attend_run(struct attend *attend, struct tn_error *err)
{
	int r = wait_for_end(attend, err);

	if (r == 0 && attend->ended_by != 0)
		r = err_set(err, TN_STATE, EINTR, "signal %d came before the command started",
		            attend->ended_by);
	if (r == 0)
		drain(attend);
	guard_restore(&attend->guard);
	return r;
}

void attend_done(struct attend *attend)
{
	if (attend->relay != NULL)
		relay_done(attend->relay);
	free(attend->relay);
	attend->relay = NULL;
	guard_done(&attend->guard);
	fd_closep(&attend->signal_fd);
}
