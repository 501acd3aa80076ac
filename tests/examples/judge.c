/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * judge TENANT EXPECTED -- COMMAND...: run somebody else's program as TENANT with what is on
 * standard input, and say whether it wrote EXPECTED, within 2 s and 64 MiB. Exit status 0 if
 * it did, 1 if not.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tenant/client.h>
#include <tenant/run.h>

#define INPUT_BYTES_MAX  65536
#define OUTPUT_BYTES_MAX 4096

struct task {
	const char *tenant;
	const char *expected;
	const char *const *command;
	const char *input;
	size_t input_n;
};

/* As expected, but for blanks and newlines at the end. */
static int matches(const struct tn_output *output, const char *expected)
{
	size_t n = output->n;

	while (n > 0 && strchr(" \n", output->bytes[n - 1]) != NULL)
		n--;
	return n == strlen(expected) && memcmp(output->bytes, expected, n) == 0;
}

/* 0: accepted; 1: not, and it has been said why. */
static int verdict(const struct tn_run *run, const struct task *task)
{
	const struct tn_execution *execution = tn_run_execution(run);

	if (execution->reason != TN_REASON_EXITED) {
		/* Too long, out of memory, too much output, a signal. */
		printf("rejected: %s\n", tn_run_explanation(run));
	} else if (execution->exit_code != 0) {
		printf("rejected: exit status %" PRId64 ": %s\n", execution->exit_code,
		       tn_run_stderr(run)->bytes);
	} else if (!matches(tn_run_stdout(run), task->expected)) {
		printf("rejected: wrote '%s'\n", tn_run_stdout(run)->bytes);
	} else {
		printf("accepted in %" PRId64 " ms, with %" PRId64 " ms of CPU time\n",
		       execution->wall_usec / 1000, execution->cpu_usec / 1000);
		return 0;
	}
	return 1;
}

static int judge(const struct tn_client *client, const struct task *task, struct tn_error *err)
{
	const struct tn_run_capture capture = {
		.stdin_bytes = task->input,
		.stdin_n = task->input_n,
		.stdout_bytes_max = OUTPUT_BYTES_MAX,
		.stderr_bytes_max = OUTPUT_BYTES_MAX,
		.kill_on_overflow = true,
	};
	struct tn_run_spec spec = TN_RUN_SPEC_INIT;
	struct tn_run *run;
	int r;

	spec.tenant = task->tenant;
	spec.argv = task->command;
	spec.capture = &capture;
	spec.limits.runtime_usec_max = 2000000;
	spec.limits.kill_after_usec = 0;
	spec.limits.memory_max_bytes = 64 << 20;
	spec.queue_usec_max = 10000000; /* others may be judged now */
	r = tn_run(client, &spec, &run, err);
	if (r < 0)
		return r;
	r = verdict(run, task);
	tn_run_free(run);
	return r;
}

int main(int argc, char **argv)
{
	static char input[INPUT_BYTES_MAX];
	struct task task = { 0 };
	struct tn_client *client;
	struct tn_error err;
	int r;

	if (argc < 5 || strcmp(argv[3], "--") != 0) {
		fprintf(stderr, "usage: judge TENANT EXPECTED -- COMMAND [ARGUMENT...]\n");
		return 2;
	}
	task.tenant = argv[1];
	task.expected = argv[2];
	task.command = (const char *const *)argv + 4;
	task.input = input;
	task.input_n = fread(input, 1, sizeof(input), stdin);

	r = tn_client_open(NULL, &client, &err);
	if (r == 0) {
		r = judge(client, &task, &err);
		tn_client_free(client);
	}
	if (r < 0) {
		fprintf(stderr, "judge: %s\n", err.msg);
		return 125;
	}
	return r;
}
