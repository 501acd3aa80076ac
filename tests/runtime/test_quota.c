/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What applications meter: never more than there is, never twice, and never half written. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <base/fd.h>

#include "identity.h"
#include "quota_batch.h"
#include "store_fixture.h"

TestSuite(quota, .timeout = 60);

#define HOUR LEDGER_HOUR_USEC
#define NOON (INT64_C(1790000000) * 1000000) /* an instant within an hour */

struct scene {
	struct fixture fixture;
	struct quotas *quotas;
	struct tenant_row row;
	struct quota_request request;
	struct quota_answer answer;
	size_t written_n;
};

static void on_written(void *userdata)
{
	++*(size_t *)userdata;
}

static void begin(struct scene *scene, const char *boot)
{
	struct tn_error err = { 0 };
	const struct quotas_config config = { scene->fixture.store, boot, on_written,
		                              &scene->written_n };

	cr_assert_eq(quotas_new(&scene->quotas, &config, &err), 0, "%s", err.msg);
}

static struct meter meter_make(const char *name, enum meter_kind kind)
{
	struct meter meter = { .kind = kind, .source = METER_OF_APPLICATIONS };

	(void)snprintf(meter.name, sizeof(meter.name), "%s", name);
	return meter;
}

/* A hard quota of @limit on "tokens" in the hour of NOON, which consume() asks for. */
static void scene_init(struct scene *scene, int64_t limit)
{
	*scene = (struct scene){ .row = { .name = "acme" } };
	fixture_init(&scene->fixture);
	scene->row.id = scene->fixture.tenant;
	begin(scene, BOOT_A);
	scene->request = (struct quota_request){
		.op = METERING_CONSUME,
		.tenant = &scene->row,
		.rule = { .meter = meter_make("tokens", METER_COUNTER),
		          .limited = true,
		          .hard = true,
		          .limit = limit,
		          .span = { ledger_hour(NOON), ledger_hour(NOON) + HOUR } },
		.now = NOON,
		.boottime = 1000,
	};
}

static void scene_done(struct scene *scene)
{
	scene->quotas = quotas_free(scene->quotas);
	fixture_done(&scene->fixture);
}

/* Of @quotas anew, as after a death: what was not committed is gone. */
static void die(struct scene *scene, const char *boot)
{
	scene->quotas = quotas_free(scene->quotas);
	begin(scene, boot);
}

static int ask(struct scene *scene, enum metering_op op, int64_t amount, const char *key)
{
	struct tn_error err = { 0 };

	scene->request.op = op;
	scene->request.amount = amount;
	scene->request.key = key;
	return quotas_do(scene->quotas, &scene->request, &scene->answer, &err);
}

static void commit(struct scene *scene)
{
	struct tn_error err = { 0 };

	cr_assert_eq(quotas_commit(scene->quotas, &err), 0, "%s", err.msg);
}

static int64_t reserve(struct scene *scene, int64_t amount, int64_t expires_usec)
{
	scene->request.expires_usec = expires_usec;
	return ask(scene, METERING_RESERVE, amount, NULL);
}

static int64_t used(struct scene *scene)
{
	const int r = ask(scene, METERING_CHECK, 1, NULL);

	cr_assert(r == 0 || r == -EDQUOT, "check: %d", r);
	return scene->answer.used;
}

Test(quota, stops_exactly_at_its_limit)
{
	struct scene scene;

	scene_init(&scene, 10);
	for (int i = 1; i <= 10; i++) {
		cr_assert_eq(ask(&scene, METERING_CONSUME, 1, NULL), 0);
		cr_expect_eq(scene.answer.used, i);
	}
	cr_expect_eq(ask(&scene, METERING_CONSUME, 1, NULL), -EDQUOT);
	cr_expect_eq(scene.answer.used, 10);
	cr_expect_eq(scene.answer.limit, 10);
	cr_expect_eq(ask(&scene, METERING_CHECK, 1, NULL), -EDQUOT);
	scene_done(&scene);
}

Test(quota, is_written_once_for_all_of_a_turn)
{
	struct scene scene;

	scene_init(&scene, INT64_MAX);
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(ask(&scene, METERING_CONSUME, 3, NULL), 0);
	commit(&scene);
	commit(&scene);
	cr_expect_eq(scene.written_n, 1);
	die(&scene, BOOT_A);
	cr_expect_eq(used(&scene), 3000);
	scene_done(&scene);
}

