/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What applications meter: sums, amounts, what is held and reserved, and what was answered.
 *
 * All writes are differences, so that what an execution's end gives back and what is counted in
 * the same turn of the loop cannot undo each other. The tables refuse what would be less than
 * nothing.
 */
#include "sqlite.h"

#include <string.h>

#include <base/fd.h>

enum metering_statement {
	METERED_GET,
	METERED_SUM,
	METERED_NEXT,
	METERED_HOUR_NEXT,
	METERED_TOTAL_ADD,
	METERED_HOUR_ADD,
	METERED_HELD_ADD,
	METERED_HELD_TAKE,
	METERED_TOLD,
	HOLDING_GET,
	HOLDING_ADD,
	HOLDING_TAKE,
	HOLDING_NEXT,
	HOLDING_DELETE,
	RESERVATION_GET,
	RESERVATION_NEXT,
	RESERVATION_PUT,
	RESERVATION_DELETE,
	KEY_GET,
	KEY_PUT,
	KEYS_PRUNE,
	METERING_STATEMENTS_N,
};

#define RESERVATION_COLUMNS                                                                    \
	"id, tenant, meter, amount, lease, expires_at, boot_id, expires_boottime"
#define KEY_COLUMNS "tenant, key, op, meter, amount, at, max, used, reserved, reservation"

static const char *const sql[METERING_STATEMENTS_N] = {
	/* clang-format off */
	[METERED_GET] = "SELECT total, held, told_since, told_percent FROM metered "
		"WHERE tenant = ?1 AND meter = ?2",
	[METERED_SUM] = "SELECT coalesce(sum(amount), 0) FROM metered_hours "
		"WHERE tenant = ?1 AND meter = ?2 AND at >= ?3 AND at < ?4",
	[METERED_NEXT] = "SELECT meter FROM metered WHERE tenant = ?1 AND meter > ?2 "
		"ORDER BY meter LIMIT 1",
	[METERED_HOUR_NEXT] = "SELECT at, amount FROM metered_hours WHERE tenant = ?1 "
		"AND meter = ?2 AND at >= ?3 AND at < ?4 ORDER BY at LIMIT 1",
	[METERED_TOTAL_ADD] = "INSERT INTO metered (tenant, meter, total, held) "
		"VALUES (?1, ?2, ?3, 0) ON CONFLICT (tenant, meter) "
		"DO UPDATE SET total = total + excluded.total",
	[METERED_HOUR_ADD] = "INSERT INTO metered_hours (tenant, meter, at, amount) "
		"VALUES (?1, ?2, ?4, ?3) ON CONFLICT (tenant, meter, at) "
		"DO UPDATE SET amount = amount + excluded.amount",
	[METERED_HELD_ADD] = "INSERT INTO metered (tenant, meter, total, held) "
		"VALUES (?1, ?2, 0, ?3) ON CONFLICT (tenant, meter) "
		"DO UPDATE SET held = held + excluded.held",
	[METERED_HELD_TAKE] = "UPDATE metered SET held = held - ?3 "
		"WHERE tenant = ?1 AND meter = ?2",
	[METERED_TOLD] = "INSERT INTO metered (tenant, meter, total, held, told_since, "
		"told_percent) VALUES (?1, ?2, 0, 0, ?3, ?4) ON CONFLICT (tenant, meter) "
		"DO UPDATE SET told_since = excluded.told_since, "
		"told_percent = excluded.told_percent",
	[HOLDING_GET] = "SELECT amount FROM holdings WHERE execution = ?1 AND meter = ?2",
	[HOLDING_ADD] = "INSERT INTO holdings (execution, meter, tenant, amount) "
		"VALUES (?4, ?2, ?1, ?3) ON CONFLICT (execution, meter) "
		"DO UPDATE SET amount = amount + excluded.amount",
	[HOLDING_TAKE] = "UPDATE holdings SET amount = amount - ?3 "
		"WHERE execution = ?4 AND meter = ?2 AND tenant = ?1",
	[HOLDING_NEXT] = "SELECT tenant, meter, amount FROM holdings WHERE execution = ?1 "
		"AND meter > ?2 ORDER BY meter LIMIT 1",
	[HOLDING_DELETE] = "DELETE FROM holdings WHERE execution = ?1",
	[RESERVATION_GET] = "SELECT " RESERVATION_COLUMNS " FROM reservations WHERE id = ?1",
	[RESERVATION_NEXT] = "SELECT " RESERVATION_COLUMNS " FROM reservations "
		"WHERE tenant = ?1 AND meter = ?2 AND id > ?3 ORDER BY id LIMIT 1",
	[RESERVATION_PUT] = "INSERT INTO reservations (" RESERVATION_COLUMNS ") "
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[RESERVATION_DELETE] = "DELETE FROM reservations WHERE id = ?1",
	[KEY_GET] = "SELECT " KEY_COLUMNS " FROM metering_keys "
		"WHERE tenant = ?1 AND key = ?2",
	/* One that is too old to be answered from may be used again. */
	[KEY_PUT] = "INSERT OR REPLACE INTO metering_keys (" KEY_COLUMNS ") "
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
	[KEYS_PRUNE] = "DELETE FROM metering_keys WHERE (tenant, key) IN "
		"(SELECT tenant, key FROM metering_keys WHERE at < ?1 ORDER BY at LIMIT ?2)",
	/* clang-format on */
};

