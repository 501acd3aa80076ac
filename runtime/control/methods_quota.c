/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What applications meter, and what is left of each quota. All but GetQuotas are decided when
 * they come and answered together, when they are written: see batch.h.
 */
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>

#include "../cgstat.h"
#include "batch.h"
#include "connection.h"
#include "encode.h"
#include "methods.h"

#define EXPIRES_USEC (INT64_C(60) * 1000000) /* of a reservation that does not say */

struct quota_arguments {
	const char *tenant;
	const char *meter;
	int64_t amount;
	const char *key;
	const char *execution;
	const char *reservation;
	int64_t expires_usec;
	bool lease;
	bool durable;
};

#define AT(field) .offset = offsetof(struct quota_arguments, field)
/* clang-format off */
#define TENANT      { .name = "tenant", .kind = PARAM_STRING, AT(tenant) }
#define METER       { .name = "meter", .kind = PARAM_STRING, .required = true, AT(meter) }
#define AMOUNT      { .name = "amount", .kind = PARAM_INT, .required = true, AT(amount) }
#define KEY         { .name = "key", .kind = PARAM_STRING, AT(key) }
#define DURABLE     { .name = "durable", .kind = PARAM_BOOL, AT(durable) }
#define EXECUTION   { .name = "execution", .kind = PARAM_STRING, AT(execution) }
#define RESERVATION { .name = "reservation", .kind = PARAM_STRING, .required = true, AT(reservation) }
#define END         { .name = NULL }

static const struct param check_params[] = { TENANT, METER, AMOUNT, END };
static const struct param consume_params[] = { TENANT, METER, AMOUNT, KEY, DURABLE, END };
static const struct param held_params[] = { TENANT, METER, AMOUNT, KEY, DURABLE, EXECUTION, END };
static const struct param reserve_params[] = {
	TENANT, METER, AMOUNT, KEY, DURABLE,
	{ .name = "expires_usec", .kind = PARAM_INT, AT(expires_usec) },
	{ .name = "lease", .kind = PARAM_BOOL, AT(lease) },
	END
};
static const struct param commit_params[] = {
	TENANT, RESERVATION, { .name = "amount", .kind = PARAM_INT, AT(amount) }, KEY, DURABLE, END
};
static const struct param release_params[] = { TENANT, RESERVATION, KEY, DURABLE, END };
static const struct param get_params[] = { TENANT, END };
/* clang-format on */

static json_t *answer_pack(const struct quota_answer *answer, const struct quota_rule *rule)
{
	char reservation[ID_TEXT_BYTES] = "";

	if (!id_is_none(&answer->reservation))
		id_format(&answer->reservation, reservation);
	return json_pack(
		"{s:o, s:I, s:I, s:b, s:o, s:o}", "limit", encode_int(answer->limit), "used",
		(json_int_t)answer->used, "reserved", (json_int_t)answer->reserved, "repeated",
		answer->repeated, "reservation", encode_text(reservation), "reset_at",
		encode_int(rule->span.end == INT64_MAX ? LEDGER_ABSENT : rule->span.end));
}

/* On a tenant's own socket: who calls. */
static const struct peer *workload_of(const struct call *call)
{
	const struct connection *connection = call->connection;

	return connection != NULL && connection->peer.inside ? &connection->peer : NULL;
}

/* Whom it is about. */
static int call_tenant(const struct call *call, struct tenant **ret, struct tn_error *err)
{
	const struct quota_arguments *arguments = call->arguments;
	const struct peer *workload = workload_of(call);

	if (workload != NULL)
		return tenants_get_by_id(call->context->tenants, &workload->tenant, ret, err);
	if (arguments->tenant == NULL)
		return err_refuse(err, TN_INVALID,
		                  "which tenant? Its own socket alone knows without a word");
	return tenants_get(call->context->tenants, arguments->tenant, ret, err);
}

