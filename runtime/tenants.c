/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tenants.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/log.h>
#include <base/nearest.h>

#include "billing/terms.h"
#include "identity.h"
#include "overrides.h"
#include "plan.h"
#include "tenant_cache.h"

struct tenants {
	struct tenants_config config;
	struct tenant_cache cache;
	uint64_t generation; /* of the policy */

	/* Bringing all to a new policy: the tenant whose answer is awaited, by id. */
	bool reapplying, reapply_may_kill;
	struct id reapply_place;
	size_t reapply_failed_n;
	tenants_reapplied_fn *reapply_done;
	void *reapply_userdata;
};

/* A creation under way. */
struct creation {
	struct tenants *tenants;
	struct tenant *tenant;
	struct actor actor;
	tenants_done_fn *done;
	void *userdata;
};

int tenants_new(struct tenants **ret, const struct tenants_config *config, struct tn_error *err)
{
	struct tenants *tenants = calloc(1, sizeof(*tenants));

	if (tenants == NULL)
		return err_errno(err, "allocate the tenants");
	tenants->config = *config;
	*ret = tenants;
	return 0;
}

struct tenants *tenants_free(struct tenants *tenants)
{
	if (tenants == NULL)
		return NULL;
	tenant_cache_done(&tenants->cache);
	free(tenants);
	return NULL;
}

int tenants_get_by_id(struct tenants *tenants, const struct id *id, struct tenant **ret,
                      struct tn_error *err)
{
	struct tenant *found = tenant_cache_by_id(&tenants->cache, id);
	struct tenant_row row = { 0 };
	char text[ID_TEXT_BYTES];
	int r;

	if (found != NULL) {
		*ret = found;
		return 0;
	}
	r = tenants->config.store->ops->tenant_by_id(tenants->config.store, id, &row, err);
	if (r < 0)
		return r;
	id_format(id, text);
	if (r == 0)
		return err_refuse(err, TN_NOT_FOUND, "there is no tenant %s", text);
	r = tenant_cache_add(&tenants->cache, &row, ret, err);
	tenant_row_done(&row);
	return r;
}

static int tenants_get_deleted(struct tenants *tenants, const char *name, struct tenant **ret,
                               struct tn_error *err)
{
	struct store *store = tenants->config.store;
	struct tenant_row row = { 0 };
	int r = store->ops->tenant_deleted_by_name(store, name, &row, err);
	const struct id id = row.id;

	tenant_row_done(&row);
	if (r == 0)
		return err_refuse(err, TN_NOT_FOUND, "there is no tenant '%s'", name);
	return r < 0 ? r : tenants_get_by_id(tenants, &id, ret, err);
}

static int tenants_get_by_name(struct tenants *tenants, const char *name, struct tenant **ret,
                               struct tn_error *err)
{
	struct tenant *found;
	struct tenant_row row = { 0 };
	int r;

	if (!name_valid(name))
		return err_refuse(err, TN_INVALID, "'%s' is no tenant's name: " NAME_RULE,
		                  name);
	found = tenant_cache_by_name(&tenants->cache, name);
	if (found != NULL) {
		*ret = found;
		return 0;
	}
	r = tenants->config.store->ops->tenant_by_name(tenants->config.store, name, &row, err);
	if (r == 0)
		return tenants_get_deleted(tenants, name, ret, err);
	if (r < 0)
		return r;
	r = tenant_cache_add(&tenants->cache, &row, ret, err);
	tenant_row_done(&row);
	return r;
}

int tenants_get(struct tenants *tenants, const char *name_or_id, struct tenant **ret,
                struct tn_error *err)
{
	struct id id;

	if (id_parse(name_or_id, &id) == 0)
		return tenants_get_by_id(tenants, &id, ret, err);
	return tenants_get_by_name(tenants, name_or_id, ret, err);
}

