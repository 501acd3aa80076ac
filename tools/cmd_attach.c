/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantctl attach: what a detached execution writes from now on, and how it ends. Signals are
 * passed on but for two: HUP, since a terminal that goes is no reason for what was left to
 * itself to end, and QUIT, the key for which is the way out.
 */
#include "cmd.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tenant/attach.h>

#include <base/err.h>
#include <base/fd.h>

#include "exit_status.h"
#include "output.h"
#include "signals.h"

struct attached {
	const struct ctl *ctl;
	struct tn_attach *attach;
	int signal_fd; /* FD_NONE: signals do what they do */
	bool leaving;
};

/* 0, or -errno, also because nobody reads any more. */
static int write_piece(const struct tn_log_piece *piece, struct tn_error *err)
{
	FILE *file = piece->stream == TN_LOG_STDERR ? stderr : stdout;

	if (piece->stream == TN_LOG_LOST)
		(void)fprintf(stderr, "tenantctl: %lld bytes could not be kept\n",
		              (long long)piece->lost);
	else
		(void)fwrite(piece->bytes, 1, piece->n, file);
	return fflush(file) == 0 ? 0 : err_errno(err, "write its output: %s", strerror(errno));
}

static int take_signals(struct attached *attached, struct tn_error *err)
{
	struct signalfd_siginfo info;
	int r = 0;

	while (r == 0 &&
	       read(attached->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		const int signal = (int)info.ssi_signo;

		if (signals_mean_us(&info))
			signals_take_default(signal);
		else if (signal == SIGQUIT || signal == SIGHUP)
			attached->leaving = true;
		else
			r = tn_attach_signal(attached->attach, signal, err);
	}
	return r;
}

/* 1: it has ended. */
static int take_output(struct attached *attached, struct tn_error *err)
{
	struct tn_log_piece piece;
	int r;

	while ((r = tn_attach_process(attached->attach, &piece, err)) == TN_ATTACH_OUTPUT) {
		r = write_piece(&piece, err);
		if (r < 0)
			return r;
	}
	return r == TN_ATTACH_EXITED ? 1 : r;
}

static int follow(struct attached *attached, struct tn_error *err)
{
	int r;

	while ((r = take_output(attached, err)) == 0 && !attached->leaving) {
		struct pollfd fds[] = {
			{ .fd = tn_attach_fd(attached->attach), .events = POLLIN },
			{ .fd = attached->signal_fd, .events = POLLIN },
		};

		if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
			return err_errno(err, "wait: %s", strerror(errno));
		r = attached->signal_fd >= 0 ? take_signals(attached, err) : 0;
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

/* Returns the exit status. */
static int conclude(const struct attached *attached)
{
	const struct tn_execution *execution = tn_attach_execution(attached->attach);
	struct jout out = { .file = stderr };

	if (execution == NULL) {
		(void)fprintf(stderr, "tenantctl: detached; it goes on\n");
		return EXIT_SUCCESS;
	}
	if (attached->ctl->json) {
		output_record(&out, NULL, tn_execution_fields(), execution);
		(void)fputc('\n', stderr);
	} else if (execution->reason != TN_REASON_EXITED) {
		(void)fprintf(stderr, "tenantctl: %s\n", tn_reason_name(execution->reason));
	}
	return exit_status(execution);
}

static int proxies(const struct ctl *ctl, bool *ret, struct tn_error *err)
{
	const char *word = ctl->sig_proxy != NULL ? ctl->sig_proxy : "yes";

	*ret = strcmp(word, "yes") == 0;
	if (*ret || strcmp(word, "no") == 0)
		return 0;
	return err_refuse(err, TN_INVALID, "--sig-proxy: '%.64s'; expected yes or no", word);
}

int cmd_attach(struct ctl *ctl, struct tn_error *err)
{
	struct attached attached = { .ctl = ctl, .signal_fd = FD_NONE };
	const char *id = NULL;
	bool proxy;
	int r = proxies(ctl, &proxy, err);

	if (r == 0 && (id = cmd_execution_id(ctl, err)) == NULL)
		r = -err->sys_errno;

	/* Who reads what we write may go: that is told, and ends nothing but us. */
	(void)signal(SIGPIPE, SIG_IGN);
	if (r == 0 && proxy)
		r = signals_open(false, &attached.signal_fd, err);
	if (r == 0)
		r = tn_attach_start(ctl->client, id,
		                    ctl->logs ? TN_ATTACH_START : TN_ATTACH_NOW,
		                    &attached.attach, err);
	if (r == 0)
		r = follow(&attached, err);
	if (r == 0)
		r = conclude(&attached);
	tn_attach_free(attached.attach);
	fd_closep(&attached.signal_fd);
	return r;
}
