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

/* Whether @tier says @text of @key, and then where. */
static bool value_find(const struct policy_tier *tier, enum policy_key key, const char *text,
                       struct policy_value *ret)
{
	for (size_t i = 0; policy_value_at(tier, key, i, ret); i++)
		if (strcmp(ret->text, text) == 0)
			return true;
	return false;
}

static void side_fill(const struct policy_tier *tier, const struct policy_value *value,
                      char *text, char *source)
{
	(void)snprintf(text, POLICY_DIFF_VALUE_BYTES_MAX, "%s", value->text);
	policy_source(tier, &value->where, source, PLAN_SOURCE_BYTES_MAX);
}

static_assert(POLICY_DIFF_VALUE_BYTES_MAX >= POLICY_QUOTA_TEXT_BYTES_MAX &&
                      POLICY_DIFF_KEY_BYTES_MAX >= POLICY_QUOTA_KEY_BYTES_MAX,
              "a quota fits");

/* Not borrowed: a tier with what a tenant has of its own is gone before the change is told. */
static void key_fill(struct policy_diff_change *change, const char *key)
{
	(void)snprintf(change->key, sizeof(change->key), "%s", key);
}

/* One that is not there stands nowhere: its file is what there is to say. */
static void side_none(const struct policy_tier *tier, char *text, char *source)
{
	(void)snprintf(text, POLICY_DIFF_VALUE_BYTES_MAX, "none");
	(void)snprintf(source, PLAN_SOURCE_BYTES_MAX, "%s", tier->file);
}

/* What of a list only one of the two has: each member is a change. */
static size_t list_diff(const struct policy_tier *before, const struct policy_tier *after,
                        enum policy_key key, struct policy_diff_change *ret)
{
	struct policy_value value, same;
	size_t n = 0;

	for (size_t i = 0; policy_value_at(before, key, i, &value); i++) {
		if (value_find(after, key, value.text, &same))
			continue;
		key_fill(&ret[n], value.key);
		side_fill(before, &value, ret[n].before, ret[n].before_source);
		side_none(after, ret[n].after, ret[n].after_source);
		n++;
	}
	for (size_t i = 0; policy_value_at(after, key, i, &value); i++) {
		if (value_find(before, key, value.text, &same))
			continue;
		key_fill(&ret[n], value.key);
		side_none(before, ret[n].before, ret[n].before_source);
		side_fill(after, &value, ret[n].after, ret[n].after_source);
		n++;
	}
	return n;
}

static size_t single_diff(const struct policy_tier *before, const struct policy_tier *after,
                          enum policy_key key, struct policy_diff_change *ret)
{
	struct policy_value was, will;

	if (!policy_value_at(before, key, 0, &was) || !policy_value_at(after, key, 0, &will) ||
	    strcmp(was.text, will.text) == 0)
		return 0;
	key_fill(ret, will.key);
	side_fill(before, &was, ret->before, ret->before_source);
	side_fill(after, &will, ret->after, ret->after_source);
	return 1;
}

/* Whether @tier has a value of that name below @key, and then which. */
static bool key_find(const struct policy_tier *tier, enum policy_key key, const char *name,
                     struct policy_value *ret)
{
	for (size_t i = 0; policy_value_at(tier, key, i, ret); i++)
		if (strcmp(ret->key, name) == 0)
			return true;
	return false;
}

/* Of values with names of their own: each that is another one, comes or goes. */
static size_t named_diff(const struct policy_tier *before, const struct policy_tier *after,
                         enum policy_key key, struct policy_diff_change *ret)
{
	struct policy_value was, will;
	size_t n = 0;

	for (size_t i = 0; policy_value_at(before, key, i, &was); i++) {
		const bool stays = key_find(after, key, was.key, &will);

		if (stays && strcmp(was.text, will.text) == 0)
			continue;
		key_fill(&ret[n], was.key);
		side_fill(before, &was, ret[n].before, ret[n].before_source);
		if (stays)
			side_fill(after, &will, ret[n].after, ret[n].after_source);
		else
			side_none(after, ret[n].after, ret[n].after_source);
		n++;
	}
	for (size_t i = 0; policy_value_at(after, key, i, &will); i++) {
		if (key_find(before, key, will.key, &was))
			continue;
		key_fill(&ret[n], will.key);
		side_none(before, ret[n].before, ret[n].before_source);
		side_fill(after, &will, ret[n].after, ret[n].after_source);
		n++;
	}
	return n;
}

static size_t key_diff(const struct policy_tier *before, const struct policy_tier *after,
                       enum policy_key key, struct policy_diff_change *ret)
{
	if (key < POLICY_KEY_SINGLES_N)
		return single_diff(before, after, key, ret);
	return key == POLICY_KEY_QUOTAS ? named_diff(before, after, key, ret)
	                                : list_diff(before, after, key, ret);
}

static size_t values_diff(const struct policy_tier *before, const struct policy_tier *after,
                          struct policy_diff_change *ret)
{
	size_t n = 0;

	for (int i = 0; i < POLICY_KEYS_N; i++)
		n += key_diff(before, after, (enum policy_key)i, ret + n);
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
		key_fill(change, policy_limit_key(i));
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
	return n + values_diff(before, after, ret + n);
}

size_t policy_diff_daemon(const struct policy_daemon *before, const struct policy_daemon *after,
                          struct policy_diff_change ret[static POLICY_DIFF_CHANGES_MAX])
{
	size_t n = 0;

	static_assert(POLICY_DAEMON_N <= POLICY_DIFF_CHANGES_MAX, "room for each");
	memset(ret, 0, POLICY_DIFF_CHANGES_MAX * sizeof(*ret));
	for (size_t i = 0; i < POLICY_DAEMON_N; i++) {
		struct policy_diff_change *change = &ret[n];

		policy_daemon_text(before, i, change->before, sizeof(change->before));
		policy_daemon_text(after, i, change->after, sizeof(change->after));
		if (strcmp(change->before, change->after) == 0)
			continue;
		key_fill(change, policy_daemon_key(i));
		policy_daemon_source(before, i, change->before_source,
		                     sizeof(change->before_source));
		policy_daemon_source(after, i, change->after_source,
		                     sizeof(change->after_source));
		n++;
	}
	memset(&ret[n], 0, n < POLICY_DIFF_CHANGES_MAX ? sizeof(ret[n]) : 0);
	return n;
}
