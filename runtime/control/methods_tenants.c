/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include <base/fd.h>

#include "../operators.h"
#include "connection.h"
#include "encode.h"
#include "methods.h"
#include "rights.h"
#include "tenant_fields.h"

struct create_arguments {
	const char *name;
	struct tenant_arguments fields;
	json_t *operators;
};

static const struct param create_params[] = {
	{ .name = "name",
	  .kind = PARAM_STRING,
	  .required = true,
	  .offset = offsetof(struct create_arguments, name) },
	TENANT_FIELDS_PARAMS(offsetof(struct create_arguments, fields)),
	{ .name = "operators",
	  .kind = PARAM_JSON,
	  .json = JSON_ARRAY,
	  .offset = offsetof(struct create_arguments, operators) },
	{ .name = NULL },
};

/* Of a call that makes something of a tenant: the answer is the tenant. */
static void on_done(void *userdata, struct tenant *tenant, const struct tn_error *err)
{
	struct call *call = userdata;

	if (tenant == NULL)
		call_fail(call, err);
	else
		call_reply(call, json_pack("{s:o}", "tenant", encode_tenant(&tenant->row)));
}

/* Whom the operators in @text are: each is somebody, and counts from now on. */
static int accounts_take(struct context *context, const char *text,
                         const struct account_set *found, const struct tn_error *why,
                         struct tn_error *err)
{
	int r;

	if (why != NULL) {
		*err = *why;
		return -EIO;
	}
	r = operators_check_text(text, found, err);
	return r < 0 ? r : accounts_add(context->accounts, found, err);
}

/* What is to be a tenant, while its operators are looked up. */
static void row_free(void *state)
{
	struct tenant_row *row = state;

	tenant_row_done(row);
	free(row);
}

static void create_on_accounts(void *userdata, const struct account_set *found,
                               const struct tn_error *why)
{
	struct call *call = userdata;
	const struct tenant_row *row = call->state;
	const struct actor actor = call_actor(call);
	struct tn_error err = { 0 };
	int r = accounts_take(call->context, row->operators, found, why, &err);

	if (r == 0)
		r = tenants_create(call->context->tenants, row, &actor, on_done, call, &err);
	if (r < 0)
		call_fail(call, &err);
}

static int create_row(const struct create_arguments *arguments, struct tenant_row *row,
                      struct tn_error *err)
{
	int r;

	/* Before it is cut to the size of its field. */
	if (!name_valid(arguments->name))
		return err_refuse(err, TN_INVALID, "'%.64s' is no tenant's name: " NAME_RULE,
		                  arguments->name);
	(void)snprintf(row->name, sizeof(row->name), "%s", arguments->name);
	r = tenant_fields_default(row, err);
	if (r == 0)
		r = tenant_fields_apply(&arguments->fields, row, err);
	return r < 0 ? r
	             : tenant_operators_apply(arguments->operators, operators_add,
	                                      row->operators, err);
}

static int handle_create(struct call *call, struct tn_error *err)
{
	struct tenant_row *row = calloc(1, sizeof(*row));
	struct account_set names = { 0 };
	int r;

	if (row == NULL)
		return err_errno(err, "create a tenant");
	call->state = row;
	call->free_state = row_free;
	r = create_row(call->arguments, row, err);
	if (r == 0)
		r = operators_of_text(row->operators, &names, err);
	if (r == 0)
		r = accounts_ask(call->context->accounts, &names, create_on_accounts, call,
		                 err);
	account_set_done(&names);
	return r;
}

struct update_arguments {
	const char *tenant;
	struct tenant_arguments fields;
	json_t *operators_add;
	json_t *operators_remove;
	int64_t if_version;
	bool force;
};

static const struct param update_params[] = {
	{ .name = "tenant",
	  .kind = PARAM_STRING,
	  .required = true,
	  .offset = offsetof(struct update_arguments, tenant) },
	TENANT_FIELDS_PARAMS(offsetof(struct update_arguments, fields)),
	{ .name = "if_version",
	  .kind = PARAM_INT,
	  .offset = offsetof(struct update_arguments, if_version) },
	{ .name = "operators_add",
	  .kind = PARAM_JSON,
	  .json = JSON_ARRAY,
	  .offset = offsetof(struct update_arguments, operators_add) },
	{ .name = "operators_remove",
	  .kind = PARAM_JSON,
	  .json = JSON_ARRAY,
	  .offset = offsetof(struct update_arguments, operators_remove) },
	{ .name = "force",
	  .kind = PARAM_BOOL,
	  .offset = offsetof(struct update_arguments, force) },
	{ .name = NULL },
};

