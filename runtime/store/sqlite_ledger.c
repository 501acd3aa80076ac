/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Booking: records, what a tenant's cgroup counted, and the sums of both.
 *
 * totals holds one running sum per meter, so that a question about all of a tenant's
 * life costs the same after a year. cpu_time is what the kernel counted in the
 * tenant's cgroup; cpu_time_attributed is the sum over the records; and
 * cpu_time_unattributed is stored as what closes the sum, so that nothing the kernel
 * counted can fall between the two.
 *
 * A cgroup that went away between two readings took its last counts with it, but not
 * the records of what ran in it: if they say more than the ledger, the ledger is wrong
 * by at least that much, and the difference is booked without a raw counter.
 */
#include "sqlite.h"

#include <string.h>

#include <base/fd.h>

enum ledger_statement {
	LEDGER_INSERT,
	LEDGER_CURSOR_GET,
	LEDGER_CURSOR_PUT,
	LEDGER_TOTAL_ADD,
	LEDGER_TOTAL_SET,
	LEDGER_TOTAL_GET,
	LEDGER_SUM,
	LEDGER_SUM_RECORDS,
	LEDGER_STATEMENTS_N,
};

static const char *const sql[LEDGER_STATEMENTS_N] = {
	[LEDGER_INSERT] =
		"INSERT INTO ledger (tenant, meter, boot_id, cgroup_id, raw, delta, at) "
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[LEDGER_CURSOR_GET] = "SELECT boot_id, cgroup_id, raw FROM cursors "
			      "WHERE tenant = ?1 AND meter = ?2",
	[LEDGER_CURSOR_PUT] =
		"INSERT INTO cursors (tenant, meter, boot_id, cgroup_id, raw) "
		"VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (tenant, meter) DO UPDATE "
		"SET boot_id = excluded.boot_id, cgroup_id = excluded.cgroup_id, "
		"raw = excluded.raw",
	[LEDGER_TOTAL_ADD] = "INSERT INTO totals (tenant, meter, total) VALUES (?1, ?2, ?3) "
			     "ON CONFLICT (tenant, meter) DO UPDATE "
			     "SET total = total + excluded.total",
	[LEDGER_TOTAL_SET] = "INSERT INTO totals (tenant, meter, total) VALUES (?1, ?2, ?3) "
			     "ON CONFLICT (tenant, meter) DO UPDATE SET total = excluded.total",
	[LEDGER_TOTAL_GET] = "SELECT total FROM totals WHERE tenant = ?1 AND meter = ?2",
	[LEDGER_SUM] = "SELECT sum(delta) FROM ledger WHERE tenant = ?1 AND meter = ?2 "
		       "AND (?3 IS NULL OR at >= ?3) AND (?4 IS NULL OR at < ?4)",
	[LEDGER_SUM_RECORDS] = "SELECT count(*), sum(wall_usec), sum(cpu_usec) FROM executions "
			       "WHERE tenant = ?1 AND state = 'exited' "
			       "AND (?2 IS NULL OR ended_at >= ?2) "
			       "AND (?3 IS NULL OR ended_at < ?3)",
};

static_assert(LEDGER_STATEMENTS_N <= SQLITE_STATEMENTS_MAX, "room for every statement");

int sqlite_ledger_prepare(struct sqlite *sqlite, struct tn_error *err)
{
	return db_prepare(sqlite->db, sql, LEDGER_STATEMENTS_N, sqlite->ledger, err);
}

/* DB_NULL_INT if the meter was never seen. */
static int total_get(struct sqlite *sqlite, const char *tenant, enum ledger_meter meter,
                     int64_t *ret, struct tn_error *err)
{
	struct db_statement *s = sqlite->ledger[LEDGER_TOTAL_GET];
	int r = db_row(s, DB_VALUES(DB_TEXT(tenant), DB_TEXT(ledger_meter_name(meter))), err);

	if (r < 0)
		return r;
	*ret = DB_NULL_INT;
	if (r == 1) {
		*ret = db_int(s, 0);
		db_done(s);
	}
	return 0;
}

static int total_put(struct sqlite *sqlite, enum ledger_statement how, const char *tenant,
                     enum ledger_meter meter, int64_t value, struct tn_error *err)
{
	return db_run(
		sqlite->ledger[how],
		DB_VALUES(DB_TEXT(tenant), DB_TEXT(ledger_meter_name(meter)), DB_INT(value)),
		err);
}

