/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the store remembers of the node itself: one row, which is always there. */
#include "sqlite.h"

enum node_statement {
	NODE_GET,
	NODE_SET,
	NODE_CHECK,
	NODE_STATEMENTS_N,
};

static const char *const sql[NODE_STATEMENTS_N] = {
	[NODE_GET] = "SELECT drained_at, drained_by, itemized_since FROM node",
	[NODE_SET] = "UPDATE node SET drained_at = ?1, drained_by = ?2",
	[NODE_CHECK] = "UPDATE node SET one = one",
};

static_assert(NODE_STATEMENTS_N <= SQLITE_STATEMENTS_MAX, "room for every statement");

int sqlite_node_prepare(struct sqlite *sqlite, struct tn_error *err)
{
	return db_prepare(sqlite->db, sql, NODE_STATEMENTS_N, sqlite->node, err);
}

int sqlite_node_get(struct store *store, struct store_node *ret, struct tn_error *err)
{
	struct db_statement *s = sqlite_of(store)->node[NODE_GET];
	int r = db_row(s, DB_VALUES(DB_END), err);

	if (r < 0)
		return r;
	*ret = (struct store_node){ LEDGER_ABSENT, LEDGER_ABSENT, LEDGER_ABSENT };
	if (r == 1) {
		*ret = (struct store_node){ db_int(s, 0), db_int(s, 1), db_int(s, 2) };
		db_done(s);
	}
	return 0;
}

int sqlite_node_set(struct store *store, const struct store_node *node,
                    const struct event *event, struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	int r = sqlite_begin_durable(sqlite, err);

	if (r < 0)
		return r;
	r = db_run(sqlite->node[NODE_SET],
	           DB_VALUES(DB_INT(node->drained_at), DB_INT(node->drained_by)), err);
	if (r == 0)
		r = sqlite_event_put(sqlite, event, err);
	return sqlite_end(sqlite, r, err);
}

int sqlite_check(struct store *store, struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);

	return db_run_durable(sqlite->db, sqlite->node[NODE_CHECK], DB_VALUES(DB_END), err);
}
