/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "records.h"

#include <string.h>

#include <base/fd.h>

#include "fake.h"

json_t *tenant_json(const char *name)
{
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:{s:s}, s:{s:s}, s:[s], s:{s:i, s:s, s:s, s:n}, "
		"s:i, s:I, "
		"s:I, s:s, s:s, s:i, s:i, s:s}",
		"id", "5f0c1d2e-3b4a-4958-8776-655443322110", "name", name, "display_name",
		"A \"quoted\" name", "status", "active", "tier", "free", "metadata", "team",
		"blue", "overrides", "limits.tasks_max", "7", "operators", "user:alice",
		"settings", "billing_anchor_day", 1, "time_zone", "UTC", "currency", "EUR",
		"customer_id", "version", 3, "created_at", (json_int_t)1700000000000000,
		"updated_at", (json_int_t)1700000001000000, "policy_hash", "abcdef0123456789",
		"cgroup", "tenants.slice/tenantd-tenants.service/acme", "uid_first", 2000000000,
		"uid_count", 65536, "storage_path", "/var/lib/tenantd/storage/acme");
}

json_t *execution_json(const char *tenant, const char *state, const char *reason)
{
	json_t *json = json_pack(
		"{s:s, s:s, s:n, s:s, s:s?, s:n, s:n, s:I, s:n, s:i, s:i, s:i, s:i}", "id",
		FAKE_EXECUTION_ID, "tenant", tenant, "name", "state", state, "reason", reason,
		"exit_code", "signal", "started_at", (json_int_t)1700000000000000, "ended_at",
		"wall_usec", 1234567, "cpu_usec", 1000, "cpu_user_usec", 600, "cpu_system_usec",
		400);
	json_t *rest = json_pack(
		"{s:i, s:n, s:i, s:i, s:n, s:n, s:i, s:i, s:i, s:i, s:n, s:n, "
		"s:n, s:s}",
		"throttled_usec", 0, "tenant_throttled_usec", "memory_peak_bytes", 5 << 20,
		"memory_mib_msec", 2048000, "io_read_bytes", "io_write_bytes", "pids_peak", 2,
		"overhead_usec", 350, "oom_kills", 0, "pids_refused", 0, "stall_cpu_usec",
		"stall_memory_usec", "stall_io_usec", "policy_hash", "abcdef0123456789");

	(void)json_object_update(json, rest);
	json_decref(rest);
	return json;
}

json_t *stats_json(const char *tenant, const char *execution, json_int_t looks,
                   json_int_t cgroup_id)
{
	json_t *json = json_pack(
		"{s:s, s:s?, s:s?, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "tenant", tenant,
		"execution", execution, "name", execution != NULL ? "job" : NULL, "at_usec",
		(json_int_t)5000000 + looks * 1000000, "cgroup_id", cgroup_id, "cpu_usec",
		looks * 500000, "cpu_periods", looks * 10, "cpu_periods_throttled", looks * 4,
		"memory_bytes", (json_int_t)5 << 20, "memory_max_bytes", (json_int_t)64 << 20);
	json_t *rest = json_pack("{s:I, s:n, s:I, s:n, s:I, s:I, s:n}", "tasks", (json_int_t)3,
	                         "tasks_max", "io_read_bytes", looks * 1024, "io_write_bytes",
	                         "stall_cpu_usec", looks * 12300, "stall_memory_usec",
	                         (json_int_t)0, "stall_io_usec");

	(void)json_object_update(json, rest);
	json_decref(rest);
	return json;
}

json_t *stats_of_none(const char *tenant)
{
	static const char *const absent[] = {
		"execution",
		"name",
		"cgroup_id",
		"cpu_usec",
		"cpu_periods",
		"memory_bytes",
		"memory_max_bytes",
		"cpu_periods_throttled",
		"tasks",
		"tasks_max",
		"io_read_bytes",
		"io_write_bytes",
		"stall_cpu_usec",
		"stall_memory_usec",
		"stall_io_usec",
	};
	json_t *json = json_pack("{s:s, s:i}", "tenant", tenant, "at_usec", 1);

	for (size_t i = 0; i < ARRAY_LEN(absent); i++)
		(void)json_object_set_new(json, absent[i], json_null());
	return json;
}

json_t *policy_json(bool in_force)
{
	if (!in_force)
		return json_pack("{s:{s:s, s:s, s:I, s:n, s:n}}", "policy", "policy_hash",
		                 "abcdef0123456789", "state", "earlier", "accepted_at",
		                 (json_int_t)1600000000000000, "accepted_by", "instead_of");
	return json_pack("{s:{s:s, s:s, s:I, s:i, s:s}}", "policy", "policy_hash",
	                 "fedcba9876543210", "state", "in_force", "accepted_at",
	                 (json_int_t)1700000000000000, "accepted_by", 1000, "instead_of",
	                 "abcdef0123456789");
}

