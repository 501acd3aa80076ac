/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The SQLite member of the store: one file, WAL, strict tables. Schema changes are
 * appended to migrations[]; what has been released is never edited.
 */
#include "sqlite.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <base/backup.h>
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

static const char schema_6[] = "ALTER TABLE executions ADD COLUMN name TEXT;";

static const char schema_7[] =
	"ALTER TABLE tenants ADD COLUMN operators TEXT NOT NULL DEFAULT '';"
	"CREATE INDEX tenants_operated ON tenants (name) WHERE operators <> '';"
	/* What a start looks for among all of them, however many there are. */
	"CREATE INDEX tenants_unsettled ON tenants (name) "
	"WHERE status IN ('creating', 'suspended', 'deleting');"
	"CREATE INDEX tenants_by_tier ON tenants (tier) WHERE status <> 'deleted';";

/*
 * What is forgotten one by one is kept by the hour. Sums over a range, and what ran when it
 * began, are found along an index however long the past is.
 */
static const char schema_8[] =
	"ALTER TABLE node ADD COLUMN itemized_since INTEGER;"
	"CREATE TABLE rollups ("
	"  tenant TEXT NOT NULL REFERENCES tenants (id),"
	"  meter TEXT NOT NULL,"
	"  at INTEGER NOT NULL," /* the hour's beginning */
	"  amount INTEGER NOT NULL CHECK (amount > 0),"
	"  PRIMARY KEY (tenant, meter, at)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX executions_by_end ON executions "
	"(tenant, ended_at, started_at, id, wall_usec, cpu_usec, state) "
	"WHERE state = 'exited';"
	"DROP INDEX ledger_by_tenant;"
	"CREATE INDEX ledger_by_tenant ON ledger (tenant, meter, at, delta);";

/* Numbers have no gap because SQLite gives the next after the greatest, which is never deleted.
 * What a tenant or an execution was is told also when there is no row of it. */
static const char schema_9[] =
	"CREATE TABLE events ("
	"  seq INTEGER PRIMARY KEY,"
	"  at INTEGER NOT NULL,"
	"  kind TEXT NOT NULL,"
	"  tenant TEXT, tenant_name TEXT, execution TEXT,"
	"  actor_uid INTEGER, actor_pid INTEGER, actor_login_uid INTEGER,"
	"  reason TEXT, old_value TEXT, new_value TEXT"
	") STRICT;"
	"CREATE INDEX events_by_tenant ON events (tenant, seq) WHERE tenant IS NOT NULL;"
	"CREATE INDEX events_restarted ON events (kind, seq) WHERE kind = 'restarted';";

/* A command that joins an execution is a row of its own, without figures. */
static const char schema_10[] = "ALTER TABLE executions ADD COLUMN joins TEXT;"
				"ALTER TABLE executions ADD COLUMN asked_uid INTEGER;"
				"ALTER TABLE executions ADD COLUMN asked_pid INTEGER;";

/* Of those that have a name: most have none. */
static const char schema_11[] =
	"CREATE INDEX executions_by_name ON executions (tenant, name, started_at, id) "
	"WHERE name IS NOT NULL;";

/*
 * What is used is kept by the hour of UTC from the first on, a row with all meters; rows of
 * single readings are added up into it. Executions that were forgotten before have no
 * overhead_time.
 */
