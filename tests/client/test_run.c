/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/io.h>

#include "daemon.h"

#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

TestSuite(run, .timeout = 30, .init = set_up, .fini = tear_down);

#define COMMAND(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* A run of @argv whose output goes to the write end of @out. */
static struct tn_run *start(const char *tenant, const char *const *argv, const int *out)
{
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;
	struct tn_run *run = NULL;

	spec.tenant = tenant;
	spec.argv = argv;
	if (out != NULL)
		spec.stdout_fd = out[1];
	cr_assert_eq(tn_run_start(client, &spec, &run, &err), 0, "%s", err.msg);
	return run;
}

static void read_line(int fd, char *line, size_t size)
{
	size_t n = 0;

	while (n < size - 1 && read(fd, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
}

Test(run, hands_over_arguments_environment_directory_and_descriptors)
{
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;
	struct tn_run *run;
	int in[2], out[2], before = fds_open();
	char text[256];
	ssize_t n;

	cr_assert_eq(pipe2(in, O_CLOEXEC), 0);
	cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
	cr_assert_eq(io_write_all(in[1], "from stdin", 10), 0);
	cr_assert_eq(close(in[1]), 0);
	spec.tenant = "acme";
	spec.argv = COMMAND("sh", "-c", "pwd; echo \"$0|$1|$A|$B\"; cat", "", "a b\n\xff");
	spec.env = COMMAND("A=1", "B=x=y", "PATH=/usr/bin:/bin");
	spec.workdir = "/usr/lib";
	spec.stdin_fd = in[0];
	spec.stdout_fd = out[1];
	cr_assert_eq(tn_run_start(client, &spec, &run, &err), 0, "%s", err.msg);
	cr_expect_null(tn_run_id(run));
	cr_assert_eq(tn_run_wait(run, &err), 0, "%s", err.msg);
	cr_expect_str_eq(tn_run_id(run), FAKE_EXECUTION_ID);
	cr_expect_eq(tn_run_execution(run)->reason, TN_REASON_EXITED);
	cr_expect_eq(tn_run_execution(run)->exit_code, 0);
	cr_expect_null(tn_run_explanation(run));
	cr_expect_eq(tn_run_process(run, &err), TN_RUN_NOTHING, "it ends once");
	cr_expect_null(tn_run_free(run));

	cr_assert_eq(close(out[1]), 0);
	cr_assert_eq(close(in[0]), 0);
	n = io_read_all(out[0], text, sizeof(text) - 1);
	text[n] = '\0';
	cr_expect_str_eq(text, "/usr/lib\n|a b\n\xff|1|x=y\nfrom stdin");
	cr_assert_eq(close(out[0]), 0);
	cr_expect_eq(fds_open(), before);
}

/* To make a connection costs more than to ask for a run. */
Test(run, takes_the_idle_connection_and_leaves_it)
{
	const int fd = tn_client_fd(client);
	struct tn_run *run, *other;

	for (int i = 0; i < 3; i++) {
		run = start("acme", COMMAND("true"), NULL);
		cr_expect_eq(tn_run_fd(run), fd);
		cr_expect_eq(tn_client_fd(client), FD_NONE);
		other = start("acme", COMMAND("true"), NULL);
		cr_expect_neq(tn_run_fd(other), fd, "each has its own meanwhile");
		cr_assert_eq(tn_run_wait(run, &err), 0, "%s", err.msg);
		cr_assert_eq(tn_run_wait(other, &err), 0, "%s", err.msg);
		tn_run_free(run);
		cr_expect_eq(tn_client_fd(client), fd);
		tn_run_free(other);
	}

	/* One that is given up takes its connection along. */
	run = start("acme", COMMAND("sleep", "60"), NULL);
	cr_expect_eq(tn_run_fd(run), fd);
	tn_run_free(run);
	cr_expect_eq(tn_client_fd(client), FD_NONE);
}

Test(run, may_outlive_its_client)
{
	int before = fds_open();
	struct tn_run *run = start("acme", COMMAND("true"), NULL);

	client = tn_client_free(client);
	cr_assert_eq(tn_run_wait(run, &err), 0, "%s", err.msg);
	tn_run_free(run);
	cr_expect_eq(fds_open(), before - 1, "the idle connection has gone too");
}

Test(run, does_not_trip_over_a_daemon_that_was_restarted)
{
	struct pollfd gone = { .fd = tn_client_fd(client), .events = POLLIN };
	struct tn_run *run;

	daemon_stop();
	cr_assert_eq(poll(&gone, 1, 10000), 1);
	daemon_start();
	run = start("acme", COMMAND("true"), NULL);
	cr_assert_eq(tn_run_wait(run, &err), 0, "%s", err.msg);
	tn_run_free(run);
}

static int event_of(struct tn_run *run)
{
	int r;

	while ((r = tn_run_process(run, &err)) == TN_RUN_NOTHING) {
		struct pollfd pollfd = { .fd = tn_run_fd(run), .events = tn_run_events(run) };

		cr_assert_eq(poll(&pollfd, 1, 10000), 1);
	}
	return r;
}

/* The daemon that was there before is asked no more, and the new one knows the end. */
static void expect_rejoined(struct tn_run *run)
{
	cr_assert_eq(event_of(run), TN_RUN_STARTED, "%s", err.msg);
	daemon_stop();
	cr_assert_eq(event_of(run), TN_RUN_LOST, "%s", err.msg);
	cr_expect_eq(tn_run_signal(run, SIGUSR1, &err), 0, "kept until it is back");
	cr_expect_eq(tn_run_process(run, &err), TN_RUN_NOTHING);
	daemon_start();
	cr_assert_eq(event_of(run), TN_RUN_REJOINED, "%s", err.msg);
	cr_assert_eq(event_of(run), TN_RUN_EXITED, "%s", err.msg);
	cr_expect_eq(tn_run_execution(run)->exit_code, 3);
	cr_expect_str_eq(tn_run_id(run), FAKE_EXECUTION_ID);
}

Test(run, goes_on_when_the_daemon_is_back)
{
	int before = fds_open();
	struct tn_run *run = start("acme", COMMAND("sleep", "60"), NULL);

	expect_rejoined(run);
	tn_run_free(run);
	cr_expect_eq(fds_open(), before);
}

Test(run, goes_on_with_what_is_captured_when_the_daemon_is_back)
{
	struct tn_run_capture capture = { .stdout_bytes_max = 100 };
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;
	struct tn_run *run = NULL;

	spec.tenant = "acme";
	spec.argv = COMMAND("sh", "-c", "echo before; exec sleep 60");
	spec.capture = &capture;
	cr_assert_eq(tn_run_start(client, &spec, &run, &err), 0, "%s", err.msg);
	while (tn_run_stdout(run)->n < 7 || tn_run_id(run) == NULL) {
		struct pollfd pollfd = { .fd = tn_run_fd(run), .events = tn_run_events(run) };

		cr_assert_eq(poll(&pollfd, 1, 10000), 1);
		cr_assert_geq(tn_run_process(run, &err), 0, "%s", err.msg);
	}
	daemon_stop();
	cr_assert_eq(event_of(run), TN_RUN_LOST, "%s", err.msg);
	daemon_start();
	cr_assert_eq(tn_run_wait(run, &err), 0, "%s", err.msg);
	cr_expect_eq(tn_run_execution(run)->exit_code, 3);
	cr_expect_str_eq(tn_run_stdout(run)->bytes, "before\n");
	tn_run_free(run);
}

/* The new daemon knows nothing of it: it was never launched. */
Test(run, is_asked_for_again_when_the_daemon_goes_before_it_has_started)
{
	int before = fds_open(), out[2], status;
	struct tn_run *run;
	char line[8];

	cr_assert_eq(pipe(out), 0);
	(void)kill(daemon_pid, SIGSTOP);
	cr_assert_eq(waitpid(daemon_pid, &status, WUNTRACED), daemon_pid);
	cr_assert(WIFSTOPPED(status));
	/* Who serves a connection that it has taken goes on: this one it has not. */
	client = tn_client_free(client);
	cr_assert_eq(tn_client_open(socket_path, &client, &err), 0, "%s", err.msg);
	run = start("acme", COMMAND("sh", "-c", "echo once; exit 4"), out);
	(void)close(out[1]);
	cr_expect_eq(tn_run_process(run, &err), TN_RUN_NOTHING);
	daemon_stop();
	daemon_start();
	cr_assert_eq(event_of(run), TN_RUN_STARTED, "%s", err.msg);
	cr_assert_eq(event_of(run), TN_RUN_EXITED, "%s", err.msg);
	cr_expect_eq(tn_run_execution(run)->exit_code, 4);
	read_line(out[0], line, sizeof(line));
	cr_expect_str_eq(line, "once");
	(void)close(out[0]);
	tn_run_free(run);
	cr_expect_eq(fds_open(), before);
}

/* It may be what each of them dies of. */
Test(run, fails_when_the_daemon_goes_again_and_again_before_it_has_started)
{
	struct tn_run *run = start("gone", COMMAND("true"), NULL);

	cr_expect_eq(tn_run_wait(run, &err), -EPIPE);
	cr_expect_eq(err.code, TN_UNREACHABLE);
	tn_run_free(run);
}

Test(run, says_which_limits_the_host_does_not_hold)
{
	struct tn_run *held = start("acme", COMMAND("true"), NULL);
	struct tn_run *unheld = start("unheld", COMMAND("true"), NULL);

	cr_assert_eq(tn_run_wait(held, &err), 0, "%s", err.msg);
	cr_assert_eq(tn_run_wait(unheld, &err), 0, "%s", err.msg);
	cr_expect_null(tn_run_unenforced(held));
	cr_expect_str_eq(tn_run_unenforced(unheld), "cpu, memory");
	cr_expect_null(tn_run_free(held));
	cr_expect_null(tn_run_free(unheld));
}

Test(run, tells_how_it_ended)
{
	const struct {
		const char *tenant;
		const char *const *argv;
		enum tn_reason reason;
		int64_t exit_code, signal;
	} cases[] = {
		{ "acme", COMMAND("sh", "-c", "exit 7"), TN_REASON_EXITED, 7, TN_ABSENT },
		{ "acme", COMMAND("sh", "-c", "kill -9 $$"), TN_REASON_SIGNALED, TN_ABSENT, 9 },
		{ "acme", COMMAND("/there/is/none"), TN_REASON_RUNTIME, 127, TN_ABSENT },
		{ "acme", COMMAND("/etc/passwd"), TN_REASON_RUNTIME, 126, TN_ABSENT },
		{ "oom", COMMAND("sh", "-c", "kill -9 $$"), TN_REASON_OOM, TN_ABSENT, 9 },
		{ "unclear", COMMAND("true"), TN_REASON_UNKNOWN, 0, TN_ABSENT },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tn_run *run = start(cases[i].tenant, cases[i].argv, NULL);
		const struct tn_execution *record;

		cr_assert_eq(tn_run_wait(run, &err), 0, "case %zu: %s", i, err.msg);
		record = tn_run_execution(run);
		cr_expect_eq(record->reason, cases[i].reason, "case %zu", i);
		cr_expect_eq(record->exit_code, cases[i].exit_code, "case %zu", i);
		cr_expect_eq(record->signal, cases[i].signal, "case %zu", i);
		if (record->reason == TN_REASON_OOM)
			cr_expect_str_eq(tn_run_explanation(run),
			                 "killed by memory_max 64M (tiers/free.yaml:7)");
		tn_run_free(run);
	}
}

Test(run, fails_as_the_daemon_says_or_when_it_goes_away)
{
	static const struct {
		const char *tenant;
		enum tn_error_code code;
		int r;
	} cases[] = {
		{ "nobody", TN_NOT_FOUND, -ENOENT }, { "gone", TN_UNREACHABLE, -EPIPE },
		{ "garbage", TN_PROTOCOL, -EPROTO }, { "wrong", TN_PROTOCOL, -EPROTO },
		{ "twice", TN_PROTOCOL, -EPROTO },   { "full", TN_QUOTA, -EDQUOT },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tn_run *run = start(cases[i].tenant, COMMAND("true"), NULL);

		cr_expect_eq(tn_run_wait(run, &err), cases[i].r, "%s: %s", cases[i].tenant,
		             err.msg);
		cr_expect_eq(err.code, (int32_t)cases[i].code, "%s: %s", cases[i].tenant,
		             err.msg);
		cr_expect_null(tn_run_execution(run));
		cr_expect_eq(tn_run_quota_error(run) != NULL, cases[i].code == TN_QUOTA);
		cr_expect_eq(tn_run_process(run, &err), -EBUSY, "a failed run stays failed");
		tn_run_free(run);
	}
}

Test(run, is_pollable_and_passes_signals_on)
{
	int out[2];
	char line[64];
	struct tn_run *run;
	int events[2] = { 0 }, n = 0;

	cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
	run = start("acme",
	            COMMAND("sh", "-c",
	                    "trap 'exit 33' USR1; echo ready; while :; do sleep 0.05; done"),
	            out);
	while (n < 2) {
		struct pollfd pollfd = { .fd = tn_run_fd(run), .events = tn_run_events(run) };
		int r;

		cr_assert_eq(poll(&pollfd, 1, 10000), 1);
		while ((r = tn_run_process(run, &err)) != TN_RUN_NOTHING) {
			cr_assert_geq(r, 0, "%s", err.msg);
			events[n++] = r;
			if (r != TN_RUN_STARTED)
				continue;
			read_line(out[0], line, sizeof(line));
			cr_expect_str_eq(line, "ready");
			cr_expect_eq(tn_run_signal(run, SIGUSR1, &err), 0);
		}
	}
	cr_expect_eq(events[0], TN_RUN_STARTED);
	cr_expect_eq(events[1], TN_RUN_EXITED);
	cr_expect_eq(tn_run_execution(run)->exit_code, 33);
	cr_expect_eq(tn_run_signal(run, SIGUSR1, &err), -ESRCH);
	tn_run_free(run);
	close(out[0]);
	close(out[1]);
}

Test(run, keeps_a_few_signals_until_it_has_started)
{
	struct tn_run *run = start("acme", COMMAND("sleep", "100"), NULL);

	for (int i = 0; i < 15; i++)
		cr_expect_eq(tn_run_signal(run, SIGCONT, &err), 0);
	cr_expect_eq(tn_run_signal(run, SIGTERM, &err), 0);
	cr_expect_eq(tn_run_signal(run, SIGCONT, &err), -EAGAIN);
	cr_assert_eq(tn_run_wait(run, &err), 0, "%s", err.msg);
	cr_expect_eq(tn_run_execution(run)->signal, SIGTERM);
	tn_run_free(run);
}

/* Until the terminal hangs up, which its last process does by ending. */
static void read_terminal(int fd, char *text, size_t size)
{
	size_t n = 0;
	ssize_t got;

	while (n < size - 1 && (got = read(fd, text + n, size - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
}

Test(run, hands_over_the_master_of_the_commands_terminal_once)
{
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;
	struct tn_run *run;
	char text[128];
	int before = fds_open(), fd;

	spec.tenant = "acme";
	spec.argv = COMMAND("sh", "-c",
	                    "stty size; test -t 0 && test -t 1 && : </dev/tty && echo yes");
	spec.tty = true;
	spec.tty_rows = 7;
	spec.tty_cols = 33;
	/* What is not open would be refused if it were handed in. */
	spec.stdin_fd = spec.stdout_fd = spec.stderr_fd = 1000;
	cr_assert_eq(tn_run_start(client, &spec, &run, &err), 0, "%s", err.msg);
	cr_expect_eq(tn_run_tty(run), FD_NONE, "it has not started");
	cr_assert_eq(tn_run_wait(run, &err), 0, "%s", err.msg);
	fd = tn_run_tty(run);
	cr_assert_geq(fd, 0);
	cr_expect_eq(tn_run_tty(run), FD_NONE, "only once");
	read_terminal(fd, text, sizeof(text));
	cr_expect_str_eq(text, "7 33\r\nyes\r\n", "what was written before the end is there");
	(void)close(fd);
	tn_run_free(run);

	cr_assert_eq(tn_run_start(client, &spec, &run, &err), 0, "%s", err.msg);
	cr_assert_eq(tn_run_wait(run, &err), 0, "%s", err.msg);
	tn_run_free(run);
	cr_expect_eq(fds_open(), before, "what nobody took is closed");
	run = start("acme", COMMAND("true"), NULL);
	cr_assert_eq(tn_run_wait(run, &err), 0);
	cr_expect_eq(tn_run_tty(run), FD_NONE, "none was asked for");
	tn_run_free(run);
}

Test(run, fails_if_the_terminal_does_not_come)
{
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;
	struct tn_run *run;
	int before = fds_open();

	spec.tenant = "blind";
	spec.argv = COMMAND("true");
	spec.tty = true;
	cr_assert_eq(tn_run_start(client, &spec, &run, &err), 0, "%s", err.msg);
	cr_expect_eq(tn_run_wait(run, &err), -EPROTO);
	cr_expect_str_eq(err.msg, "the daemon's reply does not bring a terminal");
	tn_run_free(run);
	cr_expect_eq(fds_open(), before - 1, "the idle connection went with it");
}

Test(run, ends_with_its_handle)
{
	struct tn_run *run;
	int out[2];
	char line[64];
	pid_t pid;
	bool alive = true;

	cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
	run = start("acme", COMMAND("sh", "-c", "echo $$; exec sleep 100"), out);
	cr_assert_eq(close(out[1]), 0);
	for (int r = TN_RUN_NOTHING; r != TN_RUN_STARTED; r = tn_run_process(run, &err)) {
		struct pollfd pollfd = { .fd = tn_run_fd(run), .events = tn_run_events(run) };

		cr_assert_geq(r, 0, "%s", err.msg);
		(void)poll(&pollfd, 1, 100);
	}
	read_line(out[0], line, sizeof(line));
	pid = (pid_t)atoi(line);
	cr_assert_gt(pid, 1);
	cr_assert_eq(kill(pid, 0), 0);
	tn_run_free(run);
	for (int i = 0; alive && i < 200; i++) {
		/* Its own end of the pipe closes with the last process that holds it. */
		struct pollfd pollfd = { .fd = out[0] };

		alive = poll(&pollfd, 1, 50) == 0;
	}
	cr_expect_not(alive);
	close(out[0]);
}

Test(run, refuses_what_linux_would_not_execute)
{
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;
	struct tn_run *run = NULL;
	char *text = malloc(TN_RUN_STRING_BYTES_MAX + 1);
	const char *many[20];
	int before = fds_open();

	spec.tenant = "acme";
	spec.argv = COMMAND(text);
	memset(text, 'x', TN_RUN_STRING_BYTES_MAX + 1);
	text[TN_RUN_STRING_BYTES_MAX] = '\0';
	cr_expect_eq(tn_run_start(client, &spec, &run, &err), -E2BIG);
	cr_expect_eq(err.code, TN_INVALID);
	cr_expect_neq(strstr(err.msg, "128 KiB"), NULL, "%s", err.msg);

	text[TN_RUN_STRING_BYTES_MAX - 1] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = i < 17 ? text : NULL;
	spec.argv = many;
	cr_expect_eq(tn_run_start(client, &spec, &run, &err), -E2BIG);
	cr_expect_neq(strstr(err.msg, "2 MiB"), NULL, "%s", err.msg);

	spec.argv = COMMAND(NULL);
	cr_expect_eq(tn_run_start(client, &spec, &run, &err), -EINVAL);
	spec.argv = COMMAND("true");
	spec.env = COMMAND("NOVALUE");
	cr_expect_eq(tn_run_start(client, &spec, &run, &err), -EINVAL);
	spec.env = COMMAND("=x");
	cr_expect_eq(tn_run_start(client, &spec, &run, &err), -EINVAL);
	spec.env = NULL;
	spec.workdir = "relative";
	cr_expect_eq(tn_run_start(client, &spec, &run, &err), -EINVAL);
	spec.workdir = NULL;
	spec.tenant = "../acme";
	cr_expect_eq(tn_run_start(client, &spec, &run, &err), -EINVAL);
	cr_expect_null(run);
	cr_expect_eq(fds_open(), before);
	free(text);
}

Test(run, takes_the_longest_arguments_that_linux_takes)
{
	char *text = malloc(TN_RUN_STRING_BYTES_MAX);
	struct tn_run *run;

	memset(text, 'x', TN_RUN_STRING_BYTES_MAX);
	text[TN_RUN_STRING_BYTES_MAX - 1] = '\0';
	run = start("acme", COMMAND("sh", "-c", "test ${#0} = 131071", text), NULL);
	cr_assert_eq(tn_run_wait(run, &err), 0, "%s", err.msg);
	cr_expect_eq(tn_run_execution(run)->exit_code, 0);
	tn_run_free(run);
	free(text);
}

Test(run, says_which_descriptors_are_binds_and_how_to_run)
{
	const struct tn_run_bind binds[] = {
		{ .target = "/a", .fd = STDERR_FILENO, .writable = false },
		{ .target = "/b", .fd = STDERR_FILENO, .writable = true }
	};
	static const struct tn_run_tmpfs tmpfs[] = { { "/c", 4096 }, { "/d", TN_ABSENT } };
	struct tn_run_bind many[TN_RUN_BINDS_MAX + 1];
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;
	struct tn_run *run = NULL;

	spec.tenant = "echo";
	spec.argv = COMMAND("a", "b");
	spec.env = COMMAND("A=1");
	spec.binds = binds;
	spec.binds_n = ARRAY_LEN(binds);
	spec.limits.memory_max_bytes = 1 << 20;
	spec.user = "root:tty";
	spec.tmpfs = tmpfs;
	spec.tmpfs_n = ARRAY_LEN(tmpfs);
	spec.read_only = spec.no_init = true;
	cr_assert_eq(tn_run_start(client, &spec, &run, &err), 0, "%s", err.msg);
	cr_expect_eq(tn_run_wait(run, &err), -EINVAL);
	cr_expect_str_eq(
		err.msg,
		"{\"tenant\":\"echo\",\"stdin\":0,\"stdout\":1,\"stderr\":2,\"args\":3,"
		"\"argc\":2,\"envc\":1,\"limits\":{\"memory_max_bytes\":1048576},"
		"\"binds\":[{\"fd\":4,\"target\":\"/a\",\"writable\":false},"
		"{\"fd\":5,\"target\":\"/b\",\"writable\":true}],"
		"\"dry_run\":false,\"user\":\"root:tty\",\"tmpfs\":["
		"{\"target\":\"/c\",\"bytes_max\":4096},"
		"{\"target\":\"/d\",\"bytes_max\":null}],\"read_only\":true,\"no_init\":true}");
	run = tn_run_free(run);

	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = binds[0];
	spec.binds = many;
	spec.binds_n = ARRAY_LEN(many);
	cr_expect_eq(tn_run_start(client, &spec, &run, &err), -EINVAL);
	many[0].target = "relative";
	spec.binds_n = 1;
	cr_expect_eq(tn_run_start(client, &spec, &run, &err), -EINVAL);
	spec.binds = NULL;
	spec.binds_n = 0;
	spec.tmpfs_n = TN_RUN_TMPFS_MAX + 1;
	cr_expect_eq(tn_run_start(client, &spec, &run, &err), -EINVAL);
	spec.tmpfs = &(struct tn_run_tmpfs){ "relative", TN_ABSENT };
	spec.tmpfs_n = 1;
	cr_expect_eq(tn_run_start(client, &spec, &run, &err), -EINVAL);
	cr_expect_str_eq(err.msg, "tmpfs on 'relative': not an absolute path");
	spec.tmpfs_n = 0;
	spec.stdin_fd = 1000;
	cr_expect_eq(tn_run_start(client, &spec, &run, &err), -EBADF);
	cr_expect_null(run);
}

Test(run, plans_without_running)
{
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;
	struct tn_plan plan = { 0 };

	spec.tenant = "acme";
	cr_assert_eq(tn_run_plan(client, &spec, &plan, &err), 0, "%s", err.msg);
	cr_expect_str_eq(plan.tier, "free");
	cr_assert_eq(plan.limits.n, 1u);
	cr_expect_str_eq(plan.limits.items[0].key, "memory_max");
	cr_expect_str_eq(plan.limits.items[0].value, "64M");
	cr_expect_str_eq(plan.limits.items[0].source, "tiers/free.yaml:7");
	cr_assert_eq(plan.options.n, 1u);
	cr_expect_str_eq(plan.options.items[0].key, "user");
	cr_expect_str_eq(plan.options.items[0].value, "1000:1000");
	cr_expect_str_eq(plan.environment.items[0], "HOME=/data");
	cr_expect_str_eq(plan.unenforced.items[0], "storage quota");
	tn_plan_done(&plan);
	spec.tenant = "nobody";
	cr_expect_eq(tn_run_plan(client, &spec, &plan, &err), -ENOENT);
	cr_expect_null(plan.owner);
}
