/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* isolate/bounds.c: each field of a request just inside and just outside its bounds. */
#include <criterion/criterion.h>
#include <stddef.h>
#include <string.h>

#include <base/fd.h>
#include <isolate/bounds.h>

TestSuite(bounds_check, .timeout = 30);

static const struct bounds bounds = {
	.uid_base = 65536,
	.slots_max = 10,
	.executions_max = 20,
	.memory_max_bytes = 1 << 30,
	.tasks_max = 300,
	.nofile_max = 1024,
	.core_bytes_max = 4096,
};

/* A field of @bytes bytes in a request. */
struct field {
	const char *name;
	size_t offset, bytes;
	int64_t min, max;
};

#define TENANT(name, field, min, max)                                                          \
	{                                                                                      \
		name, offsetof(struct spec_tenant_apply, limits.field), 8, min, max            \
	}
#define LIMIT(name, field, min, max)                                                           \
	{                                                                                      \
		name, offsetof(struct spec_launch, limits.field), 8, min, max                  \
	}
#define COUNT(name, min, max)                                                                  \
	{                                                                                      \
#name, offsetof(struct spec_launch, name), 4, min, max                         \
	}

static const struct field tenant_fields[] = {
	/* clang-format off */
	TENANT("cpu_quota_usec",  cpu_quota_usec,        1000, SPEC_UNLIMITED),
	TENANT("cpu_weight",      cpu_weight,            1,    10000),
	TENANT("memory_max",      memory_max_bytes,      1,    1 << 30),
	TENANT("memory_high",     memory_high_bytes,     1,    SPEC_UNLIMITED),
	TENANT("memory_swap_max", memory_swap_max_bytes, 0,    SPEC_UNLIMITED),
	TENANT("tasks_max",       tasks_max,             1,    300),
	TENANT("executions_max",  executions_max,        1,    20),
	/* clang-format on */
};

static const struct field launch_fields[] = {
	/* clang-format off */
	LIMIT("cpu_quota_usec",   cpu_quota_usec,   1000, SPEC_UNLIMITED),
	LIMIT("memory_max",       memory_max_bytes, 1,    SPEC_UNLIMITED),
	LIMIT("tasks_max",        tasks_max,        1,    SPEC_UNLIMITED),
	LIMIT("runtime_usec_max", runtime_usec_max, 1,    SPEC_UNLIMITED),
	LIMIT("kill_after_usec",  kill_after_usec,  0,    SPEC_UNLIMITED),
	LIMIT("cpu_time_usec_max", cpu_time_usec_max, 1,  SPEC_UNLIMITED),
	LIMIT("nofile_max",       nofile_max,       1,    1024),
	LIMIT("core_max",         core_bytes_max,   0,    4096),
	LIMIT("fsize_max",        fsize_bytes_max,  1,    SPEC_UNLIMITED),
	COUNT(argc,       1, UINT16_MAX),
	COUNT(envc,       0, UINT16_MAX),
	COUNT(args_bytes, 2, INT32_MAX),
	COUNT(tty_rows,   0, UINT16_MAX),
	COUNT(tty_cols,   0, UINT16_MAX),
	COUNT(uid,        0, 65535),
	COUNT(gid,        0, 65535),
	/* clang-format on */
};

static const struct spec_tenant_apply apply_good = {
	.name = "acme",
	.limits = { .cpu_quota_usec = SPEC_UNLIMITED,
	            .cpu_weight = 100,
	            .memory_max_bytes = 1 << 20,
	            .memory_high_bytes = SPEC_UNLIMITED,
	            .memory_swap_max_bytes = 0,
	            .tasks_max = 10,
	            .executions_max = 2 },
};

static const struct spec_launch launch_good = {
	.execution = { { 1 } },
	.limits = { .cpu_quota_usec = SPEC_UNLIMITED,
	            .memory_max_bytes = SPEC_UNLIMITED,
	            .tasks_max = SPEC_UNLIMITED,
	            .runtime_usec_max = SPEC_UNLIMITED,
	            .kill_after_usec = 0,
	            .cpu_time_usec_max = SPEC_UNLIMITED,
	            .nofile_max = 256,
	            .core_bytes_max = 0,
	            .fsize_bytes_max = SPEC_UNLIMITED },
	.argc = 1,
	.args_bytes = 6,
};

