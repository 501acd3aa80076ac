/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The caller's terminal: its modes and its size. In raw mode every key is a byte for the
 * command's terminal, whose modes then say what Ctrl-C, Ctrl-Z and Ctrl-\ do.
 */
#ifndef TOOLS_TERMINAL_H
#define TOOLS_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include <tenant/error.h>

#define TERMINAL_ROWS 24
#define TERMINAL_COLS 80

struct terminal {
	bool present; /* standard input is one */
	struct termios saved;
};

/* See whether standard input is a terminal, and save its modes. */
void terminal_look(struct terminal *terminal);

/* Without effect where there is none. */
int terminal_raw(const struct terminal *terminal, struct tn_error *err);

/* As saved, unless another job of the shell's has the terminal now. */
void terminal_restore(const struct terminal *terminal);

/* Whether this process may use it; true where it is nobody's. */
bool terminal_is_ours(const struct terminal *terminal);

/* Of the first of the standard streams that is a terminal; or else the usual. */
void terminal_size(uint16_t *ret_rows, uint16_t *ret_cols);

#endif
