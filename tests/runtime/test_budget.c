/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Budgets on what the kernel counts, with the test in tenantd's place: what is asked of it when
 * one is used up, and when there is room again.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <base/fd.h>

#include "budget.h"
#include "rig.h"

TestSuite(budget, .timeout = 60);

#define LIMIT_USEC INT64_C(5000000)
#define TURNS_MAX  400
#define TURNS_FEW  20

static struct rig rig;
static struct varlink *admin, *client, *other;
static union rig_message launch, message;

static void reload(const char *quotas)
{
	char tier[512];

	(void)snprintf(tier, sizeof(tier), "tier: free\nlimits: {cpu_quota: 50%%}\n%s", quotas);
	rig_write(&rig, "tiers/free.yaml", tier);
	rig_call(&rig, admin, "io.tenantd.ReloadPolicy", json_object(), NULL);
}

/* Acme has an execution that runs, and has used nothing. */
static void set_up(void)
{
	rig_init(&rig);
	admin = rig_connect(&rig);
	client = rig_connect(&rig);
	rig_tenant(&rig, "acme");
	rig_cgroup(&rig, "acme", 0);
}

static void begin(const char *on_exhaust)
{
	char quotas[256];

	(void)snprintf(quotas, sizeof(quotas),
	               "quotas: {cpu_time: {limit: 5s, per: month, on_exhaust: %s}}\n",
	               on_exhaust);
	reload(quotas);
	rig_take(&rig, SPEC_TENANT_APPLY, &message);
	rig_reply(&rig, &message, TN_OK);
	json_decref(rig_answer(&rig, admin));
	rig_run(&rig, client, "acme", json_object());
	rig_take(&rig, SPEC_LAUNCH, &launch);
	rig_started(&rig, &launch);
	json_decref(rig_answer(&rig, client));
}

static void tear_down(void)
{
	other = varlink_free(other);
	(void)varlink_free(client);
	(void)varlink_free(admin);
	rig_done(&rig);
}

/* Whether tenantd is asked for something within so many turns, but for what is of no interest
 * here. */
static bool asked(int turns)
{
	for (int i = 0; i < turns; i++) {
		while (rig_next(&rig, &message))
			if (message.head.op != SPEC_SETTLED && message.head.op != SPEC_STATUS)
				return true;
		rig_window(&rig);
	}
	return false;
}

/* The next thing, whenever it comes. */
static void await(enum spec_op op)
{
	cr_assert(asked(TURNS_MAX), "tenantd was not asked for %d", op);
	cr_assert_eq(message.head.op, op, "%u", message.head.op);
}

/* Nothing for as long as the next look may take. */
static void nothing(void)
{
	cr_assert(!asked(TURNS_FEW), "%u", message.head.op);
}

static int64_t events_of(enum event_kind kind)
{
	struct tn_error err = { 0 };
	struct event event;
	int64_t n = 0, after = 0;

	cr_assert_eq(journal_commit(rig.context->journal, NULL, &err), 0);
	cr_assert_eq(rig.context->store->ops->sync(rig.context->store, &err), 0);
	while (rig.context->store->ops->event_next(rig.context->store, NULL, after, &event,
	                                           &err) == 1) {
		after = event.seq;
		n += event.kind == kind;
		event_done(&event);
	}
	return n;
}

static void expect_no_launch(const char *error)
{
	json_t *answer;

	other = rig_connect(&rig);
	rig_run(&rig, other, "acme", json_object());
	answer = rig_answer(&rig, other);
	cr_expect_str_eq(json_string_value(json_object_get(answer, "error")), error);
	json_decref(answer);
	other = varlink_free(other);
}

