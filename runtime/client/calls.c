/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls of <tenant/client.h>. In json_pack() formats "s?" is text or null for
 * NULL, and "o" consumes; a NULL from any part makes the whole NULL, which
 * client_start() turns into an error.
 */
#include <tenant/client.h>

#include <base/fd.h>
#include <base/name.h>

#include "client.h"
#include "record.h"

static int on_tenant(struct call *call, json_t *parameters, struct tn_error *err)
{
	json_t *json = client_member(parameters, "tenant");

	if (json == NULL)
		return client_no_member("tenant", err);
	return client_on_record(call, json, err);
}

/* NULL as a value is null. */
static json_t *pack_pairs(const struct tn_pair *pairs, size_t n)
{
	json_t *json = json_object();

	for (size_t i = 0; i < n; i++) {
		json_t *value = pairs[i].value != NULL ? json_string(pairs[i].value)
		                                       : json_null();

		if (json_object_set_new(json, pairs[i].key, value) < 0) {
			json_decref(json);
			return NULL;
		}
	}
	return json;
}

/* None is null. */
static json_t *pack_texts(const char *const *texts, size_t n)
{
	json_t *json = n > 0 ? json_array() : json_null();

	for (size_t i = 0; i < n; i++) {
		if (json_array_append_new(json, json_string(texts[i])) < 0) {
			json_decref(json);
			return NULL;
		}
	}
	return json;
}

static json_t *positive_or_null(int64_t number)
{
	return number == 0 ? json_null() : json_integer(number);
}

/* What is not said is null. */
static json_t *pack_settings(const struct tn_settings *settings)
{
	if (settings == NULL)
		return json_null();
	return json_pack("{s:o, s:s?, s:s?, s:s?}", "billing_anchor_day",
	                 positive_or_null(settings->billing_anchor_day), "time_zone",
	                 settings->time_zone, "currency", settings->currency, "customer_id",
	                 settings->customer_id);
}

int tn_tenant_create_start(struct tn_client *client, const struct tn_tenant_spec *spec,
                           struct tn_tenant *ret, struct tn_error *err)
{
	const struct call call = CALL_FOR(on_tenant, tn_tenant, ret);

	if (spec->name == NULL || !name_valid(spec->name))
		return err_refuse(err, TN_INVALID, "not a name for a tenant: it is " NAME_RULE);
	return client_start(client, "CreateTenant",
	                    json_pack("{s:s, s:s?, s:s?, s:o, s:o, s:o, s:o}", "name",
	                              spec->name, "display_name", spec->display_name, "tier",
	                              spec->tier, "metadata",
	                              pack_pairs(spec->metadata, spec->metadata_n), "overrides",
	                              pack_pairs(spec->overrides, spec->overrides_n),
	                              "settings", pack_settings(spec->settings), "operators",
	                              pack_texts(spec->operators, spec->operators_n)),
	                    CONNECTION_ONE, &call, err);
}

int tn_tenant_create(struct tn_client *client, const struct tn_tenant_spec *spec,
                     struct tn_tenant *ret, struct tn_error *err)
{
	return client_finish(client, tn_tenant_create_start(client, spec, ret, err), err);
}

int tn_tenant_get_start(struct tn_client *client, const char *tenant, struct tn_tenant *ret,
                        struct tn_error *err)
{
	const struct call call = CALL_FOR(on_tenant, tn_tenant, ret);
	int r = check_tenant(tenant, err);

	if (r < 0)
		return r;
	return client_start(client, "GetTenant", json_pack("{s:s}", "tenant", tenant),
	                    CONNECTION_ONE, &call, err);
}

int tn_tenant_get(struct tn_client *client, const char *tenant, struct tn_tenant *ret,
                  struct tn_error *err)
{
	return client_finish(client, tn_tenant_get_start(client, tenant, ret, err), err);
}

