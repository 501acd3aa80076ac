/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>

#include <base/fd.h>
#include <tools/signal_name.h>

TestSuite(signal_name, .timeout = 10);

Test(signal_name, knows_names_and_numbers)
{
	const struct {
		const char *text;
		int number;
	} cases[] = {
		{ "TERM", SIGTERM },
		{ "SIGTERM", SIGTERM },
		{ "15", SIGTERM },
		{ "USR1", SIGUSR1 },
		{ "KILL", SIGKILL },
		{ "1", SIGHUP },
		{ "64", SIGRTMAX },
		{ "RTMIN+0", SIGRTMIN },
		{ "SIGRTMIN+3", SIGRTMIN + 3 },
		{ "CHLD", SIGCHLD },
		{ "RTMIN+30", SIGRTMIN + 30 },
	};
	struct tn_error err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t number = 0;

		cr_expect_eq(signal_name_parse(cases[i].text, &number, &err), 0, "%s: %s",
		             cases[i].text, err.msg);
		cr_expect_eq(number, cases[i].number, "%s", cases[i].text);
	}
}

Test(signal_name, refuses_what_is_none)
{
	const char *const cases[] = { "",     "0",      "65",         "-1",       "term",
		                      "SIG",  "TERM ",  "SIGSIGTERM", "RTMIN+31", "RTMIN+",
		                      "0x0f", "RTMIN3", "15 ",        "RTMIN+-1" };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tn_error err = { 0 };
		int64_t number = -7;

		cr_expect_eq(signal_name_parse(cases[i], &number, &err), -EINVAL, "'%s'",
		             cases[i]);
		cr_expect_eq(number, -7);
		cr_expect(strstr(err.msg, "is no signal; expected a name such as TERM") !=
		          NULL);
	}
}
