/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Quotas as they are asked for on the socket, with the policy's limits and periods. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>

#include "rig.h"

TestSuite(quota_calls, .timeout = 60);

#define TIER                                                                                   \
	"tier: free\n"                                                                         \
	"quotas:\n"                                                                            \
	"  tokens: {limit: 10, per: month, warn: [50]}\n"                                      \
	"  agents: {limit: 3}\n"                                                               \
	"  executions: {limit: 1, per: day}\n"                                                 \
	"  api_calls: {limit: 5, per: hour, enforce: soft}\n"

static struct rig rig;
static struct varlink *admin;

static void set_up(void)
{
	rig_init(&rig);
	admin = rig_connect(&rig);
	rig_write(&rig, "tiers/free.yaml", TIER);
	rig_call(&rig, admin, "io.tenantd.ReloadPolicy", json_object(), NULL);
	json_decref(rig_answer(&rig, admin));
	rig_tenant(&rig, "acme");
}

static void tear_down(void)
{
	(void)varlink_free(admin);
	rig_done(&rig);
}

static json_t *amount_of(const char *tenant, const char *meter, json_int_t amount)
{
	return json_pack("{s:s, s:s, s:I}", "tenant", tenant, "meter", meter, "amount", amount);
}

static json_int_t number(const json_t *json, const char *name)
{
	const json_t *value = json_object_get(json, name);

	cr_assert(json_is_integer(value), "%s", name);
	return json_integer_value(value);
}

static json_int_t consume(const char *meter, json_int_t amount)
{
	json_t *answer = rig_ask(&rig, admin, "io.tenantd.ConsumeQuota",
	                         amount_of("acme", meter, amount), NULL);
	json_int_t used = number(answer, "used");

	json_decref(answer);
	return used;
}

Test(quota_calls, stop_at_the_limit_and_say_what_there_is, .init = set_up, .fini = tear_down)
{
	json_t *error;

	for (json_int_t i = 1; i <= 10; i++)
		cr_expect_eq(consume("tokens", 1), i);
	error = rig_refused(&rig, admin, "io.tenantd.ConsumeQuota",
	                    amount_of("acme", "tokens", 1), NULL, "io.tenantd.QuotaExceeded");
	cr_expect_str_eq(json_string_value(json_object_get(error, "meter")), "tokens");
	cr_expect_eq(number(error, "limit"), 10);
	cr_expect_eq(number(error, "used"), 10);
	cr_expect_eq(number(error, "requested"), 1);
	cr_expect_gt(number(error, "reset_at"), 0);
	json_decref(error);
	/* Beyond a soft one there are only events. */
	cr_expect_eq(consume("api_calls", 7), 7);
}

Test(quota_calls, that_are_sent_together_are_answered_in_order, .init = set_up,
     .fini = tear_down)
{
	static const json_int_t amounts[] = { 4, 7, 6, 1 }, used[] = { 4, -1, 10, -1 };
	json_t *status, *answer;

	for (size_t i = 0; i < ARRAY_LEN(amounts); i++)
		rig_call(&rig, admin, "io.tenantd.ConsumeQuota",
		         amount_of("acme", "tokens", amounts[i]), NULL);
	/* What is refused before it is looked at does not overtake, either. */
	rig_call(&rig, admin, "io.tenantd.ConsumeQuota", json_pack("{s:i}", "tenant", 7), NULL);
	rig_call(&rig, admin, "io.tenantd.GetStatus", json_object(), NULL);
	for (size_t i = 0; i < ARRAY_LEN(amounts); i++) {
		json_t *parameters;

		answer = rig_answer(&rig, admin);
		parameters = json_object_get(answer, "parameters");
		cr_expect_eq(json_object_get(answer, "error") != NULL, used[i] < 0, "%zu", i);
		if (used[i] >= 0)
			cr_expect_eq(number(parameters, "used"), used[i]);
		json_decref(answer);
	}
	answer = rig_answer(&rig, admin);
	cr_expect_str_eq(json_string_value(json_object_get(answer, "error")),
	                 "org.varlink.service.InvalidParameter");
	json_decref(answer);
	status = rig_answer(&rig, admin);
	cr_expect_not_null(
		json_object_get(json_object_get(status, "parameters"), "policy_hash"));
	json_decref(status);
}

