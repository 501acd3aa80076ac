/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two looks, and what is between them. */
#include <tenant/stats.h>

#include "daemon.h"

TestSuite(stats, .init = set_up, .fini = tear_down, .timeout = 60);

struct seen {
	struct tn_stats stats[4];
	bool whole[4];
	size_t n;
	int end;
};

static int on_stats(const struct tn_stats *stats, void *userdata)
{
	struct seen *seen = userdata;

	cr_assert_lt(seen->n, ARRAY_LEN(seen->stats));
	cr_expect_str_eq(stats->tenant, "acme");
	seen->whole[seen->n] = stats->execution == NULL;
	seen->stats[seen->n++] = *stats;
	return seen->end;
}

Test(stats, are_looked_at_as_often_as_one_likes)
{
	struct seen seen[2] = { { .n = 0 } };
	struct tn_stats_rates rates;

	for (size_t i = 0; i < ARRAY_LEN(seen); i++)
		cr_assert_eq(tn_stats(client, NULL, on_stats, &seen[i], &err), 0, "%s",
		             err.msg);
	cr_assert_eq(seen[0].n, 2u);
	cr_assert_eq(seen[1].n, 3u);
	cr_expect(seen[1].whole[0] && !seen[1].whole[1] && !seen[1].whole[2]);
	cr_expect_eq(seen[0].stats[0].memory_max_bytes, INT64_C(64) << 20);
	cr_expect_eq(seen[0].stats[0].tasks_max, TN_ABSENT);
	tn_stats_rates(&seen[0].stats[0], &seen[1].stats[0], &rates);
	cr_expect_eq(rates.interval_usec, 1000000);
	cr_expect_eq(rates.cpu_permille, 500);
	cr_expect_eq(rates.throttled_permille, 400);
	cr_expect_eq(rates.io_read_bytes_per_sec, 1024);
	cr_expect_eq(rates.io_write_bytes_per_sec, TN_ABSENT);
	cr_expect_eq(rates.pressure_cpu_permille, 12);
	cr_expect_eq(rates.pressure_memory_permille, 0);
	cr_expect_eq(rates.pressure_io_permille, TN_ABSENT);
}

Test(stats, end_when_no_more_are_wanted)
{
	struct seen seen = { .end = 1 };

	cr_assert_eq(tn_stats(client, "acme", on_stats, &seen, &err), 0, "%s", err.msg);
	cr_expect_eq(seen.n, 1u);
	seen.end = 0;
	cr_expect_eq(tn_stats(client, "nobody", on_stats, &seen, &err), -ENOENT);
	cr_expect_eq(tn_stats(client, "../x", on_stats, &seen, &err), -EINVAL);
	cr_expect_eq(seen.n, 1u);
}

/* The daemon is another one at the second look, and the counters are the kernel's. */
Test(stats, outlast_a_restart_of_the_daemon)
{
	struct seen seen = { .n = 0 };

	cr_assert_eq(tn_stats(client, NULL, on_stats, &seen, &err), 0);
	daemon_stop();
	cr_expect_lt(tn_stats(client, NULL, on_stats, &seen, &err), 0);
	cr_expect_eq(err.code, TN_UNREACHABLE);
	daemon_start();
	cr_expect_eq(tn_stats(client, NULL, on_stats, &seen, &err), 0, "%s", err.msg);
	cr_expect_eq(seen.n, 4u);
}

static void expect_absent(const struct tn_stats *before, const struct tn_stats *now)
{
	struct tn_stats_rates rates;

	tn_stats_rates(before, now, &rates);
	for (const struct tn_field *field = tn_stats_rates_fields(); field->name != NULL;
	     field++)
		cr_expect_eq(
			*(const int64_t *)(const void *)((const char *)&rates + field->offset),
			TN_ABSENT, "%s", field->name);
}

Test(stats, of_what_is_not_the_same_any_more_have_no_rate)
{
	const struct tn_stats before = { .tenant = "acme", .at_usec = 1000, .cgroup_id = 7 };
	struct tn_stats now = before;

	now.at_usec = 2000;
	expect_absent(NULL, &now);
	now.cgroup_id = 8;
	expect_absent(&before, &now);
	now.cgroup_id = TN_ABSENT;
	expect_absent(&now, &now);
	now.cgroup_id = 7;
	now.at_usec = 1000;
	expect_absent(&before, &now);
	now.at_usec = 999;
	expect_absent(&before, &now);
}

Test(stats, are_never_negative_and_never_run_over)
{
	struct tn_stats before = { .at_usec = 0,
		                   .cgroup_id = 7,
		                   .cpu_usec = 10,
		                   .cpu_periods = 10,
		                   .cpu_periods_throttled = 3,
		                   .stall_cpu_usec = 5 };
	struct tn_stats now = before;
	struct tn_stats_rates rates;

	now.at_usec = 1000;
	now.cpu_usec = 9;
	now.cpu_periods_throttled = 2;
	now.stall_cpu_usec = 2005;
	now.io_read_bytes = INT64_MAX;
	tn_stats_rates(&before, &now, &rates);
	cr_expect_eq(rates.cpu_permille, TN_ABSENT, "it counts back");
	cr_expect_eq(rates.throttled_permille, 0, "there was no period");
	cr_expect_eq(rates.pressure_cpu_permille, 1000, "no more than all of the time");
	cr_expect_eq(rates.io_read_bytes_per_sec, INT64_MAX);
	cr_expect_eq(rates.io_write_bytes_per_sec, 0);

	/* Many a year in between. */
	now.at_usec = INT64_MAX;
	now.cpu_usec = INT64_MAX;
	now.cpu_periods = 20;
	now.cpu_periods_throttled = 8;
	tn_stats_rates(&before, &now, &rates);
	cr_expect_eq(rates.interval_usec, INT64_MAX);
	cr_expect_geq(rates.cpu_permille, 999);
	cr_expect_leq(rates.cpu_permille, 1000);
	cr_expect_eq(rates.throttled_permille, 500);
	cr_expect_eq(rates.io_read_bytes_per_sec, 1000000);
	now.cpu_periods = 9;
	tn_stats_rates(&before, &now, &rates);
	cr_expect_eq(rates.throttled_permille, TN_ABSENT);
}
