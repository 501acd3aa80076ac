/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is to be written together. One that becomes too large, or cannot be kept, is broken: it
 * is never written in part.
 */
#ifndef RUNTIME_QUOTA_BATCH_H
#define RUNTIME_QUOTA_BATCH_H

#include "quota_account.h"

#define QUOTA_WRITES_MAX 65536
#define QUOTA_WRITES_FEW                                                                       \
	1024 /* beyond it, it is time to write them: keys are looked for one by one */
#define QUOTA_EVENTS_MAX 256

struct quota_batch {
	uint64_t number; /* counts batches, from 1 on */
	struct metering_write *writes;
	size_t writes_n;
	size_t writes_size;
	struct event events[QUOTA_EVENTS_MAX];
	size_t events_n;
};

void quota_batch_done(struct quota_batch *batch);
/* It has been written, or never will be. */
void quota_batch_clear(struct quota_batch *batch);

/* Room for @n writes and an event more, so that what follows cannot fail. */
int quota_batch_reserve(struct quota_batch *batch, size_t n, struct tn_error *err);

/* Each takes room that has been reserved. */
void quota_batch_amount(struct quota_batch *batch, struct quota_account *account,
                        int64_t amount, int64_t at);
void quota_batch_held(struct quota_batch *batch, const struct quota_account *account,
                      int64_t delta, const struct id *execution);
void quota_batch_told(struct quota_batch *batch, const struct quota_account *account);
void quota_batch_reservation(struct quota_batch *batch, enum metering_write_kind kind,
                             const struct reservation *reservation);
void quota_batch_key(struct quota_batch *batch, const struct metering_key *key);

/* The answer that is to be kept under @key of @tenant, or NULL. */
const struct metering_key *quota_batch_find(const struct quota_batch *batch,
                                            const struct id *tenant, const char *key);

#endif
