/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bounds.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <base/io.h>
#include <base/num.h>

#include "terminal.h"

/* Ids are 32 bits and the last one means "none". */
#define BOUNDS_UID_END ((int64_t)UINT32_MAX)

static const struct key {
	const char *name;
	bool path;
	int64_t min, max;
	int64_t fallback; /* of an integer that the file leaves out */
	size_t offset;
} keys[] = {
	/* clang-format off */
	{ "uid_base",       false, 65536, BOUNDS_UID_END, INT64_C(2147483648), offsetof(struct bounds, uid_base) },
	{ "slots_max",      false, 1,     65535,          10000,   offsetof(struct bounds, slots_max) },
	{ "executions_max", false, 1,     100000,         10000,   offsetof(struct bounds, executions_max) },
	{ "memory_max",     false, 1,     INT64_MAX,      INT64_MAX, offsetof(struct bounds, memory_max_bytes) },
	{ "tasks_max",      false, 1,     4194304,        INT64_C(65536), offsetof(struct bounds, tasks_max) },
	{ "nofile_max",     false, 16,    1048576,        INT64_C(1048576), offsetof(struct bounds, nofile_max) },
	{ "core_max",       false, 0,     INT64_MAX,      INT64_C(1073741824), offsetof(struct bounds, core_bytes_max) },
	{ "reserve_memory", false, 0,     INT64_MAX,      0, offsetof(struct bounds, reserve_memory_bytes) },
	{ "reserve_cpu",    false, 0,     1000000,        0, offsetof(struct bounds, reserve_cpu_percent) },
	{ "cgroup_root",    true,  0,     0,              0, offsetof(struct bounds, cgroup_root) },
	{ "storage_root",   true,  0,     0,              0, offsetof(struct bounds, storage_root) },
	{ "bind_root",      true,  0,     0,              0, offsetof(struct bounds, bind_root) },
	/* clang-format on */
};

static const struct key *key_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

/* An absolute path whose components are all names: none empty, "." or "..". */
static bool path_plain(const char *path)
{
	if (path[0] != '/' || strlen(path) >= SPEC_PATH_BYTES_MAX)
		return false;
	while (*path == '/') {
		const char *component = path + 1;
		size_t n = strcspn(component, "/");

		if (n == 0 || (n <= 2 && strspn(component, ".") >= n))
			return false;
		path = component + n;
	}
	return true;
}

static int value_set(struct bounds *bounds, const struct key *key, const char *value,
                     uint32_t line_no, struct tn_error *err)
{
	char *field = (char *)bounds + key->offset;
	int64_t number;

	if (key->path) {
		if (!path_plain(value))
			return err_parse(err, line_no,
			                 "%s: '%s' is not an absolute, plain path", key->name,
			                 value);
		memcpy(field, value, strlen(value) + 1);
		return 0;
	}
	if (num_parse(value, INT64_MAX, &number) < 0 || number < key->min || number > key->max)
		return err_parse(err, line_no,
		                 "%s: '%s' is not an integer from %" PRId64 " to %" PRId64,
		                 key->name, value, key->min, key->max);
	memcpy(field, &number, sizeof(number));
	return 0;
}

static char *strip(char *s)
{
	size_t n;

	s += strspn(s, " \t\r");
	n = strlen(s);
	while (n > 0 && strchr(" \t\r", s[n - 1]) != NULL)
		s[--n] = '\0';
	return s;
}

static int line_parse(struct bounds *bounds, char *line, uint32_t line_no, uint32_t *seen,
                      struct tn_error *err)
{
	const struct key *key;
	char *value;

	line[strcspn(line, "#")] = '\0';
	line = strip(line);
	if (*line == '\0')
		return 0;
	value = strchr(line, '=');
	if (value == NULL)
		return err_parse(err, line_no, "expected 'key = value'");
	*value++ = '\0';
	line = strip(line);

