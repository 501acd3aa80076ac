/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tools/run_status.c */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <base/err.h>
#include <base/fd.h>
#include <tools/run_report.h>
#include <tools/run_status.h>

TestSuite(status, .timeout = 10);

static int ends[2];
static struct run_status status;
static struct tn_error err;

static void begin(void)
{
	cr_assert_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	cr_assert_eq(run_status_init(&status, ends[1], &err), 0, "%s", err.msg);
}

static void expect_begins(const char *wanted)
{
	char text[4096];
	ssize_t n = read(ends[0], text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	cr_expect_eq(strncmp(text, wanted, strlen(wanted)), 0, "%s", text);
	if (n > 0) {
		cr_expect_eq(text[n - 1], '\n');
		cr_expect_null(memchr(text, '\n', (size_t)n - 1), "one line");
	}
}

Test(status, tells_of_the_start_and_the_end)
{
	struct tn_execution record = run_record_unknown("acme", "an-id");

	begin();
	run_status_started(&status, "an-id", "acme");
	expect_begins("{\"event\": \"started\", \"id\": \"an-id\", \"tenant\": \"acme\"}\n");
	run_status_exited(&status, &record);
	expect_begins("{\"event\": \"exited\", \"execution\": {\"id\": \"an-id\", \"tenant\": "
	              "\"acme\", \"name\": null, \"joins\": null, \"state\": ");
}

Test(status, tells_of_a_refusal_or_of_an_end_that_is_not_known)
{
	struct tn_execution record = run_record_unknown("acme", NULL);
	struct tn_error why = { 0 };

	begin();
	(void)err_refuse(&why, TN_NOT_FOUND, "no \"such\" tenant");
	run_status_failed(&status, &record, &why);
	expect_begins(
		"{\"event\": \"refused\", \"error\": \"io.tenantd.NotFound\", \"message\": "
		"\"no \\\"such\\\" tenant\"}\n");
	run_status_started(&status, "an-id", "acme");
	expect_begins("{\"event\": \"started\"");
	run_status_failed(&status, &record, &why);
	expect_begins("{\"event\": \"exited\", \"execution\": {\"id\": null, ");
}

Test(status, outlives_its_reader)
{
	begin();
	(void)signal(SIGPIPE, SIG_IGN);
	(void)close(ends[0]);
	run_status_started(&status, "an-id", "acme");
	cr_expect(status.failed);
	run_status_started(&status, "an-id", "acme");
}

static void refused(int64_t number, int r, const char *message)
{
	cr_expect_eq(run_status_init(&status, number, &err), r);
	cr_expect_eq(err.code, TN_INVALID);
	cr_expect_str_eq(err.msg, message);
	cr_expect_eq(status.fd, FD_NONE);
}

Test(status, needs_a_descriptor_that_is_open_for_writing)
{
	char text[128];
	int fd;

	refused(2, -EINVAL, "--status-fd: 2 is the command's own; expected 3 or more");
	refused(1000, -EBADF, "--status-fd: descriptor 1000 is not open");
	refused(INT64_C(4294967299), -EBADF, "--status-fd: descriptor 4294967299 is not open");
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	(void)snprintf(text, sizeof(text), "--status-fd: descriptor %d is not open for writing",
	               fd);
	refused(fd, -EINVAL, text);
	(void)close(fd);
	fd = open("/dev/null", O_PATH | O_CLOEXEC);
	refused(fd, -EINVAL, text);
	(void)close(fd);
	cr_expect_eq(run_status_init(&status, TN_ABSENT, &err), 0);
	run_status_started(&status, "an-id", "acme");
}
