/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that join an execution, from the call to the record. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fd.h>

#include "rig.h"

static struct rig rig;
static struct varlink *runner;
static union rig_message launch, join;

static void set_up(void)
{
	rig_init(&rig);
	rig_tenant(&rig, "acme");
	runner = rig_connect(&rig);
	rig_run_started(&rig, runner, "acme", &launch);
}

static void tear_down(void)
{
	(void)varlink_free(runner);
	rig_done(&rig);
}

TestSuite(exec, .timeout = 30, .init = set_up, .fini = tear_down);

static struct spec_joined joined_of(void)
{
	return (struct spec_joined){ join.join.joins, join.join.asked_uid,
		                     join.join.asked_pid };
}

static void started(uint64_t serial)
{
	struct spec_started message = { .tenant = join.join.tenant,
		                        .execution = join.join.execution,
		                        .started_unix_usec = 1700000000100000,
		                        .attached = 1,
		                        .joined = joined_of() };

	rig_send(&rig, SPEC_STARTED, serial, &message.head, sizeof(message));
}

static void exited(int wait_status, enum spec_kill_why killed)
{
	struct spec_exited message = { .tenant = join.join.tenant,
		                       .execution = join.join.execution,
		                       .started_unix_usec = 1700000000100000,
		                       .ended_unix_usec = 1700000000300000,
		                       .wall_usec = 200000,
		                       .kind = killed == SPEC_KILL_NONE ? SPEC_EXIT_STATUS
		                                                        : SPEC_EXIT_UNKNOWN,
		                       .killed = killed,
		                       .wait_status = wait_status,
		                       .joined = joined_of() };

	memset(&message.counters, 0xff, sizeof(message.counters));
	rig_exited(&rig, &message);
}

/* An Exec that tenantd has begun. */
static struct varlink *begin(void)
{
	struct varlink *link = rig_connect(&rig);
	json_t *answer;

	rig_exec(&rig, link, &launch.launch.execution, NULL);
	rig_take(&rig, SPEC_JOIN, &join);
	started(join.head.serial);
	answer = rig_answer(&rig, link);
	cr_expect_str_eq(rig_text(json_object_get(answer, "parameters"), "event"), "started");
	json_decref(answer);
	return link;
}

Test(exec, is_a_record_of_its_own_without_figures)
{
	struct varlink *link = begin(), *other = rig_connect(&rig);
	union rig_message settled;
	char why[RIG_WHY_BYTES_MAX], id[ID_TEXT_BYTES];
	json_t *record, *usage;

	cr_expect(id_equal(&join.join.joins, &launch.launch.execution));
	cr_expect(id_equal(&join.join.tenant, &launch.launch.tenant));
	cr_expect_eq(join.join.asked_uid, (int64_t)geteuid());
	cr_expect_eq(join.join.asked_pid, (int64_t)getpid());
	cr_expect_eq(join.join.flags, 0u);
	exited(W_EXITCODE(3, 0), SPEC_KILL_NONE);
	record = rig_run_end(&rig, link, why);
	id_format(&launch.launch.execution, id);
	cr_expect_str_eq(rig_text(record, "joins"), id);
	cr_expect_eq(rig_number(record, "exit_code"), 3);
	cr_expect_eq(rig_number(record, "asked_uid"), (int64_t)geteuid());
	cr_expect(json_is_null(json_object_get(record, "cpu_usec")));
	json_decref(record);
	rig_window(&rig);
	rig_take(&rig, SPEC_SETTLED, &settled);
	cr_expect(id_equal(&settled.settled.execution, &join.join.execution));

	usage = rig_ask(&rig, other, "io.tenantd.GetUsage",
	                json_pack("{s:s}", "tenant", "acme"), "more");
	cr_expect_eq(rig_number(json_object_get(usage, "meters"), "executions"), 0,
	             "what joins is none of the bill's");
	json_decref(usage);
	(void)varlink_free(other);
	(void)varlink_free(link);
}

Test(exec, takes_none_of_the_tenants_executions)
{
	struct varlink *links[3], *link = rig_connect(&rig);

	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		links[i] = begin();
	/* The tier has two, of which one runs. */
	rig_run(&rig, link, "acme", NULL);
	rig_take(&rig, SPEC_LAUNCH, &launch);
	(void)varlink_free(link);
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		(void)varlink_free(links[i]);
}