/* By its UUID: a name may mean another one by the time it ends. */
static int request_execution(const struct context *context, const struct tenant *tenant,
                             const char *text, struct id *ret, struct tn_error *err)
{
	struct id of;

	if (text == NULL)
		return 0;
	if (id_parse(text, ret) == 0 && executions_tenant(context->executions, ret, &of) &&
	    id_equal(&of, &tenant->row.id))
		return 0;
	return err_refuse(err, TN_NOT_FOUND, "no execution '%.64s' of '%s' runs", text,
	                  tenant->row.name);
}

/* Of which meter a reservation is: it says so itself. */
static int request_reservation(const struct context *context, const struct tenant *tenant,
                               const struct quota_arguments *arguments,
                               struct quota_request *request, char meter[METER_NAME_BYTES_MAX],
                               struct tn_error *err)
{
	int r = 0;

	if (request->amount == PARAMS_ABSENT)
		request->amount = 0;
	if (id_parse(arguments->reservation, &request->reservation) == 0)
		r = quotas_reserved_of(context->quotas, &tenant->row.id, &request->reservation,
		                       request->key, meter, err);
	if (r != 0)
		return r < 0 ? r : 0;
	return err_refuse(err, TN_NOT_FOUND,
	                  "there is no reservation '%.64s' of '%s': it has expired, or was "
	                  "committed or released",
	                  arguments->reservation, tenant->row.name);
}

/* What a workload acquires is its execution's, which has to be there to end: its connection
 * may have become another's. */
static int request_holder(const struct call *call, const struct tenant *tenant,
                          struct quota_request *request, struct tn_error *err)
{
	const struct quota_arguments *arguments = call->arguments;
	const struct peer *workload = workload_of(call);
	char id[ID_TEXT_BYTES];

	if (workload == NULL)
		return request_execution(call->context, tenant, arguments->execution,
		                         &request->execution, err);
	if (request->op != METERING_ACQUIRE && request->op != METERING_GIVE_BACK &&
	    request->op != METERING_COMMIT)
		return 0;
	id_format(&workload->execution, id);
	if (!call->context->settled &&
	    !executions_runs(call->context->executions, &workload->execution))
		return err_refuse(err, TN_STATE, "it is not known yet that %s runs; try again",
		                  id);
	return request_execution(call->context, tenant, id, &request->execution, err);
}

/* Of a workload: the disk is not its to keep busy, nor to fill. */
static int request_bound(const struct call *call, struct tn_error *err)
{
	const struct quota_arguments *arguments = call->arguments;
	const struct connection_owner *owner;

	if (workload_of(call) == NULL)
		return 0;
	if (arguments->durable)
		return err_refuse(err, TN_NOT_PERMITTED,
		                  "on a tenant's own socket no call is durable before it is "
		                  "answered");
	owner = call->connection->owner;
	if (owner->kept != NULL &&
	    (arguments->key != NULL || call->method->params == held_params))
		owner->kept(call->connection->owner);
	return 0;
}

static int request_tenant(const struct call *call, struct tenant **ret, struct tn_error *err)
{
	int r = call_tenant(call, ret, err);

	if (r < 0)
		return r;
	assert(*ret != NULL);
	if ((*ret)->row.status != TENANT_DELETED && (*ret)->row.status != TENANT_DELETING)
		return 0;
	return err_refuse(err, TN_STATE, "tenant '%s' is %s", (*ret)->row.name,
	                  tenant_status_name((*ret)->row.status));
}

static int request_make(const struct call *call, enum metering_op op,
                        struct tenant **ret_tenant, struct quota_request *ret,
                        struct tn_error *err)
{
	const struct quota_arguments *arguments = call->arguments;
	const struct context *context = call->context;
	char reserved[METER_NAME_BYTES_MAX];
	const char *meter = arguments->meter;
	struct tenant *tenant = NULL;
	int r = request_bound(call, err);