json_t *change_of_node_json(void)
{
	return json_pack("{s:{s:n, s:n, s:s, s:s, s:s, s:s, s:s, s:n}}", "change", "tenant",
	                 "tier", "key", "host_reserve.memory", "before", "512M",
	                 "before_source", "default", "after", "1G", "after_source",
	                 "tenantd.yaml:2", "hurts");
}

json_t *change_json(const char *tenant, const char *hurts)
{
	return json_pack("{s:{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s?}}", "change", "tenant",
	                 tenant, "tier", "free", "key", "tasks_max", "before", "32",
	                 "before_source", "tiers/free.yaml:7", "after", "8", "after_source",
	                 "tiers/free.yaml:3", "hurts", hurts);
}

json_t *status_json(void)
{
	return json_pack("{s:s, s:I, s:s, s:[s], s:s, s:i, s:i, s:i, s:[s], s:n, s:n, s:i}",
	                 "version", "0.1.0", "uptime_usec", (json_int_t)3723000000, "health",
	                 "degraded", "degraded", "the store is read-only", "policy_hash",
	                 "abcdef0123456789", "tenants", 2, "executions", 1, "store_bytes",
	                 40960, "unenforced", "io_write_bandwidth_max: no io controller",
	                 "drained_at", "drained_by", "commit_lag_usec", 12000);
}

json_t *event_json(int64_t seq, const char *kind, const char *tenant, const char *execution,
                   const char *reason)
{
	return json_pack(
		"{s:{s:I, s:I, s:s, s:s, s:s?, s:s?, s:s?, s:o, s:o, s:n, s:s?, s:o, "
		"s:o}}",
		"event", "seq", (json_int_t)seq, "at", (json_int_t)1700000000000000, "kind",
		kind, "message", "something is different", "tenant", tenant, "tenant_id",
		tenant != NULL ? FAKE_EXECUTION_ID : NULL, "execution", execution, "actor_uid",
		execution != NULL ? json_null() : json_integer(0), "actor_pid",
		execution != NULL ? json_null() : json_integer(77), "actor_login_uid", "reason",
		reason, "before",
		execution != NULL ? json_object() : json_pack("{s:s}", "tier", "free"), "after",
		execution != NULL ? json_pack("{s:s}", "exit_code", "137")
				  : json_pack("{s:s}", "tier", "pro\n"));
}

json_t *period_json(int i)
{
	const json_int_t first = 1700000000000000, day = 86400000000;

	return json_pack("{s:I, s:I, s:{s:I}}", "start", first + i * day, "end",
	                 first + (i + 1) * day, "meters", "cpu_time",
	                 (json_int_t)(i + 1) * 1000000);
}

json_t *policy_files_json(const char *hash)
{
	const bool evil = strcmp(hash, "eeee") == 0;

	return json_pack("{s:s, s:{s:s, s:s}}", "policy_hash", "abcdef0123456789", "files",
	                 "tiers/free.yaml", "tier: free\n",
	                 evil ? "tiers/free.d/../../../evil.yaml" : "tiers/free.d/a.yaml",
	                 "limits: {tasks_max: 9}\n");
}

json_t *tenant_policy_json(void)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:[{s:s, s:s, s:s}]}", "tenant", "acme", "tier",
	                 "free", "file", "tiers/free.yaml", "policy_hash", "abcdef0123456789",
	                 "limits", "key", "memory_max", "value", "64M", "source",
	                 "tiers/free.yaml:7");
}

json_t *quota_answer_json(json_int_t amount, const char *key)
{
	return json_pack("{s:i, s:I, s:i, s:b, s:n, s:i}", "limit", 10, "used", amount,
	                 "reserved", 0, "repeated", strcmp(key, "again") == 0, "reservation",
	                 "reset_at", 1000);
}

json_t *quota_error_json(json_int_t amount)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:I, s:i}", "message", "too much", "meter",
	                 "tokens", "limit", 10, "used", 0, "requested", amount, "reset_at",
	                 1000);
}

json_t *quota_reserved_json(void)
{
	return json_pack("{s:n, s:i, s:i, s:b, s:s, s:n}", "limit", "used", 0, "reserved", 3,
	                 "repeated", 0, "reservation", FAKE_OTHER_ID, "reset_at");
}

