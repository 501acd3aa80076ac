/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What runs, what ran and what was used. Both lists come from the store, which has
 * everything in one order; of what still runs, the figures are read from its leaf.
 */
#include <stdlib.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>

#include "../calendar.h"
#include "connection.h"
#include "encode.h"
#include "lookup.h"
#include "methods.h"
#include "rights.h"

struct list {
	struct id tenant;
	struct store_selection selection;
	struct store_place place;
	/* What ran at the call. GetUsage: when the totals were taken, so that parts and whole
	 * agree. */
	struct record *running;
	size_t running_n;
	bool live; /* ListExecutions: read the leaf of what runs now */
	/* ListExecutions: the store takes nothing, so that it may lack what runs and have what
	 * does not. Then only `running` is told, of which `running_next` is the next. */
	bool unbookable;
	size_t running_next;
	json_t *totals;
	bool totals_only;
	/* GetUsage by periods instead of executions. */
	bool by_period;
	enum calendar_period period;
	struct calendar calendar;
	char zone[STORE_TEXT_BYTES_MAX];
	int64_t next; /* what begins there or later is to be told */
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
	for (size_t i = 0; !list->unbookable && i < list->running_n; i++) {
		if (id_equal(&list->running[i].id, &record->id)) {
			*record = list->running[i];
			return;
		}
	}
	if (list->live && record->state == RECORD_RUNNING)
		usage_read_running(&call->context->usage, record);
}

