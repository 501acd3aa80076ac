/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Executions that are nobody's: how they begin, who may leave, and what is kept of them. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <base/fd.h>
#include <logs/ring.h>

#include "rig.h"

TestSuite(detached, .timeout = 30);

static union rig_message launch;
static char id_text[ID_TEXT_BYTES];

/* Its id is in id_text then. */
static json_t *started(struct rig *rig, struct varlink *link, json_t *further)
{
	json_t *answer;

	rig_run_detached(rig, link, "acme", further);
	rig_take(rig, SPEC_LAUNCH, &launch);
	cr_expect(rig_logger_take(rig), "before it can write");
	rig_started(rig, &launch);
	id_format(&launch.launch.execution, id_text);
	answer = rig_answer(rig, link);
	cr_assert_not(json_is_true(json_object_get(answer, "continues")));
	return answer;
}

static int open_log(struct rig *rig, struct varlink *link)
{
	json_t *answer;
	int fd = FD_NONE;

	rig_call(rig, link, "io.tenantd.OpenLog", json_pack("{s:s}", "id", id_text), NULL);
	answer = rig_answer_fd(rig, link, &fd);
	cr_expect_eq(rig_number(json_object_get(answer, "parameters"), "log"),
	             fd >= 0 ? 0 : -1);
	json_decref(answer);
	return fd;
}

Test(detached, is_told_of_once_and_outlives_who_asked)
{
	struct rig rig = { 0 };
	struct varlink *link;
	struct spec_exited exited;
	json_t *answer, *parameters, *record;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	rig_logger(&rig);
	link = rig_connect(&rig);
	answer = started(&rig, link, json_pack("{s:s}", "name", "job-1"));
	parameters = json_object_get(answer, "parameters");
	cr_expect_str_eq(rig_text(parameters, "event"), "started");
	cr_expect_str_eq(rig_text(parameters, "id"), id_text);
	cr_expect_str_eq(rig_text(json_object_get(parameters, "execution"), "name"), "job-1");
	json_decref(answer);
	cr_expect_eq(launch.launch.flags & SPEC_LAUNCH_ATTACHED, 0u);
	(void)varlink_free(link);
	cr_expect(rig_silent(&rig), "nothing is killed");

	exited = rig_exited_of(&launch, 0, 10);
	rig_exited(&rig, &exited);
	link = rig_connect(&rig);
	answer = rig_ask(&rig, link, "io.tenantd.Wait", json_pack("{s:s}", "id", id_text),
	                 NULL);
	record = json_object_get(answer, "execution");
	cr_expect_str_eq(rig_text(record, "name"), "job-1");
	cr_expect_str_eq(rig_text(record, "reason"), "exited");
	json_decref(answer);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(detached, has_a_log_for_whoever_may_ask)
{
	struct rig rig = { 0 };
	struct varlink *link;
	struct tn_error err = { 0 };
	struct ring ring;
	int fd;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	rig_logger(&rig);
	link = rig_connect(&rig);
	json_decref(started(&rig, link, json_pack("{s:s}", "name", "job-1")));
	fd = open_log(&rig, link);
	cr_assert_geq(fd, 0);
	cr_assert_eq(ring_open(&ring, fd, &err), 0, "%s", err.msg);
	cr_expect(id_equal(&ring.about.execution, &launch.launch.execution));
	cr_expect_str_eq(ring.about.tenant_name, "acme");
	cr_expect_str_eq(ring.about.name, "job-1");
	cr_expect_eq(ring.about.bytes_max, INT64_C(16) << 20);
	cr_expect_eq(write(fd, "x", 1), -1, "it is there to be read");
	(void)close(fd);
	json_decref(
		rig_refused(&rig, link, "io.tenantd.OpenLog",
	                    json_pack("{s:s}", "id", "11111111-1111-4111-8111-111111111111"),
	                    NULL, "io.tenantd.NotFound"));
	(void)varlink_free(link);
	rig_done(&rig);
}

/* Until it has been executed there is somebody who waits for that. */
Test(detached, that_has_not_begun_ends_with_who_asked)
{
	struct rig rig = { 0 };
	struct varlink *link;
	static union rig_message kill;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	rig_logger(&rig);
	link = rig_connect(&rig);
	rig_run_detached(&rig, link, "acme", NULL);
	rig_take(&rig, SPEC_LAUNCH, &launch);
	(void)varlink_free(link);
	rig_take(&rig, SPEC_KILL, &kill);
	cr_expect_eq(kill.kill.why, SPEC_KILL_CLIENT_GONE);
	rig_done(&rig);
}

Test(detached, keeps_its_name_and_is_nobodys_over_a_restart)
{
	struct rig rig = { 0 };
	struct varlink *link;
	struct spec_started again = { 0 };
	json_t *answer;
	int fd;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	rig_logger(&rig);
	link = rig_connect(&rig);
	json_decref(started(&rig, link, json_pack("{s:s}", "name", "job-1")));
	rig_window(&rig);
	(void)varlink_free(link);
	rig_restart(&rig);
	rig_hello(&rig, 0);
	again.tenant = launch.launch.tenant;
	again.execution = launch.launch.execution;
	rig_send(&rig, SPEC_STARTED, 0, &again.head, sizeof(again));
	link = rig_connect(&rig);
	answer = rig_refused(&rig, link, "io.tenantd.Rejoin", json_pack("{s:s}", "id", id_text),
	                     "more", "io.tenantd.InvalidState");
	json_decref(answer);
	fd = open_log(&rig, link);
	cr_expect_geq(fd, 0);
	(void)close(fd);
	rig_call(&rig, link, "io.tenantd.ListExecutions", json_object(), "more");
	answer = rig_answer(&rig, link);
	cr_expect_str_eq(
		rig_text(json_object_get(json_object_get(answer, "parameters"), "execution"),
	                 "name"),
		"job-1");
	json_decref(answer);
	(void)varlink_free(link);
	rig_done(&rig);
}

Test(detached, is_refused_what_somebody_would_have_to_be_there_for)
{
	struct rig rig = { 0 };
	struct varlink *link;
	json_t *answer;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = rig_connect(&rig);
	rig_run_detached(&rig, link, "acme", NULL);
	answer = rig_answer(&rig, link);
	cr_expect_not_null(strstr(rig_text(json_object_get(answer, "parameters"), "message"),
	                          "tenantd-logger"),
	                   "%s", json_dumps(answer, 0));
	json_decref(answer);
	rig_logger(&rig);
	rig_run_detached(&rig, link, "acme", json_pack("{s:i}", "stdin", 0));
	answer = rig_answer(&rig, link);
	cr_expect_not_null(strstr(rig_text(json_object_get(answer, "parameters"), "message"),
	                          "are not the caller's"));
	json_decref(answer);
	rig_run_detached(&rig, link, "acme",
	                 json_pack("{s:{s:i, s:i}}", "terminal", "rows", 1, "cols", 1));
	answer = rig_answer(&rig, link);
	cr_expect_not_null(strstr(rig_text(json_object_get(answer, "parameters"), "message"),
	                          "a terminal cannot be left to itself"));
	json_decref(answer);
	rig_run_detached(&rig, link, "acme", json_pack("{s:s}", "name", "No Name"));
	answer = rig_answer(&rig, link);
	cr_expect_not_null(strstr(rig_text(json_object_get(answer, "parameters"), "message"),
	                          "no name for an execution"));
	json_decref(answer);
	cr_expect_not(rig_logger_take(&rig));
	(void)varlink_free(link);
	rig_done(&rig);
}
