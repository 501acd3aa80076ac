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

static bool answered(struct varlink *link)
{
	struct varlink_message message = { 0 };
	struct tn_error err = { 0 };
	int r;

	rig_turn(&rig);
	cr_assert_eq(varlink_process(link, &err), 0, "%s", err.msg);
	r = varlink_next(link, &message, &err);
	varlink_message_done(&message);
	return r != 0;
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

	cr_expect_not(answered(links[0]));
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
	cr_expect_not(answered(link));
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

Test(wait, kill_overtakes_a_run_on_its_own_connection, .init = set_up, .fini = tear_down)
{
	static union rig_message kill;

	rig_call(&rig, runs, "io.tenantd.Kill", json_pack("{s:s}", "id", id), "oneway");
	rig_take(&rig, SPEC_KILL, &kill);
	cr_expect(id_equal(&kill.kill.execution, &launch.launch.execution));
}
