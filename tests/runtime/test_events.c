/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is told of changes: each once, in order, without a gap, and bounded. */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/io.h>

#include "rig.h"

TestSuite(events, .timeout = 60);

static struct rig rig;
static struct varlink *admin, *runs;
static union rig_message launch;

static void set_up(void)
{
	rig_init(&rig);
	rig_tenant(&rig, "acme");
	admin = rig_connect(&rig);
	runs = rig_connect(&rig);
}

static void tear_down(void)
{
	(void)varlink_free(runs);
	(void)varlink_free(admin);
	rig_done(&rig);
}

static void restart(void)
{
	(void)varlink_free(runs);
	(void)varlink_free(admin);
	rig_restart(&rig);
	rig_hello(&rig, SPEC_CONTROLLER_CPU);
	admin = rig_connect(&rig);
	runs = rig_connect(&rig);
}

static struct store *store(void)
{
	return rig.context->store;
}

static void list_call(struct varlink *link, json_t *since, const char *tenant, bool follow)
{
	rig_call(&rig, link, "io.tenantd.ListEvents",
	         json_pack("{s:o, s:s?, s:b}", "since", since, "tenant", tenant, "follow",
	                   follow),
	         "more");
}

/* The next event of a list, the caller's; NULL where the reply has none. */
static json_t *list_take(struct varlink *link, bool *ret_more)
{
	json_t *answer = rig_answer(&rig, link);
	json_t *event = json_incref(
		json_object_get(json_object_get(answer, "parameters"), "event"));

	cr_assert(json_object_get(answer, "error") == NULL);
	*ret_more = json_is_true(json_object_get(answer, "continues"));
	json_decref(answer);
	return event;
}

/* All of them in an array, the caller's; their numbers have no gap unless @tenant is given. */
static json_t *list_all(int64_t since, const char *tenant)
{
	json_t *list = json_array();
	bool more = true;

	list_call(admin, json_integer(since), tenant, false);
	while (more) {
		json_t *event = list_take(admin, &more);

		if (event == NULL)
			continue;
		if (tenant == NULL)
			cr_expect_eq(rig_number(event, "seq"),
			             since + 1 + (int64_t)json_array_size(list));
		(void)json_array_append_new(list, event);
	}
	return list;
}

static int64_t last_seq(void)
{
	struct store_event_span span;
	struct tn_error err = { 0 };

	rig_window(&rig);
	cr_assert_eq(store()->ops->sync(store(), &err), 0, "%s", err.msg);
	cr_assert_eq(store()->ops->event_span(store(), &span, &err), 0, "%s", err.msg);
	return span.last;
}

/* Those after @since are of these kinds, a word each. Returns them, the caller's. */
static json_t *expect_kinds(int64_t since, const char *kinds)
{
	json_t *list = list_all(since, NULL);
	char text[512] = "";
	size_t i;
	json_t *event;

	json_array_foreach(list, i, event)
	{
		(void)strncat(text, i > 0 ? " " : "", sizeof(text) - strlen(text) - 1);
		(void)strncat(text, rig_text(event, "kind"), sizeof(text) - strlen(text) - 1);
	}
	cr_expect_str_eq(text, kinds);
	return list;
}

static void expect_value(const json_t *event, const char *set, const char *name,
                         const char *value)
{
	cr_expect_str_eq(rig_text(json_object_get(event, set), name), value, "%s %s", set,
	                 name);
}

static void tell(int64_t at)
{
	struct event event;
	struct tn_error err = { 0 };

	cr_assert_eq(event_of_node(EVENT_DRAINED, &ACTOR_NONE, NULL,
	                           &(struct event_difference){ "node", NULL, "drained" },
	                           &event, &err),
	             0);
	event.at = at;
	cr_assert_eq(store()->ops->event_tell(store(), &event, &err), 0, "%s", err.msg);
	event_done(&event);
}

