/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Booking: records, what a tenant's cgroup counted, and the sums of both.
 *
 * A tenant has one account (sqlite_account.h), which what becomes booked goes into, however
 * many meters there are, in one write, and with it into its hour. A cgroup, boot or counter
 * that has given way to another leaves its last readings in epochs: they and those of the
 * account are what the kernel has counted in all.
 *
 * cpu_time is what the kernel counted in the tenant's cgroup; cpu_time_attributed is the sum
 * over the records; and cpu_time_unattributed is stored as what closes the sum, so that nothing
 * the kernel counted can fall between the two.
 *
 * A cgroup that went away between two readings took its last counts with it, but not the
 * records of what ran in it: if they say more than the ledger, the ledger is wrong by at least
 * that much, and the difference is booked without a counter behind it.
 */
#include <string.h>

#include <base/fd.h>

#include "sqlite_account.h"

/* What a transaction has in hand: of one tenant at a time, written when it is another's turn.
 */
struct book {
	struct sqlite *sqlite;
	const struct store_batch *batch;
	struct id tenant; /* none before the first */
	struct account account;
	int64_t hour;
	bool added; /* anything to it: one in which nothing was used has no row */
	int64_t amounts[LEDGER_HOUR_N];
};

static int hour_put(struct book *book, const char *tenant, struct tn_error *err)
{
	int r;

	if (!book->added)
		return 0;
	r = account_hour_add(book->sqlite, tenant, &book->account, book->hour, book->amounts,
	                     err);
	book->added = false;
	memset(book->amounts, 0, sizeof(book->amounts));
	return r;
}

/* Write what is in hand. */
static int book_put(struct book *book, struct tn_error *err)
{
	char tenant[ID_TEXT_BYTES];
	int r;

	if (id_is_none(&book->tenant))
		return 0;
	id_format(&book->tenant, tenant);
	r = hour_put(book, tenant, err);
	if (r == 0)
		r = account_put(book->sqlite, tenant, &book->account, err);
	book->tenant = (struct id){ 0 };
	return r;
}

static int book_turn_to(struct book *book, const struct id *tenant, struct tn_error *err)
{
	int r;

	if (id_equal(&book->tenant, tenant))
		return 0;
	r = book_put(book, err);
	if (r == 0)
		r = account_get(book->sqlite, tenant, &book->account, err);
	if (r == 0)
		book->tenant = *tenant;
	return r;
}

static int hour_turn_to(struct book *book, int64_t at, struct tn_error *err)
{
	char tenant[ID_TEXT_BYTES];
	const struct store_batch *batch = book->batch;
	const int64_t hour = batch->hour != NULL
	                             ? batch->hour(batch->userdata, &book->tenant, at)
	                             : ledger_hour(at);
	int r = 0;

	id_format(&book->tenant, tenant);
	if (book->hour != hour)
		r = hour_put(book, tenant, err);
	book->hour = hour;
	return r;
}

/* @amount, LEDGER_ABSENT of which is none, into the sum and the hour that is in hand. */
static int amount_add(struct book *book, enum ledger_meter meter, int64_t amount,
                      struct tn_error *err)
{
	int64_t *total = &book->account.totals[meter];

	if (amount == LEDGER_ABSENT)
		return 0;
	if (__builtin_add_overflow(*total == LEDGER_ABSENT ? 0 : *total, amount, total))
		return err_set(err, TN_SYSTEM, EOVERFLOW, "%s of a tenant is beyond 2^63",
		               ledger_meter_name(meter));
	book->amounts[meter] += amount;
	book->added |= amount > 0;
	return 0;
}

static int record_tell(struct sqlite *sqlite, const struct record *record, bool first,
                       struct tn_error *err)
{
	struct event events[EVENTS_OF_RECORD_MAX];
	int n = events_of_record(record, first, events, err);
	int r = n < 0 ? n : 0;

	for (int i = 0; i < n; i++) {
		if (r == 0)
			r = sqlite_event_put(sqlite, &events[i], err);
		event_done(&events[i]);
	}
	return r;
}