Test(quota, forgets_what_was_not_committed_and_keeps_what_was)
{
	struct scene scene;

	scene_init(&scene, 100);
	cr_assert_eq(ask(&scene, METERING_CONSUME, 60, NULL), 0);
	commit(&scene);
	cr_assert_eq(ask(&scene, METERING_CONSUME, 30, NULL), 0);
	die(&scene, BOOT_B);
	cr_expect_eq(used(&scene), 60);
	cr_expect_eq(ask(&scene, METERING_CONSUME, 41, NULL), -EDQUOT);
	cr_expect_eq(ask(&scene, METERING_CONSUME, 40, NULL), 0);
	scene_done(&scene);
}

Test(quota, begins_anew_with_its_period_and_counts_on_over_all)
{
	struct scene scene;
	struct metered metered;
	struct tn_error err = { 0 };
	const struct store_range all = { 0, INT64_MAX };
	int64_t since_ever;

	scene_init(&scene, 10);
	cr_assert_eq(ask(&scene, METERING_CONSUME, 10, NULL), 0);
	scene.request.now += HOUR;
	scene.request.rule.span = (struct calendar_span){ ledger_hour(NOON) + HOUR,
		                                          ledger_hour(NOON) + 2 * HOUR };
	cr_assert_eq(ask(&scene, METERING_CONSUME, 7, NULL), 0);
	cr_expect_eq(scene.answer.used, 7);
	commit(&scene);
	cr_assert_eq(scene.fixture.store->ops->metered_get(scene.fixture.store,
	                                                   &scene.fixture.tenant, "tokens",
	                                                   &all, &metered, &since_ever, &err),
	             0);
	cr_expect_eq(metered.total, 17);
	cr_expect_eq(since_ever, 17);
	scene_done(&scene);
}

Test(quota, keeps_apart_what_lies_before_and_after_a_period_that_begins_within_an_hour)
{
	struct scene scene;
	const int64_t half = ledger_hour(NOON) + HOUR / 2;

	scene_init(&scene, 10);
	scene.request.rule.span = (struct calendar_span){ half - 24 * HOUR, half };
	scene.request.now = half - 1;
	cr_assert_eq(ask(&scene, METERING_CONSUME, 10, NULL), 0);
	scene.request.rule.span = (struct calendar_span){ half, half + 24 * HOUR };
	scene.request.now = half;
	cr_assert_eq(ask(&scene, METERING_CONSUME, 4, NULL), 0);
	commit(&scene);
	die(&scene, BOOT_A);
	cr_expect_eq(used(&scene), 4);
	scene_done(&scene);
}

Test(quota, answers_a_repeated_call_as_the_first_time)
{
	struct scene scene;
	static const char key[] = "order-7";

	scene_init(&scene, 100);
	cr_assert_eq(ask(&scene, METERING_CONSUME, 30, key), 0);
	cr_assert_eq(ask(&scene, METERING_CONSUME, 5, NULL), 0);
	cr_assert_eq(ask(&scene, METERING_CONSUME, 30, key), 0);
	cr_expect(scene.answer.repeated);
	cr_expect_eq(scene.answer.used, 30);
	commit(&scene);
	die(&scene, BOOT_B);
	cr_assert_eq(ask(&scene, METERING_CONSUME, 30, key), 0);
	cr_expect(scene.answer.repeated);
	cr_expect_eq(scene.answer.used, 30);
	cr_expect_eq(used(&scene), 35);
	/* For something else it is a mistake, and after its time it is free. */
	cr_expect_eq(ask(&scene, METERING_CONSUME, 31, key), -ESTALE);
	cr_expect_eq(ask(&scene, METERING_RESERVE, 30, key), -EINVAL);
	scene.request.now += METERING_KEY_USEC;
	cr_assert_eq(ask(&scene, METERING_CONSUME, 30, key), 0);
	cr_expect_not(scene.answer.repeated);
	scene_done(&scene);
}

Test(quota, keeps_no_refusal_under_a_key)
{
	struct scene scene;

	scene_init(&scene, 10);
	cr_expect_eq(ask(&scene, METERING_CONSUME, 11, "k"), -EDQUOT);
	scene.request.rule.limit = 20;
	cr_expect_eq(ask(&scene, METERING_CONSUME, 11, "k"), 0);
	cr_expect_not(scene.answer.repeated);
	scene_done(&scene);
}

