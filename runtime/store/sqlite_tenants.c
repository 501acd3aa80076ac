/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sqlite.h"

#include <stdlib.h>
#include <string.h>

#include <base/fd.h>

enum tenant_statement {
	TENANT_INSERT,
	TENANT_UPDATE,
	TENANT_DELETE,
	TENANT_BY_ID,
	TENANT_BY_NAME,
	TENANT_DELETED_BY_NAME,
	TENANT_NEXT,
	TENANT_OVERRIDDEN_NEXT,
	TENANT_OPERATED_NEXT,
	TENANT_UNSETTLED_NEXT,
	TENANT_TIER_NEXT,
	TENANT_COUNT,
	TERMS_PUT,
	TERMS_DELETE,
	TERMS_NEXT,
	TENANT_STATEMENTS_N,
};

#define COLUMNS                                                                                \
	"id, name, display_name, status, tier, metadata, billing_anchor_day, time_zone, "      \
	"currency, customer_id, version, created_at, updated_at, policy_hash, cgroup, "        \
	"uid_first, uid_count, storage_path, overrides, operators"

/* What is read of one: the last of its terms are those that it has. */
#define SELECTED                                                                               \
	COLUMNS ", coalesce((SELECT max(since) FROM terms WHERE tenant = id), created_at)"

static const char *const sql[TENANT_STATEMENTS_N] = {
	[TENANT_INSERT] = ("INSERT INTO tenants (" COLUMNS ") VALUES "
	                   "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, "
	                   "?16, ?17, ?18, ?19, ?20)"),
	[TENANT_UPDATE] = "UPDATE tenants SET name = ?2, display_name = ?3, status = ?4, "
			  "tier = ?5, metadata = ?6, billing_anchor_day = ?7, time_zone = ?8, "
			  "currency = ?9, customer_id = ?10, version = ?11 + 1, "
			  "created_at = ?12, updated_at = ?13, policy_hash = ?14, "
			  "cgroup = ?15, uid_first = ?16, uid_count = ?17, storage_path = ?18, "
			  "overrides = ?19, operators = ?20 "
			  "WHERE id = ?1 AND version = ?11",
	[TENANT_DELETE] = "DELETE FROM tenants WHERE id = ?1",
	[TENANT_BY_ID] = "SELECT " SELECTED " FROM tenants WHERE id = ?1",
	[TENANT_BY_NAME] = "SELECT " SELECTED
			   " FROM tenants WHERE name = ?1 AND status <> 'deleted'",
	[TENANT_DELETED_BY_NAME] = "SELECT " SELECTED
				   " FROM tenants WHERE name = ?1 AND status = 'deleted' "
				   "ORDER BY updated_at DESC LIMIT 1",
	[TENANT_NEXT] = "SELECT " SELECTED " FROM tenants WHERE name > ?1 AND "
			"status <> 'deleted' ORDER BY name LIMIT 1",
	[TENANT_OVERRIDDEN_NEXT] = "SELECT " SELECTED " FROM tenants WHERE name > ?1 AND "
				   "overrides <> '' AND status <> 'deleted' "
				   "ORDER BY name LIMIT 1",
	[TENANT_OPERATED_NEXT] = "SELECT " SELECTED " FROM tenants WHERE name > ?1 AND "
				 "operators <> '' AND status <> 'deleted' "
				 "ORDER BY name LIMIT 1",
	[TENANT_UNSETTLED_NEXT] = "SELECT " SELECTED " FROM tenants WHERE name > ?1 AND "
				  "status IN ('creating', 'suspended', 'deleting') "
				  "ORDER BY name LIMIT 1",
	[TENANT_TIER_NEXT] = "SELECT min(tier) FROM tenants WHERE tier > ?1 AND "
			     "status <> 'deleted'",
	[TENANT_COUNT] = "SELECT count(*), EXISTS (SELECT 1 FROM tenants) FROM tenants "
			 "WHERE status <> 'deleted'",
	[TERMS_PUT] = "INSERT INTO terms (tenant, since, time_zone, billing_anchor_day, "
		      "currency) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (tenant, since) "
		      "DO UPDATE SET time_zone = excluded.time_zone, "
		      "billing_anchor_day = excluded.billing_anchor_day, "
		      "currency = excluded.currency "
		      "WHERE (time_zone, billing_anchor_day, currency) <> "
		      "(excluded.time_zone, excluded.billing_anchor_day, excluded.currency)",
	[TERMS_DELETE] = "DELETE FROM terms WHERE tenant = ?1",
	[TERMS_NEXT] = "SELECT since, billing_anchor_day, time_zone, currency FROM terms "
		       "WHERE tenant = ?1 AND since >= ?2 ORDER BY since LIMIT 1",
};

