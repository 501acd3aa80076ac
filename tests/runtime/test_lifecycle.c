/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* runtime/lifecycle.c: what a tenant becomes, what tenantd hears of it and when, and what is
 * left when it says no. */
#include <criterion/criterion.h>

#include "rig.h"

TestSuite(lifecycle, .timeout = 60);

#define RUNS    "populated 1\nfrozen 0\n"
#define STOPPED "populated 1\nfrozen 1\n"

static void events_write(const struct rig *rig, const char *text)
{
	rig_cgroup(rig, "acme", 0);
	rig_write(rig, "cgroup/acme/cgroup.events", text);
}

static json_t *tenant_call(void)
{
	return json_pack("{s:s}", "tenant", "acme");
}

static void expect_tenant(struct rig *rig, struct varlink *link, const char *status,
                          const char *tier)
{
	json_t *answer = rig_ask(rig, link, "io.tenantd.GetTenant", tenant_call(), NULL);
	const json_t *tenant = json_object_get(answer, "tenant");

	cr_expect_str_eq(rig_text(tenant, "status"), status);
	cr_expect_str_eq(rig_text(tenant, "tier"), tier);
	json_decref(answer);
}

static void expect_refused(struct rig *rig, struct varlink *link, const char *method,
                           const char *message)
{
	json_t *refused = rig_refused(rig, link, method, tenant_call(), NULL,
	                              "io.tenantd.InvalidState");

	cr_expect_str_eq(rig_text(refused, "message"), message);
	json_decref(refused);
}

/* The answer to what was called before: a tenant of this status. */
static void expect_answer(struct rig *rig, struct varlink *link, const char *status)
{
	json_t *answer = rig_answer(rig, link);
	const json_t *tenant = json_object_get(json_object_get(answer, "parameters"), "tenant");

	cr_assert(json_object_get(answer, "error") == NULL, "%s", rig_text(answer, "error"));
	cr_expect_str_eq(rig_text(tenant, "status"), status);
	json_decref(answer);
}

static void expect_error(struct rig *rig, struct varlink *link, const char *error)
{
	json_t *answer = rig_answer(rig, link);

	cr_expect_str_eq(rig_text(answer, "error"), error);
	json_decref(answer);
}

static void suspend(struct rig *rig, struct varlink *link)
{
	static union rig_message freeze;

	events_write(rig, STOPPED);
	rig_call(rig, link, "io.tenantd.SuspendTenant", tenant_call(), NULL);
	rig_take(rig, SPEC_TENANT_FREEZE, &freeze);
	cr_expect_eq(freeze.freeze.frozen, 1);
	rig_reply(rig, &freeze, TN_OK);
	expect_answer(rig, link, "suspended");
}