static int record_book(struct book *book, const struct record *record, struct tn_error *err)
{
	const struct {
		enum ledger_meter meter;
		int64_t amount;
	} adds[] = {
		{ METER_EXECUTIONS, 1 },
		{ METER_EXECUTION_TIME, record->wall_usec },
		{ METER_OVERHEAD_TIME, record->overhead_usec },
		{ METER_CPU_ATTRIBUTED, record->cpu_usec },
	};
	int r = sqlite_execution_put(book->sqlite, record, err);

	if (r <= EXECUTION_KNOWN)
		return r;
	r = record_tell(book->sqlite, record, r == EXECUTION_NEW, err);
	if (r == 0 && record->state == RECORD_EXITED)
		r = sqlite_holdings_release(book->sqlite, &record->id, err);
	/* What joins an execution has used up that one's time. */
	if (r < 0 || record->state != RECORD_EXITED || !id_is_none(&record->joins))
		return r;
	r = book_turn_to(book, &record->tenant, err);
	/* Of an end that nobody saw, when it began is the last that is known. */
	if (r == 0)
		r = hour_turn_to(book,
		                 record->ended_at == RECORD_ABSENT ? record->started_at
		                                                   : record->ended_at,
		                 err);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(adds); i++)
		r = amount_add(book, adds[i].meter, adds[i].amount, err);
	return r;
}

static int epoch_put(const struct book *book, const struct ledger_cursor *cursor,
                     int64_t ended_at, struct tn_error *err)
{
	char tenant[ID_TEXT_BYTES];

	id_format(&book->tenant, tenant);
	return account_epoch_put(book->sqlite, tenant, cursor, ended_at, err);
}

/* @other: the cgroup that has it is not the one of before. */
static int memory_book(struct book *book, const struct ledger_path *path, bool other,
                       struct tn_error *err)
{
	struct ledger_memory *memory = &book->account.cursor.memory;
	int64_t time, error;
	int r;

	if (other)
		memory->last = (struct ledger_look){ LEDGER_ABSENT, LEDGER_ABSENT };
	if (!path->read)
		return 0;
	r = ledger_integrate(memory, path, other, &time, &error, err);
	if (r == 0)
		r = amount_add(book, METER_MEMORY_TIME, time, err);
	return r < 0 ? r : amount_add(book, METER_MEMORY_ERROR, error, err);
}

static int node_book(struct book *book, const struct ledger_sample *sample,
                     struct tn_error *err)
{
	const struct ledger_cursor before = book->account.cursor;
	int64_t deltas[LEDGER_NODE_N];
	int r = 0;

	if (ledger_advance(&book->account.cursor, sample, deltas))
		r = epoch_put(book, &before, sample->at, err);
	for (size_t i = 0; r == 0 && i < LEDGER_NODE_N; i++)
		if (sample->raw[i] != LEDGER_ABSENT)
			r = amount_add(book, (enum ledger_meter)i, deltas[i], err);
	return r < 0 ? r
	             : memory_book(book, &sample->memory, ledger_is_other(&before, sample),
	                           err);
}

static int64_t or_none(int64_t total)
{
	return total == LEDGER_ABSENT ? 0 : total;
}

/* cpu_time = attributed + running + unattributed, whatever happened in between. */
static int sum_close(struct book *book, const struct ledger_sample *sample,
                     struct tn_error *err)
{
	int64_t *totals = book->account.totals;
	int64_t rest;
	int r = 0;

	if (sample->running_cpu_usec == LEDGER_ABSENT)
		return 0;
	if (totals[METER_CPU_TIME] == LEDGER_ABSENT &&
	    totals[METER_CPU_ATTRIBUTED] == LEDGER_ABSENT)
		return 0;
	rest = or_none(totals[METER_CPU_TIME]) - or_none(totals[METER_CPU_ATTRIBUTED]) -
	       sample->running_cpu_usec;
	if (rest < 0)
		r = amount_add(book, METER_CPU_TIME, -rest, err);
	totals[METER_CPU_UNATTRIBUTED] = rest < 0 ? 0 : rest;
	return r;
}

static int sample_book(struct book *book, const struct ledger_sample *sample,
                       struct tn_error *err)
{
	int r;

	if (sample->node == LEDGER_NODE_UNREADABLE)
		return 0;
	r = book_turn_to(book, &sample->tenant, err);
	if (r == 0)
		r = hour_turn_to(book, sample->at, err);
	if (r == 0 && sample->node == LEDGER_NODE_READ)
		r = node_book(book, sample, err);
	return r < 0 ? r : sum_close(book, sample, err);
}

int sqlite_book(struct store *store, const struct store_batch *batch, struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	struct book book = { .sqlite = sqlite, .batch = batch };
	int r = sqlite_begin(sqlite, err);

	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < batch->records_n; i++)
		r = record_book(&book, &batch->records[i], err);
	for (size_t i = 0; r >= 0 && i < batch->samples_n; i++)
		r = sample_book(&book, &batch->samples[i], err);
	if (r >= 0)
		r = book_put(&book, err);
	for (size_t i = 0; r >= 0 && i < batch->events_n; i++)
		r = sqlite_event_put(sqlite, &batch->events[i], err);
	return sqlite_end(sqlite, r < 0 ? r : 0, err);
}
