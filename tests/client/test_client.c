/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include <tenant/backup.h>
#include <tenant/event.h>
#include <tenant/policy.h>
#include <unistd.h>

TestSuite(client, .timeout = 30, .init = set_up, .fini = tear_down);

static void get(const char *name, struct tn_tenant *tenant)
{
	*tenant = (struct tn_tenant){ 0 };
	cr_assert_eq(tn_tenant_get(client, name, tenant, &err), 0, "%s", err.msg);
}

/* What a call for @tenant fails with, and that the client works afterwards. */
static void fails_with(const char *tenant, enum tn_error_code code, int r)
{
	struct tn_tenant untouched = { .version = 77 }, after;

	cr_expect_eq(tn_tenant_get(client, tenant, &untouched, &err), r, "%s: %s", tenant,
	             err.msg);
	cr_expect_eq(err.code, (int32_t)code, "%s: %s", tenant, err.msg);
	cr_expect_eq(untouched.version, 77);
	cr_expect_null(untouched.owner);
	get("acme", &after);
	tn_tenant_done(&after);
}

Test(client, says_how_to_find_a_daemon_that_is_not_there)
{
	struct tn_client *other = NULL;
	struct tn_tenant tenant;

	cr_expect_eq(tn_client_open("/tmp/there/is/none", &other, &err), -ENOENT);
	cr_expect_eq(err.code, TN_UNREACHABLE);
	cr_expect_neq(strstr(err.msg, "systemctl status tenantd"), NULL, "%s", err.msg);
	cr_expect_null(other);

	/* A socket that nobody listens on any more, once whoever serves us has let go of it. */
	get("acme", &tenant);
	tn_tenant_done(&tenant);
	(void)kill(daemon_pid, SIGKILL);
	(void)waitpid(daemon_pid, NULL, 0);
	cr_expect_eq(tn_client_open(socket_path, &other, &err), -ECONNREFUSED);
	cr_expect_eq(err.code, TN_UNREACHABLE);
}

Test(client, refuses_a_path_that_is_no_socket_address)
{
	struct tn_client *other = NULL;
	char path[200];

	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	cr_expect_eq(tn_client_open(path, &other, &err), -ENAMETOOLONG);
	cr_expect_eq(err.code, TN_INVALID);
}

Test(client, gets_every_member_of_a_tenant)
{
	struct tn_tenant tenant;

	get("acme", &tenant);
	cr_expect_str_eq(tenant.id, "5f0c1d2e-3b4a-4958-8776-655443322110");
	cr_expect_str_eq(tenant.name, "acme");
	cr_expect_str_eq(tenant.display_name, "A \"quoted\" name");
	cr_expect_eq(tenant.status, TN_TENANT_ACTIVE);
	cr_expect_str_eq(tenant.tier, "free");
	cr_assert_eq(tenant.metadata.n, 1u);
	cr_expect_str_eq(tenant.metadata.items[0].key, "team");
	cr_expect_str_eq(tenant.metadata.items[0].value, "blue");
	cr_expect_eq(tenant.settings.billing_anchor_day, 1);
	cr_expect_str_eq(tenant.settings.time_zone, "UTC");
	cr_expect_str_eq(tenant.settings.currency, "EUR");
	cr_expect_null(tenant.settings.customer_id);
	cr_expect_eq(tenant.version, 3);
	cr_expect_eq(tenant.created_at, 1700000000000000);
	cr_expect_eq(tenant.updated_at, 1700000001000000);
	cr_expect_str_eq(tenant.policy_hash, "abcdef0123456789");
	cr_expect_str_eq(tenant.cgroup, "tenants.slice/tenantd-tenants.service/acme");
	cr_expect_eq(tenant.uid_first, 2000000000);
	cr_expect_eq(tenant.uid_count, 65536);
	cr_expect_str_eq(tenant.storage_path, "/var/lib/tenantd/storage/acme");
	tn_tenant_done(&tenant);
	tn_tenant_done(&tenant); /* released twice is released once */
}