static json_t *pack_change(const char *tenant, const struct tn_tenant_change *change)
{
	const struct tn_settings settings = { change->billing_anchor_day, change->time_zone,
		                              change->currency, change->customer_id };

	return json_pack("{s:s, s:s?, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "tenant",
	                 tenant, "display_name", change->display_name, "tier", change->tier,
	                 "metadata", pack_pairs(change->metadata, change->metadata_n),
	                 "overrides", pack_pairs(change->overrides, change->overrides_n),
	                 "settings", pack_settings(&settings), "if_version",
	                 positive_or_null(change->if_version), "operators_add",
	                 pack_texts(change->operators_add, change->operators_add_n),
	                 "operators_remove",
	                 pack_texts(change->operators_remove, change->operators_remove_n),
	                 "force", change->force);
}

int tn_tenant_update_start(struct tn_client *client, const char *tenant,
                           const struct tn_tenant_change *change, struct tn_tenant *ret,
                           struct tn_error *err)
{
	struct call call = CALL_FOR(on_tenant, tn_tenant, ret);
	int r = check_tenant(tenant, err);

	if (r < 0)
		return r;
	/* What is in use may take its time to be given back. */
	call.patient = true;
	return client_start(client, "UpdateTenant", pack_change(tenant, change), CONNECTION_ONE,
	                    &call, err);
}

int tn_tenant_update(struct tn_client *client, const char *tenant,
                     const struct tn_tenant_change *change, struct tn_tenant *ret,
                     struct tn_error *err)
{
	return client_finish(client, tn_tenant_update_start(client, tenant, change, ret, err),
	                     err);
}

/* Takes over @parameters. The kernel may take its time to stop what it works for. */
static int start_patiently(struct tn_client *client, const char *method, const char *tenant,
                           json_t *parameters, struct tn_tenant *ret, struct tn_error *err)
{
	struct call call = CALL_FOR(on_tenant, tn_tenant, ret);
	int r = check_tenant(tenant, err);

	if (r < 0) {
		json_decref(parameters);
		return r;
	}
	call.patient = true;
	return client_start(client, method, parameters, CONNECTION_ONE, &call, err);
}

static int start_of_tenant(struct tn_client *client, const char *method, const char *tenant,
                           struct tn_tenant *ret, struct tn_error *err)
{
	return start_patiently(client, method, tenant, json_pack("{s:s}", "tenant", tenant),
	                       ret, err);
}

int tn_tenant_delete_start(struct tn_client *client, const char *tenant, bool force,
                           struct tn_tenant *ret, struct tn_error *err)
{
	return start_patiently(client, "DeleteTenant", tenant,
	                       json_pack("{s:s, s:b}", "tenant", tenant, "force", force), ret,
	                       err);
}

int tn_tenant_delete(struct tn_client *client, const char *tenant, bool force,
                     struct tn_tenant *ret, struct tn_error *err)
{
	return client_finish(client, tn_tenant_delete_start(client, tenant, force, ret, err),
	                     err);
}

int tn_tenant_suspend_start(struct tn_client *client, const char *tenant, struct tn_tenant *ret,
                            struct tn_error *err)
{
	return start_of_tenant(client, "SuspendTenant", tenant, ret, err);
}

int tn_tenant_suspend(struct tn_client *client, const char *tenant, struct tn_tenant *ret,
                      struct tn_error *err)
{
	return client_finish(client, tn_tenant_suspend_start(client, tenant, ret, err), err);
}

int tn_tenant_resume_start(struct tn_client *client, const char *tenant, struct tn_tenant *ret,
                           struct tn_error *err)
{
	return start_of_tenant(client, "ResumeTenant", tenant, ret, err);
}

int tn_tenant_resume(struct tn_client *client, const char *tenant, struct tn_tenant *ret,
                     struct tn_error *err)
{
	return client_finish(client, tn_tenant_resume_start(client, tenant, ret, err), err);
}

