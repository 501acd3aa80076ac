/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tn_exec(): a further command in an execution, as far as the caller sees of it. */
#include "daemon.h"

#include <poll.h>
#include <string.h>

#include <tenant/exec.h>

TestSuite(exec, .timeout = 30, .init = set_up, .fini = tear_down);

static const char *const echo_argv[] = { "sh", "-c", "echo out; echo err >&2; exit 3", NULL };

Test(exec, runs_as_a_run_and_tells_how_it_ended)
{
	struct tn_run_capture capture = { .stdout_bytes_max = 64, .stderr_bytes_max = 64 };
	struct tn_exec_spec spec = TN_EXEC_SPEC_INIT;
	struct tn_run *run = NULL;

	spec.execution = FAKE_EXECUTION_ID;
	spec.argv = echo_argv;
	spec.stdin_fd = TN_RUN_DEVNULL;
	spec.capture = &capture;
	cr_assert_eq(tn_exec(client, &spec, &run, &err), 0, "%s", err.msg);
	cr_expect_str_eq(tn_run_stdout(run)->bytes, "out\n");
	cr_expect_str_eq(tn_run_stderr(run)->bytes, "err\n");
	cr_expect_eq(tn_run_execution(run)->exit_code, 3);
	cr_expect_eq(tn_run_execution(run)->reason, TN_REASON_EXITED);
	tn_run_free(run);
}

Test(exec, gives_what_was_asked_for)
{
	struct tn_run_capture capture = { .stdin_bytes = "in",
		                          .stdin_n = 2,
		                          .stdout_bytes_max = 64 };
	struct tn_exec_spec spec;
	struct tn_run *run = NULL;

	tn_exec_spec_init(&spec);
	spec.execution = FAKE_EXECUTION_ID;
	spec.argv = (const char *const[]){ "sh", "-c", "cat; echo $A; pwd", NULL };
	spec.env = (const char *const[]){ "A=b", NULL };
	spec.workdir = "/tmp";
	spec.capture = &capture;
	cr_assert_eq(tn_exec(client, &spec, &run, &err), 0, "%s", err.msg);
	cr_expect_str_eq(tn_run_stdout(run)->bytes, "inb\n/tmp\n");
	tn_run_free(run);
}

Test(exec, passes_signals_on_and_ends_with_its_handle)
{
	struct tn_exec_spec spec = TN_EXEC_SPEC_INIT;
	struct tn_run *run = NULL;
	const int before = fds_open();

	spec.execution = FAKE_EXECUTION_ID;
	spec.argv = (const char *const[]){ "sleep", "1000", NULL };
	cr_assert_eq(tn_exec_start(client, &spec, &run, &err), 0, "%s", err.msg);
	cr_assert_eq(tn_run_signal(run, SIGTERM, &err), 0, "%s", err.msg);
	cr_assert_eq(tn_run_wait(run, &err), 0, "%s", err.msg);
	cr_expect_eq(tn_run_execution(run)->reason, TN_REASON_SIGNALED);
	cr_expect_eq(tn_run_execution(run)->signal, SIGTERM);
	tn_run_free(run);

	cr_assert_eq(tn_exec_start(client, &spec, &run, &err), 0, "%s", err.msg);
	tn_run_free(run);
	cr_expect_leq(fds_open(), before, "nothing is left open");
}

Test(exec, has_a_terminal_if_it_is_to)
{
	struct tn_exec_spec spec = TN_EXEC_SPEC_INIT;
	struct tn_run *run = NULL;
	cleanup_fd int tty = FD_NONE;
	char text[32] = "";
	ssize_t n;

	spec.execution = FAKE_EXECUTION_ID;
	spec.argv = (const char *const[]){ "stty", "size", NULL };
	spec.tty = true;
	spec.tty_rows = 33;
	spec.tty_cols = 44;
	cr_assert_eq(tn_exec_start(client, &spec, &run, &err), 0, "%s", err.msg);
	cr_assert_eq(tn_run_wait(run, &err), 0, "%s", err.msg);
	tty = tn_run_tty(run);
	n = read(tty, text, sizeof(text) - 1);
	cr_expect_gt(n, 0);
	cr_expect_str_eq(text, "33 44\r\n");
	tn_run_free(run);
}

Test(exec, says_what_cannot_be_asked_for)
{
	struct tn_run_capture capture = { .stdout_bytes_max = 1 };
	struct tn_exec_spec spec = TN_EXEC_SPEC_INIT;
	struct tn_run *run = NULL;

	spec.argv = echo_argv;
	cr_expect_eq(tn_exec_start(client, &spec, &run, &err), -EINVAL);
	cr_expect_str_eq(err.msg, "no execution to join");
	spec.execution = "job";
	cr_expect_eq(tn_exec_start(client, &spec, &run, &err), -EINVAL);
	cr_expect_str_eq(err.msg, "not an execution's UUID");
	spec.execution = FAKE_EXECUTION_ID;
	spec.tty = true;
	spec.capture = &capture;
	cr_expect_eq(tn_exec_start(client, &spec, &run, &err), -EINVAL);
	cr_expect_str_eq(err.msg, "what a terminal says is not captured");
	spec.capture = NULL;
	spec.argv = (const char *const[]){ NULL };
	cr_expect_eq(tn_exec_start(client, &spec, &run, &err), -EINVAL);
	cr_expect_str_eq(err.msg, "there is no command to run");
	cr_expect_null(run);
}

Test(exec, fails_as_the_daemon_says)
{
	struct tn_exec_spec spec = TN_EXEC_SPEC_INIT;
	struct tn_run *run = NULL;

	spec.execution = "1192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f";
	spec.argv = echo_argv;
	cr_expect_lt(tn_exec(client, &spec, &run, &err), 0);
	cr_expect_eq(err.code, TN_NOT_FOUND);
	cr_expect_null(run);
}
