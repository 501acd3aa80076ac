/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shrink.c, update.c, reload.c: a limit below what is in use waits, kills nobody by surprise,
 * and leaves the old or the new. */
#include <criterion/criterion.h>
#include <string.h>

#include "rig.h"

TestSuite(shrink, .timeout = 60);

#define MIB INT64_C(1048576)

static struct rig rig;
static struct varlink *admin;
static union rig_message message;

static void use(const char *tenant, int64_t bytes)
{
	char path[64], text[32];

	(void)snprintf(path, sizeof(path), "cgroup/%s/memory.current", tenant);
	(void)snprintf(text, sizeof(text), "%lld\n", (long long)bytes);
	rig_cgroup(&rig, tenant, 7);
	rig_write(&rig, path, text);
}

static void set_up(void)
{
	rig_init(&rig);
	admin = rig_connect(&rig);
	rig_tenant(&rig, "acme");
	use("acme", 100 * MIB);
}

static void tear_down(void)
{
	(void)varlink_free(admin);
	rig_done(&rig);
}

static json_t *to_have(const char *tenant, const char *memory_max, const char *grace)
{
	return json_pack("{s:s, s:{s:s, s:s}}", "tenant", tenant, "overrides",
	                 "limits.memory_max", memory_max, "limits.shrink_grace", grace);
}

/* memory_max is to be below its use: tenantd is asked to squeeze it. */
static void take_squeeze(int64_t high_bytes)
{
	rig_take(&rig, SPEC_TENANT_SQUEEZE, &message);
	cr_expect_eq(message.squeeze.memory_high_bytes, high_bytes, "%lld",
	             (long long)message.squeeze.memory_high_bytes);
	rig_reply(&rig, &message, TN_OK);
}

static void take_apply(int64_t memory_max, uint32_t flags, enum tn_error_code code)
{
	rig_take(&rig, SPEC_TENANT_APPLY, &message);
	cr_expect_eq(message.apply.limits.memory_max_bytes, memory_max, "%lld",
	             (long long)message.apply.limits.memory_max_bytes);
	cr_expect_eq(message.apply.flags, flags);
	rig_reply(&rig, &message, code);
}

static void expect_done(struct varlink *link)
{
	json_t *answer = rig_answer(&rig, link);

	cr_expect_null(json_object_get(answer, "error"), "%s", rig_text(answer, "error"));
	json_decref(answer);
}

static void expect_refused(struct varlink *link, const char *error, const char *says)
{
	json_t *answer = rig_answer(&rig, link);

	cr_expect_str_eq(rig_text(answer, "error"), error);
	cr_expect_str_eq(rig_text(json_object_get(answer, "parameters"), "message"), says);
	json_decref(answer);
}

static void expect_override(const char *tenant, const char *memory_max)
{
	json_t *answer = rig_ask(&rig, admin, "io.tenantd.GetTenant",
	                         json_pack("{s:s}", "tenant", tenant), NULL);
	const json_t *overrides = json_object_get(json_object_get(answer, "tenant"),
	                                          "overrides");

	cr_expect_str_eq(rig_text(overrides, "limits.memory_max"), memory_max);
	json_decref(answer);
}

Test(shrink, waits_until_memory_is_given_back_and_others_go_on, .init = set_up,
     .fini = tear_down)
{
	struct varlink *other = rig_connect(&rig), *runner = rig_connect(&rig);

	rig_call(&rig, admin, "io.tenantd.UpdateTenant", to_have("acme", "64M", "1h"), NULL);
	take_squeeze(60 * MIB);
	rig_window(&rig);
	cr_expect_not(rig_answered(&rig, admin));
	/* Meanwhile everybody else is served, and so is the tenant. */
	json_decref(rig_ask(&rig, other, "io.tenantd.GetTenant",
	                    json_pack("{s:s}", "tenant", "acme"), NULL));
	rig_run_started(&rig, runner, "acme", &message);
	use("acme", 64 * MIB);
	take_apply(64 * MIB, 0, TN_OK);
	expect_done(admin);
	expect_override("acme", "64M");
	(void)varlink_free(other);
	(void)varlink_free(runner);
}

