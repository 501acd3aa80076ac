/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy/quotas.c, policy/amounts.c, policy/override.c: what a tier may say of quotas, what an
 * admin is told of each mistake, and how further files and a tenant's own change one.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#include <base/fd.h>
#include <policy/tier.h>

TestSuite(policy_quotas, .timeout = 20);

#define QUOTAS(rest) "tier: free\nquotas: {" rest "}\n"
#define X8(x)        x x x x x x x x

#define QUOTA_KEYS "; this version enforces: limit, per, enforce, on_exhaust, warn"
#define METERS     "; expected one of tenantd-meters(5) or of meters.yaml"
#define NUMBER     "; expected a whole number such as 512, or max"
#define TIME                                                                                   \
	"; expected memory for a time, in MiB, GiB or TiB and ms, s, min, h, d or w, such as " \
	"500GiBh, or max"
#define LINES "; expected 'key: value' lines"

/* Large: not for the stack. */
static struct policy_tier tier, before;

static const struct policy_meters meters = {
	.custom = { { "documents", METER_GAUGE, METER_OF_APPLICATIONS, METER_UNIT_COUNT,
	              "documents", true, false },
	            { "gpu_time", METER_COUNTER, METER_OF_APPLICATIONS, METER_UNIT_USEC, "usec",
	              true, false } },
	.custom_n = 2,
};

static int parse(const char *text, struct tn_error *err)
{
	int r = policy_tier_parse("tiers/free.yaml", text, strlen(text), &meters, &tier, err);

	return r < 0 ? r : policy_tier_check(&tier, err);
}

static void parsed(const char *text)
{
	struct tn_error err = { 0 };

	cr_assert_eq(parse(text, &err), 0, "%s", err.msg);
}

