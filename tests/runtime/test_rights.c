/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* control/rights.c, peer.c and accounts.c: who may do what with whom, and what is said to
 * others. */
#include <criterion/criterion.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/fd.h>

#include "control/methods.h"
#include "control/rights.h"
#include "rig.h"

TestSuite(rights, .timeout = 60);

/* Accounts that every Debian has, with these numbers; of none of which whoever tests is one. */
#define UID_NOBODY  65534
#define GID_NOGROUP 65534
#define GID_GAMES   60
#define UID_GAMES   5
#define GID_ADM     4

#define OPERATORS "operators: {users: [games], groups: [adm]}\n"

static const char free_yaml[] = "tier: free\nlimits: {executions_max: 4}\n" OPERATORS;

static struct rig rig;
static struct varlink *admin;
static union rig_message message;

static json_t *of_tenant(const char *name)
{
	return json_pack("{s:s}", "tenant", name);
}

static void reload(void)
{
	json_decref(rig_ask(&rig, admin, "io.tenantd.ReloadPolicy", json_object(), NULL));
}

static void set_up(void)
{
	cr_assert_eq(geteuid(), 0, "these tests take root, who can be anybody");
	rig = (struct rig){ .nobody_is_admin = true };
	rig_init(&rig);
	admin = rig_connect(&rig);
	rig_write(&rig, "tiers/free.yaml", free_yaml);
	reload();
	rig_tenant(&rig, "acme");
}

static void tear_down(void)
{
	(void)varlink_free(admin);
	rig_done(&rig);
}

/* A connection of somebody else: the kernel notes who we are when we connect. */
static struct varlink *connect_as(uid_t uid, gid_t gid, const gid_t *groups, size_t groups_n)
{
	const gid_t own = getegid();
	struct varlink *link;
	gid_t before[64];
	int before_n = getgroups(ARRAY_LEN(before), before);

	cr_assert_geq(before_n, 0);
	cr_assert_eq(setgroups(groups_n, groups), 0);
	cr_assert_eq(setegid(gid), 0);
	cr_assert_eq(seteuid(uid), 0);
	link = rig_connect(&rig);
	cr_assert_eq(seteuid(0), 0);
	cr_assert_eq(setegid(own), 0);
	cr_assert_eq(setgroups((size_t)before_n, before), 0);
	return link;
}

static struct varlink *connect_nobody(void)
{
	return connect_as(UID_NOBODY, GID_NOGROUP, NULL, 0);
}

static void expect_sees(struct varlink *link, const char *why)
{
	json_t *answer = rig_ask(&rig, link, "io.tenantd.GetTenant", of_tenant("acme"), NULL);

	cr_expect_str_eq(rig_text(json_object_get(answer, "tenant"), "name"), "acme", "%s",
	                 why);
	json_decref(answer);
	(void)varlink_free(link);
}

static void expect_blind(struct varlink *link, const char *method, json_t *parameters,
                         const char *says)
{
	json_t *refused = rig_refused(&rig, link, method, parameters, NULL,
	                              "io.tenantd.NotFound");

	cr_expect_str_eq(rig_text(refused, "message"), says, "%s", method);
	json_decref(refused);
}

/* Every name in an interface's description, after its first word "method". */
static void each_method(const char *interface, void (*visit)(const char *method))
{
	const char *text = methods_interface(interface, strlen(interface));

	cr_assert_not_null(text);
	for (const char *at = strstr(text, "\nmethod "); at != NULL;
	     at = strstr(at + 1, "\nmethod ")) {
		const char *name = at + strlen("\nmethod ");
		char method[128];

		(void)snprintf(method, sizeof(method), "%s.%.*s", interface,
		               (int)strcspn(name, "("), name);
		visit(method);
	}
}

static size_t seen_n;

static void expect_row(const char *method)
{
	const struct rights_row *row = rights_row(method);

	seen_n++;
	cr_expect_not_null(methods_find(method), "%s is described and not there", method);
	cr_assert_not_null(row, "%s is nobody's: it has no row", method);
	/* What is about no tenant cannot be an operator's. */
	if (row->right == RIGHT_LOOK || row->right == RIGHT_RUN)
		cr_expect_neq(row->subject, SUBJECT_NONE, "%s", method);
}

Test(rights, has_a_row_for_every_method)
{
	for (size_t i = 0; methods_interface_name(i) != NULL; i++)
		each_method(methods_interface_name(i), expect_row);
	cr_expect_geq(seen_n, 26u, "the descriptions were not read");
	cr_expect_null(rights_row("io.tenantd.NoSuch"));
}