static_assert(METERING_STATEMENTS_N <= SQLITE_STATEMENTS_MAX, "room for every statement");

int sqlite_metering_prepare(struct sqlite *sqlite, struct tn_error *err)
{
	return db_prepare(sqlite->db, sql, METERING_STATEMENTS_N, sqlite->metering, err);
}

int sqlite_metered_get(struct store *store, const struct id *tenant, const char *meter,
                       const struct store_range *range, struct metered *ret, int64_t *ret_used,
                       struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	struct db_statement *s = sqlite->metering[METERED_GET];
	struct metered metered = { 0 };
	char text[ID_TEXT_BYTES];
	int r;

	id_format(tenant, text);
	r = db_row(s, DB_VALUES(DB_TEXT(text), DB_TEXT(meter)), err);
	if (r < 0)
		return r;
	if (r == 1) {
		metered = (struct metered){ db_int(s, 0), db_int(s, 1), db_int(s, 2),
			                    db_int(s, 3) };
		db_done(s);
	}
	s = sqlite->metering[METERED_SUM];
	r = db_row(s,
	           DB_VALUES(DB_TEXT(text), DB_TEXT(meter), DB_INT(range->since),
	                     DB_INT(range->until)),
	           err);
	if (r < 0)
		return r;
	*ret_used = db_int(s, 0);
	db_done(s);
	*ret = metered;
	return 0;
}

int sqlite_metered_next(struct store *store, const struct id *tenant, const char *after,
                        char ret[METER_NAME_BYTES_MAX], struct tn_error *err)
{
	struct db_statement *s = sqlite_of(store)->metering[METERED_NEXT];
	char text[ID_TEXT_BYTES];
	int r;

	id_format(tenant, text);
	r = db_row(s, DB_VALUES(DB_TEXT(text), DB_TEXT(after)), err);
	if (r != 1)
		return r;
	db_text(s, 0, ret, METER_NAME_BYTES_MAX);
	db_done(s);
	return 1;
}

int sqlite_metered_hour_next(struct store *store, const struct id *tenant, const char *meter,
                             const struct store_range *range, int64_t *ret, int64_t *ret_amount,
                             struct tn_error *err)
{
	struct db_statement *s = sqlite_of(store)->metering[METERED_HOUR_NEXT];
	char text[ID_TEXT_BYTES];
	int r;

	id_format(tenant, text);
	r = db_row(s,
	           DB_VALUES(DB_TEXT(text), DB_TEXT(meter), DB_INT(range->since),
	                     DB_INT(range->until)),
	           err);
	if (r != 1)
		return r;
	*ret = db_int(s, 0);
	*ret_amount = db_int(s, 1);
	db_done(s);
	return 1;
}

/* The row that @s is at, which is done then. */
static int reservation_read(struct db_statement *s, struct reservation *ret,
                            struct tn_error *err)
{
	struct reservation reservation = { .amount = db_int(s, 3),
		                           .lease = db_int(s, 4) != 0,
		                           .expires_at = db_int(s, 5),
		                           .expires_boottime = db_int(s, 7) };
	char id[ID_TEXT_BYTES], tenant[ID_TEXT_BYTES];

	db_text(s, 0, id, sizeof(id));
	db_text(s, 1, tenant, sizeof(tenant));
	db_text(s, 2, reservation.meter, sizeof(reservation.meter));
	db_text(s, 6, reservation.boot_id, sizeof(reservation.boot_id));
	db_done(s);
	if (id_parse(id, &reservation.id) < 0 || id_parse(tenant, &reservation.tenant) < 0)
		return err_set(err, TN_SYSTEM, EIO, "a reservation in the store has no id");
	*ret = reservation;
	return 1;
}

int sqlite_reservation_get(struct store *store, const struct id *id, struct reservation *ret,
                           struct tn_error *err)
{
	struct db_statement *s = sqlite_of(store)->metering[RESERVATION_GET];
	char text[ID_TEXT_BYTES];
	int r;

