/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The policy: what holds and why, what would change, and how it is changed. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/fd.h>

#include "../operators.h"
#include "../policy_diff.h"
#include "../policy_diff_money.h"
#include "encode.h"
#include "methods.h"

struct policy_arguments {
	const char *hash;
	bool force;
};

#define FORCE_PARAM                                                                            \
	{                                                                                      \
		.name = "force", .kind = PARAM_BOOL,                                           \
		.offset = offsetof(struct policy_arguments, force)                             \
	}

static const struct param reload_params[] = { FORCE_PARAM, { .name = NULL } };
static const struct param rollback_params[] = {
	{ .name = "hash",
	  .kind = PARAM_STRING,
	  .required = true,
	  .offset = offsetof(struct policy_arguments, hash) },
	FORCE_PARAM,
	{ .name = NULL },
};

#define POLICY_PARAMS(needed)                                                                  \
	{                                                                                      \
		{ .name = "hash",                                                              \
		  .kind = PARAM_STRING,                                                        \
		  .required = (needed),                                                        \
		  .offset = offsetof(struct policy_arguments, hash) },                         \
			{ .name = NULL },                                                      \
	}

static const struct param hash_params[] = POLICY_PARAMS(true);
static const struct param hash_or_not_params[] = POLICY_PARAMS(false);

static json_t *tiers_list(const struct policy *policy)
{
	json_t *list = json_array();
	const struct policy_tier *tier;

	for (size_t i = 0; (tier = policy_tier_at(policy, i)) != NULL; i++)
		(void)json_array_append_new(list, json_string(tier->name));
	return list;
}

static void change_done(void *userdata, size_t failed_n, const struct tn_error *why)
{
	struct call *call = userdata;
	const struct policy *policy = call->context->policies.present;
	struct tn_error err = { 0 };

	if (why != NULL) {
		call_fail(call, why);
		return;
	}
	if (failed_n > 0) {
		(void)err_refuse(&err, TN_SYSTEM,
		                 "the policy is in force, but the limits of %zu tenants could "
		                 "not be set; the log says why",
		                 failed_n);
		call_fail(call, &err);
		return;
	}
	call_reply(call, json_pack("{s:s, s:o}", "policy_hash", policy_hash_hex(policy),
	                           "tiers", tiers_list(policy)));
}

static int handle_reload(struct call *call, struct tn_error *err)
{
	const struct policy_arguments *arguments = call->arguments;
	const struct actor actor = call_actor(call);
	struct policies_change change;
	int r = policies_read(&call->context->policies, &actor, &change, err);

	return r < 0 ? r
	             : reload_begin(call->context, &change, arguments->force, change_done, call,
	                            err);
}

static int handle_rollback(struct call *call, struct tn_error *err)
{
	const struct policy_arguments *arguments = call->arguments;
	const struct actor actor = call_actor(call);
	struct policies_change change;
	int r = policies_find(&call->context->policies, arguments->hash, &actor, &change, err);

	return r < 0 ? r
	             : reload_begin(call->context, &change, arguments->force, change_done, call,
	                            err);
}

struct history {
	int64_t before;
	bool told; /* of the one that is in force */
};

static int history_next(struct call *call, json_t **ret, struct tn_error *err)
{
	const struct context *context = call->context;
	struct history *history = call->state;
	struct store_policy row;
	bool in_force;
	int r = context->store->ops->policy_before(context->store, history->before, &row, err);

	if (r != 1)
		return r;
	history->before = row.seq;
	in_force = !history->told &&
	           strcmp(row.hash, policy_hash_hex(context->policies.present)) == 0;
	history->told = history->told || in_force;
	*ret = json_pack("{s:{s:s, s:s, s:I, s:o, s:o}}", "policy", "policy_hash", row.hash,
	                 "state", in_force ? "in_force" : "earlier", "accepted_at",
	                 (json_int_t)row.accepted_at, "accepted_by",
	                 encode_int(row.accepted_by), "instead_of",
	                 encode_text(row.instead_of));
	return *ret != NULL ? 1 : err_set(err, TN_SYSTEM, ENOMEM, "list policies");
}

static int handle_list(struct call *call, struct tn_error *err)
{
	struct history *history = calloc(1, sizeof(*history));

	if (history == NULL)
		return err_errno(err, "list policies");
	history->before = INT64_MAX;
	call->state = history;
	call->free_state = free;
	call_stream(call, history_next);
	return 0;
}

