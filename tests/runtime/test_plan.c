/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <base/fd.h>

#include "plan.h"

TestSuite(plan, .timeout = 10);

static const char free_yaml[] = "tier: free\n"
				"limits:\n"
				"  cpu_quota: 50%\n"
				"  memory_max: 128M\n"
				"  execution_memory_max: 64M\n"
				"  runtime_max: 10min\n"
				"  tasks_max: 32\n"
				"  cpu_time_max: 2min\n";

/* Too large for a stack; each test has a process of its own. */
static struct policy_tier tier;

static void tier_parse(const char *text)
{
	struct tn_error err = { 0 };

	cr_assert_eq(
		policy_tier_parse("tiers/free.yaml", text, strlen(text), NULL, &tier, &err), 0,
		"%s", err.msg);
}

static const struct plan_limit *limit(const struct plan *plan, const char *key)
{
	for (size_t i = 0; i < plan->limits_n; i++)
		if (strcmp(plan->limits[i].key, key) == 0)
			return &plan->limits[i];
	cr_assert_fail("no limit %s", key);
	return NULL;
}

static void expect_limit(const struct plan *plan, const char *key, const char *value,
                         const char *source)
{
	const struct plan_limit *l = limit(plan, key);

	cr_expect_str_eq(l->value, value, "%s: %s", key, l->value);
	cr_expect_str_eq(l->source, source, "%s: %s", key, l->source);
}

Test(plan, takes_from_the_tier_what_is_not_asked_for)
{
	struct plan_narrowing none = PLAN_NARROWING_NONE;
	struct plan plan;
	struct tn_error err = { 0 };

	tier_parse(free_yaml);
	cr_assert_eq(plan_resolve(&tier, &none, &plan, &err), 0, "%s", err.msg);
	cr_expect_eq(plan.tenant.memory_max_bytes, 128 << 20);
	cr_expect_eq(plan.tenant.cpu_quota_usec, 50000);
	cr_expect_eq(plan.tenant.tasks_max, 32);
	cr_expect_eq(plan.execution.memory_max_bytes, 64 << 20);
	cr_expect_eq(plan.execution.cpu_quota_usec, SPEC_UNLIMITED, "the tenant's to divide");
	cr_expect_eq(plan.execution.tasks_max, 32);
	cr_expect_eq(plan.execution.runtime_usec_max, INT64_C(600000000));
	cr_expect_eq(plan.execution.kill_after_usec, INT64_C(10000000));
	cr_expect_eq(plan.flags, SPEC_LAUNCH_OOM_GROUP);
	expect_limit(&plan, "execution_memory_max", "64M", "tiers/free.yaml:5");
	expect_limit(&plan, "runtime_max", "10min", "tiers/free.yaml:6");
	expect_limit(&plan, "kill_after", "10s", "default");
	expect_limit(&plan, "nofile_max", "1024", "default");
	cr_expect_str_eq(plan.limits[plan.memory_tightest].key, "execution_memory_max");
	cr_expect_str_eq(plan.limits[plan.runtime].key, "runtime_max");
	cr_expect_str_eq(plan.limits[plan.cpu_time].key, "cpu_time_max");
	cr_expect_eq(plan.execution.cpu_time_usec_max, INT64_C(120000000));
	expect_limit(&plan, "cpu_time_max", "2min", "tiers/free.yaml:8");
}