Test(events, tell_what_was_and_is_and_who_wanted_it, .init = set_up, .fini = tear_down)
{
	json_t *list = expect_kinds(0, "restarted policy_reloaded created");
	const json_t *event = json_array_get(list, 2);

	expect_value(event, "after", "tier", "free");
	expect_value(event, "after", "status", "active");
	cr_expect_eq(json_object_size(json_object_get(event, "before")), 0);
	cr_expect_str_eq(rig_text(event, "tenant"), "acme");
	cr_expect_eq(rig_number(event, "actor_uid"), (int64_t)getuid());
	cr_expect_eq(rig_number(event, "actor_pid"), (int64_t)getpid());
	cr_expect(json_is_null(json_object_get(json_array_get(list, 0), "actor_uid")));
	json_decref(list);

	json_decref(rig_ask(&rig, admin, "io.tenantd.UpdateTenant",
	                    json_pack("{s:s, s:s, s:{s:s}}", "tenant", "acme", "display_name",
	                              "A \"quoted\" name", "metadata", "team", "blue"),
	                    NULL));
	list = expect_kinds(3, "updated");
	event = json_array_get(list, 0);
	expect_value(event, "before", "display_name", "acme");
	expect_value(event, "after", "display_name", "A \"quoted\" name");
	expect_value(event, "after", "metadata.team", "blue");
	expect_value(event, "after", "tier", "(none)");
	json_decref(list);
}

/* Both ways it is tenantd's answer that decides. */
static void freeze(const char *method, enum tn_error_code answer)
{
	rig_write(&rig, "cgroup/acme/cgroup.events", "populated 1\nfrozen 1\n");
	rig_call(&rig, admin, method, json_pack("{s:s}", "tenant", "acme"), NULL);
	rig_take(&rig, SPEC_TENANT_FREEZE, &launch);
	rig_reply(&rig, &launch, answer);
	json_decref(rig_answer(&rig, admin));
}

Test(events, tell_of_suspension_also_where_it_fails, .init = set_up, .fini = tear_down)
{
	const int64_t since = last_seq();
	json_t *list;

	rig_cgroup(&rig, "acme", 0);
	freeze("io.tenantd.SuspendTenant", TN_OK);
	freeze("io.tenantd.ResumeTenant", TN_OK);
	freeze("io.tenantd.SuspendTenant", TN_SYSTEM);
	list = expect_kinds(since, "suspended resumed suspended resumed");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *event = json_array_get(list, i);

		expect_value(event, "before", "status", i % 2 == 0 ? "active" : "suspended");
		expect_value(event, "after", "status", i % 2 == 0 ? "suspended" : "active");
		cr_expect_eq(rig_number(event, "actor_uid"), (int64_t)getuid());
		cr_expect_eq(json_is_null(json_object_get(event, "reason")), i != 3);
	}
	json_decref(list);
}

Test(events, tell_who_had_an_execution_killed, .init = set_up, .fini = tear_down)
{
	const int64_t since = last_seq();
	struct spec_exited exited;
	union rig_message message;
	json_t *list;

	rig_run_started(&rig, runs, "acme", &launch);
	json_decref(rig_ask(&rig, admin, "io.tenantd.Kill",
	                    json_pack("{s:s}", "tenant", "acme"), NULL));
	rig_take(&rig, SPEC_KILL, &message);
	exited = rig_exited_of(&launch, 9, 10);
	exited.killed = SPEC_KILL_ADMIN;
	rig_exited(&rig, &exited);
	rig_window(&rig);
	rig_take(&rig, SPEC_SETTLED, &message);
	list = expect_kinds(since, "started exited");
	cr_expect_str_eq(rig_text(json_array_get(list, 1), "reason"), "killed");
	cr_expect_eq(rig_number(json_array_get(list, 1), "actor_uid"), (int64_t)getuid());
	json_decref(list);
}

