/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* policy/tier.c: a tier that a further file changes, or that a tenant has limits of its own to.
 */
#include <criterion/criterion.h>
#include <string.h>

#include <policy/tier.h>

TestSuite(policy_extend, .timeout = 20);

/* Large: off the stack. */
static struct policy_tier tier, before;

static void extended(const char *file, const char *text)
{
	static const char base[] =
		"tier: free\nlimits:\n  memory_max: 100M\n  memory_high: 90M\n"
		"binds: {allow: [/srv/a]}\n";
	struct tn_error err = { 0 };

	cr_assert_eq(
		policy_tier_parse("tiers/free.yaml", base, strlen(base), NULL, &tier, &err), 0,
		"%s", err.msg);
	cr_assert_eq(policy_tier_extend(&tier, file, text, strlen(text), NULL, &err), 0, "%s",
	             err.msg);
}

static size_t limit_of(const char *key)
{
	size_t i = 0;

	while (strcmp(policy_limit_key(i), key) != 0)
		i++;
	return i;
}

static void expect_source(const char *key, const char *source)
{
	char text[POLICY_FILE_BYTES_MAX + 16];

	policy_limit_source(&tier, limit_of(key), text, sizeof(text));
	cr_expect_str_eq(text, source, "%s: %s", key, text);
}

Test(policy_extend, is_changed_by_what_a_further_file_says)
{
	char place[POLICY_FILE_BYTES_MAX + 32];
	struct policy_value added;

	extended("tiers/free.d/10.yaml", "limits:\n  memory_max: 200M\n  tasks_max: 9\n"
	                                 "binds: {allow: [/srv/b]}\n");

	cr_expect_eq(tier.limits.memory_max_bytes, 200 << 20);
	cr_expect_eq(tier.limits.memory_high_bytes, 90 << 20);
	cr_expect_eq(tier.limits.execution_memory_max_bytes, 200 << 20, "the default follows");
	cr_expect_eq(tier.limits.tasks_max, 9);
	cr_expect_eq(tier.binds_allow_n, 2, "a list grows");
	cr_expect(policy_value_at(&tier, POLICY_KEY_BINDS_ALLOW, 1, &added));
	cr_expect_str_eq(added.text, "/srv/b");
	policy_place(&tier, &added.where, place, sizeof(place));
	cr_expect_str_eq(place, "tiers/free.d/10.yaml:4:17");
	cr_expect_not(policy_value_at(&tier, POLICY_KEY_BINDS_ALLOW, 2, &added));
	cr_expect_str_eq(tier.name, "free");
	expect_source("memory_max", "tiers/free.d/10.yaml:2");
	expect_source("memory_high", "tiers/free.yaml:4");
	expect_source("cpu_quota", "default");
}

Test(policy_extend, is_as_it_was_when_a_further_file_is_wrong)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{ "limits: {memory_max: 80M}\n",
		  "tiers/free.d/x.yaml:1:22: memory_max: 80M is below memory_high "
		  "(tiers/free.yaml:4:3); expected at least 90M" },
		{ "limits: {memory_high: 110M}\n",
		  "tiers/free.d/x.yaml:1:23: memory_high: 110M is above memory_max "
		  "(tiers/free.yaml:3:3); expected at most 100M" },
		{ "tier: other\n",
		  "tiers/free.d/x.yaml:1:7: tier: 'other' is not the tier that "
		  "this changes; expected free" },
		{ "limits: {tasks_max: 5, tasks_mx: 1}\n",
		  "tiers/free.d/x.yaml:1:24: unknown key 'tasks_mx' in limits, did you mean "
		  "'tasks_max'?" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tn_error err = { 0 };

		extended("tiers/free.d/a.yaml", "tier: free\n");
		before = tier;
		cr_expect_lt(policy_tier_extend(&tier, "tiers/free.d/x.yaml", rows[i].text,
		                                strlen(rows[i].text), NULL, &err),
		             0);
		cr_expect(strncmp(err.msg, rows[i].message, strlen(rows[i].message)) == 0, "%s",
		          err.msg);
		cr_expect_arr_eq(&tier, &before, sizeof(tier));
	}
}

Test(policy_extend, takes_limits_of_a_tenants_own_and_says_so)
{
	const struct policy_override good[] = { { "memory_max", "1G" },
		                                { "cpu_quota", "150%" } };
	struct tn_error err = { 0 };

	extended("tiers/free.d/a.yaml", "limits: {tasks_max: 7}\n");
	cr_assert_eq(policy_tier_override(&tier, good, 2, NULL, &err), 0, "%s", err.msg);
	cr_expect_eq(tier.limits.memory_max_bytes, 1 << 30);
	cr_expect_eq(tier.limits.cpu_quota_usec, 150000);
	cr_expect_eq(tier.limits.tasks_max, 7);
	expect_source("memory_max", "override");
	expect_source("tasks_max", "tiers/free.d/a.yaml:1");
	cr_expect_eq(policy_tier_override(&tier, NULL, 0, NULL, &err), 0);
}

Test(policy_extend, takes_no_override_that_is_more_than_a_limit)
{
	static const struct policy_override bad[] = {
		{ "memory_max", "lots" },
		{ "memory_mx", "1G" },
		{ "memory_max", "1G\nrootfs: host" },
		{ "memory_max: 1G\nx", "1" },
		{ "memory_max", "" },
		{ "", "1G" },
		{ "memory_max", "{a: b}" },
		{ "memory_max", "[1]" },
		{ "memory_max", "'1G'" },
		{ "memory_max", "1G # x" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct tn_error err = { 0 };

		extended("tiers/free.d/a.yaml", "tier: free\n");
		before = tier;
		cr_expect_lt(policy_tier_override(&tier, &bad[i], 1, NULL, &err), 0, "%s: %s",
		             bad[i].key, bad[i].value);
		cr_expect(strncmp(err.msg, "override:", 9) == 0, "%s", err.msg);
		cr_expect_arr_eq(&tier, &before, sizeof(tier));
	}
}