	if (r == 0)
		r = request_tenant(call, &tenant, err);
	if (r < 0)
		return r;
	assert(tenant != NULL);
	*ret = (struct quota_request){ .op = op,
		                       .tenant = &tenant->row,
		                       .amount = arguments->amount,
		                       .key = arguments->key,
		                       .lease = arguments->lease,
		                       .now = clock_usec(CLOCK_REALTIME),
		                       .boottime = clock_usec(CLOCK_BOOTTIME) };
	ret->expires_usec = arguments->expires_usec == PARAMS_ABSENT ? EXPIRES_USEC
	                                                             : arguments->expires_usec;
	if (arguments->reservation != NULL) {
		meter = reserved;
		r = request_reservation(context, tenant, arguments, ret, reserved, err);
		if (r < 0)
			return r;
	}
	*ret_tenant = tenant;
	r = request_holder(call, tenant, ret, err);
	return r < 0 ? r
	             : quota_rule_of(context->tenants, tenant, meter, ret->now, &ret->rule,
	                             NULL, err);
}

/* What the kernel measures is looked at and not taken. */
static int check_kernel(const struct context *context, const struct tenant *tenant,
                        const struct quota_request *request, struct quota_answer *ret,
                        struct tn_error *err)
{
	const struct quota_rule *rule = &request->rule;
	int64_t sum;
	int r = quota_request_check(request, err);

	if (r == 0)
		r = quota_kernel_used(context->store, tenant, rule, &ret->used, err);
	if (r < 0)
		return r;
	ret->limit = rule->limited ? rule->limit : LEDGER_ABSENT;
	if (!rule->limited || !rule->hard ||
	    (!__builtin_add_overflow(ret->used, request->amount, &sum) && sum <= rule->limit))
		return 0;
	return err_set(err, TN_QUOTA, EDQUOT,
	               "%s of '%s': %lld more does not fit, %lld of %lld are used",
	               rule->meter.name, tenant->row.name, (long long)request->amount,
	               (long long)ret->used, (long long)rule->limit);
}

static int request_do(struct call *call, enum metering_op op, struct tn_error *err)
{
	const struct quota_arguments *arguments = call->arguments;
	struct quota_answer answer = { .limit = LEDGER_ABSENT };
	struct quota_request request;
	struct tenant *tenant;
	int r = request_make(call, op, &tenant, &request, err);

	if (r == 0 && op == METERING_CHECK && request.rule.meter.source == METER_OF_KERNEL)
		r = check_kernel(call->context, tenant, &request, &answer, err);
	else if (r == 0)
		r = quotas_do(call->context->quotas, &request, &answer, err);
	if (r == 0) {
		batch_reply(call->connection->owner->batch, call,
		            answer_pack(&answer, &request.rule), arguments->durable);
		return 0;
	}
	if (err->code == TN_QUOTA) {
		(void)snprintf(call->meter, sizeof(call->meter), "%s", request.rule.meter.name);
		call->quota = (struct call_quota){
			call->meter,
			answer.limit,
			answer.used,
			request.amount,
			request.rule.span.end == INT64_MAX ? 0 : request.rule.span.end,
		};
	}
	return r;
}

static int handle_check(struct call *call, struct tn_error *err)
{
	return request_do(call, METERING_CHECK, err);
}

static int handle_consume(struct call *call, struct tn_error *err)
{
	return request_do(call, METERING_CONSUME, err);
}

static int handle_reserve(struct call *call, struct tn_error *err)
{
	return request_do(call, METERING_RESERVE, err);
}

static int handle_commit(struct call *call, struct tn_error *err)
{
	return request_do(call, METERING_COMMIT, err);
}

static int handle_release(struct call *call, struct tn_error *err)
{
	return request_do(call, METERING_RELEASE, err);
}

static int handle_acquire(struct call *call, struct tn_error *err)
{
	return request_do(call, METERING_ACQUIRE, err);
}

static int handle_give_back(struct call *call, struct tn_error *err)
{
	return request_do(call, METERING_GIVE_BACK, err);
}

/* Of products: ISO C has no name for it. */
__extension__ typedef __int128 wide;

