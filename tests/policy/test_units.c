/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy/units.c: what each text means, what each refused one is answered, and that
 * what is written is read back as the same number.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#include <base/fd.h>
#include <policy/units.h>

TestSuite(policy_units, .timeout = 20);

#define MIB  (INT64_C(1) << 20)
#define TIB  (INT64_C(1) << 40)
#define SEC  INT64_C(1000000)
#define HOUR (3600 * SEC)
#define DAY  (24 * HOUR)

typedef int parser(const char *text, int64_t *ret, struct tn_error *err);

static const struct good {
	parser *parse;
	const char *text;
	int64_t value;
} good[] = {
	{ units_count_parse, "0", 0 },
	{ units_count_parse, "512", 512 },
	{ units_count_parse, "9223372036854775806", INT64_MAX - 1 },
	{ units_bytes_parse, "0", 0 },
	{ units_bytes_parse, "1", 1 },
	{ units_bytes_parse, "4K", 4096 },
	{ units_bytes_parse, "512M", 512 * MIB },
	{ units_bytes_parse, "2G", 2048 * MIB },
	{ units_bytes_parse, "8388607T", 8388607 * TIB },
	{ units_bytes_parse, "9223372036854775806", INT64_MAX - 1 },
	{ units_duration_parse, "5", 5 * SEC },
	{ units_duration_parse, "0", 0 },
	{ units_duration_parse, "7us", 7 },
	{ units_duration_parse, "250ms", 250000 },
	{ units_duration_parse, "5s", 5 * SEC },
	{ units_duration_parse, "10min", 600 * SEC },
	{ units_duration_parse, "10m", 600 * SEC },
	{ units_duration_parse, "2h", 2 * HOUR },
	{ units_duration_parse, "1h30min", HOUR + 1800 * SEC },
	{ units_duration_parse, "1h 30min", HOUR + 1800 * SEC },
	{ units_duration_parse, "1w2d3h4min5s6ms7us", 9 * DAY + 3 * HOUR + 245 * SEC + 6007 },
	{ units_duration_parse, "106751991d", 106751991 * DAY },
	{ units_percent_parse, "1%", 1000 },
	{ units_percent_parse, "50%", 50000 },
	{ units_percent_parse, "12.5%", 12500 },
	{ units_percent_parse, "100.001%", 100001 },
	{ units_percent_parse, "200%", 200000 },
	{ units_percent_parse, "1000000%", 1000000000 },
	{ units_cpus_parse, "0.01", 1000 },
	{ units_cpus_parse, "0.5", 50000 },
	{ units_cpus_parse, "1", 100000 },
	{ units_cpus_parse, "1.5", 150000 },
	{ units_cpus_parse, "2.00001", 200001 },
	{ units_cpus_parse, "10000", 1000000000 },
};

#define SIZE    "; expected bytes with an optional K, M, G or T, such as 512M"
#define SPAN    "; expected a time span in us, ms, s, min, h, d or w, such as 1h30min"
#define PERCENT "; expected percent of one CPU, 1% to 1000000%, such as 50% or 12.5%"
#define CPUS    "; expected a number of CPUs from 0.01 to 10000, such as 0.5"
#define NUMBER  "; expected a whole number such as 512"

