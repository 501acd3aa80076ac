/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whole control plane against a tenantd and clients played by the test. */
#include <criterion/criterion.h>
#include <signal.h>

#include "rig.h"

TestSuite(controller, .timeout = 30);

static const char *text(const json_t *json, const char *key)
{
	const char *value = json_string_value(json_object_get(json, key));

	return value != NULL ? value : "(none)";
}

static int64_t number(const json_t *json, const char *key)
{
	const json_t *value = json_object_get(json, key);

	return json_is_integer(value) ? json_integer_value(value) : -1;
}

/* The record that a Run's last answer holds, and why it ended. */
static json_t *run_end(struct rig *rig, struct varlink *link, char why[256])
{
	json_t *answer = rig_answer(rig, link);
	json_t *parameters = json_object_get(answer, "parameters");
	json_t *record = json_incref(json_object_get(parameters, "execution"));

	cr_assert_str_eq(text(parameters, "event"), "exited");
	cr_assert(json_object_get(answer, "continues") == NULL);
	(void)snprintf(why, 256, "%s", text(parameters, "explanation"));
	json_decref(answer);
	return record;
}

Test(controller, runs_a_command_and_accounts_for_it)
{
	struct rig rig = { 0 };
	union rig_message launch;
	union rig_message settled;
	struct spec_exited exited;
	struct varlink *link;
	json_t *answer;
	json_t *record;
	char why[256];

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_cgroup(&rig, "acme", 0);
	rig_run_started(&rig, link, "acme", &launch);
	cr_expect_eq(launch.launch.limits.memory_max_bytes, 64 << 20);
	cr_expect_eq(launch.launch.limits.cpu_quota_usec, SPEC_UNLIMITED);
	cr_expect_eq(launch.launch.argc, 1);
	cr_expect_eq(launch.launch.args_bytes, 6);

	rig_cgroup(&rig, "acme", 1300);
	exited = rig_exited_of(&launch, 3 << 8, 1000);
	rig_exited(&rig, &exited);
	record = run_end(&rig, link, why);
	cr_expect_str_eq(text(record, "reason"), "exited");
	cr_expect_eq(number(record, "exit_code"), 3);
	cr_expect_eq(number(record, "cpu_usec"), 1000);
	cr_expect(json_is_null(json_object_get(record, "memory_peak_bytes")));
	cr_expect_str_eq(why, "(none)");
	json_decref(record);

	rig_take(&rig, SPEC_SETTLED, &settled);
	cr_expect(id_equal(&settled.settled.execution, &launch.launch.execution));

	answer = rig_ask(&rig, link, "io.tenantd.GetUsage",
	                 json_pack("{s:s}", "tenant", "acme"), "more");
	cr_expect_eq(number(json_object_get(answer, "meters"), "cpu_time"), 1300);
	cr_expect_eq(number(json_object_get(answer, "meters"), "throttled_time"), 7);
	cr_expect_eq(number(json_object_get(answer, "meters"), "executions"), 1);
	cr_expect_eq(number(json_object_get(answer, "meters"), "execution_time"), 500000);
	cr_expect_eq(number(answer, "unattributed_usec"), 300);
	json_decref(answer);
	answer = rig_answer(&rig, link);
	record = json_object_get(json_object_get(answer, "parameters"), "execution");
	cr_expect_eq(number(record, "cpu_usec"), 1000);
	cr_expect(json_object_get(answer, "continues") == NULL);
	json_decref(answer);

	(void)varlink_free(link);
	rig_done(&rig);
}