Test(client, sends_what_a_new_tenant_is_to_be)
{
	const struct tn_pair pairs[] = { { "team", "blue" }, { "cost", "7" } };
	const struct tn_settings settings = { 28, "Europe/Berlin", "EUR", NULL };
	const char *const operators[] = { "user:alice", "group:builders" };
	const struct tn_tenant_spec spec = {
		.name = "echo",
		.operators = operators,
		.operators_n = ARRAY_LEN(operators),
		.tier = "free",
		.metadata = pairs,
		.metadata_n = ARRAY_LEN(pairs),
		.settings = &settings,
	};
	struct tn_tenant tenant = { 0 };

	cr_expect_eq(tn_tenant_create(client, &spec, &tenant, &err), -EINVAL);
	cr_expect_str_eq(err.msg,
	                 "{\"name\":\"echo\",\"display_name\":null,\"tier\":\"free\","
	                 "\"metadata\":{\"team\":\"blue\",\"cost\":\"7\"},\"overrides\":{},"
	                 "\"settings\":{\"billing_anchor_day\":28,"
	                 "\"time_zone\":\"Europe/Berlin\",\"currency\":\"EUR\","
	                 "\"customer_id\":null},"
	                 "\"operators\":[\"user:alice\",\"group:builders\"]}");
}

Test(client, sends_what_of_a_tenant_is_to_be_different)
{
	const char *const add[] = { "user:alice" }, *const remove[] = { "group:builders" };
	const struct tn_tenant_change change = {
		.operators_add = add,
		.operators_add_n = ARRAY_LEN(add),
		.operators_remove = remove,
		.operators_remove_n = ARRAY_LEN(remove),
		.force = true,
	};
	struct tn_tenant tenant = { 0 };

	cr_expect_eq(tn_tenant_update(client, "echo", &change, &tenant, &err), -EINVAL);
	cr_expect(strstr(err.msg,
	                 "\"operators_add\":[\"user:alice\"],"
	                 "\"operators_remove\":[\"group:builders\"],\"force\":true") != NULL,
	          "%s", err.msg);
}

static int no_tenant(const struct tn_tenant *tenant, void *userdata)
{
	(void)userdata;
	cr_expect_null(tenant, "none is to be told of");
	return 0;
}

Test(client, lists_tenants_by_status_tier_and_metadata_at_once)
{
	const struct tn_pair wanted[] = { { "team", "blue" }, { "cost", NULL } };
	const struct tn_tenant_filter filter = { .status = "active",
		                                 .tier = "echo",
		                                 .metadata = wanted,
		                                 .metadata_n = ARRAY_LEN(wanted) };

	cr_expect_eq(tn_tenant_list(client, &filter, no_tenant, NULL, &err), -EINVAL);
	cr_expect_str_eq(err.msg, "{\"status\":\"active\",\"tier\":\"echo\","
	                          "\"metadata\":{\"team\":\"blue\",\"cost\":null}}");
}

Test(client, maps_errors_by_their_names)
{
	fails_with("nobody", TN_NOT_FOUND, -ENOENT);
	fails_with("forbidden", TN_NOT_PERMITTED, -EPERM);
	fails_with("taken", TN_EXISTS, -EEXIST);
	fails_with("full", TN_QUOTA, -EDQUOT);
}

Test(client, tells_which_quota_refused)
{
	struct tn_tenant tenant;
	const struct tn_quota_error *quota;

	cr_expect_null(tn_client_quota_error(client));
	cr_expect_eq(tn_tenant_get(client, "full", &tenant, &err), -EDQUOT);
	quota = tn_client_quota_error(client);
	cr_assert_not_null(quota);
	cr_expect_str_eq(quota->meter, "executions");
	cr_expect_eq(quota->limit, 16);
	cr_expect_eq(quota->used, 16);
	cr_expect_eq(quota->requested, 1);
	cr_expect_eq(quota->reset_at, TN_ABSENT);
	cr_expect_eq(tn_tenant_get(client, "nobody", &tenant, &err), -ENOENT);
	cr_expect_null(tn_client_quota_error(client));
}

