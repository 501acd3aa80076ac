/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include <base/clock.h>
#include <base/fd.h>
#include <tools/cmd.h>
#include <tools/run_options.h>
#include <tools/when.h>

TestSuite(options, .timeout = 10);

static struct tn_error err;

/* Parse a command line whose words are given; getopt may move them. */
static int parse(struct run_options *options, int argc, const char *const *words)
{
	static char *argv[32];

	for (int i = 0; i < argc; i++)
		argv[i] = strdup(words[i]);
	argv[argc] = NULL;
	return run_options_parse(argc, argv, options, &err);
}

#define PARSE(options, ...)                                                                    \
	parse((options), (int)ARRAY_LEN(((const char *const[]){ "tenant-run", __VA_ARGS__ })), \
	      (const char *const[]){ "tenant-run", __VA_ARGS__ })

Test(options, end_at_the_tenant)
{
	struct run_options options;

	cr_assert_eq(PARSE(&options, "-q", "acme", "ls", "-q", "--json", "-x"), 0, "%s",
	             err.msg);
	cr_expect(options.quiet);
	cr_expect_not(options.json);
	cr_expect_str_eq(options.tenant, "acme");
	cr_expect_str_eq(options.command[0], "ls");
	cr_expect_str_eq(options.command[3], "-x");
	cr_expect_null(options.command[4]);
	run_options_done(&options);
}

Test(options, may_end_with_two_dashes_before_or_behind_the_tenant)
{
	struct run_options options;

	cr_assert_eq(PARSE(&options, "acme", "--", "--help"), 0);
	cr_expect_str_eq(options.command[0], "--help");
	cr_assert_eq(PARSE(&options, "--", "acme", "--", "--", "x"), 0);
	cr_expect_str_eq(options.tenant, "acme");
	cr_expect_str_eq(options.command[0], "--");
	cr_expect_str_eq(options.command[1], "x");
	cr_assert_eq(PARSE(&options, "acme", "-x"), 0);
	cr_expect_str_eq(options.command[0], "-x");
}

Test(options, give_limits_in_the_units_of_policy_files)
{
	struct run_options options;

	cr_assert_eq(PARSE(&options, "--memory", "64M", "--cpus=0.5", "--pids", "7",
	                   "--timeout", "1h30min", "--kill-after=500ms", "--cpu-time=2min",
	                   "--queue", "2s", "acme", "x"),
	             0, "%s", err.msg);
	cr_expect_eq(options.limits.memory_max_bytes, 64 << 20);
	cr_expect_eq(options.limits.cpu_quota_usec, 50000);
	cr_expect_eq(options.limits.tasks_max, 7);
	cr_expect_eq(options.limits.runtime_usec_max, 5400 * (int64_t)CLOCK_USEC_PER_SEC);
	cr_expect_eq(options.limits.kill_after_usec, 500000);
	cr_expect_eq(options.limits.cpu_usec_max, 120 * (int64_t)CLOCK_USEC_PER_SEC);
	cr_expect_eq(options.queue_usec_max, 2000000);
	cr_assert_eq(PARSE(&options, "acme", "x"), 0);
	cr_expect_eq(options.limits.memory_max_bytes, TN_ABSENT);
	cr_expect_eq(options.limits.kill_after_usec, TN_ABSENT);
	cr_expect_eq(options.limits.cpu_usec_max, TN_ABSENT);
	cr_expect_eq(options.queue_usec_max, 0);
}

Test(options, pass_a_variable_on_only_if_it_is_named)
{
	struct run_options options;

	cr_assert_eq(setenv("TEST_SET", "a=b", 1), 0);
	cr_assert_eq(unsetenv("TEST_UNSET"), 0);
	cr_assert_eq(PARSE(&options, "-e", "A=1", "-e", "TEST_SET", "-eTEST_UNSET",
	                   "--env=B=", "acme", "x"),
	             0);
	cr_assert_eq(options.env.n, 3u);
	cr_expect_str_eq(options.env.items[0], "A=1");
	cr_expect_str_eq(options.env.items[1], "TEST_SET=a=b");
	cr_expect_str_eq(options.env.items[2], "B=");
	cr_expect_null(options.env.items[3]);
	run_options_done(&options);
}