static int on_tenant_of_list(struct call *call, json_t *parameters, struct tn_error *err)
{
	json_t *json = client_member(parameters, "tenant");
	struct tn_tenant tenant = { 0 };
	int r;

	if (json == NULL)
		return 0;
	r = record_read(tn_tenant_fields(), json, &tenant, sizeof(tenant), err);
	if (r < 0)
		return r;
	r = call->each_tenant(&tenant, call->userdata) != 0;
	tn_tenant_done(&tenant);
	return r;
}

int tn_tenant_list_start(struct tn_client *client, const struct tn_tenant_filter *filter,
                         tn_tenant_fn *each, void *userdata, struct tn_error *err)
{
	static const struct tn_tenant_filter all = { 0 };
	const struct call call = {
		.on_reply = on_tenant_of_list,
		.each_tenant = each,
		.userdata = userdata,
	};

	if (filter == NULL)
		filter = &all;
	return client_start(client, "ListTenants",
	                    json_pack("{s:s?, s:s?, s:o}", "status", filter->status, "tier",
	                              filter->tier, "metadata",
	                              pack_pairs(filter->metadata, filter->metadata_n)),
	                    CONNECTION_MORE, &call, err);
}

int tn_tenant_list(struct tn_client *client, const struct tn_tenant_filter *filter,
                   tn_tenant_fn *each, void *userdata, struct tn_error *err)
{
	return client_finish(client, tn_tenant_list_start(client, filter, each, userdata, err),
	                     err);
}

static int on_execution_of_list(struct call *call, json_t *parameters, struct tn_error *err)
{
	json_t *json = client_member(parameters, "execution");
	struct tn_execution execution = { 0 };
	int r;

	if (json == NULL || call->each_execution == NULL)
		return 0;
	r = record_read(tn_execution_fields(), json, &execution, sizeof(execution), err);
	if (r < 0)
		return r;
	r = call->each_execution(&execution, call->userdata) != 0;
	tn_execution_done(&execution);
	return r;
}

int tn_execution_list_start(struct tn_client *client, const char *tenant, bool all,
                            tn_execution_fn *each, void *userdata, struct tn_error *err)
{
	const struct call call = {
		.on_reply = on_execution_of_list,
		.each_execution = each,
		.userdata = userdata,
	};
	int r = tenant == NULL ? 0 : check_tenant(tenant, err);

	if (r < 0)
		return r;
	return client_start(client, "ListExecutions",
	                    json_pack("{s:s?, s:b}", "tenant", tenant, "all", all),
	                    CONNECTION_MORE, &call, err);
}

int tn_execution_list(struct tn_client *client, const char *tenant, bool all,
                      tn_execution_fn *each, void *userdata, struct tn_error *err)
{
	int r = tn_execution_list_start(client, tenant, all, each, userdata, err);

	return client_finish(client, r, err);
}

static int on_period(struct call *call, json_t *json, struct tn_error *err)
{
	struct tn_usage_period period = { 0 };
	int r = record_read(tn_usage_period_fields(), json, &period, sizeof(period), err);

	if (r < 0)
		return r;
	r = call->each_period(&period, call->userdata) != 0;
	tn_usage_period_done(&period);
	return r;
}

/* The first reply holds the totals, each further one an execution or a period. */
static int on_usage(struct call *call, json_t *parameters, struct tn_error *err)
{
	json_t *period = client_member(parameters, "period");

	if (call->replies_n == 0)
		return client_on_record(call, parameters, err);
	if (call->each_period == NULL)
		return on_execution_of_list(call, parameters, err);
	return period == NULL ? 0 : on_period(call, period, err);
}

int tn_usage_start(struct tn_client *client, const struct tn_usage_query *query,
                   struct tn_usage *ret, struct tn_error *err)
{
	static const char *const by[] = {
		[TN_PERIOD_NONE] = NULL,   [TN_PERIOD_HOUR] = "hour",   [TN_PERIOD_DAY] = "day",
		[TN_PERIOD_WEEK] = "week", [TN_PERIOD_MONTH] = "month",
	};
	struct call call = CALL_FOR(on_usage, tn_usage, ret);
	const bool by_period = query->by != TN_PERIOD_NONE;
	int r = check_tenant(query->tenant, err);