Test(shrink, is_refused_with_the_figures_and_all_is_as_it_was, .init = set_up,
     .fini = tear_down)
{
	rig_call(&rig, admin, "io.tenantd.UpdateTenant", to_have("acme", "64M", "50ms"), NULL);
	take_squeeze(60 * MIB);
	/* What it had, which puts memory.high back, too. */
	take_apply(128 * MIB, 0, TN_OK);
	expect_refused(
		admin, "io.tenantd.InvalidState",
		"override: tenant 'acme': memory_max 64M is below the 100M in use; that was "
		"not given back within shrink_grace 50ms. --force sets it all the same, and "
		"the kernel kills");
	expect_override("acme", "(none)");
	cr_expect(rig_silent(&rig));
}

Test(shrink, does_not_wait_by_force, .init = set_up, .fini = tear_down)
{
	json_t *parameters = to_have("acme", "64M", "1h");

	(void)json_object_set_new(parameters, "force", json_true());
	rig_call(&rig, admin, "io.tenantd.UpdateTenant", parameters, NULL);
	take_apply(64 * MIB, SPEC_APPLY_MAY_KILL, TN_OK);
	expect_done(admin);
}

Test(shrink, asks_for_nothing_where_the_limit_is_above_what_is_in_use, .init = set_up,
     .fini = tear_down)
{
	rig_call(&rig, admin, "io.tenantd.UpdateTenant", to_have("acme", "100M", "1h"), NULL);
	take_apply(100 * MIB, 0, TN_OK);
	expect_done(admin);
}

Test(shrink, goes_on_waiting_when_the_tenant_has_grown_again, .init = set_up, .fini = tear_down)
{
	rig_call(&rig, admin, "io.tenantd.UpdateTenant", to_have("acme", "64M", "1h"), NULL);
	take_squeeze(60 * MIB);
	use("acme", 60 * MIB);
	/* tenantd looks for itself before it writes. */
	take_apply(64 * MIB, 0, TN_STATE);
	take_apply(64 * MIB, 0, TN_OK);
	expect_done(admin);
	expect_override("acme", "64M");
}

Test(shrink, waits_also_when_only_tenantd_has_seen_it_grow, .init = set_up, .fini = tear_down)
{
	use("acme", 60 * MIB);
	rig_call(&rig, admin, "io.tenantd.UpdateTenant", to_have("acme", "64M", "1h"), NULL);
	take_apply(64 * MIB, 0, TN_STATE);
	take_squeeze(60 * MIB);
	take_apply(64 * MIB, 0, TN_OK);
	expect_done(admin);
}

Test(shrink, asks_again_while_another_squeeze_has_not_ended, .init = set_up, .fini = tear_down)
{
	struct spec_reply busy = { .error = { .code = TN_STATE, .sys_errno = EBUSY } };

	rig_call(&rig, admin, "io.tenantd.UpdateTenant", to_have("acme", "64M", "1h"), NULL);
	rig_take(&rig, SPEC_TENANT_SQUEEZE, &message);
	busy.tenant = message.squeeze.tenant;
	rig_send(&rig, SPEC_REPLY, message.head.serial, &busy.head, sizeof(busy));
	take_squeeze(60 * MIB);
	use("acme", MIB);
	take_apply(64 * MIB, 0, TN_OK);
	expect_done(admin);
}

