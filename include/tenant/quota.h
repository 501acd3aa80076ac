/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * Meters of applications, and quotas. Conventions as in client.h.
 *
 * To ask whether an amount fits and to take it is one call, so that no two callers get the same
 * remainder: TN_QUOTA if it does not fit, and then tn_client_quota_error() says what there is.
 * An amount is 1 to 2^63 - 1, in the meter's base unit. Of a counter an amount is consumed; of
 * a gauge it is acquired and given back. What the kernel measures can be looked at only.
 *
 * When a call has succeeded, what it did survives the death of any of the daemon's processes. A
 * loss of power can take the last commit_window of tenantd.yaml(5), always in the tenant's
 * favour, unless the call was durable.
 *
 * TENANT is NULL with a client of tn_client_open_self(), which speaks for the workload that it
 * is in, and for nobody else. What that acquires comes back with its execution's end, which is
 * not named either, and nothing that it asks for is durable before it is answered.
 *
 * TN_UNREACHABLE leaves it open whether a call was done. With a key it may be made again:
 * within 24 hours the first answer is given again. The same key for something else is
 * TN_CONFLICT. A refusal is not kept.
 */
#ifndef TENANT_QUOTA_H
#define TENANT_QUOTA_H

#include <tenant/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What may be said further; zero is nothing. NULL is the same. */
struct tn_quota_options {
	const char *key; /**< 1 to 128 bytes; NULL: none */
	bool durable;    /**< wait until a loss of power cannot undo it */
	const char *
		execution; /**< acquire, give_back: a UUID; it ends with that. NULL: nobody's */
	int64_t expires_usec; /**< reserve: 7 days at most; 0: one minute */
	bool lease;           /**< reserve: used, not given back, if it expires */
};

/** What there is, with what was done. */
struct tn_quota_answer {
	int64_t limit;        /**< TN_ABSENT: there is none */
	int64_t used;         /**< in the period, or held */
	int64_t reserved;     /**< by all reservations */
	int64_t reset_at;     /**< microseconds since 1970; TN_ABSENT: there is no period */
	bool repeated;        /**< it was done before, under its key */
	char reservation[37]; /**< a UUID, if it is about one; else "" */
};

/** Whether @amount would fit now. By the time it is asked for it may not. */
TN_API int tn_quota_check(struct tn_client *client, const char *tenant, const char *meter,
                          int64_t amount, struct tn_quota_answer *ret, struct tn_error *err);
TN_API int tn_quota_check_start(struct tn_client *client, const char *tenant, const char *meter,
                                int64_t amount, struct tn_quota_answer *ret,
                                struct tn_error *err);

/** @amount of a counter. */
TN_API int tn_quota_consume(struct tn_client *client, const char *tenant, const char *meter,
                            int64_t amount, const struct tn_quota_options *options,
                            struct tn_quota_answer *ret, struct tn_error *err);
TN_API int tn_quota_consume_start(struct tn_client *client, const char *tenant,
                                  const char *meter, int64_t amount,
                                  const struct tn_quota_options *options,
                                  struct tn_quota_answer *ret, struct tn_error *err);

/** @amount of a gauge; it comes back with @options->execution's end. */
TN_API int tn_quota_acquire(struct tn_client *client, const char *tenant, const char *meter,
                            int64_t amount, const struct tn_quota_options *options,
                            struct tn_quota_answer *ret, struct tn_error *err);
TN_API int tn_quota_acquire_start(struct tn_client *client, const char *tenant,
                                  const char *meter, int64_t amount,
                                  const struct tn_quota_options *options,
                                  struct tn_quota_answer *ret, struct tn_error *err);

/** The opposite. TN_STATE if less is held. */
TN_API int tn_quota_give_back(struct tn_client *client, const char *tenant, const char *meter,
                              int64_t amount, const struct tn_quota_options *options,
                              struct tn_quota_answer *ret, struct tn_error *err);
TN_API int tn_quota_give_back_start(struct tn_client *client, const char *tenant,
                                    const char *meter, int64_t amount,
                                    const struct tn_quota_options *options,
                                    struct tn_quota_answer *ret, struct tn_error *err);