	if (r < 0)
		return r;
	if ((size_t)query->by >= ARRAY_LEN(by))
		return err_refuse(err, TN_INVALID, "by: %d is no period", (int)query->by);
	call.each_execution = by_period ? NULL : query->each;
	call.each_period = by_period ? query->each_period : NULL;
	call.userdata = query->userdata;
	return client_start(client, "GetUsage",
	                    json_pack("{s:s, s:o, s:o, s:b, s:s?}", "tenant", query->tenant,
	                              "since", json_int_or_null(query->since), "until",
	                              json_int_or_null(query->until), "totals_only",
	                              call.each_execution == NULL && call.each_period == NULL,
	                              "by", by[query->by]),
	                    CONNECTION_MORE, &call, err);
}

int tn_usage(struct tn_client *client, const struct tn_usage_query *query, struct tn_usage *ret,
             struct tn_error *err)
{
	return client_finish(client, tn_usage_start(client, query, ret, err), err);
}

static int on_number(const struct call *call, json_t *parameters, const char *name,
                     struct tn_error *err)
{
	const json_t *number = json_object_get(parameters, name);
	int64_t *ret = call->ret;

	if (!json_is_integer(number) || json_integer_value(number) < 0)
		return client_no_member(name, err);
	*ret = json_integer_value(number);
	return 0;
}

static int on_killed(struct call *call, json_t *parameters, struct tn_error *err)
{
	return on_number(call, parameters, "killed", err);
}

/* @grace: NULL for at once. @ret_killed: int64_t, which the reply writes. */
static int kill_start(struct tn_client *client, const char *id, const char *tenant,
                      const struct tn_grace *grace, void *ret_killed, struct tn_error *err)
{
	const struct call call = { .on_reply = on_killed, .ret = ret_killed };
	const int64_t signal = grace == NULL || grace->signal == 0 ? TN_ABSENT : grace->signal;
	int r;

	if ((id == NULL) == (tenant == NULL))
		return err_refuse(err, TN_INVALID, "either an execution or a tenant is killed");
	if (grace != NULL && (grace->usec <= 0 || grace->signal < 0))
		return err_refuse(err, TN_INVALID, "a grace is a time and a signal");
	r = id != NULL ? check_execution(id, "to end", err) : check_tenant(tenant, err);
	if (r < 0)
		return r;
	return client_start(
		client, "Kill",
		json_pack("{s:s?, s:s?, s:o, s:o}", "id", id, "tenant", tenant, "signal",
	                  json_int_or_null(signal), "grace_usec",
	                  json_int_or_null(grace != NULL ? grace->usec : TN_ABSENT)),
		CONNECTION_ONE, &call, err);
}

int tn_kill_start(struct tn_client *client, const char *id, const char *tenant,
                  int64_t *ret_killed, struct tn_error *err)
{
	return kill_start(client, id, tenant, NULL, ret_killed, err);
}

int tn_kill(struct tn_client *client, const char *id, const char *tenant, int64_t *ret_killed,
            struct tn_error *err)
{
	return client_finish(client, tn_kill_start(client, id, tenant, ret_killed, err), err);
}

int tn_terminate_start(struct tn_client *client, const char *id, const char *tenant,
                       const struct tn_grace *grace, int64_t *ret_told, struct tn_error *err)
{
	return kill_start(client, id, tenant, grace, ret_told, err);
}

int tn_terminate(struct tn_client *client, const char *id, const char *tenant,
                 const struct tn_grace *grace, int64_t *ret_told, struct tn_error *err)
{
	return client_finish(client,
	                     tn_terminate_start(client, id, tenant, grace, ret_told, err), err);
}

