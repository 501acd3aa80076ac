/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>

#include <base/fd.h>
#include <base/id.h>

TestSuite(id, .timeout = 20);

#define TEXT "00ff1234-5678-4abc-9def-0123456789ab"

Test(id, is_the_same_text_after_a_round_trip)
{
	struct id id;
	char text[ID_TEXT_BYTES];

	cr_assert_eq(id_parse(TEXT, &id), 0);
	cr_expect_eq(id.bytes[0], 0);
	cr_expect_eq(id.bytes[1], 0xff);
	cr_expect_eq(id.bytes[6], 0x4a);
	cr_expect_eq(id.bytes[15], 0xab);
	id_format(&id, text);
	cr_expect_str_eq(text, TEXT);
}

Test(id, is_equal_to_itself_and_to_no_other)
{
	struct id a, b;

	cr_assert_eq(id_parse(TEXT, &a), 0);
	b = a;
	cr_expect(id_equal(&a, &b));
	b.bytes[15] ^= 1;
	cr_expect_not(id_equal(&a, &b));
}

Test(id, refuses_whatever_it_would_not_write_itself)
{
	static const char *const refused[] = {
		"",
		"0",
		"00ff1234",
		"00FF1234-5678-4abc-9def-0123456789ab",
		"00ff1234-5678-4abc-9def-0123456789aB",
		"00ff123456784abc9def0123456789ab",
		"00ff1234-5678-4abc-9def-0123456789a",
		"00ff1234-5678-4abc-9def-0123456789ab0",
		"00ff1234-5678-4abc-9def-0123456789ab\n",
		" 00ff1234-5678-4abc-9def-0123456789ab",
		"00ff1234-5678-4abc-9def-0123456789ag",
		"00ff1234-5678-4abc-9def_0123456789ab",
		"00ff123-45678-4abc-9def-0123456789ab",
		"{0ff1234-5678-4abc-9def-0123456789a}",
		"00ff1234-5678-4abc-9def-",
		"--------------------------------",
	};
	struct id untouched, id;

	memset(&untouched, 0x5a, sizeof(untouched));
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		id = untouched;
		cr_expect_eq(id_parse(refused[i], &id), -EINVAL, "'%s'", refused[i]);
		cr_expect(id_equal(&id, &untouched), "'%s'", refused[i]);
	}
}
