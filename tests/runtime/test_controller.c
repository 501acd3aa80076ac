/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whole control plane against a tenantd and clients played by the test. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"

TestSuite(controller, .timeout = 30);

static int64_t usage_of(struct rig *rig, const char *meter)
{
	struct varlink *link = rig_connect(rig);
	json_t *answer = rig_ask(rig, link, "io.tenantd.GetUsage",
	                         json_pack("{s:s}", "tenant", "acme"), "more");
	int64_t value = rig_number(json_object_get(answer, "meters"), meter);

	json_decref(answer);
	(void)varlink_free(link);
	return value;
}

Test(controller, runs_a_command_and_accounts_for_it)
{
	struct rig rig = { 0 };
	static union rig_message launch;
	static union rig_message settled;
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
	record = rig_run_end(&rig, link, why);
	cr_expect_str_eq(rig_text(record, "reason"), "exited");
	cr_expect_eq(rig_number(record, "exit_code"), 3);
	cr_expect_eq(rig_number(record, "cpu_usec"), 1000);
	cr_expect(json_is_null(json_object_get(record, "memory_peak_bytes")));
	cr_expect_str_eq(why, "(none)");
	json_decref(record);

	rig_take(&rig, SPEC_SETTLED, &settled);
	cr_expect(id_equal(&settled.settled.execution, &launch.launch.execution));

	answer = rig_ask(&rig, link, "io.tenantd.GetUsage",
	                 json_pack("{s:s}", "tenant", "acme"), "more");
	cr_expect_eq(rig_number(json_object_get(answer, "meters"), "cpu_time"), 1300);
	cr_expect_eq(rig_number(json_object_get(answer, "meters"), "throttled_time"), 7);
	cr_expect_eq(rig_number(json_object_get(answer, "meters"), "executions"), 1);
	cr_expect_eq(rig_number(json_object_get(answer, "meters"), "execution_time"), 500000);
	cr_expect_eq(rig_number(answer, "unattributed_usec"), 300);
	json_decref(answer);
	answer = rig_answer(&rig, link);
	record = json_object_get(json_object_get(answer, "parameters"), "execution");
	cr_expect_eq(rig_number(record, "cpu_usec"), 1000);
	cr_expect(json_object_get(answer, "continues") == NULL);
	json_decref(answer);

	(void)varlink_free(link);
	rig_done(&rig);
}

