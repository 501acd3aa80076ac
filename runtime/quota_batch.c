/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quota_batch.h"

#include <stdlib.h>
#include <string.h>

void quota_batch_clear(struct quota_batch *batch)
{
	while (batch->events_n > 0)
		event_done(&batch->events[--batch->events_n]);
	batch->writes_n = 0;
	batch->number++;
}

void quota_batch_done(struct quota_batch *batch)
{
	quota_batch_clear(batch);
	free(batch->writes);
	batch->writes = NULL;
}

int quota_batch_reserve(struct quota_batch *batch, size_t n, struct tn_error *err)
{
	size_t size = batch->writes_size == 0 ? 64 : batch->writes_size;
	struct metering_write *writes;

	if (batch->writes_n + n > QUOTA_WRITES_MAX || batch->events_n == QUOTA_EVENTS_MAX)
		return err_set(err, TN_STATE, ENOBUFS,
		               "too much waits to be written; try again");
	while (size < batch->writes_n + n)
		size *= 2;
	if (size == batch->writes_size)
		return 0;
	writes = reallocarray(batch->writes, size, sizeof(*writes));
	if (writes == NULL)
		return err_errno(err, "keep what is to be written");
	batch->writes = writes;
	batch->writes_size = size;
	return 0;
}

static struct metering_write *write_next(struct quota_batch *batch,
                                         enum metering_write_kind kind, const struct id *tenant,
                                         const char *meter)
{
	struct metering_write *write = &batch->writes[batch->writes_n++];

	*write = (struct metering_write){ .kind = kind, .tenant = *tenant };
	(void)snprintf(write->meter, sizeof(write->meter), "%s", meter);
	return write;
}

void quota_batch_amount(struct quota_batch *batch, struct quota_account *account,
                        int64_t amount, int64_t at)
{
	struct metering_write *write;

	/* However often a meter counts in one turn, it is one row. */
	if (account->batch == batch->number && batch->writes[account->write].at == at) {
		batch->writes[account->write].delta += amount;
		return;
	}
	account->batch = batch->number;
	account->write = batch->writes_n;
	write = write_next(batch, METERING_AMOUNT, &account->tenant, account->meter);
	write->delta = amount;
	write->at = at;
}

void quota_batch_held(struct quota_batch *batch, const struct quota_account *account,
                      int64_t delta, const struct id *execution)
{
	struct metering_write *write = write_next(batch, METERING_HELD, &account->tenant,
	                                          account->meter);

	write->delta = delta;
	write->execution = *execution;
}

void quota_batch_told(struct quota_batch *batch, const struct quota_account *account)
{
	struct metering_write *write = write_next(batch, METERING_TOLD, &account->tenant,
	                                          account->meter);

	write->told_since = account->metered.told_since;
	write->told_percent = account->metered.told_percent;
}

void quota_batch_reservation(struct quota_batch *batch, enum metering_write_kind kind,
                             const struct reservation *reservation)
{
	struct metering_write *write = write_next(batch, kind, &reservation->tenant,
	                                          reservation->meter);

	write->reservation = *reservation;
}

void quota_batch_key(struct quota_batch *batch, const struct metering_key *key)
{
	struct metering_write *write = write_next(batch, METERING_KEPT, &key->tenant,
	                                          key->meter);

	write->key = *key;
}

const struct metering_key *quota_batch_find(const struct quota_batch *batch,
                                            const struct id *tenant, const char *key)
{
	for (size_t i = 0; i < batch->writes_n; i++) {
		const struct metering_write *write = &batch->writes[i];

		if (write->kind == METERING_KEPT && id_equal(&write->tenant, tenant) &&
		    strcmp(write->key.key, key) == 0)
			return &write->key;
	}
	return NULL;
}
