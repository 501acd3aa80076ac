/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The calls of <tenant/policy.h>, as calls.c has those of client.h. */
#include <tenant/policy.h>

#include "client.h"
#include "record.h"

/* What tenants use may take its time to be given back. */
#define PATIENT_CALL_FOR(ret_)                                                                 \
	{                                                                                      \
		.on_reply = client_on_record, .ret = (ret_), .ret_fields = tn_policy_fields(), \
		.ret_size = sizeof(struct tn_policy), .patient = true,                         \
	}

int tn_policy_reload_start(struct tn_client *client, bool force, struct tn_policy *ret,
                           struct tn_error *err)
{
	const struct call call = PATIENT_CALL_FOR(ret);

	return client_start(client, "ReloadPolicy", json_pack("{s:b}", "force", force),
	                    CONNECTION_ONE, &call, err);
}

int tn_policy_reload(struct tn_client *client, bool force, struct tn_policy *ret,
                     struct tn_error *err)
{
	return client_finish(client, tn_policy_reload_start(client, force, ret, err), err);
}

static int check_hash(const char *hash, struct tn_error *err)
{
	return hash != NULL ? 0 : err_refuse(err, TN_INVALID, "no policy's hash is given");
}

int tn_policy_rollback_start(struct tn_client *client, const char *hash, bool force,
                             struct tn_policy *ret, struct tn_error *err)
{
	const struct call call = PATIENT_CALL_FOR(ret);
	int r = check_hash(hash, err);

	if (r < 0)
		return r;
	return client_start(client, "RollbackPolicy",
	                    json_pack("{s:s, s:b}", "hash", hash, "force", force),
	                    CONNECTION_ONE, &call, err);
}

int tn_policy_rollback(struct tn_client *client, const char *hash, bool force,
                       struct tn_policy *ret, struct tn_error *err)
{
	return client_finish(client, tn_policy_rollback_start(client, hash, force, ret, err),
	                     err);
}

static int on_policy_of_list(struct call *call, json_t *parameters, struct tn_error *err)
{
	json_t *json = client_member(parameters, "policy");
	struct tn_policy_entry entry = { 0 };
	int r;

	if (json == NULL)
		return 0;
	r = record_read(tn_policy_entry_fields(), json, &entry, sizeof(entry), err);
	if (r < 0)
		return r;
	r = call->each_policy(&entry, call->userdata) != 0;
	tn_policy_entry_done(&entry);
	return r;
}

int tn_policy_list_start(struct tn_client *client, tn_policy_entry_fn *each, void *userdata,
                         struct tn_error *err)
{
	const struct call call = {
		.on_reply = on_policy_of_list,
		.each_policy = each,
		.userdata = userdata,
	};

	return client_start(client, "ListPolicies", json_object(), CONNECTION_MORE, &call, err);
}

int tn_policy_list(struct tn_client *client, tn_policy_entry_fn *each, void *userdata,
                   struct tn_error *err)
{
	return client_finish(client, tn_policy_list_start(client, each, userdata, err), err);
}

int tn_policy_get_start(struct tn_client *client, const char *hash, struct tn_policy_files *ret,
                        struct tn_error *err)
{
	const struct call call = CALL_FOR(client_on_record, tn_policy_files, ret);
	int r = check_hash(hash, err);

	if (r < 0)
		return r;
	return client_start(client, "GetPolicy", json_pack("{s:s}", "hash", hash),
	                    CONNECTION_ONE, &call, err);
}

int tn_policy_get(struct tn_client *client, const char *hash, struct tn_policy_files *ret,
                  struct tn_error *err)
{
	return client_finish(client, tn_policy_get_start(client, hash, ret, err), err);
}

int tn_policy_show_start(struct tn_client *client, const char *tenant,
                         struct tn_tenant_policy *ret, struct tn_error *err)
{
	const struct call call = CALL_FOR(client_on_record, tn_tenant_policy, ret);
	int r = check_tenant(tenant, err);

	if (r < 0)
		return r;
	return client_start(client, "ShowPolicy", json_pack("{s:s}", "tenant", tenant),
	                    CONNECTION_ONE, &call, err);
}

int tn_policy_show(struct tn_client *client, const char *tenant, struct tn_tenant_policy *ret,
                   struct tn_error *err)
{
	return client_finish(client, tn_policy_show_start(client, tenant, ret, err), err);
}

static int on_change(struct call *call, json_t *parameters, struct tn_error *err)
{
	json_t *json = client_member(parameters, "change");
	struct tn_policy_change change = { 0 };
	int r;

	if (json == NULL)
		return 0;
	r = record_read(tn_policy_change_fields(), json, &change, sizeof(change), err);
	if (r < 0)
		return r;
	r = call->each_change(&change, call->userdata) != 0;
	tn_policy_change_done(&change);
	return r;
}

int tn_policy_diff_start(struct tn_client *client, const char *hash, tn_policy_change_fn *each,
                         void *userdata, struct tn_error *err)
{
	const struct call call = {
		.on_reply = on_change,
		.each_change = each,
		.userdata = userdata,
	};

	return client_start(client, "DiffPolicy", json_pack("{s:s?}", "hash", hash),
	                    CONNECTION_MORE, &call, err);
}

int tn_policy_diff(struct tn_client *client, const char *hash, tn_policy_change_fn *each,
                   void *userdata, struct tn_error *err)
{
	return client_finish(client, tn_policy_diff_start(client, hash, each, userdata, err),
	                     err);
}
