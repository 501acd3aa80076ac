/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>

/* What is measured, but nobody is billed for: what may be wrong of another, and what of one is
 * told apart. */
static bool is_billed(enum ledger_meter meter)
{
	return meter != METER_MEMORY_ERROR && meter != METER_CPU_ATTRIBUTED;
}

const char *const bill_state_names[] = {
	[BILL_OPEN] = "open",
	[BILL_CLOSING] = "closing",
	[BILL_ENDED] = "ended",
	NULL,
};

static_assert(ARRAY_LEN(bill_state_names) == BILL_STATES_N + 1, "a name for each state");

static int period_named(const struct terms_list *terms, const char *name, int64_t now,
                        struct terms_period *ret, struct tn_error *err)
{
	struct terms_period before;
	int r = terms_period_named(terms, name, ret);

	if (r < 0)
		return err_refuse(err, TN_INVALID,
		                  "period: '%.32s' is no month; expected the one in which it "
		                  "begins, such as 2026-11, or its first day, 2026-11-15",
		                  name);
	if (r == 1 && ret->span.start <= now)
		return 0;
	*ret = terms_period_at(terms, now);
	before = terms_period_at(terms, ret->span.start - 1);
	return err_refuse(err, TN_INVALID, "period: %s %s; expected %s, %s or one before it",
	                  name, r == 1 ? "has not begun" : "is the name of none", ret->name,
	                  before.name);
}

/* What one has used is booked for the last time when it is deleted. */
static enum bill_state state_of(const struct tenant_row *tenant, int64_t end, int64_t now)
{
	if (tenant->status == TENANT_DELETED || now - BILL_CLOSING_USEC >= end)
		return BILL_ENDED;
	return now < end ? BILL_OPEN : BILL_CLOSING;
}

int bill_period_find(const struct tenant_row *tenant, const struct terms_list *terms,
                     const char *name, int64_t now, struct bill_period *ret,
                     struct tn_error *err)
{
	const bool deleted = tenant->status == TENANT_DELETED;
	struct terms_period found;
	struct bill_period period;
	int r = 0;

	if (name == NULL)
		found = terms_period_at(terms, deleted ? tenant->updated_at : now);
	else
		r = period_named(terms, name, now, &found, err);
	if (r < 0)
		return r;
	period = (struct bill_period){ .span = found.span,
		                       .state = state_of(tenant, found.span.end, now) };
	memcpy(period.name, found.name, sizeof(period.name));
	memcpy(period.currency, found.terms->currency, sizeof(period.currency));
	period.booked_until = period.state == BILL_OPEN ? now : period.span.end;
	if (deleted && tenant->updated_at >= period.span.start &&
	    tenant->updated_at < period.span.end)
		period.booked_until = tenant->updated_at;
	*ret = period;
	return 0;
}

bool bill_is_closed(struct store *store, const struct id *tenant, int64_t at, int64_t now)
{
	struct tn_error ignored = { 0 };
	struct terms_list terms;
	int64_t end;

	if (now - at < BILL_CLOSING_USEC)
		return false;
	if (terms_read(store, tenant, &terms, &ignored) < 0)
		return true;
	end = terms_period_at(&terms, at).span.end;
	terms_done(&terms);
	return now - BILL_CLOSING_USEC >= end;
}

struct rows {
	struct rate_row *items;
	size_t n;
	size_t size;
};

static int row_add(struct rows *rows, const char *meter, int64_t at, int64_t quantity,
                   struct tn_error *err)
{
	struct rate_row *row;

	if (rows->n == rows->size) {
		const size_t size = rows->size == 0 ? 256 : 2 * rows->size;
		struct rate_row *items = reallocarray(rows->items, size, sizeof(*items));

		if (items == NULL)
			return err_errno(err, "read the ledger");
		rows->items = items;
		rows->size = size;
	}
	row = &rows->items[rows->n++];
	*row = (struct rate_row){ .at = at, .quantity = quantity };
	(void)snprintf(row->meter, sizeof(row->meter), "%s", meter);
	return 0;
}