Test(budget, that_is_used_up_stops_what_runs_and_a_higher_one_lets_it_go_on, .init = set_up,
     .fini = tear_down)
{
	begin("freeze");
	rig_cgroup(&rig, "acme", LIMIT_USEC - 1);
	nothing();
	rig_cgroup(&rig, "acme", LIMIT_USEC);
	await(SPEC_TENANT_FREEZE);
	cr_expect_eq(message.freeze.frozen, 1);
	cr_expect(id_equal(&message.freeze.tenant, &launch.launch.tenant));
	rig_reply(&rig, &message, TN_OK);
	expect_no_launch("io.tenantd.QuotaExceeded");
	nothing();
	cr_expect_eq(events_of(EVENT_QUOTA_EXHAUSTED), 1);
	reload("quotas: {cpu_time: {limit: 6s, per: month, on_exhaust: freeze}}\n");
	await(SPEC_TENANT_APPLY);
	rig_reply(&rig, &message, TN_OK);
	await(SPEC_TENANT_FREEZE);
	cr_expect_eq(message.freeze.frozen, 0);
	rig_reply(&rig, &message, TN_OK);
	json_decref(rig_answer(&rig, admin));
	cr_expect_eq(events_of(EVENT_QUOTA_RESTORED), 1);
	nothing();
	rig_cgroup(&rig, "acme", LIMIT_USEC + 1000000);
	await(SPEC_TENANT_FREEZE);
	cr_expect_eq(message.freeze.frozen, 1);
	rig_reply(&rig, &message, TN_OK);
	cr_expect_eq(events_of(EVENT_QUOTA_EXHAUSTED), 2);
}

Test(budget, lets_go_on_in_the_end_what_could_not_be_told_to_at_once, .init = set_up,
     .fini = tear_down)
{
	begin("freeze");
	rig_cgroup(&rig, "acme", LIMIT_USEC);
	await(SPEC_TENANT_FREEZE);
	rig_reply(&rig, &message, TN_SYSTEM);
	/* It was not stopped. */
	await(SPEC_TENANT_FREEZE);
	cr_expect_eq(message.freeze.frozen, 1);
	rig_reply(&rig, &message, TN_OK);
	reload("quotas: {}\n");
	await(SPEC_TENANT_APPLY);
	rig_reply(&rig, &message, TN_OK);
	json_decref(rig_answer(&rig, admin));
	for (int i = 0; i < 3; i++) {
		await(SPEC_TENANT_FREEZE);
		cr_expect_eq(message.freeze.frozen, 0);
		rig_reply(&rig, &message, i < 2 ? TN_SYSTEM : TN_OK);
	}
	nothing();
}

Test(budget, that_is_used_up_leaves_next_to_no_cpu, .init = set_up, .fini = tear_down)
{
	begin("throttle");
	rig_cgroup(&rig, "acme", LIMIT_USEC + 7);
	/* What could not be done is asked for again. */
	for (int i = 0; i < 2; i++) {
		await(SPEC_TENANT_APPLY);
		cr_expect_eq(message.apply.limits.cpu_quota_usec, TENANT_SLOWED_CPU_USEC);
		rig_reply(&rig, &message, i == 0 ? TN_SYSTEM : TN_OK);
		rig_cgroup(&rig, "acme", LIMIT_USEC + 8);
	}
	/* Whatever sets its limits leaves it so. */
	reload("quotas: {cpu_time: {limit: 4s, per: month, on_exhaust: throttle}}\n");
	await(SPEC_TENANT_APPLY);
	cr_expect_eq(message.apply.limits.cpu_quota_usec, TENANT_SLOWED_CPU_USEC);
	rig_reply(&rig, &message, TN_OK);
	json_decref(rig_answer(&rig, admin));
	nothing();
	/* It may go on, so it may launch. */
	other = rig_connect(&rig);
	rig_run(&rig, other, "acme", json_object());
	await(SPEC_LAUNCH);
	reload("quotas: {}\n");
	await(SPEC_TENANT_APPLY);
	rig_reply(&rig, &message, TN_OK);
	await(SPEC_TENANT_APPLY);
	cr_expect_eq(message.apply.limits.cpu_quota_usec, SPEC_CPU_PERIOD_USEC / 2);
	rig_reply(&rig, &message, TN_OK);
	json_decref(rig_answer(&rig, admin));
}

Test(budget, that_is_used_up_kills_with_the_reason, .init = set_up, .fini = tear_down)
{
	struct spec_exited exited;
	char why[RIG_WHY_BYTES_MAX];
	json_t *record;

	begin("kill");
	rig_cgroup(&rig, "acme", LIMIT_USEC);
	await(SPEC_KILL);
	cr_expect_eq(message.kill.why, SPEC_KILL_QUOTA);
	cr_expect_eq(message.kill.whole_tenant, 1);
	cr_expect_eq(message.kill.grace_usec, 0);
	exited = rig_exited_of(&launch, SIGKILL, LIMIT_USEC);
	exited.killed = SPEC_KILL_QUOTA;
	rig_exited(&rig, &exited);
	record = rig_run_end(&rig, client, why);
	cr_expect_str_eq(rig_text(record, "reason"), "quota");
	cr_expect_eq(rig_number(record, "exit_code"), 128 + SIGKILL);
	cr_expect_str_eq(why, "killed by quotas.cpu_time 5s per month, hard, on_exhaust kill "
	                      "(tiers/free.yaml:3)");
	json_decref(record);
	expect_no_launch("io.tenantd.QuotaExceeded");
}

