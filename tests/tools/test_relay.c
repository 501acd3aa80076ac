/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tools/relay.c: between pipes and sockets of the test's and a terminal that it makes. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <base/err.h>
#include <base/fd.h>
#include <base/io.h>
#include <tools/relay.h>

#define TURNS_MAX  20000
#define TURN_MSEC  10
#define QUIET_MSEC 100
#define MANY_BYTES (1 << 20)

/* A program's end of the terminal, and the caller's of both streams. */
static struct relay relay;
static int program = FD_NONE, feed = FD_NONE, outcome = FD_NONE;

static int master_make(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	cr_assert(master >= 0 && unlockpt(master) == 0, "there are no terminals here");
	program = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	cr_assert_geq(program, 0);
	return master;
}

static void begin(void)
{
	struct tn_error err = { 0 };
	int in[2], out[2];

	(void)signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(pipe2(in, O_CLOEXEC), 0);
	cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
	cr_assert_eq(relay_init(&relay, in[0], out[1], master_make(), &err), 0, "%s", err.msg);
	(void)close(out[1]);
	feed = in[1];
	outcome = out[0];
}

TestSuite(relay, .timeout = 60, .init = begin);

/* Whatever can be done within @msec of the last thing that could. */
static void work(int msec)
{
	struct pollfd fds[RELAY_POLL_N];

	for (int i = 0; i < TURNS_MAX; i++) {
		relay_poll(&relay, fds);
		if (poll(fds, RELAY_POLL_N, msec) <= 0)
			return;
		relay_process(&relay, fds);
	}
	cr_assert_fail("it does not come to rest");
}

static void raw(void)
{
	struct termios modes;

	cr_assert_eq(tcgetattr(program, &modes), 0);
	cfmakeraw(&modes);
	cr_assert_eq(tcsetattr(program, TCSANOW, &modes), 0);
}

/* What the program can read now. */
static ssize_t got(char *text, size_t size)
{
	ssize_t n = read(program, text, size - 1);

	text[n > 0 ? n : 0] = '\0';
	return n;
}

Test(relay, copies_both_ways)
{
	char text[64] = "";

	cr_assert_eq(write(feed, "typed\n", 6), 6);
	work(QUIET_MSEC);
	cr_expect_eq(got(text, sizeof(text)), 6);
	cr_expect_str_eq(text, "typed\n");
	cr_assert_eq(write(program, "said", 4), 4);
	work(QUIET_MSEC);
	cr_expect_eq(read(outcome, text, sizeof(text)), 11, "with the echo");
	cr_expect_eq(memcmp(text, "typed\r\nsaid", 11), 0);
	relay_done(&relay);
}

Test(relay, tells_the_end_of_input_once_after_a_line_and_twice_after_half_of_one)
{
	static const char *const inputs[] = { "", "line\n", "half" };
	char text[64];

	for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
		if (i > 0)
			begin();
		cr_assert_eq(io_write_all(feed, inputs[i], strlen(inputs[i])), 0);
		(void)close(feed);
		work(QUIET_MSEC);
		if (inputs[i][0] != '\0') {
			cr_expect_eq(got(text, sizeof(text)), (ssize_t)strlen(inputs[i]));
			cr_expect_str_eq(text, inputs[i]);
		}
		cr_expect_eq(got(text, sizeof(text)), 0, "'%s': no end", inputs[i]);
		cr_expect_eq(got(text, sizeof(text)), -1, "'%s': two ends", inputs[i]);
		relay_done(&relay);
	}
}

Test(relay, sends_no_key_to_a_terminal_that_takes_bytes)
{
	char text[8];

	raw();
	cr_assert_eq(write(feed, "x", 1), 1);
	(void)close(feed);
	work(QUIET_MSEC);
	cr_expect_eq(got(text, sizeof(text)), 1);
	cr_expect_eq(got(text, sizeof(text)), -1, "the end came as a byte");
	relay_done(&relay);
}

/* A program that gives back what it gets, in a process of its own. */
static pid_t echo_start(size_t n)
{
	pid_t pid = fork();
	char bytes[4096];

	if (pid != 0)
		return pid;
	(void)fcntl(program, F_SETFL, O_RDWR);
	while (n > 0) {
		ssize_t some = read(program, bytes, sizeof(bytes));

		if (some <= 0 || io_write_all(program, bytes, (size_t)some) < 0)
			_exit(1);
		n -= (size_t)some;
	}
	_exit(0);
}

