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
