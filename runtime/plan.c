/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <base/fd.h>
#include <base/num.h>
#include <policy/units.h>

/* Below this the sandbox itself does not fit, and every launch ends in an OOM kill. */
#define MEMORY_BYTES_MIN (INT64_C(4) << 20)
/* One page: there is no smaller file system in memory. */
#define TMPFS_BYTES_MIN (INT64_C(4) << 10)

static_assert(POLICY_CPU_PERIOD_USEC == SPEC_CPU_PERIOD_USEC,
              "a quota is a share of one period");
static_assert(POLICY_UNLIMITED == SPEC_UNLIMITED, "unlimited is the same on both floors");
static_assert(PLAN_VALUE_BYTES_MAX >= UNITS_TEXT_BYTES_MAX, "a value's words fit");
static_assert(SPEC_HASH_BYTES == POLICY_HASH_BYTES, "a hash crosses the channel whole");

#define LIMIT_INDEX(field) (offsetof(struct policy_limits, field) / sizeof(int64_t))

static int64_t limit_get(const struct policy_tier *tier, size_t i)
{
	int64_t value;

	memcpy(&value, (const char *)&tier->limits + i * sizeof(value), sizeof(value));
	return value;
}

void plan_tenant_limits(const struct policy_tier *tier, struct spec_tenant_limits *ret)
{
	const struct policy_limits *limits = &tier->limits;

	*ret = (struct spec_tenant_limits){
		.cpu_quota_usec = limits->cpu_quota_usec,
		.cpu_weight = limits->cpu_weight,
		.memory_max_bytes = limits->memory_max_bytes,
		.memory_high_bytes = limits->memory_high_bytes,
		.memory_swap_max_bytes = limits->memory_swap_max_bytes,
		.tasks_max = limits->tasks_max,
		.executions_max = limits->executions_max,
	};
}

/*
 * What a request may narrow. @tier is the limit of policy that bounds it, @leaf whether
 * an execution gets the tier's own value where the request says nothing: the CPU quota
 * is the tenant's to divide among its executions.
 */
static const struct narrow_row {
	const char *option;
	size_t request; /* offset in struct plan_narrowing */
	size_t tier;    /* index in struct policy_limits */
	size_t spec;    /* offset in struct spec_execution_limits */
	int64_t min;
	bool leaf;
	void (*format)(int64_t value, char *text, size_t size);
} narrow_rows[] = {
	/* clang-format off */
	{ "--memory",  offsetof(struct plan_narrowing, memory_max_bytes), LIMIT_INDEX(execution_memory_max_bytes),
	  offsetof(struct spec_execution_limits, memory_max_bytes), MEMORY_BYTES_MIN, true, units_bytes_format },
	{ "--cpus",    offsetof(struct plan_narrowing, cpu_quota_usec),   LIMIT_INDEX(cpu_quota_usec),
	  offsetof(struct spec_execution_limits, cpu_quota_usec), UNITS_CPU_QUOTA_USEC_MIN, false, units_percent_format },
	{ "--pids",    offsetof(struct plan_narrowing, tasks_max),        LIMIT_INDEX(tasks_max),
	  offsetof(struct spec_execution_limits, tasks_max), 1, true, units_count_format },
	{ "--timeout", offsetof(struct plan_narrowing, runtime_usec_max), LIMIT_INDEX(runtime_usec_max),
	  offsetof(struct spec_execution_limits, runtime_usec_max), 1, true, units_duration_format },
	{ "--cpu-time", offsetof(struct plan_narrowing, cpu_usec_max),    LIMIT_INDEX(cpu_time_usec_max),
	  offsetof(struct spec_execution_limits, cpu_time_usec_max), 1, true, units_duration_format },
	/* clang-format on */
};

static const struct narrow_row *narrow_row_of(size_t tier_limit)
{
	for (size_t i = 0; i < ARRAY_LEN(narrow_rows); i++)
		if (narrow_rows[i].tier == tier_limit)
			return &narrow_rows[i];
	return NULL;
}

static int64_t narrow_request(const struct narrow_row *row,
                              const struct plan_narrowing *narrowing)
{
	int64_t value;

	memcpy(&value, (const char *)narrowing + row->request, sizeof(value));
	return value;
}

