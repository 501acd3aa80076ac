/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "terms.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <policy/dates.h>

#define DAY_USEC ((int64_t)24 * 3600 * CLOCK_USEC_PER_SEC)
#define USEC_MIN (TERMS_DAYS_MIN * DAY_USEC)
/* No zone is further from UTC. */
#define ZONE_REACH (2 * DAY_USEC)

int terms_read(struct store *store, const struct id *tenant, struct terms_list *ret,
               struct tn_error *err)
{
	struct terms_list list = { 0 };
	struct store_terms terms;
	int64_t from = 0;
	int r;

	while ((r = store->ops->terms_next(store, tenant, from, &terms, err)) > 0) {
		struct store_terms *items = reallocarray(list.items, list.n + 1,
		                                         sizeof(*items));

		if (items == NULL) {
			r = err_errno(err, "read the terms of a tenant");
			break;
		}
		list.items = items;
		list.items[list.n++] = terms;
		from = terms.since + 1;
	}
	if (r == 0 && list.n == 0)
		r = err_set(err, TN_SYSTEM, EBADMSG, "the store has no terms of a tenant");
	if (r < 0) {
		terms_done(&list);
		return r;
	}
	*ret = list;
	return 0;
}

void terms_done(struct terms_list *list)
{
	free(list->items);
	*list = (struct terms_list){ 0 };
}

/* A period as its terms alone have it. */
struct stretch {
	struct calendar_span span;
	const struct store_terms *terms;
	int64_t month;
	bool anchored; /* there is an anchor in it, that of the month */
};

static struct stretch stretch_at(const struct terms_list *list, int64_t instant)
{
	size_t i = list->n - 1;
	struct stretch stretch;
	struct calendar calendar;
	int64_t begin;

	assert(list->items != NULL && list->n > 0);
	while (i > 0 && list->items[i].since > instant)
		i--;
	stretch.terms = &list->items[i];
	begin = i > 0 ? stretch.terms->since : INT64_MIN + USEC_MIN;
	calendar = (struct calendar){ stretch.terms->time_zone,
		                      (int)stretch.terms->anchor_day };
	stretch.month = calendar_month_at(&calendar, instant);
	stretch.span = calendar_month_span(&calendar, stretch.month);
	/* An anchor that is too near to the beginning ends nothing. */
	if (stretch.span.end - USEC_MIN < begin)
		stretch.span = calendar_month_span(&calendar, ++stretch.month);
	stretch.anchored = stretch.span.start >= begin;
	if (stretch.span.start - USEC_MIN < begin)
		stretch.span.start = begin;
	if (i + 1 < list->n && list->items[i + 1].since < stretch.span.end)
		stretch.span.end = list->items[i + 1].since;
	return stretch;
}

static bool has_month_of_its_own(const struct terms_list *list, const struct stretch *stretch)
{
	struct stretch before;

	if (!stretch->anchored)
		return false;
	before = stretch_at(list, stretch->span.start - 1);
	return !before.anchored || before.month != stretch->month;
}

struct terms_period terms_period_at(const struct terms_list *list, int64_t instant)
{
	const struct stretch stretch = stretch_at(list, instant);
	const struct calendar calendar = { stretch.terms->time_zone,
		                           (int)stretch.terms->anchor_day };
	struct terms_period period = { .span = stretch.span, .terms = stretch.terms };

	calendar_date_format(&calendar, stretch.span.start, period.first_date);
	if (has_month_of_its_own(list, &stretch))
		calendar_month_format(stretch.month, period.name);
	else
		memcpy(period.name, period.first_date, sizeof(period.name));
	return period;
}

/* Where the periods begin that a name may be of. */
static int name_parse(const char *name, struct calendar_span *ret)
{
	const struct calendar utc = { "UTC", 1 };
	struct calendar_span span;
	int64_t day, month;

	if (dates_parse(name, &day) == 0)
		span = (struct calendar_span){ day, day + DAY_USEC };
	else if (calendar_month_parse(name, &month) == 0)
		span = calendar_month_span(&utc, month);
	else
		return -EINVAL;
	/* One may begin before the anchor that it has its name of. */
	*ret = (struct calendar_span){ span.start - ZONE_REACH - USEC_MIN,
		                       span.end + ZONE_REACH };
	return 0;
}

int terms_period_named(const struct terms_list *list, const char *name,
                       struct terms_period *ret)
{
	struct calendar_span within;
	struct terms_period period;

	if (name_parse(name, &within) < 0)
		return -EINVAL;
	for (int64_t at = within.start; at < within.end; at = period.span.end) {
		period = terms_period_at(list, at);
		if (strcmp(name, period.name) == 0 || strcmp(name, period.first_date) == 0) {
			*ret = period;
			return 1;
		}
	}
	return 0;
}

int64_t terms_begin(const struct terms_list *list, int64_t now)
{
	const struct store_terms *first = &list->items[0], *last = &list->items[list->n - 1];
	const int64_t end = stretch_at(list, now).span.end;

	assert(last != NULL);
	if (list->n == 1 && now < stretch_at(list, first->since).span.end)
		return first->since;
	/* Where the clock has been set back, there may be some that begin later. */
	return end < last->since ? last->since : end;
}

int terms_change(struct store *store, const struct tenant_row *before, struct tenant_row *after,
                 int64_t now, struct tn_error *err)
{
	struct terms_list list;
	int r;

	if (before->billing_anchor_day == after->billing_anchor_day &&
	    strcmp(before->time_zone, after->time_zone) == 0 &&
	    strcmp(before->currency, after->currency) == 0)
		return 0;
	r = terms_read(store, &before->id, &list, err);
	if (r < 0)
		return r;
	after->terms_since = terms_begin(&list, now);
	terms_done(&list);
	return 0;
}
