/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is asked of quotas, and what comes back. */
#include <tenant/quota.h>

#include "daemon.h"

TestSuite(quota, .init = set_up, .fini = tear_down, .timeout = 60);

static int each_nothing(const struct tn_quota *quota, void *userdata)
{
	(void)quota;
	(void)userdata;
	return 0;
}

Test(quota, answers_say_what_there_is)
{
	const struct tn_quota_options again = { .key = "again" };
	struct tn_quota_answer answer;

	cr_assert_eq(tn_quota_consume(client, "acme", "tokens", 7, NULL, &answer, &err), 0,
	             "%s", err.msg);
	cr_expect_eq(answer.limit, 10);
	cr_expect_eq(answer.used, 7);
	cr_expect_eq(answer.reset_at, 1000);
	cr_expect_not(answer.repeated);
	cr_expect_str_eq(answer.reservation, "");
	cr_assert_eq(tn_quota_acquire(client, "acme", "agents", 1, &again, &answer, &err), 0);
	cr_expect(answer.repeated);
	cr_assert_eq(tn_quota_give_back(client, "acme", "agents", 1, NULL, &answer, &err), 0);
	cr_assert_eq(tn_quota_check(client, "acme", "tokens", 10, &answer, &err), 0);
}

Test(quota, refusals_say_why)
{
	const struct tn_quota_error *quota;
	struct tn_quota_answer answer;

	cr_expect_eq(tn_quota_consume(client, "acme", "tokens", 11, NULL, &answer, &err),
	             -EDQUOT);
	cr_expect_eq(err.code, TN_QUOTA);
	quota = tn_client_quota_error(client);
	cr_assert_not_null(quota);
	cr_expect_str_eq(quota->meter, "tokens");
	cr_expect_eq(quota->limit, 10);
	cr_expect_eq(quota->requested, 11);
	cr_expect_eq(quota->reset_at, 1000);
	cr_expect_eq(tn_quota_consume(client, "nobody", "tokens", 1, NULL, &answer, &err),
	             -ENOENT);
	cr_expect_null(tn_client_quota_error(client));
}

/* On the tenant's own socket nobody is named. */
Test(quota, are_asked_of_ones_own_without_a_name)
{
	struct tn_quota_summary summary = { 0 };
	struct tn_quota_answer answer;

	cr_assert_eq(tn_quota_consume(client, NULL, "tokens", 7, NULL, &answer, &err), 0, "%s",
	             err.msg);
	cr_expect_eq(answer.used, 7);
	cr_expect_eq(tn_quota_consume(client, "No Name", "tokens", 7, NULL, &answer, &err),
	             -EINVAL);
	cr_assert_eq(tn_quota_reserve(client, NULL, "tokens", 3, NULL, &answer, &err), 0);
	cr_assert_eq(tn_quota_commit(client, NULL, answer.reservation, 0, NULL, &answer, &err),
	             0);
	cr_assert_eq(tn_quota_summary(client, NULL, &summary, each_nothing, NULL, &err), 0);
	tn_quota_summary_done(&summary);
	/* There is none outside of a sandbox. */
	{
		struct tn_client *own = NULL;

		cr_expect_lt(tn_client_open_self(&own, &err), 0);
		cr_expect_eq(err.code, TN_UNREACHABLE);
		cr_expect_null(own);
	}
}

Test(quota, of_what_is_no_amount_nobody_is_asked)
{
	struct tn_quota_answer answer;

	daemon_stop();
	cr_expect_eq(tn_quota_consume(client, "acme", "tokens", 0, NULL, &answer, &err),
	             -EINVAL);
	cr_expect_eq(tn_quota_check(client, "acme", "tokens", INT64_MIN, &answer, &err),
	             -EINVAL);
	cr_expect_eq(tn_quota_consume(client, "acme", NULL, 1, NULL, &answer, &err), -EINVAL);
	cr_expect_eq(tn_quota_commit(client, "acme", "mine", 1, NULL, &answer, &err), -EINVAL);
	cr_expect_eq(tn_quota_release(client, "acme", NULL, NULL, &answer, &err), -EINVAL);
	cr_expect_lt(tn_quota_consume(client, "acme", "tokens", 1, NULL, &answer, &err), 0);
	cr_expect_eq(err.code, TN_UNREACHABLE);
	daemon_start();
}

Test(quota, reservations_have_a_name)
{
	struct tn_quota_answer answer;

	cr_assert_eq(tn_quota_reserve(client, "acme", "tokens", 3, NULL, &answer, &err), 0,
	             "%s", err.msg);
	cr_expect_str_eq(answer.reservation, FAKE_OTHER_ID);
	cr_expect_eq(answer.limit, TN_ABSENT);
	cr_expect_eq(answer.reserved, 3);
	cr_expect_eq(
		tn_quota_commit(client, "acme", answer.reservation, 0, NULL, &answer, &err), 0);
	cr_expect_eq(tn_quota_release(client, "acme", answer.reservation, NULL, &answer, &err),
	             0);
}

static int on_quota(const struct tn_quota *quota, void *userdata)
{
	size_t *n = userdata;

	cr_expect_str_eq(quota->meter, *n == 0 ? "tokens" : "state_bytes");
	cr_expect_eq(quota->percent, *n == 0 ? 40 : TN_ABSENT);
	cr_expect_eq(quota->enforce == NULL, *n == 1);
	++*n;
	return 0;
}

Test(quota, are_listed_as_of_one_instant)
{
	struct tn_quota_summary summary = { 0 };
	size_t n = 0;

	cr_assert_eq(tn_quota_summary(client, "acme", &summary, on_quota, &n, &err), 0, "%s",
	             err.msg);
	cr_expect_eq(n, 2u);
	cr_expect_str_eq(summary.tier, "free");
	cr_expect_eq(summary.snapshot_at, 5000);
	tn_quota_summary_done(&summary);
}

Test(quota, limits_are_what_a_tenant_has_of_its_own)
{
	struct tn_tenant tenant = { 0 };

	cr_assert_eq(tn_quota_set(client, "acme", "tokens", "100", &tenant, &err), 0, "%s",
	             err.msg);
	cr_expect_str_eq(tenant.name, "acme");
	tn_tenant_done(&tenant);
	/* The stand-in says what it was sent. */
	cr_expect_lt(tn_quota_set(client, "echo", "tokens", "100", &tenant, &err), 0);
	cr_expect_not_null(strstr(err.msg, "\"quotas.tokens.limit\":\"100\""), "%s", err.msg);
	cr_expect_lt(tn_quota_set(client, "echo", "tokens", NULL, &tenant, &err), 0);
	cr_expect_not_null(strstr(err.msg, "\"quotas.tokens.limit\":null"), "%s", err.msg);
	cr_expect_eq(tn_quota_set(client, "acme", NULL, "100", &tenant, &err), -EINVAL);
}
