/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>

#include <base/fd.h>
#include <base/name.h>

TestSuite(name, .timeout = 20);

#define N31 "abcdefghijklmnopqrstuvwxyz01234"
#define N63 N31 "-" N31

Test(name, is_letters_digits_and_inner_dashes)
{
	static const char *const valid[] = {
		"a", "0", "acme", "a-b", "a--b", "0-9", "9a", N63
	};

	for (size_t i = 0; i < ARRAY_LEN(valid); i++)
		cr_expect(name_valid(valid[i]), "'%s'", valid[i]);
}

Test(name, is_not_what_reads_as_an_id)
{
	cr_expect_not(name_valid("0b0e1c5e-6f0a-4d39-9d6c-0a3b0f6f9a11"));
	cr_expect(name_valid("0b0e1c5e-6f0a-4d39-9d6c-0a3b0f6f9a1"), "a digit short");
	cr_expect(name_valid("0b0e1c5e-6f0a-4d39-9d6c-0a3b0f6f9a1z"), "no digit");
}

Test(name, is_never_a_path_an_option_a_hidden_file_or_a_line)
{
	static const char *const invalid[] = {
		"",     "-",     "-a",       "a-",  "A",       "aB",    "a_b",          "a.b",
		".",    "..",    "a/b",      "/a",  ".holder", "a b",   " a",           "a\n",
		"a\tb", "a=b",   "\xc3\xa4", "a:b", "a%s",     "a\x01", "cgroup.procs", "a*",
		"a\"",  N63 "a", N63 N63,
	};

	for (size_t i = 0; i < ARRAY_LEN(invalid); i++)
		cr_expect_not(name_valid(invalid[i]), "'%s'", invalid[i]);
}

Test(name, is_not_looked_for_behind_its_array)
{
	char name[NAME_BYTES_MAX];

	memset(name, 'a', sizeof(name));
	cr_expect_not(name_valid(name), "without a NUL");
	name[NAME_BYTES_MAX - 1] = '\0';
	cr_expect(name_valid(name), "63 bytes and a NUL");
}
