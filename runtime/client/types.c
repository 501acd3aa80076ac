/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tables that describe the records of <tenant/types.h>: one row per member, in
 * the order and by the names of io.tenantd.varlink.
 */
#include <tenant/bill.h>
#include <tenant/event.h>
#include <tenant/quota.h>
#include <tenant/stats.h>
#include <tenant/types.h>

#include <base/err.h>
#include <base/fd.h>

#include "record.h"

static const char *const tenant_status_names[] = { "creating", "active",  "suspended",
	                                           "deleting", "deleted", "unknown",
	                                           NULL };
static const char *const execution_state_names[] = { "running", "exited", "unknown", NULL };
static const char *const reason_names[] = { "exited",  "signaled", "oom",    "timeout",
	                                    "seccomp", "quota",    "killed", "runtime",
	                                    "unknown", NULL };
static const char *const policy_state_names[] = { "in_force", "earlier", "unknown", NULL };
static const char *const bill_state_names[] = { "open", "ended", "closing", "unknown", NULL };
static const char *const health_names[] = { "ok", "degraded", "unknown", NULL };

static_assert(ARRAY_LEN(tenant_status_names) == TN_TENANT_UNKNOWN + 2 &&
                      ARRAY_LEN(execution_state_names) == TN_EXECUTION_UNKNOWN + 2 &&
                      ARRAY_LEN(reason_names) == TN_REASON_UNKNOWN + 2 &&
                      ARRAY_LEN(policy_state_names) == TN_POLICY_UNKNOWN + 2 &&
                      ARRAY_LEN(bill_state_names) == TN_BILL_UNKNOWN + 2 &&
                      ARRAY_LEN(health_names) == TN_HEALTH_UNKNOWN + 2,
              "a name for each value");
static_assert(sizeof(enum tn_reason) == sizeof(int), "enumerations are read as int");

#define ROW(type, kind, nullable, member)                                                      \
	{                                                                                      \
#member, kind, nullable, offsetof(struct type, member), NULL, NULL             \
	}
#define TEXT(type, member)       ROW(type, TN_FIELD_TEXT, false, member)
#define TEXT_OR(type, member)    ROW(type, TN_FIELD_TEXT, true, member)
#define INT(type, member)        ROW(type, TN_FIELD_INT, false, member)
#define INT_OR(type, member)     ROW(type, TN_FIELD_INT, true, member)
#define LIST(type, kind, member) ROW(type, kind, false, member)
#define ENUM(type, nullable, member, names)                                                    \
	{                                                                                      \
#member, TN_FIELD_ENUM, nullable, offsetof(struct type, member), names, NULL   \
	}

/* Offsets count from the tenant, which the settings are embedded in. */
#define SETTING(kind, nullable, member)                                                        \
	{                                                                                      \
#member, kind, nullable, offsetof(struct tn_tenant, settings.member), NULL,    \
			NULL                                                                   \
	}

static const struct tn_field settings_fields[] = {
	SETTING(TN_FIELD_INT, false, billing_anchor_day),
	SETTING(TN_FIELD_TEXT, false, time_zone),
	SETTING(TN_FIELD_TEXT, false, currency),
	SETTING(TN_FIELD_TEXT, true, customer_id),
	{ 0 },
};

static const struct tn_field tenant_fields[] = {
	TEXT(tn_tenant, id),
	TEXT(tn_tenant, name),
	TEXT(tn_tenant, display_name),
	ENUM(tn_tenant, false, status, tenant_status_names),
	TEXT(tn_tenant, tier),
	LIST(tn_tenant, TN_FIELD_PAIRS, metadata),
	LIST(tn_tenant, TN_FIELD_PAIRS, overrides),
	LIST(tn_tenant, TN_FIELD_TEXTS, operators),
	{ "settings", TN_FIELD_RECORD, false, offsetof(struct tn_tenant, settings), NULL,
	  settings_fields },
	INT(tn_tenant, version),
	INT(tn_tenant, created_at),
	INT(tn_tenant, updated_at),
	TEXT(tn_tenant, policy_hash),
	TEXT(tn_tenant, cgroup),
	INT(tn_tenant, uid_first),
	INT(tn_tenant, uid_count),
	TEXT(tn_tenant, storage_path),
	{ 0 },
};

static const struct tn_field execution_fields[] = {
	TEXT(tn_execution, id),
	TEXT(tn_execution, tenant),
	TEXT_OR(tn_execution, name),
	TEXT_OR(tn_execution, joins),
	ENUM(tn_execution, false, state, execution_state_names),
	ENUM(tn_execution, true, reason, reason_names),
	INT_OR(tn_execution, exit_code),
	INT_OR(tn_execution, signal),
	INT(tn_execution, started_at),
	INT_OR(tn_execution, ended_at),
	INT_OR(tn_execution, wall_usec),
	INT_OR(tn_execution, cpu_usec),
	INT_OR(tn_execution, cpu_user_usec),
	INT_OR(tn_execution, cpu_system_usec),
	INT_OR(tn_execution, throttled_usec),
	INT_OR(tn_execution, tenant_throttled_usec),
	INT_OR(tn_execution, memory_peak_bytes),
	INT_OR(tn_execution, memory_mib_msec),
	INT_OR(tn_execution, io_read_bytes),
	INT_OR(tn_execution, io_write_bytes),
	INT_OR(tn_execution, pids_peak),
	INT_OR(tn_execution, overhead_usec),
	INT_OR(tn_execution, oom_kills),
	INT_OR(tn_execution, pids_refused),
	INT_OR(tn_execution, stall_cpu_usec),
	INT_OR(tn_execution, stall_memory_usec),
	INT_OR(tn_execution, stall_io_usec),
	INT_OR(tn_execution, asked_uid),
	INT_OR(tn_execution, asked_pid),
	TEXT(tn_execution, policy_hash),
	{ 0 },
};