Test(plan, narrows_and_says_by_what)
{
	struct plan_narrowing ask = { .memory_max_bytes = 32 << 20,
		                      .cpu_quota_usec = 25000,
		                      .tasks_max = 8,
		                      .runtime_usec_max = 5000000,
		                      .kill_after_usec = 1000000,
		                      .cpu_usec_max = 2000000 };
	struct plan plan;
	struct tn_error err = { 0 };

	tier_parse(free_yaml);
	cr_assert_eq(plan_resolve(&tier, &ask, &plan, &err), 0, "%s", err.msg);
	cr_expect_eq(plan.execution.memory_max_bytes, 32 << 20);
	cr_expect_eq(plan.execution.cpu_quota_usec, 25000);
	cr_expect_eq(plan.execution.tasks_max, 8);
	cr_expect_eq(plan.execution.runtime_usec_max, 5000000);
	cr_expect_eq(plan.execution.kill_after_usec, 1000000);
	cr_expect_eq(plan.tenant.memory_max_bytes, 128 << 20, "the tenant's stay as they are");
	cr_expect_eq(plan.tenant.cpu_quota_usec, 50000);
	cr_expect_eq(plan.tenant.tasks_max, 32);
	expect_limit(&plan, "execution_memory_max", "32M", "--memory");
	expect_limit(&plan, "cpu_quota", "25%", "--cpus");
	expect_limit(&plan, "tasks_max", "8", "--pids");
	expect_limit(&plan, "runtime_max", "5s", "--timeout");
	expect_limit(&plan, "kill_after", "1s", "--kill-after");
	cr_expect_eq(plan.execution.cpu_time_usec_max, 2000000);
	expect_limit(&plan, "cpu_time_max", "2s", "--cpu-time");
}

struct refusal {
	struct plan_narrowing ask;
	char msg[128];
};

ParameterizedTestParameters(plan, refuses_to_widen)
{
	static struct refusal rows[] = {
		{ { .memory_max_bytes = (64 << 20) + 1, -1, -1, -1, -1, -1 },
		  "--memory 67108865 is wider than execution_memory_max 64M "
		  "(tiers/free.yaml:5)" },
		{ { .memory_max_bytes = 128 << 20, -1, -1, -1, -1, -1 },
		  "--memory 128M is wider than execution_memory_max 64M (tiers/free.yaml:5)" },
		{ { -1, .cpu_quota_usec = 100000, -1, -1, -1, -1 },
		  "--cpus 100% is wider than cpu_quota 50% (tiers/free.yaml:3)" },
		{ { -1, -1, .tasks_max = 33, -1, -1, -1 },
		  "--pids 33 is wider than tasks_max 32 (tiers/free.yaml:7)" },
		{ { -1, -1, -1, .runtime_usec_max = INT64_C(600000001), -1, -1 },
		  "--timeout 10min1us is wider than runtime_max 10min (tiers/free.yaml:6)" },
		{ { -1, -1, -1, -1, .kill_after_usec = 11000000, -1 },
		  "--kill-after 11s is wider than 10s (default)" },
		{ { .memory_max_bytes = 0, -1, -1, -1, -1, -1 },
		  "--memory 0 is less than the least there can be, 4M" },
		{ { -1, .cpu_quota_usec = 999, -1, -1, -1, -1 },
		  "--cpus 0.999% is less than the least there can be, 1%" },
		{ { -1, -1, .tasks_max = 0, -1, -1, -1 },
		  "--pids 0 is less than the least there can be, 1" },
		{ { -1, -1, -1, .runtime_usec_max = 0, -1, -1 },
		  "--timeout 0s is less than the least there can be, 1us" },
		{ { -1, -1, -1, -1, -1, .cpu_usec_max = INT64_C(120000001) },
		  "--cpu-time 2min1us is wider than cpu_time_max 2min (tiers/free.yaml:8)" },
		{ { -1, -1, -1, -1, -1, .cpu_usec_max = 0 },
		  "--cpu-time 0s is less than the least there can be, 1us" },
	};

	return cr_make_param_array(struct refusal, rows, ARRAY_LEN(rows));
}

ParameterizedTest(struct refusal *row, plan, refuses_to_widen)
{
	struct plan plan = { .limits_n = 99 };
	struct tn_error err = { 0 };

	tier_parse(free_yaml);
	cr_expect_lt(plan_resolve(&tier, &row->ask, &plan, &err), 0);
	cr_expect_eq(err.code, TN_INVALID);
	cr_expect_str_eq(err.msg, row->msg, "%s", err.msg);
	cr_expect_eq(plan.limits_n, 99, "a refused request must give no plan");
}

