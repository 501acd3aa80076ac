/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The calls of <tenant/stats.h>, as calls.c has those of client.h, and what two looks say. */
#include <tenant/stats.h>

#include "client.h"
#include "record.h"

#define PERMILLE     1000
#define USEC_PER_SEC 1000000

static int on_stats_of_list(struct call *call, json_t *parameters, struct tn_error *err)
{
	json_t *json = client_member(parameters, "stats");
	struct tn_stats stats = { 0 };
	int r;

	if (json == NULL)
		return 0;
	r = record_read(tn_stats_fields(), json, &stats, sizeof(stats), err);
	if (r < 0)
		return r;
	r = call->each_stats(&stats, call->userdata) != 0;
	tn_stats_done(&stats);
	return r;
}

int tn_stats_start(struct tn_client *client, const char *tenant, tn_stats_fn *each,
                   void *userdata, struct tn_error *err)
{
	const struct call call = {
		.on_reply = on_stats_of_list,
		.each_stats = each,
		.userdata = userdata,
	};
	int r = tenant == NULL ? 0 : check_tenant(tenant, err);

	if (r < 0)
		return r;
	return client_start(client, "GetStats", json_pack("{s:s?}", "tenant", tenant),
	                    CONNECTION_MORE, &call, err);
}

int tn_stats(struct tn_client *client, const char *tenant, tn_stats_fn *each, void *userdata,
             struct tn_error *err)
{
	return client_finish(client, tn_stats_start(client, tenant, each, userdata, err), err);
}

/* @scale * (@now - @before) / @by; TN_ABSENT if there is no such number. */
static int64_t rate(int64_t before, int64_t now, int64_t by, int64_t scale)
{
	int64_t whole, rest, sum;

	/* What counts back is not the same any more. */
	if (before == TN_ABSENT || now == TN_ABSENT || now < before || by <= 0)
		return TN_ABSENT;
	whole = (now - before) / by;
	rest = (now - before) % by;
	while (rest > INT64_MAX / scale) {
		rest /= 2;
		by /= 2;
	}
	if (__builtin_mul_overflow(whole, scale, &sum) ||
	    __builtin_add_overflow(sum, rest * scale / by, &sum))
		return INT64_MAX;
	return sum;
}

/* Of a whole: its parts are read a moment before or after it. */
static int64_t share(int64_t before, int64_t now, int64_t of)
{
	const int64_t permille = rate(before, now, of, PERMILLE);

	return permille > PERMILLE ? PERMILLE : permille;
}

/* Of the periods that there were; where there were none, in none. */
static int64_t throttled(const struct tn_stats *before, const struct tn_stats *now)
{
	if (before->cpu_periods == TN_ABSENT || now->cpu_periods < before->cpu_periods)
		return TN_ABSENT;
	if (now->cpu_periods == before->cpu_periods)
		return 0;
	return share(before->cpu_periods_throttled, now->cpu_periods_throttled,
	             now->cpu_periods - before->cpu_periods);
}

void tn_stats_rates(const struct tn_stats *before, const struct tn_stats *now,
                    struct tn_stats_rates *ret)
{
	int64_t usec;

	*ret = (struct tn_stats_rates){ TN_ABSENT, TN_ABSENT, TN_ABSENT, TN_ABSENT,
		                        TN_ABSENT, TN_ABSENT, TN_ABSENT, TN_ABSENT };
	if (before == NULL || before->cgroup_id == TN_ABSENT ||
	    before->cgroup_id != now->cgroup_id || before->at_usec < 0 ||
	    now->at_usec <= before->at_usec)
		return;
	usec = now->at_usec - before->at_usec;
	ret->interval_usec = usec;
	ret->cpu_permille = rate(before->cpu_usec, now->cpu_usec, usec, PERMILLE);
	ret->throttled_permille = throttled(before, now);
	ret->io_read_bytes_per_sec = rate(before->io_read_bytes, now->io_read_bytes, usec,
	                                  USEC_PER_SEC);
	ret->io_write_bytes_per_sec = rate(before->io_write_bytes, now->io_write_bytes, usec,
	                                   USEC_PER_SEC);
	ret->pressure_cpu_permille = share(before->stall_cpu_usec, now->stall_cpu_usec, usec);
	ret->pressure_memory_permille = share(before->stall_memory_usec, now->stall_memory_usec,
	                                      usec);
	ret->pressure_io_permille = share(before->stall_io_usec, now->stall_io_usec, usec);
}
