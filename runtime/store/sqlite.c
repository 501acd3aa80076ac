/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The SQLite member of the store: one file, WAL, strict tables. Schema changes are
 * appended to migrations[]; what has been released is never edited.
 */
#include "sqlite.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <base/fd.h>

static const char schema_1[] =
	"CREATE TABLE tenants ("
	"  id TEXT PRIMARY KEY,"
	"  name TEXT NOT NULL,"
	"  display_name TEXT NOT NULL,"
	"  status TEXT NOT NULL"
	"    CHECK (status IN ('creating', 'active', 'suspended', 'deleting', 'deleted')),"
	"  tier TEXT NOT NULL,"
	"  metadata TEXT NOT NULL,"
	"  billing_anchor_day INTEGER NOT NULL CHECK (billing_anchor_day BETWEEN 1 AND 31),"
	"  time_zone TEXT NOT NULL,"
	"  currency TEXT NOT NULL,"
	"  customer_id TEXT NOT NULL,"
	"  version INTEGER NOT NULL,"
	"  created_at INTEGER NOT NULL,"
	"  updated_at INTEGER NOT NULL,"
	"  policy_hash TEXT NOT NULL,"
	"  cgroup TEXT NOT NULL,"
	"  uid_first INTEGER NOT NULL,"
	"  uid_count INTEGER NOT NULL,"
	"  storage_path TEXT NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"CREATE UNIQUE INDEX tenants_living ON tenants (name) WHERE status <> 'deleted';"

	"CREATE TABLE executions ("
	"  id TEXT PRIMARY KEY,"
	"  tenant TEXT NOT NULL REFERENCES tenants (id),"
	"  state TEXT NOT NULL CHECK (state IN ('running', 'exited')),"
	"  reason TEXT,"
	"  policy_hash TEXT NOT NULL,"
	"  exit_code INTEGER, signal INTEGER, started_at INTEGER NOT NULL, ended_at INTEGER,"
	"  wall_usec INTEGER, cpu_usec INTEGER, cpu_user_usec INTEGER, cpu_system_usec INTEGER,"
	"  throttled_usec INTEGER, tenant_throttled_usec INTEGER, memory_peak_bytes INTEGER,"
	"  memory_mib_msec INTEGER, io_read_bytes INTEGER, io_write_bytes INTEGER,"
	"  pids_peak INTEGER, overhead_usec INTEGER, oom_kills INTEGER, pids_refused INTEGER,"
	"  stall_cpu_usec INTEGER, stall_memory_usec INTEGER, stall_io_usec INTEGER,"
	"  CHECK ((state = 'exited') = (reason IS NOT NULL))"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX executions_by_start ON executions (started_at, id);"
	"CREATE INDEX executions_by_tenant ON executions (tenant, started_at, id);"
	"CREATE INDEX executions_running ON executions (started_at, id) WHERE state = "
	"'running';"

	"CREATE TABLE ledger ("
	"  seq INTEGER PRIMARY KEY,"
	"  tenant TEXT NOT NULL REFERENCES tenants (id),"
	"  meter TEXT NOT NULL,"
	"  boot_id TEXT NOT NULL,"
	"  cgroup_id INTEGER NOT NULL,"
	"  raw INTEGER," /* NULL: booked from records, their cgroup is gone */
	"  delta INTEGER NOT NULL CHECK (delta > 0),"
	"  at INTEGER NOT NULL"
	") STRICT;"
	"CREATE INDEX ledger_by_tenant ON ledger (tenant, meter, at);"

	"CREATE TABLE cursors ("
	"  tenant TEXT NOT NULL REFERENCES tenants (id),"
	"  meter TEXT NOT NULL,"
	"  boot_id TEXT NOT NULL,"
	"  cgroup_id INTEGER NOT NULL,"
	"  raw INTEGER NOT NULL CHECK (raw >= 0),"
	"  PRIMARY KEY (tenant, meter)"
	") STRICT, WITHOUT ROWID;"

	"CREATE TABLE totals ("
	"  tenant TEXT NOT NULL REFERENCES tenants (id),"
	"  meter TEXT NOT NULL,"
	"  total INTEGER NOT NULL CHECK (total >= 0),"
	"  PRIMARY KEY (tenant, meter)"
	") STRICT, WITHOUT ROWID;";

/* A name that has been used again and again is still found at once. */
static const char schema_2[] = "CREATE INDEX tenants_deleted ON tenants (name, updated_at) "
			       "WHERE status = 'deleted';";

static const char schema_3[] =
	"ALTER TABLE tenants ADD COLUMN overrides TEXT NOT NULL DEFAULT '';"
	"CREATE INDEX tenants_overridden ON tenants (name) WHERE overrides <> '';";

static const char schema_4[] = "CREATE TABLE node ("
			       "  one INTEGER PRIMARY KEY CHECK (one = 1),"
			       "  drained_at INTEGER, drained_by INTEGER"
			       ") STRICT;"
			       "INSERT INTO node (one) VALUES (1);";