Test(quota, counts_what_is_reserved_until_it_is_used_or_given_back)
{
	struct scene scene;
	struct id first, second;

	scene_init(&scene, 100);
	cr_assert_eq(reserve(&scene, 60, HOUR), 0);
	first = scene.answer.reservation;
	cr_expect_eq(scene.answer.reserved, 60);
	cr_assert_eq(reserve(&scene, 40, HOUR), 0);
	second = scene.answer.reservation;
	cr_expect_eq(ask(&scene, METERING_CONSUME, 1, NULL), -EDQUOT);
	scene.request.reservation = first;
	cr_expect_eq(ask(&scene, METERING_COMMIT, 61, NULL), -EINVAL);
	cr_assert_eq(ask(&scene, METERING_COMMIT, 50, NULL), 0);
	cr_expect_eq(scene.answer.used, 50);
	cr_expect_eq(scene.answer.reserved, 40);
	cr_expect_eq(ask(&scene, METERING_COMMIT, 1, NULL), -ENOENT);
	commit(&scene);
	die(&scene, BOOT_A);
	scene.request.reservation = second;
	cr_assert_eq(ask(&scene, METERING_RELEASE, 0, NULL), 0);
	cr_expect_eq(scene.answer.reserved, 0);
	cr_expect_eq(scene.answer.used, 50);
	scene_done(&scene);
}

Test(quota, gives_back_what_has_expired_and_takes_a_lease_for_used)
{
	struct scene scene;

	scene_init(&scene, 100);
	cr_assert_eq(reserve(&scene, 60, 500), 0);
	scene.request.lease = true;
	cr_assert_eq(reserve(&scene, 40, 500), 0);
	scene.request.lease = false;
	commit(&scene);
	scene.request.boottime += 499;
	cr_expect_eq(ask(&scene, METERING_CONSUME, 1, NULL), -EDQUOT);
	scene.request.boottime++;
	cr_assert_eq(ask(&scene, METERING_CONSUME, 1, NULL), 0);
	cr_expect_eq(scene.answer.used, 41);
	cr_expect_eq(scene.answer.reserved, 0);
	scene_done(&scene);
}

Test(quota, tells_the_time_of_a_reservation_by_the_boot_it_was_made_in)
{
	struct scene scene;

	scene_init(&scene, 100);
	cr_assert_eq(reserve(&scene, 100, 500), 0);
	commit(&scene);
	/* A clock that is set forward ends nothing ... */
	scene.request.now += 600;
	cr_expect_eq(ask(&scene, METERING_CONSUME, 1, NULL), -EDQUOT);
	/* ... but after a boot there is no other. */
	die(&scene, BOOT_B);
	scene.request.boottime = 1;
	cr_expect_eq(ask(&scene, METERING_CONSUME, 1, NULL), 0);
	scene_done(&scene);
}

Test(quota, refuses_what_is_no_amount_and_never_wraps)
{
	static const int64_t none[] = { 0, -1, INT64_MIN };
	struct scene scene;

	scene_init(&scene, INT64_MAX);
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		cr_expect_eq(ask(&scene, METERING_CONSUME, none[i], NULL), -EINVAL);
	cr_assert_eq(ask(&scene, METERING_CONSUME, INT64_MAX - 1, NULL), 0);
	cr_expect_eq(ask(&scene, METERING_CONSUME, 2, NULL), -EINVAL);
	cr_assert_eq(ask(&scene, METERING_CONSUME, 1, NULL), 0);
	commit(&scene);
	die(&scene, BOOT_A);
	cr_expect_eq(ask(&scene, METERING_CONSUME, 1, NULL), -EINVAL);
	cr_expect_eq(scene.answer.used, INT64_MAX);
	scene_done(&scene);
}

Test(quota, of_zero_lets_nothing_through)
{
	struct scene scene;

	scene_init(&scene, 0);
	cr_expect_eq(ask(&scene, METERING_CONSUME, 1, NULL), -EDQUOT);
	scene.request.rule.limited = false;
	cr_expect_eq(ask(&scene, METERING_CONSUME, 1, NULL), 0);
	cr_expect_eq(scene.answer.limit, LEDGER_ABSENT);
	scene_done(&scene);
}

static void use_gauge(struct scene *scene)
{
	scene->request.rule.meter = meter_make("agents", METER_GAUGE);
	scene->request.rule.span = (struct calendar_span){ 0, INT64_MAX };
}

