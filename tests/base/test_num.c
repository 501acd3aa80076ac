/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <stdio.h>

#include <base/fd.h>
#include <base/num.h>

TestSuite(num, .timeout = 20);

#define UNTOUCHED INT64_C(-42)

static const struct row {
	const char *text;
	int64_t max;
	int result;
	int64_t value;
} rows[] = {
	{ "0", 0, 0, 0 },
	{ "1", 0, -ERANGE, UNTOUCHED },
	{ "007", 7, 0, 7 },
	{ "65536", 65536, 0, 65536 },
	{ "65537", 65536, -ERANGE, UNTOUCHED },
	{ "9223372036854775807", INT64_MAX, 0, INT64_MAX },
	{ "9223372036854775808", INT64_MAX, -ERANGE, UNTOUCHED },
	{ "18446744073709551616", INT64_MAX, -ERANGE, UNTOUCHED },
	{ "99999999999999999999999999", INT64_MAX, -ERANGE, UNTOUCHED },
	{ "", INT64_MAX, -EINVAL, UNTOUCHED },
	{ " 1", INT64_MAX, -EINVAL, UNTOUCHED },
	{ "1 ", INT64_MAX, -EINVAL, UNTOUCHED },
	{ "1\n", INT64_MAX, -EINVAL, UNTOUCHED },
	{ "+1", INT64_MAX, -EINVAL, UNTOUCHED },
	{ "-1", INT64_MAX, -EINVAL, UNTOUCHED },
	{ "0x10", INT64_MAX, -EINVAL, UNTOUCHED },
	{ "1e3", INT64_MAX, -EINVAL, UNTOUCHED },
	{ "1.0", INT64_MAX, -EINVAL, UNTOUCHED },
	{ "1k", INT64_MAX, -EINVAL, UNTOUCHED },
	{ "1_000", INT64_MAX, -EINVAL, UNTOUCHED },
	{ "max", INT64_MAX, -EINVAL, UNTOUCHED },
	{ "\xd9\xa1", INT64_MAX, -EINVAL, UNTOUCHED }, /* a digit one, but Arabic */
};

Test(num, reads_digits_and_nothing_else_and_writes_only_on_success)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t value = UNTOUCHED;

		cr_expect_eq(num_parse(rows[i].text, rows[i].max, &value), rows[i].result,
		             "'%s'", rows[i].text);
		cr_expect_eq(value, rows[i].value, "'%s'", rows[i].text);
	}
}

Test(num, writes_what_printf_would)
{
	static const int64_t numbers[] = { 0, 1, 9, 10, -1, -500, 65536, INT64_MAX, INT64_MIN };

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		char text[24], expected[24];

		num_put(text, numbers[i]);
		(void)snprintf(expected, sizeof(expected), "%lld", (long long)numbers[i]);
		cr_expect_str_eq(text, expected);
	}
}