Test(plan, blames_the_tenants_memory_when_the_execution_may_use_all_of_it)
{
	struct plan_narrowing none = PLAN_NARROWING_NONE;
	struct plan plan;
	struct tn_error err = { 0 };

	tier_parse("tier: free\nlimits:\n  memory_max: 128M\n");
	cr_assert_eq(plan_resolve(&tier, &none, &plan, &err), 0, "%s", err.msg);
	cr_expect_eq(plan.execution.memory_max_bytes, 128 << 20);
	cr_expect_str_eq(plan.limits[plan.memory_tightest].key, "memory_max");
	cr_expect_str_eq(plan.limits[plan.memory_tightest].source, "tiers/free.yaml:3");
}

static void expect_environment(const char *yaml, const struct plan_narrowing *ask,
                               const char *const *expected, uint32_t expected_n)
{
	struct spec_launch launch = { 0 };
	struct plan plan;
	struct tn_error err = { 0 };
	const char *p = launch.env;

	memset(launch.execution.bytes, 0x11, sizeof(launch.execution.bytes));
	tier_parse(yaml);
	cr_assert_eq(plan_resolve(&tier, ask, &plan, &err), 0, "%s", err.msg);
	cr_assert_eq(plan_environment(&plan, "acme", &launch, &err), 0, "%s", err.msg);
	cr_expect_eq(launch.env_default_n, 3);
	cr_assert_eq(launch.env_n, expected_n);
	for (uint32_t i = 0; i < expected_n; i++) {
		cr_expect_str_eq(p, expected[i], "%s", p);
		p += strlen(p) + 1;
	}
	cr_expect_eq((size_t)(p - launch.env), launch.env_bytes);
}

#define ENV_COMMON                                                                             \
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/data",     \
		"LANG=C.UTF-8", "TENANT=acme",                                                 \
		"TENANT_EXECUTION=11111111-1111-1111-1111-111111111111"

Test(plan, tells_the_workload_its_tightest_limits)
{
	static const char *const tiers[] = { ENV_COMMON, "TENANT_MEMORY_MAX=67108864",
		                             "TENANT_CPUS=0.5" };
	static const char *const narrowed[] = { ENV_COMMON, "TENANT_MEMORY_MAX=16777216",
		                                "TENANT_CPUS=0.125" };
	static const char *const unlimited[] = { ENV_COMMON, "TENANT_MEMORY_MAX=536870912" };
	static const char *const whole[] = { ENV_COMMON, "TENANT_MEMORY_MAX=536870912",
		                             "TENANT_CPUS=10" };
	struct plan_narrowing none = PLAN_NARROWING_NONE;
	struct plan_narrowing ask = { 16 << 20, 12500, -1, -1, -1, -1 };

	expect_environment(free_yaml, &none, tiers, ARRAY_LEN(tiers));
	expect_environment(free_yaml, &ask, narrowed, ARRAY_LEN(narrowed));
	expect_environment("tier: free\nlimits:\n  cpu_quota: max\n", &none, unlimited,
	                   ARRAY_LEN(unlimited));
	expect_environment("tier: free\nlimits:\n  cpu_quota: 1000%\n", &none, whole,
	                   ARRAY_LEN(whole));
}

struct bind_row {
	char path[32];
	char target[32];
	int writable;
	int r;
};

ParameterizedTestParameters(plan, binds_only_what_the_tier_allows)
{
	static struct bind_row rows[] = {
		{ "/usr/share", "/mnt", 0, 0 },
		{ "/usr/share", "/mnt/deep/er", 0, 0 },
		{ "/usr", "/mnt", 0, -EPERM },
		{ "/etc", "/mnt", 0, -EPERM },
		{ "/usr/share", "/mnt", 1, -EPERM },
		{ "/usr/share", "mnt", 0, -EINVAL },
		{ "/usr/share", "/", 0, -EINVAL },
		{ "/usr/share", "/mnt/../etc", 0, -EINVAL },
		{ "/usr/share", "/mnt//x", 0, -EINVAL },
		{ "/usr/share", "/mnt/.", 0, -EINVAL },
		{ "/usr/share", "/mnt/", 0, -EINVAL },
	};

	return cr_make_param_array(struct bind_row, rows, ARRAY_LEN(rows));
}

