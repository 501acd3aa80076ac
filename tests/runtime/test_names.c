/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Executions by their names and by the beginnings of their ids; and an end with a grace. */
#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>

#include "rig.h"

TestSuite(names, .timeout = 30);

static const char one[] = "0192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f";
static const char two[] = "0192f0c4-8a5e-4c7e-9b1d-aaaaaaaaaaaa";
static const char three[] = "1192f0c4-8a5e-4c7e-9b1d-aaaaaaaaaaaa";

static struct rig rig;
static struct varlink *asks;

/* A run that tenantd has been told of. */
struct one_run {
	struct varlink *link;
	union rig_message launch;
};

static void set_up(void)
{
	rig_init(&rig);
	rig_tenant(&rig, "acme");
	asks = rig_connect(&rig);
}

static void tear_down(void)
{
	(void)varlink_free(asks);
	rig_done(&rig);
}

/* The instant that the record has: each begins later than the one before. */
static void begin(struct one_run *run, const char *id, const char *name)
{
	static int64_t at = INT64_C(1700000000000000);
	struct spec_started started = { 0 };
	json_t *answer;

	run->link = rig_connect(&rig);
	rig_run(&rig, run->link, "acme", json_pack("{s:s, s:s?}", "id", id, "name", name));
	rig_take_any(&rig, &run->launch);
	if (run->launch.head.op == SPEC_TENANT_APPLY) {
		rig_reply(&rig, &run->launch, TN_OK);
		rig_take(&rig, SPEC_LAUNCH, &run->launch);
	}
	started.tenant = run->launch.launch.tenant;
	started.execution = run->launch.launch.execution;
	started.started_unix_usec = ++at;
	rig_send(&rig, SPEC_STARTED, run->launch.head.serial, &started.head, sizeof(started));
	answer = rig_answer(&rig, run->link);
	cr_assert_str_eq(rig_text(json_object_get(answer, "parameters"), "event"), "started");
	json_decref(answer);
}

static void end(struct one_run *run)
{
	struct spec_exited exited = rig_exited_of(&run->launch, W_EXITCODE(0, 0), 10);
	union rig_message settled;

	rig_exited(&rig, &exited);
	rig_window(&rig);
	rig_take(&rig, SPEC_SETTLED, &settled);
	run->link = varlink_free(run->link);
}

static void expect_found(const char *text, const char *id)
{
	json_t *answer = rig_ask(&rig, asks, "io.tenantd.FindExecution",
	                         json_pack("{s:s}", "id", text), NULL);

	cr_expect_str_eq(rig_text(json_object_get(answer, "execution"), "id"), id, "%s", text);
	json_decref(answer);
}

/* With these words in the message. */
static void expect_refused(const char *method, const char *text, const char *error,
                           const char *words)
{
	json_t *answer = rig_refused(&rig, asks, method, json_pack("{s:s}", "id", text), NULL,
	                             error);

	cr_expect_neq(strstr(rig_text(answer, "message"), words), NULL, "%s: %s", text,
	              rig_text(answer, "message"));
	json_decref(answer);
}

Test(names, of_several_means_one_that_runs_or_else_the_last, .init = set_up, .fini = tear_down)
{
	static struct one_run first, second;

	begin(&first, one, "job");
	begin(&second, two, "job");
	expect_found("acme/job", two);
	end(&second);
	expect_found("acme/job", one);
	end(&first);
	expect_found("acme/job", two);
	begin(&first, three, "other");
	expect_found("acme/job", two);
	expect_found("acme/other", three);
	expect_refused("io.tenantd.FindExecution", "acme/none", "io.tenantd.NotFound",
	               "tenant 'acme' has no execution 'none'");
	expect_refused("io.tenantd.FindExecution", "globex/job", "io.tenantd.NotFound",
	               "globex");
	end(&first);
}

Test(names, by_a_beginning_that_is_of_one_alone, .init = set_up, .fini = tear_down)
{
	static struct one_run first, second;

	begin(&first, one, NULL);
	expect_found("0192f0c4", one);
	expect_found("0192f0c48a5e", one);
	begin(&second, two, NULL);
	end(&first);
	/* One runs, the other is in the store alone. */
	expect_refused("io.tenantd.FindExecution", "0192f0c4", "io.tenantd.Invalid", one);
	expect_refused("io.tenantd.FindExecution", "0192f0c4", "io.tenantd.Invalid", two);
	expect_found("0192f0c4-8a5e-4c7e-9b1d-2", one);
	expect_found(two, two);
	expect_refused("io.tenantd.FindExecution", "1192f0c4", "io.tenantd.NotFound",
	               "no execution begins with 1192f0c4");
	expect_refused("io.tenantd.FindExecution", "0192f0c", "io.tenantd.Invalid",
	               "expected a UUID");
	expect_refused("io.tenantd.FindExecution", three, "io.tenantd.NotFound", three);
	end(&second);
}