	id_format(id, text);
	r = db_row(s, DB_VALUES(DB_TEXT(text)), err);
	return r != 1 ? r : reservation_read(s, ret, err);
}

int sqlite_reservation_next(struct store *store, const struct id *tenant, const char *meter,
                            const struct id *after, struct reservation *ret,
                            struct tn_error *err)
{
	struct db_statement *s = sqlite_of(store)->metering[RESERVATION_NEXT];
	char text[ID_TEXT_BYTES], from[ID_TEXT_BYTES] = "";
	int r;

	id_format(tenant, text);
	if (after != NULL)
		id_format(after, from);
	r = db_row(s, DB_VALUES(DB_TEXT(text), DB_TEXT(meter), DB_TEXT(from)), err);
	return r != 1 ? r : reservation_read(s, ret, err);
}

int sqlite_holding_get(struct store *store, const struct id *execution, const char *meter,
                       int64_t *ret, struct tn_error *err)
{
	struct db_statement *s = sqlite_of(store)->metering[HOLDING_GET];
	char text[ID_TEXT_BYTES];
	int r;

	id_format(execution, text);
	r = db_row(s, DB_VALUES(DB_TEXT(text), DB_TEXT(meter)), err);
	if (r < 0)
		return r;
	*ret = r == 1 ? db_int(s, 0) : 0;
	if (r == 1)
		db_done(s);
	return 0;
}

static int op_parse(const char *name)
{
	for (int op = 0; op < METERING_OPS_N; op++)
		if (strcmp(metering_op_name((enum metering_op)op), name) == 0)
			return op;
	return -EINVAL;
}

int sqlite_metering_key_get(struct store *store, const struct id *tenant, const char *key,
                            struct metering_key *ret, struct tn_error *err)
{
	struct db_statement *s = sqlite_of(store)->metering[KEY_GET];
	struct metering_key found = { .tenant = *tenant };
	char text[ID_TEXT_BYTES], op_name[16];
	int op;
	int r;

	id_format(tenant, text);
	r = db_row(s, DB_VALUES(DB_TEXT(text), DB_TEXT(key)), err);
	if (r != 1)
		return r;
	db_text(s, 1, found.key, sizeof(found.key));
	db_text(s, 2, op_name, sizeof(op_name));
	db_text(s, 3, found.meter, sizeof(found.meter));
	found.amount = db_int(s, 4);
	found.at = db_int(s, 5);
	found.limit = db_int(s, 6);
	found.used = db_int(s, 7);
	found.reserved = db_int(s, 8);
	db_text(s, 9, text, sizeof(text));
	db_done(s);
	op = op_parse(op_name);
	if (op < 0 || (text[0] != '\0' && id_parse(text, &found.reservation) < 0))
		return err_set(err, TN_SYSTEM, EIO, "an answer in the store is none");
	found.op = (enum metering_op)op;
	*ret = found;
	return 1;
}

static int amount_write(struct sqlite *sqlite, const char *tenant,
                        const struct metering_write *write, struct tn_error *err)
{
	int r = db_run(sqlite->metering[METERED_TOTAL_ADD],
	               DB_VALUES(DB_TEXT(tenant), DB_TEXT(write->meter), DB_INT(write->delta)),
	               err);

	if (r < 0)
		return r;
	return db_run(sqlite->metering[METERED_HOUR_ADD],
	              DB_VALUES(DB_TEXT(tenant), DB_TEXT(write->meter), DB_INT(write->delta),
	                        DB_INT(write->at)),
	              err);
}

/* A parameter that is negative would be NULL. */
static int held_add(struct sqlite *sqlite, const char *tenant, const char *meter, int64_t delta,
                    struct tn_error *err)
{
	const enum metering_statement which = delta < 0 ? METERED_HELD_TAKE : METERED_HELD_ADD;

	return db_run(
		sqlite->metering[which],
		DB_VALUES(DB_TEXT(tenant), DB_TEXT(meter), DB_INT(delta < 0 ? -delta : delta)),
		err);
}

static int held_write(struct sqlite *sqlite, const char *tenant,
                      const struct metering_write *write, struct tn_error *err)
{
	const int64_t delta = write->delta;
	char execution[ID_TEXT_BYTES];
	int r = held_add(sqlite, tenant, write->meter, delta, err);

	if (r < 0 || id_is_none(&write->execution))
		return r;
	id_format(&write->execution, execution);
	return db_run(sqlite->metering[delta < 0 ? HOLDING_TAKE : HOLDING_ADD],
	              DB_VALUES(DB_TEXT(tenant), DB_TEXT(write->meter),
	                        DB_INT(delta < 0 ? -delta : delta), DB_TEXT(execution)),
	              err);
}

