/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bill of one tenant for one billing period: its rows of the ledger, rated with the books
 * of its currency. From what is stored alone, so that it is the same every time it is asked
 * for.
 */
#ifndef RUNTIME_BILLING_BILL_H
#define RUNTIME_BILLING_BILL_H

#include <policy/policy.h>

#include "../calendar.h"
#include "../store/store.h"
#include "rate.h"

/* A billing period of a tenant. */
struct bill_period {
	int64_t month; /* as calendar.h counts them */
	struct calendar_span span;
	bool open; /* more may be booked */
	/* What has been used by then is in it: its end, unless it is open or the tenant has
	 * been deleted in it. */
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

/* The period of @tenant that is called @name, "2026-11", as of @now; NULL: that of @now, or the
 * last of one that has been deleted. TN_INVALID if there is none of that name, or it has not
 * begun. */
int bill_period_find(const struct tenant_row *tenant, const char *name, int64_t now,
                     struct bill_period *ret, struct tn_error *err);

/*
 * The bill for @period. *ret is for bill_done(), and points into @policy. TN_STATE if no book
 * of the tenant's currency holds at any time in it; TN_SYSTEM (EOVERFLOW) as rate() has it.
 */
int bill_make(struct store *store, const struct policy *policy, const struct tenant_row *tenant,
              const struct bill_period *period, struct bill *ret, struct tn_error *err);

/* Accepts a zeroed one. */
void bill_done(struct bill *bill);

#endif
