/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Waiting for the end of what another has started. */
#include <criterion/criterion.h>
#include <sys/wait.h>

#include "rig.h"

TestSuite(wait, .timeout = 30);

static struct rig rig;
static struct varlink *runs;
static union rig_message launch;
static char id[ID_TEXT_BYTES];

static void set_up(void)
{
	rig_init(&rig);
	rig_tenant(&rig, "acme");
	runs = rig_connect(&rig);
	rig_run_started(&rig, runs, "acme", &launch);
	id_format(&launch.launch.execution, id);
}

static void tear_down(void)
{
	(void)varlink_free(runs);
	rig_done(&rig);
}

static struct varlink *wait_for_id(void)
{
	struct varlink *link = rig_connect(&rig);

	rig_call(&rig, link, "io.tenantd.Wait", json_pack("{s:s}", "id", id), NULL);
	return link;
}

static void exit_with(int status)
{
	struct spec_exited exited = rig_exited_of(&launch, W_EXITCODE(status, 0), 10);

	rig_exited(&rig, &exited);
}

/* Takes over @link. */
static void expect_ended(struct varlink *link, int exit_code)
{
	json_t *answer = rig_answer(&rig, link);
	const json_t *record = json_object_get(json_object_get(answer, "parameters"),
	                                       "execution");

	cr_expect_str_eq(rig_text(record, "id"), id);
	cr_expect_str_eq(rig_text(record, "state"), "exited");
	cr_expect_eq(rig_number(record, "exit_code"), exit_code);
	json_decref(answer);
	(void)varlink_free(link);
}

Test(wait, answers_all_who_wait_when_the_execution_ends, .init = set_up, .fini = tear_down)
{
	struct varlink *links[] = { wait_for_id(), wait_for_id(), wait_for_id() };

	cr_expect_not(rig_answered(&rig, links[0]));
	/* One that leaves is not told, and ends nothing. */
	(void)varlink_free(links[1]);
	rig_turn(&rig);
	cr_expect(rig_silent(&rig));
	exit_with(5);
	expect_ended(links[0], 5);
	expect_ended(links[2], 5);
}

Test(wait, answers_at_once_when_it_has_ended, .init = set_up, .fini = tear_down)
{
	union rig_message settled;

	exit_with(6);
	/* Before the store has it, and after. */
	expect_ended(wait_for_id(), 6);
	rig_take(&rig, SPEC_SETTLED, &settled);
	expect_ended(wait_for_id(), 6);
}

Test(wait, refuses_what_is_no_execution, .init = set_up, .fini = tear_down)
{
	struct varlink *link = rig_connect(&rig);

	/* tenantd has told of all that ran before. */
	rig.context->settled = true;
	json_decref(
		rig_refused(&rig, link, "io.tenantd.Wait",
	                    json_pack("{s:s}", "id", "11111111-1111-4111-8111-111111111111"),
	                    NULL, "io.tenantd.NotFound"));
	json_decref(rig_refused(&rig, link, "io.tenantd.Wait", json_pack("{s:s}", "id", "acme"),
	                        NULL, "io.tenantd.Invalid"));
	(void)varlink_free(link);
}

Test(wait, goes_on_with_another_controller, .init = set_up, .fini = tear_down)
{
	struct spec_exited exited = rig_exited_of(&launch, W_EXITCODE(7, 0), 10);
	union rig_message message;
	struct varlink *link;

	rig_window(&rig);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	/* Only the store knows it, as running, until tenantd repeats what happened. */
	link = wait_for_id();
	cr_expect_not(rig_answered(&rig, link));
	rig_exited(&rig, &exited);
	expect_ended(link, 7);
	rig_take(&rig, SPEC_SETTLED, &message);
}

Test(wait, tells_that_it_was_not_launched_after_all)
{
	struct spec_started started = { 0 };
	struct varlink *link;
	json_t *answer;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	runs = rig_connect(&rig);
	rig_run(&rig, runs, "acme", NULL);
	rig_take(&rig, SPEC_LAUNCH, &launch);
	id_format(&launch.launch.execution, id);
	link = wait_for_id();
	started.tenant = launch.launch.tenant;
	started.execution = launch.launch.execution;
	(void)err_refuse(&started.error, TN_SYSTEM, "no");
	rig_send(&rig, SPEC_STARTED, launch.head.serial, &started.head, sizeof(started));
	answer = rig_answer(&rig, link);
	cr_expect_str_eq(rig_text(answer, "error"), "io.tenantd.NotFound");
	json_decref(answer);
	(void)varlink_free(link);
	tear_down();
}

