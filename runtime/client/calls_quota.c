/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The calls of <tenant/quota.h>, as calls.c has those of client.h. */
#include <tenant/quota.h>

#include <base/id.h>
#include <base/name.h>

#include "client.h"
#include "record.h"

static int64_t int_of(json_t *parameters, const char *name)
{
	json_t *value = client_member(parameters, name);

	return json_is_integer(value) ? json_integer_value(value) : TN_ABSENT;
}

static int on_answer(struct call *call, json_t *parameters, struct tn_error *err)
{
	const char *reservation = json_string_value(client_member(parameters, "reservation"));
	struct tn_quota_answer answer = {
		.limit = int_of(parameters, "limit"),
		.used = int_of(parameters, "used"),
		.reserved = int_of(parameters, "reserved"),
		.reset_at = int_of(parameters, "reset_at"),
		.repeated = json_is_true(json_object_get(parameters, "repeated")),
	};

	if (answer.used == TN_ABSENT)
		return client_no_member("used", err);
	(void)snprintf(answer.reservation, sizeof(answer.reservation), "%s",
	               reservation != NULL ? reservation : "");
	*(struct tn_quota_answer *)call->ret = answer;
	return 0;
}

/* NULL: the caller's own, which the socket says. */
static int check_whose(const char *tenant, struct tn_error *err)
{
	return tenant == NULL ? 0 : check_tenant(tenant, err);
}

static const struct tn_quota_options nothing = { 0 };

/* Consumes @parameters; with @options, the call may have a key and be durable. */
static int start_meter(struct tn_client *client, const char *method, json_t *parameters,
                       const struct tn_quota_options *options, struct tn_quota_answer *ret,
                       struct tn_error *err)
{
	const struct call call = { .on_reply = on_answer, .ret = ret };

	if (options != NULL)
		(void)json_object_update_new(parameters,
		                             json_pack("{s:s?, s:b}", "key", options->key,
		                                       "durable", options->durable));
	return client_start(client, method, parameters, CONNECTION_ONE, &call, err);
}

static int check_amount(const char *tenant, const char *meter, int64_t amount,
                        struct tn_error *err)
{
	int r = check_whose(tenant, err);

	if (r < 0)
		return r;
	if (meter == NULL)
		return err_refuse(err, TN_INVALID, "which meter?");
	if (amount < 1)
		return err_refuse(err, TN_INVALID, "%lld is no amount; expected 1 to 2^63 - 1",
		                  (long long)amount);
	return 0;
}

static json_t *pack_amount(const char *tenant, const char *meter, int64_t amount)
{
	return json_pack("{s:s?, s:s, s:I}", "tenant", tenant, "meter", meter, "amount",
	                 (json_int_t)amount);
}

int tn_quota_check_start(struct tn_client *client, const char *tenant, const char *meter,
                         int64_t amount, struct tn_quota_answer *ret, struct tn_error *err)
{
	int r = check_amount(tenant, meter, amount, err);

	return r < 0 ? r
	             : start_meter(client, "CheckQuota", pack_amount(tenant, meter, amount),
	                           NULL, ret, err);
}

int tn_quota_check(struct tn_client *client, const char *tenant, const char *meter,
                   int64_t amount, struct tn_quota_answer *ret, struct tn_error *err)
{
	return client_finish(
		client, tn_quota_check_start(client, tenant, meter, amount, ret, err), err);
}

int tn_quota_consume_start(struct tn_client *client, const char *tenant, const char *meter,
                           int64_t amount, const struct tn_quota_options *options,
                           struct tn_quota_answer *ret, struct tn_error *err)
{
	int r = check_amount(tenant, meter, amount, err);

	return r < 0 ? r
	             : start_meter(client, "ConsumeQuota", pack_amount(tenant, meter, amount),
	                           options != NULL ? options : &nothing, ret, err);
}

int tn_quota_consume(struct tn_client *client, const char *tenant, const char *meter,
                     int64_t amount, const struct tn_quota_options *options,
                     struct tn_quota_answer *ret, struct tn_error *err)
{
	return client_finish(
		client,
		tn_quota_consume_start(client, tenant, meter, amount, options, ret, err), err);
}