static const struct refusal {
	const char *text;
	const char *message;
} refusals[] = {
	{ "tier: free\nquotas: 5\n", "2:9: quotas: a single value" LINES },
	{ "tier: free\nquotas: [tokens]\n", "2:9: quotas: a list" LINES },
	{ "tier: free\nquotas:\n", "2:8: quotas: no value" LINES },
	{ QUOTAS("tokens: 5"), "2:18: tokens: a single value" LINES },
	{ QUOTAS("tokns: {limit: 5, per: day}"),
	  "2:10: quotas: unknown meter 'tokns', did you mean 'tokens'?" METERS },
	{ QUOTAS("document: {limit: 5}"),
	  "2:10: quotas: unknown meter 'document', did you mean 'documents'?" METERS },
	{ QUOTAS("money: {limit: 5}"), "2:10: quotas: unknown meter 'money'" METERS },
	{ QUOTAS("throttled_time: {limit: 1h, per: day}"),
	  "2:10: quotas: throttled_time is not the tenant's to use, what it is comes from "
	  "limits and from the host; expected another meter" },
	{ QUOTAS("overhead_time: {limit: 1h, per: day}"),
	  "2:10: quotas: overhead_time is not the tenant's to use, what it is comes from "
	  "limits and from the host; expected another meter" },
	{ QUOTAS("tokens: {limt: 5}"),
	  "2:19: unknown key 'limt' in tokens, did you mean 'limit'?" QUOTA_KEYS },
	{ QUOTAS("tokens: {per: month}"),
	  "2:10: tokens: limit is missing; expected how much there may be, or max" },
	{ QUOTAS("tokens: {}"),
	  "2:10: tokens: limit is missing; expected how much there may be, or max" },
	{ QUOTAS("tokens: {limit: 5}"),
	  "2:10: tokens: per is missing; expected hour, day, week or month, as it is a "
	  "counter" },
	{ QUOTAS("gpu_time: {limit: 5h}"),
	  "2:10: gpu_time: per is missing; expected hour, day, week or month, as it is a "
	  "counter" },
	{ QUOTAS("agents: {limit: 5, per: day}"),
	  "2:29: per: agents is a gauge, which is what there is at a time and not per period; "
	  "expected no such key" },
	{ QUOTAS("documents: {limit: 5, per: day}"),
	  "2:32: per: documents is a gauge, which is what there is at a time and not per "
	  "period; expected no such key" },
	{ QUOTAS("tokens: {limit: 5, per: year}"),
	  "2:34: per: 'year' is not enforced by this version; expected hour or day or week or "
	  "month" },
	{ QUOTAS("tokens: {limit: 5, per: none}"),
	  "2:34: per: 'none' is not enforced by this version; expected hour or day or week or "
	  "month" },
	{ QUOTAS("tokens: {limit: -5, per: day}"), "2:26: limit: '-5' is not a number" NUMBER },
	{ QUOTAS("tokens: {limit: 5M, per: day}"), "2:26: limit: '5M' is not a number" NUMBER },
	{ QUOTAS("tokens: {limit: '5', per: day}"),
	  "2:26: limit: '5' is quoted; expected a whole number" },
	{ QUOTAS("tokens: {limit: 9223372036854775807, per: day}"),
	  "2:26: limit: '9223372036854775807' is out of range" NUMBER },
	{ QUOTAS("tokens: {limit: , per: day}"),
	  "2:26: limit: no value; expected a whole number" },
	{ QUOTAS("cpu_time: {limit: 1x, per: day}"),
	  "2:28: limit: '1x' is not a time span; expected a time span in us, ms, s, min, h, d "
	  "or w, such as 1h30min, or max" },
	{ QUOTAS("stored_bytes: {limit: 1GiB}"),
	  "2:32: limit: '1GiB' is not a size; expected bytes with an optional K, M, G or T, "
	  "such as 512M, or max" },
	{ QUOTAS("memory_time: {limit: 5GiB, per: day}"),
	  "2:31: limit: '5GiB' is not memory for a time" TIME },
	{ QUOTAS("memory_time: {limit: 5h, per: day}"),
	  "2:31: limit: '5h' is not memory for a time" TIME },
	{ QUOTAS("memory_time: {limit: 2000000000TiBd, per: day}"),
	  "2:31: limit: '2000000000TiBd' is out of range" TIME },
	{ QUOTAS("tokens: {limit: 5, per: day, enforce: firm}"),
	  "2:48: enforce: 'firm' is not enforced by this version; expected hard or soft" },
	{ QUOTAS("tokens: {limit: 5, per: day, on_exhaust: refuse}"),
	  "2:39: on_exhaust: applications ask for tokens and are refused; expected no such key "
	  "but for what the kernel measures" },
	{ QUOTAS("cpu_time: {limit: 5h, per: day, on_exhaust: stop}"),
	  "2:54: on_exhaust: 'stop' is not enforced by this version; expected refuse or "
	  "throttle or freeze or kill" },
	{ QUOTAS("executions: {limit: 5, per: day, on_exhaust: kill}"),
	  "2:55: on_exhaust: executions counts what has ended, and what runs is not to be held "
	  "for it; expected refuse" },
	{ QUOTAS("cpu_time: {limit: 5h, per: day, on_exhaust: refuse, enforce: soft}"),
	  "2:42: on_exhaust: the quota is soft and stops nothing; expected enforce: hard, or "
	  "no "
	  "such key" },
	{ QUOTAS("tokens: {limit: 5, per: day, warn: 80}"),
	  "2:45: warn: not a list; expected one such as [80, 95]" },
	{ QUOTAS("tokens: {limit: 5, per: day, warn: [0]}"),
	  "2:46: warn: not a percentage; expected 1 to 100" },
	{ QUOTAS("tokens: {limit: 5, per: day, warn: [101]}"),
	  "2:46: warn: not a percentage; expected 1 to 100" },
	{ QUOTAS("tokens: {limit: 5, per: day, warn: [80%]}"),
	  "2:46: warn: not a percentage; expected 1 to 100" },
	{ QUOTAS("tokens: {limit: 5, per: day, warn: ['80']}"),
	  "2:46: warn: not a percentage; expected 1 to 100" },
	{ QUOTAS("tokens: {limit: 5, per: day, warn: [80, 50]}"),
	  "2:50: warn: 50 after 80; expected percentages in ascending order" },
	{ QUOTAS("tokens: {limit: 5, per: day, warn: [80, 80]}"),
	  "2:50: warn: 80 after 80; expected percentages in ascending order" },
	{ QUOTAS("tokens: {limit: 5, per: day, warn: [1, 2, 3, 4, 5, 6, 7, 8, 9]}"),
	  "2:70: warn: too many percentages; expected at most 8" },
	{ QUOTAS("tokens: {limit: 5, limit: 6}"),
	  "2:29: duplicate key 'limit', first at tiers/free.yaml:2:19; expected it once" },
};

