/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between the caller's standard input and output and the terminal of a command: two
 * directions, each with one bounded buffer, that know nothing of each other. What a slow
 * reader does not take stays in the buffer, then in the terminal, until the command waits;
 * meanwhile input goes on, and nobody waits here but in poll(2).
 *
 * The relay holds the terminal's other end open as well: a command may close all of its
 * own and open /dev/tty again, which must not look like its end. So the end is told, by
 * relay_finish().
 *
 * When standard input ends, the command is told as by a key: the character for it (VEOF),
 * twice after half a line, if its terminal takes lines. When standard output cannot be
 * written to any more, or standard input was a terminal and has hung up, so does the
 * command's terminal, with the SIGHUP that goes with it.
 */
#ifndef TOOLS_RELAY_H
#define TOOLS_RELAY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tenant/error.h>

#define RELAY_BUFFER_BYTES 16384
/* More than a terminal holds back; what comes on and on after the end is nobody's. */
#define RELAY_REST_BYTES_MAX (1u << 20)

enum relay_poll {
	RELAY_POLL_INPUT,
	RELAY_POLL_OUTPUT,
	RELAY_POLL_MASTER,
	RELAY_POLL_N,
};

struct relay_buffer {
	char bytes[RELAY_BUFFER_BYTES];
	size_t from, to;
};

struct relay {
	int input;  /* borrowed; FD_NONE once it has ended */
	int output; /* does not block; FD_NONE once nobody reads */
	bool input_is_terminal;
	bool output_is_socket;
	int master, slave; /* FD_NONE once hung up */
	struct relay_buffer in, out;
	bool half_line; /* of input */
	int ends_n;     /* how many VEOF are still to be written */
	bool finishing, finished;
	size_t rest_bytes; /* read since the end */
};

/* Copy between the borrowed @input and @output and @master (consumed, also on failure). */
int relay_init(struct relay *relay, int input, int output, int master, struct tn_error *err);

/* Hangs up. Accepts one that has failed to begin. */
void relay_done(struct relay *relay);

void relay_resize(const struct relay *relay, uint16_t rows, uint16_t cols);

/* What to poll for now; a descriptor is negative where there is nothing to wait for. */
void relay_poll(const struct relay *relay, struct pollfd fds[static RELAY_POLL_N]);

/* Copy what can be, by what poll(2) has said. */
void relay_process(struct relay *relay, const struct pollfd fds[static RELAY_POLL_N]);

/* The command has ended: take no more input, and only the output that is there. */
void relay_finish(struct relay *relay);

/* After relay_finish(): all of it has been written, or cannot be. */
bool relay_finished(const struct relay *relay);

#endif