static int on_nothing(struct call *call, json_t *parameters, struct tn_error *err)
{
	(void)call;
	(void)parameters;
	(void)err;
	return 0;
}

int tn_signal_start(struct tn_client *client, const char *id, int signal, struct tn_error *err)
{
	const struct call call = { .on_reply = on_nothing };
	int r = check_execution(id, "to signal", err);

	if (r < 0)
		return r;
	return client_start(client, "Signal",
	                    json_pack("{s:s, s:i}", "id", id, "signal", signal), CONNECTION_ONE,
	                    &call, err);
}

int tn_signal(struct tn_client *client, const char *id, int signal, struct tn_error *err)
{
	return client_finish(client, tn_signal_start(client, id, signal, err), err);
}

static int on_execution(struct call *call, json_t *parameters, struct tn_error *err)
{
	json_t *json = client_member(parameters, "execution");

	if (json == NULL)
		return client_no_member("execution", err);
	return client_on_record(call, json, err);
}

int tn_execution_find_start(struct tn_client *client, const char *execution,
                            struct tn_execution *ret, struct tn_error *err)
{
	const struct call call = CALL_FOR(on_execution, tn_execution, ret);
	int r = check_execution(execution, "to find", err);

	if (r < 0)
		return r;
	return client_start(client, "FindExecution", json_pack("{s:s}", "id", execution),
	                    CONNECTION_ONE, &call, err);
}

int tn_execution_find(struct tn_client *client, const char *execution, struct tn_execution *ret,
                      struct tn_error *err)
{
	return client_finish(client, tn_execution_find_start(client, execution, ret, err), err);
}

int tn_wait_start(struct tn_client *client, const char *id, struct tn_execution *ret,
                  struct tn_error *err)
{
	struct call call = CALL_FOR(on_execution, tn_execution, ret);
	int r = check_execution(id, "to wait for", err);

	if (r < 0)
		return r;
	call.patient = true;
	return client_start(client, "Wait", json_pack("{s:s}", "id", id), CONNECTION_ONE, &call,
	                    err);
}

int tn_wait(struct tn_client *client, const char *id, struct tn_execution *ret,
            struct tn_error *err)
{
	return client_finish(client, tn_wait_start(client, id, ret, err), err);
}

static int on_drained(struct call *call, json_t *parameters, struct tn_error *err)
{
	return on_number(call, parameters, "running", err);
}

/* NOLINTBEGIN(readability-non-const-parameter): on_drained writes *ret_running */
int tn_drain_start(struct tn_client *client, bool wait, int64_t *ret_running,
                   struct tn_error *err)
/* NOLINTEND(readability-non-const-parameter) */
{
	const struct call call = { .on_reply = on_drained,
		                   .ret = ret_running,
		                   .patient = wait };

	return client_start(client, "Drain", json_pack("{s:b}", "wait", wait), CONNECTION_ONE,
	                    &call, err);
}

int tn_drain(struct tn_client *client, bool wait, int64_t *ret_running, struct tn_error *err)
{
	return client_finish(client, tn_drain_start(client, wait, ret_running, err), err);
}

int tn_undrain_start(struct tn_client *client, struct tn_error *err)
{
	const struct call call = { .on_reply = on_nothing };

	return client_start(client, "Undrain", json_object(), CONNECTION_ONE, &call, err);
}

int tn_undrain(struct tn_client *client, struct tn_error *err)
{
	return client_finish(client, tn_undrain_start(client, err), err);
}

int tn_status_get_start(struct tn_client *client, struct tn_status *ret, struct tn_error *err)
{
	const struct call call = CALL_FOR(client_on_record, tn_status, ret);

	return client_start(client, "GetStatus", json_object(), CONNECTION_ONE, &call, err);
}

int tn_status_get(struct tn_client *client, struct tn_status *ret, struct tn_error *err)
{
	return client_finish(client, tn_status_get_start(client, ret, err), err);
}