static const char schema_12[] =
	"CREATE TABLE hours ("
	"  tenant TEXT NOT NULL REFERENCES tenants (id),"
	"  at INTEGER NOT NULL," /* the hour's first microsecond */
	"  bookings INTEGER NOT NULL,"
	"  cpu_time INTEGER NOT NULL CHECK (cpu_time >= 0),"
	"  throttled_time INTEGER NOT NULL CHECK (throttled_time >= 0),"
	"  io_read_bytes INTEGER NOT NULL CHECK (io_read_bytes >= 0),"
	"  io_write_bytes INTEGER NOT NULL CHECK (io_write_bytes >= 0),"
	"  io_ops INTEGER NOT NULL CHECK (io_ops >= 0),"
	"  executions INTEGER NOT NULL CHECK (executions >= 0),"
	"  execution_time INTEGER NOT NULL CHECK (execution_time >= 0),"
	"  overhead_time INTEGER NOT NULL CHECK (overhead_time >= 0),"
	"  cpu_time_attributed INTEGER NOT NULL CHECK (cpu_time_attributed >= 0),"
	"  PRIMARY KEY (tenant, at)"
	") STRICT, WITHOUT ROWID;"

	"CREATE TEMP VIEW parts (tenant, at, meter, amount) AS "
	"SELECT tenant, at, meter, delta FROM main.ledger "
	"UNION ALL SELECT tenant, at, meter, amount FROM main.rollups "
	"UNION ALL SELECT tenant, coalesce(ended_at, started_at), 'executions', 1 "
	"FROM main.executions WHERE state = 'exited' AND joins IS NULL "
	"UNION ALL SELECT tenant, coalesce(ended_at, started_at), 'execution_time', wall_usec "
	"FROM main.executions WHERE state = 'exited' AND joins IS NULL "
	"UNION ALL SELECT tenant, coalesce(ended_at, started_at), 'overhead_time', "
	"overhead_usec FROM main.executions WHERE state = 'exited' AND joins IS NULL "
	"UNION ALL SELECT tenant, coalesce(ended_at, started_at), 'cpu_time_attributed', "
	"cpu_usec FROM main.executions WHERE state = 'exited' AND joins IS NULL;"
	"INSERT INTO hours SELECT tenant, at - at % 3600000000 AS hour, count(*),"
	"  coalesce(sum(amount) FILTER (WHERE meter = 'cpu_time'), 0),"
	"  coalesce(sum(amount) FILTER (WHERE meter = 'throttled_time'), 0),"
	"  coalesce(sum(amount) FILTER (WHERE meter = 'io_read_bytes'), 0),"
	"  coalesce(sum(amount) FILTER (WHERE meter = 'io_write_bytes'), 0),"
	"  0,"
	"  coalesce(sum(amount) FILTER (WHERE meter = 'executions'), 0),"
	"  coalesce(sum(amount) FILTER (WHERE meter = 'execution_time'), 0),"
	"  coalesce(sum(amount) FILTER (WHERE meter = 'overhead_time'), 0),"
	"  coalesce(sum(amount) FILTER (WHERE meter = 'cpu_time_attributed'), 0) "
	"FROM parts GROUP BY tenant, hour;"
	"DROP VIEW parts;"
	"DROP TABLE ledger; DROP TABLE rollups;";

