/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is forgotten: records of executions. What they used is in their hours and in the sums,
 * which are not touched, so that a tenant's usage says the same before and after.
 */
#include "sqlite.h"

#include <base/fd.h>

enum retention_statement {
	RETENTION_EXECUTION_NEXT,
	RETENTION_EXECUTION_DELETE,
	RETENTION_SINCE,
	RETENTION_STATEMENTS_N,
};

static const char *const sql[RETENTION_STATEMENTS_N] = {
	/* In the order of their starts: what began as early and ended later is passed by. */
	[RETENTION_EXECUTION_NEXT] =
		"SELECT started_at, id, tenant FROM executions "
		"WHERE (started_at, id) > (?2, ?3) AND started_at < ?1 AND state = 'exited' "
		"AND coalesce(ended_at, started_at) < ?1 ORDER BY started_at, id LIMIT 1",
	[RETENTION_EXECUTION_DELETE] = "DELETE FROM executions WHERE id = ?1",
	[RETENTION_SINCE] =
		"UPDATE node SET itemized_since = max(ifnull(itemized_since, 0), ?1)",
};

static_assert(RETENTION_STATEMENTS_N <= SQLITE_STATEMENTS_MAX, "room for every statement");

int sqlite_retention_prepare(struct sqlite *sqlite, struct tn_error *err)
{
	return db_prepare(sqlite->db, sql, RETENTION_STATEMENTS_N, sqlite->retention, err);
}

struct past_execution {
	int64_t started_at; /* in the list, of which it is the next after the last one */
	char id[ID_TEXT_BYTES];
	char tenant[ID_TEXT_BYTES];
};

static int execution_next(struct sqlite *sqlite, int64_t before, struct past_execution *past,
                          struct tn_error *err)
{
	struct db_statement *s = sqlite->retention[RETENTION_EXECUTION_NEXT];
	int r = db_row(
		s, DB_VALUES(DB_INT(before), DB_INT(past->started_at), DB_TEXT(past->id)), err);

	if (r != 1)
		return r;
	past->started_at = db_int(s, 0);
	db_text(s, 1, past->id, sizeof(past->id));
	db_text(s, 2, past->tenant, sizeof(past->tenant));
	db_done(s);
	return 1;
}

/* Who is told of each of them. */
struct listener {
	store_pruned_fn *each;
	void *userdata;
};

/* Returns how many have been forgotten. */
static int executions_prune(struct sqlite *sqlite, int64_t before, size_t max,
                            const struct listener *listener, struct tn_error *err)
{
	struct past_execution past = { 0 };
	struct id tenant, id;
	size_t n = 0;
	int r = 0;

	while (n < max && (r = execution_next(sqlite, before, &past, err)) == 1) {
		if (listener->each != NULL && id_parse(past.tenant, &tenant) == 0 &&
		    id_parse(past.id, &id) == 0)
			listener->each(listener->userdata, &tenant, &id);
		r = db_run(sqlite->retention[RETENTION_EXECUTION_DELETE],
		           DB_VALUES(DB_TEXT(past.id)), err);
		if (r < 0)
			break;
		n++;
	}
	if (r >= 0 && n > 0)
		r = db_run(sqlite->retention[RETENTION_SINCE], DB_VALUES(DB_INT(before)), err);
	return r < 0 ? r : (int)n;
}

int sqlite_prune(struct store *store, int64_t before, size_t max, store_pruned_fn *each,
                 void *userdata, struct tn_error *err)
{
	const struct listener listener = { each, userdata };
	struct sqlite *sqlite = sqlite_of(store);
	int executions;
	int r = db_begin(sqlite->db, err);

	if (r < 0)
		return r;
	executions = r = executions_prune(sqlite, before, max, &listener, err);
	if (r >= 0)
		r = db_commit(sqlite->db, err);
	if (r < 0) {
		db_rollback(sqlite->db);
		return r;
	}
	return executions == (int)max;
}