Test(controller, undoes_a_creation_that_tenantd_refuses)
{
	struct rig rig = { 0 };
	struct varlink *link;
	static union rig_message apply;
	static union rig_message remove;
	json_t *answer;

	rig_init(&rig);
	link = rig_connect(&rig);
	rig_call(&rig, link, "io.tenantd.CreateTenant",
	         json_pack("{s:s, s:s, s:{}}", "name", "acme", "tier", "free", "metadata"),
	         NULL);
	rig_take(&rig, SPEC_TENANT_APPLY, &apply);
	cr_expect_str_eq(apply.apply.name, "acme");
	cr_expect_eq(apply.apply.limits.memory_max_bytes, 128 << 20);
	cr_expect_eq(apply.apply.limits.executions_max, 2);
	rig_reply(&rig, &apply, TN_UNSUPPORTED);
	answer = rig_answer(&rig, link);
	cr_expect_str_eq(rig_text(answer, "error"), "io.tenantd.Unsupported");
	json_decref(answer);
	rig_take(&rig, SPEC_TENANT_REMOVE, &remove);
	cr_expect(id_equal(&remove.remove.tenant, &apply.apply.tenant));
	rig_reply(&rig, &remove, TN_OK);
	json_decref(rig_refused(&rig, link, "io.tenantd.GetTenant",
	                        json_pack("{s:s}", "tenant", "acme"), NULL,
	                        "io.tenantd.NotFound"));
	rig_tenant(&rig, "acme");
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(controller, undoes_a_creation_that_its_own_end_interrupted)
{
	struct rig rig = { 0 };
	struct varlink *link;
	static union rig_message apply;
	static union rig_message remove;

	rig_init(&rig);
	link = rig_connect(&rig);
	rig_call(&rig, link, "io.tenantd.CreateTenant",
	         json_pack("{s:s, s:s, s:{}}", "name", "acme", "tier", "free", "metadata"),
	         NULL);
	rig_take(&rig, SPEC_TENANT_APPLY, &apply);
	(void)varlink_free(link);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	rig_take(&rig, SPEC_TENANT_REMOVE, &remove);
	cr_expect(id_equal(&remove.remove.tenant, &apply.apply.tenant));
	rig_reply(&rig, &remove, TN_OK);
	rig_tenant(&rig, "acme");
	rig_done(&rig);
}

Test(controller, creates_a_tenant_once_and_shows_it_by_name_and_id)
{
	struct rig rig = { 0 };
	struct varlink *link;
	json_t *answer;
	json_t *tenant;
	char id[ID_TEXT_BYTES];

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	json_decref(rig_refused(
		&rig, link, "io.tenantd.CreateTenant",
		json_pack("{s:s, s:s, s:{}}", "name", "acme", "tier", "free", "metadata"), NULL,
		"io.tenantd.AlreadyExists"));
	cr_expect(rig_silent(&rig), "tenantd must not hear of a name that is taken");
	answer = rig_ask(&rig, link, "io.tenantd.GetTenant",
	                 json_pack("{s:s}", "tenant", "acme"), NULL);
	tenant = json_object_get(answer, "tenant");
	cr_expect_str_eq(rig_text(tenant, "status"), "active");
	cr_expect_str_eq(rig_text(tenant, "cgroup"), "/sys/fs/cgroup/test/acme");
	cr_expect_eq(rig_number(tenant, "uid_first"), 65536);
	cr_expect_eq(rig_number(tenant, "version"), 2);
	(void)snprintf(id, sizeof(id), "%s", rig_text(tenant, "id"));
	json_decref(answer);

	rig_restart(&rig);
	(void)varlink_free(link);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	link = rig_connect(&rig);
	answer = rig_ask(&rig, link, "io.tenantd.GetTenant", json_pack("{s:s}", "tenant", id),
	                 NULL);
	cr_expect_str_eq(rig_text(json_object_get(answer, "tenant"), "name"), "acme");
	json_decref(answer);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(controller, books_once_what_tenantd_repeats_after_a_restart)
{
	struct rig rig = { 0 };
	struct varlink *link;
	static union rig_message launch;
	static union rig_message settled;
	struct spec_exited exited;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_cgroup(&rig, "acme", 700);
	rig_run_started(&rig, link, "acme", &launch);
	exited = rig_exited_of(&launch, 0, 500);
	rig_exited(&rig, &exited);
	rig_take(&rig, SPEC_SETTLED, &settled);
	(void)varlink_free(link);

	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	rig_exited(&rig, &exited);
	rig_take(&rig, SPEC_SETTLED, &settled);
	cr_expect(id_equal(&settled.settled.execution, &launch.launch.execution));
	cr_expect_eq(usage_of(&rig, "executions"), 1);
	cr_expect_eq(usage_of(&rig, "execution_time"), 500000);
	cr_expect_eq(usage_of(&rig, "cpu_time"), 700);
	rig_done(&rig);
}

Test(controller, takes_over_what_runs_after_a_restart)
{
	struct rig rig = { 0 };
	struct varlink *link;
	static union rig_message launch;
	static union rig_message message;
	struct spec_exited exited;
	json_t *answer;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_run_started(&rig, link, "acme", &launch);
	rig_restart(&rig);
	cr_expect(rig_silent(&rig));
	(void)varlink_free(link);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	cr_expect(rig_silent(&rig), "the end of a controller kills nothing");

	launch.head.serial = 0;
	rig_started(&rig, &launch);
	rig_take(&rig, SPEC_TENANT_APPLY, &message);
	rig_reply(&rig, &message, TN_OK);
	link = rig_connect(&rig);
	answer = rig_ask(&rig, link, "io.tenantd.ListExecutions", json_object(), "more");
	cr_expect_str_eq(rig_text(json_object_get(answer, "execution"), "state"), "running");
	json_decref(answer);
	exited = rig_exited_of(&launch, 0, 500);
	rig_exited(&rig, &exited);
	rig_take(&rig, SPEC_SETTLED, &message);
	answer = rig_ask(&rig, link, "io.tenantd.ListExecutions", json_pack("{s:b}", "all", 1),
	                 "more");
	cr_expect_str_eq(rig_text(json_object_get(answer, "execution"), "state"), "exited");
	cr_expect_str_eq(rig_text(json_object_get(answer, "execution"), "reason"), "exited");
	json_decref(answer);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(controller, commits_what_waits_when_tenantd_goes)
{
	struct rig rig = { 0 };
	struct varlink *link;
	static union rig_message launch;
	struct spec_exited exited;
	struct tn_error err = { 0 };

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_run_started(&rig, link, "acme", &launch);
	exited = rig_exited_of(&launch, 0, 500);
	rig_exited(&rig, &exited);
	(void)shutdown(rig.supervisor, SHUT_RDWR);
	cr_expect_eq(loop_run(rig.loop, &err), 0, "a plain end is no failure");
	(void)varlink_free(link);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	cr_expect_eq(usage_of(&rig, "executions"), 1);
	rig_done(&rig);
}

Test(controller, closes_the_sum_while_something_runs)
{
	struct rig rig = { 0 };
	struct varlink *link;
	struct varlink *asking;
	static union rig_message launch;
	char leaf[64] = "acme/";
	json_t *answer;
	json_t *record;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_run_started(&rig, link, "acme", &launch);
	id_format(&launch.launch.execution, leaf + 5);
	rig_cgroup(&rig, "acme", 900);
	rig_cgroup(&rig, leaf, 850);
	asking = rig_connect(&rig);
	answer = rig_ask(&rig, asking, "io.tenantd.GetUsage",
	                 json_pack("{s:s}", "tenant", "acme"), "more");
	cr_expect_eq(rig_number(json_object_get(answer, "meters"), "cpu_time"), 900);
	cr_expect_eq(rig_number(json_object_get(answer, "meters"), "executions"), 0);
	cr_expect_eq(rig_number(answer, "unattributed_usec"), 50);
	json_decref(answer);
	answer = rig_answer(&rig, asking);
	record = json_object_get(json_object_get(answer, "parameters"), "execution");
	cr_expect_eq(rig_number(record, "cpu_usec"), 850);
	cr_expect_str_eq(rig_text(record, "state"), "running");
	cr_expect(json_is_null(json_object_get(record, "ended_at")));
	json_decref(answer);
	(void)varlink_free(asking);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(controller, brings_live_tenants_to_a_new_policy_or_keeps_the_old)
{
	struct rig rig = { 0 };
	struct varlink *link;
	static union rig_message apply;
	json_t *answer;
	json_t *refused;
	char hash[RECORD_HASH_BYTES];

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	(void)snprintf(hash, sizeof(hash), "%s",
	               policy_hash_hex(rig.context->policies.present));

	rig_write(&rig, "tiers/free.yaml", "tier: free\nlimits:\n  memory_max: nonsense\n");
	refused = rig_refused(&rig, link, "io.tenantd.ReloadPolicy", json_object(), NULL,
	                      "io.tenantd.Invalid");
	cr_expect(strstr(rig_text(refused, "message"), "tiers/free.yaml:3") != NULL, "%s",
	          rig_text(refused, "message"));
	json_decref(refused);
	rig_write(&rig, "tiers/free.yaml", "tier: gratis\n");
	refused = rig_refused(&rig, link, "io.tenantd.ReloadPolicy", json_object(), NULL,
	                      "io.tenantd.Invalid");
	json_decref(refused);
	cr_expect_str_eq(policy_hash_hex(rig.context->policies.present), hash);
	cr_expect(rig_silent(&rig));

	rig_write(&rig, "tiers/free.yaml", "tier: free\nlimits:\n  memory_max: 96M\n");
	rig_call(&rig, link, "io.tenantd.ReloadPolicy", json_object(), NULL);
	rig_take(&rig, SPEC_TENANT_APPLY, &apply);
	cr_expect_eq(apply.apply.limits.memory_max_bytes, 96 << 20);
	rig_reply(&rig, &apply, TN_OK);
	answer = rig_answer(&rig, link);
	cr_expect(json_object_get(answer, "error") == NULL);
	cr_expect_str_neq(rig_text(json_object_get(answer, "parameters"), "policy_hash"), hash);
	json_decref(answer);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(controller, keeps_a_tier_that_a_tenant_has)
{
	struct rig rig = { 0 };
	struct varlink *link;
	char path[256];
	json_t *refused;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	(void)snprintf(path, sizeof(path), "%s/tiers/free.yaml", rig.dir);
	cr_assert_eq(unlink(path), 0);
	link = rig_connect(&rig);
	refused = rig_refused(&rig, link, "io.tenantd.ReloadPolicy", json_object(), NULL,
	                      "io.tenantd.InvalidState");
	cr_expect_str_eq(rig_text(refused, "message"),
	                 "tenants have tier 'free', which the new policy lacks");
	json_decref(refused);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(controller, says_what_the_kernel_does_not_enforce)
{
	struct rig rig = { 0 };
	struct varlink *link;
	json_t *answer;
	json_t *list;

	rig_init(&rig);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU | SPEC_CONTROLLER_PIDS);
	link = rig_connect(&rig);
	answer = rig_ask(&rig, link, "io.tenantd.GetStatus", json_object(), NULL);
	list = json_object_get(answer, "unenforced");
	cr_assert_eq(json_array_size(list), 2);
	cr_expect_str_eq(json_string_value(json_array_get(list, 0)), "memory");
	cr_expect_str_eq(json_string_value(json_array_get(list, 1)), "io");
	cr_expect_str_eq(rig_text(answer, "health"), "degraded");
	json_decref(answer);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(controller, gives_up_executions_that_a_reboot_took, .timeout = 60)
{
	struct rig rig = { 0 };
	struct varlink *link;
	static union rig_message launch;
	json_t *answer = NULL;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_run_started(&rig, link, "acme", &launch);
	rig_restart(&rig);
	(void)varlink_free(link);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	link = rig_connect(&rig);
	for (int i = 0; i < 150; i++) {
		(void)usleep(100000);
		rig_turn(&rig);
	}
	answer = rig_ask(&rig, link, "io.tenantd.ListExecutions", json_pack("{s:b}", "all", 1),
	                 "more");
	cr_expect_str_eq(rig_text(json_object_get(answer, "execution"), "reason"), "unknown");
	cr_expect(json_is_null(
		json_object_get(json_object_get(answer, "execution"), "exit_code")));
	cr_expect(json_is_null(
		json_object_get(json_object_get(answer, "execution"), "ended_at")));
	json_decref(answer);
	(void)varlink_free(link);
	rig_done(&rig);
}
