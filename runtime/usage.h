/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Readings of what tenants use, for the ledger and for people.
 *
 * The order matters: what running executions have used is read first, then the tenant's
 * own cgroup, which counts them too. So the sum of the parts never exceeds the whole,
 * and what no execution accounts for is never negative.
 */
#ifndef RUNTIME_USAGE_H
#define RUNTIME_USAGE_H

#include "executions.h"
#include "sampler.h"
#include "store/store.h"

struct usage_source {
	int root_fd; /* of the cgroup tree, borrowed; FD_NONE before tenantd has greeted */
	char boot_id[LEDGER_BOOT_BYTES];
	struct executions *executions;
	struct tenants *tenants;
	struct sampler *sampler; /* NULL: none looks in between */
};

/* Read the boot id into @source. */
int usage_source_init(struct usage_source *source, struct tn_error *err);

/* Complete @record of a running execution with what its leaf counts now, wall time included. */
void usage_read_running(const struct usage_source *source, struct record *record);

/*
 * Read the tenant's counters now. Never fails: what could not be read is marked so.
 * If @ret_running is not NULL it receives the records of what runs, as read, for the
 * caller to free.
 */
void usage_sample(const struct usage_source *source, const struct id *tenant,
                  struct ledger_sample *ret, struct record **ret_running,
                  size_t *ret_running_n);

#endif