static int narrow_check(const struct policy_tier *tier, const struct narrow_row *row,
                        int64_t asked, struct tn_error *err)
{
	char source[PLAN_SOURCE_BYTES_MAX];
	char given[PLAN_VALUE_BYTES_MAX];
	char wanted[PLAN_VALUE_BYTES_MAX];

	row->format(asked, wanted, sizeof(wanted));
	if (asked < row->min) {
		row->format(row->min, given, sizeof(given));
		return err_refuse(err, TN_INVALID,
		                  "%s %s is less than the least there can be, %s", row->option,
		                  wanted, given);
	}
	if (asked <= limit_get(tier, row->tier))
		return 0;
	policy_limit_text(tier, row->tier, given, sizeof(given));
	policy_limit_source(tier, row->tier, source, sizeof(source));
	return err_refuse(err, TN_INVALID, "%s %s is wider than %s %s (%s)", row->option,
	                  wanted, policy_limit_key(row->tier), given, source);
}

/* Limit @i in words, as narrowed. */
static void describe(struct plan *plan, const struct policy_tier *tier, size_t i,
                     const struct plan_narrowing *narrowing)
{
	const struct narrow_row *row = narrow_row_of(i);
	int64_t asked = row != NULL ? narrow_request(row, narrowing) : PLAN_ABSENT;
	struct plan_limit *limit = &plan->limits[plan->limits_n++];

	limit->key = policy_limit_key(i);
	if (asked == PLAN_ABSENT) {
		policy_limit_text(tier, i, limit->value, sizeof(limit->value));
		policy_limit_source(tier, i, limit->source, sizeof(limit->source));
		return;
	}
	row->format(asked, limit->value, sizeof(limit->value));
	(void)snprintf(limit->source, sizeof(limit->source), "%s", row->option);
}

static int kill_after_resolve(struct plan *plan, int64_t asked, struct tn_error *err)
{
	struct plan_limit *limit = &plan->limits[plan->limits_n++];
	bool given = asked != PLAN_ABSENT;

	limit->key = "kill_after";
	plan->execution.kill_after_usec = given ? asked : PLAN_KILL_AFTER_USEC;
	units_duration_format(plan->execution.kill_after_usec, limit->value,
	                      sizeof(limit->value));
	(void)snprintf(limit->source, sizeof(limit->source), "%s",
	               given ? "--kill-after" : "default");
	if (plan->execution.kill_after_usec > PLAN_KILL_AFTER_USEC)
		return err_refuse(err, TN_INVALID,
		                  "--kill-after %s is wider than 10s (default)", limit->value);
	return 0;
}

/* The limit that stops what takes too much memory: the leaf's if it is the lower one. */
static void tightest_find(struct plan *plan)
{
	bool leaf = plan->execution.memory_max_bytes < plan->tenant.memory_max_bytes;

	plan->memory_tightest = leaf ? LIMIT_INDEX(execution_memory_max_bytes)
	                             : LIMIT_INDEX(memory_max_bytes);
	plan->runtime = LIMIT_INDEX(runtime_usec_max);
	plan->cpu_time = LIMIT_INDEX(cpu_time_usec_max);
}

int plan_resolve(const struct policy_tier *tier, const struct plan_narrowing *narrowing,
                 struct plan *ret, struct tn_error *err)
{
	struct plan plan = { 0 };
	int r;

	plan_tenant_limits(tier, &plan.tenant);
	plan.execution.nofile_max = tier->limits.nofile_max;
	plan.execution.core_bytes_max = tier->limits.core_bytes_max;
	plan.execution.fsize_bytes_max = tier->limits.fsize_bytes_max;
	plan.uid = plan.gid = SPEC_WORKLOAD_UID;
	if (tier->limits.oom == POLICY_OOM_GROUP)
		plan.flags |= SPEC_LAUNCH_OOM_GROUP;

	for (size_t i = 0; i < ARRAY_LEN(narrow_rows); i++) {
		const struct narrow_row *row = &narrow_rows[i];
		int64_t value = narrow_request(row, narrowing);

		if (value != PLAN_ABSENT) {
			r = narrow_check(tier, row, value, err);
			if (r < 0)
				return r;
		} else {
			value = row->leaf ? limit_get(tier, row->tier) : SPEC_UNLIMITED;
		}
		memcpy((char *)&plan.execution + row->spec, &value, sizeof(value));
	}
	for (size_t i = 0; i < POLICY_LIMITS_N; i++)
		describe(&plan, tier, i, narrowing);
	r = kill_after_resolve(&plan, narrowing->kill_after_usec, err);
	if (r < 0)
		return r;
	tightest_find(&plan);
	*ret = plan;
	return 0;
}

