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
	struct db_statement *retention[SQLITE_STATEMENTS_MAX];
	struct db_copy *copy; /* NULL: none is made */
	struct db_statement *events[SQLITE_STATEMENTS_MAX];
	struct db_statement *metering[SQLITE_STATEMENTS_MAX];
	/* Numbers of the last event that was committed, that is durable, and that will be with
	 * the sync under way. */
	int64_t events_last;
	int64_t events_durable;
	int64_t events_syncing;
	bool events_put; /* in the transaction under way */
	bool durable;    /* its commit waits for the disk */
};

static inline struct sqlite *sqlite_of(struct store *store)
{
	return (struct sqlite *)(void *)store;
}

int sqlite_tenants_prepare(struct sqlite *sqlite, struct tn_error *err);
int sqlite_tenant_insert(struct store *store, const struct tenant_row *row,
                         struct tn_error *err);
int sqlite_tenant_update(struct store *store, struct tenant_row *row, const struct event *event,
                         struct tn_error *err);
int sqlite_tenant_delete(struct store *store, const struct id *id, struct tn_error *err);
int sqlite_tenant_by_id(struct store *store, const struct id *id, struct tenant_row *ret,
                        struct tn_error *err);
int sqlite_tenant_by_name(struct store *store, const char *name, struct tenant_row *ret,
                          struct tn_error *err);
int sqlite_tenant_overridden_next(struct store *store, const char *after,
                                  struct tenant_row *ret, struct tn_error *err);
int sqlite_tenant_operated_next(struct store *store, const char *after, struct tenant_row *ret,
                                struct tn_error *err);
int sqlite_tenant_unsettled_next(struct store *store, const char *after, struct tenant_row *ret,
                                 struct tn_error *err);
int sqlite_tenant_deleted_by_name(struct store *store, const char *name, struct tenant_row *ret,
                                  struct tn_error *err);
int sqlite_tenant_next(struct store *store, const char *after, struct tenant_row *ret,
                       struct tn_error *err);
int sqlite_tier_next(struct store *store, const char *after, char ret[NAME_BYTES_MAX],
                     struct tn_error *err);
int sqlite_terms_next(struct store *store, const struct id *tenant, int64_t from,
                      struct store_terms *ret, struct tn_error *err);
int sqlite_tenants_count(struct sqlite *sqlite, struct store_figures *ret,
                         struct tn_error *err);

int sqlite_executions_prepare(struct sqlite *sqlite, struct tn_error *err);
/* What sqlite_execution_put() found of a record. */
enum sqlite_execution_was {
	EXECUTION_KNOWN,   /* all of it: nothing is written */
	EXECUTION_RUNNING, /* that it ran */
	EXECUTION_NEW,
};

/* Within a transaction: an enum sqlite_execution_was, or -errno. */
int sqlite_execution_put(struct sqlite *sqlite, const struct record *record,
                         struct tn_error *err);
int sqlite_execution_by_id(struct store *store, const struct id *id, struct record *ret,
                           struct tn_error *err);
int sqlite_execution_by_prefix(struct store *store, const char *prefix, const char *after,
                               struct id *ret, struct id *ret_tenant, struct tn_error *err);
int sqlite_execution_by_name(struct store *store, const struct id *tenant, const char *name,
                             bool running, struct id *ret, struct tn_error *err);
int sqlite_execution_next(struct store *store, const struct store_selection *selection,
                          struct store_place *place, struct record *ret, struct tn_error *err);

int sqlite_node_prepare(struct sqlite *sqlite, struct tn_error *err);
int sqlite_node_get(struct store *store, struct store_node *ret, struct tn_error *err);
int sqlite_node_set(struct store *store, const struct store_node *node,
                    const struct event *event, struct tn_error *err);
int sqlite_check(struct store *store, struct tn_error *err);

int sqlite_policies_prepare(struct sqlite *sqlite, struct tn_error *err);
int sqlite_policy_insert(struct store *store, const struct store_policy *row,
                         const struct policy *policy, const struct event *event,
                         struct tn_error *err);
int sqlite_policy_before(struct store *store, int64_t seq, struct store_policy *ret,
                         struct tn_error *err);
int sqlite_policy_by_hash(struct store *store, const char *hash, struct policy **ret,
                          struct tn_error *err);