Test(rights, lets_nobody_call_what_has_no_row)
{
	const struct peer root = { .admin = true };
	const struct context context = { .accounts_asked = true };
	struct tn_error err = { 0 };

	cr_expect_lt(rights_check(&context, &root, "io.tenantd.NoSuch", NULL, &err), 0);
	cr_expect_eq(err.code, TN_NOT_PERMITTED);
}

Test(rights, knows_operators_by_uid_gid_and_supplementary_group, .init = set_up,
     .fini = tear_down)
{
	const gid_t adm[] = { GID_GAMES, GID_ADM };

	expect_sees(connect_as(UID_GAMES, GID_NOGROUP, NULL, 0), "its uid");
	expect_sees(connect_as(UID_NOBODY, GID_ADM, NULL, 0), "its main group");
	expect_sees(connect_as(UID_NOBODY, GID_NOGROUP, adm, ARRAY_LEN(adm)),
	            "a supplementary group");
}

static const char *const of_admins[] = {
	"CreateTenant",   "UpdateTenant", "SuspendTenant", "ResumeTenant", "DeleteTenant",
	"RollbackPolicy", "ReloadPolicy", "ListPolicies",  "GetPolicy",    "DiffPolicy",
	"Drain",          "Undrain",      "GetStatus",     "Backup",
};

Test(rights, leaves_to_admins_whatever_changes_something, .init = set_up, .fini = tear_down)
{
	struct varlink *operated = connect_as(UID_GAMES, GID_NOGROUP, NULL, 0);

	for (size_t i = 0; i < ARRAY_LEN(of_admins); i++) {
		char method[64];
		json_t *refused;

		(void)snprintf(method, sizeof(method), "io.tenantd.%s", of_admins[i]);
		refused = rig_refused(&rig, operated, method, of_tenant("acme"), "more",
		                      "io.tenantd.NotPermitted");
		cr_expect_str_eq(rig_text(refused, "message"),
		                 "only root and members of group tenantd-admin may do this");
		json_decref(refused);
	}
	cr_expect(rig_silent(&rig));
	(void)varlink_free(operated);
}

Test(rights, says_the_same_of_what_is_not_there_and_what_may_not_be_seen, .init = set_up,
     .fini = tear_down)
{
	static const char *const methods[] = {
		"io.tenantd.GetTenant",      "io.tenantd.ShowPolicy", "io.tenantd.GetUsage",
		"io.tenantd.ListExecutions", "io.tenantd.Kill",       "io.tenantd.GetStats",
		"io.tenantd.ListEvents",     "io.tenantd.OpenData",   "io.tenantd.GetBill"
	};
	static const char *const of_executions[] = { "io.tenantd.Wait", "io.tenantd.OpenLog",
		                                     "io.tenantd.FindExecution",
		                                     "io.tenantd.Rejoin", "io.tenantd.Kill" };
	struct varlink *runner = rig_connect(&rig), *nobody;
	char id[ID_TEXT_BYTES], says[128];

	rig_run_started(&rig, runner, "acme", &message);
	id_format(&message.launch.execution, id);
	rig_send(&rig, SPEC_REPLAYED, 0, &message.head, sizeof(message.head));
	nobody = connect_nobody();
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		expect_blind(nobody, methods[i], of_tenant("acme"),
		             "there is no tenant 'acme' that you may use");
		expect_blind(nobody, methods[i], of_tenant("none"),
		             "there is no tenant 'none' that you may use");
		expect_blind(nobody, methods[i], of_tenant("../x"),
		             "there is no tenant '../x' that you may use");
	}
	for (size_t i = 0; i < ARRAY_LEN(of_executions); i++) {
		(void)snprintf(says, sizeof(says),
		               "there is no execution '%s' that you may use", id);
		expect_blind(nobody, of_executions[i], json_pack("{s:s}", "id", id), says);
		expect_blind(
			nobody, of_executions[i],
			json_pack("{s:s}", "id", "0192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f"),
			"there is no execution '0192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f' that "
			"you may use");
	}
	/* What is joined counts, and not the id that it is to have itself. */
	(void)snprintf(says, sizeof(says), "there is no execution '%s' that you may use", id);
	expect_blind(nobody, "io.tenantd.Exec",
	             json_pack("{s:s, s:s}", "execution", id, "id",
	                       "0192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f"),
	             says);
	/* Nor by the beginning of its id, or by a name. */
	id[8] = '\0';
	(void)snprintf(says, sizeof(says), "there is no execution '%s' that you may use", id);
	expect_blind(nobody, "io.tenantd.Kill", json_pack("{s:s}", "id", id), says);
	expect_blind(nobody, "io.tenantd.Kill", json_pack("{s:s}", "id", "acme/job"),
	             "there is no execution 'acme/job' that you may use");
	rig_run(&rig, nobody, "acme", NULL);
	json_decref(rig_answer(&rig, nobody));
	/* Nothing of all this has reached tenantd. */
	cr_expect(rig_silent(&rig));
	(void)varlink_free(nobody);
	(void)varlink_free(runner);
}