/* Of what is used of a limit; null where that is none, or nothing. */
static json_t *percent_pack(int64_t used, int64_t limit)
{
	wide percent;

	if (limit <= 0 || limit == INT64_MAX || used == LEDGER_ABSENT)
		return json_null();
	percent = (wide)used * 100 / limit;
	return json_integer(percent > INT64_MAX ? INT64_MAX : (json_int_t)percent);
}

struct shown {
	const char *meter, *unit, *kind, *per, *enforce, *on_exhaust;
	int64_t limit, used, reserved; /* LEDGER_ABSENT: none, or not known */
	struct calendar_span span;
};

static json_t *shown_pack(const struct shown *shown)
{
	const bool periodic = shown->span.end != INT64_MAX;

	return json_pack(
		"{s:s, s:s, s:s, s:o, s:o, s:I, s:o, s:s?, s:o, s:o, s:s?, s:s?}", "meter",
		shown->meter, "unit", shown->unit, "kind", shown->kind, "limit",
		encode_int(shown->limit == INT64_MAX ? LEDGER_ABSENT : shown->limit), "used",
		encode_int(shown->used), "reserved", (json_int_t)shown->reserved, "percent",
		shown->used == LEDGER_ABSENT ? json_null()
					     : percent_pack(shown->used, shown->limit),
		"per", shown->per, "period_start",
		encode_int(periodic ? shown->span.start : LEDGER_ABSENT), "reset_at",
		encode_int(periodic ? shown->span.end : LEDGER_ABSENT), "enforce",
		shown->enforce, "on_exhaust", shown->on_exhaust);
}

static int show_meter(const struct context *context, struct tenant *tenant, const char *name,
                      int64_t now, json_t *list, struct tn_error *err)
{
	struct quota_request request = { .op = METERING_CHECK,
		                         .tenant = &tenant->row,
		                         .now = now,
		                         .boottime = clock_usec(CLOCK_BOOTTIME) };
	const struct quota_rule *rule = &request.rule;
	struct quota_answer answer = { .limit = LEDGER_ABSENT };
	const struct policy_quota *quota;
	struct shown shown;
	int r = quota_rule_of(context->tenants, tenant, name, now, &request.rule, &quota, err);

	if (r < 0)
		return r;
	if (rule->meter.source == METER_OF_KERNEL)
		r = quota_kernel_used(context->store, tenant, rule, &answer.used, err);
	else
		r = quotas_look(context->quotas, &request, &answer, err);
	if (r < 0)
		return r;
	shown = (struct shown){ rule->meter.name,
		                rule->meter.label,
		                rule->meter.kind == METER_GAUGE ? "gauge" : "counter",
		                quota != NULL && quota->per != POLICY_PER_NONE
		                        ? policy_period_names[quota->per]
		                        : NULL,
		                quota != NULL ? policy_enforce_names[quota->enforce] : NULL,
		                NULL,
		                quota != NULL ? rule->limit : LEDGER_ABSENT,
		                answer.used,
		                answer.reserved,
		                rule->span };
	if (quota != NULL && rule->meter.source == METER_OF_KERNEL && rule->hard)
		shown.on_exhaust = policy_exhaust_names[quota->on_exhaust];
	return json_array_append_new(list, shown_pack(&shown)) < 0
	               ? err_set(err, TN_SYSTEM, ENOMEM, "show quotas")
	               : 0;
}

/* Every meter that the tenant has a quota on, and every one that was counted without. */
static int show_meters(const struct context *context, struct tenant *tenant, int64_t now,
                       json_t *list, struct tn_error *err)
{
	const struct policy_meters *meters = policy_meters(tenants_policy(context->tenants));
	const struct policy_tier *tier;
	char next[METER_NAME_BYTES_MAX] = "";
	int r = tenants_tier(context->tenants, tenant, &tier, err);

	for (size_t i = 0; r == 0 && i < tier->quotas_n; i++)
		r = show_meter(context, tenant, tier->quotas[i].meter.name, now, list, err);
	while (r == 0 && (r = context->store->ops->metered_next(context->store, &tenant->row.id,
	                                                        next, next, err)) == 1) {
		bool limited = false;

		r = 0;
		for (size_t i = 0; i < tier->quotas_n; i++)
			limited |= strcmp(tier->quotas[i].meter.name, next) == 0;
		/* One that policy has no more is counted no more. */
		if (!limited && policy_meter(meters, next) != NULL)
			r = show_meter(context, tenant, next, now, list, err);
	}
	return r;
}