Test(shrink, makes_changes_of_one_tenant_one_after_the_other_and_loses_none, .init = set_up,
     .fini = tear_down)
{
	struct varlink *second = rig_connect(&rig), *third = rig_connect(&rig);
	struct varlink *fourth = rig_connect(&rig);
	json_t *answer;

	rig_call(&rig, admin, "io.tenantd.UpdateTenant", to_have("acme", "64M", "1h"), NULL);
	take_squeeze(60 * MIB);
	rig_call(&rig, second, "io.tenantd.UpdateTenant",
	         json_pack("{s:s, s:s}", "tenant", "acme", "display_name", "Second"), NULL);
	/* What it has read is what the first makes of it. */
	rig_call(&rig, third, "io.tenantd.UpdateTenant",
	         json_pack("{s:s, s:s, s:i}", "tenant", "acme", "display_name", "Third",
	                   "if_version", 2),
	         NULL);
	rig_call(&rig, fourth, "io.tenantd.SuspendTenant", json_pack("{s:s}", "tenant", "acme"),
	         NULL);
	expect_refused(fourth, "io.tenantd.InvalidState",
	               "another change of tenant 'acme' is under way; try again");
	cr_expect_not(rig_answered(&rig, second));
	cr_expect_not(rig_answered(&rig, third));
	use("acme", MIB);
	take_apply(64 * MIB, 0, TN_OK);
	expect_done(admin);
	answer = rig_answer(&rig, second);
	answer = json_object_get(json_object_get(answer, "parameters"), "tenant");
	cr_expect_str_eq(rig_text(answer, "display_name"), "Second");
	cr_expect_str_eq(rig_text(json_object_get(answer, "overrides"), "limits.memory_max"),
	                 "64M");
	expect_refused(third, "io.tenantd.VersionConflict",
	               "tenant 'acme' has version 4, not 2");
	(void)varlink_free(second);
	(void)varlink_free(third);
	(void)varlink_free(fourth);
}

Test(shrink, leaves_the_old_when_the_controller_ends_in_the_middle, .init = set_up,
     .fini = tear_down)
{
	struct varlink *second = rig_connect(&rig);

	rig_call(&rig, admin, "io.tenantd.UpdateTenant", to_have("acme", "64M", "1h"), NULL);
	take_squeeze(60 * MIB);
	rig_call(&rig, second, "io.tenantd.UpdateTenant",
	         json_pack("{s:s, s:s}", "tenant", "acme", "display_name", "Second"), NULL);
	rig_call(&rig, second, "io.tenantd.ReloadPolicy", json_object(), NULL);
	(void)varlink_free(second);
	admin = varlink_free(admin);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_MEMORY);
	admin = rig_connect(&rig);
	expect_override("acme", "(none)");
}

static const char small_yaml[] = "tier: free\n"
				 "limits:\n"
				 "  memory_max: 64M\n"
				 "  executions_max: 1\n"
				 "  shrink_grace: %s\n";

static void write_small(const char *grace)
{
	char text[256];

	(void)snprintf(text, sizeof(text), small_yaml, grace);
	rig_write(&rig, "tiers/free.yaml", text);
}

static const char *policy_hash_now(void)
{
	static char hash[POLICY_HASH_HEX_SIZE];
	json_t *answer = rig_ask(&rig, admin, "io.tenantd.GetStatus", json_object(), NULL);

	(void)snprintf(hash, sizeof(hash), "%s", rig_text(answer, "policy_hash"));
	json_decref(answer);
	return hash;
}

Test(shrink, a_policy_is_refused_with_tenant_figures_and_line, .init = set_up,
     .fini = tear_down)
{
	char before[POLICY_HASH_HEX_SIZE];
	int restored = 0;

	(void)snprintf(before, sizeof(before), "%s", policy_hash_now());
	rig_tenant(&rig, "globex");
	use("globex", 80 * MIB);
	write_small("200ms");
	rig_call(&rig, admin, "io.tenantd.ReloadPolicy", json_object(), NULL);
	take_squeeze(60 * MIB);
	take_squeeze(60 * MIB);
	/* One of the two gives back what it has to, which is not enough. */
	use("globex", MIB);
	for (; restored < 2; restored++)
		take_apply(128 * MIB, 0, TN_OK);
	expect_refused(
		admin, "io.tenantd.InvalidState",
		"tiers/free.yaml:3:3: tenant 'acme': memory_max 64M is below the 100M in "
		"use; that was not given back within shrink_grace 200ms. --force sets it all "
		"the same, and the kernel kills");
	cr_expect_str_eq(policy_hash_now(), before);
	/* Both can be changed again. */
	rig_call(&rig, admin, "io.tenantd.UpdateTenant",
	         json_pack("{s:s, s:s}", "tenant", "acme", "display_name", "A"), NULL);
	expect_done(admin);
}

