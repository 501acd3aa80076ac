/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "usage.h"

#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/io.h>

#include "cgstat.h"

int usage_source_init(struct usage_source *source, struct tn_error *err)
{
	char text[LEDGER_BOOT_BYTES + 1]; /* with its line end */
	ssize_t n = io_read_file_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text,
	                            sizeof(text));

	if (n != LEDGER_BOOT_BYTES) {
		errno = n < 0 ? (int)-n : EIO;
		return err_errno(err, "read the boot id");
	}
	text[LEDGER_BOOT_BYTES - 1] = '\0';
	memcpy(source->boot_id, text, LEDGER_BOOT_BYTES);
	return 0;
}

void usage_read_running(const struct usage_source *source, struct record *record)
{
	int64_t now = clock_usec(CLOCK_REALTIME);
	struct cgstat stat;
	struct tn_error err;

	/* The leaf of one that joins is another's. */
	if (!id_is_none(&record->joins)) {
		record->wall_usec = now > record->started_at ? now - record->started_at : 0;
		return;
	}
	if (cgstat_read(source->root_fd, record->tenant_name, &record->id, &stat, &err) < 0)
		return;
	stat.counters.overhead_usec = SPEC_ABSENT;
	stat.counters.tenant_throttled_usec = SPEC_ABSENT;
	record_counters(record, &stat.counters);
	record->wall_usec = now > record->started_at ? now - record->started_at : 0;
}

/* What runs, each as its leaf says, and the sum of their CPU time. */
static int64_t running_read(const struct usage_source *source, const struct id *tenant,
                            struct record **ret, size_t *ret_n)
{
	struct tn_error err;
	int64_t sum = 0;

	*ret = NULL;
	*ret_n = 0;
	if (executions_snapshot(source->executions, tenant, ret, ret_n, &err) < 0)
		return 0;
	for (size_t i = 0; i < *ret_n; i++) {
		usage_read_running(source, &(*ret)[i]);
		if ((*ret)[i].cpu_usec != RECORD_ABSENT)
			sum += (*ret)[i].cpu_usec;
	}
	return sum;
}

static enum ledger_node node_read(const struct usage_source *source, const struct id *id,
                                  struct ledger_sample *sample)
{
	struct tenant *tenant;
	struct tn_error err;
	struct cgstat_node stat;
	int r = tenants_get_by_id(source->tenants, id, &tenant, &err);

	if (r < 0 || source->root_fd < 0)
		return LEDGER_NODE_UNREADABLE;
	/* Under its name there may be another's by now. */
	if (tenant->row.status == TENANT_DELETED)
		return LEDGER_NODE_GONE;
	r = cgstat_node(source->root_fd, tenant->row.name, &stat, &err);
	if (r < 0)
		return r == -ENOENT ? LEDGER_NODE_GONE : LEDGER_NODE_UNREADABLE;
	sampler_fill(source->sampler, id, &stat, sample);
	return LEDGER_NODE_READ;
}

void usage_sample(const struct usage_source *source, const struct id *tenant,
                  struct ledger_sample *ret, struct record **ret_running, size_t *ret_running_n)
{
	struct record *running;
	size_t running_n;

	*ret = (struct ledger_sample){ .tenant = *tenant };
	(void)snprintf(ret->boot_id, sizeof(ret->boot_id), "%s", source->boot_id);
	ret->running_cpu_usec = running_read(source, tenant, &running, &running_n);
	ret->at = clock_usec(CLOCK_REALTIME);
	ret->node = node_read(source, tenant, ret);
	if (ret_running == NULL) {
		free(running);
		return;
	}
	*ret_running = running;
	*ret_running_n = running_n;
}