/* What the kernel has measured. */
static int hours_read(struct store *store, const struct id *tenant,
                      const struct calendar_span *span, struct rows *rows, struct tn_error *err)
{
	int64_t since = span->start, at;
	struct store_hour hour;
	int r;

	while ((r = store->ops->hour_next(store, tenant, since, span->end, &at, &hour, err)) ==
	       1) {
		for (int meter = 0; r >= 0 && meter < (int)LEDGER_HOUR_N; meter++)
			if (is_billed((enum ledger_meter)meter) && hour.amounts[meter] > 0)
				r = row_add(rows, ledger_meter_name((enum ledger_meter)meter),
				            at, hour.amounts[meter], err);
		if (r < 0)
			return r;
		since = at + 1;
	}
	return r;
}

static int metered_hours_read(struct store *store, const struct id *tenant, const char *meter,
                              const struct calendar_span *span, struct rows *rows,
                              struct tn_error *err)
{
	struct store_range range = { span->start, span->end };
	int64_t at, amount;
	int r;

	while ((r = store->ops->metered_hour_next(store, tenant, meter, &range, &at, &amount,
	                                          err)) == 1) {
		r = row_add(rows, meter, at, amount, err);
		if (r < 0)
			return r;
		range.since = at + 1;
	}
	return r;
}

/* What applications have metered. */
static int metered_read(struct store *store, const struct id *tenant,
                        const struct calendar_span *span, struct rows *rows,
                        struct tn_error *err)
{
	char meter[METER_NAME_BYTES_MAX] = "";
	int r;

	while ((r = store->ops->metered_next(store, tenant, meter, meter, err)) == 1) {
		r = metered_hours_read(store, tenant, meter, span, rows, err);
		if (r < 0)
			return r;
	}
	return r;
}

static const char *day_text(int64_t instant, char text[static 16])
{
	const time_t sec = (time_t)(instant / CLOCK_USEC_PER_SEC);
	struct tm tm;

	if (gmtime_r(&sec, &tm) == NULL || strftime(text, 16, "%Y-%m-%d", &tm) == 0)
		text[0] = '\0';
	return text;
}

static int books_find(const struct policy *policy, struct bill *bill, struct tn_error *err)
{
	const struct calendar_span *span = &bill->period.span;
	const struct policy_book *book;
	char first[16], last[16];

	for (size_t i = 0; (book = policy_book(policy, i)) != NULL; i++)
		if (strcmp(book->currency, bill->currency) == 0 &&
		    book->valid_from < span->end && book->valid_until > span->start)
			bill->books[bill->books_n++] = book;
	if (bill->books_n == 0)
		return err_refuse(err, TN_STATE,
		                  "no price book for %s holds between %s and %s; put one into "
		                  "/etc/tenantd/prices, see tenantd-prices(5)",
		                  bill->currency, day_text(span->start, first),
		                  day_text(span->end, last));
	return 0;
}

int bill_make(struct store *store, const struct policy *policy, const struct tenant_row *tenant,
              const struct bill_period *period, struct bill *ret, struct tn_error *err)
{
	struct bill bill = { .period = *period,
		             .exponent = policy_currency_exponent(period->currency) };
	struct rows rows = { 0 };
	struct rate_question question = { .start = period->span.start,
		                          .end = period->span.end,
		                          .books = bill.books };
	int r;

	memcpy(bill.currency, period->currency, sizeof(bill.currency));
	r = books_find(policy, &bill, err);
	if (r == 0)
		r = hours_read(store, &tenant->id, &period->span, &rows, err);
	if (r == 0)
		r = metered_read(store, &tenant->id, &period->span, &rows, err);
	if (r == 0) {
		question.books_n = bill.books_n;
		question.rows = rows.items;
		question.rows_n = rows.n;
		r = rate(&question, &bill.lines, err);
	}
	free(rows.items);
	if (r < 0)
		return err_wrap(err, r, "bill of '%s'", tenant->name);
	*ret = bill;
	return 0;
}

void bill_done(struct bill *bill)
{
	rate_lines_done(&bill->lines);
	*bill = (struct bill){ 0 };
}
