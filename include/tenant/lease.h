/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * Leases: a counter that is consumed by the million. Conventions as in client.h.
 *
 * A lease takes a block of a quota from tenantd, and what is consumed of it is one atomic
 * operation in this process, from any of its threads. So no more than the limit is ever
 * consumed: a block that has been taken counts as reserved for everybody else. It is given back
 * as far as it was not consumed when the lease is closed, and each time when nothing of it has
 * been consumed for a while. Of a process that dies, what it held counts as used once the term
 * of its blocks has ended.
 *
 * Somebody has to see to the next block: whoever polls tn_lease_fd() and calls tn_lease_tend()
 * (ahead of time, while others consume), or tn_lease_take(), which does so itself. The client
 * is the lease's from its opening until its closing: it is not used for anything else
 * meanwhile, and by one thread at a time, as all of it is but tn_lease_consume().
 */
#ifndef TENANT_LEASE_H
#define TENANT_LEASE_H

#include <tenant/quota.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tn_lease;

/** Of one amount. */
#define TN_LEASE_AMOUNT_MAX (INT64_C(1) << 53)

/** Zero is nothing. NULL is the same. */
struct tn_lease_options {
	/** How much is taken at a time, up to TN_LEASE_AMOUNT_MAX; 0: 1000. Where less is left,
	 * less is taken. */
	int64_t block;
	/** How long a block is held at most, in microseconds, from one second to an hour; 0: 10
	 * seconds. So late is what a dead process held counted as used, and so long may tenantd
	 * be away until what is unused of a block cannot be given back any more. */
	int64_t term_usec;
};

/**
 * Take a first block of the counter @meter.
 *
 * @ret  Receives the lease, for tn_lease_close().
 *
 * TN_QUOTA if nothing is left, and then tn_client_quota_error() says so.
 */
TN_API int tn_lease_open(struct tn_client *client, const char *tenant, const char *meter,
                         const struct tn_lease_options *options, struct tn_lease **ret,
                         struct tn_error *err);

/**
 * Consume @amount, 1 to TN_LEASE_AMOUNT_MAX, of what there is: lock-free, from any thread.
 *
 * 0, or -EAGAIN: so much is not here now, and nothing was taken; tn_lease_fd() becomes readable
 * for it. -EDQUOT: tenantd had not so much, either, when it was asked last, which is tried
 * again after a while. -EINVAL: that is no such amount.
 */
TN_API int tn_lease_consume(struct tn_lease *lease, int64_t amount);

/** The same, and wait for the next block where it takes one. TN_QUOTA if there is none. */
TN_API int tn_lease_take(struct tn_lease *lease, int64_t amount, struct tn_error *err);

/** Readable when tn_lease_tend() has something to do; borrowed. */
TN_API int tn_lease_fd(const struct tn_lease *lease);

/** See to the blocks; it does not wait. What it could not do it tries again, so that an error
 * need not be more than told. */
TN_API int tn_lease_tend(struct tn_lease *lease, struct tn_error *err);

/** What is there without asking tenantd. */
TN_API int64_t tn_lease_left(const struct tn_lease *lease);

/**
 * Give back what is left, wait for the answer, and free the lease, in any case; nobody consumes
 * any more by then. Accepts NULL. On failure what was held counts as used once its term has
 * ended.
 */
TN_API int tn_lease_close(struct tn_lease *lease, struct tn_error *err);

#ifdef __cplusplus
}
#endif
#endif