static int update_apply(void *userdata, struct tenant_row *row, struct tn_error *err)
{
	const struct call *call = userdata;
	const struct update_arguments *arguments = call->arguments;
	int r = tenant_fields_apply(&arguments->fields, row, err);

	if (r == 0)
		r = tenant_operators_apply(arguments->operators_remove, operators_remove,
		                           row->operators, err);
	return r < 0 ? r
	             : tenant_operators_apply(arguments->operators_add, operators_add,
	                                      row->operators, err);
}

/* The operators that are added, by the time it is known who they are. */
static void update_on_accounts(void *userdata, const struct account_set *found,
                               const struct tn_error *why)
{
	struct call *call = userdata;
	const struct update_arguments *arguments = call->arguments;
	const struct lifecycle_update update = {
		.apply = update_apply,
		.if_version = arguments->if_version == PARAMS_ABSENT ? 0
		                                                     : arguments->if_version,
		.force = arguments->force,
		.actor = call_actor(call),
	};
	struct tn_error err = { 0 };
	struct tenant *tenant = NULL;
	int r = accounts_take(call->context, call->state, found, why, &err);

	if (r == 0)
		r = tenants_get(call->context->tenants, arguments->tenant, &tenant, &err);
	if (r == 0)
		r = lifecycle_update(call->context->lifecycle, tenant, &update, on_done, call,
		                     &err);
	if (r < 0)
		call_fail(call, &err);
}

static int handle_update(struct call *call, struct tn_error *err)
{
	const struct update_arguments *arguments = call->arguments;
	char *operators = calloc(1, STORE_OPERATORS_BYTES_MAX);
	struct account_set names = { 0 };
	struct tenant *tenant;
	int r;

	if (operators == NULL)
		return err_errno(err, "change a tenant");
	call->state = operators;
	call->free_state = free;
	r = tenants_get(call->context->tenants, arguments->tenant, &tenant, err);
	if (r == 0)
		r = tenant_operators_apply(arguments->operators_add, operators_add, operators,
		                           err);
	if (r == 0)
		r = operators_of_text(operators, &names, err);
	if (r == 0)
		r = accounts_ask(call->context->accounts, &names, update_on_accounts, call,
		                 err);
	account_set_done(&names);
	return r;
}

struct get_arguments {
	const char *tenant;
};

static const struct param get_params[] = {
	{ .name = "tenant",
	  .kind = PARAM_STRING,
	  .required = true,
	  .offset = offsetof(struct get_arguments, tenant) },
	{ .name = NULL },
};

static int handle_get(struct call *call, struct tn_error *err)
{
	const struct get_arguments *arguments = call->arguments;
	struct tenant *tenant;
	int r = tenants_get(call->context->tenants, arguments->tenant, &tenant, err);

	if (r < 0)
		return r;
	call_reply(call, json_pack("{s:o}", "tenant", encode_tenant(&tenant->row)));
	return 0;
}

typedef int change_fn(struct lifecycle *lifecycle, struct tenant *tenant,
                      const struct actor *actor, tenants_done_fn *done, void *userdata,
                      struct tn_error *err);

static int handle_change(struct call *call, change_fn *change, struct tn_error *err)
{
	const struct get_arguments *arguments = call->arguments;
	const struct actor actor = call_actor(call);
	struct tenant *tenant;
	int r = tenants_get(call->context->tenants, arguments->tenant, &tenant, err);

	return r < 0 ? r : change(call->context->lifecycle, tenant, &actor, on_done, call, err);
}

static int handle_suspend(struct call *call, struct tn_error *err)
{
	return handle_change(call, lifecycle_suspend, err);
}

static int handle_resume(struct call *call, struct tn_error *err)
{
	return handle_change(call, lifecycle_resume, err);
}

struct delete_arguments {
	const char *tenant;
	bool force;
};

static const struct param delete_params[] = {
	{ .name = "tenant",
	  .kind = PARAM_STRING,
	  .required = true,
	  .offset = offsetof(struct delete_arguments, tenant) },
	{ .name = "force",
	  .kind = PARAM_BOOL,
	  .offset = offsetof(struct delete_arguments, force) },
	{ .name = NULL },
};

static int handle_delete(struct call *call, struct tn_error *err)
{
	const struct delete_arguments *arguments = call->arguments;
	const struct actor actor = call_actor(call);
	struct tenant *tenant;
	int r = tenants_get(call->context->tenants, arguments->tenant, &tenant, err);

	return r < 0 ? r
	             : lifecycle_delete(call->context->lifecycle, tenant, arguments->force,
	                                &actor, on_done, call, err);
}