ParameterizedTestParameters(policy_quotas, says_what_is_wrong_and_where)
{
	static size_t rows[ARRAY_LEN(refusals)];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		rows[i] = i;
	return cr_make_param_array(size_t, rows, ARRAY_LEN(rows));
}

ParameterizedTest(size_t *row, policy_quotas, says_what_is_wrong_and_where)
{
	char expected[TN_ERROR_MSG_BYTES];
	struct tn_error err = { 0 };

	(void)snprintf(expected, sizeof(expected), "tiers/free.yaml:%s",
	               refusals[*row].message);
	cr_expect_eq(parse(refusals[*row].text, &err), -EINVAL, "%s", refusals[*row].text);
	cr_expect_str_eq(err.msg, expected);
	cr_expect_eq(err.code, TN_INVALID);
	cr_expect_eq(err.line, 2);
}

Test(policy_quotas, are_in_order_of_their_meters_with_what_was_said)
{
	const struct policy_quota *quota = tier.quotas;

	parsed("tier: free\nquotas:\n"
	       "  tokens: {limit: 5000000, per: month, enforce: hard, warn: [80, 95]}\n"
	       "  agents: {limit: 0, enforce: soft}\n"
	       "  cpu_time: {limit: 100h, per: week, on_exhaust: refuse}\n"
	       "  gpu_time: {limit: max, per: hour}\n");
	cr_assert_eq(tier.quotas_n, 4);

	cr_expect_str_eq(quota[0].meter.name, "agents");
	cr_expect_eq(quota[0].limit, 0);
	cr_expect_eq(quota[0].per, POLICY_PER_NONE);
	cr_expect_eq(quota[0].enforce, POLICY_ENFORCE_SOFT);
	cr_expect_str_eq(quota[0].text, "0, soft");

	cr_expect_str_eq(quota[1].meter.name, "cpu_time");
	cr_expect_eq(quota[1].limit, INT64_C(360000000000));
	cr_expect_eq(quota[1].per, POLICY_PER_WEEK);
	cr_expect_eq(quota[1].enforce, POLICY_ENFORCE_HARD);
	cr_expect_eq(quota[1].on_exhaust, POLICY_EXHAUST_REFUSE);
	cr_expect_str_eq(quota[1].text, "4d4h per week, hard, on_exhaust refuse");

	cr_expect_str_eq(quota[2].meter.name, "gpu_time");
	cr_expect_eq(quota[2].limit, POLICY_UNLIMITED);
	cr_expect_str_eq(quota[2].text, "max per hour, hard");

	cr_expect_str_eq(quota[3].meter.name, "tokens");
	cr_expect_eq(quota[3].limit, 5000000);
	cr_expect_eq(quota[3].warn_n, 2);
	cr_expect_eq(quota[3].warn[0], 80);
	cr_expect_eq(quota[3].warn[1], 95);
	cr_expect_eq(quota[3].where.line, 3);
	cr_expect_eq(quota[3].where.column, 3);
	cr_expect_str_eq(quota[3].key, "quotas.tokens");
	cr_expect_str_eq(quota[3].text, "5000000 per month, hard, warn 80 95");
}

Test(policy_quotas, are_values_of_a_tier_each_with_its_place)
{
	char source[POLICY_FILE_BYTES_MAX + 16];
	struct policy_value value;

	parsed("tier: free\nquotas:\n  sessions: {limit: 3}\n");
	cr_assert(policy_value_at(&tier, POLICY_KEY_QUOTAS, 0, &value));
	cr_expect_str_eq(value.key, "quotas.sessions");
	cr_expect_str_eq(value.text, "3, hard");
	policy_source(&tier, &value.where, source, sizeof(source));
	cr_expect_str_eq(source, "tiers/free.yaml:3");
	cr_expect_not(policy_value_at(&tier, POLICY_KEY_QUOTAS, 1, &value));
}

Test(policy_quotas, are_none_where_nothing_is_said)
{
	parsed("tier: free\n");
	cr_expect_eq(tier.quotas_n, 0);
	parsed("tier: free\nquotas: {}\n");
	cr_expect_eq(tier.quotas_n, 0);
}

Test(policy_quotas, on_custom_meters_need_those)
{
	static const char text[] = QUOTAS("documents: {limit: 5}");
	struct tn_error err = { 0 };

	cr_expect_lt(
		policy_tier_parse("tiers/free.yaml", text, strlen(text), NULL, &tier, &err), 0);
	cr_expect_str_eq(err.msg, "tiers/free.yaml:2:10: quotas: unknown meter "
	                          "'documents'" METERS);
}