struct account {
	const char *name;
	uint32_t id;
};

#define USER_ROW(name, id, home, shell) { name, id },
#define GROUP_ROW(name, id)             { name, id },

static const struct account users[] = { SPEC_USERS(USER_ROW) };
static const struct account groups[] = { SPEC_GROUPS(GROUP_ROW) };

struct accounts {
	const char *noun;
	const struct account *rows;
	size_t n;
};

static int account_refuse(const struct accounts *accounts, const char *text,
                          struct tn_error *err)
{
	char names[128] = "";
	size_t n = 0;

	for (size_t i = 0; i < accounts->n; i++)
		n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s",
		                      i == 0                ? ""
		                      : i + 1 < accounts->n ? ", "
		                                            : " or ",
		                      accounts->rows[i].name);
	return err_refuse(err, TN_INVALID,
	                  "--user: '%.64s' is no %s of the sandbox; expected a number from 0 "
	                  "to %d, %s",
	                  text, accounts->noun, SPEC_UIDS_PER_TENANT - 1, names);
}

static int account_find(const struct accounts *accounts, const char *text, uint32_t *ret,
                        struct tn_error *err)
{
	int64_t number;

	for (size_t i = 0; i < accounts->n; i++)
		if (strcmp(accounts->rows[i].name, text) == 0) {
			*ret = accounts->rows[i].id;
			return 0;
		}
	if (num_parse(text, SPEC_UIDS_PER_TENANT - 1, &number) < 0)
		return account_refuse(accounts, text, err);
	*ret = (uint32_t)number;
	return 0;
}

int plan_user(struct plan *plan, const char *user, struct tn_error *err)
{
	static const struct accounts all_users = { "user", users, ARRAY_LEN(users) };
	static const struct accounts all_groups = { "group", groups, ARRAY_LEN(groups) };
	char name[PLAN_USER_BYTES_MAX];
	const char *group;
	int r;

	if (user == NULL)
		return 0;
	group = strchr(user, ':');
	(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(user, ":"), user);
	r = account_find(&all_users, name, &plan->uid, err);
	plan->gid = plan->uid;
	return r < 0 || group == NULL ? r
	                              : account_find(&all_groups, group + 1, &plan->gid, err);
}

static int64_t min64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* A quota as a number of CPUs: "0.5", "2", without a superfluous digit. */
static void cpus_text(int64_t quota_usec, char *text, size_t size)
{
	int64_t whole = quota_usec / SPEC_CPU_PERIOD_USEC;
	int64_t rest = quota_usec % SPEC_CPU_PERIOD_USEC;
	int n = snprintf(text, size, "%" PRId64 ".%05" PRId64, whole, rest);

	while (n > 0 && text[n - 1] == '0')
		text[--n] = '\0';
	if (n > 0 && text[n - 1] == '.')
		text[n - 1] = '\0';
}

__attribute__((format(printf, 3, 4))) static int env_add(struct spec_launch *launch,
                                                         struct tn_error *err, const char *fmt,
                                                         ...)
{
	size_t room = sizeof(launch->env) - launch->env_bytes;
	va_list ap;
	int n;

	va_start(ap, fmt);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is started a line above */
	n = vsnprintf(launch->env + launch->env_bytes, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room)
		return err_refuse(err, TN_INVALID, "the environment is too long");
	launch->env_bytes += (uint32_t)n + 1;
	launch->env_n++;
	return 0;
}

int plan_environment(const struct plan *plan, const char *tenant, struct spec_launch *launch,
                     struct tn_error *err)
{
	static const char *const defaults[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/data",
		"LANG=C.UTF-8",
	};
	int64_t memory = min64(plan->execution.memory_max_bytes, plan->tenant.memory_max_bytes);
	int64_t quota = min64(plan->execution.cpu_quota_usec, plan->tenant.cpu_quota_usec);
	char id[ID_TEXT_BYTES];
	char cpus[32];
	int r = 0;

