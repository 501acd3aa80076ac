/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* policy/tier.c and the tables below it: what good tier files mean. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <base/fd.h>
#include <policy/document.h>
#include <policy/limits.h>
#include <policy/tier.h>
#include <policy/units.h>

TestSuite(policy_tier, .timeout = 20);

#define KIB (INT64_C(1) << 10)
#define MIB (INT64_C(1) << 20)
#define GIB (INT64_C(1) << 30)
#define TIB (INT64_C(1) << 40)
#define SEC INT64_C(1000000)

/* Large: not for the stack. */
static struct policy_tier tier;

static const struct policy_tier *parse(const char *text)
{
	struct tn_error err = { 0 };

	cr_assert_eq(
		policy_tier_parse("tiers/free.yaml", text, strlen(text), NULL, &tier, &err), 0,
		"%s", err.msg);
	cr_expect_eq(err.code, TN_OK, "success must leave the error alone");
	return &tier;
}

/* The value of limit @key in a tier whose limits are @limits. */
static int64_t limit_of(const char *limits, const char *key)
{
	char text[256];
	int64_t value = -1;

	(void)snprintf(text, sizeof(text), "tier: free\nlimits: {%s}\n", limits);
	(void)parse(text);
	for (size_t i = 0; i < POLICY_LIMITS_N; i++)
		if (strcmp(policy_limit_key(i), key) == 0)
			memcpy(&value, (const char *)&tier.limits + i * sizeof(value),
			       sizeof(value));
	return value;
}

Test(policy_tier, is_restrictive_when_it_says_nothing)
{
	static const struct policy_limits defaults = {
		.cpu_quota_usec = 100000,
		.cpu_weight = 100,
		.memory_max_bytes = 512 * MIB,
		.memory_high_bytes = POLICY_UNLIMITED,
		.memory_swap_max_bytes = 0,
		.execution_memory_max_bytes = 512 * MIB,
		.tasks_max = 256,
		.executions_max = 4,
		.runtime_usec_max = 3600 * SEC,
		.cpu_time_usec_max = POLICY_UNLIMITED,
		.nofile_max = 1024,
		.core_bytes_max = 0,
		.fsize_bytes_max = POLICY_UNLIMITED,
		.oom = POLICY_OOM_GROUP,
		.log_bytes_max = 16 * MIB,
		.shrink_grace_usec = 10 * SEC,
	};
	static const char *const texts[] = { "tier: free\n", "tier: free\nlimits: {}\n",
		                             "{tier: \"free\"}", "---\ntier: free\n...\n",
		                             "tier: free\r\nbinds: {}\r\n" };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		(void)parse(texts[i]);
		cr_expect_eq(memcmp(&tier.limits, &defaults, sizeof(defaults)), 0, "%s",
		             texts[i]);
		cr_expect_str_eq(tier.name, "free");
		cr_expect_str_eq(tier.display_name, "free");
		cr_expect_str_eq(tier.file, "tiers/free.yaml");
		cr_expect_eq(tier.binds_allow_n, 0);
		cr_expect_eq(tier.binds_rw_n, 0);
		cr_expect_eq(tier.log, POLICY_LOG_FILE);
	}
	cr_expect_eq(parse("tier: free\nlog: journal\n")->log, POLICY_LOG_JOURNAL);
	cr_expect_eq(parse("tier: free\nlog: file\n")->log, POLICY_LOG_FILE);
}

Test(policy_tier, takes_good_values_of_every_limit)
{
	static const struct {
		const char *key;
		const char *text;
		int64_t value;
	} rows[] = {
		{ "cpu_quota", "1%", 1000 },
		{ "cpu_quota", "12.5%", 12500 },
		{ "cpu_quota", "200%", 200000 },
		{ "cpu_quota", "1000000%", 1000000000 },
		{ "cpu_quota", "max", POLICY_UNLIMITED },
		{ "cpu_weight", "1", 1 },
		{ "cpu_weight", "10000", 10000 },
		{ "memory_max", "4M", 4 * MIB },
		{ "memory_max", "4194304", 4 * MIB },
		{ "memory_max", "2G", 2 * GIB },
		{ "memory_max", "1024T", 1024 * TIB },
		{ "memory_high", "4M", 4 * MIB },
		{ "memory_high", "512M", 512 * MIB },
		{ "memory_high", "max", POLICY_UNLIMITED },
		{ "memory_swap_max", "0", 0 },
		{ "memory_swap_max", "1G", GIB },
		{ "memory_swap_max", "max", POLICY_UNLIMITED },
		{ "execution_memory_max", "4M", 4 * MIB },
		{ "execution_memory_max", "512M", 512 * MIB },
		{ "tasks_max", "4", 4 },
		{ "tasks_max", "4194304", 4194304 },
		{ "executions_max", "1", 1 },
		{ "executions_max", "100000", 100000 },
		{ "runtime_max", "1ms", 1000 },
		{ "runtime_max", "90", 90 * SEC },
		{ "runtime_max", "10min", 600 * SEC },
		{ "runtime_max", "1h30min", 5400 * SEC },
		{ "runtime_max", "\"1h 30min\"", 5400 * SEC },
		{ "runtime_max", "36500d", INT64_C(36500) * 86400 * SEC },
		{ "runtime_max", "max", POLICY_UNLIMITED },
		{ "cpu_time_max", "1ms", 1000 },
		{ "cpu_time_max", "2min", 120 * SEC },
		{ "cpu_time_max", "max", POLICY_UNLIMITED },
		{ "nofile_max", "16", 16 },
		{ "nofile_max", "1048576", 1048576 },
		{ "core_max", "0", 0 },
		{ "core_max", "100M", 100 * MIB },
		{ "core_max", "max", POLICY_UNLIMITED },
		{ "fsize_max", "4K", 4 * KIB },
		{ "fsize_max", "10G", 10 * GIB },
		{ "fsize_max", "max", POLICY_UNLIMITED },
		{ "log_max", "256K", 256 * KIB },
		{ "log_max", "1T", TIB },
		{ "oom", "group", POLICY_OOM_GROUP },
		{ "oom", "process", POLICY_OOM_PROCESS },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char limits[128];
		int64_t value;

		(void)snprintf(limits, sizeof(limits), "%s: %s", rows[i].key, rows[i].text);
		value = limit_of(limits, rows[i].key);
		cr_expect_eq(value, rows[i].value, "%s gives %lld", limits, (long long)value);
	}
}