Test(quota, of_a_gauge_is_acquired_and_given_back)
{
	struct scene scene;

	scene_init(&scene, 3);
	use_gauge(&scene);
	cr_expect_eq(ask(&scene, METERING_CONSUME, 1, NULL), -EINVAL);
	cr_assert_eq(ask(&scene, METERING_ACQUIRE, 3, NULL), 0);
	cr_expect_eq(ask(&scene, METERING_ACQUIRE, 1, NULL), -EDQUOT);
	cr_assert_eq(ask(&scene, METERING_GIVE_BACK, 2, NULL), 0);
	cr_expect_eq(scene.answer.used, 1);
	cr_expect_eq(ask(&scene, METERING_GIVE_BACK, 2, NULL), -ERANGE);
	commit(&scene);
	die(&scene, BOOT_A);
	cr_expect_eq(used(&scene), 1);
	scene_done(&scene);
}

Test(quota, of_a_gauge_comes_back_with_the_end_of_who_acquired_it)
{
	struct scene scene;
	struct record running, exited;

	scene_init(&scene, 5);
	use_gauge(&scene);
	running = record_make(&scene.fixture, RECORD_RUNNING, 100);
	exited = record_make(&scene.fixture, RECORD_EXITED, 100);
	exited.id = running.id;
	book(&scene.fixture, &running, NULL);
	cr_assert_eq(ask(&scene, METERING_ACQUIRE, 1, NULL), 0);
	scene.request.execution = running.id;
	cr_assert_eq(ask(&scene, METERING_ACQUIRE, 4, NULL), 0);
	cr_expect_eq(ask(&scene, METERING_GIVE_BACK, 5, NULL), -ERANGE);
	cr_assert_eq(ask(&scene, METERING_GIVE_BACK, 1, NULL), 0);
	commit(&scene);
	book(&scene.fixture, &exited, NULL);
	book(&scene.fixture, &exited, NULL);
	quotas_given_back(scene.quotas, &scene.fixture.tenant);
	scene.request.execution = (struct id){ 0 };
	cr_expect_eq(used(&scene), 1);
	scene_done(&scene);
}

static size_t told(struct scene *scene)
{
	struct event event;
	struct tn_error err = { 0 };
	int64_t after = 0;
	size_t n = 0;

	cr_assert_eq(scene->fixture.store->ops->sync(scene->fixture.store, &err), 0);
	while (scene->fixture.store->ops->event_next(scene->fixture.store, NULL, after, &event,
	                                             &err) == 1) {
		n += event.kind == EVENT_QUOTA_REACHED;
		after = event.seq;
		event_done(&event);
	}
	return n;
}

Test(quota, tells_of_a_threshold_once_in_a_period)
{
	struct scene scene;

	scene_init(&scene, 100);
	scene.request.rule.warn[0] = 50;
	scene.request.rule.warn[1] = 90;
	scene.request.rule.warn_n = 2;
	cr_assert_eq(ask(&scene, METERING_CONSUME, 49, NULL), 0);
	commit(&scene);
	cr_expect_eq(told(&scene), 0);
	for (int i = 0; i < 5; i++)
		cr_assert_eq(ask(&scene, METERING_CONSUME, 1, NULL), 0);
	commit(&scene);
	cr_expect_eq(told(&scene), 1);
	die(&scene, BOOT_A);
	cr_assert_eq(ask(&scene, METERING_CONSUME, 1, NULL), 0);
	commit(&scene);
	cr_expect_eq(told(&scene), 1);
	cr_assert_eq(ask(&scene, METERING_CONSUME, 40, NULL), 0);
	commit(&scene);
	cr_expect_eq(told(&scene), 2);
	scene_done(&scene);
}

Test(quota, that_is_soft_lets_pass_and_tells)
{
	struct scene scene;

	scene_init(&scene, 10);
	scene.request.rule.hard = false;
	cr_assert_eq(ask(&scene, METERING_CONSUME, 10, NULL), 0);
	commit(&scene);
	cr_expect_eq(told(&scene), 0);
	cr_assert_eq(ask(&scene, METERING_CONSUME, 10, NULL), 0);
	commit(&scene);
	cr_expect_eq(told(&scene), 1);
	scene_done(&scene);
}

static int refuse_meter(struct store *store, const struct metering_write *writes, size_t n,
                        const struct event *events, size_t events_n, struct tn_error *err)
{
	(void)store;
	(void)writes;
	(void)n;
	(void)events;
	(void)events_n;
	return err_set(err, TN_SYSTEM, ENOSPC, "the disk is full");
}

