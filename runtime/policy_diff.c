/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy_diff.h"

#include <string.h>

#include <base/fd.h>
#include <base/io.h>
#include <base/num.h>

#define CHANGE_PATH_BYTES_MAX (NAME_BYTES_MAX + 32)

/* What the kernel counts against a limit, in a file of the tenant's cgroup. */
static const struct gauge {
	const char *key;
	const char *file;
	const char *unit; /* of what is said of it */
} gauges[] = {
	{ "memory_max", "memory.current", "bytes of memory are in use" },
	{ "memory_high", "memory.current", "bytes of memory are in use" },
	{ "memory_swap_max", "memory.swap.current", "bytes of swap are in use" },
	{ "tasks_max", "pids.current", "tasks run" },
};

/* RECORD_ABSENT if the kernel does not say. */
static int64_t gauge_read(const struct gauge *gauge, const char *tenant, int root_fd)
{
	char path[CHANGE_PATH_BYTES_MAX], text[32];
	int64_t value;

	(void)snprintf(path, sizeof(path), "%s/%s", tenant, gauge->file);
	if (root_fd < 0 || io_read_file_at(root_fd, path, text, sizeof(text)) < 1)
		return RECORD_ABSENT;
	text[strcspn(text, "\n")] = '\0';
	return num_parse(text, INT64_MAX, &value) < 0 ? RECORD_ABSENT : value;
}

static void executions_look(int64_t after, const struct tenant_row *row,
                            const struct usage_source *source, char *hurts)
{
	const size_t running = executions_count(source->executions, &row->id);

	if ((int64_t)running > after)
		(void)snprintf(hurts, POLICY_DIFF_WORDS_BYTES_MAX,
		               "%zu executions run; none is admitted until fewer do", running);
}

static void look(struct policy_diff_change *change, int64_t after, const struct tenant_row *row,
                 const struct usage_source *source)
{
	if (strcmp(change->key, "executions_max") == 0)
		executions_look(after, row, source, change->hurts);
	for (size_t i = 0; i < ARRAY_LEN(gauges); i++) {
		int64_t used;

		if (strcmp(change->key, gauges[i].key) != 0)
			continue;
		used = gauge_read(&gauges[i], row->name, source->root_fd);
		if (used > after)
			(void)snprintf(change->hurts, sizeof(change->hurts), "%lld %s",
			               (long long)used, gauges[i].unit);
	}
}

static int64_t limit_at(const struct policy_tier *tier, size_t i)
{
	int64_t values[POLICY_LIMITS_N];

	memcpy(values, &tier->limits, sizeof(values));
	return values[i];
}

static void paths_join(char *text, size_t size, const char (*paths)[POLICY_PATH_BYTES_MAX],
                       size_t n)
{
	size_t used = 0;

	(void)snprintf(text, size, "none");
	for (size_t i = 0; i < n && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? " " : "",
		                         paths[i]);
}

static bool paths_equal(const char (*a)[POLICY_PATH_BYTES_MAX], size_t a_n,
                        const char (*b)[POLICY_PATH_BYTES_MAX], size_t b_n)
{
	if (a_n != b_n)
		return false;
	for (size_t i = 0; i < a_n; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return true;
}

static void paths_change(struct policy_diff_change *change, const char *key,
                         const struct policy_tier *before, const struct policy_tier *after,
                         bool rw)
{
	change->key = key;
	paths_join(change->before, sizeof(change->before),
	           rw ? before->binds_rw : before->binds_allow,
	           rw ? before->binds_rw_n : before->binds_allow_n);
	paths_join(change->after, sizeof(change->after),
	           rw ? after->binds_rw : after->binds_allow,
	           rw ? after->binds_rw_n : after->binds_allow_n);
	(void)snprintf(change->before_source, sizeof(change->before_source), "%s",
	               before->file);
	(void)snprintf(change->after_source, sizeof(change->after_source), "%s", after->file);
}

static size_t binds_diff(const struct policy_tier *before, const struct policy_tier *after,
                         struct policy_diff_change *ret)
{
	size_t n = 0;

	if (!paths_equal(before->binds_allow, before->binds_allow_n, after->binds_allow,
	                 after->binds_allow_n))
		paths_change(&ret[n++], "binds.allow", before, after, false);
	if (!paths_equal(before->binds_rw, before->binds_rw_n, after->binds_rw,
	                 after->binds_rw_n))
		paths_change(&ret[n++], "binds.rw", before, after, true);
	return n;
}

size_t policy_diff(const struct policy_tier *before, const struct policy_tier *after,
                   const struct tenant_row *row, const struct usage_source *source,
                   struct policy_diff_change ret[static POLICY_DIFF_CHANGES_MAX])
{
	size_t n = 0;

	memset(ret, 0, POLICY_DIFF_CHANGES_MAX * sizeof(*ret));
	for (size_t i = 0; i < POLICY_LIMITS_N; i++) {
		struct policy_diff_change *change = &ret[n];
		const int64_t was = limit_at(before, i), will = limit_at(after, i);

		if (was == will)
			continue;
		change->key = policy_limit_key(i);
		policy_limit_text(before, i, change->before, sizeof(change->before));
		policy_limit_source(before, i, change->before_source,
		                    sizeof(change->before_source));
		policy_limit_text(after, i, change->after, sizeof(change->after));
		policy_limit_source(after, i, change->after_source,
		                    sizeof(change->after_source));
		if (will < was)
			look(change, will, row, source);
		n++;
	}
	return n + binds_diff(before, after, ret + n);
}
