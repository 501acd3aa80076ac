/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two processes for one terminal. In raw mode a shell is of little use, so the modes have to
 * come back whatever happens: the one that was started keeps them and waits, the other
 * does the work. If the worker dies, of whatever, the guard restores the modes and says so;
 * if the guard dies, the worker sees the end of the pipe that signals come through,
 * restores them and ends, and the run with it.
 *
 * Signals are sent to the guard, or to both when a whole process group gets one. Only the
 * guard reads them, and sends each on through that pipe; the worker keeps them blocked. So
 * none arrives twice.
 */
#ifndef TOOLS_GUARD_H
#define TOOLS_GUARD_H

#include <stdbool.h>

#include <base/id.h>

#include "terminal.h"

/* In memory of both. */
struct guard_shared {
	volatile bool raw;     /* the terminal has to be restored */
	volatile bool started; /* id is known */
	char id[ID_TEXT_BYTES];
};

/* Zero but for signal_fd, which is FD_NONE, and what terminal_look() has filled in. */
struct guard {
	struct terminal terminal;
	struct guard_shared *shared;
	int signal_fd; /* the worker's: what signalfd(2) would give; its end is the guard's */
};

/*
 * Fork. 0 in the worker. In the guard, once the worker has ended: 1 and its exit status, or
 * -errno and what became of it in *err. @signal_fd is that of signals_open().
 */
int guard_fork(struct guard *guard, int signal_fd, int *ret_status, struct tn_error *err);

/* In the worker: so that the guard can tell of it. */
void guard_note_started(struct guard *guard, const char *id);

/* In the worker, in this order. */
int guard_raw(struct guard *guard, struct tn_error *err);
void guard_restore(struct guard *guard);

/* The execution that was noted, or NULL. */
const char *guard_id(const struct guard *guard);

void guard_done(struct guard *guard);

#endif
