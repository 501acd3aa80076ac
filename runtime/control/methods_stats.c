/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GetStats: what runs and what it has counted, read from the cgroups as fast as the peer takes
 * it. Rates are made of two such answers by whoever asks, so that nothing has to be kept here
 * and another controller may give the second.
 */
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/fd.h>

#include "../cgstat.h"
#include "connection.h"
#include "encode.h"
#include "methods.h"
#include "rights.h"

static const struct {
	const char *name;
	size_t offset;
} ints[] = {
#define INT_ROW(name) { #name, offsetof(struct cgstat_look, name) },
	CGSTAT_LOOK_INTS(INT_ROW)
#undef INT_ROW
};

struct stats {
	struct record *running; /* tenant by tenant */
	size_t running_n, next;
	char alone[NAME_BYTES_MAX]; /* the one that was asked for, to be told of yet; or "" */
	struct id told;             /* the tenant whose executions are being told */
};

static void stats_free(void *state)
{
	struct stats *stats = state;

	free(stats->running);
	free(stats);
}

static json_t *encode_stats(const char *tenant, const struct record *record,
                            const struct cgstat_look *look)
{
	char id[ID_TEXT_BYTES] = "";
	json_t *json;
	int r = 0;

	if (record != NULL)
		id_format(&record->id, id);
	json = json_pack("{s:s, s:o, s:o, s:I}", "tenant", tenant, "execution", encode_text(id),
	                 "name", encode_text(record != NULL ? record->name : NULL), "at_usec",
	                 (json_int_t)clock_usec(CLOCK_BOOTTIME));
	for (size_t i = 0; json != NULL && i < ARRAY_LEN(ints); i++) {
		int64_t value;

		memcpy(&value, (const char *)look + ints[i].offset, sizeof(value));
		r |= json_object_set_new(json, ints[i].name, encode_int(value));
	}
	if (r == 0)
		return json_pack("{s:o}", "stats", json);
	json_decref(json);
	return NULL;
}

/* 1 if it has a reply; 0 if an execution has ended meanwhile. */
static int stats_read(const struct call *call, const char *tenant, const struct record *record,
                      json_t **ret, struct tn_error *err)
{
	struct cgstat_look look;
	struct tn_error gone = { 0 };
	int r = cgstat_look(call->context->root_fd, tenant, record != NULL ? &record->id : NULL,
	                    &look, &gone);

	/* A tenant that has run nothing since the host started has no cgroup. */
	if (r < 0 && record != NULL)
		return 0;
	*ret = encode_stats(tenant, record, &look);
	return *ret != NULL ? 1 : err_set(err, TN_SYSTEM, ENOMEM, "tell statistics");
}

static int stats_next(struct call *call, json_t **ret, struct tn_error *err)
{
	struct stats *stats = call->state;
	int r = 0;

	while (r == 0 && stats->next < stats->running_n) {
		const struct record *record = &stats->running[stats->next];

		if (!id_equal(&record->tenant, &stats->told)) {
			stats->told = record->tenant;
			stats->alone[0] = '\0';
			return stats_read(call, record->tenant_name, NULL, ret, err);
		}
		stats->next++;
		r = stats_read(call, record->tenant_name, record, ret, err);
	}
	if (r == 0 && stats->alone[0] != '\0') {
		r = stats_read(call, stats->alone, NULL, ret, err);
		stats->alone[0] = '\0';
	}
	return r;
}

/* Only what the caller may see; of one tenant that was asked before. */
static void stats_leave_out(const struct call *call, struct stats *stats)
{
	const struct peer *peer = &call->connection->peer;
	size_t kept = 0;

	if (peer->admin)
		return;
	for (size_t i = 0; i < stats->running_n; i++) {
		struct tn_error ignored = { 0 };
		struct tenant *tenant;

		if (tenants_get_by_id(call->context->tenants, &stats->running[i].tenant,
		                      &tenant, &ignored) == 0 &&
		    rights_see(call->context, peer, &tenant->row))
			stats->running[kept++] = stats->running[i];
	}
	stats->running_n = kept;
}

static int compare(const void *a, const void *b)
{
	const struct record *one = a, *other = b;
	const int names = strcmp(one->tenant_name, other->tenant_name);

	if (names != 0)
		return names;
	if (one->started_at != other->started_at)
		return one->started_at < other->started_at ? -1 : 1;
	return memcmp(&one->id, &other->id, sizeof(one->id));
}

struct stats_arguments {
	const char *tenant;
};

static const struct param stats_params[] = {
	{ .name = "tenant",
	  .kind = PARAM_STRING,
	  .offset = offsetof(struct stats_arguments, tenant) },
	{ .name = NULL },
};

static int handle_stats(struct call *call, struct tn_error *err)
{
	const struct stats_arguments *arguments = call->arguments;
	const struct context *context = call->context;
	struct tenant *tenant = NULL;
	struct stats *stats = calloc(1, sizeof(*stats));
	int r = 0;

	if (stats == NULL)
		return err_errno(err, "tell statistics");
	call->state = stats;
	call->free_state = stats_free;
	if (arguments->tenant != NULL)
		r = tenants_get(context->tenants, arguments->tenant, &tenant, err);
	if (r == 0 && tenant != NULL && tenant->row.status == TENANT_DELETED)
		r = err_refuse(err, TN_STATE, "tenant '%s' is deleted", tenant->row.name);
	if (r == 0)
		r = executions_snapshot(context->executions,
		                        tenant != NULL ? &tenant->row.id : NULL,
		                        &stats->running, &stats->running_n, err);
	if (r < 0)
		return r;
	if (tenant != NULL)
		(void)snprintf(stats->alone, sizeof(stats->alone), "%s", tenant->row.name);
	stats_leave_out(call, stats);
	if (stats->running_n > 0)
		qsort(stats->running, stats->running_n, sizeof(stats->running[0]), compare);
	call_stream(call, stats_next);
	return 0;
}

const struct method methods_stats[] = {
	{ "io.tenantd.GetStats", handle_stats, METHOD_STREAMS, stats_params,
	  sizeof(struct stats_arguments) },
	{ .name = NULL },
};