int tenants_tier_named(const struct tenants *tenants, const char *name,
                       const struct policy_tier **ret, struct tn_error *err)
{
	const struct policy *policy = tenants->config.policy;
	struct nearest nearest = nearest_begin(name);
	char hint[NEAREST_HINT_BYTES_MAX];
	const struct policy_tier *tier;

	*ret = policy_tier(policy, name);
	if (*ret != NULL)
		return 0;
	for (size_t i = 0; (tier = policy_tier_at(policy, i)) != NULL; i++)
		nearest_consider(&nearest, tier->name);
	return err_refuse(err, TN_NOT_FOUND, "there is no tier '%s'%s", name,
	                  nearest_hint(&nearest, "", hint));
}

const struct policy *tenants_policy(const struct tenants *tenants)
{
	return tenants->config.policy;
}

int tenants_resolve(const struct policy *policy, const struct tenant_row *row,
                    struct policy_tier **ret_own, const struct policy_tier **ret,
                    struct tn_error *err)
{
	const struct policy_tier *tier = policy_tier(policy, row->tier);
	struct policy_tier *own;
	int r;

	*ret_own = NULL;
	if (tier == NULL)
		return err_refuse(err, TN_NOT_FOUND,
		                  "tenant '%s' has tier '%s', which policy lacks", row->name,
		                  row->tier);
	*ret = tier;
	if (row->overrides[0] == '\0')
		return 0;
	own = malloc(sizeof(*own));
	if (own == NULL)
		return err_errno(err, "limits of tenant '%s'", row->name);
	*own = *tier;
	r = overrides_apply(row->overrides, policy_meters(policy), own, err);
	if (r < 0) {
		free(own);
		return err_wrap(err, r, "tenant '%s' of tier '%s'", row->name, row->tier);
	}
	*ret = *ret_own = own;
	return 0;
}

int tenants_tier(const struct tenants *tenants, struct tenant *tenant,
                 const struct policy_tier **ret, struct tn_error *err)
{
	if (tenant->own != NULL && tenant->own_generation == tenants->generation) {
		*ret = tenant->own;
		return 0;
	}
	free(tenant->own);
	tenant->own_generation = tenants->generation;
	return tenants_resolve(tenants->config.policy, &tenant->row, &tenant->own, ret, err);
}

int tenants_reply_check(const struct spec_reply *reply, struct tn_error *err)
{
	if (reply == NULL)
		return err_refuse(err, TN_UNREACHABLE, "tenantd has gone away");
	if (reply->error.code == TN_OK)
		return 0;
	*err = reply->error;
	return err->sys_errno > 0 ? -err->sys_errno : -EIO;
}

int tenants_send_limits(const struct tenants *tenants, const struct tenant *tenant,
                        const struct policy_tier *tier, bool may_kill, supervisor_reply_fn *fn,
                        void *userdata, struct tn_error *err)
{
	struct spec_tenant_apply apply = { .tenant = tenant->row.id,
		                           .flags = may_kill ? SPEC_APPLY_MAY_KILL : 0 };
	struct supervisor_request request = SUPERVISOR_REQUEST(SPEC_TENANT_APPLY, &apply);

	(void)snprintf(apply.name, sizeof(apply.name), "%s", tenant->row.name);
	plan_tenant_limits(tier, &apply.limits);
	if (tenant_slowed(&tenant->exhausted))
		apply.limits.cpu_quota_usec = TENANT_SLOWED_CPU_USEC;
	request.fds = &tenants->config.filter_fd;
	request.fds_n = 1;
	return supervisor_ask(tenants->config.link, &request, fn, userdata, err);
}

static int tenants_send_apply(const struct tenants *tenants, struct tenant *tenant,
                              bool may_kill, supervisor_reply_fn *fn, void *userdata,
                              struct tn_error *err)
{
	const struct policy_tier *tier = NULL;
	int r;

	if (tenant->row.status == TENANT_DELETED)
		return err_refuse(err, TN_STATE, "tenant '%s' is deleted", tenant->row.name);
	r = tenants_tier(tenants, tenant, &tier, err);
	if (r < 0)
		return r;
	assert(tier != NULL);
	return tenants_send_limits(tenants, tenant, tier, may_kill, fn, userdata, err);
}