Test(names, no_more_than_four_that_begin_alike_are_named, .init = set_up, .fini = tear_down)
{
	static struct one_run run;
	char id[ID_TEXT_BYTES];

	for (int i = 0; i < 5; i++) {
		(void)snprintf(id, sizeof(id), "22222222-8a5e-4c7e-9b1d-%012d", i);
		begin(&run, id, NULL);
		end(&run);
	}
	expect_refused("io.tenantd.FindExecution", "22222222", "io.tenantd.Invalid",
	               "-000000000000, ");
	expect_refused("io.tenantd.FindExecution", "22222222", "io.tenantd.Invalid",
	               "-000000000003 and others");
}

Test(names, are_known_to_the_next_controller_before_tenantd_has_told, .init = set_up,
     .fini = tear_down)
{
	static struct one_run first, second;

	begin(&first, one, "job");
	begin(&second, two, "job");
	end(&second);
	rig_window(&rig);
	(void)varlink_free(first.link);
	(void)varlink_free(asks);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	asks = rig_connect(&rig);
	expect_found("acme/job", one);
	expect_found("0192f0c4-8a5e-4c7e-9b1d-2", one);
}

Test(names, stand_for_an_id_wherever_one_is_asked_for, .init = set_up, .fini = tear_down)
{
	static union rig_message message;
	static struct one_run run;
	struct varlink *waits = rig_connect(&rig);
	json_t *answer;

	begin(&run, one, "job");
	rig_call(&rig, waits, "io.tenantd.Wait", json_pack("{s:s}", "id", "acme/job"), NULL);
	cr_expect_not(rig_answered(&rig, waits));
	json_decref(rig_ask(&rig, asks, "io.tenantd.Signal",
	                    json_pack("{s:s, s:i}", "id", "acme/job", "signal", SIGUSR1),
	                    NULL));
	rig_take(&rig, SPEC_SIGNAL, &message);
	cr_expect(id_equal(&message.signal.execution, &run.launch.launch.execution));
	json_decref(rig_ask(&rig, asks, "io.tenantd.Kill", json_pack("{s:s}", "id", "0192f0c4"),
	                    NULL));
	rig_take(&rig, SPEC_KILL, &message);
	cr_expect(id_equal(&message.kill.execution, &run.launch.launch.execution));
	cr_expect_eq(message.kill.grace_usec, 0);
	end(&run);
	answer = rig_answer(&rig, waits);
	cr_expect_str_eq(
		rig_text(json_object_get(json_object_get(answer, "parameters"), "execution"),
	                 "id"),
		one);
	json_decref(answer);
	(void)varlink_free(waits);
	expect_refused("io.tenantd.OpenLog", "acme/none", "io.tenantd.NotFound", "none");
	expect_refused("io.tenantd.Kill", "acme/job", "io.tenantd.NotFound",
	               "no running execution");
}

static json_t *kill_of(const char *id, const char *tenant, int signal, int64_t grace_usec)
{
	json_t *json = json_pack("{s:s?, s:s?, s:I}", "id", id, "tenant", tenant, "grace_usec",
	                         (json_int_t)grace_usec);

	if (signal != 0)
		(void)json_object_set_new(json, "signal", json_integer(signal));
	return json;
}

Test(names, a_grace_is_given_to_tenantd_to_keep, .init = set_up, .fini = tear_down)
{
	static union rig_message message;
	static struct one_run run;

	begin(&run, one, "job");
	json_decref(rig_ask(&rig, asks, "io.tenantd.Kill", kill_of("acme/job", NULL, 0, 7000),
	                    NULL));
	rig_take(&rig, SPEC_KILL, &message);
	cr_expect_eq(message.kill.why, SPEC_KILL_ADMIN);
	cr_expect_eq(message.kill.grace_usec, 7000);
	cr_expect_eq(message.kill.signal, SIGTERM);
	json_decref(rig_ask(&rig, asks, "io.tenantd.Kill", kill_of(NULL, "acme", SIGINT, 9000),
	                    NULL));
	rig_take(&rig, SPEC_KILL, &message);
	cr_expect_eq(message.kill.whole_tenant, 1u);
	cr_expect_eq(message.kill.grace_usec, 9000);
	cr_expect_eq(message.kill.signal, SIGINT);
	/* None at all is at once. */
	json_decref(rig_ask(&rig, asks, "io.tenantd.Kill", kill_of(one, NULL, 0, 0), NULL));
	rig_take(&rig, SPEC_KILL, &message);
	cr_expect_eq(message.kill.grace_usec, 0);
	cr_expect_eq(message.kill.signal, 0);
	json_decref(rig_refused(&rig, asks, "io.tenantd.Kill", kill_of(one, NULL, SIGKILL, 1),
	                        NULL, "io.tenantd.Invalid"));
	json_decref(rig_refused(&rig, asks, "io.tenantd.Kill",
	                        json_pack("{s:s, s:i}", "id", one, "signal", SIGINT), NULL,
	                        "io.tenantd.Invalid"));
	cr_expect(rig_silent(&rig), "what was refused is not passed on");
	end(&run);
}