Test(quota_calls, survive_a_controller, .init = set_up, .fini = tear_down)
{
	json_t *parameters = amount_of("acme", "tokens", 6);
	json_t *answer;

	json_object_set_new(parameters, "key", json_string("k"));
	json_decref(
		rig_ask(&rig, admin, "io.tenantd.ConsumeQuota", json_incref(parameters), NULL));
	(void)varlink_free(admin);
	rig_restart(&rig);
	rig_hello(&rig, 0);
	admin = rig_connect(&rig);
	answer = rig_ask(&rig, admin, "io.tenantd.ConsumeQuota", parameters, NULL);
	cr_expect(json_is_true(json_object_get(answer, "repeated")));
	cr_expect_eq(number(answer, "used"), 6);
	json_decref(answer);
	cr_expect_eq(consume("tokens", 4), 10);
}

Test(quota_calls, know_no_meter_and_no_tenant_that_there_is_not, .init = set_up,
     .fini = tear_down)
{
	json_t *error = rig_refused(&rig, admin, "io.tenantd.ConsumeQuota",
	                            amount_of("acme", "tokns", 1), NULL, "io.tenantd.Invalid");

	cr_expect_str_eq(json_string_value(json_object_get(error, "message")),
	                 "there is no meter 'tokns', did you mean 'tokens'?");
	json_decref(error);
	json_decref(rig_refused(&rig, admin, "io.tenantd.ConsumeQuota",
	                        amount_of("nobody", "tokens", 1), NULL, "io.tenantd.NotFound"));
	json_decref(rig_refused(&rig, admin, "io.tenantd.ConsumeQuota",
	                        amount_of("acme", "cpu_time", 1), NULL, "io.tenantd.Invalid"));
	json_decref(rig_refused(&rig, admin, "io.tenantd.CheckQuota",
	                        amount_of("acme", "cpu_time", 0), NULL, "io.tenantd.Invalid"));
	json_decref(rig_refused(&rig, admin, "io.tenantd.ConsumeQuota",
	                        amount_of("acme", "tokens", 0), NULL, "io.tenantd.Invalid"));
}

Test(quota_calls, keep_a_reservation_to_its_tenant, .init = set_up, .fini = tear_down)
{
	json_t *answer, *reservation;

	rig_tenant(&rig, "globex");
	answer = rig_ask(&rig, admin, "io.tenantd.ReserveQuota", amount_of("acme", "tokens", 8),
	                 NULL);
	reservation = json_object_get(answer, "reservation");
	json_decref(rig_refused(
		&rig, admin, "io.tenantd.CommitQuota",
		json_pack("{s:s, s:O}", "tenant", "globex", "reservation", reservation), NULL,
		"io.tenantd.NotFound"));
	for (int i = 0; i < 2; i++) {
		json_t *again = rig_ask(&rig, admin, "io.tenantd.CommitQuota",
		                        json_pack("{s:s, s:O, s:i, s:s}", "tenant", "acme",
		                                  "reservation", reservation, "amount", 3,
		                                  "key", "k"),
		                        NULL);

		cr_expect_eq(json_is_true(json_object_get(again, "repeated")), i == 1);
		json_decref(again);
	}
	json_decref(answer);
	cr_expect_eq(consume("tokens", 7), 10);
}

/* The row of @meter in what GetQuotas says of acme; the caller's. */
static json_t *shown(const char *meter)
{
	json_t *answer = rig_ask(&rig, admin, "io.tenantd.GetQuotas",
	                         json_pack("{s:s}", "tenant", "acme"), NULL);
	json_t *row, *found = NULL;
	size_t i;

	json_array_foreach(json_object_get(answer, "quotas"), i, row)
	{
		if (strcmp(json_string_value(json_object_get(row, "meter")), meter) == 0)
			found = json_incref(row);
	}
	cr_assert_not_null(found, "%s", meter);
	json_decref(answer);
	return found;
}

Test(quota_calls, show_what_is_left, .init = set_up, .fini = tear_down)
{
	json_t *row;

	cr_expect_eq(consume("tokens", 3), 3);
	row = shown("tokens");
	cr_expect_eq(number(row, "limit"), 10);
	cr_expect_eq(number(row, "used"), 3);
	cr_expect_eq(number(row, "percent"), 30);
	cr_expect_str_eq(json_string_value(json_object_get(row, "per")), "month");
	cr_expect_str_eq(json_string_value(json_object_get(row, "enforce")), "hard");
	cr_expect_gt(number(row, "reset_at"), number(row, "period_start"));
	json_decref(row);
	row = shown("executions_max");
	cr_expect_str_eq(json_string_value(json_object_get(row, "enforce")), "kernel");
	json_decref(row);
	/* Without a quota on it, it is counted all the same. */
	cr_expect_eq(consume("api_calls", 2), 2);
	row = shown("api_calls");
	cr_expect_str_eq(json_string_value(json_object_get(row, "enforce")), "soft");
	json_decref(row);
}