Test(events, tell_of_the_node_and_its_policy, .init = set_up, .fini = tear_down)
{
	const int64_t since = last_seq();
	char before[POLICY_HASH_HEX_SIZE];
	json_t *list;

	(void)snprintf(before, sizeof(before), "%s",
	               policy_hash_hex(rig.context->policies.present));
	json_decref(rig_ask(&rig, admin, "io.tenantd.Drain", json_object(), NULL));
	json_decref(rig_ask(&rig, admin, "io.tenantd.Drain", json_object(), NULL));
	json_decref(rig_ask(&rig, admin, "io.tenantd.Undrain", json_object(), NULL));
	rig_write(&rig, "tiers/more.yaml", "tier: more\n");
	rig_call(&rig, admin, "io.tenantd.ReloadPolicy", json_object(), NULL);
	rig_turn(&rig);
	rig_take(&rig, SPEC_TENANT_APPLY, &launch);
	rig_reply(&rig, &launch, TN_OK);
	json_decref(rig_answer(&rig, admin));
	list = expect_kinds(since, "drained undrained policy_reloaded");
	expect_value(json_array_get(list, 0), "before", "node", "launches");
	expect_value(json_array_get(list, 0), "after", "node", "drained");
	expect_value(json_array_get(list, 2), "before", "policy_hash", before);
	expect_value(json_array_get(list, 2), "after", "policy_hash",
	             policy_hash_hex(rig.context->policies.present));
	json_decref(list);

	/* What cannot be read leaves what there was, and that is said. */
	rig_write(&rig, "tiers/more.yaml", "tier: [\n");
	restart();
	list = expect_kinds(since + 3, "restarted policy_degraded");
	cr_expect_str_eq(rig_text(json_array_get(list, 0), "reason"), "controller");
	expect_value(json_array_get(list, 0), "before", "version", TENANTD_VERSION);
	cr_expect(strstr(rig_text(json_array_get(list, 1), "reason"), "more.yaml") != NULL);
	json_decref(list);
}

Test(events, tell_of_an_execution_once_whatever_is_repeated, .init = set_up, .fini = tear_down)
{
	const int64_t since = last_seq();
	struct spec_exited exited;
	union rig_message settled;
	json_t *list;

	rig_run_started(&rig, runs, "acme", &launch);
	exited = rig_exited_of(&launch, 9, 10);
	exited.counters.oom_kills = 1;
	exited.counters.throttled_usec = 700;
	exited.counters.tenant_throttled_usec = 0;
	rig_exited(&rig, &exited);
	rig_window(&rig);
	rig_take(&rig, SPEC_SETTLED, &settled);
	list = expect_kinds(since, "started oom throttled exited");
	cr_expect_eq(rig_number(json_array_get(list, 0), "actor_uid"), (int64_t)getuid());
	expect_value(json_array_get(list, 1), "after", "oom_kills", "1");
	expect_value(json_array_get(list, 2), "after", "throttled_usec", "700");
	cr_expect_str_eq(rig_text(json_array_get(list, 3), "reason"), "oom");
	expect_value(json_array_get(list, 3), "after", "exit_code", "137");
	cr_expect(json_is_null(json_object_get(json_array_get(list, 3), "actor_uid")));
	json_decref(list);

	restart();
	exited.head.serial = 0;
	rig_exited(&rig, &exited);
	rig_window(&rig);
	list = expect_kinds(since + 4, "restarted");
	json_decref(list);
}

Test(events, tell_that_it_began_of_what_a_dead_controller_saw_begin, .init = set_up,
     .fini = tear_down)
{
	const int64_t since = last_seq();
	struct spec_exited exited;
	json_t *list;

	rig_run_started(&rig, runs, "acme", &launch);
	rig_window(&rig);
	exited = rig_exited_of(&launch, 0, 10);
	/* Another execution, of which the store has never heard. */
	exited.execution.bytes[0] ^= 1;
	restart();
	rig_exited(&rig, &exited);
	rig_window(&rig);
	list = expect_kinds(since, "started restarted started exited");
	cr_expect(json_is_null(json_object_get(json_array_get(list, 2), "actor_uid")));
	json_decref(list);
}

