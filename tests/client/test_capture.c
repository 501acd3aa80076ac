/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A run as one call: what it reads and writes is memory. */
#include "daemon.h"

#include <poll.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>

TestSuite(capture, .timeout = 60, .init = set_up, .fini = tear_down);

#define COMMAND(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define MANY         400000 /* more than a pipe holds */

static struct tn_run_spec spec_of(const char *const *argv, const struct tn_run_capture *capture)
{
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;

	spec.tenant = "acme";
	spec.argv = argv;
	spec.stdin_fd = TN_RUN_DEVNULL;
	spec.capture = capture;
	return spec;
}

static struct tn_run *run_shell(const char *script, const struct tn_run_capture *capture)
{
	struct tn_run_spec spec = spec_of(COMMAND("sh", "-c", script), capture);
	struct tn_run *run = NULL;

	cr_assert_eq(tn_run(client, &spec, &run, &err), 0, "%s", err.msg);
	return run;
}

static void expect_output(const struct tn_output *output, const char *text, bool truncated)
{
	cr_assert_not_null(output);
	cr_expect_eq(output->n, strlen(text), "%zu", output->n);
	cr_expect_str_eq(output->bytes, text);
	cr_expect_eq(output->truncated, truncated);
}

static char *made_of(size_t n)
{
	char *bytes = malloc(n);

	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)(i * 31 + i / 256);
	return bytes;
}

Test(capture, gives_a_result_like_a_function)
{
	const struct tn_run_capture capture = {
		.stdin_bytes = "b\na\n",
		.stdin_n = 4,
		.stdout_bytes_max = 100,
		.stderr_bytes_max = 100,
	};
	int before = fds_open();
	struct tn_run *run = run_shell("sort; echo oops >&2; exit 3", &capture);

	cr_expect_eq(tn_run_execution(run)->exit_code, 3);
	cr_expect_str_eq(tn_run_id(run), FAKE_EXECUTION_ID);
	expect_output(tn_run_stdout(run), "a\nb\n", false);
	expect_output(tn_run_stderr(run), "oops\n", false);
	cr_expect_eq(tn_run_waiting_before(run), TN_ABSENT);
	tn_run_free(run);
	cr_expect_eq(fds_open(), before);
}

Test(capture, passes_every_byte_through)
{
	char *bytes = made_of(MANY);
	const struct tn_run_capture capture = {
		.stdin_bytes = bytes,
		.stdin_n = MANY,
		.stdout_bytes_max = MANY, /* exactly: nothing is truncated */
	};
	struct tn_run *run = run_shell("cat", &capture);

	cr_expect_eq(tn_run_stdout(run)->n, (size_t)MANY);
	cr_expect_eq(memcmp(tn_run_stdout(run)->bytes, bytes, MANY), 0);
	cr_expect_not(tn_run_stdout(run)->truncated);
	cr_expect_null(tn_run_stderr(run), "that is not captured");
	tn_run_free(run);
	free(bytes);
}

Test(capture, does_not_mind_what_is_not_read)
{
	char *bytes = made_of(MANY);
	const struct tn_run_capture capture = { .stdin_bytes = bytes, .stdin_n = MANY };
	struct tn_run *run = run_shell("exec <&-; sleep 0.1", &capture);

	cr_expect_eq(tn_run_execution(run)->exit_code, 0);
	cr_expect_null(tn_run_stdout(run));
	tn_run_free(run);
	free(bytes);
}

Test(capture, blocks_on_neither_stream_however_much_there_is)
{
	const struct tn_run_capture capture = {
		.stdout_bytes_max = 10,
		.stderr_bytes_max = 2L * MANY,
	};
	static const char *const scripts[] = {
		"head -c 400000 /dev/zero; head -c 400000 /dev/zero >&2; echo x; echo y >&2",
		"head -c 400000 /dev/zero >&2; head -c 400000 /dev/zero; echo x; echo y >&2",
	};

	for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
		struct tn_run *run = run_shell(scripts[i], &capture);

		cr_expect_eq(tn_run_execution(run)->reason, TN_REASON_EXITED);
		cr_expect_eq(tn_run_stdout(run)->n, 10u);
		cr_expect(tn_run_stdout(run)->truncated);
		cr_expect_eq(tn_run_stderr(run)->n, (size_t)MANY + 2);
		cr_expect_str_eq(tn_run_stderr(run)->bytes + MANY, "y\n");
		cr_expect_not(tn_run_stderr(run)->truncated);
		tn_run_free(run);
	}
}

Test(capture, is_empty_text_where_nothing_was_written)
{
	const struct tn_run_capture capture = {
		.stdin_bytes = "",
		.stdout_bytes_max = 1,
		.stderr_bytes_max = SIZE_MAX,
	};
	struct tn_run *run = run_shell("cat", &capture);

	expect_output(tn_run_stdout(run), "", false);
	expect_output(tn_run_stderr(run), "", false);
	tn_run_free(run);
	run = run_shell("echo ab", &capture);
	expect_output(tn_run_stdout(run), "a", true);
	tn_run_free(run);
}

