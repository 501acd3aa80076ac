/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose turn it is: launches that wait for one of their tenant's executions_max.
 *
 * The kernel decides whether there is room, by letting tenantd make a cgroup or not. What
 * is kept here is the order: one queue per tenant, in the order of arrival. Its head is
 * launched when one of the tenant's executions has left, and is again the head if the
 * kernel refuses it. While somebody waits, a launch that would not wait is refused and does
 * not overtake. Our own count of what runs only keeps launches from asking in vain.
 *
 * Each that waits holds descriptors, so all that wait are bounded, together and per tenant.
 */
#ifndef RUNTIME_ADMISSION_H
#define RUNTIME_ADMISSION_H

#include <stdbool.h>

#include "loop.h"
#include "tenants.h"

#define ADMISSION_TENANT_MAX 128 /* waiting for one tenant */
#define ADMISSION_MAX        512 /* for all; fewer where RLIMIT_NOFILE is low */

#define ADMISSION_WHY_BYTES_MAX 384

/* What stands in the way of every launch. */
enum admission_bar {
	ADMISSION_DRAINED,
	ADMISSION_STORE, /* what runs could not be booked */
	ADMISSION_BARS_N,
};

struct admission;
struct admission_request;

struct admission_client {
	/* Ask tenantd. A failure is the request's end: it is told by the call that launches
	 * it or else by ended(). */
	int (*launch)(struct admission_request *request, struct tn_error *err);
	/* It has begun to wait, behind @before others. Called once at most. */
	void (*queued)(struct admission_request *request, size_t before);
	/* It will not be launched any more. */
	void (*ended)(struct admission_request *request, const struct tn_error *why);
};

/* Embedded by whoever launches, zeroed but for the first part. */
struct admission_request {
	struct tenant *tenant;
	const struct admission_client *client;
	int64_t wait_usec_max; /* 0: it does not wait */

	uint64_t turn;
	int64_t since; /* CLOCK_MONOTONIC; 0: it has not had to wait */
	bool waits;
	struct admission_request *next;
};

int admission_new(struct admission **ret, struct loop *loop, struct tenants *tenants,
                  struct tn_error *err);
/* Tells nobody. Accepts NULL. Always returns NULL. */
struct admission *admission_free(struct admission *admission);

/* Launch @request (borrowed) or let it wait. It is the caller's to tell of a failure. */
int admission_enter(struct admission *admission, struct admission_request *request,
                    struct tn_error *err);

/* The kernel had no room for it. 0: it waits; else what to tell is in *err. */
int admission_refused(struct admission *admission, struct admission_request *request,
                      struct tn_error *err);

/* It is given up. Nothing if it does not wait. */
void admission_leave(struct admission *admission, struct admission_request *request);

/* An execution of @tenant has ended, or was not launched; @room: it had a cgroup. */
void admission_on_left(struct admission *admission, struct tenant *tenant, bool room);

/* The tenant's limits or status are others: launch whom they let, and tell who need not
 * wait any more. With NULL all tenants'. */
void admission_reconsider(struct admission *admission, struct tenant *tenant);

/* Closed, it launches nothing: who waits and who comes is refused because of @why. It is open
 * again when each bar has been lifted with NULL. */
void admission_close(struct admission *admission, enum admission_bar bar, const char *why);

/* How many wait for @tenant, or all if it is NULL. */
size_t admission_count(const struct admission *admission, const struct tenant *tenant);

#endif