static int tenants_send_remove(struct tenants *tenants, const struct id *id,
                               supervisor_reply_fn *fn, void *userdata, struct tn_error *err)
{
	struct spec_tenant_remove remove = { .tenant = *id };
	struct supervisor_request request = SUPERVISOR_REQUEST(SPEC_TENANT_REMOVE, &remove);

	return supervisor_ask(tenants->config.link, &request, fn, userdata, err);
}

static bool tenant_changes(const struct tenant_row *a, const struct tenant_row *b)
{
	return a->status != b->status || a->uid_first != b->uid_first ||
	       a->uid_count != b->uid_count || strcmp(a->cgroup, b->cgroup) != 0 ||
	       strcmp(a->storage_path, b->storage_path) != 0 ||
	       strcmp(a->policy_hash, b->policy_hash) != 0;
}

int tenants_save(struct tenants *tenants, struct tenant *tenant, struct tenant_row *row,
                 const struct event *event, struct tn_error *err)
{
	struct store *store = tenants->config.store;
	int r;

	row->updated_at = clock_usec(CLOCK_REALTIME);
	r = terms_change(store, &tenant->row, row, row->updated_at, err);
	if (r == 0)
		r = store->ops->tenant_update(store, row, event, err);
	if (r < 0)
		return r;
	if (row->metadata != tenant->row.metadata)
		free(tenant->row.metadata);
	tenant->row = *row;
	/* It may be resolved to something else now. */
	free(tenant->own);
	tenant->own = NULL;
	return 0;
}

/* Where the tenant lives and which policy holds it now, as far as the row does not say so. */
static int tenant_update(struct tenants *tenants, struct tenant *tenant,
                         enum tenant_status status, const struct spec_slot *slot,
                         const struct event *created, struct tn_error *err)
{
	struct tenant_row row = tenant->row;

	row.status = status;
	row.uid_first = slot->uid_first;
	row.uid_count = slot->uid_count;
	(void)snprintf(row.cgroup, sizeof(row.cgroup), "%s", slot->cgroup);
	(void)snprintf(row.storage_path, sizeof(row.storage_path), "%s", slot->storage_path);
	(void)snprintf(row.policy_hash, sizeof(row.policy_hash), "%s",
	               policy_hash_hex(tenants->config.policy));
	if (!tenant_changes(&row, &tenant->row))
		return 0;
	/* Where it lives is nobody's wish, and its policy is told of as a whole. */
	return tenants_save(tenants, tenant, &row, created, err);
}

/* NULL if there is no such tenant any more. */
static struct tenant *tenant_of_reply(struct tenants *tenants, const struct spec_reply *reply)
{
	return tenant_cache_by_id(&tenants->cache, &reply->tenant);
}

static void tenants_on_applied(void *userdata, const struct spec_reply *reply)
{
	struct tenants *tenants = userdata;
	struct tenant *tenant = reply != NULL ? tenant_of_reply(tenants, reply) : NULL;
	struct tn_error err = { 0 };
	int r = tenants_reply_check(reply, &err);

	if (tenant == NULL)
		return;
	if (r == 0)
		r = tenant_update(tenants, tenant, tenant->row.status, &reply->slot, NULL,
		                  &err);
	if (r < 0) {
		/* Launches that went out behind it fail by themselves. */
		tenant->applied = false;
		log_event(LOG_ERR, "limits of a tenant could not be set",
		          LF_STR("tenant", tenant->row.name), LF_STR("error", err.msg), LF_END);
	}
}

int tenants_apply(struct tenants *tenants, struct tenant *tenant, struct tn_error *err)
{
	int r;

	if (tenant->applied)
		return 0;
	r = tenants_send_apply(tenants, tenant, false, tenants_on_applied, tenants, err);
	if (r < 0)
		return err_wrap(err, r, "limits of tenant '%s'", tenant->row.name);
	tenant->applied = true;
	return 0;
}