Test(capture, ends_what_writes_too_much_if_told_to)
{
	const struct tn_run_capture capture = {
		.stdout_bytes_max = 4,
		.kill_on_overflow = true,
	};
	struct tn_run *run = run_shell("yes", &capture);

	expect_output(tn_run_stdout(run), "y\ny\n", true);
	cr_expect_eq(tn_run_execution(run)->reason, TN_REASON_KILLED);
	cr_expect_str_eq(tn_run_explanation(run), "killed because it wrote more than is kept");
	tn_run_free(run);
	/* As much as is kept is not too much. */
	run = run_shell("printf abcd", &capture);
	expect_output(tn_run_stdout(run), "abcd", false);
	cr_expect_eq(tn_run_execution(run)->reason, TN_REASON_EXITED);
	cr_expect_null(tn_run_explanation(run));
	tn_run_free(run);
}

Test(capture, does_not_wait_for_who_was_given_the_pipe)
{
	const struct tn_run_capture capture = { .stdout_bytes_max = 100 };
	int64_t began = clock_usec(CLOCK_MONOTONIC);
	struct tn_run *run = run_shell("sleep 5 2>/dev/null & echo hi", &capture);

	expect_output(tn_run_stdout(run), "hi\n", false);
	cr_expect_lt(clock_usec(CLOCK_MONOTONIC) - began, INT64_C(4) * CLOCK_USEC_PER_SEC);
	tn_run_free(run);
}

Test(capture, is_pollable_and_gives_output_as_it_comes)
{
	const struct tn_run_capture capture = { .stdout_bytes_max = 100 };
	struct tn_run_spec spec = spec_of(
		COMMAND("sh", "-c",
	                "trap 'exit 4' USR1; echo ready; while :; do sleep 0.05; done"),
		&capture);
	struct tn_run *run;
	bool told = false;
	int r, fd;

	cr_assert_eq(tn_run_start(client, &spec, &run, &err), 0, "%s", err.msg);
	fd = tn_run_fd(run);
	do {
		struct pollfd pollfd = { .fd = fd, .events = tn_run_events(run) };

		cr_assert_eq(poll(&pollfd, 1, 10000), 1);
		r = tn_run_process(run, &err);
		cr_assert_geq(r, 0, "%s", err.msg);
		cr_expect_eq(tn_run_fd(run), fd);
		if (!told && tn_run_id(run) != NULL && tn_run_stdout(run)->n > 0) {
			cr_expect_eq(tn_run_signal(run, SIGUSR1, &err), 0);
			told = true;
		}
	} while (r != TN_RUN_EXITED);
	cr_expect_eq(tn_run_execution(run)->exit_code, 4);
	expect_output(tn_run_stdout(run), "ready\n", false);
	tn_run_free(run);
}

Test(capture, is_given_up_at_any_time)
{
	const struct tn_run_capture capture = {
		.stdin_bytes = "x",
		.stdin_n = 1,
		.stdout_bytes_max = 100,
		.stderr_bytes_max = 100,
	};
	struct tn_run_spec spec = spec_of(COMMAND("yes"), &capture);
	int before = fds_open();

	for (int turns = 0; turns < 20; turns++) {
		struct tn_run *run;

		cr_assert_eq(tn_run_start(client, &spec, &run, &err), 0, "%s", err.msg);
		for (int i = 0; i < turns; i++)
			cr_assert_geq(tn_run_process(run, &err), 0, "%s", err.msg);
		cr_expect_null(tn_run_free(run));
	}
	cr_expect_eq(fds_open(), before - 1, "the idle connection went with the first");
}

Test(capture, fails_without_a_result)
{
	const struct tn_run_capture capture = { .stdout_bytes_max = 100 };
	struct tn_run_spec spec = spec_of(COMMAND("true"), &capture);
	struct tn_run *run = NULL;
	int before = fds_open();

	spec.tenant = "nobody";
	cr_expect_eq(tn_run(client, &spec, &run, &err), -ENOENT);
	spec.tenant = "gone";
	cr_expect_eq(tn_run(client, &spec, &run, &err), -EPIPE);
	spec.tenant = "../acme";
	cr_expect_eq(tn_run(client, &spec, &run, &err), -EINVAL);
	spec.tenant = "acme";
	spec.queue_usec_max = -1;
	cr_expect_eq(tn_run(client, &spec, &run, &err), -EINVAL);
	spec.queue_usec_max = 0;
	spec.stdin_fd = -1;
	cr_expect_eq(tn_run(client, &spec, &run, &err), -EBADF);
	cr_expect_null(run);
	cr_expect_eq(fds_open(), before - 1, "the idle connection went with the first");
}

Test(capture, tells_whom_it_waits_for)
{
	struct tn_run_spec spec = spec_of(COMMAND("true"), NULL);
	struct tn_run *run;
	int events[4], n = 0, r;

	spec.tenant = "queue";
	spec.queue_usec_max = 1000000;
	cr_assert_eq(tn_run_start(client, &spec, &run, &err), 0, "%s", err.msg);
	do {
		struct pollfd pollfd = { .fd = tn_run_fd(run), .events = tn_run_events(run) };

		cr_assert_eq(poll(&pollfd, 1, 10000), 1);
		while ((r = tn_run_process(run, &err)) > TN_RUN_NOTHING)
			events[n++] = r;
		cr_assert_geq(r, 0, "%s", err.msg);
	} while (tn_run_execution(run) == NULL);
	cr_assert_eq(n, 3);
	cr_expect_eq(events[0], TN_RUN_QUEUED);
	cr_expect_eq(events[1], TN_RUN_STARTED);
	cr_expect_eq(events[2], TN_RUN_EXITED);
	cr_expect_eq(tn_run_waiting_before(run), 2);
	tn_run_free(run);
}
