/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon.h"

#include <string.h>

#include <base/fd.h>

#include "daemon_rows.h"
#include "document.h"
#include "schema.h"
#include "units.h"

#define SECOND INT64_C(1000000)
#define DAY    (86400 * SECOND)
#define YEARS  (36500 * DAY)
#define MIB    (INT64_C(1024) * 1024)
#define TIB    (MIB * 1024 * 1024)

/* The position of a member in struct policy_daemon_settings. */
#define SETTING(member) (offsetof(struct policy_daemon_settings, member) / sizeof(int64_t))

#define RETENTION "retention"
#define RESERVE   "host_reserve"

static const char retention_about[] =
	"how long what is past is kept one by one; totals are kept for ever";
static const char reserve_about[] = "what all tenants together leave to the host";

/* Rows of one group stand together. */
static const struct daemon_row rows[] = {
	[SETTING(commit_window_usec)] = {
		.key = "commit_window",
		.value = {
			.key = "commit_window",
			.type = LIMITS_DURATION,
			.min = 1000,
			.max = 10 * SECOND,
			.fallback = 20 * INT64_C(1000),
			.about = "what is booked within it shares one commit, and is what a "
				 "loss of power can take",
		},
	},
	[SETTING(sample_interval_usec)] = {
		.key = "sample_interval",
		.value = {
			.key = "sample_interval",
			.type = LIMITS_DURATION,
			.min = SECOND / 10,
			.max = 3600 * SECOND,
			.fallback = SECOND,
			.about = "how often what a tenant uses is booked while something of "
				 "it runs",
		},
	},
	[SETTING(retention_executions_usec)] = {
		.key = RETENTION ".executions",
		.group = RETENTION,
		.group_about = retention_about,
		.value = {
			.key = "executions",
			.type = LIMITS_DURATION,
			.unlimited = true,
			.min = 60 * SECOND,
			.max = YEARS,
			.fallback = 90 * DAY,
			.about = "records of executions, from their end on, and what they "
				 "have written",
		},
	},
	[SETTING(retention_events_usec)] = {
		.key = RETENTION ".events",
		.group = RETENTION,
		.group_about = retention_about,
		.value = {
			.key = "events",
			.type = LIMITS_DURATION,
			.unlimited = true,
			.min = 60 * SECOND,
			.max = YEARS,
			.fallback = 90 * DAY,
			.about = "events of tenants and of the node",
		},
	},
	[SETTING(reserve_memory_bytes)] = {
		.key = RESERVE ".memory",
		.group = RESERVE,
		.group_about = reserve_about,
		.value = {
			.key = "memory",
			.type = LIMITS_BYTES,
			.min = 0,
			.max = 1024 * TIB,
			.fallback = 512 * MIB,
			.about = "memory that tenants cannot have; at most half of the host's "
				 "is kept from them",
		},
	},
	[SETTING(reserve_cpu_usec)] = {
		.key = RESERVE ".cpu",
		.group = RESERVE,
		.group_about = reserve_about,
		.value = {
			.key = "cpu",
			.type = LIMITS_CPU_QUOTA,
			.min = 0,
			.max = UNITS_CPU_QUOTA_USEC_MAX,
			.fallback = 10 * INT64_C(1000),
			.about = "CPU time that tenants cannot have, in percent of one CPU; 0% "
				 "is none, and at most half of the host's is kept from them",
		},
	},
};

static_assert(ARRAY_LEN(rows) == POLICY_DAEMON_N, "every setting needs a row");

const struct daemon_row *daemon_row_at(size_t i)
{
	assert(i < ARRAY_LEN(rows));
	return &rows[i];
}

const char *policy_daemon_key(size_t i)
{
	return daemon_row_at(i)->key;
}

static void setting_put(struct policy_daemon *daemon, size_t i, int64_t value)
{
	memcpy((char *)&daemon->settings + i * sizeof(value), &value, sizeof(value));
}

void policy_daemon_reset(struct policy_daemon *daemon)
{
	*daemon = (struct policy_daemon){ 0 };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		setting_put(daemon, i, rows[i].value.fallback);
}

/* The rows of one mapping: the group's, or those at the top. */
struct mapping {
	struct policy_daemon *daemon;
	size_t first; /* of the group */
};

static int setting_read(struct policy_daemon *daemon, size_t i, const struct document_node *key,
                        struct tn_error *err)
{
	int64_t value = 0;
	int r = limits_value_read(&rows[i].value, key, &value, err);

	if (r < 0)
		return r;
	setting_put(daemon, i, value);
	daemon->where[i] = (struct policy_location){ key->line, key->column, 0 };
	return 0;
}

static const char *retention_key(size_t i)
{
	return rows[SETTING(retention_executions_usec) + i].value.key;
}

static const char *reserve_key(size_t i)
{
	return rows[SETTING(reserve_memory_bytes) + i].value.key;
}

static int group_set(void *target, size_t i, const struct document_node *key,
                     struct tn_error *err)
{
	const struct mapping *mapping = target;

	return setting_read(mapping->daemon, mapping->first + i, key, err);
}

/* What may stand at the top: a setting, or a mapping of them. */
static const struct top {
	const char *key;
	size_t first, n; /* of rows */
	const char *(*keys)(size_t i);
} tops[] = {
	{ "commit_window", SETTING(commit_window_usec), 1, NULL },
	{ "sample_interval", SETTING(sample_interval_usec), 1, NULL },
	{ RETENTION, SETTING(retention_executions_usec), 2, retention_key },
	{ RESERVE, SETTING(reserve_memory_bytes), 2, reserve_key },
};

static const char *top_key(size_t i)
{
	return tops[i].key;
}

static int top_set(void *target, size_t i, const struct document_node *key,
                   struct tn_error *err)
{
	struct mapping mapping = { target, tops[i].first };
	const struct schema schema = {
		.noun = tops[i].key,
		.keys_n = tops[i].n,
		.key = tops[i].keys,
		.set = group_set,
	};

	return tops[i].keys == NULL ? setting_read(target, tops[i].first, key, err)
	                            : schema_walk(&schema, key->value, &mapping, err);
}

static void document_freep(struct document **document)
{
	(void)document_free(*document);
}

int policy_daemon_parse(const char *file, const char *text, size_t n, struct policy_daemon *ret,
                        struct tn_error *err)
{
	static const struct schema schema = {
		.keys_n = ARRAY_LEN(tops),
		.key = top_key,
		.set = top_set,
	};
	__attribute__((cleanup(document_freep))) struct document *document = NULL;
	struct policy_daemon daemon;
	int r = document_parse(file, text, n, &document, err);

	policy_daemon_reset(&daemon);
	if (r == 0)
		r = schema_walk(&schema, document_root(document), &daemon, err);
	if (r == 0)
		*ret = daemon;
	return r;
}

void policy_daemon_text(const struct policy_daemon *daemon, size_t i, char *text, size_t size)
{
	int64_t value;

	assert(i < ARRAY_LEN(rows));
	memcpy(&value, (const char *)&daemon->settings + i * sizeof(value), sizeof(value));
	limits_value_format(&rows[i].value, value, text, size);
}

void policy_daemon_source(const struct policy_daemon *daemon, size_t i, char *text, size_t size)
{
	assert(i < ARRAY_LEN(rows));
	if (daemon->where[i].line == 0)
		(void)snprintf(text, size, "default");
	else
		(void)snprintf(text, size, POLICY_DAEMON_FILE ":%u", daemon->where[i].line);
}