/* What the kernel holds at any time. */
static int show_limits(const struct context *context, struct tenant *tenant, json_t *list,
                       struct tn_error *err)
{
#define KERNEL_LIMIT(meter_, unit_)                                                            \
	{                                                                                      \
		.meter = (meter_), .unit = (unit_), .kind = "gauge", .enforce = "kernel",      \
		.span = {                                                                      \
			0,                                                                     \
			INT64_MAX                                                              \
		}                                                                              \
	}
	struct shown limits[] = { KERNEL_LIMIT("executions_max", "executions"),
		                  KERNEL_LIMIT("memory_max", "bytes"),
		                  KERNEL_LIMIT("tasks_max", "tasks") };
#undef KERNEL_LIMIT
	const struct policy_tier *tier;
	struct tn_error ignored = { 0 };
	struct cgstat_look look;
	int r = tenants_tier(context->tenants, tenant, &tier, err);

	if (r < 0)
		return r;
	(void)cgstat_look(context->root_fd, tenant->row.name, NULL, &look, &ignored);
	limits[0].limit = tier->limits.executions_max;
	limits[0].used = (int64_t)tenant->executions_n;
	limits[1].limit = tier->limits.memory_max_bytes;
	limits[1].used = look.memory_bytes;
	limits[2].limit = tier->limits.tasks_max;
	limits[2].used = look.tasks;
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		if (json_array_append_new(list, shown_pack(&limits[i])) < 0)
			return err_set(err, TN_SYSTEM, ENOMEM, "show quotas");
	return 0;
}

static int handle_get(struct call *call, struct tn_error *err)
{
	const struct context *context = call->context;
	const int64_t now = clock_usec(CLOCK_REALTIME);
	json_t *list = json_array();
	struct ledger_sample sample;
	struct tenant *tenant = NULL;
	int r = call_tenant(call, &tenant, err);

	if (r == 0 && list == NULL)
		r = err_set(err, TN_SYSTEM, ENOMEM, "show quotas");
	if (r == 0) {
		assert(tenant != NULL);
		usage_sample(&context->usage, &tenant->row.id, &sample, NULL, NULL);
		r = journal_commit(context->journal, &sample, err);
	}
	if (r == 0)
		r = show_meters(context, tenant, now, list, err);
	if (r == 0)
		r = show_limits(context, tenant, list, err);
	if (r < 0) {
		json_decref(list);
		return r;
	}
	quotas_settle(context->quotas);
	call_reply(call, json_pack("{s:s, s:s, s:s, s:I, s:o}", "tenant", tenant->row.name,
	                           "tier", tenant->row.tier, "policy_hash",
	                           policy_hash_hex(tenants_policy(context->tenants)),
	                           "snapshot_at", (json_int_t)now, "quotas", list));
	return 0;
}

#define BATCHED(name, handle, params)                                                          \
	{                                                                                      \
		"io.tenantd." name, handle, METHOD_BATCHED, params,                            \
			sizeof(struct quota_arguments)                                         \
	}

const struct method methods_quota[] = {
	BATCHED("CheckQuota", handle_check, check_params),
	BATCHED("ConsumeQuota", handle_consume, consume_params),
	BATCHED("ReserveQuota", handle_reserve, reserve_params),
	BATCHED("CommitQuota", handle_commit, commit_params),
	BATCHED("ReleaseQuota", handle_release, release_params),
	BATCHED("AcquireQuota", handle_acquire, held_params),
	BATCHED("GiveBackQuota", handle_give_back, held_params),
	{ "io.tenantd.GetQuotas", handle_get, 0, get_params, sizeof(struct quota_arguments) },
	{ .name = NULL },
};
