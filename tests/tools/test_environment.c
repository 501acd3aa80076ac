/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <base/err.h>
#include <base/fd.h>
#include <base/io.h>
#include <tools/environment.h>
#include <tools/run_options.h>

TestSuite(environment, .timeout = 30);

static char path[] = "/tmp/test-environment.XXXXXX";

static void file_make(const void *text, size_t n)
{
	cleanup_fd int fd = FD_NONE;

	memcpy(path + strlen(path) - 6, "XXXXXX", 6);
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	cr_assert_eq(io_write_all(fd, text, n), 0);
}

static int take(struct environment *env, const void *text, size_t n, struct tn_error *err)
{
	int r;

	file_make(text, n);
	r = environment_read(env, path, err);
	cr_assert_eq(unlink(path), 0);
	return r;
}

static void refused(const void *text, size_t n, const char *message)
{
	struct environment env = { 0 };
	struct tn_error err = { 0 };
	char wanted[256];

	cr_expect_lt(take(&env, text, n, &err), 0, "%s", message);
	(void)snprintf(wanted, sizeof(wanted), "%s%s", path, message);
	cr_expect_eq(err.code, TN_INVALID);
	cr_expect_str_eq(err.msg, wanted);
	environment_done(&env);
}

Test(environment, of_a_file_is_its_lines)
{
	static const char text[] = "A=1\n\n  # a comment\n#B=2\n \t\nC=x=y # no comment\n"
				   "  D= 1 \nE=\nHERE\nNOT_HERE\nUTF=\xc3\xa4\xff\r\nLAST=end";
	static const char *const wanted[] = {
		"A=1",     "C=x=y # no comment", "D= 1 ",
		"E=",      "HERE=of the caller", "UTF=\xc3\xa4\xff\r",
		"LAST=end"
	};
	struct environment env = { 0 };
	struct tn_error err = { 0 };

	cr_assert_eq(setenv("HERE", "of the caller", 1), 0);
	cr_assert_eq(unsetenv("NOT_HERE"), 0);
	cr_assert_eq(take(&env, text, sizeof(text) - 1, &err), 0, "%s", err.msg);
	cr_assert_eq(env.n, ARRAY_LEN(wanted));
	for (size_t i = 0; i < env.n; i++)
		cr_expect_str_eq(env.items[i], wanted[i]);
	cr_expect_null(env.items[env.n]);
	environment_done(&env);
	cr_assert_eq(take(&env, "", 0, &err), 0);
	cr_expect_eq(env.n, 0u);
	cr_assert_eq(take(&env, "\r\n\r\n", 4, &err), 0, "%s", err.msg);
	cr_expect_eq(env.n, 0u);
}

Test(environment, takes_the_later_line_and_the_command_line_before_all)
{
	struct environment env = { 0 };
	struct tn_error err = { 0 };

	cr_assert_eq(environment_name(&env, "NAMED=1", &err), 0);
	cr_assert_eq(environment_name(&env, "NAMED=2", &err), 0);
	cr_assert_eq(take(&env, "NAMED=3\nA=1\nAA=1\nA=2\n", 21, &err), 0, "%s", err.msg);
	cr_assert_eq(take(&env, "AA=2\n", 5, &err), 0, "%s", err.msg);
	cr_assert_eq(environment_default(&env, "A", &err), 0);
	cr_assert_eq(env.n, 3u);
	cr_expect_str_eq(env.items[0], "NAMED=2");
	cr_expect_str_eq(env.items[1], "A=2");
	cr_expect_str_eq(env.items[2], "AA=2");
	environment_done(&env);
}

Test(environment, of_a_file_is_refused_with_its_line)
{
	static char longest[140000];

	refused("A=1\n=2\n", 7, ":2: nothing before '='; expected NAME=VALUE or NAME");
	refused("\n\nA B=2", 7, ":3: a blank in a name; expected NAME=VALUE or NAME");
	refused("export A=2", 10, ":1: a blank in a name; expected NAME=VALUE or NAME");
	refused("A ", 2, ":1: a blank in a name; expected NAME=VALUE or NAME");
	refused("A=1\nB=\0\n", 8, ":2: a NUL byte; expected text");
	refused("\0", 1, ":1: a NUL byte; expected text");
	memset(longest, 'x', sizeof(longest));
	longest[1] = '=';
	refused(longest, 131072, ":1: longer than the 128 KiB that Linux takes of a variable");
}

