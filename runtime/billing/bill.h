/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bill of one tenant for one billing period: its rows of the ledger, rated with the books
 * of its currency. From what is stored alone, so that it is the same every time it is asked
 * for.
 */
#ifndef RUNTIME_BILLING_BILL_H
#define RUNTIME_BILLING_BILL_H

#include <base/clock.h>
#include <policy/policy.h>

#include "../calendar.h"
#include "../store/store.h"
#include "rate.h"
#include "terms.h"

enum bill_state {
	BILL_OPEN,    /* the period goes on */
	BILL_CLOSING, /* it has ended, but what is told late may still be booked in it */
	BILL_ENDED,   /* nothing is ever booked in it again */
	BILL_STATES_N,
};

/* By enum bill_state, NULL-ended: as the protocol writes them. */
extern const char *const bill_state_names[];

/* So long after the end of a period is it closed. */
#define BILL_CLOSING_USEC ((int64_t)3600 * CLOCK_USEC_PER_SEC)

/* A billing period of a tenant, and the terms that it is billed by. */
struct bill_period {
	char name[CALENDAR_DATE_BYTES_MAX];
	struct calendar_span span;
	char currency[STORE_CURRENCY_BYTES];
	enum bill_state state;
	/* What has been used by then is in it: its end, unless it is open or the tenant has
	 * been deleted in it; while it is closing, but for what is told late. */
	int64_t booked_until;
};

struct bill {
	struct bill_period period;
	char currency[STORE_CURRENCY_BYTES];
	int exponent;                                      /* places of its minor unit */
	const struct policy_book *books[POLICY_BOOKS_MAX]; /* that hold in it, by name */
	size_t books_n;
	struct rate_lines lines;
};

/* The period of @tenant that is called @name, see terms.h, as of @now; NULL: that of @now, or
 * the last of one that has been deleted. @terms are the tenant's. TN_INVALID if there is none
 * of that name, or it has not begun. */
int bill_period_find(const struct tenant_row *tenant, const struct terms_list *terms,
                     const char *name, int64_t now, struct bill_period *ret,
                     struct tn_error *err);

/* Whether what @tenant used at @at can no longer be booked then, at @now, since the bill that
 * it would be in is closed. Where the store does not say it is, as no closed bill may change.
 */
bool bill_is_closed(struct store *store, const struct id *tenant, int64_t at, int64_t now);

/*
 * The bill for @period. *ret is for bill_done(), and points into @policy. TN_STATE if no book
 * of the tenant's currency holds at any time in it; TN_SYSTEM (EOVERFLOW) as rate() has it.
 */
int bill_make(struct store *store, const struct policy *policy, const struct tenant_row *tenant,
              const struct bill_period *period, struct bill *ret, struct tn_error *err);

/* Accepts a zeroed one. */
void bill_done(struct bill *bill);

#endif
