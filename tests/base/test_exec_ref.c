/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>

#include <base/exec_ref.h>
#include <base/fd.h>

TestSuite(exec_ref, .timeout = 20);

#define TEXT "00ff1234-5678-4abc-9def-0123456789ab"

Test(exec_ref, is_a_whole_id_with_its_hyphens_or_without)
{
	static const char *const texts[] = { TEXT, "00ff123456784abc9def0123456789ab" };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct exec_ref ref;
		struct id id;

		cr_assert_eq(exec_ref_parse(texts[i], &ref), 0, "%s", texts[i]);
		cr_expect_eq(ref.kind, EXEC_REF_ID);
		cr_assert_eq(id_parse(TEXT, &id), 0);
		cr_expect(id_equal(&ref.id, &id));
	}
}

Test(exec_ref, is_a_beginning_as_an_id_is_written)
{
	static const char *const texts[][2] = {
		{ "00ff1234", "00ff1234" },
		{ "00ff1234-", "00ff1234-" },
		{ "00ff12345", "00ff1234-5" },
		{ "00ff1234-56", "00ff1234-56" },
		{ "00ff12345678", "00ff1234-5678" },
		{ "00ff123456784abc9def0123456789a", "00ff1234-5678-4abc-9def-0123456789a" },
		{ "00ff1234-5678-4abc-9def-", "00ff1234-5678-4abc-9def-" },
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct exec_ref ref;

		cr_assert_eq(exec_ref_parse(texts[i][0], &ref), 0, "%s", texts[i][0]);
		cr_expect_eq(ref.kind, EXEC_REF_PREFIX);
		cr_expect_str_eq(ref.prefix, texts[i][1]);
	}
}

Test(exec_ref, is_a_name_of_a_tenant)
{
	struct exec_ref ref;

	cr_assert_eq(exec_ref_parse("acme/job-1", &ref), 0);
	cr_expect_eq(ref.kind, EXEC_REF_NAME);
	cr_expect_str_eq(ref.tenant, "acme");
	cr_expect_str_eq(ref.name, "job-1");
	cr_assert_eq(exec_ref_parse(TEXT "/00ff1234", &ref), 0);
	cr_expect_str_eq(ref.tenant, TEXT);
	cr_expect_str_eq(ref.name, "00ff1234");
}

Test(exec_ref, refuses_what_is_none_of_them)
{
	static const char *const refused[] = {
		"",
		"job",
		"00ff123",
		"00FF1234",
		"00ff1234--5",
		"00ff-1234",
		"00ff12345-6",
		"-00ff1234",
		"00ff1234g",
		(TEXT "0"),
		(TEXT "-"),
		"00ff123456784abc9def0123456789ab0",
		"/job",
		"acme/",
		"acme/job/2",
		("acme/" TEXT),
		"Acme/job",
		"acme/../x",
		"a-name-of-more-than-sixty-three-characters-which-is-one-too-many-to-be/job",
		"acme/a-name-of-more-than-sixty-three-characters-which-is-one-too-many-to-be",
	};

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct exec_ref ref;

		cr_expect_eq(exec_ref_parse(refused[i], &ref), -EINVAL, "%s", refused[i]);
	}
}