Test(environment, takes_the_longest_variable_there_can_be)
{
	static char longest[131071];
	struct environment env = { 0 };
	struct tn_error err = { 0 };

	memset(longest, 'x', sizeof(longest));
	longest[1] = '=';
	cr_assert_eq(take(&env, longest, sizeof(longest), &err), 0, "%s", err.msg);
	cr_assert_eq(env.n, 1u);
	cr_expect_eq(strlen(env.items[0]), sizeof(longest));
	environment_done(&env);
}

Test(environment, of_what_cannot_be_read_is_refused)
{
	struct environment env = { 0 };
	struct tn_error err = { 0 };

	cr_expect_eq(environment_read(&env, "/no/such/file", &err), -ENOENT);
	cr_expect_str_eq(err.msg, "/no/such/file: No such file or directory");
	cr_expect_eq(environment_read(&env, "/", &err), -EISDIR);
	cr_expect_str_eq(err.msg, "/: Is a directory");
	/* It has no end; what is read of it has. */
	cr_expect_eq(environment_read(&env, "/dev/zero", &err), -EFBIG);
	cr_expect_str_eq(err.msg, "/dev/zero: larger than 2 MiB");
	cr_expect_eq(env.n, 0u);
}

static int parse(struct run_options *options, const char *const *words, struct tn_error *err)
{
	static char *argv[16];
	int n = 0;

	for (; words[n] != NULL; n++)
		argv[n] = strdup(words[n]);
	argv[n] = NULL;
	return run_options_parse(n, argv, options, err);
}

#define WORDS(...) ((const char *const[]){ "tenant-run", __VA_ARGS__, NULL })

Test(environment, has_the_callers_term_only_with_a_terminal)
{
	struct run_options options;
	struct tn_error err = { 0 };

	cr_assert_eq(setenv("TERM", "vt52", 1), 0);
	cr_assert_eq(parse(&options, WORDS("acme", "x"), &err), 0);
	cr_expect_eq(options.env.n, 0u);
	cr_expect_not(options.tty);
	run_options_done(&options);
	cr_assert_eq(parse(&options, WORDS("-it", "acme", "x"), &err), 0);
	cr_expect(options.tty && options.interactive);
	cr_assert_eq(options.env.n, 1u);
	cr_expect_str_eq(options.env.items[0], "TERM=vt52");
	run_options_done(&options);
	cr_assert_eq(parse(&options, WORDS("-t", "-e", "TERM=dumb", "acme", "x"), &err), 0);
	cr_assert_eq(options.env.n, 1u);
	cr_expect_str_eq(options.env.items[0], "TERM=dumb");
	run_options_done(&options);
	cr_assert_eq(unsetenv("TERM"), 0);
	cr_assert_eq(parse(&options, WORDS("-t", "acme", "x"), &err), 0);
	cr_expect_eq(options.env.n, 0u);
	run_options_done(&options);
}

Test(environment, of_files_is_read_in_their_order)
{
	struct run_options options;
	struct tn_error err = { 0 };
	char first[sizeof(path)], wanted[128];

	file_make("A=1\nB=1\nC=1\n", 12);
	memcpy(first, path, sizeof(first));
	file_make("B=2\n", 4);
	cr_assert_eq(parse(&options,
	                   WORDS("--env-file", first, "-e", "C=named", "--env-file", path,
	                         "acme", "x"),
	                   &err),
	             0, "%s", err.msg);
	cr_assert_eq(options.env.n, 3u);
	cr_expect_str_eq(options.env.items[0], "C=named");
	cr_expect_str_eq(options.env.items[1], "A=1");
	cr_expect_str_eq(options.env.items[2], "B=2");
	run_options_done(&options);
	cr_assert_eq(unlink(first), 0);
	cr_assert_eq(unlink(path), 0);
	cr_expect_eq(parse(&options, WORDS("--env-file", path, "acme", "x"), &err), -ENOENT);
	(void)snprintf(wanted, sizeof(wanted), "--env-file: %s: No such file or directory",
	               path);
	cr_expect_str_eq(err.msg, wanted);
	run_options_done(&options);
}