/* A tenant's cursor and its sums are one row. */
static const char schema_13[] =
	"CREATE TABLE accounts ("
	"  tenant TEXT PRIMARY KEY REFERENCES tenants (id),"
	"  boot_id TEXT, cgroup_id INTEGER," /* NULL: nothing has been read yet */
	"  raw_cpu_time INTEGER, raw_throttled_time INTEGER, raw_io_read_bytes INTEGER,"
	"  raw_io_write_bytes INTEGER, raw_io_ops INTEGER,"
	"  total_cpu_time INTEGER CHECK (total_cpu_time >= 0),"
	"  total_throttled_time INTEGER CHECK (total_throttled_time >= 0),"
	"  total_io_read_bytes INTEGER CHECK (total_io_read_bytes >= 0),"
	"  total_io_write_bytes INTEGER CHECK (total_io_write_bytes >= 0),"
	"  total_io_ops INTEGER CHECK (total_io_ops >= 0),"
	"  total_executions INTEGER CHECK (total_executions >= 0),"
	"  total_execution_time INTEGER CHECK (total_execution_time >= 0),"
	"  total_overhead_time INTEGER CHECK (total_overhead_time >= 0),"
	"  total_cpu_time_attributed INTEGER CHECK (total_cpu_time_attributed >= 0),"
	"  total_cpu_time_unattributed INTEGER CHECK (total_cpu_time_unattributed >= 0)"
	") STRICT, WITHOUT ROWID;"

	"CREATE TABLE epochs ("
	"  seq INTEGER PRIMARY KEY,"
	"  tenant TEXT NOT NULL REFERENCES tenants (id),"
	"  boot_id TEXT NOT NULL,"
	"  cgroup_id INTEGER NOT NULL,"
	"  ended_at INTEGER NOT NULL,"
	"  raw_cpu_time INTEGER, raw_throttled_time INTEGER, raw_io_read_bytes INTEGER,"
	"  raw_io_write_bytes INTEGER, raw_io_ops INTEGER"
	") STRICT;"
	"CREATE INDEX epochs_by_tenant ON epochs (tenant, seq);"

	"CREATE TEMP VIEW booked (tenant, meter, raw, total) AS "
	"SELECT t.tenant, t.meter, iif((c.boot_id, c.cgroup_id) = (SELECT boot_id, cgroup_id "
	"FROM main.cursors WHERE tenant = t.tenant AND meter = 'cpu_time'), c.raw, NULL), "
	"t.total FROM main.totals AS t LEFT JOIN main.cursors AS c USING (tenant, meter);"
	"INSERT INTO accounts SELECT tenant,"
	"  (SELECT boot_id FROM cursors AS c WHERE c.tenant = booked.tenant"
	"   AND meter = 'cpu_time'),"
	"  (SELECT cgroup_id FROM cursors AS c WHERE c.tenant = booked.tenant"
	"   AND meter = 'cpu_time'),"
	"  max(raw) FILTER (WHERE meter = 'cpu_time'),"
	"  max(raw) FILTER (WHERE meter = 'throttled_time'),"
	"  max(raw) FILTER (WHERE meter = 'io_read_bytes'),"
	"  max(raw) FILTER (WHERE meter = 'io_write_bytes'),"
	"  NULL,"
	"  max(total) FILTER (WHERE meter = 'cpu_time'),"
	"  max(total) FILTER (WHERE meter = 'throttled_time'),"
	"  max(total) FILTER (WHERE meter = 'io_read_bytes'),"
	"  max(total) FILTER (WHERE meter = 'io_write_bytes'),"
	"  NULL,"
	"  max(total) FILTER (WHERE meter = 'executions'),"
	"  max(total) FILTER (WHERE meter = 'execution_time'),"
	"  (SELECT sum(overhead_time) FROM hours AS h WHERE h.tenant = booked.tenant),"
	"  max(total) FILTER (WHERE meter = 'cpu_time_attributed'),"
	"  max(total) FILTER (WHERE meter = 'cpu_time_unattributed') "
	"FROM booked GROUP BY tenant;"
	"DROP VIEW booked;"
	"DROP TABLE cursors; DROP TABLE totals;";

/*
 * The integral of memory over time, and what of it is below its unit. Areas are in half bytes
 * by microsecond, memory_at on the clock of the boot of the account's cursor.
 */
static const char schema_14[] =
	"ALTER TABLE accounts ADD COLUMN memory_bytes INTEGER CHECK (memory_bytes >= 0);"
	"ALTER TABLE accounts ADD COLUMN memory_at INTEGER;"
	"ALTER TABLE accounts ADD COLUMN memory_rest INTEGER NOT NULL DEFAULT 0"
	"  CHECK (memory_rest >= 0);"
	"ALTER TABLE accounts ADD COLUMN memory_error_rest INTEGER NOT NULL DEFAULT 0"
	"  CHECK (memory_error_rest >= 0);"
	"ALTER TABLE accounts ADD COLUMN total_memory_time INTEGER"
	"  CHECK (total_memory_time >= 0);"
	"ALTER TABLE accounts ADD COLUMN total_memory_time_error INTEGER"
	"  CHECK (total_memory_time_error >= 0);"
	"ALTER TABLE hours ADD COLUMN memory_time INTEGER NOT NULL DEFAULT 0"
	"  CHECK (memory_time >= 0);"
	"ALTER TABLE hours ADD COLUMN memory_time_error INTEGER NOT NULL DEFAULT 0"
	"  CHECK (memory_time_error >= 0);";

/*
 * What applications meter. Keys are by their tenant: another's is no use and no hint. Their
 * table is by far the largest, so they are pruned along an index by age.
 */