static int record_book(struct sqlite *sqlite, const struct record *record, struct tn_error *err)
{
	const struct {
		enum ledger_meter meter;
		int64_t amount;
	} adds[] = {
		{ METER_EXECUTIONS, 1 },
		{ METER_EXECUTION_TIME, record->wall_usec },
		{ METER_CPU_ATTRIBUTED, record->cpu_usec },
	};
	char tenant[ID_TEXT_BYTES];
	int r = sqlite_execution_put(sqlite, record, err);

	if (r <= 0 || record->state != RECORD_EXITED)
		return r;
	id_format(&record->tenant, tenant);
	r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(adds); i++)
		if (adds[i].amount > 0)
			r = total_put(sqlite, LEDGER_TOTAL_ADD, tenant, adds[i].meter,
			              adds[i].amount, err);
	return r;
}

static int cursor_get(struct sqlite *sqlite, const char *tenant, enum ledger_meter meter,
                      struct ledger_cursor *ret, struct tn_error *err)
{
	struct db_statement *s = sqlite->ledger[LEDGER_CURSOR_GET];
	int r = db_row(s, DB_VALUES(DB_TEXT(tenant), DB_TEXT(ledger_meter_name(meter))), err);

	if (r < 0)
		return r;
	*ret = (struct ledger_cursor){ .seen = r == 1 };
	if (r == 1) {
		db_text(s, 0, ret->boot_id, sizeof(ret->boot_id));
		ret->cgroup_id = db_int(s, 1);
		ret->raw = db_int(s, 2);
		db_done(s);
	}
	return 0;
}

/* One ledger row and its total; @raw DB_NULL_INT if no counter stands behind it. */
static int delta_book(struct sqlite *sqlite, const struct ledger_sample *sample,
                      enum ledger_meter meter, int64_t raw, int64_t delta, struct tn_error *err)
{
	char tenant[ID_TEXT_BYTES];
	int r;

	id_format(&sample->tenant, tenant);
	r = db_run(sqlite->ledger[LEDGER_INSERT],
	           DB_VALUES(DB_TEXT(tenant), DB_TEXT(ledger_meter_name(meter)),
	                     DB_TEXT(sample->boot_id), DB_INT(sample->cgroup_id), DB_INT(raw),
	                     DB_INT(delta), DB_INT(sample->at)),
	           err);
	if (r == 0)
		r = total_put(sqlite, LEDGER_TOTAL_ADD, tenant, meter, delta, err);
	return r;
}

static int meter_book(struct sqlite *sqlite, const struct ledger_sample *sample,
                      enum ledger_meter meter, struct tn_error *err)
{
	struct ledger_cursor last;
	char tenant[ID_TEXT_BYTES];
	int64_t delta;
	int r;

	if (sample->node != LEDGER_NODE_READ || sample->raw[meter] == LEDGER_ABSENT)
		return 0;
	id_format(&sample->tenant, tenant);
	r = cursor_get(sqlite, tenant, meter, &last, err);
	if (r < 0)
		return r;
	delta = ledger_delta(&last, sample, meter);
	if (delta > 0)
		r = delta_book(sqlite, sample, meter, sample->raw[meter], delta, err);
	else if (!last.seen)
		r = total_put(sqlite, LEDGER_TOTAL_ADD, tenant, meter, 0, err);
	if (r < 0)
		return r;
	if (last.seen && delta == 0 && last.raw == sample->raw[meter] &&
	    last.cgroup_id == sample->cgroup_id && strcmp(last.boot_id, sample->boot_id) == 0)
		return 0;
	return db_run(sqlite->ledger[LEDGER_CURSOR_PUT],
	              DB_VALUES(DB_TEXT(tenant), DB_TEXT(ledger_meter_name(meter)),
	                        DB_TEXT(sample->boot_id), DB_INT(sample->cgroup_id),
	                        DB_INT(sample->raw[meter])),
	              err);
}

/* cpu_time = attributed + running + unattributed, whatever happened in between. */
static int sum_close(struct sqlite *sqlite, const struct ledger_sample *sample,
                     struct tn_error *err)
{
	char tenant[ID_TEXT_BYTES];
	int64_t attributed = 0;
	int64_t total = 0;
	int64_t rest;
	int r;

