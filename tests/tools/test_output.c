/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include <base/fd.h>
#include <tools/output.h>

TestSuite(output, .timeout = 10);

static char *text;
static size_t text_n;

static FILE *open_text(void)
{
	FILE *file = open_memstream(&text, &text_n);

	cr_assert_not_null(file);
	return file;
}

static void expect_text(FILE *file, const char *expected)
{
	cr_assert_eq(fclose(file), 0);
	cr_expect_str_eq(text, expected);
	free(text);
}

Test(output, writes_json_with_commas_where_they_belong)
{
	struct jout out = { .file = open_text() };

	jout_begin(&out, NULL, '{');
	jout_text(&out, "a", "b");
	jout_text(&out, "none", NULL);
	jout_begin(&out, "list", '[');
	jout_int(&out, NULL, INT64_MAX);
	jout_int(&out, NULL, TN_ABSENT);
	jout_bool(&out, NULL, true);
	jout_end(&out, ']');
	jout_begin(&out, "empty", '{');
	jout_end(&out, '}');
	jout_end(&out, '}');
	expect_text(out.file,
	            "{\"a\": \"b\", \"none\": null, \"list\": [9223372036854775807, null, "
	            "true], \"empty\": {}}");
}

Test(output, writes_one_record_a_line)
{
	struct jout out = { .file = open_text() };

	jout_begin(&out, NULL, '[');
	for (int i = 0; i < 2; i++) {
		jout_line(&out);
		jout_int(&out, NULL, i);
	}
	jout_end_lines(&out);
	expect_text(out.file, "[\n  0,\n  1\n]");

	out = (struct jout){ .file = open_text() };
	jout_begin(&out, NULL, '[');
	jout_end_lines(&out);
	expect_text(out.file, "[]");
}