/* AcquireQuota or GiveBackQuota. */
static int start_held(struct tn_client *client, const char *method, json_t *parameters,
                      const struct tn_quota_options *options, struct tn_quota_answer *ret,
                      struct tn_error *err)
{
	if (options == NULL)
		options = &nothing;
	(void)json_object_update_new(parameters,
	                             json_pack("{s:s?}", "execution", options->execution));
	return start_meter(client, method, parameters, options, ret, err);
}

int tn_quota_acquire_start(struct tn_client *client, const char *tenant, const char *meter,
                           int64_t amount, const struct tn_quota_options *options,
                           struct tn_quota_answer *ret, struct tn_error *err)
{
	int r = check_amount(tenant, meter, amount, err);

	return r < 0 ? r
	             : start_held(client, "AcquireQuota", pack_amount(tenant, meter, amount),
	                          options, ret, err);
}

int tn_quota_acquire(struct tn_client *client, const char *tenant, const char *meter,
                     int64_t amount, const struct tn_quota_options *options,
                     struct tn_quota_answer *ret, struct tn_error *err)
{
	return client_finish(
		client,
		tn_quota_acquire_start(client, tenant, meter, amount, options, ret, err), err);
}

int tn_quota_give_back_start(struct tn_client *client, const char *tenant, const char *meter,
                             int64_t amount, const struct tn_quota_options *options,
                             struct tn_quota_answer *ret, struct tn_error *err)
{
	int r = check_amount(tenant, meter, amount, err);

	return r < 0 ? r
	             : start_held(client, "GiveBackQuota", pack_amount(tenant, meter, amount),
	                          options, ret, err);
}

int tn_quota_give_back(struct tn_client *client, const char *tenant, const char *meter,
                       int64_t amount, const struct tn_quota_options *options,
                       struct tn_quota_answer *ret, struct tn_error *err)
{
	return client_finish(
		client,
		tn_quota_give_back_start(client, tenant, meter, amount, options, ret, err),
		err);
}

int tn_quota_reserve_start(struct tn_client *client, const char *tenant, const char *meter,
                           int64_t amount, const struct tn_quota_options *options,
                           struct tn_quota_answer *ret, struct tn_error *err)
{
	json_t *parameters;
	int r = check_amount(tenant, meter, amount, err);

	if (r < 0)
		return r;
	if (options == NULL)
		options = &nothing;
	parameters = pack_amount(tenant, meter, amount);
	(void)json_object_update_new(
		parameters,
		json_pack("{s:o, s:b}", "expires_usec",
	                  json_int_or_null(options->expires_usec > 0 ? options->expires_usec
	                                                             : TN_ABSENT),
	                  "lease", options->lease));
	return start_meter(client, "ReserveQuota", parameters, options, ret, err);
}

int tn_quota_reserve(struct tn_client *client, const char *tenant, const char *meter,
                     int64_t amount, const struct tn_quota_options *options,
                     struct tn_quota_answer *ret, struct tn_error *err)
{
	return client_finish(
		client,
		tn_quota_reserve_start(client, tenant, meter, amount, options, ret, err), err);
}

static int check_reservation(const char *tenant, const char *reservation, struct tn_error *err)
{
	struct id id;
	int r = check_whose(tenant, err);

	if (r < 0)
		return r;
	if (reservation == NULL || id_parse(reservation, &id) < 0)
		return err_refuse(err, TN_INVALID,
		                  "'%.64s' is no reservation; expected its UUID",
		                  reservation != NULL ? reservation : "");
	return 0;
}

int tn_quota_commit_start(struct tn_client *client, const char *tenant, const char *reservation,
                          int64_t amount, const struct tn_quota_options *options,
                          struct tn_quota_answer *ret, struct tn_error *err)
{
	int r = check_reservation(tenant, reservation, err);