static_assert(TENANT_STATEMENTS_N <= SQLITE_STATEMENTS_MAX, "room for every statement");

int sqlite_tenants_prepare(struct sqlite *sqlite, struct tn_error *err)
{
	return db_prepare(sqlite->db, sql, TENANT_STATEMENTS_N, sqlite->tenants, err);
}

static int tenant_run(struct sqlite *sqlite, enum tenant_statement statement,
                      const struct tenant_row *row, struct tn_error *err)
{
	char id[ID_TEXT_BYTES];

	id_format(&row->id, id);
	return db_run(sqlite->tenants[statement],
	              DB_VALUES(DB_TEXT(id), DB_TEXT(row->name), DB_TEXT(row->display_name),
	                        DB_TEXT(tenant_status_name(row->status)), DB_TEXT(row->tier),
	                        DB_TEXT(row->metadata), DB_INT(row->billing_anchor_day),
	                        DB_TEXT(row->time_zone), DB_TEXT(row->currency),
	                        DB_TEXT(row->customer_id), DB_INT(row->version),
	                        DB_INT(row->created_at), DB_INT(row->updated_at),
	                        DB_TEXT(row->policy_hash), DB_TEXT(row->cgroup),
	                        DB_INT(row->uid_first), DB_INT(row->uid_count),
	                        DB_TEXT(row->storage_path), DB_TEXT(row->overrides),
	                        DB_TEXT(row->operators)),
	              err);
}

static int terms_put(struct sqlite *sqlite, const struct tenant_row *row, struct tn_error *err)
{
	char id[ID_TEXT_BYTES];

	id_format(&row->id, id);
	return db_run(sqlite->tenants[TERMS_PUT],
	              DB_VALUES(DB_TEXT(id), DB_INT(row->terms_since), DB_TEXT(row->time_zone),
	                        DB_INT(row->billing_anchor_day), DB_TEXT(row->currency)),
	              err);
}

static int row_insert(struct sqlite *sqlite, const struct tenant_row *row, struct tn_error *err)
{
	int r = tenant_run(sqlite, TENANT_INSERT, row, err);

	return r < 0 ? r : terms_put(sqlite, row, err);
}

int sqlite_tenant_insert(struct store *store, const struct tenant_row *row,
                         struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	struct tenant_row other = { 0 };
	int r = sqlite_tenant_by_name(store, row->name, &other, err);

	tenant_row_done(&other);
	if (r == 1)
		return err_refuse(err, TN_EXISTS, "there is a tenant '%s' already", row->name);
	if (r == 0)
		r = sqlite_begin_durable(sqlite, err);
	if (r == 0)
		r = sqlite_end(sqlite, row_insert(sqlite, row, err), err);
	return r < 0 ? err_wrap(err, r, "tenant '%s'", row->name) : 0;
}

