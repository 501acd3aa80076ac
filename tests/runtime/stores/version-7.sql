-- SPDX-License-Identifier: LGPL-2.1-or-later
-- A store as schema version 7 left it.
BEGIN TRANSACTION;
CREATE TABLE cursors (  tenant TEXT NOT NULL REFERENCES tenants (id),  meter TEXT NOT NULL,  boot_id TEXT NOT NULL,  cgroup_id INTEGER NOT NULL,  raw INTEGER NOT NULL CHECK (raw >= 0),  PRIMARY KEY (tenant, meter)) STRICT, WITHOUT ROWID;
INSERT INTO "cursors" VALUES('5f0c1d2e-3b4a-4958-8776-655443322110','cpu_time','b',7,1000);
CREATE TABLE executions (  id TEXT PRIMARY KEY,  tenant TEXT NOT NULL REFERENCES tenants (id),  state TEXT NOT NULL CHECK (state IN ('running', 'exited')),  reason TEXT,  policy_hash TEXT NOT NULL,  exit_code INTEGER, signal INTEGER, started_at INTEGER NOT NULL, ended_at INTEGER,  wall_usec INTEGER, cpu_usec INTEGER, cpu_user_usec INTEGER, cpu_system_usec INTEGER,  throttled_usec INTEGER, tenant_throttled_usec INTEGER, memory_peak_bytes INTEGER,  memory_mib_msec INTEGER, io_read_bytes INTEGER, io_write_bytes INTEGER,  pids_peak INTEGER, overhead_usec INTEGER, oom_kills INTEGER, pids_refused INTEGER,  stall_cpu_usec INTEGER, stall_memory_usec INTEGER, stall_io_usec INTEGER, name TEXT,  CHECK ((state = 'exited') = (reason IS NOT NULL))) STRICT, WITHOUT ROWID;
INSERT INTO "executions" VALUES('0192f0c4-8a5e-4c7e-9b1d-2f6a3c5d7e9f','5f0c1d2e-3b4a-4958-8776-655443322110','exited','oom','abcd',NULL,9,1700000000000000,1700000000500000,500000,1000,600,400,0,NULL,4096,NULL,NULL,NULL,2,350,1,0,NULL,NULL,NULL,'nightly');
CREATE TABLE ledger (  seq INTEGER PRIMARY KEY,  tenant TEXT NOT NULL REFERENCES tenants (id),  meter TEXT NOT NULL,  boot_id TEXT NOT NULL,  cgroup_id INTEGER NOT NULL,  raw INTEGER,  delta INTEGER NOT NULL CHECK (delta > 0),  at INTEGER NOT NULL) STRICT;
INSERT INTO "ledger" VALUES(1,'5f0c1d2e-3b4a-4958-8776-655443322110','cpu_time','b',7,1000,1000,1700000000500000);
CREATE TABLE node (  one INTEGER PRIMARY KEY CHECK (one = 1),  drained_at INTEGER, drained_by INTEGER) STRICT;
INSERT INTO "node" VALUES(1,NULL,NULL);
CREATE TABLE policies (  seq INTEGER PRIMARY KEY,  hash TEXT NOT NULL,  accepted_at INTEGER NOT NULL, accepted_by INTEGER,  instead_of TEXT NOT NULL) STRICT;
INSERT INTO "policies" VALUES(1,'abcd',1700000000000000,0,'');
CREATE TABLE policy_files (  hash TEXT NOT NULL,  place INTEGER NOT NULL,  name TEXT NOT NULL,  text BLOB NOT NULL,  PRIMARY KEY (hash, place)) STRICT, WITHOUT ROWID;
INSERT INTO "policy_files" VALUES('abcd',0,'tiers/free.yaml',X'746965723A20667265650A');
CREATE TABLE tenants (  id TEXT PRIMARY KEY,  name TEXT NOT NULL,  display_name TEXT NOT NULL,  status TEXT NOT NULL    CHECK (status IN ('creating', 'active', 'suspended', 'deleting', 'deleted')),  tier TEXT NOT NULL,  metadata TEXT NOT NULL,  billing_anchor_day INTEGER NOT NULL CHECK (billing_anchor_day BETWEEN 1 AND 31),  time_zone TEXT NOT NULL,  currency TEXT NOT NULL,  customer_id TEXT NOT NULL,  version INTEGER NOT NULL,  created_at INTEGER NOT NULL,  updated_at INTEGER NOT NULL,  policy_hash TEXT NOT NULL,  cgroup TEXT NOT NULL,  uid_first INTEGER NOT NULL,  uid_count INTEGER NOT NULL,  storage_path TEXT NOT NULL, overrides TEXT NOT NULL DEFAULT '', operators TEXT NOT NULL DEFAULT '') STRICT, WITHOUT ROWID;
INSERT INTO "tenants" VALUES('5f0c1d2e-3b4a-4958-8776-655443322110','acme','Acme, Inc.','active','free','{"team":"blue"}',31,'Europe/Berlin','EUR','C-7',4,1700000000000000,1700000001000000,'abcd','/sys/fs/cgroup/x',2000000000,65536,'/var/lib/tenantd/tenants/x/data','','');
INSERT INTO "tenants" VALUES('6f0c1d2e-3b4a-4958-8776-655443322110','globex','Acme, Inc.','suspended','free','{"team":"blue"}',31,'Europe/Berlin','EUR','C-7',4,1700000000000000,1700000001000000,'abcd','/sys/fs/cgroup/x',2000000000,65536,'/var/lib/tenantd/tenants/x/data','limits.tasks_max=9
','');
CREATE TABLE totals (  tenant TEXT NOT NULL REFERENCES tenants (id),  meter TEXT NOT NULL,  total INTEGER NOT NULL CHECK (total >= 0),  PRIMARY KEY (tenant, meter)) STRICT, WITHOUT ROWID;
INSERT INTO "totals" VALUES('5f0c1d2e-3b4a-4958-8776-655443322110','cpu_time',1000);
INSERT INTO "totals" VALUES('5f0c1d2e-3b4a-4958-8776-655443322110','cpu_time_attributed',1000);
INSERT INTO "totals" VALUES('5f0c1d2e-3b4a-4958-8776-655443322110','cpu_time_unattributed',0);
INSERT INTO "totals" VALUES('5f0c1d2e-3b4a-4958-8776-655443322110','execution_time',500000);
INSERT INTO "totals" VALUES('5f0c1d2e-3b4a-4958-8776-655443322110','executions',1);
CREATE UNIQUE INDEX tenants_living ON tenants (name) WHERE status <> 'deleted';
CREATE INDEX executions_by_start ON executions (started_at, id);
CREATE INDEX executions_by_tenant ON executions (tenant, started_at, id);
CREATE INDEX executions_running ON executions (started_at, id) WHERE state = 'running';
CREATE INDEX ledger_by_tenant ON ledger (tenant, meter, at);
CREATE INDEX tenants_deleted ON tenants (name, updated_at) WHERE status = 'deleted';
CREATE INDEX tenants_overridden ON tenants (name) WHERE overrides <> '';
CREATE INDEX tenants_operated ON tenants (name) WHERE operators <> '';
CREATE INDEX tenants_unsettled ON tenants (name) WHERE status IN ('creating', 'suspended', 'deleting');
CREATE INDEX tenants_by_tier ON tenants (tier) WHERE status <> 'deleted';
COMMIT;
PRAGMA user_version = 7;
