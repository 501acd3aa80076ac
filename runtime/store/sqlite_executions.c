/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sqlite.h"

#include <string.h>

#include <base/fd.h>

enum execution_statement {
	EXECUTION_INSERT,
	EXECUTION_END,
	EXECUTION_BY_ID,
	EXECUTION_BY_PREFIX,
	EXECUTION_BY_NAME,
	EXECUTION_RUNNING_BY_NAME,
	EXECUTION_NEXT,
	EXECUTION_NEXT_OF_TENANT,
	EXECUTION_NEXT_FROM_BEFORE,
	EXECUTION_NEXT_RUNNING,
	EXECUTION_STATEMENTS_N,
};

/* The numbers' columns come after these, in the order of RECORD_INTS. */
#define COLUMNS_TEXT_N 7
#define COLUMN(name)   ", e." #name
#define SELECT                                                                                 \
	"SELECT e.id, e.tenant, e.state, e.reason, e.policy_hash, e.name, "                    \
	"e.joins" RECORD_INTS(                                                                 \
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

#define COLUMNS_PUT                                                                            \
	"id, tenant, state, reason, policy_hash, name, joins" RECORD_INTS(INSERT_COLUMN)
#define VALUES_PUT  RECORD_INTS(INSERT_VALUE)
#define CHANGES_PUT RECORD_INTS(UPDATE_COLUMN)

static const char *const sql[EXECUTION_STATEMENTS_N] = {
	[EXECUTION_INSERT] = "INSERT INTO executions (" COLUMNS_PUT
			     ") VALUES (?, ?, ?, ?, ?, ?, ?" VALUES_PUT
			     ") ON CONFLICT (id) DO NOTHING",
	/* The first record that says "exited" stands: what is repeated changes nothing. */
	[EXECUTION_END] = "INSERT INTO executions (" COLUMNS_PUT
			  ") VALUES (?, ?, ?, ?, ?, ?, ?" VALUES_PUT
			  ") ON CONFLICT (id) DO UPDATE SET state = excluded.state, reason = "
			  "excluded.reason" CHANGES_PUT " WHERE executions.state = 'running'",
	[EXECUTION_BY_ID] = SELECT "WHERE e.id = ?1",
	/* No id sorts behind one that goes on with "~". */
	[EXECUTION_BY_PREFIX] =
		"SELECT id, tenant FROM executions WHERE id > ?1 AND id < ?2 || '~' "
		"ORDER BY id LIMIT 1",
	[EXECUTION_BY_NAME] =
		"SELECT id, tenant FROM executions WHERE tenant = ?1 AND name = ?2 "
		"ORDER BY started_at DESC, id DESC LIMIT 1",
	/* Few run, while as many as there are may have had that name. */
	[EXECUTION_RUNNING_BY_NAME] = "SELECT id, tenant FROM executions WHERE state = "
				      "'running' AND started_at >= 0 AND +tenant = ?1 AND "
				      "+name = ?2 ORDER BY started_at DESC, id DESC LIMIT 1",
	[EXECUTION_NEXT] = SELECT "WHERE " AFTER_PLACE WITHIN,
	[EXECUTION_NEXT_OF_TENANT] = SELECT
	"WHERE e.tenant = ?3 AND " AFTER_PLACE
	"AND e.started_at >= ?5 AND (?4 IS NULL OR e.state = ?4) "
	"AND (?6 IS NULL OR e.started_at < ?6) "
	"ORDER BY e.started_at DESC, e.id DESC LIMIT 1",
	/* What began before a time and had not ended by then, each kind along its index. */
	[EXECUTION_NEXT_FROM_BEFORE] = SELECT
	"WHERE e.id = (SELECT id FROM ("
	"SELECT started_at, id FROM executions INDEXED BY executions_by_end "
	"WHERE tenant = ?3 AND state = 'exited' "
	"AND ended_at >= ?5 AND started_at < ?5 AND (started_at, id) < (?1, ?2) UNION ALL "
	"SELECT started_at, id FROM executions INDEXED BY executions_by_end "
	"WHERE tenant = ?3 AND state = 'exited' "
	"AND ended_at IS NULL AND started_at < ?5 AND (started_at, id) < (?1, ?2) UNION ALL "
	"SELECT started_at, id FROM executions INDEXED BY executions_running "
	"WHERE tenant = ?3 AND state = 'running' "
	"AND started_at < ?5 AND (started_at, id) < (?1, ?2)) "
	"ORDER BY started_at DESC, id DESC LIMIT 1) "
	"AND (?4 IS NULL OR e.state = ?4) AND (?6 IS NULL OR e.started_at < ?6)",
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
	char joins[ID_TEXT_BYTES];
	size_t n = 0;
	int r;

	id_format(&record->id, id);
	id_format(&record->tenant, tenant);
	id_format(&record->joins, joins);
	values[n++] = DB_TEXT(id);
	values[n++] = DB_TEXT(tenant);
	values[n++] = DB_TEXT(record_state_name(record->state));
	values[n++] = DB_TEXT(record_reason_name(record->reason));
	values[n++] = DB_TEXT(record->policy_hash);
	values[n++] = DB_TEXT(record->name[0] != '\0' ? record->name : NULL);
	values[n++] = DB_TEXT(id_is_none(&record->joins) ? NULL : joins);
	for (size_t i = 0; i < RECORD_INTS_N; i++)
		values[n++] = DB_INT(record_int_get(record, i));
	values[n] = DB_END;

	r = db_run(sqlite->executions[EXECUTION_INSERT], values, err);
	if (r < 0)
		return err_wrap(err, r, "execution %s", id);
	if (db_changes(sqlite->db) > 0)
		return EXECUTION_NEW;
	if (record->state != RECORD_EXITED)
		return EXECUTION_KNOWN;
	r = db_run(sqlite->executions[EXECUTION_END], values, err);
	if (r < 0)
		return err_wrap(err, r, "execution %s", id);
	return db_changes(sqlite->db) > 0 ? EXECUTION_RUNNING : EXECUTION_KNOWN;
}

static int execution_read(struct db_statement *s, struct record *ret, struct tn_error *err)
{
	char text[3][ID_TEXT_BYTES];
	const char *reason = db_text_borrow(s, 3), *joins = db_text_borrow(s, 6);
	int parsed[2];

	record_init(ret);
	for (int i = 0; i < 3; i++)
		db_text(s, i, text[i], sizeof(text[i]));
	parsed[0] = record_state_parse(text[2]);
	parsed[1] = reason == NULL ? (int)REASON_NONE : record_reason_parse(reason);
	if (id_parse(text[0], &ret->id) < 0 || id_parse(text[1], &ret->tenant) < 0 ||
	    (joins != NULL && id_parse(joins, &ret->joins) < 0) || parsed[0] < 0 ||
	    parsed[1] < 0)
		return err_set(err, TN_SYSTEM, EBADMSG, "the row of execution %s is damaged",
		               text[0]);
	ret->state = (enum record_state)parsed[0];
	ret->reason = (enum record_reason)parsed[1];
	db_text(s, 4, ret->policy_hash, sizeof(ret->policy_hash));
	db_text(s, 5, ret->name, sizeof(ret->name));
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

static int id_select(struct db_statement *s, const struct db_value *values, struct id *ret,
                     struct id *ret_tenant, struct tn_error *err)
{
	char text[2][ID_TEXT_BYTES];
	int r = db_row(s, values, err);

	if (r != 1)
		return r;
	for (int i = 0; i < 2; i++)
		db_text(s, i, text[i], sizeof(text[i]));
	db_done(s);
	if (id_parse(text[0], ret) < 0 || id_parse(text[1], ret_tenant) < 0)
		return err_set(err, TN_SYSTEM, EBADMSG, "the row of execution %s is damaged",
		               text[0]);
	return 1;
}

int sqlite_execution_by_prefix(struct store *store, const char *prefix, const char *after,
                               struct id *ret, struct id *ret_tenant, struct tn_error *err)
{
	return id_select(sqlite_of(store)->executions[EXECUTION_BY_PREFIX],
	                 DB_VALUES(DB_TEXT(after), DB_TEXT(prefix)), ret, ret_tenant, err);
}

int sqlite_execution_by_name(struct store *store, const struct id *tenant, const char *name,
                             bool running, struct id *ret, struct tn_error *err)
{
	const enum execution_statement which = running ? EXECUTION_RUNNING_BY_NAME
	                                               : EXECUTION_BY_NAME;
	char text[ID_TEXT_BYTES];
	struct id same;

	id_format(tenant, text);
	return id_select(sqlite_of(store)->executions[which],
	                 DB_VALUES(DB_TEXT(text), DB_TEXT(name)), ret, &same, err);
}

/* The next of @which after @place, which moves on. */
static int next_of(struct store *store, enum execution_statement which,
                   const struct store_selection *selection, struct store_place *place,
                   struct record *ret, struct tn_error *err)
{
	char tenant[ID_TEXT_BYTES];
	char id[ID_TEXT_BYTES] = "";
	const char *state = NULL;
	int64_t at = place->started_at;
	int64_t since = selection->since;
	int r;

	if (selection->tenant != NULL)
		id_format(selection->tenant, tenant);
	if (selection->state != RECORD_STATES_N)
		state = record_state_name(selection->state);
	if (place->begun)
		id_format(&place->id, id);
	else
		/* No id sorts before "": what began before then is after the place. */
		at = selection->until != LEDGER_ABSENT ? selection->until : INT64_MAX;
	if (which == EXECUTION_NEXT_OF_TENANT && since == LEDGER_ABSENT)
		since = 0;

	r = execution_select(sqlite_of(store)->executions[which],
	                     DB_VALUES(DB_INT(at), DB_TEXT(id),
	                               DB_TEXT(selection->tenant != NULL ? tenant : NULL),
	                               DB_TEXT(state), DB_INT(since), DB_INT(selection->until)),
	                     ret, err);
	if (r == 1)
		*place = (struct store_place){ true, ret->started_at, ret->id };
	return r;
}

int sqlite_execution_next(struct store *store, const struct store_selection *selection,
                          struct store_place *place, struct record *ret, struct tn_error *err)
{
	int r;

	if (selection->state == RECORD_RUNNING)
		return next_of(store, EXECUTION_NEXT_RUNNING, selection, place, ret, err);
	if (selection->tenant == NULL)
		return next_of(store, EXECUTION_NEXT, selection, place, ret, err);
	r = next_of(store, EXECUTION_NEXT_OF_TENANT, selection, place, ret, err);
	if (r == 0 && selection->since != LEDGER_ABSENT)
		r = next_of(store, EXECUTION_NEXT_FROM_BEFORE, selection, place, ret, err);
	return r;
}