	key = key_find(line);
	if (key == NULL)
		return err_parse(err, line_no, "unknown key '%s'", line);
	if ((*seen & 1u << (key - keys)) != 0)
		return err_parse(err, line_no, "key '%s' is set twice", line);
	*seen |= 1u << (key - keys);
	return value_set(bounds, key, strip(value), line_no, err);
}

int bounds_parse(char *text, size_t n, struct bounds *ret, struct tn_error *err)
{
	struct bounds bounds = {
		.cgroup_root = "/sys/fs/cgroup/tenants.slice/tenantd-tenants.service",
		.storage_root = "/var/lib/tenantd/tenants",
		.bind_root = "/srv",
	};
	uint32_t seen = 0, line_no = 0;
	char *line = text;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (!keys[i].path)
			memcpy((char *)&bounds + keys[i].offset, &keys[i].fallback,
			       sizeof(int64_t));
	if (strnlen(text, n) != n)
		return err_parse(err, 0, "a NUL byte in the file");

	while (line != NULL && *line != '\0') {
		char *end = strchr(line, '\n');
		int r;

		if (end != NULL)
			*end++ = '\0';
		r = line_parse(&bounds, line, ++line_no, &seen, err);
		if (r < 0)
			return r;
		line = end;
	}
	if (bounds.uid_base + bounds.slots_max * SPEC_UIDS_PER_TENANT > BOUNDS_UID_END)
		return err_parse(err, 0, "uid_base and slots_max reach beyond the last uid");
	*ret = bounds;
	return 0;
}

static int file_trusted(int fd, struct tn_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(err, "stat");
	if (!S_ISREG(st.st_mode))
		return err_refuse(err, TN_INVALID, "not a regular file");
	if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return err_refuse(
			err, TN_NOT_PERMITTED,
			"must belong to root and be writable by root alone (it is uid "
			"%u, mode %04o)",
			st.st_uid, st.st_mode & 07777u);
	return 0;
}

/*
 * What lies below bind_root is told by names, which only mean something where root alone
 * gives them. A directory that is not there yet holds nothing to be bound.
 */
static int bind_root_trusted(const char *path, struct tn_error *err)
{
	char part[SPEC_PATH_BYTES_MAX];
	struct stat st;

	for (size_t n = 1; n <= strlen(path); n++) {
		if (path[n] != '/' && path[n] != '\0')
			continue;
		memcpy(part, path, n);
		part[n] = '\0';
		if (lstat(part, &st) < 0)
			return errno == ENOENT ? 0 : err_errno(err, "bind_root: %s", part);
		if (!S_ISDIR(st.st_mode))
			return err_refuse(err, TN_INVALID, "bind_root: %s is not a directory",
			                  part);
		if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
			return err_refuse(err, TN_NOT_PERMITTED,
			                  "bind_root: others than root can write to %s", part);
	}
	return 0;
}

int bounds_load(const char *path, struct bounds *ret, struct tn_error *err)
{
	char text[BOUNDS_FILE_BYTES_MAX + 1];
	struct bounds bounds;
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n;
	int r;

	if (fd < 0)
		return err_errno(err, "%s", path);
	r = file_trusted(fd, err);
	if (r < 0)
		return err_wrap(err, r, "%s", path);
	n = io_read_all(fd, text, sizeof(text));
	if (n < 0)
		return err_set(err, TN_SYSTEM, (int)-n, "%s: read", path);
	if ((size_t)n == sizeof(text))
		return err_refuse(err, TN_INVALID, "%s: more than %d bytes", path,
		                  BOUNDS_FILE_BYTES_MAX);
	text[n] = '\0';
	r = bounds_parse(text, (size_t)n, &bounds, err);
	if (r < 0 && err->line > 0)
		return err_wrap(err, r, "%s:%" PRIu32, path, err->line);
	if (r == 0)
		r = bind_root_trusted(bounds.bind_root, err);
	if (r < 0)
		return err_wrap(err, r, "%s", path);
	*ret = bounds;
	return 0;
}

static bool within(int64_t value, int64_t min, int64_t max)
{
	return value >= min && value <= max;
}

