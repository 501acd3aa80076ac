/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store_fixture.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>

#include "identity.h"

void fixture_open(struct fixture *fixture)
{
	struct tn_error err = { 0 };

	cr_assert_eq(store_sqlite_open(fixture->dir, &fixture->store, &err), 0, "%s", err.msg);
}

struct tenant_row tenant_make(const char *name)
{
	struct tenant_row row = { .id = identity_new(),
		                  .status = TENANT_ACTIVE,
		                  .billing_anchor_day = 15,
		                  .version = 1,
		                  .created_at = 1000,
		                  .updated_at = 2000,
		                  .uid_first = 65536,
		                  .uid_count = 65536 };

	(void)snprintf(row.name, sizeof(row.name), "%s", name);
	(void)snprintf(row.display_name, sizeof(row.display_name), "Acme & \"Söhne\"");
	(void)snprintf(row.tier, sizeof(row.tier), "free");
	(void)snprintf(row.time_zone, sizeof(row.time_zone), "Europe/Vienna");
	(void)snprintf(row.currency, sizeof(row.currency), "EUR");
	(void)snprintf(row.customer_id, sizeof(row.customer_id), "cus_1");
	(void)snprintf(row.policy_hash, sizeof(row.policy_hash), "abc");
	(void)snprintf(row.cgroup, sizeof(row.cgroup), "/sys/fs/cgroup/x");
	(void)snprintf(row.storage_path, sizeof(row.storage_path), "/var/lib/x");
	row.metadata = strdup("{\"team\":\"a\"}");
	return row;
}

void fixture_init(struct fixture *fixture)
{
	struct tenant_row row = tenant_make("acme");
	struct tn_error err = { 0 };

	(void)snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/tenantd-st-XXXXXX");
	cr_assert(mkdtemp(fixture->dir) != NULL);
	fixture_open(fixture);
	cr_assert_eq(fixture->store->ops->tenant_insert(fixture->store, &row, &err), 0, "%s",
	             err.msg);
	fixture->tenant = row.id;
	tenant_row_done(&row);
}

static int unlink_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void fixture_done(struct fixture *fixture)
{
	fixture->store->ops->close(fixture->store);
	(void)nftw(fixture->dir, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
}

struct record record_make(const struct fixture *fixture, enum record_state state,
                          int64_t started_at)
{
	struct record record;

	record_init(&record);
	record.id = identity_new();
	record.tenant = fixture->tenant;
	record.state = state;
	record.started_at = started_at;
	(void)snprintf(record.policy_hash, sizeof(record.policy_hash), "abc");
	if (state == RECORD_EXITED) {
		record.reason = REASON_EXITED;
		record.exit_code = 0;
		record.ended_at = started_at + 10;
		record.wall_usec = 10;
		record.cpu_usec = 5;
	}
	return record;
}

struct ledger_sample sample_make(const struct fixture *fixture, const char *boot,
                                 int64_t cgroup_id, int64_t cpu)
{
	struct ledger_sample sample = { .tenant = fixture->tenant,
		                        .node = LEDGER_NODE_READ,
		                        .cgroup_id = cgroup_id,
		                        .at = 5000,
		                        .raw = { cpu, LEDGER_ABSENT, 100, 200 } };

	(void)snprintf(sample.boot_id, sizeof(sample.boot_id), "%s", boot);
	return sample;
}

void book(struct fixture *fixture, const struct record *record,
          const struct ledger_sample *sample)
{
	struct store_batch batch = { .records = record,
		                     .records_n = record != NULL,
		                     .samples = sample,
		                     .samples_n = sample != NULL };
	struct tn_error err = { 0 };

	cr_assert_eq(fixture->store->ops->book(fixture->store, &batch, &err), 0, "%s", err.msg);
}

struct store_totals totals_of(struct fixture *fixture)
{
	struct store_totals totals;
	struct tn_error err = { 0 };

	cr_assert_eq(fixture->store->ops->totals(fixture->store, &fixture->tenant,
	                                         LEDGER_ABSENT, LEDGER_ABSENT, &totals, &err),
	             0, "%s", err.msg);
	return totals;
}
