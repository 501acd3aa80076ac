/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <criterion/criterion.h>

#include <base/err.h>
#include <base/io.h>
#include <tools/exit_status.h>
#include <tools/run_report.h>

static char directory[] = "/tmp/test-report-XXXXXX";

static void set_up(void)
{
	cr_assert_not_null(mkdtemp(directory));
	cr_assert_eq(chdir(directory), 0);
}

/* Remove what a test left, and tell how much that was. */
static int tear_down_count(void)
{
	DIR *dir = opendir(".");
	const struct dirent *entry;
	int n = 0;

	cr_assert_not_null(dir);
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' && unlink(entry->d_name) == 0)
			n++;
	(void)closedir(dir);
	(void)rmdir(directory);
	return n;
}

static void tear_down(void)
{
	(void)tear_down_count();
}

TestSuite(report, .timeout = 10, .init = set_up, .fini = tear_down);

static struct tn_error err;

static void expect_begins(const char *path, const char *expected)
{
	char text[2048] = "";

	cr_assert_gt(io_read_file_at(AT_FDCWD, path, text, sizeof(text)), 0, "%s", path);
	cr_expect_eq(strncmp(text, expected, strlen(expected)), 0, "%s", text);
	cr_expect_eq(text[strlen(text) - 1], '\n');
}

Test(report, appears_whole_or_not_at_all)
{
	const struct tn_execution record = run_record_unknown("acme", NULL);
	struct run_report report;
	struct stat st;

	cr_assert_eq(run_report_open(&report, "r.json", &err), 0, "%s", err.msg);
	cr_expect_eq(stat("r.json", &st), -1, "not before it is finished");
	cr_assert_eq(run_report_finish(&report, &record, NULL, &err), 0, "%s", err.msg);
	run_report_done(&report);
	expect_begins("r.json",
	              "{\"id\": null, \"tenant\": \"acme\", \"name\": null, \"joins\": null, "
	              "\"state\": "
	              "\"exited\", \"reason\": \"runtime\", \"exit_code\": 125, ");

	/* One that is given up leaves the old one as it was, and nothing beside it. */
	cr_assert_eq(run_report_open(&report, "r.json", &err), 0);
	run_report_done(&report);
	expect_begins("r.json", "{\"id\": null");
	cr_expect_eq(tear_down_count(), 1);
}

Test(report, says_what_went_wrong)
{
	const struct tn_execution record = run_record_unknown(
		"acme", "0192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f");
	struct run_report report;
	char text[2048] = "";

	(void)err_refuse(&err, TN_NOT_FOUND, "no \"such\" tenant");
	cr_assert_eq(run_report_open(&report, "r.json", &err), 0);
	cr_assert_eq(run_report_finish(&report, &record, &err, &err), 0);
	run_report_done(&report);
	cr_assert_gt(io_read_file_at(AT_FDCWD, "r.json", text, sizeof(text)), 0);
	cr_expect_not_null(strstr(text, "\"state\": \"unknown\", \"reason\": \"unknown\""),
	                   "%s", text);
	cr_expect_not_null(strstr(text, "\"error\": \"io.tenantd.NotFound\", \"message\": \"no "
	                                "\\\"such\\\" tenant\"}\n"),
	                   "%s", text);
}

Test(report, replaces_what_a_link_leads_to_and_not_the_link)
{
	const struct tn_execution record = run_record_unknown("acme", NULL);
	struct run_report report;
	struct stat st;

	cr_assert_eq(close(creat("target", 0600)), 0);
	cr_assert_eq(symlink("target", "link"), 0);
	cr_assert_eq(run_report_open(&report, "link", &err), 0);
	cr_assert_eq(run_report_finish(&report, &record, NULL, &err), 0);
	run_report_done(&report);
	cr_assert_eq(lstat("link", &st), 0);
	cr_expect(S_ISLNK(st.st_mode));
	expect_begins("target", "{\"id\": null");
}