Test(options, bind_read_only_unless_told)
{
	struct run_options options;

	cr_assert_eq(PARSE(&options, "--bind", "a/b", "--bind=/x:/y", "--bind", "/x:/y:rw",
	                   "--bind", "/x:/z:ro", "acme", "x"),
	             0, "%s", err.msg);
	cr_assert_eq(options.binds_n, 4u);
	cr_expect_str_eq(options.binds[0].source, "a/b");
	cr_expect_null(options.binds[0].target);
	cr_expect_not(options.binds[1].writable);
	cr_expect_str_eq(options.binds[1].target, "/y");
	cr_expect(options.binds[2].writable);
	cr_expect_not(options.binds[3].writable);
	cr_expect_str_eq(options.binds[3].target, "/z");
	run_options_done(&options);
}

Test(options, say_how_to_run)
{
	struct run_options options;

	cr_assert_eq(PARSE(&options, "-u", "0:5", "--read-only", "--no-init", "--tmpfs=/mnt/a",
	                   "--tmpfs", "/mnt/b:64M", "acme", "x"),
	             0, "%s", err.msg);
	cr_expect_str_eq(options.user, "0:5");
	cr_expect(options.read_only);
	cr_expect(options.no_init);
	cr_assert_eq(options.tmpfs_n, 2u);
	cr_expect_str_eq(options.tmpfs[0].target, "/mnt/a");
	cr_expect_eq(options.tmpfs[0].bytes_max, TN_ABSENT);
	cr_expect_str_eq(options.tmpfs[1].target, "/mnt/b");
	cr_expect_eq(options.tmpfs[1].bytes_max, 64 << 20);
	run_options_done(&options);
	cr_assert_eq(PARSE(&options, "acme", "x"), 0);
	cr_expect_null(options.user);
	cr_expect_not(options.read_only);
	cr_expect_not(options.no_init);
	cr_expect_eq(options.tmpfs_n, 0u);
}