/* The end of a creation: tell who wanted it. @err is NULL on success. */
static void creation_end(struct creation *creation, const struct tn_error *err)
{
	if (err == NULL)
		creation->done(creation->userdata, creation->tenant, NULL);
	else
		creation->done(creation->userdata, NULL, err);
	free(creation);
}

static void tenants_on_removed(void *userdata, const struct spec_reply *reply)
{
	struct tn_error err = { 0 };

	(void)userdata;
	if (reply != NULL && tenants_reply_check(reply, &err) < 0)
		log_event(LOG_WARNING, "a tenant's cgroup could not be removed",
		          LF_STR("error", err.msg), LF_END);
}

/*
 * Take back row and cgroup. If even that fails, the row stays "creating" and the next
 * controller tries again.
 */
static void creation_undo(struct creation *creation, const struct tn_error *why)
{
	struct tenants *tenants = creation->tenants;
	struct tenant *tenant = creation->tenant;
	struct tn_error err = { 0 };
	int r;

	(void)tenants_send_remove(tenants, &tenant->row.id, tenants_on_removed, tenants, &err);
	r = tenants->config.store->ops->tenant_delete(tenants->config.store, &tenant->row.id,
	                                              &err);
	if (r < 0)
		log_event(LOG_ERR, "an unfinished tenant could not be deleted",
		          LF_STR("tenant", tenant->row.name), LF_STR("error", err.msg), LF_END);
	tenant_cache_drop(&tenants->cache, tenant);
	creation->tenant = NULL;
	creation_end(creation, why);
}

/* The tenant is there. */
static int creation_save(const struct creation *creation, const struct spec_slot *slot,
                         struct tn_error *err)
{
	struct tenant_row row = creation->tenant->row;
	struct event event;
	int r;

	row.status = TENANT_ACTIVE;
	r = event_of_tenant(EVENT_CREATED, &creation->actor, NULL, &row, &event, err);
	if (r < 0)
		return r;
	r = tenant_update(creation->tenants, creation->tenant, TENANT_ACTIVE, slot, &event,
	                  err);
	event_done(&event);
	return r;
}

static void creation_on_applied(void *userdata, const struct spec_reply *reply)
{
	struct creation *creation = userdata;
	struct tn_error err = { 0 };
	int r = tenants_reply_check(reply, &err);

	if (reply == NULL) {
		/* We end: the intent row tells the next controller. */
		creation_end(creation, &err);
		return;
	}
	if (r == 0)
		r = creation_save(creation, &reply->slot, &err);
	if (r < 0) {
		creation_undo(creation, &err);
		return;
	}
	creation->tenant->applied = true;
	creation_end(creation, NULL);
}

static int creation_row(struct tenants *tenants, const struct tenant_row *wanted,
                        struct tenant_row *ret, struct tn_error *err)
{
	struct tenant_row row = *wanted;
	struct policy_tier *own = NULL;
	const struct policy_tier *tier;
	int r;

	if (!name_valid(wanted->name))
		return err_refuse(err, TN_INVALID, "'%s' is no tenant's name: " NAME_RULE,
		                  wanted->name);
	r = tenants_tier_named(tenants, wanted->tier, &tier, err);
	if (r == 0)
		r = tenants_resolve(tenants->config.policy, wanted, &own, &tier, err);
	free(own);
	if (r < 0)
		return r;
	row.metadata = strdup(wanted->metadata);
	if (row.metadata == NULL)
		return err_errno(err, "create tenant '%s'", wanted->name);
	row.id = identity_new();
	row.status = TENANT_CREATING;
	row.version = 1;
	row.created_at = clock_usec(CLOCK_REALTIME);
	row.updated_at = row.created_at;
	row.terms_since = row.created_at;
	(void)snprintf(row.policy_hash, sizeof(row.policy_hash), "%s",
	               policy_hash_hex(tenants->config.policy));
	*ret = row;
	return 0;
}

int tenants_create(struct tenants *tenants, const struct tenant_row *wanted,
                   const struct actor *actor, tenants_done_fn *done, void *userdata,
                   struct tn_error *err)
{
	struct store *store = tenants->config.store;
	struct creation *creation = calloc(1, sizeof(*creation));
	struct tenant_row row = { 0 };
	struct id id;
	int r;