static int reservation_write(struct sqlite *sqlite, const char *tenant,
                             const struct reservation *reservation, struct tn_error *err)
{
	char id[ID_TEXT_BYTES];

	id_format(&reservation->id, id);
	return db_run(sqlite->metering[RESERVATION_PUT],
	              DB_VALUES(DB_TEXT(id), DB_TEXT(tenant), DB_TEXT(reservation->meter),
	                        DB_INT(reservation->amount), DB_INT(reservation->lease),
	                        DB_INT(reservation->expires_at), DB_TEXT(reservation->boot_id),
	                        DB_INT(reservation->expires_boottime)),
	              err);
}

static int key_write(struct sqlite *sqlite, const char *tenant, const struct metering_key *key,
                     struct tn_error *err)
{
	char reservation[ID_TEXT_BYTES];
	const bool any = !id_is_none(&key->reservation);

	id_format(&key->reservation, reservation);
	return db_run(sqlite->metering[KEY_PUT],
	              DB_VALUES(DB_TEXT(tenant), DB_TEXT(key->key),
	                        DB_TEXT(metering_op_name(key->op)), DB_TEXT(key->meter),
	                        DB_INT(key->amount), DB_INT(key->at), DB_INT(key->limit),
	                        DB_INT(key->used), DB_INT(key->reserved),
	                        DB_TEXT(any ? reservation : NULL)),
	              err);
}

static int write_one(struct sqlite *sqlite, const struct metering_write *write,
                     struct tn_error *err)
{
	char tenant[ID_TEXT_BYTES], id[ID_TEXT_BYTES];

	id_format(&write->tenant, tenant);
	switch (write->kind) {
	case METERING_AMOUNT:
		return amount_write(sqlite, tenant, write, err);
	case METERING_HELD:
		return held_write(sqlite, tenant, write, err);
	case METERING_TOLD:
		return db_run(sqlite->metering[METERED_TOLD],
		              DB_VALUES(DB_TEXT(tenant), DB_TEXT(write->meter),
		                        DB_INT(write->told_since), DB_INT(write->told_percent)),
		              err);
	case METERING_RESERVED:
		return reservation_write(sqlite, tenant, &write->reservation, err);
	case METERING_UNRESERVED:
		id_format(&write->reservation.id, id);
		return db_run(sqlite->metering[RESERVATION_DELETE], DB_VALUES(DB_TEXT(id)),
		              err);
	case METERING_KEPT:
		return key_write(sqlite, tenant, &write->key, err);
	}
	return err_set(err, TN_SYSTEM, EINVAL, "no such write");
}

int sqlite_meter(struct store *store, const struct metering_write *writes, size_t writes_n,
                 const struct event *events, size_t events_n, struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	int r = sqlite_begin(sqlite, err);

	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < writes_n; i++)
		r = write_one(sqlite, &writes[i], err);
	for (size_t i = 0; r >= 0 && i < events_n; i++)
		r = sqlite_event_put(sqlite, &events[i], err);
	return sqlite_end(sqlite, r < 0 ? r : 0, err);
}

int sqlite_metering_keys_prune(struct store *store, int64_t before, size_t max,
                               struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	int r = db_run(sqlite->metering[KEYS_PRUNE],
	               DB_VALUES(DB_INT(before), DB_INT((int64_t)max)), err);

	return r < 0 ? r : db_changes(sqlite->db) == (int64_t)max;
}

int sqlite_holdings_release(struct sqlite *sqlite, const struct id *execution,
                            struct tn_error *err)
{
	struct db_statement *next = sqlite->metering[HOLDING_NEXT];
	char id[ID_TEXT_BYTES], tenant[ID_TEXT_BYTES];
	char meter[METER_NAME_BYTES_MAX] = "";
	bool any = false;
	int r;

	id_format(execution, id);
	while ((r = db_row(next, DB_VALUES(DB_TEXT(id), DB_TEXT(meter)), err)) == 1) {
		int64_t amount = db_int(next, 2);

		db_text(next, 0, tenant, sizeof(tenant));
		db_text(next, 1, meter, sizeof(meter));
		db_done(next);
		any = true;
		r = held_add(sqlite, tenant, meter, -amount, err);
		if (r < 0)
			return r;
	}
	if (r < 0 || !any)
		return r;
	return db_run(sqlite->metering[HOLDING_DELETE], DB_VALUES(DB_TEXT(id)), err);
}
