/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A terminal that is drawn over again and again: on its other screen, without a cursor, and
 * each key a byte at once. However it ends, but for a signal that nobody can catch, the
 * terminal is as before: signals are read here, restore it, and then do what they do by
 * default.
 */
#ifndef TOOLS_SCREEN_H
#define TOOLS_SCREEN_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "terminal.h"

struct screen {
	struct terminal terminal; /* standard input, if it is one: what keys are read from */
	int signal_fd;
	sigset_t before;
	bool drawn; /* the other screen is shown */
};

enum screen_event {
	SCREEN_NOTHING, /* the time is over, or the descriptor is ready */
	SCREEN_REDRAW,  /* another size, or it goes on after a stop */
	SCREEN_QUIT,    /* by key, or the terminal is gone */
};

/* Standard output is a terminal. Undone by screen_close(), also if it fails. */
int screen_open(struct screen *screen, struct tn_error *err);
/* As it was before. */
void screen_close(struct screen *screen);

/*
 * Wait for at most @usec for @fd (FD_NONE: nothing) to be ready for @events. -errno if
 * that fails. By a signal that ends a process it does not return.
 */
int screen_wait(struct screen *screen, int fd, short events, int64_t usec,
                struct tn_error *err);

/* Show the first line of @text on top, and of the others as many and as much of each as fit. */
int screen_draw(struct screen *screen, const char *text, struct tn_error *err);

#endif
