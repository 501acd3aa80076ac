/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The account of a tenant, a row: what has been booked of the cgroup that it has now, a running
 * sum per meter, so that a question about all of its life costs the same after a year, and what
 * the hour that is open has of each. That becomes a row of hours when something of another hour
 * is booked: until then all that a look at what runs has to write is one row.
 */
#ifndef RUNTIME_STORE_SQLITE_ACCOUNT_H
#define RUNTIME_STORE_SQLITE_ACCOUNT_H

#include "sqlite.h"

struct account {
	struct ledger_cursor cursor;
	int64_t totals[LEDGER_METERS_N]; /* LEDGER_ABSENT: never seen */
	int64_t open_at;                 /* the hour; LEDGER_ABSENT: none yet */
	int64_t open_bookings;
	int64_t open[LEDGER_HOUR_N];
};

/* What @tenant has, or an account in which nothing is. */
int account_get(struct sqlite *sqlite, const struct id *tenant, struct account *ret,
                struct tn_error *err);
/* @tenant is an id as text. */
int account_put(struct sqlite *sqlite, const char *tenant, const struct account *account,
                struct tn_error *err);
/* @amounts more in the hour @at, for account_put(). */
int account_hour_add(struct sqlite *sqlite, const char *tenant, struct account *account,
                     int64_t at, const int64_t amounts[static LEDGER_HOUR_N],
                     struct tn_error *err);
/* What has given way to another cgroup, boot or counter had these last readings. */
int account_epoch_put(struct sqlite *sqlite, const char *tenant,
                      const struct ledger_cursor *cursor, int64_t ended_at,
                      struct tn_error *err);

#endif