/** Keep @amount free for ret->reservation, until that is committed or released, or expires. */
TN_API int tn_quota_reserve(struct tn_client *client, const char *tenant, const char *meter,
                            int64_t amount, const struct tn_quota_options *options,
                            struct tn_quota_answer *ret, struct tn_error *err);
TN_API int tn_quota_reserve_start(struct tn_client *client, const char *tenant,
                                  const char *meter, int64_t amount,
                                  const struct tn_quota_options *options,
                                  struct tn_quota_answer *ret, struct tn_error *err);

/** Use @amount of a reservation, all of it for 0, and give the rest back. TN_NOT_FOUND if it
 * has expired, or there was none. */
TN_API int tn_quota_commit(struct tn_client *client, const char *tenant,
                           const char *reservation, int64_t amount,
                           const struct tn_quota_options *options, struct tn_quota_answer *ret,
                           struct tn_error *err);
TN_API int tn_quota_commit_start(struct tn_client *client, const char *tenant,
                                 const char *reservation, int64_t amount,
                                 const struct tn_quota_options *options,
                                 struct tn_quota_answer *ret, struct tn_error *err);

/** Give all of a reservation back. */
TN_API int tn_quota_release(struct tn_client *client, const char *tenant,
                            const char *reservation, const struct tn_quota_options *options,
                            struct tn_quota_answer *ret, struct tn_error *err);
TN_API int tn_quota_release_start(struct tn_client *client, const char *tenant,
                                  const char *reservation,
                                  const struct tn_quota_options *options,
                                  struct tn_quota_answer *ret, struct tn_error *err);

/** One quota of a tenant, or a meter of which something is used without one; and, with enforce
 * "kernel", what the kernel holds at any time. */
struct tn_quota {
	void *owner; /**< what the texts lie in; release it with tn_quota_done() */
	const char *meter;
	const char *unit;
	const char *kind; /**< "counter" or "gauge" */
	int64_t limit;    /**< or TN_ABSENT */
	int64_t used;     /**< or TN_ABSENT: it is not known */
	int64_t reserved;
	int64_t percent;      /**< whole; TN_ABSENT of no limit, and of 0 */
	const char *per;      /**< "hour", "day", "week" or "month"; NULL: at any time */
	int64_t period_start; /**< or TN_ABSENT */
	int64_t reset_at;     /**< or TN_ABSENT */
	const char *enforce;  /**< "hard", "soft" or "kernel"; NULL: there is no quota */
	/** What becomes of what runs when a hard one on what the kernel measures is used up:
	 * "refuse" (it goes on), "throttle", "freeze" or "kill"; else NULL. */
	const char *on_exhaust;
};

/** Of all of them, which are as of one instant. */
struct tn_quota_summary {
	void *owner; /**< what the texts lie in; release it with tn_quota_summary_done() */
	const char *tenant;
	const char *tier;
	const char *policy_hash;
	int64_t snapshot_at;
};

TN_API const struct tn_field *tn_quota_fields(void);
TN_API const struct tn_field *tn_quota_summary_fields(void);
TN_API void tn_quota_done(struct tn_quota *quota);
TN_API void tn_quota_summary_done(struct tn_quota_summary *quota_summary);

/** Called with each; return 0 to go on, anything else to end. It must not use the client. */
typedef int tn_quota_fn(const struct tn_quota *quota, void *userdata);

/** All of them, as of one instant. Release *@ret with tn_quota_summary_done(). */
TN_API int tn_quota_summary(struct tn_client *client, const char *tenant,
                            struct tn_quota_summary *ret, tn_quota_fn *each, void *userdata,
                            struct tn_error *err);
TN_API int tn_quota_summary_start(struct tn_client *client, const char *tenant,
                                  struct tn_quota_summary *ret, tn_quota_fn *each,
                                  void *userdata, struct tn_error *err);

/**
 * Give the tenant a limit of its own, written as in a tier file: "5000000", "100h", "max".
 * NULL: its tier's again. For administrators; release *@ret with tn_tenant_done().
 */
TN_API int tn_quota_set(struct tn_client *client, const char *tenant, const char *meter,
                        const char *limit, struct tn_tenant *ret, struct tn_error *err);
TN_API int tn_quota_set_start(struct tn_client *client, const char *tenant, const char *meter,
                              const char *limit, struct tn_tenant *ret, struct tn_error *err);

#ifdef __cplusplus
}
#endif

#endif