	if (sample->node == LEDGER_NODE_UNREADABLE)
		return 0;
	id_format(&sample->tenant, tenant);
	r = total_get(sqlite, tenant, METER_CPU_TIME, &total, err);
	if (r == 0)
		r = total_get(sqlite, tenant, METER_CPU_ATTRIBUTED, &attributed, err);
	if (r < 0)
		return r;
	if (total == DB_NULL_INT && attributed == DB_NULL_INT)
		return 0;
	if (total == DB_NULL_INT)
		total = 0;
	if (attributed == DB_NULL_INT)
		attributed = 0;
	rest = total - attributed - sample->running_cpu_usec;
	if (rest < 0) {
		r = delta_book(sqlite, sample, METER_CPU_TIME, DB_NULL_INT, -rest, err);
		if (r < 0)
			return r;
		rest = 0;
	}
	return total_put(sqlite, LEDGER_TOTAL_SET, tenant, METER_CPU_UNATTRIBUTED, rest, err);
}

static int sample_book(struct sqlite *sqlite, const struct ledger_sample *sample,
                       struct tn_error *err)
{
	int r = 0;

	for (int meter = 0; r == 0 && meter < (int)LEDGER_NODE_N; meter++)
		r = meter_book(sqlite, sample, (enum ledger_meter)meter, err);
	return r < 0 ? r : sum_close(sqlite, sample, err);
}

int sqlite_book(struct store *store, const struct store_batch *batch, struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	int r = db_begin(sqlite->db, err);

	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < batch->records_n; i++)
		r = record_book(sqlite, &batch->records[i], err);
	for (size_t i = 0; r >= 0 && i < batch->samples_n; i++)
		r = sample_book(sqlite, &batch->samples[i], err);
	if (r >= 0)
		r = db_commit(sqlite->db, err);
	if (r < 0)
		db_rollback(sqlite->db);
	return r;
}

static int totals_all(struct sqlite *sqlite, const char *tenant, struct store_totals *ret,
                      struct tn_error *err)
{
	int r = 0;

	for (int meter = 0; r == 0 && meter < LEDGER_METERS_N; meter++)
		r = total_get(sqlite, tenant, (enum ledger_meter)meter, &ret->meters[meter],
		              err);
	return r;
}

static int totals_of_node(struct sqlite *sqlite, const char *tenant, int64_t since,
                          int64_t until, struct store_totals *ret, struct tn_error *err)
{
	struct db_statement *s = sqlite->ledger[LEDGER_SUM];

	for (int meter = 0; meter < (int)LEDGER_NODE_N; meter++) {
		int64_t ever;
		int r = total_get(sqlite, tenant, (enum ledger_meter)meter, &ever, err);

		ret->meters[meter] = LEDGER_ABSENT;
		if (r < 0)
			return r;
		if (ever == DB_NULL_INT)
			continue;
		r = db_row(s,
		           DB_VALUES(DB_TEXT(tenant),
		                     DB_TEXT(ledger_meter_name((enum ledger_meter)meter)),
		                     DB_INT(since), DB_INT(until)),
		           err);
		if (r < 0)
			return r;
		ret->meters[meter] = db_int(s, 0) == DB_NULL_INT ? 0 : db_int(s, 0);
		db_done(s);
	}
	return 0;
}

static int totals_of_records(struct sqlite *sqlite, const char *tenant, int64_t since,
                             int64_t until, struct store_totals *ret, struct tn_error *err)
{
	static const enum ledger_meter columns[] = { METER_EXECUTIONS, METER_EXECUTION_TIME,
		                                     METER_CPU_ATTRIBUTED };
	struct db_statement *s = sqlite->ledger[LEDGER_SUM_RECORDS];
	int r = db_row(s, DB_VALUES(DB_TEXT(tenant), DB_INT(since), DB_INT(until)), err);

	if (r < 0)
		return r;
	for (int i = 0; i < (int)ARRAY_LEN(columns); i++)
		ret->meters[columns[i]] = db_int(s, i) == DB_NULL_INT ? 0 : db_int(s, i);
	db_done(s);
	return 0;
}

int sqlite_totals(struct store *store, const struct id *tenant, int64_t since, int64_t until,
                  struct store_totals *ret, struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	struct store_totals totals;
	char text[ID_TEXT_BYTES];
	int r;

	id_format(tenant, text);
	if (since == LEDGER_ABSENT && until == LEDGER_ABSENT) {
		r = totals_all(sqlite, text, &totals, err);
	} else {
		/* A sum over a range is not closed: an execution may lie across its bounds. */
		totals.meters[METER_CPU_UNATTRIBUTED] = LEDGER_ABSENT;
		r = totals_of_node(sqlite, text, since, until, &totals, err);
		if (r == 0)
			r = totals_of_records(sqlite, text, since, until, &totals, err);
	}
	if (r == 0)
		*ret = totals;
	return r;
}
