/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sqlite.h"

#include <string.h>

#include <base/fd.h>

enum execution_statement {
	EXECUTION_PUT,
	EXECUTION_BY_ID,
	EXECUTION_NEXT,
	EXECUTION_NEXT_OF_TENANT,
	EXECUTION_NEXT_RUNNING,
	EXECUTION_STATEMENTS_N,
};

/* The numbers' columns come after these, in the order of RECORD_INTS. */
#define COLUMNS_TEXT_N 5
#define COLUMN(name)   ", e." #name
#define SELECT                                                                                 \
	"SELECT e.id, e.tenant, e.state, e.reason, e.policy_hash" RECORD_INTS(                 \
		COLUMN) ", "                                                                   \
			"t.name FROM executions AS e JOIN tenants AS t ON t.id = e.tenant "

/* A place is exclusive; the list goes from new to old, along an index. */
#define AFTER_PLACE "(e.started_at, e.id) < (?1, ?2) "
#define WITHIN                                                                                 \
	"AND (?4 IS NULL OR e.state = ?4) "                                                    \
	"AND (?5 IS NULL OR e.ended_at >= ?5 OR e.ended_at IS NULL) "                          \
	"AND (?6 IS NULL OR e.started_at < ?6) "                                               \
	"ORDER BY e.started_at DESC, e.id DESC LIMIT 1"

#define INSERT_COLUMN(name) ", " #name
#define INSERT_VALUE(name)  ", ?"
#define UPDATE_COLUMN(name) ", " #name " = excluded." #name

static const char *const sql[EXECUTION_STATEMENTS_N] = {
	/* The first record that says "exited" stands: what is repeated changes nothing. */
	[EXECUTION_PUT] =
		"INSERT INTO executions (id, tenant, state, reason, policy_hash" RECORD_INTS(INSERT_COLUMN) ") VALUES (?, ?, ?, ?, ?" RECORD_INTS(
			INSERT_VALUE) ") "
				      "ON CONFLICT (id) DO UPDATE SET state = excluded.state, "
				      "reason = excluded.reason" RECORD_INTS(
					      UPDATE_COLUMN) " WHERE executions.state = "
							     "'running' AND excluded.state = "
							     "'exited'",
	[EXECUTION_BY_ID] = SELECT "WHERE e.id = ?1",
	[EXECUTION_NEXT] = SELECT "WHERE " AFTER_PLACE WITHIN,
	[EXECUTION_NEXT_OF_TENANT] = SELECT "WHERE e.tenant = ?3 AND " AFTER_PLACE WITHIN,
	[EXECUTION_NEXT_RUNNING] = SELECT "WHERE e.state = 'running' AND " AFTER_PLACE
					  "AND (?3 IS NULL OR e.tenant = ?3) " WITHIN,
};

static_assert(EXECUTION_STATEMENTS_N <= SQLITE_STATEMENTS_MAX, "room for every statement");

int sqlite_executions_prepare(struct sqlite *sqlite, struct tn_error *err)
{
	return db_prepare(sqlite->db, sql, EXECUTION_STATEMENTS_N, sqlite->executions, err);
}

int sqlite_execution_put(struct sqlite *sqlite, const struct record *record,
                         struct tn_error *err)
{
	struct db_value values[COLUMNS_TEXT_N + RECORD_INTS_N + 1];
	char tenant[ID_TEXT_BYTES];
	char id[ID_TEXT_BYTES];
	size_t n = 0;
	int r;

	id_format(&record->id, id);
	id_format(&record->tenant, tenant);
	values[n++] = DB_TEXT(id);
	values[n++] = DB_TEXT(tenant);
	values[n++] = DB_TEXT(record_state_name(record->state));
	values[n++] = DB_TEXT(record_reason_name(record->reason));
	values[n++] = DB_TEXT(record->policy_hash);
	for (size_t i = 0; i < RECORD_INTS_N; i++)
		values[n++] = DB_INT(record_int_get(record, i));
	values[n] = DB_END;

	r = db_run(sqlite->executions[EXECUTION_PUT], values, err);
	if (r < 0)
		return err_wrap(err, r, "execution %s", id);
	return db_changes(sqlite->db) > 0;
}

static int execution_read(struct db_statement *s, struct record *ret, struct tn_error *err)
{
	char text[3][ID_TEXT_BYTES];
	const char *reason = db_text_borrow(s, 3);
	int parsed[2];

	record_init(ret);
	for (int i = 0; i < 3; i++)
		db_text(s, i, text[i], sizeof(text[i]));
	parsed[0] = record_state_parse(text[2]);
	parsed[1] = reason == NULL ? (int)REASON_NONE : record_reason_parse(reason);
	if (id_parse(text[0], &ret->id) < 0 || id_parse(text[1], &ret->tenant) < 0 ||
	    parsed[0] < 0 || parsed[1] < 0)
		return err_set(err, TN_SYSTEM, EBADMSG, "the row of execution %s is damaged",
		               text[0]);
	ret->state = (enum record_state)parsed[0];
	ret->reason = (enum record_reason)parsed[1];
	db_text(s, 4, ret->policy_hash, sizeof(ret->policy_hash));
	for (size_t i = 0; i < RECORD_INTS_N; i++)
		*record_int(ret, i) = db_int(s, COLUMNS_TEXT_N + (int)i);
	db_text(s, COLUMNS_TEXT_N + (int)RECORD_INTS_N, ret->tenant_name,
	        sizeof(ret->tenant_name));
	return 1;
}

static int execution_select(struct db_statement *s, const struct db_value *values,
                            struct record *ret, struct tn_error *err)
{
	struct record record;
	int r = db_row(s, values, err);

	if (r != 1)
		return r;
	r = execution_read(s, &record, err);
	db_done(s);
	if (r == 1)
		*ret = record;
	return r;
}

int sqlite_execution_by_id(struct store *store, const struct id *id, struct record *ret,
                           struct tn_error *err)
{
	char text[ID_TEXT_BYTES];

	id_format(id, text);
	return execution_select(sqlite_of(store)->executions[EXECUTION_BY_ID],
	                        DB_VALUES(DB_TEXT(text)), ret, err);
}

int sqlite_execution_next(struct store *store, const struct store_selection *selection,
                          struct store_place *place, struct record *ret, struct tn_error *err)
{
	enum execution_statement which = EXECUTION_NEXT;
	char tenant[ID_TEXT_BYTES];
	char id[ID_TEXT_BYTES];
	const char *state = NULL;
	int r;

	if (selection->tenant != NULL) {
		id_format(selection->tenant, tenant);
		which = EXECUTION_NEXT_OF_TENANT;
	}
	if (selection->state != RECORD_STATES_N)
		state = record_state_name(selection->state);
	if (selection->state == RECORD_RUNNING)
		which = EXECUTION_NEXT_RUNNING;
	id_format(&place->id, id);
	/* No id sorts behind "~": before the first, everything is after the place. */
	if (!place->begun)
		(void)snprintf(id, sizeof(id), "~");

	r = execution_select(
		sqlite_of(store)->executions[which],
		DB_VALUES(DB_INT(place->begun ? place->started_at : INT64_MAX), DB_TEXT(id),
	                  DB_TEXT(selection->tenant != NULL ? tenant : NULL), DB_TEXT(state),
	                  DB_INT(selection->since), DB_INT(selection->until)),
		ret, err);
	if (r == 1)
		*place = (struct store_place){ true, ret->started_at, ret->id };
	return r;
}
