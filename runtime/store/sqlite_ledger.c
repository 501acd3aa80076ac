/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Booking: records, what a tenant's cgroup counted, and the sums of both.
 *
 * A tenant has one account: what has been booked of the cgroup that it has now, and a running
 * sum per meter, so that a question about all of its life costs the same after a year. What
 * becomes booked goes in the same transaction into the row of its hour, and both are one write
 * however many meters there are. A cgroup, boot or counter that has given way to another leaves
 * its last readings in epochs: they and those of the account are what the kernel has counted in
 * all.
 *
 * cpu_time is what the kernel counted in the tenant's cgroup; cpu_time_attributed is the sum
 * over the records; and cpu_time_unattributed is stored as what closes the sum, so that nothing
 * the kernel counted can fall between the two.
 *
 * A cgroup that went away between two readings took its last counts with it, but not the
 * records of what ran in it: if they say more than the ledger, the ledger is wrong by at least
 * that much, and the difference is booked without a counter behind it.
 */
#include "sqlite.h"

#include <string.h>

#include <base/fd.h>

enum ledger_statement {
	LEDGER_ACCOUNT_GET,
	LEDGER_ACCOUNT_PUT,
	LEDGER_EPOCH_PUT,
	LEDGER_HOUR_ADD,
	LEDGER_HOURS_SUM,
	LEDGER_HOUR_NEXT,
	LEDGER_STATEMENTS_N,
};

#define NAME(code, name)      ", " name
#define RAW(code, name)       ", raw_" name
#define TOTAL(code, name)     ", total_" name
#define SUM(code, name)       ", sum(" name ")"
#define PLACE(code, name)     ", ?"
#define RAW_SET(code, name)   ", raw_" name " = excluded.raw_" name
#define TOTAL_SET(code, name) ", total_" name " = excluded.total_" name
#define NAME_ADD(code, name)  ", " name " = " name " + excluded." name

/* Lists of columns, and of what goes into them. */
#define MEMORY        ", memory_bytes, memory_at, memory_rest, memory_error_rest"
#define MEMORY_PLACES ", ?, ?, ?, ?"
#define MEMORY_SET                                                                             \
	", memory_bytes = excluded.memory_bytes, memory_at = excluded.memory_at"               \
	", memory_rest = excluded.memory_rest, memory_error_rest = excluded.memory_error_rest"
#define RAWS         LEDGER_NODE_METERS(RAW)
#define RAW_PLACES   LEDGER_NODE_METERS(PLACE)
#define RAWS_SET     LEDGER_NODE_METERS(RAW_SET)
#define TOTALS       LEDGER_METERS(TOTAL)
#define TOTAL_PLACES LEDGER_METERS(PLACE)
#define TOTALS_SET   LEDGER_METERS(TOTAL_SET)
#define METERS       LEDGER_HOUR_METERS(NAME)
#define METER_PLACES LEDGER_HOUR_METERS(PLACE)
#define METERS_ADD   LEDGER_HOUR_METERS(NAME_ADD)
#define METER_SUMS   LEDGER_HOUR_METERS(SUM)

static const char *const sql[LEDGER_STATEMENTS_N] = {
	/* clang-format off */
	[LEDGER_ACCOUNT_GET] = "SELECT boot_id, cgroup_id" MEMORY RAWS TOTALS
		" FROM accounts WHERE tenant = ?1",
	[LEDGER_ACCOUNT_PUT] = "INSERT INTO accounts (tenant, boot_id, cgroup_id" MEMORY RAWS
		TOTALS ") VALUES (?1, ?2, ?3" MEMORY_PLACES RAW_PLACES TOTAL_PLACES
		") ON CONFLICT (tenant) DO UPDATE "
		"SET boot_id = excluded.boot_id, cgroup_id = excluded.cgroup_id"
		MEMORY_SET RAWS_SET TOTALS_SET,
	[LEDGER_EPOCH_PUT] = "INSERT INTO epochs (tenant, boot_id, cgroup_id, ended_at" RAWS
		") VALUES (?1, ?2, ?3, ?4" RAW_PLACES ")",
	[LEDGER_HOUR_ADD] = "INSERT INTO hours (tenant, at, bookings" METERS
		") VALUES (?1, ?2, 1" METER_PLACES ") ON CONFLICT (tenant, at) DO UPDATE "
		"SET bookings = bookings + 1" METERS_ADD,
	[LEDGER_HOURS_SUM] = "SELECT sum(bookings)" METER_SUMS
		" FROM hours WHERE tenant = ?1 AND at >= ?2 AND at < ?3",
	[LEDGER_HOUR_NEXT] = "SELECT at" METERS " FROM hours WHERE tenant = ?1 AND at >= ?2 "
		"AND at < ?3 ORDER BY at LIMIT 1",
	/* clang-format on */
};