static int refuse_field(struct tn_error *err, const char *name, int64_t value)
{
	return err_refuse(err, TN_INVALID, "%s of %" PRId64 " is outside bounds.conf", name,
	                  value);
}

struct field {
	const char *name;
	int64_t value, min, max;
};

static int fields_check(const struct field *fields, size_t n, struct tn_error *err)
{
	for (size_t i = 0; i < n; i++)
		if (!within(fields[i].value, fields[i].min, fields[i].max))
			return refuse_field(err, fields[i].name, fields[i].value);
	return 0;
}

int bounds_check_tenant(const struct bounds *bounds, const struct spec_tenant_apply *apply,
                        struct tn_error *err)
{
	const struct spec_tenant_limits *l = &apply->limits;
	const struct field fields[] = {
		{ "cpu_quota_usec", l->cpu_quota_usec, 1000, SPEC_UNLIMITED },
		{ "cpu_weight", l->cpu_weight, 1, 10000 },
		{ "memory_max", l->memory_max_bytes, 1, bounds->memory_max_bytes },
		{ "memory_high", l->memory_high_bytes, 1, SPEC_UNLIMITED },
		{ "memory_swap_max", l->memory_swap_max_bytes, 0, SPEC_UNLIMITED },
		{ "tasks_max", l->tasks_max, 1, bounds->tasks_max },
		{ "executions_max", l->executions_max, 1, bounds->executions_max },
	};

	if (memchr(apply->name, '\0', sizeof(apply->name)) == NULL || !name_valid(apply->name))
		return err_refuse(err, TN_INVALID, "the tenant's name is not " NAME_RULE);
	if ((apply->flags & ~(uint32_t)SPEC_APPLY_MAY_KILL) != 0)
		return err_refuse(err, TN_INVALID,
		                  "flags of %#" PRIx32 " hold some that are none",
		                  apply->flags);
	return fields_check(fields, ARRAY_LEN(fields), err);
}

int bounds_check_reserve(const struct bounds *bounds, const struct spec_reserve *reserve,
                         struct tn_error *err)
{
	const struct field fields[] = {
		{ "host_reserve.memory", reserve->memory_bytes, bounds->reserve_memory_bytes,
		  SPEC_UNLIMITED },
		{ "host_reserve.cpu", reserve->cpu_usec,
		  bounds->reserve_cpu_percent * (SPEC_CPU_PERIOD_USEC / 100), SPEC_UNLIMITED },
	};

	return fields_check(fields, ARRAY_LEN(fields), err);
}

static int check_tmpfs(const struct spec_launch *launch, struct tn_error *err)
{
	for (uint32_t i = 0; i < launch->tmpfs_n; i++) {
		const struct spec_tmpfs *tmpfs = &launch->tmpfs[i];

		if (memchr(tmpfs->target, '\0', SPEC_PATH_BYTES_MAX) == NULL ||
		    !path_plain(tmpfs->target))
			return err_refuse(err, TN_INVALID,
			                  "tmpfs %" PRIu32 " has no plain target", i);
		/* To the kernel a size of 0 is none at all. */
		if (!within(tmpfs->bytes_max, 1, launch->limits.memory_max_bytes))
			return refuse_field(err, "a tmpfs' bytes_max", tmpfs->bytes_max);
	}
	return 0;
}

static int check_strings(const struct spec_launch *launch, struct tn_error *err)
{
	uint32_t n = 0;

	if (launch->env_bytes > sizeof(launch->env) || launch->env_default_n > launch->env_n)
		return err_refuse(err, TN_INVALID, "the environment's size is out of range");
	for (uint32_t i = 0; i < launch->env_bytes; i++)
		n += launch->env[i] == '\0';
	if (n != launch->env_n ||
	    (launch->env_bytes > 0 && launch->env[launch->env_bytes - 1] != '\0'))
		return err_refuse(err, TN_INVALID, "the environment is not %" PRIu32 " strings",
		                  launch->env_n);
	for (uint32_t i = 0; i < launch->binds_n; i++)
		if (memchr(launch->binds[i].target, '\0', SPEC_PATH_BYTES_MAX) == NULL ||
		    !path_plain(launch->binds[i].target))
			return err_refuse(err, TN_INVALID,
			                  "bind %" PRIu32 " has no plain target", i);
	return 0;
}