Test(policy_tier, knows_a_good_value_of_every_limit)
{
	/* Each row of the table: its bounds are accepted, its default lies within them. */
	for (size_t i = 0; i < POLICY_LIMITS_N; i++) {
		const struct limits_row *row = limits_row(i);
		char text[UNITS_TEXT_BYTES_MAX], limits[192];
		int64_t bounds[] = { row->min, row->max };

		cr_assert_not_null(row->key, "limit %zu has no row", i);
		cr_expect_not_null(row->about, "%s", row->key);
		if (row->same_as == NULL && row->fallback != POLICY_UNLIMITED)
			cr_expect(row->fallback >= row->min && row->fallback <= row->max, "%s",
			          row->key);
		cr_expect(row->same_as != NULL || row->fallback != POLICY_UNLIMITED ||
		                  row->unlimited,
		          "%s", row->key);
		for (size_t j = 0; j < ARRAY_LEN(bounds); j++) {
			memcpy((char *)&tier.limits + i * sizeof(int64_t), &bounds[j],
			       sizeof(int64_t));
			policy_limit_text(&tier, i, text, sizeof(text));
			(void)snprintf(limits, sizeof(limits), "%s%s: %s",
			               strcmp(row->key, "memory_max") == 0
			                       ? ""
			                       : "memory_max: 1024T, ",
			               row->key, text);
			cr_expect_eq(limit_of(limits, row->key), bounds[j], "%s", limits);
		}
	}
}

Test(policy_tier, lets_one_execution_use_what_the_tenant_may)
{
	cr_expect_eq(limit_of("memory_max: 2G", "execution_memory_max"), 2 * GIB);
	cr_expect_eq(
		limit_of("memory_max: 2G, execution_memory_max: 1G", "execution_memory_max"),
		GIB);
	cr_expect_eq(
		limit_of("execution_memory_max: 1G, memory_max: 1G", "execution_memory_max"),
		GIB, "the order of keys must not matter");
}

Test(policy_tier, shows_every_limit_as_a_policy_file_writes_it)
{
	static const char *const expected[][3] = {
		{ "cpu_quota", "12.5%", "tiers/free.yaml:3" },
		{ "cpu_weight", "100", "default" },
		{ "memory_max", "2G", "tiers/free.yaml:4" },
		{ "memory_high", "1800M", "tiers/free.yaml:6" },
		{ "memory_swap_max", "0", "default" },
		{ "execution_memory_max", "2G", "default" },
		{ "tasks_max", "256", "default" },
		{ "executions_max", "4", "default" },
		{ "runtime_max", "1h30min", "tiers/free.yaml:7" },
		{ "cpu_time_max", "max", "default" },
		{ "nofile_max", "1024", "default" },
		{ "core_max", "0", "default" },
		{ "fsize_max", "max", "tiers/free.yaml:8" },
		{ "oom", "process", "tiers/free.yaml:9" },
		{ "log_max", "16M", "default" },
		{ "shrink_grace", "10s", "default" },
	};

	(void)parse("tier: free\n"
	            "limits:\n"
	            "  cpu_quota: 12.5%\n"
	            "  memory_max: 2G\n"
	            "\n"
	            "  memory_high: 1800M  # before it gets tight\n"
	            "  runtime_max: 1h30min\n"
	            "  fsize_max: max\n"
	            "  oom: process\n");
	cr_assert_eq(ARRAY_LEN(expected), POLICY_LIMITS_N);
	for (size_t i = 0; i < POLICY_LIMITS_N; i++) {
		char text[UNITS_TEXT_BYTES_MAX], source[POLICY_FILE_BYTES_MAX + 16];

		policy_limit_text(&tier, i, text, sizeof(text));
		policy_limit_source(&tier, i, source, sizeof(source));
		cr_expect_str_eq(policy_limit_key(i), expected[i][0]);
		cr_expect_str_eq(text, expected[i][1]);
		cr_expect_str_eq(source, expected[i][2]);
	}
	cr_expect_eq(tier.where[0].line, 3);
	cr_expect_eq(tier.where[0].column, 3);
	cr_expect_eq(tier.where[1].line, 0);
}