Test(lifecycle, suspends_once_nothing_runs_any_more)
{
	struct rig rig = { 0 };
	static union rig_message freeze;
	struct varlink *link, *other;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	other = rig_connect(&rig);
	events_write(&rig, RUNS);
	rig_call(&rig, link, "io.tenantd.SuspendTenant", tenant_call(), NULL);
	rig_take(&rig, SPEC_TENANT_FREEZE, &freeze);
	/* Launches are refused from then on. */
	rig_run(&rig, other, "acme", NULL);
	expect_error(&rig, other, "io.tenantd.InvalidState");
	expect_refused(&rig, other, "io.tenantd.ResumeTenant",
	               "another change of tenant 'acme' is under way; try again");
	rig_reply(&rig, &freeze, TN_OK);
	expect_tenant(&rig, other, "suspended", "free");
	events_write(&rig, STOPPED);
	expect_answer(&rig, link, "suspended");
	expect_refused(&rig, link, "io.tenantd.SuspendTenant",
	               "tenant 'acme' is suspended; it cannot become suspended");
	(void)varlink_free(other);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(lifecycle, lets_go_on_and_launches_again)
{
	struct rig rig = { 0 };
	static union rig_message freeze, launch;
	struct varlink *link;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	expect_refused(&rig, link, "io.tenantd.ResumeTenant",
	               "tenant 'acme' is active; it cannot become active");
	suspend(&rig, link);
	rig_call(&rig, link, "io.tenantd.ResumeTenant", tenant_call(), NULL);
	rig_take(&rig, SPEC_TENANT_FREEZE, &freeze);
	cr_expect_eq(freeze.freeze.frozen, 0);
	rig_reply(&rig, &freeze, TN_OK);
	expect_answer(&rig, link, "active");
	rig_run_started(&rig, link, "acme", &launch);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(lifecycle, leaves_a_tenant_as_it_was_when_tenantd_says_no)
{
	struct rig rig = { 0 };
	static union rig_message freeze;
	struct varlink *link;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_call(&rig, link, "io.tenantd.SuspendTenant", tenant_call(), NULL);
	rig_take(&rig, SPEC_TENANT_FREEZE, &freeze);
	rig_reply(&rig, &freeze, TN_SYSTEM);
	expect_error(&rig, link, "io.tenantd.System");
	expect_tenant(&rig, link, "active", "free");
	suspend(&rig, link);
	rig_call(&rig, link, "io.tenantd.ResumeTenant", tenant_call(), NULL);
	rig_take(&rig, SPEC_TENANT_FREEZE, &freeze);
	rig_reply(&rig, &freeze, TN_SYSTEM);
	expect_error(&rig, link, "io.tenantd.System");
	expect_tenant(&rig, link, "suspended", "free");
	(void)varlink_free(link);
	rig_done(&rig);
}

/* Whatever became of the word to tenantd. */
Test(lifecycle, freezes_again_what_the_store_takes_for_suspended)
{
	struct rig rig = { 0 };
	static union rig_message apply, freeze;
	struct varlink *link;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	rig_tenant(&rig, "globex");
	link = rig_connect(&rig);
	rig_call(&rig, link, "io.tenantd.SuspendTenant", tenant_call(), NULL);
	rig_take(&rig, SPEC_TENANT_FREEZE, &freeze);
	(void)varlink_free(link);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	rig_take(&rig, SPEC_TENANT_APPLY, &apply);
	cr_expect_str_eq(apply.apply.name, "acme");
	rig_take(&rig, SPEC_TENANT_FREEZE, &freeze);
	cr_expect(id_equal(&freeze.freeze.tenant, &apply.apply.tenant));
	cr_expect_eq(freeze.freeze.frozen, 1);
	cr_expect(rig_silent(&rig));
	rig_reply(&rig, &apply, TN_OK);
	rig_reply(&rig, &freeze, TN_OK);
	link = rig_connect(&rig);
	expect_tenant(&rig, link, "suspended", "free");
	(void)varlink_free(link);
	rig_done(&rig);
}

static void suspended_put(struct rig *rig, const char *name)
{
	const struct store_ops *ops = rig->context->store->ops;
	struct tenant_row row = { 0 };
	struct tn_error err = { 0 };

	rig_tenant(rig, name);
	cr_assert_eq(ops->tenant_by_name(rig->context->store, name, &row, &err), 1);
	row.status = TENANT_SUSPENDED;
	cr_assert_eq(ops->tenant_update(rig->context->store, &row, NULL, &err), 0, "%s",
	             err.msg);
	tenant_row_done(&row);
}

/* More than tenantd may owe answers at a time; and one that it refuses stops nobody. */
Test(lifecycle, freezes_as_many_as_there_are_and_serves_meanwhile)
{
	struct rig rig = { 0 };
	static union rig_message apply, freeze;
	struct varlink *link;
	char name[16];
	const int tenants = SUPERVISOR_REPLIES_MAX / 2 + 20;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	for (int i = 0; i < tenants; i++) {
		(void)snprintf(name, sizeof(name), "t%04d", i);
		suspended_put(&rig, name);
	}
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	link = rig_connect(&rig);
	expect_tenant(&rig, link, "active", "free");
	for (int i = 0; i < tenants; i++) {
		rig_take(&rig, SPEC_TENANT_APPLY, &apply);
		(void)snprintf(name, sizeof(name), "t%04d", i);
		cr_assert_str_eq(apply.apply.name, name);
		rig_take(&rig, SPEC_TENANT_FREEZE, &freeze);
		cr_expect(rig_silent(&rig));
		rig_reply(&rig, &apply, TN_OK);
		rig_reply(&rig, &freeze, i == 7 ? TN_SYSTEM : TN_OK);
	}
	cr_expect(rig_silent(&rig));
	(void)varlink_free(link);
	rig_done(&rig);
}

/* What it has been sent last is what holds. */
Test(lifecycle, sends_no_limits_of_before_behind_those_of_a_change)
{
	struct rig rig = { 0 };
	static union rig_message apply, launch;
	struct varlink *link, *other;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	link = rig_connect(&rig);
	other = rig_connect(&rig);
	rig_call(&rig, link, "io.tenantd.UpdateTenant",
	         json_pack("{s:s, s:s}", "tenant", "acme", "tier", "large"), NULL);
	rig_take(&rig, SPEC_TENANT_APPLY, &apply);
	rig_run(&rig, other, "acme", NULL);
	rig_take(&rig, SPEC_LAUNCH, &launch);
	rig_reply(&rig, &apply, TN_OK);
	expect_answer(&rig, link, "active");
	(void)varlink_free(other);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(lifecycle, changes_what_is_said_and_nothing_else)
{
	struct rig rig = { 0 };
	struct varlink *link;
	json_t *answer;
	const json_t *tenant, *settings, *metadata;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	json_decref(rig_ask(&rig, link, "io.tenantd.UpdateTenant",
	                    json_pack("{s:s, s:{s:s, s:s}}", "tenant", "acme", "metadata", "a",
	                              "1", "b", "2"),
	                    NULL));
	answer = rig_ask(&rig, link, "io.tenantd.UpdateTenant",
	                 json_pack("{s:s, s:s, s:{s:n, s:s}, s:{s:i, s:s}, s:i}", "tenant",
	                           "acme", "display_name", "Acme, Inc.", "metadata", "a", "c",
	                           "3", "settings", "billing_anchor_day", 31, "currency", "EUR",
	                           "if_version", 3),
	                 NULL);
	tenant = json_object_get(answer, "tenant");
	settings = json_object_get(tenant, "settings");
	metadata = json_object_get(tenant, "metadata");
	cr_expect_str_eq(rig_text(tenant, "display_name"), "Acme, Inc.");
	cr_expect_str_eq(rig_text(tenant, "tier"), "free");
	cr_expect_eq(rig_number(tenant, "version"), 4);
	cr_expect_eq(rig_number(settings, "billing_anchor_day"), 31);
	cr_expect_str_eq(rig_text(settings, "currency"), "EUR");
	cr_expect_str_eq(rig_text(settings, "time_zone"), "UTC");
	cr_expect_eq(json_object_size(metadata), 2u);
	cr_expect_str_eq(rig_text(metadata, "b"), "2");
	cr_expect_str_eq(rig_text(metadata, "c"), "3");
	json_decref(answer);
	cr_expect(rig_silent(&rig), "no limit has changed");
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(lifecycle, refuses_a_change_that_is_wrong_or_comes_too_late_whole)
{
	struct rig rig = { 0 };
	struct varlink *link;
	json_t *refused, *answer;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	refused = rig_refused(&rig, link, "io.tenantd.UpdateTenant",
	                      json_pack("{s:s, s:s, s:i}", "tenant", "acme", "display_name",
	                                "Late", "if_version", 1),
	                      NULL, "io.tenantd.VersionConflict");
	cr_expect_str_eq(rig_text(refused, "message"), "tenant 'acme' has version 2, not 1");
	json_decref(refused);
	refused = rig_refused(&rig, link, "io.tenantd.UpdateTenant",
	                      json_pack("{s:s, s:s, s:s}", "tenant", "acme", "display_name",
	                                "Other", "tier", "gold"),
	                      NULL, "io.tenantd.NotFound");
	cr_expect_str_eq(rig_text(refused, "message"), "there is no tier 'gold'");
	json_decref(refused);
	json_decref(rig_refused(&rig, link, "io.tenantd.UpdateTenant",
	                        json_pack("{s:s, s:s, s:{s:i}}", "tenant", "acme",
	                                  "display_name", "Other", "metadata", "n", 1),
	                        NULL, "io.tenantd.Invalid"));
	answer = rig_ask(&rig, link, "io.tenantd.GetTenant", tenant_call(), NULL);
	cr_expect_str_eq(rig_text(json_object_get(answer, "tenant"), "display_name"), "acme");
	cr_expect_eq(rig_number(json_object_get(answer, "tenant"), "version"), 2);
	json_decref(answer);
	cr_expect(rig_silent(&rig));
	(void)varlink_free(link);
	rig_done(&rig);
}

static void tier_call(struct rig *rig, struct varlink *link, union rig_message *ret)
{
	rig_call(rig, link, "io.tenantd.UpdateTenant",
	         json_pack("{s:s, s:s}", "tenant", "acme", "tier", "large"), NULL);
	rig_take(rig, SPEC_TENANT_APPLY, ret);
	cr_expect_eq(ret->apply.limits.memory_max_bytes, INT64_C(4) << 30);
}

Test(lifecycle, moves_a_tenant_to_another_tier_or_leaves_all_as_it_was)
{
	struct rig rig = { 0 };
	static union rig_message apply;
	struct varlink *link;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	tier_call(&rig, link, &apply);
	rig_reply(&rig, &apply, TN_SYSTEM);
	expect_error(&rig, link, "io.tenantd.System");
	rig_take(&rig, SPEC_TENANT_APPLY, &apply);
	cr_expect_eq(apply.apply.limits.memory_max_bytes, 128 << 20);
	rig_reply(&rig, &apply, TN_OK);
	expect_tenant(&rig, link, "active", "free");

	tier_call(&rig, link, &apply);
	rig_reply(&rig, &apply, TN_OK);
	expect_answer(&rig, link, "active");
	expect_tenant(&rig, link, "active", "large");
	cr_expect(rig_silent(&rig));
	(void)varlink_free(link);
	rig_done(&rig);
}

static json_t *overrides_call(const char *key, const char *value)
{
	return json_pack("{s:s, s:{s:s?}}", "tenant", "acme", "overrides", key, value);
}

Test(lifecycle, holds_a_tenant_to_limits_of_its_own_over_those_of_its_tier)
{
	struct rig rig = { 0 };
	static union rig_message apply, launch;
	struct varlink *link;
	json_t *answer, *refused;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_call(&rig, link, "io.tenantd.UpdateTenant",
	         overrides_call("limits.memory_max", "96M"), NULL);
	rig_take(&rig, SPEC_TENANT_APPLY, &apply);
	cr_expect_eq(apply.apply.limits.memory_max_bytes, 96 << 20);
	cr_expect_eq(apply.apply.limits.tasks_max, 32, "the tier's");
	rig_reply(&rig, &apply, TN_OK);
	expect_answer(&rig, link, "active");
	rig_call(&rig, link, "io.tenantd.UpdateTenant",
	         overrides_call("limits.runtime_max", "7s"), NULL);
	rig_take(&rig, SPEC_TENANT_APPLY, &apply);
	cr_expect_eq(apply.apply.limits.memory_max_bytes, 96 << 20);
	rig_reply(&rig, &apply, TN_OK);
	expect_answer(&rig, link, "active");
	rig_run_started(&rig, link, "acme", &launch);
	cr_expect_eq(launch.launch.limits.runtime_usec_max, 7000000);
	(void)varlink_free(link);

	/* After a restart, too, and in the answer. */
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	link = rig_connect(&rig);
	answer = rig_ask(&rig, link, "io.tenantd.GetTenant", tenant_call(), NULL);
	cr_expect_str_eq(
		rig_text(json_object_get(json_object_get(answer, "tenant"), "overrides"),
	                 "limits.memory_max"),
		"96M");
	json_decref(answer);
	refused = rig_refused(&rig, link, "io.tenantd.UpdateTenant",
	                      overrides_call("limits.memory_max", "1K"), NULL,
	                      "io.tenantd.Invalid");
	cr_expect(strstr(rig_text(refused, "message"), "memory_max: '1K' is out of range") !=
	                  NULL,
	          "%s", rig_text(refused, "message"));
	json_decref(refused);
	refused = rig_refused(&rig, link, "io.tenantd.UpdateTenant",
	                      overrides_call("rootfs", "host"), NULL, "io.tenantd.Invalid");
	cr_expect(strstr(rig_text(refused, "message"),
	                 "'rootfs' is nothing that a tenant can") != NULL,
	          "%s", rig_text(refused, "message"));
	json_decref(refused);
	/* Though nothing has been launched for it since. */
	rig_call(&rig, link, "io.tenantd.UpdateTenant",
	         overrides_call("limits.memory_max", NULL), NULL);
	rig_take(&rig, SPEC_TENANT_APPLY, &apply);
	cr_expect_eq(apply.apply.limits.memory_max_bytes, 128 << 20);
	rig_reply(&rig, &apply, TN_OK);
	expect_answer(&rig, link, "active");
	answer = rig_ask(&rig, link, "io.tenantd.GetTenant", tenant_call(), NULL);
	cr_expect_eq(json_object_size(
			     json_object_get(json_object_get(answer, "tenant"), "overrides")),
	             1u);
	json_decref(answer);
	(void)varlink_free(link);
	rig_done(&rig);
}

/* Whatever place in memory a policy has. */
Test(lifecycle, resolves_a_tenants_own_limits_anew_for_each_policy)
{
	struct rig rig = { 0 };
	static union rig_message apply;
	struct varlink *link;
	char text[128];

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_call(&rig, link, "io.tenantd.UpdateTenant",
	         overrides_call("limits.executions_max", "3"), NULL);
	rig_take(&rig, SPEC_TENANT_APPLY, &apply);
	rig_reply(&rig, &apply, TN_OK);
	expect_answer(&rig, link, "active");
	for (int i = 10; i < 20; i++) {
		(void)snprintf(text, sizeof(text), "tier: free\nlimits:\n  tasks_max: %d\n", i);
		rig_write(&rig, "tiers/free.yaml", text);
		rig_call(&rig, link, "io.tenantd.ReloadPolicy", json_object(), NULL);
		rig_take(&rig, SPEC_TENANT_APPLY, &apply);
		cr_expect_eq(apply.apply.limits.tasks_max, i);
		cr_expect_eq(apply.apply.limits.executions_max, 3);
		rig_reply(&rig, &apply, TN_OK);
		json_decref(rig_answer(&rig, link));
	}
	(void)varlink_free(link);
	rig_done(&rig);
}

/* What would fail at the next launch fails now, and the policy is as it was. */
Test(lifecycle, takes_no_policy_that_a_tenants_own_limits_do_not_fit)
{
	struct rig rig = { 0 };
	static union rig_message apply;
	struct varlink *link;
	json_t *refused;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_call(&rig, link, "io.tenantd.UpdateTenant",
	         overrides_call("limits.memory_high", "100M"), NULL);
	rig_take(&rig, SPEC_TENANT_APPLY, &apply);
	rig_reply(&rig, &apply, TN_OK);
	expect_answer(&rig, link, "active");
	rig_write(&rig, "tiers/free.yaml", "tier: free\nlimits:\n  memory_max: 80M\n");
	refused = rig_refused(&rig, link, "io.tenantd.ReloadPolicy", json_object(), NULL,
	                      "io.tenantd.Invalid");
	cr_expect_str_eq(
		rig_text(refused, "message"),
		"tenant 'acme' of tier 'free': override:2:16: memory_high: 100M is above "
		"memory_max (tiers/free.yaml:3:3); expected at most 80M");
	json_decref(refused);
	cr_expect(rig_silent(&rig));
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(lifecycle, gives_up_what_is_under_way_when_tenantd_goes)
{
	struct rig rig = { 0 };
	static union rig_message apply;
	struct varlink *link;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	tier_call(&rig, link, &apply);
	rig_restart(&rig);
	(void)varlink_free(link);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	link = rig_connect(&rig);
	expect_tenant(&rig, link, "active", "free");
	(void)varlink_free(link);
	rig_done(&rig);
}

static size_t listed(struct rig *rig, struct varlink *link, json_t *parameters)
{
	size_t n = 0;
	bool more = true;

	rig_call(rig, link, "io.tenantd.ListTenants", parameters, "more");
	while (more) {
		json_t *answer = rig_answer(rig, link);
		json_t *got = json_object_get(answer, "parameters");

		cr_assert(json_object_get(answer, "error") == NULL);
		n += json_is_object(json_object_get(got, "tenant"));
		more = json_is_true(json_object_get(answer, "continues"));
		json_decref(answer);
	}
	return n;
}

Test(lifecycle, lists_those_of_a_status_and_a_tier)
{
	struct rig rig = { 0 };
	struct varlink *link;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	rig_tenant(&rig, "globex");
	link = rig_connect(&rig);
	suspend(&rig, link);
	cr_expect_eq(listed(&rig, link, json_object()), 2u);
	cr_expect_eq(listed(&rig, link, json_pack("{s:s}", "status", "suspended")), 1u);
	cr_expect_eq(listed(&rig, link, json_pack("{s:s}", "status", "deleting")), 0u);
	cr_expect_eq(listed(&rig, link, json_pack("{s:s}", "tier", "free")), 2u);
	cr_expect_eq(listed(&rig, link,
	                    json_pack("{s:s, s:s}", "status", "active", "tier", "large")),
	             0u);
	json_decref(rig_refused(&rig, link, "io.tenantd.ListTenants",
	                        json_pack("{s:s}", "status", "asleep"), "more",
	                        "io.tenantd.Invalid"));
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(lifecycle, lists_those_that_metadata_tells_apart)
{
	struct rig rig = { 0 };
	struct varlink *link;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	rig_tenant(&rig, "globex");
	link = rig_connect(&rig);
	json_decref(rig_ask(&rig, link, "io.tenantd.UpdateTenant",
	                    json_pack("{s:s, s:{s:s, s:s}}", "tenant", "acme", "metadata", "a",
	                              "1", "b", ""),
	                    NULL));
	json_decref(rig_ask(
		&rig, link, "io.tenantd.UpdateTenant",
		json_pack("{s:s, s:{s:s}}", "tenant", "globex", "metadata", "a", "2"), NULL));
	cr_expect_eq(listed(&rig, link, json_pack("{s:{}}", "metadata")), 2u);
	cr_expect_eq(listed(&rig, link, json_pack("{s:{s:n}}", "metadata", "a")), 2u);
	cr_expect_eq(listed(&rig, link, json_pack("{s:{s:s}}", "metadata", "a", "2")), 1u);
	cr_expect_eq(listed(&rig, link, json_pack("{s:{s:s}}", "metadata", "a", "")), 0u);
	cr_expect_eq(listed(&rig, link, json_pack("{s:{s:s}}", "metadata", "b", "")), 1u);
	cr_expect_eq(listed(&rig, link, json_pack("{s:{s:s, s:n}}", "metadata", "a", "2", "b")),
	             0u);
	json_decref(rig_refused(&rig, link, "io.tenantd.ListTenants",
	                        json_pack("{s:{s:i}}", "metadata", "a", 1), "more",
	                        "io.tenantd.Invalid"));
	(void)varlink_free(link);
	rig_done(&rig);
}

static json_t *delete_call(bool force)
{
	return json_pack("{s:s, s:b}", "tenant", "acme", "force", force);
}

/* What tenantd hears of a deletion that has begun, up to the last. */
static void take_end(struct rig *rig)
{
	static union rig_message freeze, kill;

	rig_take(rig, SPEC_TENANT_FREEZE, &freeze);
	cr_expect_eq(freeze.freeze.frozen, 1);
	rig_take(rig, SPEC_KILL, &kill);
	cr_expect_eq(kill.kill.whole_tenant, 1);
	/* It may not know the tenant, and then there is nothing to freeze. */
	rig_reply(rig, &freeze, TN_NOT_FOUND);
}

static void take_delete(struct rig *rig, enum spec_delete_how how, enum tn_error_code code)
{
	static union rig_message message;

	rig_take(rig, SPEC_TENANT_DELETE, &message);
	cr_expect_eq(message.delete.how, how);
	rig_reply(rig, &message, code);
}

static int64_t cpu_time(struct rig *rig, struct varlink *link, const char *tenant)
{
	int64_t figure;
	json_t *answer;
	bool more;

	rig_call(rig, link, "io.tenantd.GetUsage", json_pack("{s:s}", "tenant", tenant),
	         "more");
	answer = rig_answer(rig, link);
	figure = rig_number(json_object_get(json_object_get(answer, "parameters"), "meters"),
	                    "cpu_time");
	do {
		more = json_is_true(json_object_get(answer, "continues"));
		json_decref(answer);
		answer = more ? rig_answer(rig, link) : NULL;
	} while (more);
	return figure;
}

Test(lifecycle, deletes_what_neither_runs_nor_stores_and_frees_its_name)
{
	struct rig rig = { 0 };
	struct varlink *link;
	char id[ID_TEXT_BYTES];
	json_t *answer;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	rig_cgroup(&rig, "acme", 777);
	link = rig_connect(&rig);
	answer = rig_ask(&rig, link, "io.tenantd.GetTenant", tenant_call(), NULL);
	(void)snprintf(id, sizeof(id), "%s", rig_text(json_object_get(answer, "tenant"), "id"));
	json_decref(answer);
	rig_call(&rig, link, "io.tenantd.DeleteTenant", delete_call(false), NULL);
	take_delete(&rig, SPEC_DELETE_CHECK, TN_OK);
	take_end(&rig);
	take_delete(&rig, SPEC_DELETE_ALL, TN_OK);
	expect_answer(&rig, link, "deleted");
	rig_cgroup_remove(&rig, "acme");
	/* For its bills, by name as long as nobody has that. */
	expect_tenant(&rig, link, "deleted", "free");
	cr_expect_eq(cpu_time(&rig, link, "acme"), 777, "the last reading");
	cr_expect_eq(listed(&rig, link, json_object()), 0u);
	json_decref(rig_ask(&rig, link, "io.tenantd.ReloadPolicy", json_object(), NULL));
	cr_expect(rig_silent(&rig), "a reload makes nothing of it anew");
	expect_refused(&rig, link, "io.tenantd.ResumeTenant",
	               "tenant 'acme' is deleted; it cannot become active");

	rig_tenant(&rig, "acme");
	rig_cgroup(&rig, "acme", 5);
	expect_tenant(&rig, link, "active", "free");
	cr_expect_eq(cpu_time(&rig, link, "acme"), 5);
	cr_expect_eq(cpu_time(&rig, link, id), 777, "what another uses is not the dead one's");
	(void)varlink_free(link);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	link = rig_connect(&rig);
	expect_tenant(&rig, link, "active", "free");
	cr_expect_eq(cpu_time(&rig, link, id), 777);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(lifecycle, deletes_nothing_that_runs_or_is_stored_unless_it_is_forced_to)
{
	struct rig rig = { 0 };
	static union rig_message launch;
	struct varlink *link, *other, *third;
	struct spec_exited exited;
	json_t *refused, *answer;
	char why[RIG_WHY_BYTES_MAX];

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	rig_cgroup(&rig, "acme", 10);
	link = rig_connect(&rig);
	other = rig_connect(&rig);
	rig_run_started(&rig, other, "acme", &launch);
	refused = rig_refused(&rig, link, "io.tenantd.DeleteTenant", delete_call(false), NULL,
	                      "io.tenantd.InvalidState");
	cr_expect_str_eq(
		rig_text(refused, "message"),
		"tenant 'acme' is not deleted without --force: 1 execution is running");
	json_decref(refused);
	cr_expect(rig_silent(&rig));

	rig_call(&rig, link, "io.tenantd.DeleteTenant", delete_call(true), NULL);
	take_end(&rig);
	third = rig_connect(&rig);
	expect_tenant(&rig, third, "deleting", "free");
	(void)varlink_free(third);
	exited = rig_exited_of(&launch, 9, 33);
	exited.killed = SPEC_KILL_ADMIN;
	rig_cgroup(&rig, "acme", 40);
	rig_exited(&rig, &exited);
	json_decref(rig_run_end(&rig, other, why));
	for (;;) {
		static union rig_message message;

		/* The same again, until it is seen that nothing runs. */
		rig_take_any(&rig, &message);
		if (message.head.op == SPEC_TENANT_FREEZE)
			rig_reply(&rig, &message, TN_OK);
		if (message.head.op != SPEC_TENANT_DELETE)
			continue;
		rig_reply(&rig, &message, TN_OK);
		break;
	}
	expect_answer(&rig, link, "deleted");
	cr_expect_eq(cpu_time(&rig, link, "acme"), 40);
	(void)varlink_free(link);
	(void)varlink_free(other);

	rig_tenant(&rig, "globex");
	link = rig_connect(&rig);
	rig_call(&rig, link, "io.tenantd.DeleteTenant",
	         json_pack("{s:s, s:b}", "tenant", "globex", "force", 0), NULL);
	take_delete(&rig, SPEC_DELETE_CHECK, TN_STATE);
	answer = rig_answer(&rig, link);
	cr_expect_str_eq(rig_text(json_object_get(answer, "parameters"), "message"),
	                 "tenant 'globex' is not deleted without --force: tenantd says no");
	json_decref(answer);
	rig_run_started(&rig, link, "globex", &launch);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(lifecycle, goes_on_with_a_deletion_that_its_own_end_interrupted)
{
	struct rig rig = { 0 };
	struct varlink *link;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	rig_cgroup(&rig, "acme", 12);
	link = rig_connect(&rig);
	rig_call(&rig, link, "io.tenantd.DeleteTenant", delete_call(true), NULL);
	take_end(&rig);
	(void)varlink_free(link);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	take_end(&rig);
	/* Executions that we have not heard of yet: it is tried again. */
	take_delete(&rig, SPEC_DELETE_ALL, TN_STATE);
	take_end(&rig);
	take_delete(&rig, SPEC_DELETE_ALL, TN_OK);
	link = rig_connect(&rig);
	expect_tenant(&rig, link, "deleted", "free");
	cr_expect_eq(cpu_time(&rig, link, "acme"), 12);
	(void)varlink_free(link);
	rig_done(&rig);
}

static void slots_are(struct rig *rig, const struct id *tenants, uint32_t n)
{
	struct spec_slots slots = { .n = n };

	for (uint32_t i = 0; i < n; i++)
		slots.tenants[i] = tenants[i];
	rig_send(rig, SPEC_SLOTS, 0, &slots.head, sizeof(slots));
}

Test(lifecycle, looks_at_the_start_after_slots_that_no_tenant_has)
{
	static union rig_message message;
	struct rig rig = { 0 };
	struct id ids[2] = { { { 0x77 } } };
	struct tenant *tenant;
	struct tn_error err = { 0 };

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	cr_assert_eq(tenants_get(rig.context->tenants, "acme", &tenant, &err), 0);
	ids[1] = tenant->row.id;
	slots_are(&rig, ids, 2);
	/* Of one that it has never heard of, only what is empty goes. */
	rig_take(&rig, SPEC_TENANT_REMOVE, &message);
	cr_expect(id_equal(&message.remove.tenant, &ids[0]));
	rig_reply(&rig, &message, TN_OK);
	cr_expect(rig_silent(&rig), "what a tenant has stays");
	/* Of a deletion that was not heard of to the end, all does. */
	tenant->row.status = TENANT_DELETED;
	cr_assert_eq(rig.context->store->ops->tenant_update(rig.context->store, &tenant->row,
	                                                    NULL, &err),
	             0, "%s", err.msg);
	slots_are(&rig, &ids[1], 1);
	rig_take(&rig, SPEC_TENANT_DELETE, &message);
	cr_expect(id_equal(&message.delete.tenant, &ids[1]));
	cr_expect_eq(message.delete.how, SPEC_DELETE_ALL);
	rig_reply(&rig, &message, TN_OK);
	rig_done(&rig);
}
