/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sqlite_account.h"

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
#define OPEN(code, name)      ", open_" name
#define SUM(code, name)       ", sum(" name ")"
#define PLACE(code, name)     ", ?"
#define RAW_SET(code, name)   ", raw_" name " = excluded.raw_" name
#define TOTAL_SET(code, name) ", total_" name " = excluded.total_" name
#define OPEN_SET(code, name)  ", open_" name " = excluded.open_" name
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
#define OPENS        ", open_at, open_bookings" LEDGER_HOUR_METERS(OPEN)
#define OPEN_PLACES  ", ?, ?" LEDGER_HOUR_METERS(PLACE)
#define OPENS_SET                                                                              \
	", open_at = excluded.open_at, open_bookings = "                                       \
	"excluded.open_bookings" LEDGER_HOUR_METERS(OPEN_SET)
#define METERS       LEDGER_HOUR_METERS(NAME)
#define METER_PLACES LEDGER_HOUR_METERS(PLACE)
#define METERS_ADD   LEDGER_HOUR_METERS(NAME_ADD)
#define METER_SUMS   LEDGER_HOUR_METERS(SUM)

static const char *const sql[LEDGER_STATEMENTS_N] = {
	/* clang-format off */
	[LEDGER_ACCOUNT_GET] = "SELECT boot_id, cgroup_id" MEMORY RAWS TOTALS OPENS
		" FROM accounts WHERE tenant = ?1",
	[LEDGER_ACCOUNT_PUT] = "INSERT INTO accounts (tenant, boot_id, cgroup_id" MEMORY RAWS
		TOTALS OPENS ") VALUES (?1, ?2, ?3" MEMORY_PLACES RAW_PLACES TOTAL_PLACES
		OPEN_PLACES ") ON CONFLICT (tenant) DO UPDATE "
		"SET boot_id = excluded.boot_id, cgroup_id = excluded.cgroup_id"
		MEMORY_SET RAWS_SET TOTALS_SET OPENS_SET,
	[LEDGER_EPOCH_PUT] = "INSERT INTO epochs (tenant, boot_id, cgroup_id, ended_at" RAWS
		") VALUES (?1, ?2, ?3, ?4" RAW_PLACES ")",
	[LEDGER_HOUR_ADD] = "INSERT INTO hours (tenant, at, bookings" METERS
		") VALUES (?1, ?2, ?3" METER_PLACES ") ON CONFLICT (tenant, at) DO UPDATE "
		"SET bookings = bookings + excluded.bookings" METERS_ADD,
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

static void absent_fill(int64_t *numbers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		numbers[i] = LEDGER_ABSENT;
}

/* Where the columns of memory are, of those that are read, and how many. */
#define ACCOUNT_MEMORY 2
#define MEMORY_N       4

static int ints_take(struct db_statement *s, int column, int64_t *ret, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ret[i] = db_int(s, column++);
	return column;
}

int account_get(struct sqlite *sqlite, const struct id *tenant, struct account *ret,
                struct tn_error *err)
{
	struct db_statement *s = sqlite->ledger[LEDGER_ACCOUNT_GET];
	struct ledger_memory *memory;
	char text[ID_TEXT_BYTES];
	int r, column = ACCOUNT_MEMORY;

	id_format(tenant, text);
	*ret = (struct account){ .cursor.memory.last = { LEDGER_ABSENT, LEDGER_ABSENT },
		                 .open_at = LEDGER_ABSENT };
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
	column = ints_take(s, column, ret->cursor.raw, LEDGER_NODE_N);
	column = ints_take(s, column, ret->totals, LEDGER_METERS_N);
	ret->open_at = db_int(s, column++);
	ret->open_bookings = db_int(s, column++);
	(void)ints_take(s, column, ret->open, LEDGER_HOUR_N);
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

#define ACCOUNT_VALUES_N                                                                       \
	(3 + MEMORY_N + LEDGER_NODE_N + LEDGER_METERS_N + 2 + LEDGER_HOUR_N + 1)

int account_put(struct sqlite *sqlite, const char *tenant, const struct account *account,
                struct tn_error *err)
{
	const struct ledger_cursor *cursor = &account->cursor;
	const struct ledger_memory *memory = &cursor->memory;
	const bool read = cursor->boot_id[0] != '\0';
	struct db_value values[ACCOUNT_VALUES_N] = {
		DB_TEXT(tenant),
		DB_TEXT(read ? cursor->boot_id : NULL),
		DB_INT(read ? cursor->cgroup_id : DB_NULL_INT),
		DB_INT(memory->last.bytes),
		DB_INT(memory->last.at),
		DB_INT(memory->area_rest),
		DB_INT(memory->error_rest),
	};
	size_t n = ints_append(values, 3 + MEMORY_N, cursor->raw, LEDGER_NODE_N);

	n = ints_append(values, n, account->totals, LEDGER_METERS_N);
	n = ints_append(values, n, &account->open_at, 1);
	n = ints_append(values, n, &account->open_bookings, 1);
	(void)ints_append(values, n, account->open, LEDGER_HOUR_N);
	return db_run(sqlite->ledger[LEDGER_ACCOUNT_PUT], values, err);
}

/* Into hours. */
static int hour_add(struct sqlite *sqlite, const char *tenant, int64_t at, int64_t bookings,
                    const int64_t *amounts, struct tn_error *err)
{
	struct db_value values[3 + LEDGER_HOUR_N + 1] = { DB_TEXT(tenant), DB_INT(at),
		                                          DB_INT(bookings) };

	(void)ints_append(values, 3, amounts, LEDGER_HOUR_N);
	return db_run(sqlite->ledger[LEDGER_HOUR_ADD], values, err);
}

int account_hour_add(struct sqlite *sqlite, const char *tenant, struct account *account,
                     int64_t at, const int64_t amounts[static LEDGER_HOUR_N],
                     struct tn_error *err)
{
	int r = 0;

	/* What is told late is of one that is over, or, where the clock was set back, of one
	 * that is not to be opened again. */
	if (account->open_at != LEDGER_ABSENT && at < account->open_at)
		return hour_add(sqlite, tenant, at, 1, amounts, err);
	if (account->open_at != at) {
		if (account->open_at != LEDGER_ABSENT)
			r = hour_add(sqlite, tenant, account->open_at, account->open_bookings,
			             account->open, err);
		account->open_at = at;
		account->open_bookings = 0;
		memset(account->open, 0, sizeof(account->open));
	}
	account->open_bookings++;
	for (size_t i = 0; i < LEDGER_HOUR_N; i++)
		account->open[i] += amounts[i];
	return r;
}

int account_epoch_put(struct sqlite *sqlite, const char *tenant,
                      const struct ledger_cursor *cursor, int64_t ended_at,
                      struct tn_error *err)
{
	struct db_value values[4 + LEDGER_NODE_N + 1] = { DB_TEXT(tenant),
		                                          DB_TEXT(cursor->boot_id),
		                                          DB_INT(cursor->cgroup_id),
		                                          DB_INT(ended_at) };

	(void)ints_append(values, 4, cursor->raw, LEDGER_NODE_N);
	return db_run(sqlite->ledger[LEDGER_EPOCH_PUT], values, err);
}

static int64_t or_none(int64_t total)
{
	return total == LEDGER_ABSENT ? 0 : total;
}

static bool is_open_within(const struct account *account, int64_t since, int64_t until)
{
	return account->open_at != LEDGER_ABSENT && account->open_at >= since &&
	       account->open_at < until;
}

/* @since to before @until, of meters that have ever been seen. */
static int hours_sum(struct sqlite *sqlite, const char *tenant, const struct account *account,
                     int64_t since, int64_t until, struct store_totals *totals,
                     struct tn_error *err)
{
	const bool open = is_open_within(account, since, until);
	struct db_statement *s = sqlite->ledger[LEDGER_HOURS_SUM];
	int r = db_row(s, DB_VALUES(DB_TEXT(tenant), DB_INT(since), DB_INT(until)), err);

	if (r < 0)
		return r;
	for (int i = 0; i < (int)LEDGER_HOUR_N; i++)
		if (totals->meters[i] != LEDGER_ABSENT)
			totals->meters[i] = or_none(db_int(s, 1 + i)) +
			                    (open ? account->open[i] : 0);
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
		r = hours_sum(sqlite, text, &account, since == LEDGER_ABSENT ? 0 : since,
		              until == LEDGER_ABSENT ? INT64_MAX : until, &totals, err);
	if (r == 0)
		*ret = totals;
	return r;
}

/* The first of those that are over: 1, or 0. */
static int hour_first(struct sqlite *sqlite, const char *tenant, int64_t since, int64_t until,
                      int64_t *ret, struct store_hour *ret_amounts, struct tn_error *err)
{
	struct db_statement *s = sqlite->ledger[LEDGER_HOUR_NEXT];
	int r = db_row(s, DB_VALUES(DB_TEXT(tenant), DB_INT(since), DB_INT(until)), err);

	if (r != 1)
		return r;
	*ret = db_int(s, 0);
	(void)ints_take(s, 1, ret_amounts->amounts, LEDGER_HOUR_N);
	db_done(s);
	return 1;
}

int sqlite_hour_next(struct store *store, const struct id *tenant, int64_t since, int64_t until,
                     int64_t *ret, struct store_hour *ret_amounts, struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	struct store_hour amounts = { 0 };
	struct account account;
	char text[ID_TEXT_BYTES];
	int64_t at = INT64_MAX;
	int r = account_get(sqlite, tenant, &account, err);

	if (r < 0)
		return r;
	id_format(tenant, text);
	r = hour_first(sqlite, text, since, until, &at, &amounts, err);
	if (r < 0)
		return r;
	if (is_open_within(&account, since, until) && account.open_at <= at) {
		/* Some of it may have been booked before there were open ones. */
		if (account.open_at < at)
			amounts = (struct store_hour){ 0 };
		at = account.open_at;
		for (size_t i = 0; i < LEDGER_HOUR_N; i++)
			amounts.amounts[i] += account.open[i];
		r = 1;
	}
	if (r != 1)
		return 0;
	*ret = at;
	if (ret_amounts != NULL)
		*ret_amounts = amounts;
	return 1;
}
