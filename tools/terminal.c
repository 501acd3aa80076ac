/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "terminal.h"

#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <base/err.h>
#include <base/fd.h>

void terminal_look(struct terminal *terminal)
{
	terminal->present = tcgetattr(STDIN_FILENO, &terminal->saved) == 0;
}

int terminal_raw(const struct terminal *terminal, struct tn_error *err)
{
	struct termios raw = terminal->saved;

	if (!terminal->present)
		return 0;
	cfmakeraw(&raw);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
		return err_errno(err, "set the terminal to raw mode: %s", strerror(errno));
	return 0;
}

bool terminal_is_ours(const struct terminal *terminal)
{
	pid_t foreground;

	if (!terminal->present)
		return false;
	foreground = tcgetpgrp(STDIN_FILENO);
	return foreground < 0 || foreground == getpgrp();
}

void terminal_restore(const struct terminal *terminal)
{
	sigset_t set, before;

	if (!terminal_is_ours(terminal))
		return;
	/* Not to be stopped by it, should the terminal become another's just now. */
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTTOU);
	(void)sigprocmask(SIG_BLOCK, &set, &before);
	/* What is left to show may be for a reader that has stopped: not to be waited for. */
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal->saved);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
}

void terminal_size(uint16_t *ret_rows, uint16_t *ret_cols)
{
	struct winsize size;

	*ret_rows = TERMINAL_ROWS;
	*ret_cols = TERMINAL_COLS;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (ioctl(fd, TIOCGWINSZ, &size) < 0)
			continue;
		*ret_rows = size.ws_row;
		*ret_cols = size.ws_col;
		return;
	}
}
