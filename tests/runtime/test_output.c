/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* runtime/logs/output.c: from pipes to files, and over the death of a logger. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <base/fd.h>
#include <logs/output.h>

#define TURN_USEC 200000

static struct loop *loop;
static struct outputs *outputs;
static struct ring_piece piece;

static void begin(void)
{
	struct tn_error err = { 0 };

	cr_assert_eq(unsetenv("NOTIFY_SOCKET"), 0);
	cr_assert_eq(loop_new(&loop, &err), 0);
	cr_assert_eq(outputs_new(&outputs, loop, &err), 0);
}

static void end(void)
{
	outputs = outputs_free(outputs);
	loop = loop_free(loop);
}

TestSuite(output, .timeout = 20, .init = begin, .fini = end);

struct source {
	int ends[2]; /* to write to */
	int fds[HANDOVER_FDS_N];
	int file;
};

static struct source source_make(uint8_t number)
{
	struct ring_about about = { .bytes_max = RING_BYTES_MIN,
		                    .execution = { { number, 2, 3 } } };
	struct source source;
	struct tn_error err = { 0 };
	int pipes[2];

	for (int i = 0; i < 2; i++) {
		cr_assert_eq(pipe2(pipes, O_CLOEXEC), 0);
		cr_assert_eq(fcntl(pipes[0], F_SETFL, O_NONBLOCK), 0);
		source.fds[i] = pipes[0];
		source.ends[i] = pipes[1];
	}
	source.file = memfd_create("log", MFD_CLOEXEC);
	cr_assert_eq(ring_create(source.file, &about, &err), 0);
	source.fds[HANDOVER_FILE] = fcntl(source.file, F_DUPFD_CLOEXEC, 3);
	return source;
}

static void turn(void)
{
	struct tn_error err = { 0 };

	while (loop_turn(loop, TURN_USEC, &err) > 0)
		;
}

/* All of a stream, and whether it has ended. */
static const char *read_all(int file, enum ring_stream stream, bool *ended)
{
	static char text[256];
	struct ring_reader reader = { 0 };
	struct tn_error err = { 0 };
	size_t n = 0;

	while (ring_read(file, &reader, &piece, ended, &err) == 1)
		if (piece.stream == stream) {
			memcpy(text + n, piece.bytes, piece.n);
			n += piece.n;
		}
	text[n] = '\0';
	return text;
}

Test(output, is_kept_by_stream_until_nobody_writes_any_more)
{
	struct source source = source_make(1);
	struct tn_error err = { 0 };
	bool ended = true;

	cr_assert_eq(outputs_take(outputs, source.fds, false, &err), 0, "%s", err.msg);
	cr_expect_eq(outputs_count(outputs), 1);
	cr_assert_eq(write(source.ends[0], "out", 3), 3);
	cr_assert_eq(write(source.ends[1], "err", 3), 3);
	turn();
	cr_expect_str_eq(read_all(source.file, RING_STDOUT, &ended), "out");
	cr_expect_str_eq(read_all(source.file, RING_STDERR, &ended), "err");
	cr_expect_not(ended);
	(void)close(source.ends[1]);
	turn();
	cr_expect_eq(outputs_count(outputs), 1);
	cr_assert_eq(write(source.ends[0], "put", 3), 3);
	(void)close(source.ends[0]);
	turn();
	cr_expect_str_eq(read_all(source.file, RING_STDOUT, &ended), "output");
	cr_expect(ended);
	cr_expect_eq(outputs_count(outputs), 0);
}

Test(output, that_is_taken_already_or_has_no_file_is_refused)
{
	struct source source = source_make(1), same = source_make(1), none = source_make(2);
	struct tn_error err = { 0 };

	cr_assert_eq(outputs_take(outputs, source.fds, false, &err), 0);
	cr_expect_lt(outputs_take(outputs, same.fds, false, &err), 0);
	cr_expect_eq(err.code, TN_EXISTS);
	cr_assert_eq(ftruncate(none.file, 0), 0);
	cr_expect_eq(outputs_take(outputs, none.fds, false, &err), -EBADMSG);
	cr_expect_eq(outputs_count(outputs), 1);
	/* Theirs are closed: nobody would read. */
	(void)signal(SIGPIPE, SIG_IGN);
	cr_expect_eq(write(same.ends[0], "x", 1), -1);
	cr_expect_eq(errno, EPIPE);
}

/* What lies in a pipe when a logger dies is there for the next one. */
Test(output, goes_on_with_the_next_logger)
{
	static const char *const names[HANDOVER_FDS_N] = {
		"log.01020300-0000-0000-0000-000000000000.0",
		"log.01020300-0000-0000-0000-000000000000.1",
		"log.01020300-0000-0000-0000-000000000000.2",
	};
	struct source source = source_make(1);
	struct tn_error err = { 0 };
	int kept[HANDOVER_FDS_N];
	bool ended;

	for (int i = 0; i < HANDOVER_FDS_N; i++)
		kept[i] = fcntl(source.fds[i], F_DUPFD_CLOEXEC, 3);
	cr_assert_eq(outputs_take(outputs, source.fds, false, &err), 0);
	cr_assert_eq(write(source.ends[0], "before", 6), 6);
	turn();
	outputs = outputs_free(outputs);
	cr_assert_eq(write(source.ends[0], " between", 8), 8);

	cr_assert_eq(outputs_new(&outputs, loop, &err), 0);
	for (int i = HANDOVER_FDS_N; i-- > 0;)
		outputs_restore(outputs, names[i], kept[i]);
	outputs_restore(outputs, "stored", open("/dev/null", O_RDONLY | O_CLOEXEC));
	outputs_restored(outputs);
	cr_expect_eq(outputs_count(outputs), 1);
	cr_assert_eq(write(source.ends[0], " after", 6), 6);
	(void)close(source.ends[0]);
	(void)close(source.ends[1]);
	turn();
	cr_expect_str_eq(read_all(source.file, RING_STDOUT, &ended), "before between after");
	cr_expect(ended);
}

/* It had ended when the logger died, but for its last word. */
Test(output, of_which_only_the_file_is_left_has_ended)
{
	struct source source = source_make(1);
	bool ended = false;

	outputs_restore(outputs, "log.01020300-0000-0000-0000-000000000000.2",
	                source.fds[HANDOVER_FILE]);
	outputs_restored(outputs);
	cr_expect_eq(outputs_count(outputs), 0);
	cr_expect_str_eq(read_all(source.file, RING_STDOUT, &ended), "");
	cr_expect(ended);
	(void)close(source.fds[0]);
	(void)close(source.fds[1]);
}