Test(events, are_numbered_without_a_gap_though_changes_fail, .init = set_up, .fini = tear_down)
{
	const int64_t since = last_seq();
	struct tenant_row row = { 0 };
	struct event event;
	struct tn_error err = { 0 };
	struct record records[2];

	tell(1);
	cr_assert_eq(store()->ops->tenant_by_name(store(), "acme", &row, &err), 1);
	cr_assert_eq(event_of_tenant(EVENT_UPDATED, &ACTOR_NONE, NULL, &row, &event, &err), 0);
	row.version += 7;
	cr_expect_eq(store()->ops->tenant_update(store(), &row, &event, &err), -ESTALE);
	tell(2);
	/* The second is of a tenant that there is not: with it goes what the first has told. */
	for (uint8_t i = 0; i < 2; i++) {
		record_init(&records[i]);
		records[i].id.bytes[0] = (uint8_t)(i + 1);
		records[i].tenant = i == 0 ? row.id : records[i].id;
		records[i].started_at = 1;
	}
	cr_expect_lt(store()->ops->book(store(),
	                                &(struct store_batch){ .records = records,
	                                                       .records_n = 2,
	                                                       .events = &event,
	                                                       .events_n = 1 },
	                                &err),
	             0);
	tell(3);
	/* The same without the second takes the next numbers. */
	cr_assert_eq(store()->ops->book(
			     store(),
			     &(struct store_batch){ .records = records, .records_n = 1 }, &err),
	             0, "%s", err.msg);
	json_decref(expect_kinds(since, "drained drained drained started"));
	event_done(&event);
	tenant_row_done(&row);
}

Test(events, are_given_out_once_they_are_durable, .init = set_up, .fini = tear_down)
{
	const int64_t since = last_seq();
	struct event event, read;
	struct tn_error err = { 0 };

	cr_assert_eq(event_of_node(EVENT_REFUSED, &ACTOR_NONE, "why",
	                           &(struct event_difference){ "error", NULL, "e" }, &event,
	                           &err),
	             0);
	cr_assert_eq(store()->ops->book(
			     store(), &(struct store_batch){ .events = &event, .events_n = 1 },
			     &err),
	             0, "%s", err.msg);
	cr_expect(store()->ops->events_wait(store()));
	cr_expect_eq(store()->ops->event_next(store(), NULL, since, &read, &err), 0);
	cr_assert_eq(store()->ops->sync(store(), &err), 0);
	cr_expect_not(store()->ops->events_wait(store()));
	cr_assert_eq(store()->ops->event_next(store(), NULL, since, &read, &err), 1);
	cr_expect_eq(read.seq, since + 1);
	cr_expect_str_eq(read.reason, "why");
	cr_expect_str_eq(read.after, "{\"error\":\"e\"}");
	event_done(&read);
	event_done(&event);
}

Test(events, are_forgotten_from_the_oldest_on_but_for_the_last, .init = set_up,
     .fini = tear_down)
{
	struct store_event_span span;
	struct tn_error err = { 0 };
	int64_t last;
	json_t *answer;

	for (int i = 0; i < 10; i++)
		tell(i);
	last = last_seq();
	/* The first were told now; those with earlier times are behind them. */
	cr_expect_eq(store()->ops->events_prune(store(), 5, 100, &err), 0);
	cr_expect_eq(store()->ops->events_prune(store(), INT64_MAX, last - 10, &err),
	             last - 10);
	cr_expect_eq(store()->ops->events_prune(store(), 5, 3, &err), 3, "no more than asked");
	cr_expect_eq(store()->ops->events_prune(store(), 5, 100, &err), 2, "no younger ones");
	cr_assert_eq(store()->ops->event_span(store(), &span, &err), 0);
	cr_expect_eq(span.first, last - 4);
	cr_expect_eq(span.last, last);

	list_call(admin, json_integer(1), NULL, false);
	answer = rig_answer(&rig, admin);
	cr_expect_eq(rig_number(json_object_get(answer, "parameters"), "kept_from"), last - 4);
	json_decref(answer);
	for (bool more = true; more;)
		json_decref(list_take(admin, &more));

	cr_expect_eq(store()->ops->events_prune(store(), INT64_MAX, 100, &err), 4);
	cr_expect_eq(store()->ops->events_prune(store(), INT64_MAX, 100, &err), 0);
	restart();
	json_decref(expect_kinds(last, "restarted"));
}