	if (creation == NULL)
		return err_errno(err, "create tenant '%s'", wanted->name);
	*creation = (struct creation){ tenants, NULL, *actor, done, userdata };
	r = creation_row(tenants, wanted, &row, err);
	if (r < 0)
		goto out;
	id = row.id;
	r = store->ops->tenant_insert(store, &row, err);
	if (r < 0)
		goto out;
	r = tenant_cache_add(&tenants->cache, &row, &creation->tenant, err);
	if (r == 0)
		r = tenants_send_apply(tenants, creation->tenant, false, creation_on_applied,
		                       creation, err);
	if (r < 0) {
		(void)store->ops->tenant_delete(store, &id, &(struct tn_error){ 0 });
		if (creation->tenant != NULL)
			tenant_cache_drop(&tenants->cache, creation->tenant);
	}
out:
	tenant_row_done(&row);
	if (r < 0)
		free(creation);
	return r;
}

int tenants_recover(struct tenants *tenants, struct tn_error *err)
{
	struct store *store = tenants->config.store;
	char after[NAME_BYTES_MAX] = "";

	for (;;) {
		struct tenant_row row = { 0 };
		int r = store->ops->tenant_unsettled_next(store, after, &row, err);

		if (r <= 0)
			return r;
		(void)snprintf(after, sizeof(after), "%s", row.name);
		r = 0;
		if (row.status == TENANT_CREATING)
			r = tenants_send_remove(tenants, &row.id, tenants_on_removed, tenants,
			                        err);
		if (r == 0 && row.status == TENANT_CREATING)
			r = store->ops->tenant_delete(store, &row.id, err);
		tenant_row_done(&row);
		if (r < 0)
			return err_wrap(err, r, "undo the creation of '%s'", after);
	}
}

/* What tenantd makes of a slot that should not be there; it may have gone meanwhile. */
static void tenants_on_audited(void *userdata, const struct spec_reply *reply)
{
	struct tn_error err = { 0 };
	char id[ID_TEXT_BYTES];
	int r;

	(void)userdata;
	if (reply == NULL)
		return;
	id_format(&reply->tenant, id);
	r = tenants_reply_check(reply, &err);
	if (r == 0)
		log_event(LOG_WARNING, "what no tenant had is removed", LF_STR("tenant", id),
		          LF_END);
	else if (err.code != TN_NOT_FOUND)
		log_event(LOG_ERR, "what no tenant has cannot be removed", LF_STR("tenant", id),
		          LF_STR("error", err.msg), LF_END);
}

void tenants_audit(struct tenants *tenants, const struct id *id)
{
	struct spec_tenant_delete request = { .tenant = *id, .how = SPEC_DELETE_ALL };
	struct supervisor_request deletes = SUPERVISOR_REQUEST(SPEC_TENANT_DELETE, &request);
	struct tenant_row row = { 0 };
	struct tn_error err = { 0 };
	int r = tenants->config.store->ops->tenant_by_id(tenants->config.store, id, &row, &err);

	if (r == 1 && row.status == TENANT_DELETED)
		r = supervisor_ask(tenants->config.link, &deletes, tenants_on_audited, tenants,
		                   &err);
	else if (r == 0)
		r = tenants_send_remove(tenants, id, tenants_on_audited, tenants, &err);
	tenant_row_done(&row);
	if (r < 0)
		log_event(LOG_ERR, "a slot cannot be looked after", LF_STR("error", err.msg),
		          LF_END);
}

void tenants_bury(struct tenants *tenants, struct tenant *tenant)
{
	tenant->applied = false;
	tenant_cache_forget_name(&tenants->cache, tenant);
}

int tenants_next_of(struct tenants *tenants, unsigned int statuses, char after[NAME_BYTES_MAX],
                    struct tenant **ret, struct tn_error *err)
{
	struct store *store = tenants->config.store;

