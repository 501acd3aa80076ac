/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* policy/meters.c: what meters.yaml may declare, and what an admin is told of each mistake. */
#include <criterion/criterion.h>
#include <string.h>

#include <base/fd.h>
#include <policy/meters.h>

TestSuite(policy_meters, .timeout = 20);

static struct policy_meters meters;

static int parse(const char *text, struct tn_error *err)
{
	return policy_meters_parse(POLICY_METERS_FILE, text, strlen(text), &meters, err);
}

Test(policy_meters, are_what_the_file_declares_beside_the_builtin_ones)
{
	struct tn_error err = { 0 };
	const struct meter *meter;
	size_t n = 0;

	cr_assert_eq(parse("meters:\n  documents: {kind: gauge, unit: documents}\n"
	                   "  gpu_time:  {kind: counter, unit: usec}\n"
	                   "  vram_time: {kind: counter, unit: mib_msec}\n"
	                   "  spool: {kind: gauge, unit: bytes}\n  emails: {kind: counter}\n",
	                   &err),
	             0, "%s", err.msg);
	cr_expect_eq(meters.custom_n, 5);
	cr_expect_eq(meters.where[1].line, 3);
	cr_expect_eq(meters.where[1].column, 3);

	meter = policy_meter(&meters, "documents");
	cr_expect_eq(meter->kind, METER_GAUGE);
	cr_expect_eq(meter->source, METER_OF_APPLICATIONS);
	cr_expect_eq(meter->unit, METER_UNIT_COUNT);
	cr_expect_str_eq(meter->label, "documents");
	cr_expect(meter->limitable);
	meter = policy_meter(&meters, "gpu_time");
	cr_expect_eq(meter->kind, METER_COUNTER);
	cr_expect_eq(meter->unit, METER_UNIT_USEC);
	cr_expect_eq(policy_meter(&meters, "vram_time")->unit, METER_UNIT_MIB_MSEC);
	cr_expect_eq(policy_meter(&meters, "spool")->unit, METER_UNIT_BYTES);
	cr_expect_str_eq(policy_meter(&meters, "emails")->label, "count");

	cr_expect_eq(policy_meter(&meters, "tokens")->source, METER_OF_APPLICATIONS);
	cr_expect_not_null(policy_meter(NULL, "cpu_time"));
	cr_expect_null(policy_meter(NULL, "documents"));
	cr_expect_null(policy_meter(&meters, "document"));
	while (meter_builtin(n) != NULL)
		n++;
	cr_expect_str_eq(policy_meter_at(&meters, n)->name, "documents");
	cr_expect_null(policy_meter_at(&meters, n + 5));
}

Test(policy_meters, may_be_none)
{
	struct tn_error err = { 0 };

	cr_expect_eq(parse("meters: {}\n", &err), 0, "%s", err.msg);
	cr_expect_eq(meters.custom_n, 0);
}

Test(policy_meters, are_refused_with_what_is_wrong_and_where)
{
#define NAME "; expected a lower-case letter, then letters, digits and '_', 31 at most"
#define UNIT "; expected bytes, usec, mib_msec, or 1 to 15 of a-z and '_' such as documents"
	static const struct {
		const char *text, *message;
	} rows[] = {
		{ "", "1:1: nothing in it; expected 'key: value' lines" },
		{ "metres: {}",
		  "1:1: unknown key 'metres', did you mean 'meters'?; this version enforces: "
		  "meters" },
		{ "meters: [x]", "1:9: meters: a list; expected 'key: value' lines" },
		{ "meters: {x: gauge}",
		  "1:13: x: a single value; expected 'key: value' lines" },
		{ "meters: {x: {}}",
		  "1:10: x: kind is missing; expected kind: counter or gauge" },
		{ "meters: {x: {kind: rate}}",
		  "1:20: kind: 'rate' is not enforced by this version; expected counter or "
		  "gauge" },
		{ "meters: {X: {kind: gauge}}", "1:10: meters: 'X' is not a name" NAME },
		{ "meters: {2x: {kind: gauge}}", "1:10: meters: '2x' is not a name" NAME },
		{ "meters: {a-b: {kind: gauge}}", "1:10: meters: 'a-b' is not a name" NAME },
		{ "meters: {abcdefghijklmnopqrstuvwxyz_01234: {kind: gauge}}",
		  "1:10: meters: 'abcdefghijklmnopqrstuvwxyz_01234' is not a name" NAME },
		{ "meters: {tokens: {kind: counter}}",
		  "1:10: meters: 'tokens' is always there; expected another name" },
		{ "meters: {cpu_time: {kind: counter}}",
		  "1:10: meters: 'cpu_time' is always there; expected another name" },
		{ "meters: {network_rx_bytes: {kind: counter}}",
		  "1:10: meters: 'network_rx_bytes' is reserved; expected another name" },
		{ "meters: {network_tx_bytes: {kind: counter}}",
		  "1:10: meters: 'network_tx_bytes' is reserved; expected another name" },
		{ "meters: {storage_time: {kind: counter}}",
		  "1:10: meters: 'storage_time' is reserved; expected another name" },
		{ "meters: {x: {kind: gauge, unit: Docs}}",
		  "1:33: unit: 'Docs' is not a unit" UNIT },
		{ "meters: {x: {kind: gauge, unit: aaaaaaaaaaaaaaaa}}",
		  "1:33: unit: 'aaaaaaaaaaaaaaaa' is not a unit" UNIT },
		{ "meters: {x: {kind: gauge, unit: }}", "1:33: unit: no value" UNIT },
		{ "meters: {x: {kind: gauge, unt: a}}",
		  "1:27: unknown key 'unt' in x, did you mean 'unit'?; this version enforces: "
		  "kind, unit" },
		{ "meters: {x: {kind: gauge}, x: {kind: gauge}}",
		  "1:28: duplicate key 'x', first at meters.yaml:1:10; expected it once" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char expected[TN_ERROR_MSG_BYTES];
		struct tn_error err = { 0 };

		(void)snprintf(expected, sizeof(expected), "meters.yaml:%s", rows[i].message);
		memset(&meters, 0x55, sizeof(meters));
		cr_expect_eq(parse(rows[i].text, &err), -EINVAL, "%s", rows[i].text);
		cr_expect_str_eq(err.msg, expected);
		cr_expect_eq(meters.custom_n, (size_t)INT64_C(0x5555555555555555));
	}
}

Test(policy_meters, are_no_more_than_there_is_room_for)
{
	char text[2048] = "meters:\n";
	struct tn_error err = { 0 };
	size_t n = strlen(text);

	for (int i = 0; i < POLICY_METERS_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "  m%d: {kind: gauge}\n", i);
	cr_expect_eq(parse(text, &err), 0, "%s", err.msg);
	(void)snprintf(text + n, sizeof(text) - n, "  m: {kind: gauge}\n");
	cr_expect_eq(parse(text, &err), -EINVAL);
	cr_expect_str_eq(err.msg,
	                 "meters.yaml:50:3: meters: too many meters; expected at most 48");
}