Test(quota, has_taken_nothing_if_it_cannot_be_written)
{
	struct scene scene;
	struct tn_error err = { 0 };
	const struct store_ops *ops;
	struct store_ops full;

	scene_init(&scene, 10);
	cr_assert_eq(ask(&scene, METERING_CONSUME, 2, NULL), 0);
	commit(&scene);
	ops = scene.fixture.store->ops;
	full = *ops;
	full.meter = refuse_meter;
	scene.fixture.store->ops = &full;
	cr_assert_eq(ask(&scene, METERING_CONSUME, 5, "k"), 0);
	cr_expect_eq(quotas_commit(scene.quotas, &err), -ENOSPC);
	scene.fixture.store->ops = ops;
	cr_expect_eq(used(&scene), 2);
	cr_assert_eq(ask(&scene, METERING_CONSUME, 5, "k"), 0);
	cr_expect_not(scene.answer.repeated);
	commit(&scene);
	cr_expect_eq(used(&scene), 7);
	scene_done(&scene);
}

Test(quota, keys_are_forgotten_a_few_at_a_time)
{
	struct scene scene;
	struct tn_error err = { 0 };
	struct store *store;
	char key[16];

	scene_init(&scene, 100);
	for (int i = 0; i < 10; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		cr_assert_eq(ask(&scene, METERING_CONSUME, 1, key), 0);
	}
	commit(&scene);
	store = scene.fixture.store;
	cr_expect_eq(store->ops->metering_keys_prune(store, NOON, 4, &err), 0);
	cr_expect_eq(store->ops->metering_keys_prune(store, NOON + 1, 4, &err), 1);
	cr_expect_eq(store->ops->metering_keys_prune(store, NOON + 1, 4, &err), 1);
	cr_expect_eq(store->ops->metering_keys_prune(store, NOON + 1, 4, &err), 0);
	scene_done(&scene);
}

Test(quota, answers_again_what_became_of_a_reservation)
{
	struct scene scene;
	struct tn_error err = { 0 };
	char meter[METER_NAME_BYTES_MAX];
	struct id first, second;

	scene_init(&scene, 100);
	cr_assert_eq(reserve(&scene, 10, HOUR), 0);
	first = scene.answer.reservation;
	cr_assert_eq(reserve(&scene, 10, HOUR), 0);
	second = scene.answer.reservation;
	scene.request.reservation = first;
	cr_assert_eq(ask(&scene, METERING_COMMIT, 0, "k"), 0);
	commit(&scene);
	die(&scene, BOOT_A);
	cr_assert_eq(ask(&scene, METERING_COMMIT, 0, "k"), 0);
	cr_expect(scene.answer.repeated);
	cr_expect(id_equal(&scene.answer.reservation, &first));
	/* It is known of which meter it was, to whom has the key. */
	cr_expect_eq(quotas_reserved_of(scene.quotas, &scene.fixture.tenant, &first, "k", meter,
	                                &err),
	             1);
	cr_expect_str_eq(meter, "tokens");
	cr_expect_eq(quotas_reserved_of(scene.quotas, &scene.fixture.tenant, &first, NULL,
	                                meter, &err),
	             0);
	/* The key was for that one. */
	scene.request.reservation = second;
	cr_expect_eq(ask(&scene, METERING_COMMIT, 0, "k"), -ESTALE);
	scene_done(&scene);
}

Test(quota, says_what_there_is_also_where_nothing_more_fits)
{
	struct scene scene;
	struct quota_answer answer;
	struct tn_error err = { 0 };

	scene_init(&scene, INT64_MAX);
	cr_assert_eq(ask(&scene, METERING_CONSUME, INT64_MAX, NULL), 0);
	cr_assert_eq(quotas_look(scene.quotas, &scene.request, &answer, &err), 0);
	cr_expect_eq(answer.used, INT64_MAX);
	cr_expect_eq(answer.limit, INT64_MAX);
	scene_done(&scene);
}

Test(quota, writes_a_large_batch_before_its_time)
{
	struct scene scene;
	char key[16];

	scene_init(&scene, INT64_MAX);
	for (int i = 0; i < 2 * QUOTA_WRITES_FEW; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		cr_assert_eq(ask(&scene, METERING_CONSUME, 1, key), 0);
	}
	cr_expect_geq(scene.written_n, 1);
	commit(&scene);
	cr_expect_eq(used(&scene), 2 * QUOTA_WRITES_FEW);
	scene_done(&scene);
}