Test(client, survives_a_daemon_that_breaks_off_or_talks_nonsense)
{
	fails_with("gone", TN_UNREACHABLE, -EPIPE);
	fails_with("garbage", TN_PROTOCOL, -EPROTO);
	fails_with("wrong", TN_PROTOCOL, -EPROTO);
	fails_with("twice", TN_PROTOCOL, -EPROTO);
}

Test(client, gives_up_on_a_silent_daemon)
{
	tn_client_set_timeout(client, 100000);
	fails_with("silent", TN_UNREACHABLE, -ETIMEDOUT);
}

Test(client, connects_again_when_the_daemon_was_restarted)
{
	struct tn_tenant tenant;
	struct pollfd pollfd = { .fd = tn_client_fd(client), .events = POLLIN };

	get("acme", &tenant);
	tn_tenant_done(&tenant);
	daemon_stop();
	cr_assert_eq(poll(&pollfd, 1, 10000), 1, "the idle connection ends");
	cr_expect_eq(tn_tenant_get(client, "acme", &tenant, &err), -ENOENT);
	cr_expect_eq(err.code, TN_UNREACHABLE);
	daemon_start();
	get("acme", &tenant);
	tn_tenant_done(&tenant);
}

Test(client, refuses_what_is_no_name_before_it_is_sent)
{
	static const char *const bad[] = { "",
		                           "..",
		                           "a/b",
		                           "a\nb",
		                           "-a",
		                           "a-",
		                           "A",
		                           "a b",
		                           "a.b",
		                           "é",
		                           "5f0c1d2e-3b4a-4958-8776-",
		                           "a_b" };
	char long_name[301];
	struct tn_tenant tenant;

	/* Without a daemon: were it sent, the error would be another. */
	daemon_stop();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct tn_tenant_spec spec = { .name = bad[i] };

		cr_expect_eq(tn_tenant_get(client, bad[i], &tenant, &err), -EINVAL, "%s",
		             bad[i]);
		cr_expect_eq(err.code, TN_INVALID);
		cr_expect_eq(tn_tenant_create(client, &spec, &tenant, &err), -EINVAL);
		cr_expect_neq(strstr(err.msg, "1 to 63 of a-z"), NULL, "%s", err.msg);
	}
	memset(long_name, 'a', sizeof(long_name));
	long_name[300] = '\0';
	cr_expect_eq(tn_tenant_get(client, long_name, &tenant, &err), -EINVAL);
	long_name[64] = '\0';
	cr_expect_eq(tn_tenant_get(client, long_name, &tenant, &err), -EINVAL);
	cr_expect_eq(tn_tenant_get(client, NULL, &tenant, &err), -EINVAL);
	cr_expect_eq(tn_kill(client, "acme", NULL, &(int64_t){ 0 }, &err), -EINVAL);
	cr_expect_eq(tn_kill(client, NULL, NULL, &(int64_t){ 0 }, &err), -EINVAL);
	cr_expect_eq(tn_kill(client, FAKE_EXECUTION_ID, "acme", &(int64_t){ 0 }, &err),
	             -EINVAL);
	daemon_start();
}