/* How many members a list has. */
static size_t list_count(struct varlink *link, const char *method, const char *member)
{
	size_t n = 0;
	bool more = true;

	rig_call(&rig, link, method, json_pack("{s:b}", "all", 1), "more");
	while (more) {
		json_t *answer = rig_answer(&rig, link);

		cr_assert_null(json_object_get(answer, "error"), "%s",
		               rig_text(answer, "error"));
		n += json_object_get(json_object_get(answer, "parameters"), member) != NULL;
		more = json_is_true(json_object_get(answer, "continues"));
		json_decref(answer);
	}
	return n;
}

static size_t tenants_listed(struct varlink *link)
{
	size_t n = 0;
	bool more = true;

	rig_call(&rig, link, "io.tenantd.ListTenants", json_object(), "more");
	while (more) {
		json_t *answer = rig_answer(&rig, link);

		n += json_object_get(json_object_get(answer, "parameters"), "tenant") != NULL;
		more = json_is_true(json_object_get(answer, "continues"));
		json_decref(answer);
	}
	return n;
}

Test(rights, shows_an_operator_lists_of_its_own_tenants_alone, .init = set_up,
     .fini = tear_down)
{
	struct varlink *operated, *runner = rig_connect(&rig), *other = rig_connect(&rig);
	union rig_message apply;

	/* So many that are left out that a turn of the loop does not get through them. */
	for (int i = 0; i < 150; i++) {
		char name[16];
		json_t *answer;

		(void)snprintf(name, sizeof(name), "b%d", i);
		rig_call(&rig, admin, "io.tenantd.CreateTenant",
		         json_pack("{s:s, s:s}", "name", name, "tier", "large"), NULL);
		rig_take(&rig, SPEC_TENANT_APPLY, &apply);
		rig_reply(&rig, &apply, TN_OK);
		answer = rig_answer(&rig, admin);
		cr_assert_null(json_object_get(answer, "error"));
		json_decref(answer);
	}
	rig_tenant(&rig, "zeta");
	rig_run_started(&rig, runner, "acme", &message);
	rig_run_started(&rig, other, "b7", &message);
	operated = connect_as(UID_GAMES, GID_NOGROUP, NULL, 0);
	cr_expect_eq(tenants_listed(admin), 152u);
	cr_expect_eq(tenants_listed(operated), 2u);
	cr_expect_eq(list_count(admin, "io.tenantd.ListExecutions", "execution"), 2u);
	cr_expect_eq(list_count(operated, "io.tenantd.ListExecutions", "execution"), 1u);
	(void)varlink_free(operated);
	operated = connect_nobody();
	cr_expect_eq(tenants_listed(operated), 0u);
	cr_expect_eq(list_count(operated, "io.tenantd.ListExecutions", "execution"), 0u);
	(void)varlink_free(operated);
	(void)varlink_free(runner);
	(void)varlink_free(other);
}

/* How many events @link is told of, of which tenants: "acme acme zeta". */
static const char *events_listed(struct varlink *link)
{
	static char names[1024];
	bool more = true;
	size_t n = 0;

	names[0] = '\0';
	rig_call(&rig, link, "io.tenantd.ListEvents", json_object(), "more");
	while (more) {
		json_t *answer = rig_answer(&rig, link);
		const json_t *event = json_object_get(json_object_get(answer, "parameters"),
		                                      "event");

		cr_assert_null(json_object_get(answer, "error"), "%s",
		               rig_text(answer, "error"));
		if (event != NULL)
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s",
			                      n > 0 ? " " : "", rig_text(event, "tenant"));
		more = json_is_true(json_object_get(answer, "continues"));
		json_decref(answer);
	}
	return names;
}