/* Of one tenant's all are shown: that was asked when it was named. */
static bool list_shows(const struct call *call, const struct list *list,
                       const struct record *record)
{
	const struct peer *peer = &call->connection->peer;
	struct tn_error ignored = { 0 };
	struct tenant *tenant;

	if (peer->admin || list->selection.tenant != NULL)
		return true;
	return tenants_get_by_id(call->context->tenants, &record->tenant, &tenant, &ignored) ==
	               0 &&
	       rights_see(call->context, peer, &tenant->row);
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* What applications have metered of it within the bounds, into @meters, behind what the kernel
 * has; and into @held, which may be NULL, what they hold of gauges now. */
static int metered_add(struct store *store, const struct id *tenant,
                       const struct store_range *range, json_t *meters, json_t *held,
                       struct tn_error *err)
{
	char meter[METER_NAME_BYTES_MAX] = "";
	struct metered metered;
	bool failed = meters == NULL;
	int64_t used;
	int r = 0;

	while (!failed &&
	       (r = store->ops->metered_next(store, tenant, meter, meter, err)) == 1) {
		r = store->ops->metered_get(store, tenant, meter, range, &metered, &used, err);
		if (r < 0)
			return r;
		if (metered.total > 0)
			failed = json_object_set_new(meters, meter, json_integer(used)) < 0;
		if (!failed && held != NULL && metered.held > 0)
			failed = json_object_set_new(held, meter, json_integer(metered.held)) <
			         0;
	}
	return failed ? err_set(err, TN_SYSTEM, ENOMEM, "list usage") : r;
}

/* The first instant within the bounds of which something was booked, or counted. */
static int booked_next(struct store *store, const struct id *tenant, int64_t since,
                       int64_t until, int64_t *ret, struct tn_error *err)
{
	char meter[METER_NAME_BYTES_MAX] = "";
	struct store_range range = { since, until };
	int64_t at, ignored;
	int r = store->ops->hour_next(store, tenant, since, until, &at, NULL, err);

	if (r == 1)
		range.until = at;
	while (r >= 0 &&
	       (r = store->ops->metered_next(store, tenant, meter, meter, err)) == 1) {
		r = store->ops->metered_hour_next(store, tenant, meter, &range, &at, &ignored,
		                                  err);
		if (r == 1)
			range.until = at;
	}
	if (r < 0)
		return r;
	*ret = range.until;
	return range.until < until;
}

/* Of the next period in which something was booked, what of it lies within the bounds. */
static int period_next(struct call *call, struct list *list, json_t **ret, struct tn_error *err)
{
	struct store *store = call->context->store;
	const int64_t since = later(list->selection.since, 0);
	const int64_t until = list->selection.until == LEDGER_ABSENT ? INT64_MAX
	                                                             : list->selection.until;
	struct calendar_span span;
	struct store_range range;
	struct store_totals totals;
	json_t *meters;
	int64_t hour;
	int r = booked_next(store, &list->tenant, later(list->next, since), until, &hour, err);

	if (r != 1)
		return r;
	span = calendar_span_of(&list->calendar, list->period, hour);
	span.start = later(span.start, since);
	span.end = earlier(span.end, until);
	list->next = span.end;
	r = store->ops->totals(store, &list->tenant, span.start, span.end, &totals, err);
	if (r < 0)
		return r;
	meters = encode_meters(&totals);
	range = (struct store_range){ span.start, span.end };
	r = metered_add(store, &list->tenant, &range, meters, NULL, err);
	if (r < 0) {
		json_decref(meters);
		return r;
	}
	*ret = json_pack("{s:{s:I, s:I, s:o}}", "period", "start", (json_int_t)span.start,
	                 "end", (json_int_t)span.end, "meters", meters);
	return *ret != NULL ? 1 : err_set(err, TN_SYSTEM, ENOMEM, "list usage");
}

/* The next that the list has: 1 and *ret, or 0. */
static int record_next(const struct call *call, struct list *list, struct record *ret,
                       struct tn_error *err)
{
	struct store *store = call->context->store;

	if (!list->unbookable)
		return store->ops->execution_next(store, &list->selection, &list->place, ret,
		                                  err);
	if (list->running_next == list->running_n)
		return 0;
	*ret = list->running[list->running_next++];
	return 1;
}

static int list_next(struct call *call, json_t **ret, struct tn_error *err)
{
	struct list *list = call->state;
	struct record record;
	int r;

	if (list->totals != NULL) {
		*ret = list->totals;
		list->totals = NULL;
		return 1;
	}
	if (list->totals_only)
		return 0;
	if (list->by_period)
		return period_next(call, list, ret, err);
	r = record_next(call, list, &record, err);
	if (r != 1)
		return r;
	if (!list_shows(call, list, &record))
		return CALL_SKIP;
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

static int by_start(const void *a, const void *b)
{
	const struct record *left = a, *right = b;

	return (left->started_at < right->started_at) - (left->started_at > right->started_at);
}

/* What runs is known without the store, too, and is to be seen above all when something is
 * wrong: whom else would one end? */
static int list_running(struct call *call, struct list *list, struct tn_error *err)
{
	int r = executions_snapshot(call->context->executions, list->selection.tenant,
	                            &list->running, &list->running_n, err);

	if (r < 0)
		return r;
	qsort(list->running, list->running_n, sizeof(list->running[0]), by_start);
	list->unbookable = true;
	return 0;
}

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
	if (r < 0)
		return r;
	r = journal_commit(call->context->journal, NULL, err);
	if (r < 0 && !arguments->all)
		r = list_running(call, list, err);
	if (r < 0)
		return r;
	call_stream(call, list_next);
	return 0;
}

struct usage_arguments {
	const char *tenant;
	int64_t since;
	int64_t until;
	bool totals_only;
	const char *by;
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
	{ .name = "totals_only",
	  .kind = PARAM_BOOL,
	  .offset = offsetof(struct usage_arguments, totals_only) },
	{ .name = "by", .kind = PARAM_STRING, .offset = offsetof(struct usage_arguments, by) },
	{ .name = NULL },
};

/* Whole hours are kept: one that has begun before @since, or ends after @until, counts. */
static void usage_bounds(const struct usage_arguments *arguments, struct list *list)
{
	const int64_t until = arguments->until;

	list->selection.since = arguments->since == PARAMS_ABSENT
	                                ? LEDGER_ABSENT
	                                : ledger_hour(arguments->since);
	list->selection.until = LEDGER_ABSENT;
	if (until != PARAMS_ABSENT)
		list->selection.until = until > INT64_MAX - LEDGER_HOUR_USEC
		                                ? INT64_MAX
		                                : ledger_hour(until + LEDGER_HOUR_USEC - 1);
}

static int usage_by(const struct tenant *tenant, const char *by, struct list *list,
                    struct tn_error *err)
{
	if (by == NULL || strcmp(by, "execution") == 0)
		return 0;
	list->by_period = true;
	(void)snprintf(list->zone, sizeof(list->zone), "%s", tenant->row.time_zone);
	list->calendar = (struct calendar){ list->zone, (int)tenant->row.billing_anchor_day };
	for (int i = 0; calendar_period_names[i] != NULL; i++)
		if (strcmp(calendar_period_names[i], by) == 0) {
			list->period = (enum calendar_period)i;
			return 0;
		}
	return err_refuse(err, TN_INVALID,
	                  "by: '%.32s' is no period; expected hour, day, week, month or "
	                  "execution",
	                  by);
}

/* The first reply; consumes @meters and @held. */
static json_t *totals_pack(const struct list *list, const struct tenant *tenant,
                           const struct store_node *node, int64_t now, json_t *meters,
                           json_t *held, int64_t unattributed)
{
	const struct store_selection *bounds = &list->selection;

	return json_pack(
		"{s:s, s:I, s:I, s:o, s:o, s:o, s:o}", "tenant", tenant->row.name, "since",
		(json_int_t)(bounds->since != LEDGER_ABSENT ? bounds->since
	                                                    : tenant->row.created_at),
		"until", (json_int_t)(bounds->until != LEDGER_ABSENT ? bounds->until : now),
		"meters", meters, "held", held, "unattributed_usec", encode_int(unattributed),
		"itemized_since",
		/* Nothing of it was forgotten before it was there. */
		encode_int(node->itemized_since > tenant->row.created_at ? node->itemized_since
	                                                                 : LEDGER_ABSENT));
}

/* What gauges hold has no past. */
static int totals_tell(const struct call *call, struct list *list, const struct tenant *tenant,
                       const struct store_totals *totals, int64_t now, struct tn_error *err)
{
	struct store *store = call->context->store;
	const struct store_selection *bounds = &list->selection;
	const bool past = bounds->until != LEDGER_ABSENT;
	json_t *held = past ? json_null() : json_object();
	json_t *meters = encode_meters(totals);
	const struct store_range range = { later(bounds->since, 0),
		                           past ? bounds->until : INT64_MAX };
	struct store_node node = { .itemized_since = LEDGER_ABSENT };
	int r = metered_add(store, &list->tenant, &range, meters, past ? NULL : held, err);

	if (r == 0)
		r = store->ops->node_get(store, &node, err);
	if (r < 0) {
		json_decref(meters);
		json_decref(held);
		return r;
	}
	list->totals = totals_pack(list, tenant, &node, now, meters, held,
	                           totals->meters[METER_CPU_UNATTRIBUTED]);
	return list->totals != NULL ? 0 : err_set(err, TN_SYSTEM, ENOMEM, "list usage");
}

static int usage_totals(struct call *call, struct list *list, const struct tenant *tenant,
                        struct tn_error *err)
{
	struct store *store = call->context->store;
	struct store_totals totals = { { 0 } };
	struct ledger_sample sample;
	int r;

	usage_sample(&call->context->usage, &list->tenant, &sample, &list->running,
	             &list->running_n);
	r = journal_commit(call->context->journal, &sample, err);
	if (r == 0)
		r = store->ops->totals(store, &list->tenant, list->selection.since,
		                       list->selection.until, &totals, err);
	if (r < 0)
		return r;
	/* Counted from their first end on; before it there were none. */
	for (int meter = METER_EXECUTIONS; meter < LEDGER_METERS_N; meter++)
		if (totals.meters[meter] == LEDGER_ABSENT && meter != METER_CPU_UNATTRIBUTED)
			totals.meters[meter] = 0;
	return totals_tell(call, list, tenant, &totals, sample.at, err);
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
		r = usage_by(tenant, arguments->by, list, err);
	if (r < 0)
		return r;
	usage_bounds(arguments, list);
	r = usage_totals(call, list, tenant, err);
	if (r < 0)
		return r;
	list->totals_only = arguments->totals_only;
	call_stream(call, list_next);
	return 0;
}

struct find_arguments {
	const char *id;
};

static const struct param find_params[] = {
	{ .name = "id",
	  .kind = PARAM_STRING,
	  .required = true,
	  .offset = offsetof(struct find_arguments, id) },
	{ .name = NULL },
};

static int handle_find(struct call *call, struct tn_error *err)
{
	const struct find_arguments *arguments = call->arguments;
	struct context *context = call->context;
	struct record record = { 0 };
	struct id id;
	int r = lookup_execution(context, &call->connection->peer, arguments->id, &id, err);

	if (r == 0)
		r = journal_commit(context->journal, NULL, err);
	if (r == 0)
		r = context->store->ops->execution_by_id(context->store, &id, &record, err);
	if (r < 0)
		return r;
	if (r == 0)
		return err_refuse(err, TN_NOT_FOUND, "there is no execution %s", arguments->id);
	if (record.state == RECORD_RUNNING)
		usage_read_running(&context->usage, &record);
	call_reply(call, json_pack("{s:o}", "execution", encode_record(&record)));
	return 0;
}

const struct method methods_usage[] = {
	{ "io.tenantd.FindExecution", handle_find, 0, find_params,
	  sizeof(struct find_arguments) },
	{ "io.tenantd.ListExecutions", handle_executions, METHOD_STREAMS, executions_params,
	  sizeof(struct executions_arguments) },
	{ "io.tenantd.GetUsage", handle_usage, METHOD_STREAMS, usage_params,
	  sizeof(struct usage_arguments) },
	{ .name = NULL },
};
