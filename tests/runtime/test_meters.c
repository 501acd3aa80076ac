/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* control/meters.c and inside.c: a workload meters its own tenant, and can do nothing else. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>

#include "control/rights.h"
#include "rig.h"

TestSuite(meters, .timeout = 60);

#define TIER                                                                                   \
	"tier: free\n"                                                                         \
	"limits: {executions_max: 8}\n"                                                        \
	"quotas:\n"                                                                            \
	"  tokens: {limit: 10, per: month}\n"                                                  \
	"  agents: {limit: 3}\n"

static struct rig rig;
static struct varlink *admin, *running;
static union rig_message launch; /* of acme */
static int listening;

static void be_of(const char *tenant, const struct id *execution)
{
	char id[ID_TEXT_BYTES], path[RIG_PATH_BYTES_MAX];

	id_format(execution, id);
	(void)snprintf(path, sizeof(path), "/test/%s/%s", tenant, id);
	rig_inside(&rig, path);
}

/* acme has something that runs, which we are in, and a socket at meter.sock; globex nothing. */
static void set_up(void)
{
	rig_init(&rig);
	admin = rig_connect(&rig);
	rig_write(&rig, "tiers/free.yaml", TIER);
	json_decref(rig_ask(&rig, admin, "io.tenantd.ReloadPolicy", json_object(), NULL));
	rig_tenant(&rig, "acme");
	rig_tenant(&rig, "globex");
	rig_send(&rig, SPEC_REPLAYED, 0, &(struct spec_head){ 0 }, sizeof(struct spec_head));
	running = rig_connect(&rig);
	rig_run_started(&rig, running, "acme", &launch);
	listening = rig_meter(&rig, &launch.launch.tenant, "meter.sock");
	be_of("acme", &launch.launch.execution);
}

static void tear_down(void)
{
	fd_closep(&listening);
	(void)varlink_free(running);
	(void)varlink_free(admin);
	rig_done(&rig);
}

static json_t *of_meter(const char *meter, json_int_t amount)
{
	return json_pack("{s:s, s:I}", "meter", meter, "amount", amount);
}

static json_t *with_text(json_t *parameters, const char *name, const char *text)
{
	cr_assert_eq(json_object_set_new(parameters, name, json_string(text)), 0);
	return parameters;
}

/* What is used of @meter as the control socket shows it. */
static int64_t used(const char *tenant, const char *meter)
{
	json_t *answer = rig_ask(&rig, admin, "io.tenantd.GetQuotas",
	                         json_pack("{s:s}", "tenant", tenant), NULL);
	int64_t found = -1;
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(answer, "quotas"), i, row)
	{
		if (strcmp(rig_text(row, "meter"), meter) == 0)
			found = rig_number(row, "used");
	}
	json_decref(answer);
	return found;
}

Test(meters, count_for_the_tenant_whose_socket_it_is, .init = set_up, .fini = tear_down)
{
	struct varlink *link = rig_connect_to(&rig, "meter.sock");
	json_t *answer;

	for (int i = 1; i <= 10; i++) {
		answer = rig_ask(&rig, link, "io.tenantd.ConsumeQuota", of_meter("tokens", 1),
		                 NULL);
		cr_expect_eq(rig_number(answer, "used"), i);
		json_decref(answer);
	}
	answer = rig_refused(&rig, link, "io.tenantd.ConsumeQuota", of_meter("tokens", 1), NULL,
	                     "io.tenantd.QuotaExceeded");
	cr_expect_eq(rig_number(answer, "limit"), 10);
	json_decref(answer);
	answer = rig_ask(&rig, link, "io.tenantd.GetQuotas", json_object(), NULL);
	cr_expect_str_eq(rig_text(answer, "tenant"), "acme");
	json_decref(answer);
	json_decref(rig_ask(&rig, link, "org.varlink.service.GetInfo", json_object(), NULL));
	(void)varlink_free(link);
	cr_expect_eq(used("acme", "tokens"), 10);
	cr_expect_eq(used("globex", "tokens"), 0);
}

Test(meters, let_nobody_say_whom_it_is_about, .init = set_up, .fini = tear_down)
{
	static const char *const names[] = { "globex", "acme", "nobody", "" };
	struct varlink *link = rig_connect_to(&rig, "meter.sock");

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		json_decref(rig_refused(&rig, link, "io.tenantd.ConsumeQuota",
		                        with_text(of_meter("tokens", 1), "tenant", names[i]),
		                        NULL, "io.tenantd.NotPermitted"));
	json_decref(rig_refused(&rig, link, "io.tenantd.AcquireQuota",
	                        with_text(of_meter("agents", 1), "execution",
	                                  "0192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f"),
	                        NULL, "io.tenantd.NotPermitted"));
	json_decref(rig_refused(
		&rig, link, "io.tenantd.ConsumeQuota",
		json_pack("{s:s, s:i, s:b}", "meter", "tokens", "amount", 1, "durable", 1),
		NULL, "io.tenantd.NotPermitted"));
	(void)varlink_free(link);
	cr_expect_eq(used("globex", "tokens"), 0);
	cr_expect_eq(used("acme", "tokens"), 0);
}

