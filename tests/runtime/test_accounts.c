/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * accounts.c: a name service that does not answer holds nobody up but who asked, and that not
 * for ever; what asks is gone in the end. getpwnam(3) and loop_watch() are the test's
 * (--wrap).
 */
#include <criterion/criterion.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig.h"

TestSuite(accounts, .timeout = 60);

/* A user whom the name service never says anything of. */
#define HANGING "hangs"

struct passwd *__real_getpwnam(const char *name);
struct passwd *__wrap_getpwnam(const char *name);
int __real_loop_watch(struct loop *loop, int fd, uint32_t events, struct loop_handler handler,
                      struct loop_source **ret, struct tn_error *err);
int __wrap_loop_watch(struct loop *loop, int fd, uint32_t events, struct loop_handler handler,
                      struct loop_source **ret, struct tn_error *err);

static int watches_until_failure; /* 0: none fails */

struct passwd *__wrap_getpwnam(const char *name)
{
	while (strcmp(name, HANGING) == 0)
		(void)pause();
	return __real_getpwnam(name);
}

int __wrap_loop_watch(struct loop *loop, int fd, uint32_t events, struct loop_handler handler,
                      struct loop_source **ret, struct tn_error *err)
{
	if (watches_until_failure > 0 && --watches_until_failure == 0)
		return err_set(err, TN_SYSTEM, ENOMEM, "watch");
	return __real_loop_watch(loop, fd, events, handler, ret, err);
}

static void expect_no_children(void)
{
	errno = 0;
	cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1, "a process is left");
	cr_expect_eq(errno, ECHILD);
}

static struct rig rig;

/* Longer than anything in the rig waits. */
static json_t *late_answer(struct varlink *link)
{
	for (int i = 0; i < 3000 && accounts_busy(rig.context->accounts); i++) {
		rig_turn(&rig);
		(void)usleep(10000);
	}
	return rig_answer(&rig, link);
}

static json_t *hanging_tenant(void)
{
	return json_pack("{s:s, s:s, s:[s]}", "name", "globex", "tier", "free", "operators",
	                 "user:" HANGING);
}

Test(accounts, one_that_hangs_holds_up_nobody_else)
{
	static union rig_message launch;
	struct varlink *admin, *other;
	json_t *answer;
	const char *said;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	admin = rig_connect(&rig);
	other = rig_connect(&rig);
	rig_call(&rig, admin, "io.tenantd.CreateTenant", hanging_tenant(), NULL);
	rig_turn(&rig);
	cr_assert(accounts_busy(rig.context->accounts), "it is being asked");

	json_decref(rig_ask(&rig, other, "io.tenantd.GetStatus", json_object(), NULL));
	rig_tenant(&rig, "initech");
	rig_run_started(&rig, other, "acme", &launch);
	cr_expect_not(rig_answered(&rig, admin), "and it still is");

	answer = late_answer(admin);
	cr_expect_str_eq(rig_text(answer, "error"), "io.tenantd.System");
	said = rig_text(json_object_get(answer, "parameters"), "message");
	cr_expect_not_null(strstr(said, "the host did not answer within 10 s"), "%s", said);
	json_decref(answer);
	json_decref(rig_refused(&rig, admin, "io.tenantd.GetTenant",
	                        json_pack("{s:s}", "tenant", "globex"), NULL,
	                        "io.tenantd.NotFound"));
	expect_no_children();
	(void)varlink_free(other);
	(void)varlink_free(admin);
	rig_done(&rig);
}

static void on_accounts(void *userdata, const struct account_set *found,
                        const struct tn_error *err)
{
	(void)found;
	(void)err;
	++*(int *)userdata;
}

static void expect_gone_when_not_watched(int nth)
{
	struct account_set names = { 0 };
	struct accounts *accounts;
	struct tn_error err = { 0 };
	struct loop *loop;
	int told_n = 0;

	cr_assert_eq(loop_new(&loop, &err), 0);
	cr_assert_eq(accounts_new(&accounts, loop, &err), 0);
	cr_assert_eq(account_set_add(&names, ACCOUNT_USER, HANGING, &err), 0);
	watches_until_failure = nth;
	cr_expect_eq(accounts_ask(accounts, &names, on_accounts, &told_n, &err), -ENOMEM);
	for (int i = 0; i < 1000 && accounts_busy(accounts); i++)
		cr_assert_geq(loop_turn(loop, 10000, &err), 0);
	cr_expect_not(accounts_busy(accounts));
	cr_expect_eq(told_n, 0, "who was refused is not told again");
	expect_no_children();
	(void)accounts_free(accounts);
	(void)loop_free(loop);
}

Test(accounts, one_that_cannot_be_watched_is_ended_and_taken_away)
{
	expect_gone_when_not_watched(1);
	expect_gone_when_not_watched(2);
}

Test(accounts, one_that_still_asks_at_the_end_is_killed)
{
	struct account_set names = { 0 };
	struct accounts *accounts;
	struct tn_error err = { 0 };
	struct loop *loop;
	int told_n = 0;
	int status;

	cr_assert_eq(loop_new(&loop, &err), 0);
	cr_assert_eq(accounts_new(&accounts, loop, &err), 0);
	cr_assert_eq(account_set_add(&names, ACCOUNT_USER, HANGING, &err), 0);
	cr_assert_eq(accounts_ask(accounts, &names, on_accounts, &told_n, &err), 0);
	(void)accounts_free(accounts);
	(void)loop_free(loop);
	/* Whoever inherits it: here that is us. */
	if (waitpid(-1, &status, 0) > 0)
		cr_expect(WIFSIGNALED(status));
	expect_no_children();
	cr_expect_eq(told_n, 0);
}