static int check(bool launch, const void *message, struct tn_error *err)
{
	*err = (struct tn_error){ 0 };
	return launch ? bounds_check_launch(&bounds, message, err)
	              : bounds_check_tenant(&bounds, message, err);
}

/* Put @value into @field of a copy of a good request and see whether it passes. */
static void field_expect(bool launch, const struct field *field, int64_t value, bool good)
{
	union {
		struct spec_tenant_apply apply;
		struct spec_launch launch;
		char bytes[sizeof(struct spec_launch)];
	} message;
	uint32_t count = (uint32_t)value;
	char text[128];
	struct tn_error err;
	int r;

	if (launch)
		message.launch = launch_good;
	else
		message.apply = apply_good;
	if (field->bytes == sizeof(count))
		memcpy(message.bytes + field->offset, &count, sizeof(count));
	else
		memcpy(message.bytes + field->offset, &value, sizeof(value));
	r = check(launch, &message, &err);
	cr_expect_eq(r, good ? 0 : -EINVAL, "%s = %lld: %s", field->name, (long long)value,
	             err.msg);
	if (good)
		return;
	(void)snprintf(text, sizeof(text), "%s of %lld is outside bounds.conf", field->name,
	               (long long)value);
	cr_expect_eq(err.code, TN_INVALID);
	cr_expect_str_eq(err.msg, text);
}

static void fields_expect(bool launch, const struct field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct field *field = &fields[i];
		const bool wide = field->bytes == 8;

		field_expect(launch, field, field->min, true);
		field_expect(launch, field, field->max, true);
		if (field->min > 0 || wide)
			field_expect(launch, field, field->min - 1, false);
		if (field->max < SPEC_UNLIMITED)
			field_expect(launch, field, field->max + 1, false);
		if (wide)
			field_expect(launch, field, INT64_MIN, false);
		if (wide && field->max < SPEC_UNLIMITED)
			field_expect(launch, field, SPEC_UNLIMITED, false);
		if (!wide)
			field_expect(launch, field, UINT32_MAX, false);
	}
}

Test(bounds_check, holds_for_each_limit_of_a_tenant)
{
	struct tn_error err;

	cr_assert_eq(check(false, &apply_good, &err), 0, "%s", err.msg);
	fields_expect(false, tenant_fields, ARRAY_LEN(tenant_fields));
	/* Every limit there is has a row above. */
	cr_expect_eq(ARRAY_LEN(tenant_fields) * 8, sizeof(struct spec_tenant_limits));
}

Test(bounds_check, holds_for_each_limit_of_a_launch)
{
	struct tn_error err;

	cr_assert_eq(check(true, &launch_good, &err), 0, "%s", err.msg);
	fields_expect(true, launch_fields, ARRAY_LEN(launch_fields));
	cr_expect_eq((ARRAY_LEN(launch_fields) - 7) * 8, sizeof(struct spec_execution_limits));
}

Test(bounds_check, takes_no_flag_that_is_none)
{
	struct spec_launch launch = launch_good;
	struct tn_error err;

	launch.flags = SPEC_LAUNCH_FLAGS;
	cr_expect_eq(check(true, &launch, &err), 0, "%s", err.msg);
	for (unsigned int bit = 0; bit < 32; bit++) {
		launch.flags = 1u << bit;
		cr_expect_eq(check(true, &launch, &err),
		             (launch.flags & SPEC_LAUNCH_FLAGS) != 0 ? 0 : -EINVAL, "bit %u",
		             bit);
	}
	cr_expect_str_eq(err.msg, "flags of 0x80000000 hold some that are none");
}

Test(bounds_check, refuses_an_execution_without_an_id)
{
	struct spec_launch launch = launch_good;
	struct spec_join join = {
		.execution = { { 2 } }, .joins = { { 1 } }, .argc = 1, .args_bytes = 6
	};
	struct tn_error err;

	cr_expect_eq(bounds_check_join(&join, &err), 0, "%s", err.msg);
	join.execution = launch.execution = (struct id){ { 0 } };
	cr_expect_eq(check(true, &launch, &err), -EINVAL);
	cr_expect_str_eq(err.msg, "the execution has no id");
	cr_expect_eq(bounds_check_join(&join, &err), -EINVAL);
	cr_expect_str_eq(err.msg, "the execution has no id");
}