Test(client, changes_suspends_and_resumes_a_tenant)
{
	static const struct tn_pair pairs[] = { { "team", "blue" }, { "old", NULL } };
	struct tn_tenant_change change = { .tier = "large",
		                           .metadata = pairs,
		                           .metadata_n = ARRAY_LEN(pairs),
		                           .billing_anchor_day = 15 };
	struct tn_tenant tenant = { 0 };

	cr_assert_eq(tn_tenant_update(client, "acme", &change, &tenant, &err), 0, "%s",
	             err.msg);
	cr_expect_str_eq(tenant.tier, "large");
	cr_expect_eq(tenant.version, 4);
	tn_tenant_done(&tenant);
	change.if_version = 2;
	cr_expect_eq(tn_tenant_update(client, "acme", &change, &tenant, &err), -ESTALE);
	cr_expect_eq(err.code, TN_CONFLICT);
	/* What is not said is null, and so is a key that is to go. */
	cr_expect_eq(tn_tenant_update(client, "echo", &change, &tenant, &err), -EINVAL);
	for (size_t i = 0; i < 5; i++) {
		static const char *const said[] = { "\"display_name\":null", "\"old\":null",
			                            "\"team\":\"blue\"",
			                            "\"billing_anchor_day\":15",
			                            "\"if_version\":2" };

		cr_expect(strstr(err.msg, said[i]) != NULL, "%s in %s", said[i], err.msg);
	}
	cr_assert_eq(tn_tenant_suspend(client, "acme", &tenant, &err), 0, "%s", err.msg);
	tn_tenant_done(&tenant);
	cr_assert_eq(tn_tenant_resume(client, "acme", &tenant, &err), 0, "%s", err.msg);
	tn_tenant_done(&tenant);
	cr_expect_eq(tn_tenant_suspend(client, "nobody", &tenant, &err), -ENOENT);
	cr_expect_eq(tn_tenant_resume(client, "a/b", &tenant, &err), -EINVAL);
}

Test(client, refuses_text_that_is_not_utf_8)
{
	const struct tn_tenant_spec spec = { .name = "acme", .display_name = "\xff" };
	struct tn_tenant tenant;

	cr_expect_eq(tn_tenant_create(client, &spec, &tenant, &err), -EINVAL);
	get("acme", &tenant);
	tn_tenant_done(&tenant);
}

static int count_tenant(const struct tn_tenant *tenant, void *userdata)
{
	static const char *const names[] = { "acme", "globex" };
	size_t *n = userdata;

	cr_assert_lt(*n, ARRAY_LEN(names));
	cr_expect_str_eq(tenant->name, names[*n]);
	(*n)++;
	return 0;
}

static int count_execution(const struct tn_execution *execution, void *userdata)
{
	size_t *n = userdata;

	cr_expect_eq(execution->reason, TN_REASON_OOM);
	cr_expect_eq(execution->exit_code, TN_ABSENT);
	cr_expect_eq(execution->cpu_usec, 1000);
	cr_expect_eq(execution->io_read_bytes, TN_ABSENT);
	(*n)++;
	return 0;
}

static int stop_after_three(const struct tn_execution *execution, void *userdata)
{
	size_t *n = userdata;

	(void)execution;
	return ++*n == 3;
}

Test(client, reads_lists_to_their_end_or_as_far_as_is_wanted)
{
	int before = fds_open();
	size_t n = 0;

	cr_expect_eq(tn_tenant_list(client, NULL, count_tenant, &n, &err), 0, "%s", err.msg);
	cr_expect_eq(n, 2u);
	n = 0;
	cr_expect_eq(tn_execution_list(client, NULL, true, count_execution, &n, &err), 0, "%s",
	             err.msg);
	cr_expect_eq(n, 300u);
	n = 0;
	cr_expect_eq(tn_execution_list(client, "acme", false, count_execution, &n, &err), 0);
	cr_expect_eq(n, 0u);
	n = 0;
	cr_expect_eq(tn_execution_list(client, "acme", true, stop_after_three, &n, &err), 0);
	cr_expect_eq(n, 3u);
	/* What was left of the list is not taken for the answer to the next call. */
	n = 0;
	cr_expect_eq(tn_tenant_list(client, NULL, count_tenant, &n, &err), 0, "%s", err.msg);
	cr_expect_eq(n, 2u);
	cr_expect_eq(fds_open(), before);
}

static int see_usage(const struct tn_execution *execution, void *userdata)
{
	struct tn_usage *usage = userdata;

	cr_expect_str_eq(usage->tenant, "acme", "the totals come first");
	usage->unattributed_usec += execution->cpu_usec;
	return 0;
}

