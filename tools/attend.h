/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a run that has been asked for to its end, in the foreground of whoever typed it: signals
 * are passed on to the command, and with a terminal relay.h copies between it and the standard
 * streams, in a second process (guard.h). For tenant-run and for tenantctl exec.
 *
 * Until the command has been executed, a signal that would have ended it ends the attempt.
 */
#ifndef TOOLS_ATTEND_H
#define TOOLS_ATTEND_H

#include <tenant/run.h>

#include "guard.h"
#include "relay.h"

struct attend {
	const char *program; /* who says something on standard error */
	const char *tenant;  /* for which it waits in a queue; NULL: it is in none */
	bool tty, verbose;
	bool leaves; /* with its start, and not its end */
	/* It has started; NULL: nothing is to be done then. */
	void (*on_started)(void *userdata, const struct tn_run *run);
	void *userdata;

	struct tn_run *run; /* the caller's; set before attend_run() */
	int signal_fd;      /* what is read from it are struct signalfd_siginfo */
	bool started;
	int ended_by; /* a signal, before it had started */
	struct guard guard;
	struct relay *relay; /* NULL: no terminal, or not yet */
};

#define ATTEND_INIT                                                                            \
	{                                                                                      \
		.signal_fd = FD_NONE, .guard = {.signal_fd = FD_NONE }                         \
	}

/* A closed descriptor 0, 1 or 2 would be given to the next file that is opened. First of all.
 */
int attend_open_stdio(struct tn_error *err);

/* Block the signals that are to be passed on. */
int attend_begin(struct attend *attend, struct tn_error *err);

/*
 * With a terminal: have what follows done in a process of its own. 0 in there, and without a
 * terminal; 1 and its exit status in the one that waits for it; or -errno.
 */
int attend_fork(struct attend *attend, int *ret_status, struct tn_error *err);

/*
 * Until its end, or its start if it is left then, and until what it wrote has been written. The
 * terminal is as it was afterwards. -EINTR and ended_by if a signal came before its start.
 */
int attend_run(struct attend *attend, struct tn_error *err);

/* Whether it goes on without us. */
bool attend_has_left(const struct attend *attend);

/* Not the run. */
void attend_done(struct attend *attend);

#endif