/* A file's text is kept byte by byte: the hash is over that. */
static const char schema_5[] = "CREATE TABLE policies ("
			       "  seq INTEGER PRIMARY KEY,"
			       "  hash TEXT NOT NULL,"
			       "  accepted_at INTEGER NOT NULL, accepted_by INTEGER,"
			       "  instead_of TEXT NOT NULL"
			       ") STRICT;"
			       "CREATE TABLE policy_files ("
			       "  hash TEXT NOT NULL,"
			       "  place INTEGER NOT NULL,"
			       "  name TEXT NOT NULL,"
			       "  text BLOB NOT NULL,"
			       "  PRIMARY KEY (hash, place)"
			       ") STRICT, WITHOUT ROWID;";

static const char *const migrations[] = { schema_1, schema_2, schema_3, schema_4, schema_5 };

static int sqlite_sync(struct store *store, struct tn_error *err)
{
	return db_sync(sqlite_of(store)->db, err);
}

static int sqlite_sync_begin(struct store *store, struct tn_error *err)
{
	return db_sync_begin(sqlite_of(store)->db, err);
}

static int sqlite_sync_fd(struct store *store)
{
	return db_sync_fd(sqlite_of(store)->db);
}

static int sqlite_sync_end(struct store *store, struct tn_error *err)
{
	return db_sync_end(sqlite_of(store)->db, err);
}

static void sqlite_tidy(struct store *store, bool idle)
{
	db_tidy(sqlite_of(store)->db, idle);
}

static int sqlite_figures(struct store *store, struct store_figures *ret, struct tn_error *err)
{
	static const char *const suffixes[] = { "", "-wal" };
	struct sqlite *sqlite = sqlite_of(store);
	struct store_figures figures = { 0 };
	int r = sqlite_tenants_count(sqlite, &figures.tenants, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		char path[STORE_PATH_BYTES_MAX + 8];
		struct stat st;

		(void)snprintf(path, sizeof(path), "%s%s", sqlite->path, suffixes[i]);
		if (stat(path, &st) == 0)
			figures.bytes += st.st_size;
	}
	*ret = figures;
	return 0;
}

static void sqlite_close(struct store *store)
{
	struct sqlite *sqlite = sqlite_of(store);

	if (sqlite == NULL)
		return;
	(void)db_close(sqlite->db);
	free(sqlite);
}

static const struct store_ops sqlite_ops = {
	.tenant_insert = sqlite_tenant_insert,
	.tenant_update = sqlite_tenant_update,
	.tenant_delete = sqlite_tenant_delete,
	.tenant_by_id = sqlite_tenant_by_id,
	.tenant_by_name = sqlite_tenant_by_name,
	.tenant_deleted_by_name = sqlite_tenant_deleted_by_name,
	.tenant_next = sqlite_tenant_next,
	.tenant_overridden_next = sqlite_tenant_overridden_next,
	.tier_next = sqlite_tier_next,
	.book = sqlite_book,
	.sync = sqlite_sync,
	.sync_begin = sqlite_sync_begin,
	.sync_fd = sqlite_sync_fd,
	.sync_end = sqlite_sync_end,
	.tidy = sqlite_tidy,
	.execution_by_id = sqlite_execution_by_id,
	.execution_next = sqlite_execution_next,
	.totals = sqlite_totals,
	.node_get = sqlite_node_get,
	.node_set = sqlite_node_set,
	.policy_insert = sqlite_policy_insert,
	.policy_before = sqlite_policy_before,
	.policy_by_hash = sqlite_policy_by_hash,
	.figures = sqlite_figures,
	.close = sqlite_close,
};

int store_sqlite_open(const char *dir, struct store **ret, struct tn_error *err)
{
	struct sqlite *sqlite = calloc(1, sizeof(*sqlite));
	int n;
	int r;

	if (sqlite == NULL)
		return err_errno(err, "allocate the store");
	sqlite->store.ops = &sqlite_ops;
	n = snprintf(sqlite->path, sizeof(sqlite->path), "%s/tenantd.db", dir);
	if (n < 0 || (size_t)n >= sizeof(sqlite->path)) {
		free(sqlite);
		return err_refuse(err, TN_INVALID, "store directory '%s': too long", dir);
	}

	r = db_open(sqlite->path, migrations, ARRAY_LEN(migrations), &sqlite->db, err);
	if (r == 0)
		r = sqlite_tenants_prepare(sqlite, err);
	if (r == 0)
		r = sqlite_executions_prepare(sqlite, err);
	if (r == 0)
		r = sqlite_ledger_prepare(sqlite, err);
	if (r == 0)
		r = sqlite_node_prepare(sqlite, err);
	if (r == 0)
		r = sqlite_policies_prepare(sqlite, err);
	if (r < 0) {
		sqlite_close(&sqlite->store);
		return r;
	}
	*ret = &sqlite->store;
	return 0;
}