/* Each may be NULL, which every tenant matches. */
struct list_arguments {
	const char *status;
	const char *tier;
	json_t *metadata;
};

static const struct param list_params[] = {
	{ .name = "status",
	  .kind = PARAM_STRING,
	  .offset = offsetof(struct list_arguments, status) },
	{ .name = "tier",
	  .kind = PARAM_STRING,
	  .offset = offsetof(struct list_arguments, tier) },
	{ .name = "metadata",
	  .kind = PARAM_JSON,
	  .json = JSON_OBJECT,
	  .offset = offsetof(struct list_arguments, metadata) },
	{ .name = NULL },
};

struct list {
	char after[NAME_BYTES_MAX];
};

static bool has_metadata(const struct tenant_row *row, json_t *wanted)
{
	json_t *metadata = json_loads(row->metadata, 0, NULL);
	const char *key;
	json_t *value;
	bool all = metadata != NULL;

	json_object_foreach(wanted, key, value)
	{
		const json_t *has = json_object_get(metadata, key);

		all = all && has != NULL && (json_is_null(value) || json_equal(has, value));
	}
	json_decref(metadata);
	return all;
}

static bool list_wants(const struct call *call, const struct tenant_row *row)
{
	const struct list_arguments *arguments = call->arguments;

	if (arguments->status != NULL &&
	    strcmp(arguments->status, tenant_status_name(row->status)) != 0)
		return false;
	if (arguments->tier != NULL && strcmp(arguments->tier, row->tier) != 0)
		return false;
	return arguments->metadata == NULL || has_metadata(row, arguments->metadata);
}

static int list_next(struct call *call, json_t **ret, struct tn_error *err)
{
	struct store *store = call->context->store;
	struct list *list = call->state;

	struct tenant_row row = { 0 };
	int r = store->ops->tenant_next(store, list->after, &row, err);
	bool wanted;

	if (r != 1)
		return r;
	(void)snprintf(list->after, sizeof(list->after), "%s", row.name);
	wanted = list_wants(call, &row) &&
	         rights_see(call->context, &call->connection->peer, &row);
	if (wanted)
		*ret = json_pack("{s:o}", "tenant", encode_tenant(&row));
	tenant_row_done(&row);
	if (!wanted)
		return CALL_SKIP;
	return *ret != NULL ? 1 : err_set(err, TN_SYSTEM, ENOMEM, "list tenants");
}

static int metadata_wanted_check(json_t *wanted, struct tn_error *err)
{
	const char *key;
	json_t *value;

	json_object_foreach(wanted, key, value)
	{
		if (!json_is_string(value) && !json_is_null(value))
			return err_refuse(err, TN_INVALID,
			                  "metadata '%.64s': expected a string or null", key);
	}
	return 0;
}

static int handle_list(struct call *call, struct tn_error *err)
{
	const struct list_arguments *arguments = call->arguments;

	if (arguments->status != NULL && tenant_status_parse(arguments->status) < 0)
		return err_refuse(
			err, TN_INVALID,
			"'%.64s' is no status; expected creating, active, suspended or "
			"deleting",
			arguments->status);
	if (metadata_wanted_check(arguments->metadata, err) < 0)
		return -err->sys_errno;
	call->state = calloc(1, sizeof(struct list));
	call->free_state = free;
	if (call->state == NULL)
		return err_errno(err, "list tenants");
	call_stream(call, list_next);
	return 0;
}

const struct method methods_tenants[] = {
	{ "io.tenantd.CreateTenant", handle_create, 0, create_params,
	  sizeof(struct create_arguments) },
	{ "io.tenantd.UpdateTenant", handle_update, 0, update_params,
	  sizeof(struct update_arguments) },
	{ "io.tenantd.SuspendTenant", handle_suspend, 0, get_params,
	  sizeof(struct get_arguments) },
	{ "io.tenantd.ResumeTenant", handle_resume, 0, get_params,
	  sizeof(struct get_arguments) },
	{ "io.tenantd.DeleteTenant", handle_delete, 0, delete_params,
	  sizeof(struct delete_arguments) },
	{ "io.tenantd.GetTenant", handle_get, 0, get_params, sizeof(struct get_arguments) },
	{ "io.tenantd.ListTenants", handle_list, METHOD_STREAMS, list_params,
	  sizeof(struct list_arguments) },
	{ .name = NULL },
};