Test(events, wake_who_follows, .init = set_up, .fini = tear_down)
{
	const int64_t since = last_seq();
	struct varlink *follower = rig_connect(&rig), *other = rig_connect(&rig);
	json_t *event;
	bool more;

	list_call(follower, json_integer(since), NULL, true);
	list_call(other, json_null(), "acme", true);
	json_decref(list_take(other, &more));
	cr_expect(more);
	cr_expect_not(rig_answered(&rig, follower));
	json_decref(rig_ask(&rig, admin, "io.tenantd.Drain", json_object(), NULL));
	event = list_take(follower, &more);
	cr_expect_str_eq(rig_text(event, "kind"), "drained");
	cr_expect_eq(rig_number(event, "seq"), since + 1);
	cr_expect(more, "it goes on");
	json_decref(event);
	cr_expect_not(rig_answered(&rig, other), "that was not about acme");
	/* One that leaves is not told any more. */
	(void)varlink_free(follower);
	rig_turn(&rig);
	json_decref(rig_ask(&rig, admin, "io.tenantd.Undrain", json_object(), NULL));
	json_decref(rig_ask(&rig, admin, "io.tenantd.UpdateTenant",
	                    json_pack("{s:s, s:s}", "tenant", "acme", "display_name", "A"),
	                    NULL));
	event = list_take(other, &more);
	cr_expect_str_eq(rig_text(event, "kind"), "updated");
	json_decref(event);
	(void)varlink_free(other);
}

/* Whoever waited there would miss all up to it. */
Test(events, are_not_awaited_where_none_has_been, .init = set_up, .fini = tear_down)
{
	const int64_t last = last_seq();
	bool more = true;

	for (int follow = 0; follow < 2; follow++)
		json_decref(rig_refused(&rig, admin, "io.tenantd.ListEvents",
		                        json_pack("{s:I, s:b}", "since", (json_int_t)last + 1,
		                                  "follow", follow),
		                        "more", "io.tenantd.Invalid"));
	list_call(admin, json_integer(last), NULL, false);
	cr_expect_null(list_take(admin, &more));
	cr_expect_not(more);
}

Test(events, wait_for_who_is_slow_without_being_kept_for_them, .init = set_up,
     .fini = tear_down)
{
	enum {
		EVENTS_N = 3000
	};
	static char long_text[4096];
	static struct event batch[EVENTS_N];
	const int64_t since = last_seq();
	struct varlink *follower = rig_connect(&rig);
	struct tn_error err = { 0 };
	bool more;

	list_call(follower, json_integer(since), NULL, true);
	cr_expect_not(rig_answered(&rig, follower));
	memset(long_text, 'x', sizeof(long_text) - 1);
	for (int i = 0; i < EVENTS_N; i++)
		cr_assert_eq(
			event_of_node(EVENT_THROTTLED, &ACTOR_NONE, NULL,
		                      &(struct event_difference){ "long", NULL, long_text },
		                      &batch[i], &err),
			0);
	cr_assert_eq(store()->ops->book(
			     store(),
			     &(struct store_batch){ .events = batch, .events_n = EVENTS_N },
			     &err),
	             0);
	cr_assert_eq(store()->ops->sync(store(), &err), 0);
	rig_turn(&rig);
	/* It reads nothing; others are served. */
	json_decref(rig_ask(&rig, admin, "io.tenantd.GetStatus", json_object(), NULL));
	for (int i = 0; i < EVENTS_N; i++) {
		json_t *event = list_take(follower, &more);

		cr_assert_eq(rig_number(event, "seq"), since + 1 + i);
		cr_assert(more);
		json_decref(event);
		event_done(&batch[i]);
	}
	cr_expect_not(rig_answered(&rig, follower));
	tell(1);
	json_decref(list_take(follower, &more));
	(void)varlink_free(follower);
}