static struct varlink *rejoin(const char *wanted)
{
	struct varlink *link = rig_connect(&rig);

	rig_call(&rig, link, "io.tenantd.Rejoin", json_pack("{s:s}", "id", wanted), "more");
	return link;
}

/* One that has not ended is taken up first. */
static struct varlink *rejoin_running(const char *wanted)
{
	struct varlink *link = rejoin(wanted);
	json_t *answer = rig_answer(&rig, link);

	cr_expect_str_eq(rig_text(json_object_get(answer, "parameters"), "event"), "rejoined");
	cr_expect(json_is_true(json_object_get(answer, "continues")));
	json_decref(answer);
	return link;
}

/* The controller that launched it is no more, and tenantd tells the next one of it. */
static void lose_the_caller(bool attached)
{
	struct spec_started started = { .tenant = launch.launch.tenant,
		                        .execution = launch.launch.execution,
		                        .started_unix_usec = 1700000000000000,
		                        .attached = attached };
	union rig_message apply;

	rig_window(&rig);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	rig_send(&rig, SPEC_STARTED, 0, &started.head, sizeof(started));
	rig_turn(&rig);
	rig_take(&rig, SPEC_TENANT_APPLY, &apply);
	rig_reply(&rig, &apply, TN_OK);
}

static void expect_refused(struct varlink *link, const char *error)
{
	json_t *answer = rig_answer(&rig, link);

	cr_expect_str_eq(rig_text(answer, "error"), error);
	json_decref(answer);
	(void)varlink_free(link);
}

static void expect_killed(void)
{
	static union rig_message kill;

	rig_take(&rig, SPEC_KILL, &kill);
	cr_expect(id_equal(&kill.kill.execution, &launch.launch.execution));
	cr_expect_eq(kill.kill.why, SPEC_KILL_CLIENT_GONE);
}

Test(wait, a_run_is_rejoined_after_a_restart, .init = set_up, .fini = tear_down)
{
	struct varlink *link;
	json_t *answer;
	const json_t *parameters;

	lose_the_caller(true);
	link = rejoin_running(id);
	cr_expect_not(rig_answered(&rig, link));
	/* It has somebody again. */
	executions_end_orphans(rig.context->executions);
	cr_expect(rig_silent(&rig));
	exit_with(4);
	answer = rig_answer(&rig, link);
	parameters = json_object_get(answer, "parameters");
	cr_expect_str_eq(rig_text(parameters, "event"), "exited");
	cr_expect_str_eq(rig_text(parameters, "id"), id);
	cr_expect_eq(rig_number(json_object_get(parameters, "execution"), "exit_code"), 4);
	cr_expect(json_is_null(json_object_get(parameters, "explanation")));
	json_decref(answer);
	(void)varlink_free(link);
	/* And once more, from the store. */
	link = rejoin(id);
	answer = rig_answer(&rig, link);
	cr_expect_eq(
		rig_number(json_object_get(json_object_get(answer, "parameters"), "execution"),
	                   "exit_code"),
		4);
	json_decref(answer);
	(void)varlink_free(link);
}

Test(wait, a_run_that_was_rejoined_ends_with_its_caller, .init = set_up, .fini = tear_down)
{
	struct varlink *link;

	lose_the_caller(true);
	link = rejoin_running(id);
	cr_expect_not(rig_answered(&rig, link));
	(void)varlink_free(link);
	rig_turn(&rig);
	expect_killed();
}

Test(wait, a_run_that_nobody_rejoins_is_killed, .init = set_up, .fini = tear_down)
{
	lose_the_caller(true);
	cr_expect(rig_silent(&rig));
	executions_end_orphans(rig.context->executions);
	expect_killed();
}

Test(wait, only_what_has_lost_its_caller_is_rejoined, .init = set_up, .fini = tear_down)
{
	expect_refused(rejoin(id), "io.tenantd.InvalidState");
	lose_the_caller(false);
	expect_refused(rejoin(id), "io.tenantd.InvalidState");
	executions_end_orphans(rig.context->executions);
	cr_expect(rig_silent(&rig));
	expect_refused(rejoin("acme"), "io.tenantd.Invalid");
}

static void replayed(void)
{
	struct spec_head head = { 0 };

	rig_send(&rig, SPEC_REPLAYED, 0, &head, sizeof(head));
	rig_turn(&rig);
}

