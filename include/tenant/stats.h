/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * What tenants and executions use while they run. Conventions as in client.h.
 *
 * The daemon gives counters, as the kernel's cgroups have them, and remembers nothing: rates
 * are made of two looks, by tn_stats_rates(). The second may be another daemon's.
 */
#ifndef TENANT_STATS_H
#define TENANT_STATS_H

#include <tenant/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One look at a tenant as a whole, or at one of its executions; TN_ABSENT where the kernel
 * gives no such figure. */
struct tn_stats {
	void *owner; /**< what the texts lie in; release it with tn_stats_done() */
	const char *tenant;
	const char *execution; /**< its UUID; NULL: the tenant as a whole */
	const char *name;      /**< the execution's, or NULL */
	int64_t at_usec;       /**< CLOCK_BOOTTIME of the host when it was read */
	int64_t cgroup_id;     /**< TN_ABSENT: it has none, and no figure */
	int64_t cpu_usec;
	int64_t cpu_periods;           /**< of its CPU quota, in which it ran */
	int64_t cpu_periods_throttled; /**< in which of them it had to wait */
	int64_t memory_bytes;          /**< now */
	int64_t memory_max_bytes;      /**< or TN_ABSENT: no limit of its own */
	int64_t tasks;                 /**< processes and threads, now */
	int64_t tasks_max;             /**< or TN_ABSENT: no limit of its own */
	int64_t io_read_bytes;
	int64_t io_write_bytes;
	int64_t stall_cpu_usec; /**< that some of it waited for the CPU */
	int64_t stall_memory_usec;
	int64_t stall_io_usec;
};

/** Between two looks; each TN_ABSENT if it cannot be told, and never negative. */
struct tn_stats_rates {
	int64_t interval_usec;
	int64_t cpu_permille;       /**< of one CPU: 2000 is all of two */
	int64_t throttled_permille; /**< of the periods of its quota, 0 to 1000 */
	int64_t io_read_bytes_per_sec;
	int64_t io_write_bytes_per_sec;
	int64_t pressure_cpu_permille; /**< of the time, 0 to 1000 */
	int64_t pressure_memory_permille;
	int64_t pressure_io_permille;
};

TN_API const struct tn_field *tn_stats_fields(void);
TN_API const struct tn_field *tn_stats_rates_fields(void);
TN_API void tn_stats_done(struct tn_stats *stats);

/**
 * Called with each; return 0 to go on, anything else to end. It must not use the client.
 */
typedef int tn_stats_fn(const struct tn_stats *stats, void *userdata);

/**
 * Look once: at each tenant for which something runs and then at each of its executions, in the
 * order in which they began; tenants by name.
 *
 * @tenant  That one alone, also if nothing of it runs; NULL: all.
 *
 * TN_NOT_FOUND if there is no such tenant, TN_STATE if it is deleted.
 */
TN_API int tn_stats(struct tn_client *client, const char *tenant, tn_stats_fn *each,
                    void *userdata, struct tn_error *err);
TN_API int tn_stats_start(struct tn_client *client, const char *tenant, tn_stats_fn *each,
                          void *userdata, struct tn_error *err);

/**
 * What was between two looks.
 *
 * @before  NULL, or one of another cgroup or not before @now: all is TN_ABSENT.
 */
TN_API void tn_stats_rates(const struct tn_stats *before, const struct tn_stats *now,
                           struct tn_stats_rates *ret);

#ifdef __cplusplus
}
#endif

#endif