/* Each method that the interface describes, so that a new one is asked for, too. */
Test(meters, refuse_by_name_what_is_not_about_quotas, .init = set_up, .fini = tear_down)
{
	struct varlink *link = rig_connect_to(&rig, "meter.sock");
	json_t *answer = rig_ask(&rig, link, "org.varlink.service.GetInterfaceDescription",
	                         json_pack("{s:s}", "interface", "io.tenantd"), NULL);
	const char *at = rig_text(answer, "description");
	size_t refused_n = 0, allowed_n = 0;

	while ((at = strstr(at, "\nmethod ")) != NULL) {
		char method[96];
		const char *name = at + strlen("\nmethod ");

		(void)snprintf(method, sizeof(method), "io.tenantd.%.*s",
		               (int)strcspn(name, "("), name);
		at = name;
		cr_assert_not_null(rights_row(method), "%s", method);
		if (rights_row(method)->inside) {
			allowed_n++;
			continue;
		}
		refused_n++;
		rig_call(&rig, link, method, json_pack("{s:s}", "tenant", "acme"), "more");
		{
			json_t *refusal = rig_answer(&rig, link);

			cr_expect_str_eq(rig_text(refusal, "error"), "io.tenantd.NotPermitted",
			                 "%s", method);
			json_decref(refusal);
		}
	}
	json_decref(answer);
	cr_expect_eq(allowed_n, 8);
	cr_expect_gt(refused_n, 25);
	json_decref(rig_refused(&rig, link, "io.tenantd.NoSuch", json_object(), NULL,
	                        "org.varlink.service.MethodNotFound"));
	(void)varlink_free(link);
}

Test(meters, serve_nobody_who_is_not_in_the_tenants_cgroup, .init = set_up, .fini = tear_down)
{
	char id[ID_TEXT_BYTES], paths[9][RIG_PATH_BYTES_MAX];
	static const char *const shapes[] = {
		"/test/globex/%s",         "/test/acme", "/test/acme/%s/nested",
		"/other/acme/%s",          "/acmé/%s",   "/x/test/acme/%s",
		"/test/acme/%s (deleted)", "/",          "",
	};

	id_format(&launch.launch.execution, id);
	for (size_t i = 0; i <= ARRAY_LEN(shapes); i++) {
		struct varlink *link;

		if (i < ARRAY_LEN(shapes)) {
			const char *mark = strstr(shapes[i], "%s");

			(void)snprintf(paths[i], sizeof(paths[i]), "%.*s%s%s",
			               mark != NULL ? (int)(mark - shapes[i])
			                            : (int)strlen(shapes[i]),
			               shapes[i], mark != NULL ? id : "",
			               mark != NULL ? mark + 2 : "");
		}
		rig_inside(&rig, i < ARRAY_LEN(shapes) ? paths[i] : NULL);
		link = rig_connect_to(&rig, "meter.sock");
		cr_expect(rig_closed(&rig, link), "%zu", i);
		(void)varlink_free(link);
	}
	/* Nor of the tenant's what has ended, or never was. */
	be_of("acme", &(struct id){ { 1, 2, 3 } });
	{
		struct varlink *link = rig_connect_to(&rig, "meter.sock");

		cr_expect(rig_closed(&rig, link));
		(void)varlink_free(link);
	}
	be_of("acme", &launch.launch.execution);
	{
		struct varlink *link = rig_connect_to(&rig, "meter.sock");

		cr_expect_not(rig_closed(&rig, link));
		(void)varlink_free(link);
	}
}

Test(meters, give_an_execution_what_it_acquires_until_it_ends, .init = set_up,
     .fini = tear_down)
{
	struct varlink *link = rig_connect_to(&rig, "meter.sock");
	struct spec_exited exited;
	static union rig_message settled;
	json_t *answer = rig_ask(&rig, link, "io.tenantd.AcquireQuota", of_meter("agents", 2),
	                         NULL);

	cr_expect_eq(rig_number(answer, "used"), 2);
	json_decref(answer);
	json_decref(rig_refused(&rig, link, "io.tenantd.GiveBackQuota", of_meter("agents", 3),
	                        NULL, "io.tenantd.InvalidState"));
	json_decref(
		rig_ask(&rig, link, "io.tenantd.GiveBackQuota", of_meter("agents", 1), NULL));
	/* What was reserved and is committed is its, too. */
	answer = rig_ask(&rig, link, "io.tenantd.ReserveQuota", of_meter("agents", 1), NULL);
	json_decref(rig_ask(&rig, link, "io.tenantd.CommitQuota",
	                    json_pack("{s:s}", "reservation", rig_text(answer, "reservation")),
	                    NULL));
	json_decref(answer);
	cr_expect_eq(used("acme", "agents"), 2);
	exited = rig_exited_of(&launch, 0, 100);
	exited.ended_unix_usec = clock_usec(CLOCK_REALTIME);
	rig_exited(&rig, &exited);
	rig_window(&rig);
	rig_take(&rig, SPEC_SETTLED, &settled);
	cr_expect_eq(used("acme", "agents"), 0);
	/* Its connection may be another's by now: nothing could be given back any more. */
	json_decref(rig_refused(&rig, link, "io.tenantd.AcquireQuota", of_meter("agents", 1),
	                        NULL, "io.tenantd.NotFound"));
	(void)varlink_free(link);
}