	if (r == 0 && amount < 0)
		r = err_refuse(err, TN_INVALID, "%lld is no amount; expected 0 to 2^63 - 1",
		               (long long)amount);
	if (r < 0)
		return r;
	return start_meter(client, "CommitQuota",
	                   json_pack("{s:s?, s:s, s:o}", "tenant", tenant, "reservation",
	                             reservation, "amount",
	                             json_int_or_null(amount > 0 ? amount : TN_ABSENT)),
	                   options != NULL ? options : &nothing, ret, err);
}

int tn_quota_commit(struct tn_client *client, const char *tenant, const char *reservation,
                    int64_t amount, const struct tn_quota_options *options,
                    struct tn_quota_answer *ret, struct tn_error *err)
{
	return client_finish(
		client,
		tn_quota_commit_start(client, tenant, reservation, amount, options, ret, err),
		err);
}

int tn_quota_release_start(struct tn_client *client, const char *tenant,
                           const char *reservation, const struct tn_quota_options *options,
                           struct tn_quota_answer *ret, struct tn_error *err)
{
	int r = check_reservation(tenant, reservation, err);

	if (r < 0)
		return r;
	return start_meter(
		client, "ReleaseQuota",
		json_pack("{s:s?, s:s}", "tenant", tenant, "reservation", reservation),
		options != NULL ? options : &nothing, ret, err);
}

int tn_quota_release(struct tn_client *client, const char *tenant, const char *reservation,
                     const struct tn_quota_options *options, struct tn_quota_answer *ret,
                     struct tn_error *err)
{
	return client_finish(
		client, tn_quota_release_start(client, tenant, reservation, options, ret, err),
		err);
}

static int on_quotas(struct call *call, json_t *parameters, struct tn_error *err)
{
	json_t *json;
	size_t i;
	int r = client_on_record(call, parameters, err);

	json_array_foreach(client_member(parameters, "quotas"), i, json)
	{
		struct tn_quota quota = { 0 };

		if (r != 0)
			break;
		r = record_read(tn_quota_fields(), json, &quota, sizeof(quota), err);
		if (r < 0)
			break;
		r = call->each_quota(&quota, call->userdata) != 0;
		tn_quota_done(&quota);
	}
	if (r < 0)
		tn_quota_summary_done(call->ret);
	return r < 0 ? r : 0;
}

int tn_quota_summary_start(struct tn_client *client, const char *tenant,
                           struct tn_quota_summary *ret, tn_quota_fn *each, void *userdata,
                           struct tn_error *err)
{
	struct call call = CALL_FOR(on_quotas, tn_quota_summary, ret);
	int r = check_whose(tenant, err);

	if (r < 0)
		return r;
	call.each_quota = each;
	call.userdata = userdata;
	return client_start(client, "GetQuotas", json_pack("{s:s?}", "tenant", tenant),
	                    CONNECTION_ONE, &call, err);
}

int tn_quota_summary(struct tn_client *client, const char *tenant, struct tn_quota_summary *ret,
                     tn_quota_fn *each, void *userdata, struct tn_error *err)
{
	return client_finish(
		client, tn_quota_summary_start(client, tenant, ret, each, userdata, err), err);
}

int tn_quota_set_start(struct tn_client *client, const char *tenant, const char *meter,
                       const char *limit, struct tn_tenant *ret, struct tn_error *err)
{
	char key[NAME_BYTES_MAX];
	const struct tn_pair own = { key, limit };
	const struct tn_tenant_change change = { .overrides = &own, .overrides_n = 1 };
	const int n = snprintf(key, sizeof(key), "quotas.%s.limit", meter != NULL ? meter : "");

	if (meter == NULL || n < 0 || (size_t)n >= sizeof(key))
		return err_refuse(err, TN_INVALID, "which meter?");
	return tn_tenant_update_start(client, tenant, &change, ret, err);
}

int tn_quota_set(struct tn_client *client, const char *tenant, const char *meter,
                 const char *limit, struct tn_tenant *ret, struct tn_error *err)
{
	return client_finish(client, tn_quota_set_start(client, tenant, meter, limit, ret, err),
	                     err);
}