Test(client, reads_usage_totals_and_then_executions)
{
	struct tn_usage usage = { 0 };
	const struct tn_usage_query query = { .tenant = "acme",
		                              .since = TN_ABSENT,
		                              .until = TN_ABSENT,
		                              .each = see_usage,
		                              .userdata = &usage };

	cr_assert_eq(tn_usage(client, &query, &usage, &err), 0, "%s", err.msg);
	cr_expect_eq(usage.since, 1700000000000000);
	cr_expect_eq(usage.meters.n, 2u);
	cr_expect_str_eq(usage.meters.items[0].name, "cpu_time");
	cr_expect_eq(usage.meters.items[0].amount, 987654321);
	cr_expect_eq(usage.unattributed_usec, 17 + 2 * 1000);
	tn_usage_done(&usage);
}

static int see_period(const struct tn_usage_period *period, void *userdata)
{
	int64_t *at = userdata;

	cr_expect_gt(period->end, period->start);
	cr_expect_geq(period->start, *at, "oldest first");
	cr_assert_eq(period->meters.n, 1u);
	cr_expect_str_eq(period->meters.items[0].name, "cpu_time");
	*at = period->end;
	return 0;
}

Test(client, reads_usage_by_periods)
{
	struct tn_usage usage = { 0 };
	int64_t at = 0;
	struct tn_usage_query query = { .tenant = "acme",
		                        .since = TN_ABSENT,
		                        .until = TN_ABSENT,
		                        .each = see_usage, /* not with by */
		                        .userdata = &at,
		                        .by = TN_PERIOD_DAY,
		                        .each_period = see_period };

	cr_assert_eq(tn_usage(client, &query, &usage, &err), 0, "%s", err.msg);
	cr_expect_eq(at, 1700172800000000, "the end of the last");
	cr_expect_eq(usage.unattributed_usec, 17);
	tn_usage_done(&usage);
	query.by = (enum tn_period)99;
	cr_expect_lt(tn_usage(client, &query, &usage, &err), 0);
	cr_expect_eq(err.code, TN_INVALID);
}

Test(client, finds_an_execution_by_what_people_say)
{
	static const char *const texts[] = { FAKE_EXECUTION_ID, "acme/job", "0192f0c4" };
	static const char *const refused[] = { "job", "acme/", "0192f0c", "../x" };
	struct tn_execution execution = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		cr_assert_eq(tn_execution_find(client, texts[i], &execution, &err), 0, "%s",
		             err.msg);
		cr_expect_str_eq(execution.id, FAKE_EXECUTION_ID);
		tn_execution_done(&execution);
		cr_expect_eq(tn_signal(client, texts[i], 1, &err), 0);
	}
	cr_expect_eq(tn_execution_find(client, "11111111", &execution, &err), -EINVAL);
	cr_expect_str_eq(err.msg, "several executions begin with 11111111");
	cr_expect_eq(tn_execution_find(client, "acme/none", &execution, &err), -ENOENT);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		cr_expect_eq(tn_execution_find(client, refused[i], &execution, &err), -EINVAL);
		cr_expect_neq(strstr(err.msg, "TENANT/NAME"), NULL, "%s", err.msg);
	}
	cr_expect_eq(tn_execution_find(client, NULL, &execution, &err), -EINVAL);
	cr_expect_null(execution.owner);
}

Test(client, gives_a_grace_before_the_end)
{
	struct tn_grace grace = { 1000000, 0 };
	int64_t told = 0;

	cr_expect_eq(tn_terminate(client, "acme/job", NULL, &grace, &told, &err), 0, "%s",
	             err.msg);
	cr_expect_eq(told, 1);
	grace.signal = 2;
	cr_expect_eq(tn_terminate(client, NULL, "echo", &grace, &told, &err), -EINVAL);
	cr_expect_neq(strstr(err.msg, "\"signal\":2,\"grace_usec\":1000000"), NULL, "%s",
	              err.msg);
	grace.usec = 0;
	cr_expect_eq(tn_terminate(client, "acme/job", NULL, &grace, &told, &err), -EINVAL);
	cr_expect_eq(tn_terminate(client, NULL, NULL, &grace, &told, &err), -EINVAL);
}

