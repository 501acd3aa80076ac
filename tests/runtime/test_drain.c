/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A node that launches nothing more, and the wait until nothing runs. */
#include <criterion/criterion.h>

#include "rig.h"

TestSuite(drain, .timeout = 60);

static struct rig rig;
static struct varlink *admin, *runs;
static union rig_message launch;

static void set_up(void)
{
	rig_init(&rig);
	rig_tenant(&rig, "acme");
	admin = rig_connect(&rig);
	runs = rig_connect(&rig);
}

static void tear_down(void)
{
	(void)varlink_free(runs);
	(void)varlink_free(admin);
	rig_done(&rig);
}

static int64_t drain(void)
{
	json_t *answer = rig_ask(&rig, admin, "io.tenantd.Drain", json_object(), NULL);
	int64_t running = rig_number(answer, "running");

	json_decref(answer);
	return running;
}

static void undrain(void)
{
	json_decref(rig_ask(&rig, admin, "io.tenantd.Undrain", json_object(), NULL));
}

/* Null, or since when. */
static bool is_drained(void)
{
	json_t *answer = rig_ask(&rig, admin, "io.tenantd.GetStatus", json_object(), NULL);
	bool drained = json_is_integer(json_object_get(answer, "drained_at"));

	json_decref(answer);
	return drained;
}

static struct varlink *wait_for_the_end(void)
{
	struct varlink *link = rig_connect(&rig);

	rig_call(&rig, link, "io.tenantd.Drain", json_pack("{s:b}", "wait", 1), NULL);
	return link;
}

static void expect_error(struct varlink *link, const char *text)
{
	json_t *answer = rig_answer(&rig, link);
	const char *message = rig_text(json_object_get(answer, "parameters"), "message");

	cr_expect_str_eq(rig_text(answer, "error"), "io.tenantd.InvalidState");
	cr_expect_str_eq(message, text);
	json_decref(answer);
}

/* Takes over @link. */
static void expect_nothing_runs(struct varlink *link)
{
	json_t *answer = rig_answer(&rig, link);

	cr_expect_eq(rig_number(json_object_get(answer, "parameters"), "running"), 0);
	json_decref(answer);
	(void)varlink_free(link);
}

static void end_execution(void)
{
	struct spec_exited exited = rig_exited_of(&launch, 0, 10);
	union rig_message settled;

	rig_exited(&rig, &exited);
	rig_window(&rig);
	rig_take(&rig, SPEC_SETTLED, &settled);
}

Test(drain, refuses_launches_until_it_is_undone, .init = set_up, .fini = tear_down)
{
	cr_expect_not(is_drained());
	cr_expect_eq(drain(), 0);
	cr_expect_eq(drain(), 0, "twice is no failure");
	cr_expect(is_drained());
	rig_run(&rig, runs, "acme", NULL);
	expect_error(runs, "the node is drained: it launches nothing until it is undrained");
	cr_expect(rig_silent(&rig));
	undrain();
	undrain();
	cr_expect_not(is_drained());
	rig_run_started(&rig, runs, "acme", &launch);
}

Test(drain, is_remembered_by_the_next_controller, .init = set_up, .fini = tear_down)
{
	(void)drain();
	(void)varlink_free(admin);
	(void)varlink_free(runs);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	admin = rig_connect(&rig);
	runs = rig_connect(&rig);
	cr_expect(is_drained());
	rig_run(&rig, runs, "acme", NULL);
	expect_error(runs, "the node is drained: it launches nothing until it is undrained");
}

Test(drain, lets_what_runs_go_on_and_tells_when_nothing_does, .init = set_up, .fini = tear_down)
{
	struct varlink *waits[2];

	rig_run_started(&rig, runs, "acme", &launch);
	cr_expect_eq(drain(), 1);
	cr_expect(rig_silent(&rig), "nothing is killed");
	waits[0] = wait_for_the_end();
	waits[1] = wait_for_the_end();
	cr_expect_not(rig_answered(&rig, waits[0]));
	/* Who leaves is not told. */
	(void)varlink_free(waits[1]);
	end_execution();
	expect_nothing_runs(waits[0]);
	/* At once when it is so already. */
	expect_nothing_runs(wait_for_the_end());
}

Test(drain, undrain_ends_the_wait, .init = set_up, .fini = tear_down)
{
	struct varlink *waits;

	rig_run_started(&rig, runs, "acme", &launch);
	waits = wait_for_the_end();
	cr_expect_not(rig_answered(&rig, waits));
	undrain();
	expect_error(waits, "the node is not drained any more");
	(void)varlink_free(waits);
}

Test(drain, refuses_those_that_wait_in_a_queue, .init = set_up, .fini = tear_down)
{
	union rig_message other;
	struct varlink *second = rig_connect(&rig), *queued = rig_connect(&rig);

	rig_run_started(&rig, runs, "acme", &launch);
	rig_run_started(&rig, second, "acme", &other);
	rig_run(&rig, queued, "acme",
	        json_pack("{s:I}", "queue_usec_max", (json_int_t)60000000));
	json_decref(rig_answer(&rig, queued));
	cr_expect_eq(drain(), 2);
	expect_error(queued, "the node is drained: it launches nothing until it is undrained");
	(void)varlink_free(queued);
	(void)varlink_free(second);
}

Test(drain, waits_for_what_only_the_store_knows_after_a_restart, .init = set_up,
     .fini = tear_down)
{
	struct varlink *waits;

	rig_run_started(&rig, runs, "acme", &launch);
	rig_window(&rig);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	waits = wait_for_the_end();
	cr_expect_not(rig_answered(&rig, waits));
	end_execution();
	expect_nothing_runs(waits);
}