static pid_t feed_start(size_t n)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	for (size_t i = 0; i < n; i++) {
		unsigned char byte = (unsigned char)(i * 7 + i / 256);

		if (write(feed, &byte, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

Test(relay, loses_no_byte_of_many_and_waits_for_a_slow_reader)
{
	const size_t n = MANY_BYTES / 8;
	pid_t feeder, echo;
	size_t received = 0;
	bool same = true;

	raw();
	cr_assert_eq(fcntl(outcome, F_SETFL, O_NONBLOCK), 0);
	feeder = feed_start(n);
	echo = echo_start(n);
	for (int turn = 0; received < n && turn < TURNS_MAX; turn++) {
		unsigned char bytes[1000];
		ssize_t some;

		work(1);
		some = read(outcome, bytes, sizeof(bytes));
		for (ssize_t i = 0; i < some; i++, received++)
			same &= bytes[i] == (unsigned char)(received * 7 + received / 256);
	}
	cr_expect_eq(received, n);
	cr_expect(same);
	cr_expect_eq(waitpid(feeder, NULL, 0), feeder);
	cr_expect_eq(waitpid(echo, NULL, 0), echo);
	relay_done(&relay);
}

Test(relay, takes_input_while_nobody_reads_the_output)
{
	char text[64], many[4096];

	raw();
	memset(many, 'x', sizeof(many));
	for (int i = 0; i < TURNS_MAX && write(program, many, sizeof(many)) > 0; i++)
		work(1);
	cr_assert_eq(write(feed, "typed", 5), 5);
	work(QUIET_MSEC);
	cr_expect_eq(got(text, sizeof(text)), 5);
	cr_expect_str_eq(text, "typed");
	relay_done(&relay);
}

Test(relay, leaves_the_callers_own_streams_as_they_are)
{
	struct tn_error err = { 0 };
	int out[2];

	relay_done(&relay);
	cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
	cr_assert_eq(relay_init(&relay, feed, out[1], master_make(), &err), 0);
	cr_expect_eq(fcntl(out[1], F_GETFL) & O_NONBLOCK, 0);
	cr_expect_neq(fcntl(relay.output, F_GETFL) & O_NONBLOCK, 0);
	relay_done(&relay);
	cr_expect_geq(fcntl(out[1], F_GETFD), 0);
}

Test(relay, writes_to_a_socket_without_waiting)
{
	struct tn_error err = { 0 };
	char many[4096], text[8];
	int ends[2];

	relay_done(&relay);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	cr_assert_eq(relay_init(&relay, feed, ends[1], master_make(), &err), 0);
	raw();
	memset(many, 'x', sizeof(many));
	for (int i = 0; i < TURNS_MAX && write(program, many, sizeof(many)) > 0; i++)
		work(1);
	cr_expect_eq(read(ends[0], text, 1), 1);
	cr_expect_eq(text[0], 'x');
	relay_done(&relay);
}

Test(relay, hangs_up_when_nobody_reads_any_more)
{
	char text[8];

	(void)close(outcome);
	cr_assert_eq(write(program, "lost", 4), 4);
	work(QUIET_MSEC);
	cr_expect_eq(read(program, text, sizeof(text)), 0, "the end of a terminal");
	cr_expect_eq(write(program, "x", 1), -1);
	cr_expect_eq(errno, EIO);
	relay_done(&relay);
}

Test(relay, does_not_end_while_the_program_has_it_closed)
{
	struct pollfd fds[RELAY_POLL_N];
	char text[8] = "";
	int again;

	(void)close(program);
	relay_poll(&relay, fds);
	cr_expect_eq(poll(fds, RELAY_POLL_N, QUIET_MSEC), 0, "it would spin");
	again = ioctl(relay.master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	cr_assert_geq(again, 0);
	cr_assert_eq(write(again, "again", 5), 5);
	work(QUIET_MSEC);
	cr_expect_eq(read(outcome, text, sizeof(text)), 5);
	cr_expect_str_eq(text, "again");
	relay_done(&relay);
}

static void drain(void)
{
	relay_finish(&relay);
	for (int i = 0; i < TURNS_MAX && !relay_finished(&relay); i++) {
		struct pollfd fds[RELAY_POLL_N];

		relay_poll(&relay, fds);
		(void)poll(fds, RELAY_POLL_N, TURN_MSEC);
		relay_process(&relay, fds);
	}
	cr_expect(relay_finished(&relay));
}

Test(relay, hands_on_what_was_written_before_the_end)
{
	char text[64] = "";

	cr_assert_eq(write(program, "the rest\n", 9), 9);
	(void)close(program);
	drain();
	cr_expect_eq(read(outcome, text, sizeof(text)), 10);
	cr_expect_str_eq(text, "the rest\r\n");
	relay_done(&relay);
}

Test(relay, does_not_wait_for_one_who_goes_on_writing_after_the_end)
{
	pid_t writer = fork(), reader = writer == 0 ? 0 : fork();
	struct pollfd written = { .fd = relay.master, .events = POLLIN };
	char many[4096] = "";

	if (writer == 0) {
		(void)fcntl(program, F_SETFL, O_RDWR);
		while (write(program, many, sizeof(many)) > 0)
			;
		_exit(0);
	}
	if (reader == 0) {
		while (read(outcome, many, sizeof(many)) > 0)
			;
		_exit(0);
	}
	cr_assert_eq(poll(&written, 1, 10000), 1);
	drain();
	cr_expect_gt(relay.rest_bytes, 0u);
	cr_assert_eq(kill(writer, SIGKILL), 0);
	cr_assert_eq(kill(reader, SIGKILL), 0);
	relay_done(&relay);
}

Test(relay, gives_the_terminal_its_size)
{
	struct winsize size = { 0 };

	relay_resize(&relay, 12, 34);
	cr_assert_eq(ioctl(program, TIOCGWINSZ, &size), 0);
	cr_expect_eq(size.ws_row, 12);
	cr_expect_eq(size.ws_col, 34);
	relay_done(&relay);
	relay_resize(&relay, 1, 1);
}
