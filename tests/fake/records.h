/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the stand-in tells: records as the interface has them, the caller's. */
#ifndef TESTS_FAKE_RECORDS_H
#define TESTS_FAKE_RECORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

json_t *tenant_json(const char *name);
json_t *execution_json(const char *tenant, const char *state, const char *reason);
/* After @looks, one a second, of each of which it used half a CPU and read 1 KiB. */
json_t *stats_json(const char *tenant, const char *execution, json_int_t looks,
                   json_int_t cgroup_id);
/* Of what has no cgroup. */
json_t *stats_of_none(const char *tenant);

/* An entry of a list: the last policy, or the one before. */
json_t *policy_json(bool in_force);
/* One whose files lead out of the directory has the hash "eeee". */
json_t *policy_files_json(const char *hash);
json_t *tenant_policy_json(void);
/* Of 10, of which nothing was used; "again" is a key that was used before. */
json_t *quota_answer_json(json_int_t amount, const char *key);
json_t *quota_error_json(json_int_t amount);
/* A reservation is FAKE_OTHER_ID, of 3. */
json_t *quota_reserved_json(void);
json_t *quotas_json(const char *tenant);
/* Of November 2023, open, unless @period is another; of two books, and what has no price. */
#define BILL_LINES_N 4
json_t *bill_json(const char *tenant, const char *period);
json_t *bill_line_json(int i);
/* Of a setting of the node, and of a limit of that tenant's. */
json_t *change_of_node_json(void);
json_t *change_json(const char *tenant, const char *hurts);
json_t *status_json(void);
json_t *event_json(int64_t seq, const char *kind, const char *tenant, const char *execution,
                   const char *reason);

json_t *plan_json(void);
json_t *totals_json(void);

/* The @i-th of the days in which something was used. */
json_t *period_json(int i);

#endif