Test(policy_quotas, are_no_more_than_there_is_room_for)
{
	struct policy_meters many = { 0 };
	char text[4096] = "tier: free\nquotas:\n";
	size_t n = strlen(text);
	struct tn_error err = { 0 };

	for (int i = 0; i <= POLICY_QUOTAS_MAX; i++) {
		many.custom[i] = meters.custom[0];
		(void)snprintf(many.custom[i].name, sizeof(many.custom[i].name), "m%d", i);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "  m%d: {limit: 1}\n", i);
	}
	many.custom_n = POLICY_QUOTAS_MAX + 1;
	cr_expect_lt(policy_tier_parse("tiers/free.yaml", text, n, &many, &tier, &err), 0);
	cr_expect_str_eq(err.msg,
	                 "tiers/free.yaml:35:3: quotas: too many quotas; expected at most 32");
}

/* A tier with quotas, and a drop-in. */
static int extend(const char *text, struct tn_error *err)
{
	int r;

	parsed("tier: free\nquotas:\n  tokens: {limit: 100, per: month, warn: [80, 95]}\n"
	       "  cpu_time: {limit: 1h, per: day, on_exhaust: freeze}\n");
	r = policy_tier_extend(&tier, "tiers/free.d/x.yaml", text, strlen(text), &meters, err);
	return r < 0 ? r : policy_tier_check(&tier, err);
}

Test(policy_quotas, are_changed_key_by_key_by_a_further_file)
{
	const struct policy_quota *tokens = &tier.quotas[2];
	char source[POLICY_FILE_BYTES_MAX + 16];
	struct tn_error err = { 0 };

	cr_assert_eq(extend("quotas: {tokens: {limit: 200}, agents: {limit: 1}}\n", &err), 0,
	             "%s", err.msg);
	cr_assert_eq(tier.quotas_n, 3);
	cr_expect_str_eq(tier.quotas[0].text, "1, hard");
	cr_expect_str_eq(tier.quotas[1].text, "1h per day, hard, on_exhaust freeze");
	cr_expect_str_eq(tokens->text, "200 per month, hard, warn 80 95");
	policy_source(&tier, &tokens->where, source, sizeof(source));
	cr_expect_str_eq(source, "tiers/free.d/x.yaml:1");
	policy_source(&tier, &tokens->key_where[POLICY_QUOTA_PER], source, sizeof(source));
	cr_expect_str_eq(source, "tiers/free.yaml:3");

	cr_assert_eq(extend("quotas: {tokens: {warn: []}}\n", &err), 0, "%s", err.msg);
	cr_expect_str_eq(tier.quotas[1].text, "100 per month, hard");
	/* What is said of a hard quota goes with it. */
	cr_assert_eq(extend("quotas: {cpu_time: {enforce: soft}}\n", &err), 0, "%s", err.msg);
	cr_expect_str_eq(tier.quotas[0].text, "1h per day, soft");
	cr_expect_eq(tier.quotas[0].on_exhaust, POLICY_EXHAUST_REFUSE);
}

Test(policy_quotas, need_to_be_whole_only_once_all_files_are_read)
{
	static const char half[] = "quotas: {io_ops: {limit: 9}}\n",
			  rest[] = "quotas: {io_ops: {per: hour}}\n";
	struct tn_error err = { 0 };

	cr_expect_lt(extend(half, &err), 0);
	cr_expect_str_eq(err.msg,
	                 "tiers/free.d/x.yaml:1:10: io_ops: per is missing; expected hour, "
	                 "day, week or month, as it is a counter");
	cr_expect_eq(policy_tier_extend(&tier, "tiers/free.d/y.yaml", rest, strlen(rest),
	                                &meters, &err),
	             0);
	cr_expect_eq(policy_tier_check(&tier, &err), 0);
	cr_expect_str_eq(tier.quotas[1].text, "9 per hour, hard, on_exhaust refuse");
}