Test(rights, tells_an_operator_of_events_of_its_own_tenants_alone, .init = set_up,
     .fini = tear_down)
{
	struct varlink *operated = connect_as(UID_GAMES, GID_NOGROUP, NULL, 0);
	struct varlink *nobody = connect_nobody();
	json_t *answer;

	rig_call(&rig, admin, "io.tenantd.CreateTenant",
	         json_pack("{s:s, s:s}", "name", "other", "tier", "large"), NULL);
	rig_take(&rig, SPEC_TENANT_APPLY, &message);
	rig_reply(&rig, &message, TN_OK);
	answer = rig_answer(&rig, admin);
	cr_assert_null(json_object_get(answer, "error"));
	json_decref(answer);
	rig_tenant(&rig, "zeta");
	cr_expect_str_eq(events_listed(operated), "acme zeta", "nor of the node");
	cr_expect_str_eq(events_listed(nobody), "");
	cr_expect(strstr(events_listed(admin), "other") != NULL);
	expect_blind(operated, "io.tenantd.ListEvents", of_tenant("other"),
	             "there is no tenant 'other' that you may use");
	(void)varlink_free(operated);
	(void)varlink_free(nobody);
}

Test(rights, lets_an_operator_run_and_end_what_it_runs, .init = set_up, .fini = tear_down)
{
	struct varlink *operated = connect_as(UID_GAMES, GID_NOGROUP, NULL, 0);
	struct varlink *second = connect_as(UID_NOBODY, GID_ADM, NULL, 0);
	char id[ID_TEXT_BYTES];

	rig_run_started(&rig, operated, "acme", &message);
	id_format(&message.launch.execution, id);
	json_decref(
		rig_ask(&rig, second, "io.tenantd.Kill", json_pack("{s:s}", "id", id), NULL));
	rig_take(&rig, SPEC_KILL, &message);
	json_decref(rig_ask(&rig, second, "io.tenantd.Signal",
	                    json_pack("{s:s, s:i}", "id", id, "signal", 15), NULL));
	rig_take(&rig, SPEC_SIGNAL, &message);
	(void)varlink_free(operated);
	(void)varlink_free(second);
}

static void update(json_t *parameters)
{
	(void)json_object_set_new(parameters, "tenant", json_string("acme"));
	json_decref(rig_ask(&rig, admin, "io.tenantd.UpdateTenant", parameters, NULL));
}

Test(rights, gives_a_tenant_operators_of_its_own_and_takes_them_away, .init = set_up,
     .fini = tear_down)
{
	json_t *answer;

	expect_blind(connect_nobody(), "io.tenantd.GetTenant", of_tenant("acme"),
	             "there is no tenant 'acme' that you may use");
	update(json_pack("{s:[s, s]}", "operators_add", "user:nobody", "group:games"));
	expect_sees(connect_nobody(), "added");
	expect_sees(connect_as(UID_NOBODY, GID_GAMES, NULL, 0), "its group, too");
	answer = rig_ask(&rig, admin, "io.tenantd.GetTenant", of_tenant("acme"), NULL);
	answer = json_object_get(answer, "tenant");
	cr_expect_str_eq(json_dumps(json_object_get(answer, "operators"), JSON_COMPACT),
	                 "[\"group:games\",\"user:nobody\"]");
	cr_expect_eq(rig_number(answer, "version"), 3);
	update(json_pack("{s:[s], s:i}", "operators_remove", "user:nobody", "if_version", 3));
	expect_blind(connect_nobody(), "io.tenantd.GetTenant", of_tenant("acme"),
	             "there is no tenant 'acme' that you may use");
	/* Over a restart, too: they are asked for again, and who comes meanwhile waits. */
	admin = varlink_free(admin);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	expect_sees(connect_as(UID_NOBODY, GID_GAMES, NULL, 0), "after a restart");
	admin = rig_connect(&rig);
}

Test(rights, asks_again_when_the_turn_of_a_launch_has_come, .init = set_up, .fini = tear_down)
{
	struct varlink *runners[4], *waiting;
	static union rig_message launches[4];
	struct spec_exited exited;
	json_t *answer;

	for (size_t i = 0; i < ARRAY_LEN(runners); i++) {
		runners[i] = rig_connect(&rig);
		rig_run_started(&rig, runners[i], "acme", &launches[i]);
	}
	update(json_pack("{s:[s]}", "operators_add", "user:nobody"));
	waiting = connect_nobody();
	rig_run(&rig, waiting, "acme",
	        json_pack("{s:I}", "queue_usec_max", (json_int_t)60000000));
	answer = rig_answer(&rig, waiting);
	cr_expect_str_eq(rig_text(json_object_get(answer, "parameters"), "event"), "queued");
	json_decref(answer);
	update(json_pack("{s:[s]}", "operators_remove", "user:nobody"));
	exited = rig_exited_of(&launches[0], 0, 1);
	rig_exited(&rig, &exited);
	answer = rig_answer(&rig, waiting);
	cr_expect_str_eq(rig_text(answer, "error"), "io.tenantd.NotFound");
	json_decref(answer);
	(void)varlink_free(waiting);
	for (size_t i = 0; i < ARRAY_LEN(runners); i++)
		(void)varlink_free(runners[i]);
}

