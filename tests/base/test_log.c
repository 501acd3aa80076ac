/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <base/io.h>
#include <base/log.h>

#define HEAD "{\"level\": 6, \"program\": \"prog\", \"message\": "

static void name_program(void)
{
	static char name[] = "prog";

	(void)unsetenv("JOURNAL_STREAM");
	program_invocation_short_name = name;
}

TestSuite(log, .timeout = 20, .init = name_program);

struct capture {
	int fd, saved;
};

static struct capture capture_begin(void)
{
	struct capture capture = { .saved = dup(STDERR_FILENO) };
	int ends[2];

	cr_assert_eq(pipe(ends), 0);
	cr_assert_geq(dup2(ends[1], STDERR_FILENO), 0);
	(void)close(ends[1]);
	capture.fd = ends[0];
	return capture;
}

/* What one write(2) put there; a second one would be in the way of the next test. */
static size_t capture_end(struct capture *capture, char *text, size_t size)
{
	ssize_t n;

	(void)dup2(capture->saved, STDERR_FILENO);
	(void)close(capture->saved);
	n = io_read_all(capture->fd, text, size - 1);
	(void)close(capture->fd);
	cr_assert_geq(n, 0);
	text[n] = '\0';
	return (size_t)n;
}

Test(log, writes_an_event_as_one_object_on_one_line)
{
	struct capture capture = capture_begin();
	char text[LOG_EVENT_BYTES_MAX * 2];

	log_event(LOG_INFO, "execution started", LF_STR("tenant", "acme"), LF_INT("pid", -7),
	          LF_INT("most", INT64_MIN), LF_STR("empty", ""), LF_END);
	log_event(LOG_ERR, "plain", LF_END);
	(void)capture_end(&capture, text, sizeof(text));
	cr_expect_str_eq(text, HEAD
	                 "\"execution started\", \"tenant\": \"acme\", \"pid\": -7, "
	                 "\"most\": -9223372036854775808, \"empty\": \"\"}\n"
	                 "{\"level\": 3, \"program\": \"prog\", \"message\": \"plain\"}\n");
}

Test(log, escapes_what_could_end_a_string_or_a_line_or_move_a_cursor)
{
	struct capture capture = capture_begin();
	char text[LOG_EVENT_BYTES_MAX * 2];

	log_event(LOG_INFO, "a\"b\\c\nd\te\x1b[31m\x7f\x01\xc3\xa4/", LF_STR("k\n", "\r"),
	          LF_END);
	(void)capture_end(&capture, text, sizeof(text));
	cr_expect_str_eq(text,
	                 HEAD "\"a\\u0022b\\u005cc\\u000ad\\u0009e\\u001b[31m\\u007f\\u0001"
	                      "\\u00c3\\u00a4/\", \"k\\u000a\": \"\\u000d\"}\n");
}

Test(log, cuts_an_event_that_is_too_long_and_still_ends_the_line)
{
	struct capture capture = capture_begin();
	char text[LOG_EVENT_BYTES_MAX * 2], message[LOG_EVENT_BYTES_MAX + 500];
	size_t n;

	memset(message, 'x', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	log_event(LOG_INFO, message, LF_STR("tenant", "acme"), LF_END);
	log_event(LOG_INFO, "next", LF_END);
	n = capture_end(&capture, text, sizeof(text));
	cr_expect_leq(strcspn(text, "\n") + 1, LOG_EVENT_BYTES_MAX);
	cr_expect_geq(strcspn(text, "\n") + 1, LOG_EVENT_BYTES_MAX - 2, "nothing is wasted");
	cr_expect_str_eq(text + strcspn(text, "\n") + 1, HEAD "\"next\"}\n");
	cr_expect_eq(n, strlen(text));
}

/* A journal of our own in a mount namespace of our own, or -1. */
static int journal_fake(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX,
		                       .sun_path = "/run/systemd/journal/socket" };
	int fd;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("run", "/run", "tmpfs", 0, NULL) < 0 || mkdir("/run/systemd", 0755) < 0 ||
	    mkdir("/run/systemd/journal", 0755) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -1 : fd;
}

static void need_root(void)
{
	const char *must = getenv("TN_MUST_RUN");

	if (geteuid() == 0)
		return;
	cr_assert(must == NULL || strcmp(must, "1") != 0, "TN_MUST_RUN=1, but not root");
	cr_skip("only root can put a socket where the journal's is");
}

Test(log, speaks_to_the_journal_in_fields_when_systemd_reads_stderr)
{
	struct capture capture;
	char text[LOG_EVENT_BYTES_MAX * 2], line[64];
	int journal;
	ssize_t n;

	need_root();
	journal = journal_fake();
	cr_assert_geq(journal, 0);
	(void)setenv("JOURNAL_STREAM", "8:1", 1);
	capture = capture_begin();
	log_event(LOG_INFO, "it\nbegan", LF_STR("tenant", "acme\nPRIORITY=0"),
	          LF_INT("wall_usec", 12), LF_END);
	(void)capture_end(&capture, line, sizeof(line));
	cr_expect_str_eq(line, "", "told twice");
	n = recv(journal, text, sizeof(text) - 1, 0);
	cr_assert_gt(n, 0);
	text[n] = '\0';
	/* A value that contained a line would be a field of the tenant's choice. */
	cr_expect_str_eq(text, "PRIORITY=6\nSYSLOG_IDENTIFIER=prog\nMESSAGE=it began\n"
	                       "TENANT=acme PRIORITY=0\nWALL_USEC=12\n");
}

Test(log, falls_back_to_stderr_when_the_journal_does_not_listen)
{
	struct capture capture;
	char text[LOG_EVENT_BYTES_MAX];

	need_root();
	(void)close(journal_fake());
	(void)setenv("JOURNAL_STREAM", "8:1", 1);
	capture = capture_begin();
	log_event(LOG_INFO, "alone", LF_END);
	(void)capture_end(&capture, text, sizeof(text));
	cr_expect_str_eq(text, HEAD "\"alone\"}\n");
}