static const struct bad {
	parser *parse;
	const char *text;
	const char *message;
} bad[] = {
	{ units_count_parse, "", "empty number" NUMBER },
	{ units_count_parse, "-1", "'-1' is not a number" NUMBER },
	{ units_count_parse, "+1", "'+1' is not a number" NUMBER },
	{ units_count_parse, "1.5", "'1.5' is not a number" NUMBER },
	{ units_count_parse, "1e3", "'1e3' is not a number" NUMBER },
	{ units_count_parse, "0x10", "'0x10' is not a number" NUMBER },
	{ units_count_parse, "0100", "'0100' is not a number" NUMBER },
	{ units_count_parse, "1_000", "'1_000' is not a number" NUMBER },
	{ units_count_parse, "9223372036854775807",
	  "'9223372036854775807' is out of range" NUMBER },
	{ units_count_parse, "99999999999999999999",
	  "'99999999999999999999' is out of range" NUMBER },
	{ units_bytes_parse, "", "empty size" SIZE },
	{ units_bytes_parse, "M", "'M' is not a size" SIZE },
	{ units_bytes_parse, "512m", "'512m' is not a size" SIZE },
	{ units_bytes_parse, "512MB", "'512MB' is not a size" SIZE },
	{ units_bytes_parse, "512MiB", "'512MiB' is not a size" SIZE },
	{ units_bytes_parse, "512 M", "'512 M' is not a size" SIZE },
	{ units_bytes_parse, " 512M", "' 512M' is not a size" SIZE },
	{ units_bytes_parse, "512M ", "'512M ' is not a size" SIZE },
	{ units_bytes_parse, "1.5G", "'1.5G' is not a size" SIZE },
	{ units_bytes_parse, "-1G", "'-1G' is not a size" SIZE },
	{ units_bytes_parse, "max", "'max' is not a size" SIZE },
	{ units_bytes_parse, "8388608T", "'8388608T' is out of range" SIZE },
	{ units_bytes_parse, "9223372036854775807",
	  "'9223372036854775807' is out of range" SIZE },
	{ units_duration_parse, "", "empty time span" SPAN },
	{ units_duration_parse, "s", "'s' is not a time span" SPAN },
	{ units_duration_parse, "5x", "'5x' is not a time span" SPAN },
	{ units_duration_parse, "5S", "'5S' is not a time span" SPAN },
	{ units_duration_parse, "5 s", "'5 s' is not a time span" SPAN },
	{ units_duration_parse, "1.5s", "'1.5s' is not a time span" SPAN },
	{ units_duration_parse, "-5s", "'-5s' is not a time span" SPAN },
	{ units_duration_parse, "1h30", "'1h30' is not a time span" SPAN },
	{ units_duration_parse, "1h1h", "'1h1h' is not a time span" SPAN },
	{ units_duration_parse, "5min1h", "'5min1h' is not a time span" SPAN },
	{ units_duration_parse, "1min1m", "'1min1m' is not a time span" SPAN },
	{ units_duration_parse, "1h  5min", "'1h  5min' is not a time span" SPAN },
	{ units_duration_parse, "1h ", "'1h ' is not a time span" SPAN },
	{ units_duration_parse, "106751992d", "'106751992d' is out of range" SPAN },
	{ units_duration_parse, "106751991d5h", "'106751991d5h' is out of range" SPAN },
	{ units_duration_parse, "9223372036854775807us",
	  "'9223372036854775807us' is out of range" SPAN },
	{ units_percent_parse, "", "empty percentage" PERCENT },
	{ units_percent_parse, "200", "'200' is not a percentage" PERCENT },
	{ units_percent_parse, "0%", "'0%' is out of range" PERCENT },
	{ units_percent_parse, "0.999%", "'0.999%' is out of range" PERCENT },
	{ units_percent_parse, "1000000.001%", "'1000000.001%' is out of range" PERCENT },
	{ units_percent_parse, "1.0001%", "'1.0001%' is not a percentage" PERCENT },
	{ units_percent_parse, "1.%", "'1.%' is not a percentage" PERCENT },
	{ units_percent_parse, ".5%", "'.5%' is not a percentage" PERCENT },
	{ units_percent_parse, "1,5%", "'1,5%' is not a percentage" PERCENT },
	{ units_percent_parse, "50%%", "'50%%' is not a percentage" PERCENT },
	{ units_percent_parse, "99999999999999999999%",
	  "'99999999999999999999%' is out of range" PERCENT },
	{ units_cpus_parse, "", "empty number of CPUs" CPUS },
	{ units_cpus_parse, "0", "'0' is out of range" CPUS },
	{ units_cpus_parse, "0.00999", "'0.00999' is out of range" CPUS },
	{ units_cpus_parse, "10000.1", "'10000.1' is out of range" CPUS },
	{ units_cpus_parse, "0.000001", "'0.000001' is not a number of CPUs" CPUS },
	{ units_cpus_parse, "50%", "'50%' is not a number of CPUs" CPUS },
	{ units_cpus_parse, "1e9", "'1e9' is not a number of CPUs" CPUS },
	{ units_cpus_parse, "inf", "'inf' is not a number of CPUs" CPUS },
};

Test(policy_units, reads_each_text_as_its_number)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct tn_error err = { 0 };
		int64_t value = -1;

		cr_expect_eq(good[i].parse(good[i].text, &value, &err), 0, "%s: %s",
		             good[i].text, err.msg);
		cr_expect_eq(value, good[i].value, "%s is %lld, not %lld", good[i].text,
		             (long long)good[i].value, (long long)value);
	}
}