ParameterizedTest(struct bind_row *row, plan, binds_only_what_the_tier_allows)
{
	cleanup_fd int fd = open(row->path, O_PATH | O_CLOEXEC);
	struct tn_error err = { 0 };

	cr_assert_geq(fd, 0);
	tier_parse("tier: free\nbinds:\n  allow: [/usr/share]\n");
	cr_expect_eq(plan_bind(&tier, fd, row->target, row->writable != 0, &err), row->r,
	             "%s at %s: %s", row->path, row->target, err.msg);
}

Test(plan, refuses_a_bind_whose_path_means_something_else_to_the_host)
{
	char dir[] = "/tmp/tenantd-plan-XXXXXX";
	char other[sizeof(dir) + 8];
	char yaml[128];
	struct tn_error err = { 0 };
	cleanup_fd int fd = FD_NONE;

	cr_assert(mkdtemp(dir) != NULL);
	fd = open(dir, O_PATH | O_CLOEXEC);
	(void)snprintf(yaml, sizeof(yaml), "tier: free\nbinds:\n  allow: [%s]\n", dir);
	tier_parse(yaml);
	cr_expect_eq(plan_bind(&tier, fd, "/mnt", false, &err), 0, "%s", err.msg);

	/* The kernel names a removed directory by a path that nobody has. */
	(void)snprintf(other, sizeof(other), "%s (deleted)", dir);
	cr_assert_eq(rmdir(dir), 0);
	cr_assert_eq(mkdir(other, 0700), 0);
	(void)snprintf(yaml, sizeof(yaml), "tier: free\nbinds:\n  allow: [\"%s\"]\n", other);
	tier_parse(yaml);
	cr_expect_eq(plan_bind(&tier, fd, "/mnt", false, &err), -EPERM, "%s", err.msg);
	cr_assert_eq(rmdir(other), 0);
}

static struct plan plan_free(void)
{
	struct plan_narrowing none = PLAN_NARROWING_NONE;
	struct plan plan;
	struct tn_error err = { 0 };

	tier_parse(free_yaml);
	cr_assert_eq(plan_resolve(&tier, &none, &plan, &err), 0, "%s", err.msg);
	return plan;
}