Test(events, of_refusals_are_bounded, .init = set_up, .fini = tear_down)
{
	const int64_t since = last_seq();
	json_t *list;

	json_decref(rig_ask(&rig, admin, "io.tenantd.Drain", json_object(), NULL));
	for (int i = 0; i < 100; i++)
		json_decref(rig_refused(&rig, admin, "io.tenantd.ResumeTenant",
		                        json_pack("{s:s}", "tenant", "acme"), NULL,
		                        "io.tenantd.InvalidState"));
	/* What is merely wrong is no refusal. */
	json_decref(rig_refused(&rig, admin, "io.tenantd.ResumeTenant",
	                        json_pack("{s:s}", "tenant", "nobody"), NULL,
	                        "io.tenantd.NotFound"));
	rig_window(&rig);
	list = expect_kinds(since, "drained refused");
	expect_value(json_array_get(list, 1), "after", "count", "1");
	expect_value(json_array_get(list, 1), "after", "method", "io.tenantd.ResumeTenant");
	expect_value(json_array_get(list, 1), "after", "error", "io.tenantd.InvalidState");
	cr_expect_str_eq(rig_text(json_array_get(list, 1), "tenant"), "acme");
	json_decref(list);
	/* The rest is told at the end of the period, or with the controller's. */
	restart();
	list = expect_kinds(since + 2, "refused restarted");
	expect_value(json_array_get(list, 0), "after", "count", "99");
	cr_expect_eq(rig_number(json_array_get(list, 0), "actor_uid"), (int64_t)getuid());
	json_decref(list);
}

Test(events, of_many_kinds_of_refusals_are_counted_together, .init = set_up, .fini = tear_down)
{
	const int64_t since = last_seq();
	const struct tn_error why = { .code = TN_NOT_PERMITTED, .msg = "no" };
	json_t *list;

	for (int64_t uid = 1; uid <= REFUSALS_KINDS_MAX + 5; uid++)
		refusals_note(rig.context->refusals,
		              &(struct refusal){ { uid, ACTOR_ABSENT, ACTOR_ABSENT },
		                                 &why,
		                                 "io.tenantd.Run",
		                                 NULL });
	refusals_flush(rig.context->refusals);
	rig_window(&rig);
	list = list_all(since, NULL);
	cr_expect_eq(json_array_size(list), REFUSALS_KINDS_MAX + 1);
	expect_value(json_array_get(list, REFUSALS_KINDS_MAX), "after", "count", "5");
	cr_expect(json_is_null(
		json_object_get(json_array_get(list, REFUSALS_KINDS_MAX), "actor_uid")));
	json_decref(list);
}

/* Each kind has its id, and the catalog an entry of it, and no other. */
Test(events, are_explained_by_the_catalog)
{
	static char text[65536];
	cleanup_fd int fd = open(TEST_SOURCE_ROOT "/tools/systemd/tenantd.catalog",
	                         O_RDONLY | O_CLOEXEC);
	const ssize_t n = io_read_all(fd, text, sizeof(text) - 1);
	size_t entries_n = 0;

	cr_assert(n > 0 && (size_t)n < sizeof(text) - 1);
	for (const char *at = text; (at = strstr(at, "\n-- ")) != NULL; at++)
		entries_n++;
	cr_expect_eq(entries_n, EVENT_KINDS_N);
	for (int i = 0; i < EVENT_KINDS_N; i++) {
		const struct event_kind_row *row = event_kind_row((enum event_kind)i);
		char entry[64];

		cr_expect_eq(event_kind_parse(row->name), i);
		cr_expect_eq(strspn(row->message_id, "0123456789abcdef"), 32);
		(void)snprintf(entry, sizeof(entry), "\n-- %s\nSubject: ", row->message_id);
		cr_expect(strstr(text, entry) != NULL, "no entry of '%s'", row->name);
	}
}