static const char schema_15[] =
	"CREATE TABLE metered ("
	"  tenant TEXT NOT NULL REFERENCES tenants (id),"
	"  meter TEXT NOT NULL,"
	"  total INTEGER NOT NULL CHECK (total >= 0),"
	"  held INTEGER NOT NULL CHECK (held >= 0),"
	"  told_since INTEGER NOT NULL DEFAULT 0,"
	"  told_percent INTEGER NOT NULL DEFAULT 0,"
	"  PRIMARY KEY (tenant, meter)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE metered_hours ("
	"  tenant TEXT NOT NULL REFERENCES tenants (id),"
	"  meter TEXT NOT NULL,"
	"  at INTEGER NOT NULL,"
	"  amount INTEGER NOT NULL CHECK (amount > 0),"
	"  PRIMARY KEY (tenant, meter, at)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE reservations ("
	"  id TEXT PRIMARY KEY,"
	"  tenant TEXT NOT NULL REFERENCES tenants (id),"
	"  meter TEXT NOT NULL,"
	"  amount INTEGER NOT NULL CHECK (amount > 0),"
	"  lease INTEGER NOT NULL,"
	"  expires_at INTEGER NOT NULL,"
	"  boot_id TEXT NOT NULL,"
	"  expires_boottime INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX reservations_by_meter ON reservations (tenant, meter, id);"
	"CREATE TABLE holdings ("
	"  execution TEXT NOT NULL,"
	"  meter TEXT NOT NULL,"
	"  tenant TEXT NOT NULL REFERENCES tenants (id),"
	"  amount INTEGER NOT NULL CHECK (amount >= 0),"
	"  PRIMARY KEY (execution, meter)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE metering_keys ("
	"  tenant TEXT NOT NULL REFERENCES tenants (id),"
	"  key TEXT NOT NULL,"
	"  op TEXT NOT NULL,"
	"  meter TEXT NOT NULL,"
	"  amount INTEGER NOT NULL,"
	"  at INTEGER NOT NULL,"
	"  max INTEGER, used INTEGER NOT NULL, reserved INTEGER NOT NULL,"
	"  reservation TEXT,"
	"  PRIMARY KEY (tenant, key)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX metering_keys_by_age ON metering_keys (at);";

/* What the hour that is open has of each meter is in the account, until it is over. */
static const char schema_16[] =
	"ALTER TABLE accounts ADD COLUMN open_at INTEGER;"
	"ALTER TABLE accounts ADD COLUMN open_bookings INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE accounts ADD COLUMN open_cpu_time INTEGER NOT NULL DEFAULT 0"
	"  CHECK (open_cpu_time >= 0);"
	"ALTER TABLE accounts ADD COLUMN open_throttled_time INTEGER NOT NULL DEFAULT 0"
	"  CHECK (open_throttled_time >= 0);"
	"ALTER TABLE accounts ADD COLUMN open_io_read_bytes INTEGER NOT NULL DEFAULT 0"
	"  CHECK (open_io_read_bytes >= 0);"
	"ALTER TABLE accounts ADD COLUMN open_io_write_bytes INTEGER NOT NULL DEFAULT 0"
	"  CHECK (open_io_write_bytes >= 0);"
	"ALTER TABLE accounts ADD COLUMN open_io_ops INTEGER NOT NULL DEFAULT 0"
	"  CHECK (open_io_ops >= 0);"
	"ALTER TABLE accounts ADD COLUMN open_memory_time INTEGER NOT NULL DEFAULT 0"
	"  CHECK (open_memory_time >= 0);"
	"ALTER TABLE accounts ADD COLUMN open_memory_time_error INTEGER NOT NULL DEFAULT 0"
	"  CHECK (open_memory_time_error >= 0);"
	"ALTER TABLE accounts ADD COLUMN open_executions INTEGER NOT NULL DEFAULT 0"
	"  CHECK (open_executions >= 0);"
	"ALTER TABLE accounts ADD COLUMN open_execution_time INTEGER NOT NULL DEFAULT 0"
	"  CHECK (open_execution_time >= 0);"
	"ALTER TABLE accounts ADD COLUMN open_overhead_time INTEGER NOT NULL DEFAULT 0"
	"  CHECK (open_overhead_time >= 0);"
	"ALTER TABLE accounts ADD COLUMN open_cpu_time_attributed INTEGER NOT NULL DEFAULT 0"
	"  CHECK (open_cpu_time_attributed >= 0);";