Test(rights, refuses_an_operator_that_the_host_does_not_know, .init = set_up, .fini = tear_down)
{
	static const char *const methods[] = { "io.tenantd.CreateTenant",
		                               "io.tenantd.UpdateTenant" };
	static const struct {
		const char *who, *says;
	} rows[] = {
		{ "user:no-such-user",
		  "operator 'user:no-such-user': this host has no user 'no-such-user'" },
		{ "group:no-such-group",
		  "operator 'group:no-such-group': this host has no group 'no-such-group'" },
		{ "nobody", "'nobody' is no operator; expected user:NAME or group:NAME" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(methods); i++) {
		const size_t row = i / ARRAY_LEN(methods), method = i % ARRAY_LEN(methods);
		json_t *refused = rig_refused(
			&rig, admin, methods[method],
			json_pack("{s:s, s:[s]}", method == 0 ? "name" : "tenant",
		                  method == 0 ? "other" : "acme",
		                  method == 0 ? "operators" : "operators_add", rows[row].who),
			NULL, "io.tenantd.Invalid");

		cr_expect(strstr(rig_text(refused, "message"), rows[row].says) != NULL, "%s",
		          rig_text(refused, "message"));
		json_decref(refused);
	}
	cr_expect(rig_silent(&rig));
}

Test(rights, refuses_a_policy_that_names_nobody_and_says_where, .init = set_up,
     .fini = tear_down)
{
	json_t *refused;

	rig_write(&rig, "tiers/free.yaml",
	          "tier: free\noperators:\n  users: [games]\n  groups: [adm, no-such-group]\n");
	refused = rig_refused(&rig, admin, "io.tenantd.ReloadPolicy", json_object(), NULL,
	                      "io.tenantd.Invalid");
	cr_expect_str_eq(rig_text(refused, "message"),
	                 "tiers/free.yaml:4:17: operators: this host has no group "
	                 "'no-such-group'; expected one that it knows");
	json_decref(refused);
	expect_sees(connect_as(UID_GAMES, GID_NOGROUP, NULL, 0), "the policy is as it was");
}

Test(rights, starts_with_a_name_that_is_nobody_and_says_so, .init = set_up, .fini = tear_down)
{
	json_t *status;

	rig_write(&rig, "tiers/free.yaml",
	          "tier: free\noperators: {users: [games, no-such-user]}\n");
	admin = varlink_free(admin);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	expect_sees(connect_as(UID_GAMES, GID_NOGROUP, NULL, 0), "the others count");
	admin = rig_connect(&rig);
	status = rig_ask(&rig, admin, "io.tenantd.GetStatus", json_object(), NULL);
	cr_expect(strstr(json_dumps(status, 0),
	                 "tiers/free.yaml:2:28: operators: this host has no "
	                 "user 'no-such-user'") != NULL,
	          "%s", json_dumps(status, 0));
	json_decref(status);
}

Test(rights, keeps_a_question_about_an_execution_until_tenantd_has_told_all, .init = set_up,
     .fini = tear_down)
{
	static union rig_message launch;
	struct spec_head replayed = { 0 };
	struct varlink *operated = connect_as(UID_GAMES, GID_NOGROUP, NULL, 0);
	struct varlink *stranger;
	char id[ID_TEXT_BYTES];
	json_t *answer;

	rig_run_started(&rig, operated, "acme", &launch);
	id_format(&launch.launch.execution, id);
	operated = varlink_free(operated);
	admin = varlink_free(admin);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	operated = connect_as(UID_GAMES, GID_NOGROUP, NULL, 0);
	stranger = connect_nobody();
	/* In the store it is, whose it is is known; so ask for one that it has not. */
	rig_call(&rig, operated, "io.tenantd.Wait",
	         json_pack("{s:s}", "id", "1192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f"), NULL);
	rig_call(&rig, stranger, "io.tenantd.Wait",
	         json_pack("{s:s}", "id", "1192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f"), NULL);
	cr_expect_not(rig_answered(&rig, operated));
	cr_expect_not(rig_answered(&rig, stranger));
	rig_send(&rig, SPEC_REPLAYED, 0, &replayed, sizeof(replayed));
	answer = rig_answer(&rig, operated);
	cr_expect_str_eq(rig_text(answer, "error"), "io.tenantd.NotFound");
	json_decref(answer);
	answer = rig_answer(&rig, stranger);
	cr_expect_str_eq(rig_text(answer, "error"), "io.tenantd.NotFound");
	json_decref(answer);
	(void)varlink_free(operated);
	(void)varlink_free(stranger);
	admin = rig_connect(&rig);
}