static const struct tn_field usage_fields[] = {
	TEXT(tn_usage, tenant),
	INT_OR(tn_usage, since),
	INT_OR(tn_usage, until),
	LIST(tn_usage, TN_FIELD_COUNTS, meters),
	ROW(tn_usage, TN_FIELD_COUNTS, true, held),
	INT_OR(tn_usage, unattributed_usec),
	INT_OR(tn_usage, itemized_since),
	{ 0 },
};

static const struct tn_field usage_period_fields[] = {
	INT(tn_usage_period, start),
	INT(tn_usage_period, end),
	LIST(tn_usage_period, TN_FIELD_COUNTS, meters),
	{ 0 },
};

static const struct tn_field plan_fields[] = {
	TEXT(tn_plan, tier),
	LIST(tn_plan, TN_FIELD_LIMITS, limits),
	LIST(tn_plan, TN_FIELD_LIMITS, options),
	LIST(tn_plan, TN_FIELD_TEXTS, environment),
	TEXT(tn_plan, policy_hash),
	ROW(tn_plan, TN_FIELD_TEXTS, true, unenforced),
	{ 0 },
};

static const struct tn_field policy_fields[] = {
	TEXT(tn_policy, policy_hash),
	LIST(tn_policy, TN_FIELD_TEXTS, tiers),
	{ 0 },
};

static const struct tn_field policy_entry_fields[] = {
	TEXT(tn_policy_entry, policy_hash),
	ENUM(tn_policy_entry, false, state, policy_state_names),
	INT(tn_policy_entry, accepted_at),
	INT_OR(tn_policy_entry, accepted_by),
	TEXT_OR(tn_policy_entry, instead_of),
	{ 0 },
};

static const struct tn_field policy_files_fields[] = {
	TEXT(tn_policy_files, policy_hash),
	LIST(tn_policy_files, TN_FIELD_PAIRS, files),
	{ 0 },
};

static const struct tn_field tenant_policy_fields[] = {
	TEXT(tn_tenant_policy, tenant),
	TEXT(tn_tenant_policy, tier),
	TEXT(tn_tenant_policy, file),
	TEXT(tn_tenant_policy, policy_hash),
	LIST(tn_tenant_policy, TN_FIELD_LIMITS, limits),
	{ 0 },
};

static const struct tn_field policy_change_fields[] = {
	TEXT_OR(tn_policy_change, tenant),
	TEXT_OR(tn_policy_change, tier),
	TEXT(tn_policy_change, key),
	TEXT(tn_policy_change, before),
	TEXT(tn_policy_change, before_source),
	TEXT(tn_policy_change, after),
	TEXT(tn_policy_change, after_source),
	TEXT_OR(tn_policy_change, hurts),
	{ 0 },
};

static const struct tn_field event_fields[] = {
	INT(tn_event, seq),
	INT(tn_event, at),
	TEXT(tn_event, kind),
	TEXT(tn_event, message),
	TEXT_OR(tn_event, tenant),
	TEXT_OR(tn_event, tenant_id),
	TEXT_OR(tn_event, execution),
	INT_OR(tn_event, actor_uid),
	INT_OR(tn_event, actor_pid),
	INT_OR(tn_event, actor_login_uid),
	TEXT_OR(tn_event, reason),
	LIST(tn_event, TN_FIELD_PAIRS, before),
	LIST(tn_event, TN_FIELD_PAIRS, after),
	{ 0 },
};

static const struct tn_field status_fields[] = {
	TEXT(tn_status, version),
	INT(tn_status, uptime_usec),
	ENUM(tn_status, false, health, health_names),
	LIST(tn_status, TN_FIELD_TEXTS, degraded),
	TEXT(tn_status, policy_hash),
	INT(tn_status, tenants),
	INT(tn_status, executions),
	INT(tn_status, store_bytes),
	LIST(tn_status, TN_FIELD_TEXTS, unenforced),
	INT_OR(tn_status, drained_at),
	INT_OR(tn_status, drained_by),
	INT(tn_status, commit_lag_usec),
	{ 0 },
};

static const struct tn_field backup_about_fields[] = {
	INT(tn_backup_about, created_at),
	INT(tn_backup_about, bytes),
	INT(tn_backup_about, tenants),
	TEXT(tn_backup_about, policy_hash),
	{ 0 },
};

