/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When the billing periods of a tenant begin and end, and by which terms each is billed: its
 * time zone, anchor day and currency, as they were then.
 *
 * Terms hold from an instant on until the next ones. Others than those of now begin when the
 * period that is running ends, so that no period that has ended ever becomes another. Only
 * while a tenant's very first one is running they take the place of the first terms, since no
 * bill of it has ended. Periods lie one after the other without a gap.
 *
 * A period ends at the first of its terms' anchors that is at least TERMS_DAYS_MIN days after
 * its beginning. So the first one of new terms may be shorter or longer than a month, but never
 * so short that two begin on one date, whatever the zones.
 */
#ifndef RUNTIME_BILLING_TERMS_H
#define RUNTIME_BILLING_TERMS_H

#include "../calendar.h"
#include "../store/store.h"

#define TERMS_DAYS_MIN 7

/* All of one tenant's, by when they begin; at least one. The first hold before that, too. */
struct terms_list {
	struct store_terms *items;
	size_t n;
};

/* *ret is for terms_done(). */
int terms_read(struct store *store, const struct id *tenant, struct terms_list *ret,
               struct tn_error *err);

/* Accepts a zeroed one. */
void terms_done(struct terms_list *list);

struct terms_period {
	struct calendar_span span;
	const struct store_terms *terms; /* of the list */
	/* "2026-11", the month of the anchor that is in it; its first date, "2026-11-15", if
	 * there is none in it, or the one before it has that month. No two have the same, and
	 * no change of terms has it be another. */
	char name[CALENDAR_DATE_BYTES_MAX];
	char first_date[CALENDAR_DATE_BYTES_MAX];
};

/* The one that holds @instant. */
struct terms_period terms_period_at(const struct terms_list *list, int64_t instant);

/* By name or first date: 1 and *ret, 0 if there is none, or -EINVAL if @name is of neither. */
int terms_period_named(const struct terms_list *list, const char *name,
                       struct terms_period *ret);

/* When other terms begin that are set at @now. */
int64_t terms_begin(const struct terms_list *list, int64_t now);

/* Before @after is saved instead of @before, at @now: have it say when its terms begin. */
int terms_change(struct store *store, const struct tenant_row *before, struct tenant_row *after,
                 int64_t now, struct tn_error *err);

#endif