static const char chosen[] = "0192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f";

/* A Run by an id of the caller's choice has reached tenantd when all but that goes. */
static void lose_a_launch(void)
{
	(void)varlink_free(runs);
	exit_with(0);
	runs = rig_connect(&rig);
	rig_run(&rig, runs, "acme", json_pack("{s:s}", "id", chosen));
	rig_take(&rig, SPEC_LAUNCH, &launch);
	id_format(&launch.launch.execution, id);
	cr_assert_str_eq(id, chosen);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	launch.head.serial = 0;
}

static void expect_event(struct varlink *link, const char *event)
{
	json_t *answer = rig_answer(&rig, link);

	cr_expect_str_eq(rig_text(json_object_get(answer, "parameters"), "event"), event);
	json_decref(answer);
}

Test(wait, a_launch_of_a_controller_that_has_gone_is_rejoined_when_it_starts, .init = set_up,
     .fini = tear_down)
{
	struct varlink *link;
	json_t *answer;

	lose_a_launch();
	link = rejoin(chosen);
	answer = rig_answer(&rig, link);
	cr_expect(json_is_false(
		json_object_get(json_object_get(answer, "parameters"), "started")));
	json_decref(answer);
	cr_expect_not(rig_answered(&rig, link));
	rig_started(&rig, &launch);
	expect_event(link, "started");
	replayed();
	cr_expect_not(rig_answered(&rig, link), "it is known");
	exit_with(4);
	expect_event(link, "exited");
	(void)varlink_free(link);
	/* Nobody else can have that id any more. */
	rig_run(&rig, runs = rig_connect(&rig), "acme", json_pack("{s:s}", "id", chosen));
	expect_refused(runs, "io.tenantd.AlreadyExists");
	runs = rig_connect(&rig);
}

Test(wait, a_launch_that_never_reached_tenantd_is_launched_again, .init = set_up,
     .fini = tear_down)
{
	struct varlink *link;

	lose_a_launch();
	link = rejoin_running(chosen);
	replayed();
	expect_refused(link, "io.tenantd.NotFound");
	rig_run(&rig, runs = rig_connect(&rig), "acme", json_pack("{s:s}", "id", chosen));
	rig_take(&rig, SPEC_TENANT_APPLY, &launch);
	rig_reply(&rig, &launch, TN_OK);
	rig_take(&rig, SPEC_LAUNCH, &launch);
	rig_started(&rig, &launch);
	expect_event(runs, "started");
	/* Twice is once too often. */
	link = rig_connect(&rig);
	rig_run(&rig, link, "acme", json_pack("{s:s}", "id", chosen));
	expect_refused(link, "io.tenantd.AlreadyExists");
}

Test(wait, an_end_that_tenantd_has_told_is_not_taken_for_lost, .init = set_up,
     .fini = tear_down)
{
	union rig_message settled;

	/* The store knows that it runs, and not yet that it has ended. */
	rig_window(&rig);
	lose_the_caller(true);
	exit_with(4);
	replayed();
	expect_ended(wait_for_id(), 4);
	rig_take(&rig, SPEC_SETTLED, &settled);
	cr_expect(rig_silent(&rig), "it has one end");
}

/* A restart may have come before the store knew of it. */
Test(wait, what_tenantd_may_still_tell_of_is_waited_for, .init = set_up, .fini = tear_down)
{
	static const char unknown[] = "11111111-1111-4111-8111-111111111111";
	struct varlink *link = rejoin_running(unknown), *waits = rig_connect(&rig);

	rig_call(&rig, waits, "io.tenantd.Wait", json_pack("{s:s}", "id", unknown), NULL);
	cr_expect_not(rig_answered(&rig, link));
	cr_expect_not(rig_answered(&rig, waits));
	replayed();
	expect_refused(link, "io.tenantd.NotFound");
	expect_refused(waits, "io.tenantd.NotFound");
	expect_refused(rejoin(unknown), "io.tenantd.NotFound");
}

Test(wait, kill_overtakes_a_run_on_its_own_connection, .init = set_up, .fini = tear_down)
{
	static union rig_message kill;

	rig_call(&rig, runs, "io.tenantd.Kill", json_pack("{s:s}", "id", id), "oneway");
	rig_take(&rig, SPEC_KILL, &kill);
	cr_expect(id_equal(&kill.kill.execution, &launch.launch.execution));
}