Test(output, escapes_what_would_not_be_json)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "\"\\/\n\t\x7f\x01", "\"\\\"\\\\/\\u000a\\u0009\\u007f\\u0001\"" },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
		  "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
		{ "\xc2\x9b\xc2\xa0", "\"\\u009b\xc2\xa0\"" },
		{ "\xff", "\"\\ufffd\"" },
		{ "\xc3", "\"\\ufffd\"" },
		{ "\xc0\x80", "\"\\ufffd\\ufffd\"" },
		{ "\xe0\x80\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
		{ "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
		{ "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
		{ "\xe2\x82", "\"\\ufffd\\ufffd\"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct jout out = { .file = open_text() };

		jout_text(&out, NULL, cases[i].in);
		expect_text(out.file, cases[i].out);
	}
}

Test(output, shows_amounts_in_units_that_people_read)
{
	static const struct {
		const char *(*format)(int64_t amount, char *cell);
		int64_t amount;
		const char *expected;
	} cases[] = {
		{ output_bytes, TN_ABSENT, "-" },
		{ output_bytes, 0, "0 B" },
		{ output_bytes, 1023, "1023 B" },
		{ output_bytes, 1024, "1.0 KiB" },
		{ output_bytes, (64 << 20) - 1, "63.9 MiB" },
		{ output_bytes, 64 << 20, "64.0 MiB" },
		{ output_bytes, INT64_MAX, "7.9 EiB" },
		{ output_duration, TN_ABSENT, "-" },
		{ output_duration, 0, "0 us" },
		{ output_duration, 999, "999 us" },
		{ output_duration, 1000, "1.0 ms" },
		{ output_duration, 1234567, "1.234 s" },
		{ output_duration, 59999999, "59.999 s" },
		{ output_duration, 60000000, "1 min 00 s" },
		{ output_duration, 3723000000, "1 h 02 min" },
		{ output_duration, INT64_MAX, "2562047788 h 00 min" },
		{ output_memory_integral, 1024 * 1000, "1.000 GiB s" },
		{ output_memory_integral, 1536 * 1000, "1.500 GiB s" },
		{ output_instant, TN_ABSENT, "-" },
		{ output_instant, 1700000000000000, "2023-11-14T22:13:20+0000" },
		{ output_int, TN_ABSENT, "-" },
		{ output_int, 0, "0" },
	};

	cr_assert_eq(setenv("TZ", "UTC", 1), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char cell[OUTPUT_CELL_BYTES_MAX];

		cr_expect_str_eq(cases[i].format(cases[i].amount, cell), cases[i].expected);
	}
}

Test(output, aligns_tables_by_characters)
{
	static const struct table_column columns[] = { { "NAME", false },
		                                       { "N", true },
		                                       { "LAST", false } };
	FILE *file = open_text();
	struct table table;

	table_init(&table, columns, ARRAY_LEN(columns));
	table_add(&table, "\xc3\xa9");
	table_add(&table, "100");
	table_add(&table, "x");
	table_add(&table, "longer");
	table_add(&table, "1");
	table_add(&table, "\x1b[31mred\n\xc2\x9b\xc2\xa0");
	cr_assert_eq(table_print(&table, file), 0);
	table_done(&table);
	expect_text(file, "NAME      N  LAST\n"
	                  "\xc3\xa9       100  x\n"
	                  "longer    1  ?[31mred??\xc2\xa0\n");
}

Test(output, passes_on_no_control_character)
{
	FILE *file = open_text();

	output_text(file, "a\x1b]0;b\x07\xc2\x80\xc2\x9f\xc2\xa0\xc3\x80\t\x7f\xc2");
	expect_text(file, "a?]0;b???\xc2\xa0\xc3\x80??\xc2");
}

Test(output, shows_every_kind_of_member)
{
	struct tn_pair pairs[] = { { "k", "v" } };
	const struct tn_tenant tenant = {
		.id = "i",
		.name = "n",
		.display_name = "d",
		.status = TN_TENANT_SUSPENDED,
		.tier = "t",
		.metadata = { pairs, 1 },
		.settings = { 1, "UTC", "EUR", NULL },
		.version = 2,
		.created_at = 3,
		.updated_at = 4,
		.policy_hash = "p",
		.cgroup = "c",
		.uid_first = 5,
		.uid_count = 6,
		.storage_path = "s",
	};
	FILE *file = open_text();

	output_json(file, tn_tenant_fields(), &tenant);
	expect_text(
		file,
		"{\"id\": \"i\", \"name\": \"n\", \"display_name\": \"d\", \"status\": "
		"\"suspended\", \"tier\": \"t\", \"metadata\": {\"k\": \"v\"}, \"overrides\": "
		"{}, \"operators\": [], \"settings\": "
		"{\"billing_anchor_day\": 1, \"time_zone\": \"UTC\", \"currency\": \"EUR\", "
		"\"customer_id\": null}, \"version\": 2, \"created_at\": 3, \"updated_at\": 4, "
		"\"policy_hash\": \"p\", \"cgroup\": \"c\", \"uid_first\": 5, \"uid_count\": "
		"6, "
		"\"storage_path\": \"s\"}\n");
}

Test(output, writes_money_and_quantities_exactly)
{
	static const struct {
		int64_t number, places;
		const char *shown;
	} money[] = {
		{ 0, 2, "0.00" },
		{ 5, 2, "0.05" },
		{ 1230, 2, "12.30" },
		{ 1230, 0, "1230" },
		{ 1, 3, "0.001" },
		{ 10001, 4, "1.0001" },
		{ INT64_MAX, 2, "92233720368547758.07" },
		{ INT64_MAX, 18, "9.223372036854775807" },
		{ TN_ABSENT, 2, "-" },
		/* What no currency has. */
		{ 7, 19, "7" },
	};
	static const struct {
		int64_t quantity;
		const char *unit, *shown;
	} quantities[] = {
		{ 1, "usec", "0.000001 s" },
		{ 1500000, "usec", "1.5 s" },
		{ 600000000, "usec", "600 s" },
		{ 0, "usec", "0 s" },
		{ 925713, "mib_msec", "925.713 MiB s" },
		{ 1000, "mib_msec", "1 MiB s" },
		{ 1048576, "bytes", "1048576 B" },
		{ 100, "tokens", "100" },
		{ 100, NULL, "100" },
		{ INT64_MAX, "usec", "9223372036854.775807 s" },
	};
	char cell[OUTPUT_CELL_BYTES_MAX];

	for (size_t i = 0; i < ARRAY_LEN(money); i++)
		cr_expect_str_eq(output_decimal(money[i].number, money[i].places, cell),
		                 money[i].shown, "%s", cell);
	for (size_t i = 0; i < ARRAY_LEN(quantities); i++)
		cr_expect_str_eq(
			output_quantity(quantities[i].quantity, quantities[i].unit, cell),
			quantities[i].shown, "%s", cell);
}

Test(output, has_room_for_a_column_for_each_meter)
{
	struct table_column columns[TABLE_COLUMNS_MAX];
	FILE *file = open_text();
	struct table table;
	char expected[8 * TABLE_COLUMNS_MAX] = "";

	for (size_t i = 0; i < TABLE_COLUMNS_MAX; i++)
		columns[i] = (struct table_column){ "X", true };
	table_init(&table, columns, TABLE_COLUMNS_MAX);
	/* The last is left out. */
	table.spare = UINT64_C(1) << (TABLE_COLUMNS_MAX - 1);
	for (size_t i = 0; i < TABLE_COLUMNS_MAX; i++)
		table_add(&table, i < TABLE_COLUMNS_MAX - 1 ? "1" : "");
	cr_assert_eq(table_print(&table, file), 0);
	table_done(&table);
	for (int line = 0; line < 2; line++)
		for (size_t i = 0; i < TABLE_COLUMNS_MAX - 1; i++)
			(void)snprintf(expected + strlen(expected),
			               sizeof(expected) - strlen(expected), "%s%s",
			               line == 0 ? "X" : "1",
			               i < TABLE_COLUMNS_MAX - 2 ? "  " : "\n");
	expect_text(file, expected);
}
