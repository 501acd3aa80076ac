/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Within the SQLite member of the store: what its files share. Nobody else includes this.
 */
#ifndef RUNTIME_STORE_SQLITE_H
#define RUNTIME_STORE_SQLITE_H

#include "db.h"
#include "store.h"

#define SQLITE_STATEMENTS_MAX 24 /* of one file */

struct sqlite {
	struct store store; /* first: a store is a sqlite */
	struct db *db;
	char path[STORE_PATH_BYTES_MAX];
	struct db_statement *tenants[SQLITE_STATEMENTS_MAX];
	struct db_statement *executions[SQLITE_STATEMENTS_MAX];
	struct db_statement *ledger[SQLITE_STATEMENTS_MAX];
	struct db_statement *node[SQLITE_STATEMENTS_MAX];
	struct db_statement *policies[SQLITE_STATEMENTS_MAX];
};

static inline struct sqlite *sqlite_of(struct store *store)
{
	return (struct sqlite *)(void *)store;
}

int sqlite_tenants_prepare(struct sqlite *sqlite, struct tn_error *err);
int sqlite_tenant_insert(struct store *store, const struct tenant_row *row,
                         struct tn_error *err);
int sqlite_tenant_update(struct store *store, struct tenant_row *row, struct tn_error *err);
int sqlite_tenant_delete(struct store *store, const struct id *id, struct tn_error *err);
int sqlite_tenant_by_id(struct store *store, const struct id *id, struct tenant_row *ret,
                        struct tn_error *err);
int sqlite_tenant_by_name(struct store *store, const char *name, struct tenant_row *ret,
                          struct tn_error *err);
int sqlite_tenant_overridden_next(struct store *store, const char *after,
                                  struct tenant_row *ret, struct tn_error *err);
int sqlite_tenant_deleted_by_name(struct store *store, const char *name, struct tenant_row *ret,
                                  struct tn_error *err);
int sqlite_tenant_next(struct store *store, const char *after, struct tenant_row *ret,
                       struct tn_error *err);
int sqlite_tier_next(struct store *store, const char *after, char ret[NAME_BYTES_MAX],
                     struct tn_error *err);
int sqlite_tenants_count(struct sqlite *sqlite, int64_t *ret, struct tn_error *err);

int sqlite_executions_prepare(struct sqlite *sqlite, struct tn_error *err);
/* Within a transaction: 1 if @record has been written, 0 if it was there already. */
int sqlite_execution_put(struct sqlite *sqlite, const struct record *record,
                         struct tn_error *err);
int sqlite_execution_by_id(struct store *store, const struct id *id, struct record *ret,
                           struct tn_error *err);
int sqlite_execution_next(struct store *store, const struct store_selection *selection,
                          struct store_place *place, struct record *ret, struct tn_error *err);

int sqlite_node_prepare(struct sqlite *sqlite, struct tn_error *err);
int sqlite_node_get(struct store *store, struct store_node *ret, struct tn_error *err);
int sqlite_node_set(struct store *store, const struct store_node *node, struct tn_error *err);

int sqlite_policies_prepare(struct sqlite *sqlite, struct tn_error *err);
int sqlite_policy_insert(struct store *store, const struct store_policy *row,
                         const struct policy *policy, struct tn_error *err);
int sqlite_policy_before(struct store *store, int64_t seq, struct store_policy *ret,
                         struct tn_error *err);
int sqlite_policy_by_hash(struct store *store, const char *hash, struct policy **ret,
                          struct tn_error *err);

int sqlite_ledger_prepare(struct sqlite *sqlite, struct tn_error *err);
int sqlite_book(struct store *store, const struct store_batch *batch, struct tn_error *err);
int sqlite_totals(struct store *store, const struct id *tenant, int64_t since, int64_t until,
                  struct store_totals *ret, struct tn_error *err);

#endif
