/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What runs, what ran and what was used. Both lists come from the store, which has
 * everything in one order; of what still runs, the figures are read from its leaf.
 */
#include <stdlib.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>

#include "encode.h"
#include "methods.h"

struct list {
	struct id tenant;
	struct store_selection selection;
	struct store_place place;
	/* GetUsage: what ran when the totals were taken, so that parts and whole agree. */
	struct record *running;
	size_t running_n;
	bool live; /* ListExecutions: read the leaf of what runs now */
	json_t *totals;
};

static void list_free(void *state)
{
	struct list *list = state;

	json_decref(list->totals);
	free(list->running);
	free(list);
}

static struct list *list_new(struct call *call, struct tn_error *err)
{
	struct list *list = calloc(1, sizeof(*list));

	if (list == NULL) {
		(void)err_errno(err, "list executions");
		return NULL;
	}
	list->selection = (struct store_selection){ .state = RECORD_STATES_N,
		                                    .since = LEDGER_ABSENT,
		                                    .until = LEDGER_ABSENT };
	call->state = list;
	call->free_state = list_free;
	return list;
}

static int list_tenant(struct call *call, struct list *list, const char *name,
                       struct tenant **ret, struct tn_error *err)
{
	int r = tenants_get(call->context->tenants, name, ret, err);

	if (r < 0)
		return r;
	list->tenant = (*ret)->row.id;
	list->selection.tenant = &list->tenant;
	return 0;
}

/* The figures of a running execution, which the store does not have. */
static void list_complete(struct call *call, const struct list *list, struct record *record)
{
	for (size_t i = 0; i < list->running_n; i++) {
		if (id_equal(&list->running[i].id, &record->id)) {
			*record = list->running[i];
			return;
		}
	}
	if (list->live && record->state == RECORD_RUNNING)
		usage_read_running(&call->context->usage, record);
}

static int list_next(struct call *call, json_t **ret, struct tn_error *err)
{
	struct store *store = call->context->store;
	struct list *list = call->state;
	struct record record;
	int r;

	if (list->totals != NULL) {
		*ret = list->totals;
		list->totals = NULL;
		return 1;
	}
	r = store->ops->execution_next(store, &list->selection, &list->place, &record, err);
	if (r != 1)
		return r;
	list_complete(call, list, &record);
	*ret = json_pack("{s:o}", "execution", encode_record(&record));
	return *ret != NULL ? 1 : err_set(err, TN_SYSTEM, ENOMEM, "list executions");
}

struct executions_arguments {
	const char *tenant;
	bool all;
};

static const struct param executions_params[] = {
	{ .name = "tenant",
	  .kind = PARAM_STRING,
	  .offset = offsetof(struct executions_arguments, tenant) },
	{ .name = "all",
	  .kind = PARAM_BOOL,
	  .offset = offsetof(struct executions_arguments, all) },
	{ .name = NULL },
};

static int handle_executions(struct call *call, struct tn_error *err)
{
	const struct executions_arguments *arguments = call->arguments;
	struct list *list = list_new(call, err);
	struct tenant *tenant;
	int r = 0;

	if (list == NULL)
		return -ENOMEM;
	list->live = true;
	if (!arguments->all)
		list->selection.state = RECORD_RUNNING;
	if (arguments->tenant != NULL)
		r = list_tenant(call, list, arguments->tenant, &tenant, err);
	if (r == 0)
		r = journal_commit(call->context->journal, NULL, err);
	if (r < 0)
		return r;
	call_stream(call, list_next);
	return 0;
}

struct usage_arguments {
	const char *tenant;
	int64_t since;
	int64_t until;
};

static const struct param usage_params[] = {
	{ .name = "tenant",
	  .kind = PARAM_STRING,
	  .required = true,
	  .offset = offsetof(struct usage_arguments, tenant) },
	{ .name = "since",
	  .kind = PARAM_INT,
	  .offset = offsetof(struct usage_arguments, since) },
	{ .name = "until",
	  .kind = PARAM_INT,
	  .offset = offsetof(struct usage_arguments, until) },
	{ .name = NULL },
};

static int usage_totals(struct call *call, struct list *list, const struct tenant *tenant,
                        struct tn_error *err)
{
	const struct usage_arguments *arguments = call->arguments;
	struct store *store = call->context->store;
	struct store_totals totals = { { 0 } };
	struct ledger_sample sample;
	int r;

	usage_sample(&call->context->usage, &list->tenant, &sample, &list->running,
	             &list->running_n);
	r = journal_commit(call->context->journal, &sample, err);
	if (r == 0)
		r = store->ops->totals(store, &list->tenant, arguments->since, arguments->until,
		                       &totals, err);
	if (r < 0)
		return r;
	/* Counted from their first end on; before it there were none. */
	for (int meter = METER_EXECUTIONS; meter < LEDGER_METERS_N; meter++)
		if (totals.meters[meter] == LEDGER_ABSENT && meter != METER_CPU_UNATTRIBUTED)
			totals.meters[meter] = 0;
	list->totals = json_pack(
		"{s:s, s:I, s:I, s:o, s:o}", "tenant", tenant->row.name, "since",
		(json_int_t)(arguments->since != PARAMS_ABSENT ? arguments->since
	                                                       : tenant->row.created_at),
		"until",
		(json_int_t)(arguments->until != PARAMS_ABSENT ? arguments->until : sample.at),
		"meters", encode_meters(&totals), "unattributed_usec",
		encode_int(totals.meters[METER_CPU_UNATTRIBUTED]));
	return list->totals != NULL ? 0 : err_set(err, TN_SYSTEM, ENOMEM, "list usage");
}

static int handle_usage(struct call *call, struct tn_error *err)
{
	const struct usage_arguments *arguments = call->arguments;
	struct list *list = list_new(call, err);
	struct tenant *tenant;
	int r;

	if (list == NULL)
		return -ENOMEM;
	r = list_tenant(call, list, arguments->tenant, &tenant, err);
	if (r == 0)
		r = usage_totals(call, list, tenant, err);
	if (r < 0)
		return r;
	list->selection.since = arguments->since;
	list->selection.until = arguments->until;
	call_stream(call, list_next);
	return 0;
}

const struct method methods_usage[] = {
	{ "io.tenantd.ListExecutions", handle_executions, METHOD_STREAMS, executions_params,
	  sizeof(struct executions_arguments) },
	{ "io.tenantd.GetUsage", handle_usage, METHOD_STREAMS, usage_params,
	  sizeof(struct usage_arguments) },
	{ .name = NULL },
};
