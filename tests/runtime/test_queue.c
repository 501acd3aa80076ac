/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs that wait for one of the tenant's executions_max, which is 2 here. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>

#include <base/fd.h>

#include "admission.h"
#include "rig.h"

TestSuite(queue, .timeout = 60);

#define LONG_USEC  60000000
#define SHORT_USEC 30000

static struct rig rig;
static struct varlink *full[2]; /* what runs from the beginning */
static union rig_message running[2];

static void set_up(void)
{
	rig_init(&rig);
	rig_tenant(&rig, "acme");
	for (size_t i = 0; i < ARRAY_LEN(full); i++) {
		full[i] = rig_connect(&rig);
		rig_run_started(&rig, full[i], "acme", &running[i]);
	}
}

static void set_up_with_descriptors(rlim_t n)
{
	struct rlimit limit;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_assert_leq(n, limit.rlim_max);
	limit.rlim_cur = limit.rlim_max = n;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	set_up();
}

static void tear_down(void)
{
	for (size_t i = 0; i < ARRAY_LEN(full); i++)
		(void)varlink_free(full[i]);
	rig_done(&rig);
}

static int fds_open(void)
{
	int n = 0;

	for (int fd = 0; fd < 4096; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static struct varlink *ask(int64_t queue_usec_max)
{
	struct varlink *link = rig_connect(&rig);

	rig_run(&rig, link, "acme",
	        json_pack("{s:I}", "queue_usec_max", (json_int_t)queue_usec_max));
	return link;
}

/* Ask for a run that has to wait behind @before others. */
static struct varlink *wait_behind(int64_t before, int64_t queue_usec_max)
{
	struct varlink *link = ask(queue_usec_max);
	json_t *answer = rig_answer(&rig, link);
	json_t *parameters = json_object_get(answer, "parameters");

	cr_assert_str_eq(rig_text(parameters, "event"), "queued", "%s", json_dumps(answer, 0));
	cr_expect_eq(rig_number(parameters, "waiting_before"), before);
	cr_expect(json_is_true(json_object_get(answer, "continues")));
	json_decref(answer);
	return link;
}

/* @ended ends, and *ret is what is launched in its place. */
static void replace(const union rig_message *ended, union rig_message *ret)
{
	struct spec_exited exited = rig_exited_of(ended, 0, 1);
	static union rig_message settled;

	rig_exited(&rig, &exited);
	rig_take(&rig, SPEC_LAUNCH, ret);
	rig_take(&rig, SPEC_SETTLED, &settled);
}

static void refuse(const union rig_message *launch, int sys_errno)
{
	struct spec_started started = { .tenant = launch->launch.tenant,
		                        .execution = launch->launch.execution };

	(void)err_set(&started.error, TN_QUOTA, sys_errno, "the kernel says no");
	rig_send(&rig, SPEC_STARTED, launch->head.serial, &started.head, sizeof(started));
}

static void expect_started(struct varlink *link, const union rig_message *launch)
{
	json_t *answer;

	rig_started(&rig, launch);
	answer = rig_answer(&rig, link);
	cr_expect_str_eq(rig_text(json_object_get(answer, "parameters"), "event"), "started");
	json_decref(answer);
}

static void expect_error(struct varlink *link, const char *error, const char *text)
{
	json_t *answer = rig_answer(&rig, link);
	const char *message = rig_text(json_object_get(answer, "parameters"), "message");

	cr_expect_str_eq(rig_text(answer, "error"), error);
	cr_expect(strstr(message, text) != NULL, "%s", message);
	json_decref(answer);
}

Test(queue, launches_in_order_of_arrival_as_others_leave, .init = set_up, .fini = tear_down)
{
	static union rig_message launch[3];
	struct varlink *waiting[3];

	for (int i = 0; i < 3; i++)
		waiting[i] = wait_behind(i, LONG_USEC);
	cr_expect(rig_silent(&rig), "there is no room");
	for (int i = 0; i < 3; i++) {
		replace(i < 2 ? &running[i] : &launch[0], &launch[i]);
		expect_started(waiting[i], &launch[i]);
	}
	cr_expect_eq(admission_count(rig.context->admission, NULL), 0);
	for (int i = 0; i < 3; i++)
		(void)varlink_free(waiting[i]);
}

Test(queue, does_not_make_a_run_wait_for_which_there_is_room)
{
	static union rig_message launch;
	struct varlink *link;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	link = ask(LONG_USEC);
	rig_take(&rig, SPEC_LAUNCH, &launch);
	expect_started(link, &launch);
	(void)varlink_free(link);
	rig_done(&rig);
}

/* All that a run is asked for with. */
static json_t *options(int64_t queue_usec_max)
{
	return json_pack(
		"{s:{s:i, s:i, s:i, s:i, s:i, s:i}, s:s, s:[{s:s, s:i}], s:b, s:b, s:I}",
		"limits", "memory_max_bytes", 8 << 20, "cpu_quota_usec", 10000, "tasks_max", 7,
		"runtime_usec_max", 5000000, "kill_after_usec", 0, "cpu_usec_max", 3000000,
		"user", "nobody", "tmpfs", "target", "/mnt/a", "bytes_max", 1 << 20,
		"read_only", 1, "no_init", 1, "queue_usec_max", (json_int_t)queue_usec_max);
}

/* What names the attempt is not compared; of the environment, that is within. */
static void expect_alike(union rig_message *a, union rig_message *b)
{
	const size_t tail = offsetof(struct spec_launch, binds);

	a->launch.head.serial = b->launch.head.serial = 0;
	a->launch.execution = b->launch.execution = (struct id){ 0 };
	cr_expect_eq(memcmp(a, b, offsetof(struct spec_launch, env)), 0);
	cr_expect_eq(memcmp((char *)a + tail, (char *)b + tail, sizeof(a->launch) - tail), 0);
}

Test(queue, launches_later_what_it_would_have_launched_at_once)
{
	static union rig_message at_once, later, other;
	struct varlink *links[3] = { NULL };

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	for (int i = 0; i < 3; i++)
		links[i] = rig_connect(&rig);
	rig_run(&rig, links[0], "acme", options(0));
	rig_take(&rig, SPEC_LAUNCH, &at_once);
	expect_started(links[0], &at_once);
	rig_run_started(&rig, links[1], "acme", &other);
	rig_run(&rig, links[2], "acme", options(LONG_USEC));
	json_decref(rig_answer(&rig, links[2]));
	replace(&other, &later);
	cr_expect_eq(later.launch.limits.tasks_max, 7);
	expect_alike(&at_once, &later);
	for (int i = 0; i < 3; i++)
		(void)varlink_free(links[i]);
	rig_done(&rig);
}

Test(queue, puts_one_that_the_kernel_refuses_back_where_it_was, .init = set_up,
     .fini = tear_down)
{
	static union rig_message launch[2];
	struct varlink *first = wait_behind(0, LONG_USEC);
	struct varlink *second = wait_behind(1, LONG_USEC);
	struct spec_exited exited = rig_exited_of(&running[1], 0, 1);

	replace(&running[0], &launch[0]);
	refuse(&launch[0], EDQUOT);
	cr_expect(rig_silent(&rig), "it is not asked in vain");
	cr_expect_eq(admission_count(rig.context->admission, NULL), 2);
	/* Now there is room for both. */
	rig_exited(&rig, &exited);
	rig_take(&rig, SPEC_LAUNCH, &launch[0]);
	rig_take(&rig, SPEC_LAUNCH, &launch[1]);
	expect_started(first, &launch[0]);
	expect_started(second, &launch[1]);
	(void)varlink_free(first);
	(void)varlink_free(second);
}

Test(queue, lets_a_run_wait_that_the_kernel_refuses_at_first)
{
	static union rig_message launch, other;
	struct varlink *runs[3];
	struct spec_exited exited;
	json_t *answer;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	runs[0] = rig_connect(&rig);
	rig_run_started(&rig, runs[0], "acme", &other);
	runs[1] = ask(LONG_USEC);
	rig_take(&rig, SPEC_LAUNCH, &launch);
	refuse(&launch, EDQUOT);
	answer = rig_answer(&rig, runs[1]);
	cr_expect_str_eq(rig_text(json_object_get(answer, "parameters"), "event"), "queued");
	json_decref(answer);
	/* By our count there is room for one, but it is not the next one's turn. */
	runs[2] = wait_behind(1, LONG_USEC);
	cr_expect(rig_silent(&rig));
	exited = rig_exited_of(&other, 0, 1);
	rig_exited(&rig, &exited);
	for (int i = 1; i < 3; i++) {
		rig_take(&rig, SPEC_LAUNCH, &launch);
		expect_started(runs[i], &launch);
	}
	for (int i = 0; i < 3; i++)
		(void)varlink_free(runs[i]);
	rig_done(&rig);
}

Test(queue, waits_for_no_other_limit, .init = set_up, .fini = tear_down)
{
	static union rig_message launch;
	struct varlink *link = wait_behind(0, LONG_USEC);
	struct varlink *next = wait_behind(1, LONG_USEC);

	replace(&running[0], &launch);
	refuse(&launch, EAGAIN); /* tasks_max */
	expect_error(link, "io.tenantd.QuotaExceeded", "the kernel says no");
	/* And what was refused so has left its place. */
	rig_take(&rig, SPEC_LAUNCH, &launch);
	expect_started(next, &launch);
	(void)varlink_free(link);
	(void)varlink_free(next);
}

Test(queue, refuses_who_would_not_wait_while_others_do)
{
	static union rig_message launch, other;
	struct varlink *runs[3];
	json_t *answer;

	rig_init(&rig);
	rig_tenant(&rig, "acme");
	runs[0] = rig_connect(&rig);
	rig_run_started(&rig, runs[0], "acme", &other);
	runs[1] = ask(LONG_USEC);
	rig_take(&rig, SPEC_LAUNCH, &launch);
	refuse(&launch, EDQUOT);
	json_decref(rig_answer(&rig, runs[1]));
	/* By our count there is room for one, but that would be the other's. */
	runs[2] = ask(0);
	answer = rig_answer(&rig, runs[2]);
	cr_expect_str_eq(rig_text(answer, "error"), "io.tenantd.QuotaExceeded");
	cr_expect_str_eq(rig_text(json_object_get(answer, "parameters"), "meter"),
	                 "executions");
	cr_expect_eq(rig_number(json_object_get(answer, "parameters"), "limit"), 2);
	json_decref(answer);
	cr_expect(rig_silent(&rig));
	for (int i = 0; i < 3; i++)
		(void)varlink_free(runs[i]);
	rig_done(&rig);
}

Test(queue, refuses_at_the_deadline, .init = set_up, .fini = tear_down)
{
	struct varlink *patient = wait_behind(0, LONG_USEC);
	struct varlink *hasty = wait_behind(1, SHORT_USEC);

	expect_error(hasty, "io.tenantd.QuotaExceeded",
	             "executions_max 2 is reached; no slot was free within 3");
	cr_expect_eq(admission_count(rig.context->admission, NULL), 1);
	cr_expect(rig_silent(&rig));
	(void)varlink_free(hasty);
	(void)varlink_free(patient);
}

Test(queue, forgets_who_goes_away, .init = set_up, .fini = tear_down)
{
	static union rig_message launch;
	int before = fds_open();
	struct varlink *gone = wait_behind(0, LONG_USEC);
	struct varlink *next = wait_behind(1, LONG_USEC);

	(void)varlink_free(gone);
	rig_turn(&rig);
	cr_expect_eq(admission_count(rig.context->admission, NULL), 1);
	cr_expect(rig_silent(&rig));
	replace(&running[0], &launch);
	expect_started(next, &launch);
	/* But for the two ends of the connection, nothing of theirs is held. */
	cr_expect_eq(fds_open(), before + 2);
	(void)varlink_free(next);
}

Test(queue, kills_one_that_goes_away_when_its_turn_has_come, .init = set_up, .fini = tear_down)
{
	static union rig_message launch, kill;
	struct varlink *gone = wait_behind(0, LONG_USEC);

	replace(&running[0], &launch);
	(void)varlink_free(gone);
	rig_take(&rig, SPEC_KILL, &kill);
	cr_expect(id_equal(&kill.kill.execution, &launch.launch.execution));
	/* Refused after all: nobody is there to wait any more. */
	refuse(&launch, EDQUOT);
	cr_expect_eq(admission_count(rig.context->admission, NULL), 0);
}

Test(queue, launches_when_a_reload_makes_room, .init = set_up, .fini = tear_down)
{
	static union rig_message message;
	struct varlink *link = wait_behind(0, LONG_USEC);
	struct varlink *admin = rig_connect(&rig);

	rig_write(&rig, "tiers/free.yaml",
	          "tier: free\nlimits:\n  executions_max: 3\n  memory_max: 64M\n");
	rig_call(&rig, admin, "io.tenantd.ReloadPolicy", json_object(), NULL);
	rig_take(&rig, SPEC_TENANT_APPLY, &message);
	cr_expect_eq(message.apply.limits.executions_max, 3);
	cr_expect(rig_silent(&rig), "not before the kernel has them");
	rig_reply(&rig, &message, TN_OK);
	rig_take(&rig, SPEC_LAUNCH, &message);
	/* By the policy of now, not by that of when it asked. */
	cr_expect_eq(message.launch.limits.memory_max_bytes, 64 << 20);
	expect_started(link, &message);
	(void)varlink_free(link);
	(void)varlink_free(admin);
}

Test(queue, sends_those_away_whose_tenant_is_suspended, .init = set_up, .fini = tear_down)
{
	struct varlink *links[] = { wait_behind(0, LONG_USEC), wait_behind(1, LONG_USEC) };
	struct tenant *tenant;
	struct tn_error err = { 0 };

	cr_assert_eq(tenants_get(rig.context->tenants, "acme", &tenant, &err), 0);
	tenant->row.status = TENANT_SUSPENDED;
	admission_reconsider(rig.context->admission, tenant);
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		expect_error(links[i], "io.tenantd.InvalidState", "suspended");
		(void)varlink_free(links[i]);
	}
	cr_expect(rig_silent(&rig));
}

Test(queue, is_bounded_for_a_tenant, .fini = tear_down)
{
	static struct varlink *links[ADMISSION_TENANT_MAX];
	struct varlink *link;

	set_up_with_descriptors(2UL * SPEC_FDS_MAX * ADMISSION_MAX);
	for (int i = 0; i < ADMISSION_TENANT_MAX; i++)
		links[i] = wait_behind(i, LONG_USEC);
	link = ask(LONG_USEC);
	expect_error(link, "io.tenantd.QuotaExceeded", "128 launches of 'acme'");
	(void)varlink_free(link);
	for (int i = 0; i < ADMISSION_TENANT_MAX; i++)
		(void)varlink_free(links[i]);
	for (int i = 0; i < ADMISSION_TENANT_MAX; i++)
		rig_turn(&rig);
	cr_expect_eq(admission_count(rig.context->admission, NULL), 0);
}

Test(queue, is_bounded_by_the_descriptors_there_are, .fini = tear_down)
{
	struct varlink *links[8];
	struct varlink *link;

	set_up_with_descriptors(2UL * SPEC_FDS_MAX * ARRAY_LEN(links));
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		links[i] = wait_behind((int64_t)i, LONG_USEC);
	link = ask(LONG_USEC);
	expect_error(link, "io.tenantd.QuotaExceeded", "(8 of all tenants) wait already");
	(void)varlink_free(link);
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		(void)varlink_free(links[i]);
}

Test(queue, ends_with_the_controller, .init = set_up, .fini = tear_down)
{
	struct varlink *link = wait_behind(0, LONG_USEC);

	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	cr_expect(rig_closed(&rig, link));
	cr_expect(rig_silent(&rig));
	(void)varlink_free(link);
}