Test(shrink, a_policy_waits_for_memory_and_then_holds_for_all, .init = set_up,
     .fini = tear_down)
{
	struct varlink *other = rig_connect(&rig);

	write_small("1h");
	rig_call(&rig, admin, "io.tenantd.ReloadPolicy", json_object(), NULL);
	take_squeeze(60 * MIB);
	rig_call(&rig, other, "io.tenantd.ReloadPolicy", json_object(), NULL);
	expect_refused(other, "io.tenantd.InvalidState", "a change of policy is under way");
	/* A change of the tenant waits for it. */
	rig_call(&rig, other, "io.tenantd.UpdateTenant",
	         json_pack("{s:s, s:s}", "tenant", "acme", "display_name", "A"), NULL);
	cr_expect_not(rig_answered(&rig, other));
	use("acme", MIB);
	take_apply(64 * MIB, 0, TN_OK);
	expect_done(admin);
	expect_done(other);
	(void)varlink_free(other);
}

Test(shrink, a_policy_does_not_wait_by_force, .init = set_up, .fini = tear_down)
{
	write_small("1h");
	rig_call(&rig, admin, "io.tenantd.ReloadPolicy", json_pack("{s:b}", "force", 1), NULL);
	take_apply(64 * MIB, SPEC_APPLY_MAY_KILL, TN_OK);
	expect_done(admin);
}

Test(shrink, fewer_executions_than_run_let_them_end_and_admit_none, .init = set_up,
     .fini = tear_down)
{
	struct varlink *runners[2] = { rig_connect(&rig), rig_connect(&rig) };
	static union rig_message launches[2];
	struct varlink *waiting = rig_connect(&rig);
	struct spec_exited exited;
	char why[RIG_WHY_BYTES_MAX];
	json_t *answer;

	for (int i = 0; i < 2; i++)
		rig_run_started(&rig, runners[i], "acme", &launches[i]);
	rig_call(&rig, admin, "io.tenantd.UpdateTenant",
	         json_pack("{s:s, s:{s:s}}", "tenant", "acme", "overrides",
	                   "limits.executions_max", "1"),
	         NULL);
	take_apply(128 * MIB, 0, TN_OK);
	cr_expect_eq(message.apply.limits.executions_max, 1);
	expect_done(admin);
	rig_run(&rig, waiting, "acme",
	        json_pack("{s:I}", "queue_usec_max", (json_int_t)60000000));
	answer = rig_answer(&rig, waiting);
	cr_expect_str_eq(rig_text(json_object_get(answer, "parameters"), "event"), "queued");
	json_decref(answer);
	exited = rig_exited_of(&launches[0], 0, 1);
	rig_exited(&rig, &exited);
	json_decref(rig_run_end(&rig, runners[0], why));
	rig_window(&rig);
	/* One still runs, and that is as many as there may be. */
	while (rig_next(&rig, &message))
		cr_expect_eq(message.head.op, SPEC_SETTLED);
	exited = rig_exited_of(&launches[1], 0, 1);
	rig_exited(&rig, &exited);
	json_decref(rig_run_end(&rig, runners[1], why));
	do
		rig_take_any(&rig, &message);
	while (message.head.op == SPEC_SETTLED);
	cr_expect_eq(message.head.op, SPEC_LAUNCH);
	for (int i = 0; i < 2; i++)
		(void)varlink_free(runners[i]);
	(void)varlink_free(waiting);
}