Test(budget, holds_on_in_the_next_controller_and_not_for_ever, .init = set_up,
     .fini = tear_down)
{
	begin("freeze");
	rig_cgroup(&rig, "acme", LIMIT_USEC);
	await(SPEC_TENANT_FREEZE);
	rig_reply(&rig, &message, TN_OK);
	/* Meanwhile there is more of it, and nobody is there to let it go on. */
	rig_write(&rig, "cgroup/acme/cgroup.freeze", "1\n");
	rig_write(&rig, "tiers/free.yaml", "tier: free\n");
	rig_restart(&rig);
	rig_hello(&rig, 0);
	launch.head.serial = 0;
	rig_started(&rig, &launch);
	await(SPEC_TENANT_APPLY);
	rig_reply(&rig, &message, TN_OK);
	await(SPEC_TENANT_FREEZE);
	cr_expect_eq(message.freeze.frozen, 0);
	rig_reply(&rig, &message, TN_OK);
	nothing();
}

Test(budget, and_suspension_do_not_undo_each_other, .init = set_up, .fini = tear_down)
{
	begin("freeze");
	rig_cgroup(&rig, "acme", LIMIT_USEC);
	await(SPEC_TENANT_FREEZE);
	rig_reply(&rig, &message, TN_OK);
	rig_write(&rig, "cgroup/acme/cgroup.events", "populated 1\nfrozen 1\n");
	rig_call(&rig, admin, "io.tenantd.SuspendTenant", json_pack("{s:s}", "tenant", "acme"),
	         NULL);
	await(SPEC_TENANT_FREEZE);
	cr_expect_eq(message.freeze.frozen, 1);
	rig_reply(&rig, &message, TN_OK);
	json_decref(rig_answer(&rig, admin));
	/* Resumed, it stands still all the same. */
	rig_call(&rig, admin, "io.tenantd.ResumeTenant", json_pack("{s:s}", "tenant", "acme"),
	         NULL);
	await(SPEC_TENANT_FREEZE);
	cr_expect_eq(message.freeze.frozen, 1);
	rig_reply(&rig, &message, TN_OK);
	json_decref(rig_answer(&rig, admin));
	nothing();
	/* Suspended, it is not let go on by a higher limit. */
	rig_call(&rig, admin, "io.tenantd.SuspendTenant", json_pack("{s:s}", "tenant", "acme"),
	         NULL);
	await(SPEC_TENANT_FREEZE);
	rig_reply(&rig, &message, TN_OK);
	json_decref(rig_answer(&rig, admin));
	reload("quotas: {}\n");
	await(SPEC_TENANT_APPLY);
	rig_reply(&rig, &message, TN_OK);
	json_decref(rig_answer(&rig, admin));
	nothing();
	rig_call(&rig, admin, "io.tenantd.ResumeTenant", json_pack("{s:s}", "tenant", "acme"),
	         NULL);
	await(SPEC_TENANT_FREEZE);
	cr_expect_eq(message.freeze.frozen, 0);
	rig_reply(&rig, &message, TN_OK);
	json_decref(rig_answer(&rig, admin));
}

Test(budget, is_looked_at_when_it_can_be_used_up_at_the_soonest)
{
	/* All CPUs at once, or what a quota allows, whichever takes longer. */
	cr_expect_eq(budget_cpu_wait(8000000, 4, SPEC_UNLIMITED), 2000000);
	cr_expect_eq(budget_cpu_wait(8000000, 4, SPEC_CPU_PERIOD_USEC), 7900000);
	cr_expect_eq(budget_cpu_wait(50000, 4, SPEC_CPU_PERIOD_USEC), 12500);
	cr_expect_eq(budget_cpu_wait(0, 4, 1000), 0);
	cr_expect_gt(budget_cpu_wait(INT64_MAX, 1, 1), 0);
}
