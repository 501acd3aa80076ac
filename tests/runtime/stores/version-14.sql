-- SPDX-License-Identifier: LGPL-2.1-or-later
-- A store as schema version 14 left it.
BEGIN TRANSACTION;
CREATE TABLE accounts (  tenant TEXT PRIMARY KEY REFERENCES tenants (id),  boot_id TEXT, cgroup_id INTEGER,  raw_cpu_time INTEGER, raw_throttled_time INTEGER, raw_io_read_bytes INTEGER,  raw_io_write_bytes INTEGER, raw_io_ops INTEGER,  total_cpu_time INTEGER CHECK (total_cpu_time >= 0),  total_throttled_time INTEGER CHECK (total_throttled_time >= 0),  total_io_read_bytes INTEGER CHECK (total_io_read_bytes >= 0),  total_io_write_bytes INTEGER CHECK (total_io_write_bytes >= 0),  total_io_ops INTEGER CHECK (total_io_ops >= 0),  total_executions INTEGER CHECK (total_executions >= 0),  total_execution_time INTEGER CHECK (total_execution_time >= 0),  total_overhead_time INTEGER CHECK (total_overhead_time >= 0),  total_cpu_time_attributed INTEGER CHECK (total_cpu_time_attributed >= 0),  total_cpu_time_unattributed INTEGER CHECK (total_cpu_time_unattributed >= 0), memory_bytes INTEGER CHECK (memory_bytes >= 0), memory_at INTEGER, memory_rest INTEGER NOT NULL DEFAULT 0  CHECK (memory_rest >= 0), memory_error_rest INTEGER NOT NULL DEFAULT 0  CHECK (memory_error_rest >= 0), total_memory_time INTEGER  CHECK (total_memory_time >= 0), total_memory_time_error INTEGER  CHECK (total_memory_time_error >= 0)) STRICT, WITHOUT ROWID;
INSERT INTO "accounts" VALUES('5f0c1d2e-3b4a-4958-8776-655443322110','b',7,1000,NULL,NULL,NULL,NULL,1000,NULL,NULL,NULL,NULL,1,500000,350,1000,0,4096,77,5,6,1234,12);
CREATE TABLE epochs (  seq INTEGER PRIMARY KEY,  tenant TEXT NOT NULL REFERENCES tenants (id),  boot_id TEXT NOT NULL,  cgroup_id INTEGER NOT NULL,  ended_at INTEGER NOT NULL,  raw_cpu_time INTEGER, raw_throttled_time INTEGER, raw_io_read_bytes INTEGER,  raw_io_write_bytes INTEGER, raw_io_ops INTEGER) STRICT;
CREATE TABLE events (  seq INTEGER PRIMARY KEY,  at INTEGER NOT NULL,  kind TEXT NOT NULL,  tenant TEXT, tenant_name TEXT, execution TEXT,  actor_uid INTEGER, actor_pid INTEGER, actor_login_uid INTEGER,  reason TEXT, old_value TEXT, new_value TEXT) STRICT;
INSERT INTO "events" VALUES(1,1700000000000000,'created','5f0c1d2e-3b4a-4958-8776-655443322110','acme',NULL,0,NULL,NULL,NULL,NULL,'{"tier": "free"}');
CREATE TABLE executions (  id TEXT PRIMARY KEY,  tenant TEXT NOT NULL REFERENCES tenants (id),  state TEXT NOT NULL CHECK (state IN ('running', 'exited')),  reason TEXT,  policy_hash TEXT NOT NULL,  exit_code INTEGER, signal INTEGER, started_at INTEGER NOT NULL, ended_at INTEGER,  wall_usec INTEGER, cpu_usec INTEGER, cpu_user_usec INTEGER, cpu_system_usec INTEGER,  throttled_usec INTEGER, tenant_throttled_usec INTEGER, memory_peak_bytes INTEGER,  memory_mib_msec INTEGER, io_read_bytes INTEGER, io_write_bytes INTEGER,  pids_peak INTEGER, overhead_usec INTEGER, oom_kills INTEGER, pids_refused INTEGER,  stall_cpu_usec INTEGER, stall_memory_usec INTEGER, stall_io_usec INTEGER, name TEXT, joins TEXT, asked_uid INTEGER, asked_pid INTEGER,  CHECK ((state = 'exited') = (reason IS NOT NULL))) STRICT, WITHOUT ROWID;
INSERT INTO "executions" VALUES('0192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f','5f0c1d2e-3b4a-4958-8776-655443322110','exited','oom','abcd',NULL,9,1700000000000000,1700000000500000,500000,1000,600,400,0,NULL,4096,NULL,NULL,NULL,2,350,1,0,NULL,NULL,NULL,'nightly',NULL,NULL,NULL);
CREATE TABLE hours (  tenant TEXT NOT NULL REFERENCES tenants (id),  at INTEGER NOT NULL,  bookings INTEGER NOT NULL,  cpu_time INTEGER NOT NULL CHECK (cpu_time >= 0),  throttled_time INTEGER NOT NULL CHECK (throttled_time >= 0),  io_read_bytes INTEGER NOT NULL CHECK (io_read_bytes >= 0),  io_write_bytes INTEGER NOT NULL CHECK (io_write_bytes >= 0),  io_ops INTEGER NOT NULL CHECK (io_ops >= 0),  executions INTEGER NOT NULL CHECK (executions >= 0),  execution_time INTEGER NOT NULL CHECK (execution_time >= 0),  overhead_time INTEGER NOT NULL CHECK (overhead_time >= 0),  cpu_time_attributed INTEGER NOT NULL CHECK (cpu_time_attributed >= 0), memory_time INTEGER NOT NULL DEFAULT 0  CHECK (memory_time >= 0), memory_time_error INTEGER NOT NULL DEFAULT 0  CHECK (memory_time_error >= 0),  PRIMARY KEY (tenant, at)) STRICT, WITHOUT ROWID;
INSERT INTO "hours" VALUES('5f0c1d2e-3b4a-4958-8776-655443322110',1699999200000000,5,1000,0,0,0,0,1,500000,350,1000,1234,12);
CREATE TABLE node (  one INTEGER PRIMARY KEY CHECK (one = 1),  drained_at INTEGER, drained_by INTEGER, itemized_since INTEGER) STRICT;
INSERT INTO "node" VALUES(1,NULL,NULL,NULL);
CREATE TABLE policies (  seq INTEGER PRIMARY KEY,  hash TEXT NOT NULL,  accepted_at INTEGER NOT NULL, accepted_by INTEGER,  instead_of TEXT NOT NULL) STRICT;
INSERT INTO "policies" VALUES(1,'abcd',1700000000000000,0,'');
CREATE TABLE policy_files (  hash TEXT NOT NULL,  place INTEGER NOT NULL,  name TEXT NOT NULL,  text BLOB NOT NULL,  PRIMARY KEY (hash, place)) STRICT, WITHOUT ROWID;
INSERT INTO "policy_files" VALUES('abcd',0,'tiers/free.yaml',X'746965723A20667265650A');
CREATE TABLE tenants (  id TEXT PRIMARY KEY,  name TEXT NOT NULL,  display_name TEXT NOT NULL,  status TEXT NOT NULL    CHECK (status IN ('creating', 'active', 'suspended', 'deleting', 'deleted')),  tier TEXT NOT NULL,  metadata TEXT NOT NULL,  billing_anchor_day INTEGER NOT NULL CHECK (billing_anchor_day BETWEEN 1 AND 31),  time_zone TEXT NOT NULL,  currency TEXT NOT NULL,  customer_id TEXT NOT NULL,  version INTEGER NOT NULL,  created_at INTEGER NOT NULL,  updated_at INTEGER NOT NULL,  policy_hash TEXT NOT NULL,  cgroup TEXT NOT NULL,  uid_first INTEGER NOT NULL,  uid_count INTEGER NOT NULL,  storage_path TEXT NOT NULL, overrides TEXT NOT NULL DEFAULT '', operators TEXT NOT NULL DEFAULT '') STRICT, WITHOUT ROWID;
INSERT INTO "tenants" VALUES('5f0c1d2e-3b4a-4958-8776-655443322110','acme','Acme, Inc.','active','free','{"team":"blue"}',31,'Europe/Berlin','EUR','C-7',4,1700000000000000,1700000001000000,'abcd','/sys/fs/cgroup/x',2000000000,65536,'/var/lib/tenantd/tenants/x/data','','');
INSERT INTO "tenants" VALUES('6f0c1d2e-3b4a-4958-8776-655443322110','globex','Acme, Inc.','suspended','free','{"team":"blue"}',31,'Europe/Berlin','EUR','C-7',4,1700000000000000,1700000001000000,'abcd','/sys/fs/cgroup/x',2000000000,65536,'/var/lib/tenantd/tenants/x/data','limits.tasks_max=9
','');
CREATE UNIQUE INDEX tenants_living ON tenants (name) WHERE status <> 'deleted';
CREATE INDEX executions_by_start ON executions (started_at, id);
CREATE INDEX executions_by_tenant ON executions (tenant, started_at, id);
CREATE INDEX executions_running ON executions (started_at, id) WHERE state = 'running';
CREATE INDEX tenants_deleted ON tenants (name, updated_at) WHERE status = 'deleted';
CREATE INDEX tenants_overridden ON tenants (name) WHERE overrides <> '';
CREATE INDEX tenants_operated ON tenants (name) WHERE operators <> '';
CREATE INDEX tenants_unsettled ON tenants (name) WHERE status IN ('creating', 'suspended', 'deleting');
CREATE INDEX tenants_by_tier ON tenants (tier) WHERE status <> 'deleted';
CREATE INDEX executions_by_end ON executions (tenant, ended_at, started_at, id, wall_usec, cpu_usec, state) WHERE state = 'exited';
CREATE INDEX events_by_tenant ON events (tenant, seq) WHERE tenant IS NOT NULL;
CREATE INDEX events_restarted ON events (kind, seq) WHERE kind = 'restarted';
CREATE INDEX executions_by_name ON executions (tenant, name, started_at, id) WHERE name IS NOT NULL;
CREATE INDEX epochs_by_tenant ON epochs (tenant, seq);
COMMIT;
PRAGMA user_version = 14;