Test(options, are_refused_with_the_option_and_the_reason)
{
	static const struct {
		const char *words[4];
		const char *message;
	} cases[] = {
		{ { "--nonsense", "acme", "x" }, "option --nonsense is not known; see --help" },
		{ { "-Z", "acme", "x" }, "option -Z is not known; see --help" },
		{ { "--memory" }, "option --memory lacks its argument; see --help" },
		{ { "-e" }, "option -e lacks its argument; see --help" },
		{ { "--quiet=1", "acme", "x" },
		  "option --quiet=1 takes no argument; see --help" },
		{ { "-e", "=x", "acme", "x" }, "--env: '=x' has no name before '='" },
		{ { "--bind", "/a:b", "acme", "x" },
		  "--bind: 'b' in the sandbox is not an absolute path" },
		{ { "--bind", "/a:/b:rx", "acme", "x" },
		  "--bind: '/a:/b:rx' is not SRC[:DST[:rw]]" },
		{ { "--bind", ":/b", "acme", "x" }, "--bind: ':/b' is not SRC[:DST[:rw]]" },
		{ { "--tmpfs", "mnt", "acme", "x" },
		  "--tmpfs: 'mnt' is not DST[:SIZE], where DST is an absolute path" },
		{ { "--tmpfs", "/mnt/a:64X", "acme", "x" },
		  "--tmpfs: '64X' is not a size; expected bytes with an optional K, M, G or T, "
		  "such as 512M" },
		{ { "--tmpfs", "/mnt/a:", "acme", "x" },
		  "--tmpfs: empty size; expected bytes with an optional K, M, G or T, "
		  "such as 512M" },
		{ { "acme" }, "which command? see --help" },
		{ { "acme", "--" }, "which command? see --help" },
		{ { "--quiet" }, "which tenant? see --help" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *words[5] = { "tenant-run" };
		struct run_options options;
		int n = 1;

		for (; n < 5 && cases[i].words[n - 1] != NULL; n++)
			words[n] = cases[i].words[n - 1];
		cr_expect_eq(parse(&options, n, words), -EINVAL, "case %zu", i);
		cr_expect_eq(err.code, TN_INVALID);
		cr_expect_str_eq(err.msg, cases[i].message);
		run_options_done(&options);
	}
}

Test(options, refuse_amounts_that_are_none)
{
	static const char *const options_of[] = { "--memory", "--cpus", "--pids", "--timeout",
		                                  "--cpu-time" };
	static const char *const amounts[] = { "",   "-1",   "x",
		                               "1x", "1e9",  "99999999999999999999",
		                               " 1", "0x10", "nan" };

	for (size_t i = 0; i < ARRAY_LEN(options_of); i++) {
		for (size_t k = 0; k < ARRAY_LEN(amounts); k++) {
			struct run_options options;

			cr_expect_eq(PARSE(&options, options_of[i], amounts[k], "acme", "x"),
			             -EINVAL, "%s '%s'", options_of[i], amounts[k]);
			cr_expect_eq(strncmp(err.msg, options_of[i], strlen(options_of[i])), 0);
		}
	}
}

Test(options, of_metadata_are_key_and_value)
{
	struct ctl ctl = { 0 };

	cr_assert_eq(cmd_add_metadata(&ctl, "a=b=c", &err), 0);
	cr_assert_eq(cmd_add_metadata(&ctl, "d=", &err), 0);
	cr_expect_str_eq(ctl.metadata.items[0].key, "a");
	cr_expect_str_eq(ctl.metadata.items[0].value, "b=c");
	cr_expect_str_eq(ctl.metadata.items[1].value, "");
	cr_expect_eq(cmd_add_metadata(&ctl, "=b", &err), -EINVAL);
	cr_expect_eq(cmd_add_metadata(&ctl, "b", &err), -EINVAL);
	while (ctl.metadata.n < CMD_PAIRS_MAX)
		cr_assert_eq(cmd_add_metadata(&ctl, "k=v", &err), 0);
	cr_expect_eq(cmd_add_metadata(&ctl, "k=v", &err), -EINVAL);
	cr_assert_eq(cmd_add_override(&ctl, "limits.tasks_max=5", &err), 0);
	cr_assert_eq(cmd_drop_override(&ctl, "limits.cpu_quota", &err), 0);
	cr_expect_eq(cmd_drop_override(&ctl, "a=b", &err), -EINVAL);
	cr_expect_str_eq(ctl.overrides.items[0].key, "limits.tasks_max");
	cr_expect_str_eq(ctl.overrides.items[0].value, "5");
	cr_expect_str_eq(ctl.overrides.items[1].key, "limits.cpu_quota");
	cr_expect_null(ctl.overrides.items[1].value);
	cmd_pairs_done(&ctl.metadata);
	cmd_pairs_done(&ctl.overrides);
}

Test(options, tell_instants)
{
	static const struct {
		const char *text;
		int64_t sec;
	} cases[] = {
		{ "@0", 0 },
		{ "@1700000000", 1700000000 },
		{ "2023-11-14", 1699920000 },
		{ "2023-11-14T22:13:20Z", 1700000000 },
		{ "2023-11-14T22:13:20", 1700000000 },
		{ "2023-11-14 22:13", 1699999980 },
	};
	static const char *const bad[] = {
		"",           "x",     "@", "@-1", "2023-13-01",        "2023-11-14X",
		"1969-01-01", "12:00", "-", "-1x", "@99999999999999999"
	};
	int64_t usec = 0, now = clock_usec(CLOCK_REALTIME);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cr_assert_eq(when_parse(cases[i].text, &usec, &err), 0, "%s", err.msg);
		cr_expect_eq(usec, cases[i].sec * CLOCK_USEC_PER_SEC, "%s", cases[i].text);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_eq(when_parse(bad[i], &usec, &err), -EINVAL, "'%s'", bad[i]);
	cr_assert_eq(when_parse("-1h", &usec, &err), 0);
	cr_expect_geq(usec, now - 3600 * (int64_t)CLOCK_USEC_PER_SEC);
	cr_expect_leq(usec, now - 3590 * (int64_t)CLOCK_USEC_PER_SEC);
	cr_assert_eq(when_parse("today", &usec, &err), 0);
	cr_expect_leq(usec, now);
	cr_expect_eq(usec % (86400 * (int64_t)CLOCK_USEC_PER_SEC), 0);
}