Test(policy_quotas, are_changed_by_what_a_tenant_has_of_its_own)
{
	static const struct policy_override own[] = {
		{ "quotas.agents.limit", "7" },      { "memory_max", "1G" },
		{ "quotas.tokens.limit", "max" },    { "quotas.cpu_time.on_exhaust", "kill" },
		{ "quotas.tokens.enforce", "soft" },
	};
	char source[POLICY_FILE_BYTES_MAX + 16];
	struct tn_error err = { 0 };

	cr_assert_eq(extend("tier: free\n", &err), 0);
	cr_assert_eq(policy_tier_override(&tier, own, ARRAY_LEN(own), &meters, &err), 0, "%s",
	             err.msg);
	cr_expect_eq(tier.limits.memory_max_bytes, 1 << 30);
	cr_assert_eq(tier.quotas_n, 3);
	cr_expect_str_eq(tier.quotas[0].text, "7, hard");
	cr_expect_str_eq(tier.quotas[1].text, "1h per day, hard, on_exhaust kill");
	cr_expect_str_eq(tier.quotas[2].text, "max per month, soft, warn 80 95");
	policy_source(&tier, &tier.quotas[2].where, source, sizeof(source));
	cr_expect_str_eq(source, "override");
}

Test(policy_quotas, take_no_override_that_is_none)
{
	static const struct policy_override bad[] = {
		{ "quotas.tokens.warn", "80" },
		{ "quotas.tokens", "80" },
		{ "quotas.tokens.limit.x", "80" },
		{ "quotas..limit", "80" },
		{ "quotas.tokns.limit", "80" },
		{ "quotas.tokens.limit", "lots" },
		{ "quotas.tokens.limit", "5\n  agents: {limit: 1}" },
		{ "quotas.agents.per", "day" },
		{ "quotas.agents.enforce", "hard" }, /* of no quota */
		{ "quotas.api_calls.limit", "5" },   /* per is missing */
		{ "limits.memory_max", "1G" },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct tn_error err = { 0 };

		cr_assert_eq(extend("tier: free\n", &err), 0);
		before = tier;
		cr_expect_lt(policy_tier_override(&tier, &bad[i], 1, &meters, &err), 0,
		             "%s: %s", bad[i].key, bad[i].value);
		cr_expect(strncmp(err.msg, "override:", 9) == 0, "%s", err.msg);
		cr_expect_arr_eq(&tier, &before, sizeof(tier));
	}
	cr_expect(policy_override_key_valid("quotas.tokens.per"));
	cr_expect(policy_override_key_valid("memory_max"));
	cr_expect_not(policy_override_key_valid("quotas.tokens.warn"));
	cr_expect_not(policy_override_key_valid("limits.memory_max"));
}

static const struct amount {
	enum meter_unit unit;
	const char *text;
	int64_t amount;
	const char *shown; /* NULL: the same */
} amounts[] = {
	{ METER_UNIT_COUNT, "0", 0, NULL },
	{ METER_UNIT_COUNT, "20", 20, NULL },
	{ METER_UNIT_COUNT, "max", INT64_MAX, NULL },
	{ METER_UNIT_COUNT, "9223372036854775806", INT64_MAX - 1, NULL },
	{ METER_UNIT_BYTES, "2G", INT64_C(2) << 30, NULL },
	{ METER_UNIT_BYTES, "1024M", INT64_C(1) << 30, "1G" },
	{ METER_UNIT_USEC, "90min", INT64_C(5400000000), "1h30min" },
	{ METER_UNIT_USEC, "0", 0, "0s" },
	{ METER_UNIT_MIB_MSEC, "0", 0, NULL },
	{ METER_UNIT_MIB_MSEC, "0GiBh", 0, "0" },
	{ METER_UNIT_MIB_MSEC, "1MiBms", 1, NULL },
	{ METER_UNIT_MIB_MSEC, "20MiBs", 20000, NULL },
	{ METER_UNIT_MIB_MSEC, "1GiBmin", INT64_C(61440000), NULL },
	{ METER_UNIT_MIB_MSEC, "500GiBh", INT64_C(1843200000000), NULL },
	{ METER_UNIT_MIB_MSEC, "256GiBh", INT64_C(943718400000), NULL },
	{ METER_UNIT_MIB_MSEC, "1024GiBh", INT64_C(3774873600000), "1TiBh" },
	{ METER_UNIT_MIB_MSEC, "1TiBd", INT64_C(90596966400000), NULL },
	{ METER_UNIT_MIB_MSEC, "1TiBw", INT64_C(634178764800000), "7TiBd" },
	{ METER_UNIT_MIB_MSEC, "9223372036854775806MiBms", INT64_MAX - 1, NULL },
	{ METER_UNIT_MIB_MSEC, "101806TiBd", INT64_C(101806) * 90596966400000, NULL },
	{ METER_UNIT_MIB_MSEC, "max", INT64_MAX, NULL },
};