static int update_tell(struct sqlite *sqlite, const struct tenant_row *row,
                       const struct event *event, struct tn_error *err)
{
	int r = tenant_run(sqlite, TENANT_UPDATE, row, err);

	if (r < 0)
		return err_wrap(err, r, "tenant '%s'", row->name);
	if (db_changes(sqlite->db) == 0)
		return err_refuse(err, TN_CONFLICT,
		                  "tenant '%s' has changed since version %lld", row->name,
		                  (long long)row->version);
	r = terms_put(sqlite, row, err);
	return r < 0 ? err_wrap(err, r, "terms of tenant '%s'", row->name)
	             : sqlite_event_put(sqlite, event, err);
}

int sqlite_tenant_update(struct store *store, struct tenant_row *row, const struct event *event,
                         struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	int r = sqlite_begin_durable(sqlite, err);

	if (r < 0)
		return r;
	r = sqlite_end(sqlite, update_tell(sqlite, row, event, err), err);
	if (r == 0)
		row->version++;
	return r;
}

static int row_delete(struct sqlite *sqlite, const char *id, struct tn_error *err)
{
	int r = db_run(sqlite->tenants[TERMS_DELETE], DB_VALUES(DB_TEXT(id)), err);

	return r < 0 ? r : db_run(sqlite->tenants[TENANT_DELETE], DB_VALUES(DB_TEXT(id)), err);
}

int sqlite_tenant_delete(struct store *store, const struct id *id, struct tn_error *err)
{
	struct sqlite *sqlite = sqlite_of(store);
	char text[ID_TEXT_BYTES];
	int r;

	id_format(id, text);
	r = sqlite_begin_durable(sqlite, err);
	if (r == 0)
		r = sqlite_end(sqlite, row_delete(sqlite, text, err), err);
	return r < 0 ? err_wrap(err, r, "tenant %s", text) : 0;
}

/* What a column must be to be ours; a store that someone edited is refused, not believed. */
static int tenant_check(int status, int parsed, const struct tenant_row *row,
                        struct tn_error *err)
{
	if (status < 0 || parsed < 0 || !name_valid(row->name))
		return err_set(err, TN_SYSTEM, EBADMSG, "the row of tenant '%s' is damaged",
		               row->name);
	return 0;
}

static int tenant_read(struct db_statement *s, struct tenant_row *ret, struct tn_error *err)
{
	struct tenant_row row = { 0 };
	char id[ID_TEXT_BYTES];
	char status[STORE_TEXT_BYTES_MAX];
	int r;

	db_text(s, 0, id, sizeof(id));
	db_text(s, 1, row.name, sizeof(row.name));
	db_text(s, 2, row.display_name, sizeof(row.display_name));
	db_text(s, 3, status, sizeof(status));
	db_text(s, 4, row.tier, sizeof(row.tier));
	row.billing_anchor_day = db_int(s, 6);
	db_text(s, 7, row.time_zone, sizeof(row.time_zone));
	db_text(s, 8, row.currency, sizeof(row.currency));
	db_text(s, 9, row.customer_id, sizeof(row.customer_id));
	row.version = db_int(s, 10);
	row.created_at = db_int(s, 11);
	row.updated_at = db_int(s, 12);
	db_text(s, 13, row.policy_hash, sizeof(row.policy_hash));
	db_text(s, 14, row.cgroup, sizeof(row.cgroup));
	row.uid_first = db_int(s, 15);
	row.uid_count = db_int(s, 16);
	db_text(s, 17, row.storage_path, sizeof(row.storage_path));
	db_text(s, 18, row.overrides, sizeof(row.overrides));
	db_text(s, 19, row.operators, sizeof(row.operators));
	row.terms_since = db_int(s, 20);

	r = tenant_status_parse(status);
	if (r >= 0)
		row.status = (enum tenant_status)r;
	r = tenant_check(r, id_parse(id, &row.id), &row, err);
	if (r < 0)
		return r;
	row.metadata = strdup(db_text_borrow(s, 5));
	if (row.metadata == NULL)
		return err_errno(err, "read tenant '%s'", row.name);
	*ret = row;
	return 1;
}