Test(bounds_check, refuses_a_request_of_zeroes)
{
	static const struct spec_tenant_apply apply;
	static const struct spec_launch launch;
	struct tn_error err;

	cr_expect_eq(check(false, &apply, &err), -EINVAL);
	cr_expect_eq(check(true, &launch, &err), -EINVAL);
}

Test(bounds_check, takes_no_name_that_is_a_path_or_has_no_end)
{
	static const char *const names[] = { "",        "Acme", "a/b", "..",
		                             ".holder", "-a",   "a-",  "a b" };
	struct spec_tenant_apply apply = apply_good;
	struct tn_error err;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(apply.name, sizeof(apply.name), "%s", names[i]);
		cr_expect_eq(check(false, &apply, &err), -EINVAL, "'%s'", names[i]);
		cr_expect(strstr(err.msg, NAME_RULE) != NULL, "%s", err.msg);
	}
	memset(apply.name, 'a', sizeof(apply.name));
	cr_expect_eq(check(false, &apply, &err), -EINVAL, "without a NUL");
	apply.name[sizeof(apply.name) - 1] = '\0';
	cr_expect_eq(check(false, &apply, &err), 0, "%s", err.msg);
}

/* @bytes of @env as the environment, announced as @n strings of which @default_n default. */
static void env_expect(const char *env, uint32_t bytes, uint32_t n, uint32_t default_n,
                       bool good)
{
	struct spec_launch launch = launch_good;
	struct tn_error err;

	memcpy(launch.env, env, bytes < sizeof(launch.env) ? bytes : sizeof(launch.env));
	launch.env_bytes = bytes;
	launch.env_n = n;
	launch.env_default_n = default_n;
	cr_expect_eq(check(true, &launch, &err), good ? 0 : -EINVAL,
	             "%u bytes, %u strings, %u defaults: %s", bytes, n, default_n, err.msg);
	if (!good)
		cr_expect(strstr(err.msg, "environment") != NULL, "%s", err.msg);
}

Test(bounds_check, wants_an_environment_of_exactly_the_strings_announced)
{
	static const char env[SPEC_ENV_BYTES_MAX + 1] = "A=1\0B=2\0C=3";
	static char full[SPEC_ENV_BYTES_MAX];

	env_expect(env, 0, 0, 0, true);
	env_expect(env, 4, 1, 0, true);
	env_expect(env, 4, 1, 1, true);
	env_expect(env, 12, 3, 3, true);
	env_expect(env, 4, 0, 0, false);
	env_expect(env, 4, 2, 0, false);
	env_expect(env, 12, 2, 0, false);
	env_expect(env, 12, 4, 0, false);
	env_expect(env, 0, 1, 0, false);
	env_expect(env, 0, UINT32_MAX, 0, false);
	/* The last string has no end. */
	env_expect(env, 11, 3, 0, false);
	env_expect(env, 11, 2, 0, false);
	/* More defaults than strings. */
	env_expect(env, 12, 3, 4, false);
	env_expect(env, 0, 0, 1, false);
	/* All zero: as many empty strings as bytes. */
	env_expect(full, SPEC_ENV_BYTES_MAX, SPEC_ENV_BYTES_MAX, 0, true);
	/* One string whose NUL would be the first byte behind the array. */
	memset(full, 'x', sizeof(full));
	env_expect(full, SPEC_ENV_BYTES_MAX, 0, 0, false);
	env_expect(full, SPEC_ENV_BYTES_MAX + 1, 1, 0, false);
	env_expect(env, UINT32_MAX, 3, 0, false);
}

static void binds_expect(const char *target, bool good)
{
	struct spec_launch launch = launch_good;
	struct tn_error err;

	launch.binds_n = 2;
	(void)snprintf(launch.binds[0].target, SPEC_PATH_BYTES_MAX, "/mnt/first");
	(void)snprintf(launch.binds[1].target, SPEC_PATH_BYTES_MAX, "%s", target);
	cr_expect_eq(check(true, &launch, &err), good ? 0 : -EINVAL, "'%s': %s", target,
	             err.msg);
	if (!good)
		cr_expect_str_eq(err.msg, "bind 1 has no plain target");
}