json_t *quotas_json(const char *tenant)
{
	return json_pack(
		"{s:s, s:s, s:s, s:i, s:[{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:s, s:i, "
		"s:i, s:s}, {s:s, s:s, s:s, s:n, s:i, s:i, s:n, s:n, s:n, s:n, s:n}]}",
		"tenant", tenant, "tier", "free", "policy_hash", "0123", "snapshot_at", 5000,
		"quotas", "meter", "tokens", "unit", "tokens", "kind", "counter", "limit", 10,
		"used", 4, "reserved", 3, "percent", 40, "per", "month", "period_start", 1000,
		"reset_at", 9000, "enforce", "hard", "meter", "state_bytes", "unit", "bytes",
		"kind", "gauge", "limit", "used", 2048, "reserved", 0, "percent", "per",
		"period_start", "reset_at", "enforce");
}

/* 2023-11-01, -15, and 2023-12-01. */
#define BILL_START  INT64_C(1698796800000000)
#define BILL_MIDDLE INT64_C(1700006400000000)
#define BILL_END    INT64_C(1701388800000000)

json_t *bill_json(const char *tenant, const char *period)
{
	const bool present = period[0] == '\0';
	const char *over = strcmp(period, "2023-11-01") == 0 ? "closing" : "ended";

	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:I, s:s, s:i, s:i, s:{s:s, s:s}}",
	                 "tenant", tenant, "tenant_id", FAKE_EXECUTION_ID, "period",
	                 present ? "2023-11" : period, "start", (json_int_t)BILL_START, "end",
	                 (json_int_t)BILL_END, "state", present ? "open" : over, "booked_until",
	                 (json_int_t)(present ? BILL_MIDDLE : BILL_END), "currency", "EUR",
	                 "exponent", 2, "subtotal", 1013, "books", "prices/old.yaml", "0a",
	                 "prices/new.yaml", "0b");
}

/* 1 h and 1 us of CPU, 2 GiB for 1 h and 1 ms, 5 calls, and 3 of what policy knows no more. */
json_t *bill_line_json(int i)
{
	static const struct {
		const char *meter, *unit;
		int64_t start, end, quantity;
		const char *price;
		int64_t per, amount;
		const char *book, *source;
	} lines[BILL_LINES_N] = {
		{ "cpu_time", "usec", BILL_START, BILL_MIDDLE, 3600000001, "10.10", 3600000000,
		  1010, "old", "prices/old.yaml:6" },
		{ "memory_time", "mib_msec", BILL_MIDDLE, BILL_END, 7372802048, "0.015",
		  3686400000, 3, "new", "prices/new.yaml:7" },
		{ "api_calls", "calls", BILL_MIDDLE, BILL_END, 5, NULL, 0, 0, "new", NULL },
		{ "pages", NULL, BILL_MIDDLE, BILL_END, 3, NULL, 0, 0, "new", NULL },
	};

	return json_pack(
		"{s:s, s:s?, s:I, s:I, s:I, s:s?, s:o, s:o, s:s?, s:s?}", "meter",
		lines[i].meter, "unit", lines[i].unit, "start", (json_int_t)lines[i].start,
		"end", (json_int_t)lines[i].end, "quantity", (json_int_t)lines[i].quantity,
		"price", lines[i].price, "per",
		lines[i].price != NULL ? json_integer(lines[i].per) : json_null(), "amount",
		lines[i].price != NULL ? json_integer(lines[i].amount) : json_null(), "book",
		lines[i].book, "source", lines[i].source);
}

json_t *plan_json(void)
{
	return json_pack("{s:s, s:s, s:[{s:s, s:s, s:s}], s:[{s:s, s:s, s:s}], s:[s], s:s, "
	                 "s:[s]}",
	                 "event", "plan", "tier", "free", "limits", "key", "memory_max",
	                 "value", "64M", "source", "tiers/free.yaml:7", "options", "key",
	                 "user", "value", "1000:1000", "source", "default", "environment",
	                 "HOME=/data", "policy_hash", "abcdef0123456789", "unenforced",
	                 "storage quota");
}

json_t *totals_json(void)
{
	return json_pack(
		"{s:s, s:I, s:I, s:{s:I, s:i}, s:{s:i}, s:i, s:I}", "tenant", "acme", "since",
		(json_int_t)1700000000000000, "until", (json_int_t)1700000100000000, "meters",
		"cpu_time", (json_int_t)987654321, "executions", 2, "held", "agents", 3,
		"unattributed_usec", 17, "itemized_since", (json_int_t)1700000000000000);
}