static int tenant_select(struct sqlite *sqlite, enum tenant_statement statement,
                         const char *key, struct tenant_row *ret, struct tn_error *err)
{
	struct db_statement *s = sqlite->tenants[statement];
	int r = db_row(s, DB_VALUES(DB_TEXT(key)), err);

	if (r == 1) {
		r = tenant_read(s, ret, err);
		db_done(s);
	}
	return r;
}

int sqlite_tenant_by_id(struct store *store, const struct id *id, struct tenant_row *ret,
                        struct tn_error *err)
{
	char text[ID_TEXT_BYTES];

	id_format(id, text);
	return tenant_select(sqlite_of(store), TENANT_BY_ID, text, ret, err);
}

int sqlite_tenant_by_name(struct store *store, const char *name, struct tenant_row *ret,
                          struct tn_error *err)
{
	return tenant_select(sqlite_of(store), TENANT_BY_NAME, name, ret, err);
}

int sqlite_tenant_deleted_by_name(struct store *store, const char *name, struct tenant_row *ret,
                                  struct tn_error *err)
{
	return tenant_select(sqlite_of(store), TENANT_DELETED_BY_NAME, name, ret, err);
}

int sqlite_tenant_next(struct store *store, const char *after, struct tenant_row *ret,
                       struct tn_error *err)
{
	return tenant_select(sqlite_of(store), TENANT_NEXT, after, ret, err);
}

int sqlite_tenant_overridden_next(struct store *store, const char *after,
                                  struct tenant_row *ret, struct tn_error *err)
{
	return tenant_select(sqlite_of(store), TENANT_OVERRIDDEN_NEXT, after, ret, err);
}

int sqlite_tenant_operated_next(struct store *store, const char *after, struct tenant_row *ret,
                                struct tn_error *err)
{
	return tenant_select(sqlite_of(store), TENANT_OPERATED_NEXT, after, ret, err);
}

int sqlite_tenant_unsettled_next(struct store *store, const char *after, struct tenant_row *ret,
                                 struct tn_error *err)
{
	return tenant_select(sqlite_of(store), TENANT_UNSETTLED_NEXT, after, ret, err);
}

int sqlite_tier_next(struct store *store, const char *after, char ret[NAME_BYTES_MAX],
                     struct tn_error *err)
{
	struct db_statement *s = sqlite_of(store)->tenants[TENANT_TIER_NEXT];
	int r = db_row(s, DB_VALUES(DB_TEXT(after)), err);

	if (r != 1)
		return r;
	/* An aggregate always gives a row: NULL when there is no further tier. */
	r = db_text_borrow(s, 0) != NULL;
	if (r == 1)
		db_text(s, 0, ret, NAME_BYTES_MAX);
	db_done(s);
	return r;
}

int sqlite_terms_next(struct store *store, const struct id *tenant, int64_t from,
                      struct store_terms *ret, struct tn_error *err)
{
	struct db_statement *s = sqlite_of(store)->tenants[TERMS_NEXT];
	char text[ID_TEXT_BYTES];
	int r;

	id_format(tenant, text);
	r = db_row(s, DB_VALUES(DB_TEXT(text), DB_INT(from)), err);
	if (r != 1)
		return r;
	*ret = (struct store_terms){ .since = db_int(s, 0), .anchor_day = db_int(s, 1) };
	db_text(s, 2, ret->time_zone, sizeof(ret->time_zone));
	db_text(s, 3, ret->currency, sizeof(ret->currency));
	db_done(s);
	return 1;
}

int sqlite_tenants_count(struct sqlite *sqlite, struct store_figures *ret, struct tn_error *err)
{
	struct db_statement *s = sqlite->tenants[TENANT_COUNT];
	int r = db_row(s, DB_VALUES(DB_END), err);

	if (r < 0)
		return r;
	ret->tenants = db_int(s, 0);
	ret->used = db_int(s, 1) == 1;
	db_done(s);
	return 0;
}