	launch->env_n = 0;
	launch->env_bytes = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(defaults); i++)
		r = env_add(launch, err, "%s", defaults[i]);
	launch->env_default_n = launch->env_n;

	id_format(&launch->execution, id);
	if (r == 0)
		r = env_add(launch, err, "TENANT=%s", tenant);
	if (r == 0)
		r = env_add(launch, err, "TENANT_EXECUTION=%s", id);
	if (r == 0 && memory != SPEC_UNLIMITED)
		r = env_add(launch, err, "TENANT_MEMORY_MAX=%" PRId64, memory);
	cpus_text(quota, cpus, sizeof(cpus));
	if (r == 0 && quota != SPEC_UNLIMITED)
		r = env_add(launch, err, "TENANT_CPUS=%s", cpus);
	return r;
}

/* Whether @path is @allowed or lies below it. */
static bool path_within(const char *path, const char *allowed)
{
	size_t n = strlen(allowed);

	while (n > 1 && allowed[n - 1] == '/')
		n--;
	return strncmp(path, allowed, n) == 0 &&
	       (path[n] == '\0' || path[n] == '/' || allowed[n - 1] == '/');
}

static bool path_listed(const char *path, const char (*list)[POLICY_PATH_BYTES_MAX], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (path_within(path, list[i]))
			return true;
	return false;
}

static int target_check(const char *option, const char *target, struct tn_error *err)
{
	const char *p = target;

	if (*p != '/' || p[1] == '\0')
		return err_refuse(err, TN_INVALID, "%s: '%s' is not an absolute path", option,
		                  target);
	while (*p != '\0') {
		size_t n = strcspn(++p, "/");

		if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && strncmp(p, "..", 2) == 0))
			return err_refuse(err, TN_INVALID,
			                  "%s: '%s' has an empty component, '.' or '..'",
			                  option, target);
		p += n;
	}
	return 0;
}

int plan_tmpfs(const struct plan *plan, const char *target, int64_t bytes_max,
               struct spec_tmpfs *ret, struct tn_error *err)
{
	const int64_t memory = min64(plan->execution.memory_max_bytes,
	                             plan->tenant.memory_max_bytes);
	const struct plan_limit *limit = &plan->limits[plan->memory_tightest];
	int64_t bytes = bytes_max != PLAN_ABSENT ? bytes_max : memory;
	char size[PLAN_VALUE_BYTES_MAX];
	int r = target_check("--tmpfs", target, err);

	if (r < 0)
		return r;
	units_bytes_format(bytes, size, sizeof(size));
	if (bytes < TMPFS_BYTES_MIN)
		return err_refuse(err, TN_INVALID,
		                  "--tmpfs %s:%s is less than the least there can be, 4K",
		                  target, size);
	if (bytes > memory)
		return err_refuse(err, TN_INVALID, "--tmpfs %s:%s is wider than %s %s (%s)",
		                  target, size, limit->key, limit->value, limit->source);
	(void)snprintf(ret->target, sizeof(ret->target), "%s", target);
	ret->bytes_max = bytes;
	return 0;
}

/*
 * A caller in a mount namespace of its own can give anything any path. tenantd settles
 * that, since it clones only what is mounted in the host's; where we can look, the
 * refusal comes early and says more.
 */
static int path_is_ours(const char *path, int fd, struct tn_error *err)
{
	struct stat theirs;
	struct stat ours;

	if (fstat(fd, &theirs) < 0)
		return err_errno(err, "--bind %s", path);
	if (lstat(path, &ours) < 0 && errno == EACCES)
		return 0;
	if (lstat(path, &ours) < 0)
		return err_errno(err, "--bind %s: cannot check it", path);
	if (ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino)
		return err_refuse(err, TN_NOT_PERMITTED,
		                  "--bind %s: the host has something else there", path);
	return 0;
}

int plan_bind(const struct policy_tier *tier, int fd, const char *target, bool writable,
              struct tn_error *err)
{
	char link[64];
	char path[PATH_MAX];
	ssize_t n;
	int r = target_check("--bind", target, err);

	if (r < 0)
		return r;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return err_errno(err, "--bind: find the path of a descriptor");
	path[n] = '\0';
	if (!path_listed(path, tier->binds_allow, tier->binds_allow_n))
		return err_refuse(err, TN_NOT_PERMITTED,
		                  "--bind %s: not below a path that %s allows", path,
		                  tier->file);
	if (writable && !path_listed(path, tier->binds_rw, tier->binds_rw_n))
		return err_refuse(err, TN_NOT_PERMITTED,
		                  "--bind %s: %s does not allow it to be writable", path,
		                  tier->file);
	return path_is_ours(path, fd, err);
}