/* None is what says elsewhere that there is no execution. */
static int check_id(const struct id *execution, struct tn_error *err)
{
	return id_is_none(execution) ? err_refuse(err, TN_INVALID, "the execution has no id")
	                             : 0;
}

int bounds_check_launch(const struct bounds *bounds, const struct spec_launch *launch,
                        struct tn_error *err)
{
	const struct spec_execution_limits *l = &launch->limits;
	const struct field fields[] = {
		{ "cpu_quota_usec", l->cpu_quota_usec, 1000, SPEC_UNLIMITED },
		{ "memory_max", l->memory_max_bytes, 1, SPEC_UNLIMITED },
		{ "tasks_max", l->tasks_max, 1, SPEC_UNLIMITED },
		{ "runtime_usec_max", l->runtime_usec_max, 1, SPEC_UNLIMITED },
		{ "kill_after_usec", l->kill_after_usec, 0, SPEC_UNLIMITED },
		{ "cpu_time_usec_max", l->cpu_time_usec_max, 1, SPEC_UNLIMITED },
		{ "nofile_max", l->nofile_max, 1, bounds->nofile_max },
		{ "core_max", l->core_bytes_max, 0, bounds->core_bytes_max },
		{ "fsize_max", l->fsize_bytes_max, 1, SPEC_UNLIMITED },
		{ "argc", launch->argc, 1, UINT16_MAX },
		{ "envc", launch->envc, 0, UINT16_MAX },
		{ "args_bytes", launch->args_bytes, 2, INT32_MAX },
		{ "binds_n", launch->binds_n, 0, SPEC_BINDS_MAX },
		{ "tty_rows", launch->tty_rows, 0, TERMINAL_SIZE_MAX },
		{ "tty_cols", launch->tty_cols, 0, TERMINAL_SIZE_MAX },
		{ "tmpfs_n", launch->tmpfs_n, 0, SPEC_TMPFS_MAX },
		{ "uid", launch->uid, 0, SPEC_UIDS_PER_TENANT - 1 },
		{ "gid", launch->gid, 0, SPEC_UIDS_PER_TENANT - 1 },
	};
	int r = fields_check(fields, ARRAY_LEN(fields), err);

	if (r == 0)
		r = check_id(&launch->execution, err);
	if (r == 0)
		r = check_tmpfs(launch, err);
	if (r == 0 && (launch->flags & ~(uint32_t)SPEC_LAUNCH_FLAGS) != 0)
		r = err_refuse(err, TN_INVALID, "flags of %#" PRIx32 " hold some that are none",
		               launch->flags);
	return r < 0 ? r : check_strings(launch, err);
}

int bounds_check_join(const struct spec_join *join, struct tn_error *err)
{
	const struct field fields[] = {
		{ "argc", join->argc, 1, UINT16_MAX },
		{ "envc", join->envc, 0, UINT16_MAX },
		{ "args_bytes", join->args_bytes, 2, INT32_MAX },
		{ "tty_rows", join->tty_rows, 0, TERMINAL_SIZE_MAX },
		{ "tty_cols", join->tty_cols, 0, TERMINAL_SIZE_MAX },
		{ "uid", join->uid, 0, SPEC_UIDS_PER_TENANT - 1 },
		{ "gid", join->gid, 0, SPEC_UIDS_PER_TENANT - 1 },
	};
	int r = fields_check(fields, ARRAY_LEN(fields), err);

	if (r == 0)
		r = check_id(&join->execution, err);
	if (r == 0 && id_is_none(&join->joins))
		r = err_refuse(err, TN_INVALID, "no execution to join");
	if (r == 0 && (join->flags & ~(uint32_t)SPEC_JOIN_FLAGS) != 0)
		r = err_refuse(err, TN_INVALID, "flags of %#" PRIx32 " hold some that are none",
		               join->flags);
	return r;
}