Test(policy_tier, takes_all_other_keys)
{
	(void)parse("display_name: \"Für alle ☂\"\n"
	            "rootfs: host\n"
	            "seccomp: default\n"
	            "network: {mode: none}\n"
	            "binds:\n"
	            "  rw: [/srv/data/inbox, /opt/x]\n"
	            "  allow:\n"
	            "    - /srv/data\n"
	            "    - /opt/x\n"
	            "    - /devices\n"
	            "    - /procedures/.hidden/..a\n"
	            "tier: free\n");
	cr_expect_str_eq(tier.display_name, "Für alle ☂");
	cr_expect_eq(tier.binds_allow_n, 4);
	cr_expect_str_eq(tier.binds_allow[0], "/srv/data");
	cr_expect_str_eq(tier.binds_allow[3], "/procedures/.hidden/..a");
	cr_expect_eq(tier.binds_rw_n, 2);
	cr_expect_str_eq(tier.binds_rw[0], "/srv/data/inbox");
}

Test(policy_tier, takes_users_and_groups_with_their_places)
{
	static const struct {
		enum account_kind kind;
		const char *name;
		const char *source;
	} expected[] = {
		{ ACCOUNT_USER, "alice", "tiers/free.yaml:3:11" },
		{ ACCOUNT_USER, "_b.o-b@corp$", "tiers/free.yaml:3:18" },
		{ ACCOUNT_GROUP, "alice", "tiers/free.yaml:5:7" },
	};

	(void)parse("tier: free\n"
	            "operators:\n"
	            "  users: [alice, _b.o-b@corp$]\n"
	            "  groups:\n"
	            "    - alice\n");
	cr_assert_eq(tier.operators_n, ARRAY_LEN(expected));
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		char source[POLICY_FILE_BYTES_MAX + 32];

		policy_place(&tier, &tier.operators[i].where, source, sizeof(source));
		cr_expect_eq(tier.operators[i].kind, expected[i].kind);
		cr_expect_str_eq(tier.operators[i].name, expected[i].name);
		cr_expect_str_eq(source, expected[i].source);
	}
	cr_expect_eq(parse("tier: free\noperators: {users: [], groups: []}\n")->operators_n, 0);
	cr_expect_eq(parse("tier: free\noperators: {}\n")->operators_n, 0);
}

Test(policy_tier, takes_as_many_and_as_long_paths_as_there_is_room_for)
{
	cleanup_free char *text = malloc(DOCUMENT_BYTES_MAX);
	size_t n = (size_t)snprintf(text, DOCUMENT_BYTES_MAX, "tier: free\nbinds:\n  allow:\n");

	for (int i = 0; i < POLICY_BINDS_MAX; i++)
		n += (size_t)snprintf(text + n, DOCUMENT_BYTES_MAX - n, "  - /%0*d\n",
		                      POLICY_PATH_BYTES_MAX - 2, i);
	(void)parse(text);
	cr_expect_eq(tier.binds_allow_n, POLICY_BINDS_MAX);
	cr_expect_eq(strlen(tier.binds_allow[POLICY_BINDS_MAX - 1]), POLICY_PATH_BYTES_MAX - 1);
}

Test(policy_tier, takes_the_longest_names)
{
	char name[NAME_BYTES_MAX], file[POLICY_FILE_BYTES_MAX], text[512];
	char display[POLICY_TEXT_BYTES_MAX];
	struct tn_error err = { 0 };

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	memset(display, 'A', sizeof(display) - 1);
	display[sizeof(display) - 1] = '\0';
	(void)snprintf(file, sizeof(file), "tiers/%s.yaml", name);
	(void)snprintf(text, sizeof(text), "tier: %s\ndisplay_name: %s\n", name, display);
	cr_assert_eq(policy_tier_parse(file, text, strlen(text), NULL, &tier, &err), 0, "%s",
	             err.msg);
	cr_expect_str_eq(tier.name, name);
	cr_expect_str_eq(tier.display_name, display);
}

Test(policy_tier, takes_a_file_as_large_as_may_be)
{
	cleanup_free char *text = malloc(DOCUMENT_BYTES_MAX);
	static const char head[] = "tier: free\n#";
	struct tn_error err = { 0 };

	memset(text, 'x', DOCUMENT_BYTES_MAX);
	memcpy(text, head, strlen(head));
	cr_expect_eq(policy_tier_parse("tiers/free.yaml", text, DOCUMENT_BYTES_MAX, NULL, &tier,
	                               &err),
	             0, "%s", err.msg);
}