/* What bills are made by, since when. Of what was before, that is known which is set. */
static const char schema_17[] =
	"CREATE TABLE terms ("
	"  tenant TEXT NOT NULL REFERENCES tenants (id),"
	"  since INTEGER NOT NULL,"
	"  time_zone TEXT NOT NULL,"
	"  billing_anchor_day INTEGER NOT NULL CHECK (billing_anchor_day BETWEEN 1 AND 31),"
	"  currency TEXT NOT NULL,"
	"  PRIMARY KEY (tenant, since)"
	") STRICT, WITHOUT ROWID;"
	"INSERT INTO terms SELECT id, created_at, time_zone, billing_anchor_day, currency "
	"FROM tenants;";

static const char *const migrations[] = { schema_1,  schema_2,  schema_3,  schema_4,  schema_5,
	                                  schema_6,  schema_7,  schema_8,  schema_9,  schema_10,
	                                  schema_11, schema_12, schema_13, schema_14, schema_15,
	                                  schema_16, schema_17 };

static_assert(ARRAY_LEN(migrations) == BACKUP_SCHEMA, "a backup says which schema it has");

static int sqlite_sync_fd(struct store *store)
{
	return db_sync_fd(sqlite_of(store)->db);
}

static bool sqlite_stale(const struct store *store)
{
	return db_stale(((const struct sqlite *)(const void *)store)->db);
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
	int r = sqlite_tenants_count(sqlite, &figures, err);

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
	sqlite_copy_end(store);
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
	.tenant_operated_next = sqlite_tenant_operated_next,
	.tenant_unsettled_next = sqlite_tenant_unsettled_next,
	.tier_next = sqlite_tier_next,
	.terms_next = sqlite_terms_next,
	.book = sqlite_book,
	.sync = sqlite_sync,
	.sync_begin = sqlite_sync_begin,
	.sync_fd = sqlite_sync_fd,
	.sync_end = sqlite_sync_end,
	.check = sqlite_check,
	.stale = sqlite_stale,
	.tidy = sqlite_tidy,
	.prune = sqlite_prune,
	.copy_begin = sqlite_copy_begin,
	.copy_step = sqlite_copy_step,
	.copy_tenant_next = sqlite_copy_tenant_next,
	.copy_take = sqlite_copy_take,
	.copy_end = sqlite_copy_end,
	.execution_by_id = sqlite_execution_by_id,
	.execution_by_prefix = sqlite_execution_by_prefix,
	.execution_by_name = sqlite_execution_by_name,
	.execution_next = sqlite_execution_next,
	.totals = sqlite_totals,
	.hour_next = sqlite_hour_next,
	.metered_get = sqlite_metered_get,
	.metered_next = sqlite_metered_next,
	.metered_hour_next = sqlite_metered_hour_next,
	.reservation_get = sqlite_reservation_get,
	.reservation_next = sqlite_reservation_next,
	.holding_get = sqlite_holding_get,
	.metering_key_get = sqlite_metering_key_get,
	.meter = sqlite_meter,
	.metering_keys_prune = sqlite_metering_keys_prune,
	.node_get = sqlite_node_get,
	.node_set = sqlite_node_set,
	.policy_insert = sqlite_policy_insert,
	.policy_before = sqlite_policy_before,
	.policy_by_hash = sqlite_policy_by_hash,
	.event_tell = sqlite_event_tell,
	.event_next = sqlite_event_next,
	.event_last = sqlite_event_last,
	.event_span = sqlite_event_span,
	.events_wait = sqlite_events_wait,
	.events_prune = sqlite_events_prune,
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
	n = snprintf(sqlite->path, sizeof(sqlite->path), "%s/" BACKUP_STORE_FILE, dir);
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
	if (r == 0)
		r = sqlite_retention_prepare(sqlite, err);
	if (r == 0)
		r = sqlite_events_prepare(sqlite, err);
	if (r == 0)
		r = sqlite_metering_prepare(sqlite, err);
	if (r < 0) {
		sqlite_close(&sqlite->store);
		return r;
	}
	*ret = &sqlite->store;
	return 0;
}