Test(policy_quotas, write_amounts_as_they_read_them)
{
	for (size_t i = 0; i < ARRAY_LEN(amounts); i++) {
		const struct amount *row = &amounts[i];
		char text[POLICY_AMOUNT_BYTES_MAX];
		int64_t amount = -1;

		cr_expect_eq(policy_amount_parse(row->unit, row->text, &amount), 0, "%s",
		             row->text);
		cr_expect_eq(amount, row->amount, "%s", row->text);
		policy_amount_format(row->unit, amount, text, sizeof(text));
		cr_expect_str_eq(text, row->shown != NULL ? row->shown : row->text);
	}
}

Test(policy_quotas, round_trip_amounts_of_every_size)
{
	for (int unit = METER_UNIT_COUNT; unit <= METER_UNIT_MIB_MSEC; unit++)
		for (int shift = 0; shift < 63; shift++)
			for (int64_t delta = -1; delta <= 1; delta++) {
				const int64_t amount = (INT64_C(1) << shift) + delta;
				char text[POLICY_AMOUNT_BYTES_MAX];
				int64_t again = -1;

				policy_amount_format((enum meter_unit)unit, amount, text,
				                     sizeof(text));
				cr_assert_eq(policy_amount_parse((enum meter_unit)unit, text,
				                                 &again),
				             0, "%s", text);
				cr_assert_eq(again, amount, "%s", text);
			}
}

Test(policy_quotas, read_no_amount_that_is_none)
{
	static const struct {
		enum meter_unit unit;
		const char *text;
	} bad[] = {
		{ METER_UNIT_COUNT, "" },
		{ METER_UNIT_COUNT, "-1" },
		{ METER_UNIT_COUNT, "1.5" },
		{ METER_UNIT_COUNT, "9223372036854775807" },
		{ METER_UNIT_COUNT, "010" },
		{ METER_UNIT_BYTES, "8388608T" },
		{ METER_UNIT_USEC, "1GiBh" },
		{ METER_UNIT_MIB_MSEC, "5" },
		{ METER_UNIT_MIB_MSEC, "GiBh" },
		{ METER_UNIT_MIB_MSEC, "1GiBhh" },
		{ METER_UNIT_MIB_MSEC, "1GBh" },
		{ METER_UNIT_MIB_MSEC, "1KiBs" },
		{ METER_UNIT_MIB_MSEC, "1GiBus" },
		{ METER_UNIT_MIB_MSEC, "1.5GiBh" },
		{ METER_UNIT_MIB_MSEC, "01GiBh" },
		{ METER_UNIT_MIB_MSEC, "101807TiBd" },
		{ METER_UNIT_MIB_MSEC, " 1GiBh" },
		{ METER_UNIT_MIB_MSEC, "1GiB h" },
		{ METER_UNIT_MIB_MSEC, "9223372036854775807MiBms" },
		{ METER_UNIT_MIB_MSEC, X8("9999") "MiBms" },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int64_t amount = 77;

		cr_expect_eq(policy_amount_parse(bad[i].unit, bad[i].text, &amount), -EINVAL,
		             "%s", bad[i].text);
		cr_expect_eq(amount, 77, "%s", bad[i].text);
	}
}

Test(policy_quotas, have_a_word_for_each_choice)
{
	cr_expect_str_eq(policy_period_names[POLICY_PER_NONE], "none");
	cr_expect_str_eq(policy_period_names[POLICY_PER_MONTH], "month");
	cr_expect_null(policy_period_names[POLICY_PER_MONTH + 1]);
	cr_expect_str_eq(policy_enforce_names[POLICY_ENFORCE_SOFT], "soft");
	cr_expect_null(policy_enforce_names[POLICY_ENFORCE_SOFT + 1]);
	cr_expect_str_eq(policy_exhaust_names[POLICY_EXHAUST_REFUSE], "refuse");
	cr_expect_str_eq(policy_exhaust_names[POLICY_EXHAUST_THROTTLE], "throttle");
	cr_expect_str_eq(policy_exhaust_names[POLICY_EXHAUST_FREEZE], "freeze");
	cr_expect_str_eq(policy_exhaust_names[POLICY_EXHAUST_KILL], "kill");
	cr_expect_null(policy_exhaust_names[POLICY_EXHAUST_KILL + 1]);
}