Test(policy_units, refuses_each_other_text_and_says_what_was_expected)
{
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct tn_error err = { 0 };
		int64_t value = -7;

		cr_expect_eq(bad[i].parse(bad[i].text, &value, &err), -EINVAL, "'%s'",
		             bad[i].text);
		cr_expect_eq(err.code, TN_INVALID, "'%s'", bad[i].text);
		cr_expect_str_eq(err.msg, bad[i].message);
		cr_expect_eq(value, -7, "'%s': a refused text must change nothing",
		             bad[i].text);
	}
}

Test(policy_units, cuts_a_long_text_so_that_the_message_stays_whole)
{
	char text[1000];
	struct tn_error err = { 0 };
	int64_t value;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	cr_assert_eq(units_bytes_parse(text, &value, &err), -EINVAL);
	cr_expect_not_null(strstr(err.msg, SIZE));
}

Test(policy_units, writes_numbers_in_their_shortest_unit)
{
	static const struct {
		void (*format)(int64_t value, char *text, size_t size);
		int64_t value;
		const char *text;
	} rows[] = {
		{ units_count_format, 0, "0" },
		{ units_count_format, 512, "512" },
		{ units_count_format, UNITS_UNLIMITED, "max" },
		{ units_bytes_format, 0, "0" },
		{ units_bytes_format, 1, "1" },
		{ units_bytes_format, 1536, "1536" },
		{ units_bytes_format, 4096, "4K" },
		{ units_bytes_format, 1800 * MIB, "1800M" },
		{ units_bytes_format, 2048 * MIB, "2G" },
		{ units_bytes_format, 3 * TIB, "3T" },
		{ units_bytes_format, UNITS_UNLIMITED, "max" },
		{ units_duration_format, 0, "0s" },
		{ units_duration_format, 1, "1us" },
		{ units_duration_format, 1500000, "1s500ms" },
		{ units_duration_format, 600 * SEC, "10min" },
		{ units_duration_format, HOUR + 1800 * SEC, "1h30min" },
		{ units_duration_format, 14 * DAY, "14d" },
		{ units_duration_format, INT64_MAX - 1, "106751991d4h54s775ms806us" },
		{ units_duration_format, UNITS_UNLIMITED, "max" },
		{ units_percent_format, 1000, "1%" },
		{ units_percent_format, 12500, "12.5%" },
		{ units_percent_format, 12050, "12.05%" },
		{ units_percent_format, 100001, "100.001%" },
		{ units_percent_format, 200000, "200%" },
		{ units_percent_format, UNITS_UNLIMITED, "max" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[UNITS_TEXT_BYTES_MAX] = "";

		rows[i].format(rows[i].value, text, sizeof(text));
		cr_expect_str_eq(text, rows[i].text);
	}
}

Test(policy_units, reads_back_whatever_it_writes)
{
	static const struct {
		parser *parse;
		void (*format)(int64_t value, char *text, size_t size);
		int64_t min, max;
	} pairs[] = {
		{ units_count_parse, units_count_format, 0, INT64_MAX - 1 },
		{ units_bytes_parse, units_bytes_format, 0, INT64_MAX - 1 },
		{ units_duration_parse, units_duration_format, 0, INT64_MAX - 1 },
		{ units_percent_parse, units_percent_format, UNITS_CPU_QUOTA_USEC_MIN,
		  UNITS_CPU_QUOTA_USEC_MAX },
	};
	uint64_t random = 88172645463325252u; /* xorshift: the same numbers every time */

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		for (int round = 0; round < 20000; round++) {
			char text[UNITS_TEXT_BYTES_MAX];
			struct tn_error err = { 0 };
			int64_t value, back = -1;

			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			/* Small numbers as often as large ones. */
			value = (int64_t)((random >> 1) >> (random % 63));
			value = pairs[i].min + value % (pairs[i].max - pairs[i].min + 1);
			pairs[i].format(value, text, sizeof(text));
			cr_assert_eq(pairs[i].parse(text, &back, &err), 0, "'%s': %s", text,
			             err.msg);
			cr_assert_eq(back, value, "'%s' is read as %lld", text,
			             (long long)back);
		}
	}
}