static const struct tn_field stats_fields[] = {
	TEXT(tn_stats, tenant),           TEXT_OR(tn_stats, execution),
	TEXT_OR(tn_stats, name),          INT(tn_stats, at_usec),
	INT_OR(tn_stats, cgroup_id),      INT_OR(tn_stats, cpu_usec),
	INT_OR(tn_stats, cpu_periods),    INT_OR(tn_stats, cpu_periods_throttled),
	INT_OR(tn_stats, memory_bytes),   INT_OR(tn_stats, memory_max_bytes),
	INT_OR(tn_stats, tasks),          INT_OR(tn_stats, tasks_max),
	INT_OR(tn_stats, io_read_bytes),  INT_OR(tn_stats, io_write_bytes),
	INT_OR(tn_stats, stall_cpu_usec), INT_OR(tn_stats, stall_memory_usec),
	INT_OR(tn_stats, stall_io_usec),  { 0 },
};

static const struct tn_field quota_fields[] = {
	TEXT(tn_quota, meter),
	TEXT(tn_quota, unit),
	TEXT(tn_quota, kind),
	INT_OR(tn_quota, limit),
	INT_OR(tn_quota, used),
	INT(tn_quota, reserved),
	INT_OR(tn_quota, percent),
	TEXT_OR(tn_quota, per),
	INT_OR(tn_quota, period_start),
	INT_OR(tn_quota, reset_at),
	TEXT_OR(tn_quota, enforce),
	TEXT_OR(tn_quota, on_exhaust),
	{ 0 },
};

static const struct tn_field quota_summary_fields[] = {
	TEXT(tn_quota_summary, tenant),
	TEXT(tn_quota_summary, tier),
	TEXT(tn_quota_summary, policy_hash),
	INT(tn_quota_summary, snapshot_at),
	{ 0 },
};

static const struct tn_field bill_fields[] = {
	TEXT(tn_bill, tenant),
	TEXT(tn_bill, tenant_id),
	TEXT(tn_bill, period),
	INT(tn_bill, start),
	INT(tn_bill, end),
	ENUM(tn_bill, false, state, bill_state_names),
	INT(tn_bill, booked_until),
	TEXT(tn_bill, currency),
	INT(tn_bill, exponent),
	INT(tn_bill, subtotal),
	LIST(tn_bill, TN_FIELD_PAIRS, books),
	{ 0 },
};

static const struct tn_field bill_line_fields[] = {
	TEXT(tn_bill_line, meter),
	TEXT_OR(tn_bill_line, unit),
	INT(tn_bill_line, start),
	INT(tn_bill_line, end),
	INT(tn_bill_line, quantity),
	TEXT_OR(tn_bill_line, price),
	INT_OR(tn_bill_line, per),
	INT_OR(tn_bill_line, amount),
	TEXT_OR(tn_bill_line, book),
	TEXT_OR(tn_bill_line, source),
	{ 0 },
};

/* On no socket: they are made here. */
static const struct tn_field stats_rates_fields[] = {
	INT_OR(tn_stats_rates, interval_usec),
	INT_OR(tn_stats_rates, cpu_permille),
	INT_OR(tn_stats_rates, throttled_permille),
	INT_OR(tn_stats_rates, io_read_bytes_per_sec),
	INT_OR(tn_stats_rates, io_write_bytes_per_sec),
	INT_OR(tn_stats_rates, pressure_cpu_permille),
	INT_OR(tn_stats_rates, pressure_memory_permille),
	INT_OR(tn_stats_rates, pressure_io_permille),
	{ 0 },
};

const struct tn_field *tn_stats_rates_fields(void)
{
	return stats_rates_fields;
}

/* Each record is described, and released, by its table alone. */
/* NOLINTBEGIN(bugprone-macro-parentheses): names of types cannot stand in any */
#define RECORD(type)                                                                           \
	const struct tn_field *tn_##type##_fields(void)                                        \
	{                                                                                      \
		return type##_fields;                                                          \
	}                                                                                      \
	void tn_##type##_done(struct tn_##type *type)                                          \
	{                                                                                      \
		record_done(type##_fields, type, sizeof(*type));                               \
	}

/* NOLINTEND(bugprone-macro-parentheses) */
RECORD(tenant)
RECORD(execution)
RECORD(usage)
RECORD(usage_period)
RECORD(plan)
RECORD(policy)
RECORD(policy_entry)
RECORD(policy_files)
RECORD(tenant_policy)
RECORD(policy_change)
RECORD(backup_about)
RECORD(status)
RECORD(event)
RECORD(stats)
RECORD(quota)
RECORD(quota_summary)
RECORD(bill)
RECORD(bill_line)

const char *tn_tenant_status_name(enum tn_tenant_status status)
{
	return tenant_status_names[status];
}

const char *tn_reason_name(enum tn_reason reason)
{
	return reason == TN_REASON_NONE ? NULL : reason_names[reason];
}

const char *tn_error_name(int32_t code)
{
	return err_row(code)->name;
}

int tn_error_exit_status(int32_t code)
{
	return err_row(code)->exit_status;
}