Test(plan, runs_as_whom_a_number_or_an_account_names)
{
	static const struct {
		const char *user;
		uint32_t uid, gid;
	} rows[] = {
		{ NULL, 1000, 1000 },
		{ "tenant", 1000, 1000 },
		{ "root", 0, 0 },
		{ "nobody", 65534, 65534 },
		{ "0", 0, 0 },
		{ "65535", 65535, 65535 },
		{ "7:0", 7, 0 },
		{ "root:tty", 0, 5 },
		{ "1:nogroup", 1, 65534 },
		{ "nobody:65535", 65534, 65535 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct plan plan = plan_free();
		struct tn_error err = { 0 };

		cr_expect_eq(plan_user(&plan, rows[i].user, &err), 0, "%s: %s", rows[i].user,
		             err.msg);
		cr_expect_eq(plan.uid, rows[i].uid, "%s: %u", rows[i].user, plan.uid);
		cr_expect_eq(plan.gid, rows[i].gid, "%s: %u", rows[i].user, plan.gid);
	}
}

#define NO_USER(text)                                                                          \
	"--user: '" text "' is no user of the sandbox; expected a number from 0 to 65535, "    \
	"root, tenant or nobody"
#define NO_GROUP(text)                                                                         \
	"--user: '" text "' is no group of the sandbox; expected a number from 0 to 65535, "   \
	"root, tty, tenant or nogroup"

Test(plan, takes_nobody_else_for_a_user)
{
	static const char *const rows[][2] = {
		{ "", NO_USER("") },
		{ "-1", NO_USER("-1") },
		{ "65536", NO_USER("65536") },
		{ "4294967296", NO_USER("4294967296") },
		{ "18446744073709551616", NO_USER("18446744073709551616") },
		{ "1000 ", NO_USER("1000 ") },
		{ "+1", NO_USER("+1") },
		{ "0x0", NO_USER("0x0") },
		{ "1e3", NO_USER("1e3") },
		{ "daemon", NO_USER("daemon") },
		{ "Root", NO_USER("Root") },
		{ ":0", NO_USER("") },
		{ "0:", NO_GROUP("") },
		{ "0:nobody", NO_GROUP("nobody") },
		{ "0:65536", NO_GROUP("65536") },
		{ "0:0:0", NO_GROUP("0:0") },
		{ "root:-0", NO_GROUP("-0") },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct plan plan = plan_free();
		struct tn_error err = { 0 };

		cr_expect_eq(plan_user(&plan, rows[i][0], &err), -EINVAL, "'%s'", rows[i][0]);
		cr_expect_eq(err.code, TN_INVALID);
		cr_expect_str_eq(err.msg, rows[i][1], "%s", err.msg);
	}
}

Test(plan, gives_a_tmpfs_the_memory_there_is_or_less)
{
	struct plan plan = plan_free();
	struct spec_tmpfs tmpfs;
	struct tn_error err = { 0 };

	cr_expect_eq(plan_tmpfs(&plan, "/mnt/a", PLAN_ABSENT, &tmpfs, &err), 0, "%s", err.msg);
	cr_expect_str_eq(tmpfs.target, "/mnt/a");
	cr_expect_eq(tmpfs.bytes_max, 64 << 20);
	cr_expect_eq(plan_tmpfs(&plan, "/mnt/b", 4096, &tmpfs, &err), 0, "%s", err.msg);
	cr_expect_str_eq(tmpfs.target, "/mnt/b");
	cr_expect_eq(tmpfs.bytes_max, 4096);
	cr_expect_eq(plan_tmpfs(&plan, "/mnt/c", 64 << 20, &tmpfs, &err), 0, "%s", err.msg);
}

Test(plan, refuses_a_tmpfs_of_no_size_of_too_much_or_nowhere)
{
	static const struct {
		const char *target;
		int64_t bytes_max;
		const char *msg;
	} rows[] = {
		{ "/mnt/a", (64 << 20) + 1,
		  "--tmpfs /mnt/a:67108865 is wider than execution_memory_max 64M "
		  "(tiers/free.yaml:5)" },
		{ "/mnt/a", 0, "--tmpfs /mnt/a:0 is less than the least there can be, 4K" },
		{ "/mnt/a", 4095,
		  "--tmpfs /mnt/a:4095 is less than the least there can be, 4K" },
		{ "mnt", PLAN_ABSENT, "--tmpfs: 'mnt' is not an absolute path" },
		{ "/", PLAN_ABSENT, "--tmpfs: '/' is not an absolute path" },
		{ "/mnt/../a", PLAN_ABSENT,
		  "--tmpfs: '/mnt/../a' has an empty component, '.' or '..'" },
		{ "/mnt//a", PLAN_ABSENT,
		  "--tmpfs: '/mnt//a' has an empty component, '.' or '..'" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct plan plan = plan_free();
		struct spec_tmpfs tmpfs;
		struct tn_error err = { 0 };

		cr_expect_eq(plan_tmpfs(&plan, rows[i].target, rows[i].bytes_max, &tmpfs, &err),
		             -EINVAL);
		cr_expect_str_eq(err.msg, rows[i].msg, "%s", err.msg);
	}
}
