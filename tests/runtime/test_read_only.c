/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A controller that begins while the store lies on a read-only file system: who runs is known,
 * what can be read is told, nothing is launched and the reason is said; once it can be written
 * the controller ends, for its successor to open the store anew.
 */
#include <criterion/criterion.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "rig.h"

TestSuite(read_only, .timeout = 60);

#define CONTROLLERS                                                                            \
	(SPEC_CONTROLLER_CPU | SPEC_CONTROLLER_MEMORY | SPEC_CONTROLLER_PIDS |                 \
	 SPEC_CONTROLLER_IO)
#define SAID "Read-only file system"

static struct rig rig;
static union rig_message launch, message;

static const char *store_path(void)
{
	static char path[RIG_PATH_BYTES_MAX + 8];

	(void)snprintf(path, sizeof(path), "%s/store", rig.dir);
	return path;
}

/* Over the directory that is in use, so that only who opens something now notices. */
static void make_read_only(void)
{
	const char *path = store_path();

	cr_assert_eq(mount(path, path, NULL, MS_BIND, NULL), 0, "%m");
	cr_assert_eq(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0, "%m");
}

static void make_writable(void)
{
	cr_assert_eq(umount2(store_path(), MNT_DETACH), 0, "%m");
}

static void set_up(void)
{
	cr_assert_eq(geteuid(), 0, "mounts are root's");
	cr_assert_eq(unshare(CLONE_NEWNS), 0, "%m");
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0, "%m");
	rig_init(&rig);
	rig_tenant(&rig, "acme");
}

static void tear_down(void)
{
	rig_done(&rig);
}

static void expect_degraded(struct varlink *link, const char *said)
{
	json_t *answer = rig_ask(&rig, link, "io.tenantd.GetStatus", json_object(), NULL);
	const json_t *why = json_array_get(json_object_get(answer, "degraded"), 0);
	const char *text = why != NULL ? json_string_value(why) : "";

	if (said == NULL)
		cr_expect_str_eq(text, "");
	else
		cr_expect_not_null(strstr(text, said), "'%s' lacks '%s'", text, said);
	json_decref(answer);
}

static void expect_no_launch(struct varlink *link)
{
	json_t *answer;
	const char *said;

	rig_run(&rig, link, "acme", NULL);
	answer = rig_answer(&rig, link);
	cr_expect_str_eq(rig_text(answer, "error"), "io.tenantd.InvalidState");
	said = rig_text(json_object_get(answer, "parameters"), "message");
	cr_expect_not_null(strstr(said, "nothing is launched"), "%s", said);
	cr_expect_not_null(strstr(said, SAID), "%s", said);
	cr_expect(rig_silent(&rig), "and nothing was asked of tenantd");
	json_decref(answer);
}

/* tenantd repeats what runs. */
static void begin_again(void)
{
	rig_restart(&rig);
	rig_hello(&rig, CONTROLLERS);
	launch.head.serial = 0;
	rig_started(&rig, &launch);
	rig_take(&rig, SPEC_TENANT_APPLY, &message);
	rig_reply(&rig, &message, TN_OK);
}

static void wait_until_it_ends_by_itself(void)
{
	struct tn_error err = { 0 };
	int r = 0;

	for (int i = 0; i < 1000 && r >= 0; i++)
		r = loop_turn(rig.loop, 10000, &err);
	cr_expect_lt(r, 0, "it goes on");
}

Test(read_only, store_is_read_at_a_start_and_written_at_the_next, .init = set_up,
     .fini = tear_down)
{
	struct varlink *link = rig_connect(&rig);
	struct spec_exited exited;
	json_t *answer;

	rig_run_started(&rig, link, "acme", &launch);
	rig_window(&rig);
	(void)varlink_free(link);
	make_read_only();
	begin_again();

	link = rig_connect(&rig);
	expect_degraded(link, SAID);
	cr_expect_not_null(strstr(rig.status, SAID), "%s", rig.status);
	expect_no_launch(link);
	json_decref(rig_refused(&rig, link, "io.tenantd.CreateTenant",
	                        json_pack("{s:s, s:s}", "name", "globex", "tier", "free"), NULL,
	                        "io.tenantd.System"));
	answer = rig_ask(&rig, link, "io.tenantd.GetTenant",
	                 json_pack("{s:s}", "tenant", "acme"), NULL);
	cr_expect_str_eq(rig_text(json_object_get(answer, "tenant"), "status"), "active");
	json_decref(answer);
	exited = rig_exited_of(&launch, 3 << 8, 10);
	rig_exited(&rig, &exited);
	rig_window(&rig);
	cr_expect(rig_silent(&rig), "what is not booked is not settled");

	make_writable();
	wait_until_it_ends_by_itself();
	(void)varlink_free(link);
	begin_again();
	rig_exited(&rig, &exited);
	rig_take(&rig, SPEC_SETTLED, &message);
	cr_expect(id_equal(&message.settled.execution, &launch.launch.execution));
	link = rig_connect(&rig);
	expect_degraded(link, NULL);
	rig_run_started(&rig, link, "acme", &launch);
	(void)varlink_free(link);
}

Test(read_only, store_keeps_what_was_half_made_until_it_can_be_undone, .init = set_up,
     .fini = tear_down)
{
	struct varlink *link = rig_connect(&rig);
	union rig_message apply;

	rig_call(&rig, link, "io.tenantd.CreateTenant",
	         json_pack("{s:s, s:s}", "name", "globex", "tier", "free"), NULL);
	rig_take(&rig, SPEC_TENANT_APPLY, &apply);
	(void)varlink_free(link);
	make_read_only();
	rig_restart(&rig);
	rig_hello(&rig, CONTROLLERS);
	rig_take(&rig, SPEC_TENANT_REMOVE, &message);
	rig_reply(&rig, &message, TN_OK);
	link = rig_connect(&rig);
	expect_degraded(link, SAID);
	(void)varlink_free(link);

	make_writable();
	wait_until_it_ends_by_itself();
	rig_restart(&rig);
	rig_hello(&rig, CONTROLLERS);
	rig_take(&rig, SPEC_TENANT_REMOVE, &message);
	cr_expect(id_equal(&message.remove.tenant, &apply.apply.tenant));
	rig_reply(&rig, &message, TN_OK);
	rig_tenant(&rig, "globex");
}
