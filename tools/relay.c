/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <base/err.h>
#include <base/fd.h>

/*
 * Other processes share the caller's streams, so their flags are not ours to change. A
 * pipe and a terminal can be opened once more without blocking; to a socket one can write
 * without; a file does not block. What remains, a terminal that may not be opened and the
 * master of one, is written to as it is.
 */
static int open_output(int fd, bool *ret_is_socket)
{
	char path[32];
	unsigned int number;
	struct stat st = { 0 };
	int again = FD_NONE;

	*ret_is_socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (S_ISFIFO(st.st_mode) || (isatty(fd) == 1 && ioctl(fd, TIOCGPTN, &number) < 0))
		again = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return again >= 0 ? again : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

int relay_init(struct relay *relay, int input, int output, int master, struct tn_error *err)
{
	/* In place: with its buffers it is too large for a copy on the stack. */
	memset(relay, 0, sizeof(*relay));
	relay->input = input;
	relay->output = relay->slave = FD_NONE;
	relay->master = master;
	relay->input_is_terminal = isatty(input) == 1;
	relay->slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (relay->slave < 0 || fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return err_errno(err, "use the command's terminal: %s", strerror(errno));
	relay->output = open_output(output, &relay->output_is_socket);
	return relay->output < 0 ? err_errno(err, "standard output: %s", strerror(errno)) : 0;
}

static void hang_up(struct relay *relay)
{
	relay->input = FD_NONE;
	relay->finished = true;
	fd_closep(&relay->slave);
	fd_closep(&relay->master);
}

void relay_done(struct relay *relay)
{
	hang_up(relay);
	fd_closep(&relay->output);
}

void relay_resize(const struct relay *relay, uint16_t rows, uint16_t cols)
{
	const struct winsize size = { .ws_row = rows, .ws_col = cols };

	if (relay->master >= 0)
		(void)ioctl(relay->master, TIOCSWINSZ, &size);
}

static bool is_empty(const struct relay_buffer *buffer)
{
	return buffer->from == buffer->to;
}

/* What read(2) says; nothing may be in the buffer. */
static ssize_t fill(struct relay_buffer *buffer, int fd)
{
	ssize_t n = read(fd, buffer->bytes, sizeof(buffer->bytes));

	buffer->from = 0;
	buffer->to = n > 0 ? (size_t)n : 0;
	return n;
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

/* How often the end has to be told: the first one only hands half a line over. */
static void input_ended(struct relay *relay)
{
	relay->input = FD_NONE;
	if (relay->input_is_terminal)
		hang_up(relay);
	else
		relay->ends_n = relay->half_line ? 2 : 1;
}

static void read_input(struct relay *relay)
{
	ssize_t n = fill(&relay->in, relay->input);

	if (n > 0)
		relay->half_line = relay->in.bytes[n - 1] != '\n';
	else if (n == 0 || !would_block())
		input_ended(relay);
}

/* The character that ends input; 0 if the terminal has none now. */
static char end_character(const struct relay *relay)
{
	struct termios modes;

	if (tcgetattr(relay->slave, &modes) < 0 || (modes.c_lflag & ICANON) == 0)
		return '\0';
	return (char)modes.c_cc[VEOF];
}

static void write_end(struct relay *relay)
{
	const char end = end_character(relay);

	if (end == '\0')
		relay->ends_n = 0;
	else if (write(relay->master, &end, 1) == 1)
		relay->ends_n--;
}

static void write_input(struct relay *relay)
{
	struct relay_buffer *in = &relay->in;
	ssize_t n;

	if (is_empty(in)) {
		if (relay->ends_n > 0)
			write_end(relay);
		return;
	}
	n = write(relay->master, in->bytes + in->from, in->to - in->from);
	if (n > 0)
		in->from += (size_t)n;
	else if (n < 0 && !would_block())
		in->from = in->to;
}

static void read_output(struct relay *relay)
{
	ssize_t n = fill(&relay->out, relay->master);

	if (n > 0 && relay->finishing) {
		relay->rest_bytes += (size_t)n;
		relay->finished = relay->rest_bytes > RELAY_REST_BYTES_MAX;
	} else if (n < 0 && errno == EAGAIN) {
		/* Nothing is there, and nothing can come once the command has ended. */
		relay->finished = relay->finishing;
	} else if (n == 0 || (n < 0 && errno != EINTR)) {
		hang_up(relay);
	}
}

static void write_output(struct relay *relay)
{
	struct relay_buffer *out = &relay->out;
	const char *bytes = out->bytes + out->from;
	/* Where it might block: no more than what poll(2) promises of a pipe. */
	const size_t n_max = out->to - out->from < PIPE_BUF ? out->to - out->from : PIPE_BUF;
	ssize_t n = relay->output_is_socket
	                    ? send(relay->output, bytes, n_max, MSG_DONTWAIT | MSG_NOSIGNAL)
	                    : write(relay->output, bytes, n_max);

	if (n > 0) {
		out->from += (size_t)n;
	} else if (n < 0 && !would_block()) {
		out->from = out->to;
		hang_up(relay);
	}
}

void relay_poll(const struct relay *relay, struct pollfd fds[static RELAY_POLL_N])
{
	short master = 0;

	if (!is_empty(&relay->in) || relay->ends_n > 0)
		master |= POLLOUT;
	if (is_empty(&relay->out))
		master |= POLLIN;
	fds[RELAY_POLL_INPUT] = (struct pollfd){
		.fd = is_empty(&relay->in) ? relay->input : FD_NONE,
		.events = POLLIN,
	};
	fds[RELAY_POLL_OUTPUT] = (struct pollfd){
		.fd = is_empty(&relay->out) ? FD_NONE : relay->output,
		.events = POLLOUT,
	};
	fds[RELAY_POLL_MASTER] = (struct pollfd){
		.fd = master != 0 ? relay->master : FD_NONE,
		.events = master,
	};
}

void relay_process(struct relay *relay, const struct pollfd fds[static RELAY_POLL_N])
{
	const short master = fds[RELAY_POLL_MASTER].revents;

	if (fds[RELAY_POLL_OUTPUT].revents != 0)
		write_output(relay);
	if (relay->master >= 0 && is_empty(&relay->out) &&
	    (relay->finishing || (master & ~POLLOUT) != 0))
		read_output(relay);
	if (relay->master >= 0 && (master & POLLOUT) != 0)
		write_input(relay);
	if (relay->input >= 0 && fds[RELAY_POLL_INPUT].revents != 0)
		read_input(relay);
}

void relay_finish(struct relay *relay)
{
	static const struct pollfd none[RELAY_POLL_N];

	relay->input = FD_NONE;
	relay->ends_n = 0;
	relay->in.from = relay->in.to = 0;
	relay->finishing = true;
	relay_process(relay, none);
}

bool relay_finished(const struct relay *relay)
{
	return relay->finished && is_empty(&relay->out);
}