/* As in a restart: the socket is the same one, and what waits in it is served. */
Test(meters, go_on_with_another_controller, .init = set_up, .fini = tear_down)
{
	struct varlink *link = rig_connect_to(&rig, "meter.sock"), *waiting;
	struct tn_error err = { 0 };
	struct spec_started started = { .tenant = launch.launch.tenant,
		                        .execution = launch.launch.execution,
		                        .started_unix_usec = 1700000000000000 };
	json_t *call = with_text(of_meter("tokens", 6), "key", "k");
	json_t *answer;

	json_decref(rig_ask(&rig, link, "io.tenantd.ConsumeQuota", json_incref(call), NULL));
	(void)varlink_free(running);
	(void)varlink_free(admin);
	rig_restart(&rig);
	cr_expect_lt(varlink_process(link, &err), 0);
	cr_expect_eq(err.code, TN_UNREACHABLE);
	(void)varlink_free(link);
	waiting = rig_connect_to(&rig, "meter.sock");
	rig_hello(&rig, 0);
	admin = rig_connect(&rig);
	running = rig_connect(&rig);
	rig_meter_tell(&rig, &launch.launch.tenant, listening);
	answer = rig_ask(&rig, waiting, "io.tenantd.ConsumeQuota", call, NULL);
	cr_expect(json_is_true(json_object_get(answer, "repeated")));
	json_decref(answer);
	/* Before all that ran is known, nothing is acquired for what nobody knows. */
	json_decref(rig_refused(&rig, waiting, "io.tenantd.AcquireQuota", of_meter("agents", 1),
	                        NULL, "io.tenantd.InvalidState"));
	rig_send(&rig, SPEC_STARTED, 0, &started.head, sizeof(started));
	rig_send(&rig, SPEC_REPLAYED, 0, &(struct spec_head){ 0 }, sizeof(struct spec_head));
	json_decref(
		rig_ask(&rig, waiting, "io.tenantd.AcquireQuota", of_meter("agents", 1), NULL));
	(void)varlink_free(waiting);
	cr_expect_eq(used("acme", "tokens"), 6);
}

Test(meters, are_closed_when_tenantd_says_so, .init = set_up, .fini = tear_down)
{
	struct varlink *link = rig_connect_to(&rig, "meter.sock");

	json_decref(rig_ask(&rig, link, "io.tenantd.CheckQuota", of_meter("tokens", 1), NULL));
	rig_meter_tell(&rig, &launch.launch.tenant, FD_NONE);
	cr_expect(rig_closed(&rig, link));
	(void)varlink_free(link);
	/* Twice is no harm, nor of one that never had any. */
	rig_meter_tell(&rig, &launch.launch.tenant, FD_NONE);
	rig_meter_tell(&rig, &(struct id){ { 9 } }, FD_NONE);
	json_decref(rig_ask(&rig, admin, "io.tenantd.GetStatus", json_object(), NULL));
}

/* On the control socket nobody is known by it. */
Test(meters, leave_the_control_socket_as_it_is, .init = set_up, .fini = tear_down)
{
	json_decref(rig_refused(&rig, admin, "io.tenantd.ConsumeQuota", of_meter("tokens", 1),
	                        NULL, "io.tenantd.Invalid"));
	json_decref(rig_refused(&rig, admin, "io.tenantd.GetQuotas", json_object(), NULL,
	                        "io.tenantd.Invalid"));
}

/* A refused call is told of as an event of the tenant's. */
Test(meters, tell_of_what_is_refused, .init = set_up, .fini = tear_down)
{
	struct varlink *link = rig_connect_to(&rig, "meter.sock");
	json_t *answer;
	bool told = false;

	json_decref(rig_refused(&rig, link, "io.tenantd.DeleteTenant",
	                        json_pack("{s:s, s:b}", "tenant", "globex", "force", 1), NULL,
	                        "io.tenantd.NotPermitted"));
	(void)varlink_free(link);
	rig_window(&rig);
	rig_call(&rig, admin, "io.tenantd.ListEvents", json_pack("{s:s}", "tenant", "acme"),
	         "more");
	do {
		json_t *event;

		answer = rig_answer(&rig, admin);
		event = json_object_get(json_object_get(answer, "parameters"), "event");
		told |= strcmp(rig_text(event, "kind"), "refused") == 0;
		if (!json_is_true(json_object_get(answer, "continues"))) {
			json_decref(answer);
			break;
		}
		json_decref(answer);
	} while (true);
	cr_expect(told);
}