static json_int_t reset_at(void)
{
	json_t *answer = rig_ask(&rig, admin, "io.tenantd.CheckQuota",
	                         amount_of("acme", "tokens", 1), NULL);
	json_int_t at = number(answer, "reset_at");

	json_decref(answer);
	return at;
}

Test(quota_calls, follow_the_tenants_calendar_when_that_is_changed, .init = set_up,
     .fini = tear_down)
{
	static const char *const zones[] = { "UTC", "Asia/Tokyo" };
	json_int_t seen[4];
	size_t n = 0;

	for (int day = 1; day <= 2; day++)
		for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
			json_decref(rig_ask(&rig, admin, "io.tenantd.UpdateTenant",
			                    json_pack("{s:s, s:{s:i, s:s}}", "tenant", "acme",
			                              "settings", "billing_anchor_day", day,
			                              "time_zone", zones[i]),
			                    NULL));
			seen[n] = reset_at();
			cr_expect_eq(reset_at(), seen[n], "once more");
			for (size_t j = 0; j < n; j++)
				cr_expect_neq(seen[n], seen[j], "%zu and %zu", n, j);
			n++;
		}
}

Test(quota_calls, give_back_with_an_executions_end_and_count_its_launch, .init = set_up,
     .fini = tear_down)
{
	static union rig_message launch, settled;
	struct spec_exited exited;
	char id[ID_TEXT_BYTES];
	json_t *parameters, *error, *row;

	rig_run(&rig, admin, "acme", json_object());
	rig_take(&rig, SPEC_LAUNCH, &launch);
	rig_started(&rig, &launch);
	json_decref(rig_answer(&rig, admin));
	{
		struct varlink *other = rig_connect(&rig);

		id_format(&launch.launch.execution, id);
		parameters = amount_of("acme", "agents", 3);
		json_object_set_new(parameters, "execution", json_string(id));
		json_decref(rig_ask(&rig, other, "io.tenantd.AcquireQuota", parameters, NULL));
		json_decref(rig_refused(&rig, other, "io.tenantd.AcquireQuota",
		                        amount_of("acme", "agents", 1), NULL,
		                        "io.tenantd.QuotaExceeded"));
		/* It runs, and is the only one of this day. */
		rig_run(&rig, other, "acme", json_object());
		error = rig_answer(&rig, other);
		cr_expect_str_eq(json_string_value(json_object_get(error, "error")),
		                 "io.tenantd.QuotaExceeded");
		json_decref(error);
		(void)varlink_free(other);
	}
	exited = rig_exited_of(&launch, 0, 100);
	exited.ended_unix_usec = clock_usec(CLOCK_REALTIME);
	rig_exited(&rig, &exited);
	rig_window(&rig);
	rig_take(&rig, SPEC_SETTLED, &settled);
	json_decref(rig_answer(&rig, admin));
	row = shown("agents");
	cr_expect_eq(number(row, "used"), 0);
	json_decref(row);
	row = shown("executions");
	cr_expect_eq(number(row, "used"), 1);
	json_decref(row);
}

/* Kept for a day, by itself forgotten then. */
Test(quota_calls, forget_an_answer_after_its_time, .init = set_up, .fini = tear_down)
{
	struct store *store = rig.context->store;
	static struct metering_write writes[2];
	struct metering_key found;
	struct tn_error err = { 0 };
	struct tenant *tenant;

	cr_assert_eq(tenants_get(rig.context->tenants, "acme", &tenant, &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(writes); i++) {
		writes[i].kind = METERING_KEPT;
		writes[i].tenant = writes[i].key.tenant = tenant->row.id;
		writes[i].key.at = clock_usec(CLOCK_REALTIME) - METERING_KEY_USEC;
		writes[i].key.op = METERING_CONSUME;
	}
	(void)snprintf(writes[0].key.key, sizeof(writes[0].key.key), "old");
	(void)snprintf(writes[1].key.key, sizeof(writes[1].key.key), "young");
	writes[1].key.at += METERING_KEY_USEC / 2;
	cr_assert_eq(store->ops->meter(store, writes, ARRAY_LEN(writes), NULL, 0, &err), 0);
	rig_send(&rig, SPEC_REPLAYED, 0, &(struct spec_head){ 0 }, sizeof(struct spec_head));
	for (int i = 0; i < 100 && store->ops->metering_key_get(store, &tenant->row.id, "old",
	                                                        &found, &err) == 1;
	     i++)
		rig_window(&rig);
	cr_expect_eq(store->ops->metering_key_get(store, &tenant->row.id, "old", &found, &err),
	             0);
	cr_expect_eq(
		store->ops->metering_key_get(store, &tenant->row.id, "young", &found, &err), 1);
}