Test(exec, ends_when_its_client_goes)
{
	struct varlink *link = begin();
	union rig_message kill;

	(void)varlink_free(link);
	rig_take(&rig, SPEC_KILL, &kill);
	cr_expect(id_equal(&kill.kill.execution, &join.join.execution));
	cr_expect_eq(kill.kill.why, SPEC_KILL_CLIENT_GONE);
}

Test(exec, says_that_it_ended_with_its_execution)
{
	struct varlink *link = begin();
	char why[RIG_WHY_BYTES_MAX];
	json_t *record;

	exited(0, SPEC_KILL_WITH_EXECUTION);
	record = rig_run_end(&rig, link, why);
	cr_expect_str_eq(why, "killed because the execution it had joined ended");
	cr_expect_str_eq(rig_text(record, "reason"), "killed");
	cr_expect_eq(rig_number(record, "exit_code"), 128 + SIGKILL);
	json_decref(record);
	(void)varlink_free(link);
}

Test(exec, is_rejoined_after_a_restart)
{
	struct varlink *link = begin();
	char id[ID_TEXT_BYTES], why[RIG_WHY_BYTES_MAX];
	struct spec_head replayed = { 0 };
	json_t *answer, *record;

	id_format(&join.join.execution, id);
	rig_restart(&rig);
	rig_hello(&rig, 0);
	(void)varlink_free(link);
	rig_started(&rig, &launch);
	started(0);
	rig_send(&rig, SPEC_REPLAYED, 0, &replayed, sizeof(replayed));
	link = rig_connect(&rig);
	answer = rig_ask(&rig, link, "io.tenantd.Rejoin", json_pack("{s:s}", "id", id), "more");
	cr_expect_str_eq(rig_text(answer, "event"), "rejoined");
	json_decref(answer);
	exited(W_EXITCODE(4, 0), SPEC_KILL_NONE);
	record = rig_run_end(&rig, link, why);
	cr_expect_eq(rig_number(record, "exit_code"), 4);
	id_format(&launch.launch.execution, id);
	cr_expect_str_eq(rig_text(record, "joins"), id);
	json_decref(record);
	(void)varlink_free(link);
}

Test(exec, hands_every_option_to_tenantd)
{
	struct varlink *link = rig_connect(&rig);

	rig_exec(&rig, link, &launch.launch.execution, json_pack("{s:s}", "user", "0:5"));
	rig_take(&rig, SPEC_JOIN, &join);
	cr_expect_eq(join.join.flags, (uint32_t)SPEC_JOIN_USER);
	cr_expect_eq(join.join.uid, 0u);
	cr_expect_eq(join.join.gid, 5u);
	cr_expect_eq(join.join.argc, 1u);
	(void)varlink_free(link);
}

/* The answer to an Exec that is refused. */
static void expect_refused(const struct id *execution, json_t *further, const char *error)
{
	struct varlink *link = rig_connect(&rig);
	json_t *answer;

	rig_exec(&rig, link, execution, further);
	answer = rig_answer(&rig, link);
	cr_expect_str_eq(rig_text(answer, "error"), error);
	json_decref(answer);
	cr_expect(rig_silent(&rig));
	(void)varlink_free(link);
}

Test(exec, refuses_what_cannot_be)
{
	struct varlink *link;
	char id[ID_TEXT_BYTES];
	struct id nobody = { .bytes = { 5 } };

	expect_refused(&nobody, NULL, "io.tenantd.NotFound");
	expect_refused(&launch.launch.execution, json_pack("{s:s}", "user", "nosuch"),
	               "io.tenantd.Invalid");
	expect_refused(&launch.launch.execution,
	               json_pack("{s:{s:i, s:i}}", "terminal", "rows", 1, "cols", 1),
	               "io.tenantd.Invalid");
	id_format(&launch.launch.execution, id);
	expect_refused(&launch.launch.execution, json_pack("{s:s}", "id", id),
	               "io.tenantd.AlreadyExists");
	link = begin();
	expect_refused(&join.join.execution, NULL, "io.tenantd.InvalidState");
	(void)varlink_free(link);
}
