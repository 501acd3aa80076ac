/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A meter of a tenant as it is in memory, as the store has it and with what has been done
 * since.
 */
#ifndef RUNTIME_QUOTA_ACCOUNT_H
#define RUNTIME_QUOTA_ACCOUNT_H

#include "quota.h"

struct quota_account {
	struct id tenant;
	char meter[METER_NAME_BYTES_MAX];
	struct metered metered;
	struct calendar_span span; /* that @used is of */
	int64_t used;
	int64_t reserved; /* the sum of the reservations */
	struct reservation *reservations;
	size_t reservations_n;
	size_t reservations_size;
	uint64_t batch; /* in which @write is its place */
	size_t write;
};

struct quota_accounts {
	void *tree; /* see tsearch(3) */
};

void quota_accounts_done(struct quota_accounts *accounts);
/* Those of @tenant of which something is held. */
void quota_accounts_forget_held(struct quota_accounts *accounts, const struct id *tenant);

/* The account of @rule's meter, read if it is not here or of another period. */
int quota_account_get(struct quota_accounts *accounts, struct store *store,
                      const struct id *tenant, const struct quota_rule *rule,
                      struct quota_account **ret, struct tn_error *err);

/* Whether one of another period is here, which a look at @rule would read anew. */
bool quota_account_is_old(const struct quota_accounts *accounts, const struct id *tenant,
                          const struct quota_rule *rule);

int quota_account_reserve(struct quota_account *account, const struct reservation *reservation,
                          struct tn_error *err);
/* The reservation of @id, or NULL; until the next change of them. */
struct reservation *quota_account_reservation(const struct quota_account *account,
                                              const struct id *id);
void quota_account_unreserve(struct quota_account *account, struct reservation *reservation);

#endif