	for (;;) {
		struct tenant_row row = { 0 };
		int r = store->ops->tenant_unsettled_next(store, after, &row, err);
		const struct id id = row.id;

		if (r <= 0)
			return r;
		(void)snprintf(after, NAME_BYTES_MAX, "%s", row.name);
		r = (statuses & 1u << row.status) != 0;
		tenant_row_done(&row);
		if (r == 0)
			continue;
		r = tenants_get_by_id(tenants, &id, ret, err);
		return r < 0 ? r : 1;
	}
}

bool tenants_reapplying(const struct tenants *tenants)
{
	return tenants->reapplying;
}

static int overrides_check(struct store *store, const struct policy *policy,
                           struct tn_error *err)
{
	char after[NAME_BYTES_MAX] = "";

	for (;;) {
		struct tenant_row row = { 0 };
		struct policy_tier *own = NULL;
		const struct policy_tier *tier;
		int r = store->ops->tenant_overridden_next(store, after, &row, err);

		if (r <= 0)
			return r;
		(void)snprintf(after, sizeof(after), "%s", row.name);
		r = tenants_resolve(policy, &row, &own, &tier, err);
		free(own);
		tenant_row_done(&row);
		if (r < 0)
			return r;
	}
}

int tenants_check_policy(struct store *store, const struct policy *policy, struct tn_error *err)
{
	char tier[NAME_BYTES_MAX] = "";
	int r;

	while ((r = store->ops->tier_next(store, tier, tier, err)) == 1)
		if (policy_tier(policy, tier) == NULL)
			return err_refuse(err, TN_STATE,
			                  "tenants have tier '%s', which the new policy lacks",
			                  tier);
	return r < 0 ? r : overrides_check(store, policy, err);
}

static void reapply_next(struct tenants *tenants, bool from_start);

static void reapply_end(struct tenants *tenants)
{
	tenants->reapplying = false;
	if (tenants->reapply_done != NULL)
		tenants->reapply_done(tenants->reapply_userdata, tenants->reapply_failed_n);
}

static void reapply_on_reply(void *userdata, const struct spec_reply *reply)
{
	struct tenants *tenants = userdata;
	const struct tenant *tenant;

	if (reply == NULL) {
		tenants->reapply_failed_n++;
		reapply_end(tenants);
		return;
	}
	tenants_on_applied(tenants, reply);
	tenant = tenant_of_reply(tenants, reply);
	if (tenant != NULL && !tenant->applied)
		tenants->reapply_failed_n++;
	reapply_next(tenants, false);
}

/* One that goes gets no limits any more: they would make its cgroup anew. */
static bool tenant_is_applied(const struct tenant *tenant)
{
	return tenant->applied && tenant->row.status != TENANT_DELETING &&
	       tenant->row.status != TENANT_DELETED;
}

static void reapply_next(struct tenants *tenants, bool from_start)
{
	struct tn_error err = { 0 };
	struct tenant *tenant;

	for (;; from_start = false) {
		tenant = tenant_cache_next(&tenants->cache,
		                           from_start ? NULL : &tenants->reapply_place,
		                           tenant_is_applied);
		if (tenant == NULL)
			break;
		tenants->reapply_place = tenant->row.id;
		if (tenants_send_apply(tenants, tenant, tenants->reapply_may_kill,
		                       reapply_on_reply, tenants, &err) == 0)
			return;
		tenant->applied = false;
		tenants->reapply_failed_n++;
		log_event(LOG_ERR, "limits of a tenant could not be set",
		          LF_STR("tenant", tenant->row.name), LF_STR("error", err.msg), LF_END);
	}
	reapply_end(tenants);
}

void tenants_set_policy(struct tenants *tenants, const struct policy *policy, bool may_kill,
                        tenants_reapplied_fn *done, void *userdata)
{
	assert(!tenants->reapplying);
	tenants->config.policy = policy;
	tenants->generation++;
	tenants->reapplying = true;
	tenants->reapply_may_kill = may_kill;
	tenants->reapply_failed_n = 0;
	tenants->reapply_done = done;
	tenants->reapply_userdata = userdata;
	reapply_next(tenants, true);
}
