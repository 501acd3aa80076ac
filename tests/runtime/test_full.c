/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk that takes nothing more: the store's calls to the file system go through a layer that
 * fails them, as SQLite's default VFS. What runs goes on and what it used waits; nothing more
 * is admitted; when there is room again, all of it is booked.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sqlite3.h>

#include "faulty_vfs.h"
#include "rig.h"

TestSuite(full, .timeout = 60);

static struct rig rig;
static struct varlink *admin, *runs;

static void set_up(void)
{
	faulty_vfs_register();
	rig_init(&rig);
	rig_tenant(&rig, "acme");
	admin = rig_connect(&rig);
	runs = rig_connect(&rig);
}

static void tear_down(void)
{
	faulty_vfs_heal();
	(void)varlink_free(runs);
	(void)varlink_free(admin);
	rig_done(&rig);
}

/* Why the daemon is degraded, or "" if it is not. */
static const char *degraded(void)
{
	static char text[512];
	json_t *answer = rig_ask(&rig, admin, "io.tenantd.GetStatus", json_object(), NULL);
	const json_t *why = json_array_get(json_object_get(answer, "degraded"), 0);

	(void)snprintf(text, sizeof(text), "%s", why != NULL ? json_string_value(why) : "");
	json_decref(answer);
	return text;
}

/* A retry is due each second. */
static void wait_until_healthy(void)
{
	for (int i = 0; i < 400 && degraded()[0] != '\0'; i++)
		rig_window(&rig);
	cr_assert_str_eq(degraded(), "");
}

static void end(const union rig_message *launch)
{
	struct spec_exited exited = rig_exited_of(launch, 0, 10);

	rig_exited(&rig, &exited);
	rig_window(&rig);
}

static int64_t executions_booked(void)
{
	json_t *answer = rig_ask(&rig, admin, "io.tenantd.GetUsage",
	                         json_pack("{s:s}", "tenant", "acme"), "more");
	int64_t n = rig_number(json_object_get(answer, "meters"), "executions");

	json_decref(answer);
	return n;
}

/* @sqlite is what SQLite gives, @errno_value what the system gave it, @said what is told. */
static void expect_refusal_and_recovery(int sqlite, int errno_value, const char *said)
{
	static union rig_message launch, message;
	struct varlink *other = rig_connect(&rig);
	json_t *answer;
	char why[RIG_WHY_BYTES_MAX];

	rig_run_started(&rig, runs, "acme", &launch);
	rig_window(&rig);
	cr_expect_str_eq(degraded(), "");
	faulty_vfs_break(sqlite, errno_value);
	end(&launch);
	json_decref(rig_run_end(&rig, runs, why));
	cr_expect_not_null(strstr(degraded(), said), "'%s' lacks '%s'", degraded(), said);
	cr_expect(rig_silent(&rig), "what is not booked is not settled");
	cr_expect_not_null(strstr(rig.status, said), "%s", rig.status);

	rig_run(&rig, other, "acme", NULL);
	answer = rig_answer(&rig, other);
	cr_expect_str_eq(rig_text(answer, "error"), "io.tenantd.InvalidState");
	cr_expect_not_null(
		strstr(rig_text(json_object_get(answer, "parameters"), "message"), said));
	json_decref(answer);
	cr_expect(rig_silent(&rig), "and nothing was asked of tenantd");

	faulty_vfs_heal();
	wait_until_healthy();
	rig_take(&rig, SPEC_SETTLED, &message);
	cr_expect(id_equal(&message.settled.execution, &launch.launch.execution));
	cr_expect(rig_silent(&rig));
	cr_expect_null(strstr(rig.status, "degraded"), "%s", rig.status);
	rig_run_started(&rig, other, "acme", &launch);
	end(&launch);
	json_decref(rig_run_end(&rig, other, why));
	rig_take(&rig, SPEC_SETTLED, &message);
	cr_expect_eq(executions_booked(), 2);
	(void)varlink_free(other);
}

Test(full, disk_refuses_what_is_new_and_loses_nothing, .init = set_up, .fini = tear_down)
{
	expect_refusal_and_recovery(SQLITE_FULL, ENOSPC, "No space left on device");
}

Test(full, or_read_only_it_is_the_same, .init = set_up, .fini = tear_down)
{
	expect_refusal_and_recovery(SQLITE_IOERR_WRITE, EROFS, "Read-only file system");
}

Test(full, disk_undoes_what_it_could_not_keep, .init = set_up, .fini = tear_down)
{
	json_t *wanted = json_pack("{s:s, s:s}", "name", "globex", "tier", "free");
	union rig_message apply;

	faulty_vfs_break(SQLITE_FULL, ENOSPC);
	json_decref(rig_refused(&rig, admin, "io.tenantd.CreateTenant", json_incref(wanted),
	                        NULL, "io.tenantd.System"));
	cr_expect(rig_silent(&rig));
	faulty_vfs_heal();
	rig_call(&rig, admin, "io.tenantd.CreateTenant", wanted, NULL);
	rig_take(&rig, SPEC_TENANT_APPLY, &apply);
	rig_reply(&rig, &apply, TN_OK);
	json_decref(rig_answer(&rig, admin));
	cr_expect_str_eq(degraded(), "");
}

Test(full, disk_still_shows_what_runs, .init = set_up, .fini = tear_down)
{
	static union rig_message ended, goes_on, killed, settled;
	struct varlink *other = rig_connect(&rig);
	char id[ID_TEXT_BYTES], prefix[9];
	json_t *answer;
	char why[RIG_WHY_BYTES_MAX];

	rig_run_started(&rig, runs, "acme", &ended);
	rig_run_started(&rig, other, "acme", &goes_on);
	rig_window(&rig);
	faulty_vfs_break(SQLITE_FULL, ENOSPC);
	end(&ended);
	json_decref(rig_run_end(&rig, runs, why));
	id_format(&goes_on.launch.execution, id);
	(void)snprintf(prefix, sizeof(prefix), "%.8s", id);

	rig_call(&rig, admin, "io.tenantd.ListExecutions", json_object(), "more");
	answer = rig_answer(&rig, admin);
	cr_expect_str_eq(
		rig_text(json_object_get(json_object_get(answer, "parameters"), "execution"),
	                 "id"),
		id);
	cr_expect_not(json_is_true(json_object_get(answer, "continues")),
	              "what has ended is not told to run");
	json_decref(answer);
	/* All that there was is not known now. */
	json_decref(rig_refused(&rig, admin, "io.tenantd.ListExecutions",
	                        json_pack("{s:b}", "all", 1), "more", "io.tenantd.System"));
	json_decref(rig_ask(&rig, admin, "io.tenantd.Kill", json_pack("{s:s}", "id", prefix),
	                    NULL));
	rig_take(&rig, SPEC_KILL, &killed);
	cr_expect(id_equal(&killed.kill.execution, &goes_on.launch.execution));

	faulty_vfs_heal();
	wait_until_healthy();
	rig_take(&rig, SPEC_SETTLED, &settled);
	end(&goes_on);
	json_decref(rig_run_end(&rig, other, why));
	rig_take(&rig, SPEC_SETTLED, &settled);
	cr_expect_eq(executions_booked(), 2);
	(void)varlink_free(other);
}