static json_t *files_object(const struct policy *policy)
{
	json_t *files = json_object();
	const struct policy_file *file;

	for (size_t i = 0; (file = policy_file_at(policy, i)) != NULL; i++)
		if (json_object_set_new(files, file->name, json_stringn(file->text, file->n)) <
		    0) {
			json_decref(files);
			return NULL;
		}
	return files;
}

static int handle_get(struct call *call, struct tn_error *err)
{
	const struct policy_arguments *arguments = call->arguments;
	struct policy *policy;
	int r = policies_get(call->context->store, arguments->hash, &policy, err);

	if (r < 0)
		return r;
	call_reply(call, json_pack("{s:s, s:o}", "policy_hash", policy_hash_hex(policy),
	                           "files", files_object(policy)));
	(void)policy_free(policy);
	return 0;
}

struct show_arguments {
	const char *tenant;
};

static const struct param show_params[] = {
	{ .name = "tenant",
	  .kind = PARAM_STRING,
	  .required = true,
	  .offset = offsetof(struct show_arguments, tenant) },
	{ .name = NULL },
};

/* Those that the tenant has beside its tier's. */
static int own_operators_encode(json_t *list, const char *text)
{
	char who[ACCOUNT_TEXT_BYTES_MAX];
	struct tn_error ignored = { 0 };
	enum account_kind kind = ACCOUNT_USER;
	const char *name = NULL;
	int r = 0;

	while (r == 0 && operators_next(&text, who))
		if (account_parse(who, &kind, &name, &ignored) == 0)
			r = encode_limit(list,
			                 kind == ACCOUNT_USER ? "operators.users"
			                                      : "operators.groups",
			                 name, POLICY_OVERRIDE);
	return r;
}

static int values_encode(json_t *list, const struct policy_tier *tier, enum policy_key key)
{
	struct policy_value value;
	int r = 0;

	for (size_t i = 0; r == 0 && policy_value_at(tier, key, i, &value); i++) {
		char source[PLAN_SOURCE_BYTES_MAX];

		policy_source(tier, &value.where, source, sizeof(source));
		r = encode_limit(list, value.key, value.text, source);
	}
	return r;
}

static int limits_encode(json_t *list, const struct policy_tier *tier,
                         const struct tenant_row *row)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < POLICY_LIMITS_N; i++) {
		char value[PLAN_VALUE_BYTES_MAX], source[PLAN_SOURCE_BYTES_MAX];

		policy_limit_text(tier, i, value, sizeof(value));
		policy_limit_source(tier, i, source, sizeof(source));
		r = encode_limit(list, policy_limit_key(i), value, source);
	}
	for (int key = 0; r == 0 && key < POLICY_KEYS_N; key++)
		r = values_encode(list, tier, (enum policy_key)key);
	return r < 0 ? r : own_operators_encode(list, row->operators);
}

static json_t *limits_list(const struct policy_tier *tier, const struct tenant_row *row)
{
	json_t *list = json_array();
	const int r = limits_encode(list, tier, row);

	if (r == 0)
		return list;
	json_decref(list);
	return NULL;
}

static int handle_show(struct call *call, struct tn_error *err)
{
	const struct show_arguments *arguments = call->arguments;
	struct context *context = call->context;
	const struct policy_tier *tier = NULL;
	struct tenant *tenant;
	int r = tenants_get(context->tenants, arguments->tenant, &tenant, err);

	if (r == 0)
		r = tenants_tier(context->tenants, tenant, &tier, err);
	if (r < 0)
		return r;
	assert(tier != NULL);
	call_reply(call, json_pack("{s:s, s:s, s:s, s:s, s:o}", "tenant", tenant->row.name,
	                           "tier", tier->name, "file", tier->file, "policy_hash",
	                           policy_hash_hex(context->policies.present), "limits",
	                           limits_list(tier, &tenant->row)));
	return 0;
}

/* The node first, then meters and price books, which are all tenants', then one tenant after
 * the other; what changes for it goes out change by change. */
struct diff {
	struct policies_change wanted;
	bool node_looked, money_looked;
	size_t money_step;           /* the next */
	char tenant[NAME_BYTES_MAX]; /* the one looked at last; "": none */
	char tier[NAME_BYTES_MAX];
	struct policy_diff_change changes[POLICY_DIFF_CHANGES_MAX];
	size_t next, n;
};

static void diff_free(void *state)
{
	struct diff *diff = state;

	policies_change_done(&diff->wanted);
	free(diff);
}