Test(client, kills_reloads_and_asks_how_the_daemon_is)
{
	struct tn_policy policy = { 0 };
	struct tn_status status = { 0 };
	int64_t killed = 0;

	cr_expect_eq(tn_kill(client, FAKE_EXECUTION_ID, NULL, &killed, &err), 0);
	cr_expect_eq(killed, 1);
	cr_expect_eq(tn_kill(client, NULL, "acme", &killed, &err), 0);
	cr_expect_eq(killed, 2);
	cr_assert_eq(tn_policy_reload(client, false, &policy, &err), 0);
	cr_expect_eq(policy.tiers.n, 2u);
	cr_expect_str_eq(policy.tiers.items[1], "professional");
	tn_policy_done(&policy);
	cr_assert_eq(tn_status_get(client, &status, &err), 0);
	cr_expect_eq(status.health, TN_HEALTH_DEGRADED);
	cr_expect_eq(status.degraded.n, 1u);
	cr_expect_eq(status.store_bytes, 40960);
	cr_expect_eq(status.drained_at, TN_ABSENT);
	cr_expect_eq(status.drained_by, TN_ABSENT);
	cr_expect_eq(status.commit_lag_usec, 12000);
	tn_status_done(&status);
}

static int on_entry(const struct tn_policy_entry *entry, void *userdata)
{
	int *n = userdata;
	const bool first = (*n)++ == 0;

	cr_expect_eq(entry->state, first ? TN_POLICY_IN_FORCE : TN_POLICY_EARLIER);
	cr_expect_eq(entry->accepted_by, first ? 1000 : TN_ABSENT);
	cr_expect_eq(entry->instead_of != NULL, first);
	return 0;
}

/* Of the node first, and then of two tenants. */
static int on_change(const struct tn_policy_change *change, void *userdata)
{
	int *n = userdata;

	cr_expect_eq(change->tenant == NULL, *n == 0);
	cr_expect_str_eq(change->key, *n == 0 ? "host_reserve.memory" : "tasks_max");
	cr_expect_str_eq(change->after, *n == 0 ? "1G" : "8");
	cr_expect_eq(change->hurts != NULL, *n == 1);
	(*n)++;
	return 0;
}

Test(client, asks_which_policies_hold_and_held)
{
	struct tn_policy policy = { 0 };
	struct tn_policy_files files = { 0 };
	struct tn_tenant_policy shown = { 0 };
	int n = 0;

	cr_assert_eq(tn_policy_list(client, on_entry, &n, &err), 0, "%s", err.msg);
	cr_expect_eq(n, 2);
	n = 0;
	cr_assert_eq(tn_policy_diff(client, NULL, on_change, &n, &err), 0, "%s", err.msg);
	cr_expect_eq(n, 3);
	cr_assert_eq(tn_policy_diff(client, "abcd", on_change, &n, &err), 0, "%s", err.msg);
	cr_expect_eq(n, 3);
	cr_assert_eq(tn_policy_rollback(client, "abcd", false, &policy, &err), 0, "%s",
	             err.msg);
	cr_expect_eq(policy.tiers.n, 2u);
	tn_policy_done(&policy);
	cr_assert_eq(tn_policy_get(client, "abcd", &files, &err), 0, "%s", err.msg);
	cr_assert_eq(files.files.n, 2u);
	cr_expect_str_eq(files.files.items[0].key, "tiers/free.yaml");
	cr_expect_str_eq(files.files.items[0].value, "tier: free\n");
	tn_policy_files_done(&files);
	cr_assert_eq(tn_policy_show(client, "acme", &shown, &err), 0, "%s", err.msg);
	cr_expect_str_eq(shown.limits.items[0].source, "tiers/free.yaml:7");
	tn_tenant_policy_done(&shown);
	cr_expect_lt(tn_policy_rollback(client, NULL, false, &policy, &err), 0);
	cr_expect_eq(err.code, TN_INVALID);
	cr_expect_lt(tn_policy_show(client, "../acme", &shown, &err), 0);
	cr_expect_eq(err.code, TN_INVALID);
}

struct told {
	int n;
	int64_t kept_from;
	bool enough; /* after the first */
};