static_assert(LEDGER_STATEMENTS_N <= SQLITE_STATEMENTS_MAX, "room for every statement");

int sqlite_ledger_prepare(struct sqlite *sqlite, struct tn_error *err)
{
	return db_prepare(sqlite->db, sql, LEDGER_STATEMENTS_N, sqlite->ledger, err);
}

struct account {
	struct ledger_cursor cursor;
	int64_t totals[LEDGER_METERS_N]; /* LEDGER_ABSENT: never seen */
};

/* What a transaction has in hand: of one tenant at a time, written when it is another's turn.
 */
struct book {
	struct sqlite *sqlite;
	struct id tenant; /* none before the first */
	struct account account;
	int64_t hour;
	bool added; /* anything to it: one in which nothing was used has no row */
	int64_t amounts[LEDGER_HOUR_N];
};

static void absent_fill(int64_t *numbers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		numbers[i] = LEDGER_ABSENT;
}

/* Where the columns of memory are, of those that are read, and how many. */
#define ACCOUNT_MEMORY 2
#define MEMORY_N       4

static int account_get(struct sqlite *sqlite, const struct id *tenant, struct account *ret,
                       struct tn_error *err)
{
	struct db_statement *s = sqlite->ledger[LEDGER_ACCOUNT_GET];
	struct ledger_memory *memory;
	char text[ID_TEXT_BYTES];
	int r, column = ACCOUNT_MEMORY;

	id_format(tenant, text);
	*ret = (struct account){ .cursor.memory.last = { LEDGER_ABSENT, LEDGER_ABSENT } };
	absent_fill(ret->cursor.raw, LEDGER_NODE_N);
	absent_fill(ret->totals, LEDGER_METERS_N);
	r = db_row(s, DB_VALUES(DB_TEXT(text)), err);
	if (r != 1)
		return r;
	/* DB_NULL_INT is LEDGER_ABSENT. */
	db_text(s, 0, ret->cursor.boot_id, sizeof(ret->cursor.boot_id));
	ret->cursor.cgroup_id = db_int(s, 1);
	memory = &ret->cursor.memory;
	memory->last.bytes = db_int(s, column++);
	memory->last.at = db_int(s, column++);
	memory->area_rest = db_int(s, column++);
	memory->error_rest = db_int(s, column++);
	for (size_t i = 0; i < LEDGER_NODE_N; i++)
		ret->cursor.raw[i] = db_int(s, column++);
	for (size_t i = 0; i < LEDGER_METERS_N; i++)
		ret->totals[i] = db_int(s, column++);
	db_done(s);
	return 0;
}

static size_t ints_append(struct db_value *values, size_t n, const int64_t *numbers,
                          size_t count)
{
	for (size_t i = 0; i < count; i++)
		values[n++] = DB_INT(numbers[i]);
	values[n] = DB_END;
	return n;
}

static int account_put(const struct book *book, const char *tenant, struct tn_error *err)
{
	const struct ledger_cursor *cursor = &book->account.cursor;
	const struct ledger_memory *memory = &cursor->memory;
	const bool read = cursor->boot_id[0] != '\0';
	struct db_value values[3 + MEMORY_N + LEDGER_NODE_N + LEDGER_METERS_N + 1] = {
		DB_TEXT(tenant),
		DB_TEXT(read ? cursor->boot_id : NULL),
		DB_INT(read ? cursor->cgroup_id : DB_NULL_INT),
		DB_INT(memory->last.bytes),
		DB_INT(memory->last.at),
		DB_INT(memory->area_rest),
		DB_INT(memory->error_rest),
	};
	size_t n = ints_append(values, 3 + MEMORY_N, cursor->raw, LEDGER_NODE_N);

	(void)ints_append(values, n, book->account.totals, LEDGER_METERS_N);
	return db_run(book->sqlite->ledger[LEDGER_ACCOUNT_PUT], values, err);
}