static int diff_look(const struct context *context, struct diff *diff,
                     const struct tenant_row *row, struct tn_error *err)
{
	struct policy_tier *own_before = NULL, *own_after = NULL;
	const struct policy_tier *before, *after;
	int r = tenants_resolve(context->policies.present, row, &own_before, &before, err);

	if (r == 0)
		r = tenants_resolve(diff->wanted.policy, row, &own_after, &after, err);
	diff->next = diff->n = 0;
	if (r == 0)
		diff->n = policy_diff(before, after, row, &context->usage, diff->changes);
	free(own_before);
	free(own_after);
	return r;
}

static void diff_node(const struct context *context, struct diff *diff)
{
	diff->node_looked = true;
	diff->next = 0;
	diff->n = policy_diff_daemon(policy_daemon(context->policies.present),
	                             policy_daemon(diff->wanted.policy), diff->changes);
}

static int diff_money(const struct context *context, struct diff *diff, struct tn_error *err)
{
	const struct policy_diff_money money = { context->policies.present, diff->wanted.policy,
		                                 context->store, clock_usec(CLOCK_REALTIME) };
	int r = policy_diff_money(&money, diff->money_step++, diff->changes, &diff->n, err);

	diff->next = 0;
	diff->money_looked = r == 0;
	return r < 0 ? r : 1;
}

static int diff_tenant(const struct context *context, struct diff *diff, struct tn_error *err)
{
	struct store *store = context->store;
	struct tenant_row row = { 0 };
	int r = store->ops->tenant_next(store, diff->tenant, &row, err);

	if (r != 1)
		return r;
	(void)snprintf(diff->tenant, sizeof(diff->tenant), "%s", row.name);
	(void)snprintf(diff->tier, sizeof(diff->tier), "%s", row.tier);
	r = diff_look(context, diff, &row, err);
	tenant_row_done(&row);
	return r < 0 ? r : 1;
}

/* 1 if there is one more change to tell, 0 at the end. */
static int diff_find(const struct context *context, struct diff *diff, struct tn_error *err)
{
	int r = 1;

	if (!diff->node_looked)
		diff_node(context, diff);
	while (r == 1 && diff->next == diff->n)
		r = diff->money_looked ? diff_tenant(context, diff, err)
		                       : diff_money(context, diff, err);
	return r;
}

static int diff_next(struct call *call, json_t **ret, struct tn_error *err)
{
	struct diff *diff = call->state;
	const struct policy_diff_change *change;
	int r = diff_find(call->context, diff, err);

	if (r != 1)
		return r;
	change = &diff->changes[diff->next++];
	*ret = json_pack("{s:{s:o, s:o, s:s, s:s, s:s, s:s, s:s, s:o}}", "change", "tenant",
	                 encode_text(diff->tenant), "tier", encode_text(diff->tier), "key",
	                 change->key, "before", change->before, "before_source",
	                 change->before_source, "after", change->after, "after_source",
	                 change->after_source, "hurts", encode_text(change->hurts));
	return *ret != NULL ? 1 : err_set(err, TN_SYSTEM, ENOMEM, "compare policies");
}

static int handle_diff(struct call *call, struct tn_error *err)
{
	const struct policy_arguments *arguments = call->arguments;
	const struct policies *policies = &call->context->policies;
	struct diff *diff = calloc(1, sizeof(*diff));
	int r;

	if (diff == NULL)
		return err_errno(err, "compare policies");
	r = arguments->hash == NULL
	            ? policies_read(policies, &ACTOR_NONE, &diff->wanted, err)
	            : policies_find(policies, arguments->hash, &ACTOR_NONE, &diff->wanted, err);
	if (r < 0) {
		free(diff);
		return r;
	}
	call->state = diff;
	call->free_state = diff_free;
	call_stream(call, diff_next);
	return 0;
}

const struct method methods_policy[] = {
	{ "io.tenantd.ReloadPolicy", handle_reload, 0, reload_params,
	  sizeof(struct policy_arguments) },
	{ "io.tenantd.RollbackPolicy", handle_rollback, 0, rollback_params,
	  sizeof(struct policy_arguments) },
	{ "io.tenantd.ListPolicies", handle_list, METHOD_STREAMS, NULL, 0 },
	{ "io.tenantd.GetPolicy", handle_get, 0, hash_params, sizeof(struct policy_arguments) },
	{ "io.tenantd.ShowPolicy", handle_show, 0, show_params, sizeof(struct show_arguments) },
	{ "io.tenantd.DiffPolicy", handle_diff, METHOD_STREAMS, hash_or_not_params,
	  sizeof(struct policy_arguments) },
	{ .name = NULL },
};