static int on_event(const struct tn_event *event, void *userdata)
{
	struct told *told = userdata;
	const bool first = told->n++ == 0;

	cr_expect_eq(event->seq, 40 + told->n);
	cr_expect_str_eq(event->kind, first ? "updated" : "exited");
	cr_expect_str_eq(event->tenant, "acme");
	cr_expect_eq(event->execution == NULL, first);
	cr_expect_eq(event->actor_uid, first ? 0 : TN_ABSENT);
	cr_expect_eq(event->actor_login_uid, TN_ABSENT);
	cr_expect_eq(event->before.n, first ? 1u : 0u);
	cr_assert_eq(event->after.n, 1u);
	cr_expect_str_eq(event->after.items[0].key, first ? "tier" : "exit_code");
	cr_expect_eq(event->reason == NULL, first);
	return told->enough;
}

static void on_missed(int64_t kept_from, void *userdata)
{
	struct told *told = userdata;

	cr_expect_eq(told->n, 0, "before what is kept");
	told->kept_from = kept_from;
}

Test(client, is_told_of_events_and_which_are_not_kept)
{
	struct told told = { 0 };
	struct tn_event_query query = {
		.since = TN_ABSENT, .each = on_event, .missed = on_missed, .userdata = &told
	};

	cr_assert_eq(tn_event_list(client, &query, &err), 0, "%s", err.msg);
	cr_expect_eq(told.n, 2);
	cr_expect_eq(told.kept_from, 0);
	told = (struct told){ .enough = true };
	query.since = 7;
	query.follow = true;
	cr_assert_eq(tn_event_list(client, &query, &err), 0, "%s", err.msg);
	cr_expect_eq(told.n, 1, "no more was wanted");
	cr_expect_eq(told.kept_from, 41);
	told = (struct told){ 0 };
	query.missed = NULL;
	cr_assert_eq(tn_event_list(client, &query, &err), 0, "%s", err.msg);
	query.since = -7;
	cr_expect_eq(tn_event_list(client, &query, &err), -EINVAL);
	query.since = 0;
	query.tenant = "../acme";
	cr_expect_eq(tn_event_list(client, &query, &err), -EINVAL);
	query.tenant = "nobody";
	cr_expect_lt(tn_event_list(client, &query, &err), 0);
	cr_expect_eq(err.code, TN_NOT_FOUND);
}

Test(client, makes_one_call_at_a_time_and_forgets_an_abandoned_one)
{
	struct tn_tenant tenant = { 0 };

	cr_expect_eq(tn_client_process(client, &err), -EBUSY, "nothing was started");
	cr_assert_eq(tn_tenant_get_start(client, "silent", &tenant, &err), 0);
	cr_expect_eq(tn_tenant_get_start(client, "acme", &tenant, &err), -EBUSY);
	cr_expect_eq(err.code, TN_STATE);
	cr_expect_eq(tn_client_process(client, &err), 0);
	tn_client_cancel(client);
	tn_client_cancel(client);

	cr_assert_eq(tn_tenant_get_start(client, "acme", &tenant, &err), 0);
	for (int r = 0; r == 0;) {
		struct pollfd pollfd = { .fd = tn_client_fd(client),
			                 .events = tn_client_events(client) };

		cr_assert_eq(poll(&pollfd, 1, 5000), 1);
		r = tn_client_process(client, &err);
		cr_assert_geq(r, 0, "%s", err.msg);
	}
	cr_expect_str_eq(tenant.name, "acme");
	tn_tenant_done(&tenant);
}

Test(client, describes_its_records_by_the_names_of_the_socket)
{
	const struct tn_field *field = tn_execution_fields();
	size_t n = 0;

	for (; field[n].name != NULL; n++)
		;
	cr_expect_eq(n, 30u);
	cr_expect_str_eq(field[0].name, "id");
	cr_expect_str_eq(field[n - 1].name, "policy_hash");
	cr_expect_str_eq(tn_reason_name(TN_REASON_OOM), "oom");
	cr_expect_null(tn_reason_name(TN_REASON_NONE));
	cr_expect_str_eq(tn_error_name(TN_NOT_FOUND), "io.tenantd.NotFound");
	cr_expect_eq(tn_error_exit_status(TN_UNREACHABLE), 69);
}