static int hour_put(struct book *book, const char *tenant, struct tn_error *err)
{
	struct db_value values[2 + LEDGER_HOUR_N + 1] = { DB_TEXT(tenant), DB_INT(book->hour) };

	if (!book->added)
		return 0;
	(void)ints_append(values, 2, book->amounts, LEDGER_HOUR_N);
	book->added = false;
	memset(book->amounts, 0, sizeof(book->amounts));
	return db_run(book->sqlite->ledger[LEDGER_HOUR_ADD], values, err);
}

/* Write what is in hand. */
static int book_put(struct book *book, struct tn_error *err)
{
	char tenant[ID_TEXT_BYTES];
	int r;

	if (id_is_none(&book->tenant))
		return 0;
	id_format(&book->tenant, tenant);
	r = account_put(book, tenant, err);
	if (r == 0)
		r = hour_put(book, tenant, err);
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
	const int64_t hour = ledger_hour(at);
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
	struct db_value values[4 + LEDGER_NODE_N + 1] = { DB_TEXT(tenant),
		                                          DB_TEXT(cursor->boot_id),
		                                          DB_INT(cursor->cgroup_id),
		                                          DB_INT(ended_at) };

	id_format(&book->tenant, tenant);
	(void)ints_append(values, 4, cursor->raw, LEDGER_NODE_N);
	return db_run(book->sqlite->ledger[LEDGER_EPOCH_PUT], values, err);
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
	struct book book = { .sqlite = sqlite };
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

/* @since to before @until, of meters that have ever been seen. */
static int hours_sum(struct sqlite *sqlite, const char *tenant, int64_t since, int64_t until,
                     struct store_totals *totals, struct tn_error *err)
{
	struct db_statement *s = sqlite->ledger[LEDGER_HOURS_SUM];
	int r = db_row(s, DB_VALUES(DB_TEXT(tenant), DB_INT(since), DB_INT(until)), err);

	if (r < 0)
		return r;
	for (int i = 0; i < (int)LEDGER_HOUR_N; i++)
		if (totals->meters[i] != LEDGER_ABSENT)
			totals->meters[i] = or_none(db_int(s, 1 + i));
	db_done(s);
	/* A sum over a range is not closed: an execution may lie across its bounds. */
	totals->meters[METER_CPU_UNATTRIBUTED] = LEDGER_ABSENT;
	return 0;
}

int sqlite_totals(struct store *store, const struct id *tenant, int64_t since, int64_t until,
                  struct store_totals *ret, struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	struct store_totals totals;
	struct account account;
	char text[ID_TEXT_BYTES];
	int r = account_get(sqlite, tenant, &account, err);

	if (r < 0)
		return r;
	memcpy(totals.meters, account.totals, sizeof(totals.meters));
	id_format(tenant, text);
	if (since != LEDGER_ABSENT || until != LEDGER_ABSENT)
		r = hours_sum(sqlite, text, since == LEDGER_ABSENT ? 0 : since,
		              until == LEDGER_ABSENT ? INT64_MAX : until, &totals, err);
	if (r == 0)
		*ret = totals;
	return r;
}

int sqlite_hour_next(struct store *store, const struct id *tenant, int64_t since, int64_t until,
                     int64_t *ret, struct store_hour *ret_amounts, struct tn_error *err)
{
	struct db_statement *s = sqlite_of(store)->ledger[LEDGER_HOUR_NEXT];
	char text[ID_TEXT_BYTES];
	int r;

	id_format(tenant, text);
	r = db_row(s, DB_VALUES(DB_TEXT(text), DB_INT(since), DB_INT(until)), err);
	if (r != 1)
		return r;
	*ret = db_int(s, 0);
	for (int i = 0; ret_amounts != NULL && i < (int)LEDGER_HOUR_N; i++)
		ret_amounts->amounts[i] = db_int(s, 1 + i);
	db_done(s);
	return 1;
}