/* With standard output a file, as in `tenant-run --report /dev/stdout ... > file`. */
Test(report, never_replaces_what_stands_for_standard_output)
{
	const struct tn_execution record = run_record_unknown("acme", NULL);
	struct run_report report;
	char before[256] = "", after[256] = "";
	int fd = open("out", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int saved = dup(STDOUT_FILENO);
	/* A bare /dev may have no name for it. */
	const char *name = access("/dev/stdout", F_OK) == 0 ? "/dev/stdout" : "/proc/self/fd/1";

	cr_assert_geq(fd, 0);
	cr_assert_gt(readlink(name, before, sizeof(before) - 1), 0);
	cr_assert_eq(io_write_all(fd, "output\n", 7), 0);
	cr_assert_eq(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
	cr_expect_eq(run_report_open(&report, name, &err), 0, "%s", err.msg);
	cr_expect_eq(run_report_finish(&report, &record, NULL, &err), 0, "%s", err.msg);
	run_report_done(&report);
	cr_assert_eq(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
	(void)close(saved);
	(void)close(fd);
	cr_assert_gt(readlink(name, after, sizeof(after) - 1), 0);
	cr_expect_str_eq(after, before);
	expect_begins("out", "output\n{\"id\": null");
}

Test(report, writes_to_a_pipe_as_it_is)
{
	const struct tn_execution record = run_record_unknown("acme", NULL);
	struct run_report report;
	int fd;
	char text[16] = "";

	cr_assert_eq(mkfifo("pipe", 0600), 0);
	fd = open("pipe", O_RDWR | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(run_report_open(&report, "pipe", &err), 0, "%s", err.msg);
	cr_assert_eq(run_report_finish(&report, &record, NULL, &err), 0);
	run_report_done(&report);
	cr_assert_eq(read(fd, text, 10), 10);
	cr_expect_str_eq(text, "{\"id\": nul");
	(void)close(fd);
	cr_expect_eq(tear_down_count(), 1);
}

Test(report, fails_before_the_run_if_it_cannot_be_written)
{
	struct run_report report;

	cr_expect_eq(run_report_open(&report, "no/such/directory/r.json", &err), -ENOENT);
	cr_expect_neq(strstr(err.msg, "no/such/directory/r.json"), NULL, "%s", err.msg);
	run_report_done(&report);
	cr_assert_eq(run_report_open(&report, NULL, &err), 0);
	cr_expect_eq(run_report_finish(&report, NULL, NULL, &err), 0, "none is wanted");
	run_report_done(&report);
}

Test(report, exit_status_is_the_commands_own_if_it_has_one)
{
	static const struct {
		enum tn_reason reason;
		int64_t exit_code, signal;
		int status;
	} cases[] = {
		{ TN_REASON_EXITED, 0, TN_ABSENT, 0 },
		{ TN_REASON_EXITED, 255, TN_ABSENT, 255 },
		{ TN_REASON_SIGNALED, TN_ABSENT, 15, 143 },
		{ TN_REASON_OOM, TN_ABSENT, TN_ABSENT, 137 },
		{ TN_REASON_OOM, TN_ABSENT, 9, 137 },
		{ TN_REASON_OOM, 1, TN_ABSENT, 1 },
		{ TN_REASON_TIMEOUT, TN_ABSENT, 15, 124 },
		{ TN_REASON_TIMEOUT, 0, TN_ABSENT, 124 },
		{ TN_REASON_SECCOMP, TN_ABSENT, TN_ABSENT, 159 },
		{ TN_REASON_KILLED, TN_ABSENT, TN_ABSENT, 137 },
		{ TN_REASON_RUNTIME, 126, TN_ABSENT, 126 },
		{ TN_REASON_RUNTIME, 127, TN_ABSENT, 127 },
		{ TN_REASON_RUNTIME, TN_ABSENT, TN_ABSENT, 125 },
		{ TN_REASON_UNKNOWN, TN_ABSENT, TN_ABSENT, 125 },
		{ TN_REASON_NONE, TN_ABSENT, TN_ABSENT, 125 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct tn_execution record = { .reason = cases[i].reason,
			                             .exit_code = cases[i].exit_code,
			                             .signal = cases[i].signal };

		cr_expect_eq(exit_status(&record), cases[i].status, "case %zu", i);
	}
}
