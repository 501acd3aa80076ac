/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store in a directory of its own, with the tenant "acme", and what is booked in it. */
#ifndef TESTS_RUNTIME_STORE_FIXTURE_H
#define TESTS_RUNTIME_STORE_FIXTURE_H

#include "store/store.h"

#define BOOT_A "11111111-1111-4111-8111-111111111111"
#define BOOT_B "22222222-2222-4222-8222-222222222222"

struct fixture {
	char dir[32];
	struct store *store;
	struct id tenant;
};

/* Another tenant's row, for tenant_row_done(). */
struct tenant_row tenant_make(const char *name);

void fixture_init(struct fixture *fixture);
void fixture_done(struct fixture *fixture);
/* What is in the directory is opened. */
void fixture_open(struct fixture *fixture);

/* Of acme: 10 microseconds long, of 5 of CPU time. */
struct record record_make(const struct fixture *fixture, enum record_state state,
                          int64_t started_at);
struct ledger_sample sample_make(const struct fixture *fixture, const char *boot,
                                 int64_t cgroup_id, int64_t cpu);

/* Either may be NULL. */
void book(struct fixture *fixture, const struct record *record,
          const struct ledger_sample *sample);
struct store_totals totals_of(struct fixture *fixture);

#endif