int sqlite_retention_prepare(struct sqlite *sqlite, struct tn_error *err);
int sqlite_prune(struct store *store, int64_t before, size_t max, store_pruned_fn *each,
                 void *userdata, struct tn_error *err);

int sqlite_copy_begin(struct store *store, struct tn_error *err);
int sqlite_copy_step(struct store *store, struct tn_error *err);
int sqlite_copy_tenant_next(struct store *store, const char *after,
                            struct store_copied_tenant *ret, struct tn_error *err);
int sqlite_copy_take(struct store *store, struct tn_error *err);
void sqlite_copy_end(struct store *store);

int sqlite_events_prepare(struct sqlite *sqlite, struct tn_error *err);
/* Within a transaction of sqlite_begin(): tell @event; NULL is none. */
int sqlite_event_put(struct sqlite *sqlite, const struct event *event, struct tn_error *err);
int sqlite_event_tell(struct store *store, const struct event *event, struct tn_error *err);
int sqlite_event_next(struct store *store, const struct id *tenant, int64_t after,
                      struct event *ret, struct tn_error *err);
int sqlite_event_last(struct store *store, enum event_kind kind, struct event *ret,
                      struct tn_error *err);
int sqlite_event_span(struct store *store, struct store_event_span *ret, struct tn_error *err);
bool sqlite_events_wait(struct store *store);
int sqlite_events_prune(struct store *store, int64_t at, int64_t max, struct tn_error *err);

/* A transaction in which events may be told, and what makes them durable. Its end: commit if
 * @r is not negative, else rollback; returns @r, or why it could not be committed. */
int sqlite_begin(struct sqlite *sqlite, struct tn_error *err);
int sqlite_begin_durable(struct sqlite *sqlite, struct tn_error *err);
int sqlite_end(struct sqlite *sqlite, int r, struct tn_error *err);
int sqlite_sync(struct store *store, struct tn_error *err);
int sqlite_sync_begin(struct store *store, struct tn_error *err);
int sqlite_sync_end(struct store *store, struct tn_error *err);

int sqlite_ledger_prepare(struct sqlite *sqlite, struct tn_error *err);
int sqlite_book(struct store *store, const struct store_batch *batch, struct tn_error *err);
int sqlite_totals(struct store *store, const struct id *tenant, int64_t since, int64_t until,
                  struct store_totals *ret, struct tn_error *err);
int sqlite_hour_next(struct store *store, const struct id *tenant, int64_t since, int64_t until,
                     int64_t *ret, struct store_hour *ret_amounts, struct tn_error *err);

int sqlite_metering_prepare(struct sqlite *sqlite, struct tn_error *err);
int sqlite_metered_get(struct store *store, const struct id *tenant, const char *meter,
                       const struct store_range *range, struct metered *ret, int64_t *ret_used,
                       struct tn_error *err);
int sqlite_metered_hour_next(struct store *store, const struct id *tenant, const char *meter,
                             const struct store_range *range, int64_t *ret, int64_t *ret_amount,
                             struct tn_error *err);
int sqlite_metered_next(struct store *store, const struct id *tenant, const char *after,
                        char ret[METER_NAME_BYTES_MAX], struct tn_error *err);
int sqlite_reservation_get(struct store *store, const struct id *id, struct reservation *ret,
                           struct tn_error *err);
int sqlite_reservation_next(struct store *store, const struct id *tenant, const char *meter,
                            const struct id *after, struct reservation *ret,
                            struct tn_error *err);
int sqlite_holding_get(struct store *store, const struct id *execution, const char *meter,
                       int64_t *ret, struct tn_error *err);
int sqlite_metering_key_get(struct store *store, const struct id *tenant, const char *key,
                            struct metering_key *ret, struct tn_error *err);
int sqlite_meter(struct store *store, const struct metering_write *writes, size_t writes_n,
                 const struct event *events, size_t events_n, struct tn_error *err);
int sqlite_metering_keys_prune(struct store *store, int64_t before, size_t max,
                               struct tn_error *err);
/* Within a transaction: @execution has ended and holds nothing of a gauge any more. */
int sqlite_holdings_release(struct sqlite *sqlite, const struct id *execution,
                            struct tn_error *err);

#endif