Test(client, sends_a_signal_to_what_runs)
{
	cr_expect_eq(tn_signal(client, FAKE_EXECUTION_ID, SIGHUP, &err), 0, "%s", err.msg);
	cr_expect_eq(tn_signal(client, "11111111-1111-4111-8111-111111111111", SIGHUP, &err),
	             -ENOENT);
	cr_expect_eq(tn_signal(client, "acme", SIGHUP, &err), -EINVAL);
	cr_expect_eq(tn_signal(client, NULL, SIGHUP, &err), -EINVAL);
}

Test(client, waits_for_an_end_longer_than_for_an_answer)
{
	struct tn_execution execution = { 0 };

	tn_client_set_timeout(client, FAKE_WAIT_USEC / 10);
	cr_assert_eq(tn_wait(client, FAKE_EXECUTION_ID, &execution, &err), 0, "%s", err.msg);
	cr_expect_str_eq(execution.id, FAKE_EXECUTION_ID);
	cr_expect_eq(execution.reason, TN_REASON_OOM);
	tn_execution_done(&execution);
	cr_expect_eq(tn_wait(client, "11111111-1111-4111-8111-111111111111", &execution, &err),
	             -ENOENT);
	cr_expect_eq(tn_wait(client, "acme", &execution, &err), -EINVAL);
	cr_expect_eq(tn_wait(client, NULL, &execution, &err), -EINVAL);
	cr_expect_null(execution.owner);
	/* It can be given up, and the client is of use again. */
	cr_expect_eq(tn_wait_start(client, FAKE_EXECUTION_ID, &execution, &err), 0);
	cr_expect_eq(tn_client_process(client, &err), 0);
	tn_client_cancel(client);
	tn_client_set_timeout(client, 10000000);
	cr_expect_eq(tn_kill(client, FAKE_EXECUTION_ID, NULL, &(int64_t){ 0 }, &err), 0, "%s",
	             err.msg);
}

Test(client, gets_a_backup_as_a_file_to_read)
{
	static const char expected[] = FAKE_BACKUP;
	struct tn_backup_about about = { 0 };
	char bytes[sizeof(expected)];
	int fd = -1;

	cr_assert_eq(tn_backup(client, &fd, &about, &err), 0, "%s", err.msg);
	cr_assert_geq(fd, 0);
	cr_expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	cr_expect_eq(about.created_at, 1700000000000000);
	cr_expect_eq(about.bytes, (int64_t)sizeof(expected) - 1);
	cr_expect_eq(about.tenants, 1);
	cr_expect_str_eq(about.policy_hash, "abcdef0123456789");
	cr_assert_eq(read(fd, bytes, sizeof(bytes)), (ssize_t)sizeof(expected) - 1);
	cr_expect_eq(memcmp(bytes, expected, sizeof(expected) - 1), 0);
	cr_expect_eq(close(fd), 0);
	tn_backup_about_done(&about);
}

static int never(const struct tn_execution *execution, void *userdata)
{
	(void)execution;
	(void)userdata;
	cr_assert_fail("only the totals were asked for");
	return 0;
}

Test(client, asks_for_totals_alone_where_nobody_hears_of_executions)
{
	struct tn_usage_query query = { .tenant = "acme",
		                        .since = TN_ABSENT,
		                        .until = TN_ABSENT };
	struct tn_usage usage = { 0 };

	cr_assert_eq(tn_usage(client, &query, &usage, &err), 0, "%s", err.msg);
	cr_expect_eq(usage.itemized_since, 1700000000000000);
	tn_usage_done(&usage);
	/* The connection is fit for the next call: nothing more had come. */
	query.each = never;
	query.tenant = "nobody";
	cr_expect_lt(tn_usage(client, &query, &usage, &err), 0);
	cr_expect_eq(err.code, TN_NOT_FOUND);
}