Test(bounds_check, takes_only_plain_targets_of_binds)
{
	static const char *const bad[] = { "",       "mnt",     "/",      "/mnt/", "//mnt",
		                           "/m//n",  "/m/../n", "/..",    "/m/..", "../m",
		                           "/m/./n", "/./m",    "/mnt/.", "/.",    "." };
	static const char *const good[] = { "/mnt/a", "/a", "/mnt/.a", "/mnt/a..", "/mnt/a b" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		binds_expect(bad[i], false);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		binds_expect(good[i], true);
}

Test(bounds_check, takes_as_many_binds_as_there_are_places)
{
	struct spec_launch launch = launch_good;
	struct tn_error err;

	for (size_t i = 0; i < SPEC_BINDS_MAX; i++)
		(void)snprintf(launch.binds[i].target, SPEC_PATH_BYTES_MAX, "/mnt/%zu", i);
	launch.binds_n = SPEC_BINDS_MAX;
	cr_expect_eq(check(true, &launch, &err), 0, "%s", err.msg);
	launch.binds_n = SPEC_BINDS_MAX + 1;
	cr_expect_eq(check(true, &launch, &err), -EINVAL);
	cr_expect_str_eq(err.msg, "binds_n of 13 is outside bounds.conf");
	launch.binds_n = SPEC_BINDS_MAX;
	memset(launch.binds[SPEC_BINDS_MAX - 1].target, 'a', SPEC_PATH_BYTES_MAX);
	launch.binds[SPEC_BINDS_MAX - 1].target[0] = '/';
	cr_expect_eq(check(true, &launch, &err), -EINVAL, "a target without a NUL");
}

static void tmpfs_expect(const char *target, int64_t bytes_max, const char *why)
{
	struct spec_launch launch = launch_good;
	struct tn_error err;

	launch.limits.memory_max_bytes = 1 << 20;
	launch.tmpfs_n = 2;
	launch.tmpfs[0] = (struct spec_tmpfs){ "/mnt/first", 4096 };
	(void)snprintf(launch.tmpfs[1].target, SPEC_PATH_BYTES_MAX, "%s", target);
	launch.tmpfs[1].bytes_max = bytes_max;
	cr_expect_eq(check(true, &launch, &err), why == NULL ? 0 : -EINVAL, "'%s': %s", target,
	             err.msg);
	if (why != NULL)
		cr_expect_str_eq(err.msg, why);
}

Test(bounds_check, takes_only_tmpfs_that_fit_into_the_memory)
{
	static const char *const bad[] = { "", "mnt", "/", "/mnt/", "/m/../n", "/m//n", "." };

	tmpfs_expect("/mnt/a", 1, NULL);
	tmpfs_expect("/mnt/a", 1 << 20, NULL);
	/* To the kernel no size is "as much as there is". */
	tmpfs_expect("/mnt/a", 0, "a tmpfs' bytes_max of 0 is outside bounds.conf");
	tmpfs_expect("/mnt/a", -1, "a tmpfs' bytes_max of -1 is outside bounds.conf");
	tmpfs_expect("/mnt/a", (1 << 20) + 1,
	             "a tmpfs' bytes_max of 1048577 is outside bounds.conf");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		tmpfs_expect(bad[i], 4096, "tmpfs 1 has no plain target");
}

Test(bounds_check, takes_as_many_tmpfs_as_there_are_places)
{
	struct spec_launch launch = launch_good;
	struct tn_error err;

	for (size_t i = 0; i < SPEC_TMPFS_MAX; i++) {
		(void)snprintf(launch.tmpfs[i].target, SPEC_PATH_BYTES_MAX, "/mnt/%zu", i);
		launch.tmpfs[i].bytes_max = 4096;
	}
	launch.tmpfs_n = SPEC_TMPFS_MAX;
	cr_expect_eq(check(true, &launch, &err), 0, "%s", err.msg);
	launch.tmpfs_n = SPEC_TMPFS_MAX + 1;
	cr_expect_eq(check(true, &launch, &err), -EINVAL);
	cr_expect_str_eq(err.msg, "tmpfs_n of 9 is outside bounds.conf");
	launch.tmpfs_n = SPEC_TMPFS_MAX;
	memset(launch.tmpfs[SPEC_TMPFS_MAX - 1].target, 'a', SPEC_PATH_BYTES_MAX);
	launch.tmpfs[SPEC_TMPFS_MAX - 1].target[0] = '/';
	cr_expect_eq(check(true, &launch, &err), -EINVAL, "a target without a NUL");
}
