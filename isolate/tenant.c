/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tenant.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/io.h>
#include <base/log.h>

#include "cgroup.h"
#include "fdcheck.h"
#include "storage.h"

/* Some periods of a quota. */
#define THROTTLED_LATELY_USEC ((int64_t)CLOCK_USEC_PER_SEC)

static struct tenant *tenant_free(struct tenant *tenant)
{
	if (tenant == NULL)
		return NULL;
	squeeze_stop(&tenant->squeeze);
	context_done(&tenant->context);
	fd_closep(&tenant->meter_fd);
	fd_closep(&tenant->cgroup_fd);
	(void)filter_put(tenant->filter);
	free(tenant);
	return NULL;
}

static struct tenant *tenant_new(const struct id *id, const char *name, int64_t slot,
                                 const struct bounds *bounds)
{
	struct tenant *tenant = calloc(1, sizeof(*tenant));

	if (tenant == NULL)
		return NULL;
	tenant->node.id = *id;
	(void)snprintf(tenant->name, sizeof(tenant->name), "%s", name);
	tenant->slot = slot;
	tenant->uid_first = bounds->uid_base + slot * SPEC_UIDS_PER_TENANT;
	tenant->cgroup_fd = tenant->meter_fd = FD_NONE;
	tenant->squeeze.source.fd = FD_NONE;
	context_init(&tenant->context);
	return tenant;
}

/* The policy's filter counts only if nobody can change it any more. */
static int filter_load(int fd, struct filters *filters, struct tenant *tenant,
                       struct tn_error *err)
{
	struct sock_fprog policy = { 0 };
	struct filter *filter = NULL;
	struct stat st;
	size_t bytes;
	int r;

	if (fstat(fd, &st) < 0)
		return err_errno(err, "stat the filter");
	r = fdcheck_sealed(fd, st.st_size, err);
	if (r < 0)
		return err_wrap(err, r, "filter");
	bytes = (size_t)st.st_size;
	if (st.st_size <= 0 || bytes % sizeof(struct sock_filter) != 0 ||
	    bytes / sizeof(struct sock_filter) > SPEC_FILTER_INSNS_MAX)
		return err_refuse(err, TN_INVALID, "the filter has %" PRId64 " bytes",
		                  (int64_t)st.st_size);

	cleanup_free struct sock_filter *code = malloc(bytes);

	if (code == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "filter");
	if (pread(fd, code, bytes, 0) != (ssize_t)bytes)
		return err_errno(err, "read the filter");
	policy.filter = code;
	policy.len = (unsigned short)(bytes / sizeof(struct sock_filter));
	r = filters_join(filters, &policy, &filter, err);
	if (r < 0)
		return r;
	(void)filter_put(tenant->filter);
	tenant->filter = filter;
	return 0;
}

static void slot_describe(const struct tenants *tenants, const struct tenant *tenant,
                          struct spec_slot *ret)
{
	char id[ID_TEXT_BYTES];

	id_format(&tenant->node.id, id);
	ret->uid_first = tenant->uid_first;
	ret->uid_count = SPEC_UIDS_PER_TENANT;
	(void)snprintf(ret->cgroup, sizeof(ret->cgroup), "%s/%s", tenants->hierarchy->path,
	               tenant->name);
	(void)snprintf(ret->storage_path, sizeof(ret->storage_path), "%s/%s/data",
	               tenants->bounds->storage_root, id);
}

/* Kernel objects of @tenant, new ones if it has none; undone by the caller. */
static int tenant_bring(struct tenants *tenants, struct tenant *tenant,
                        const struct spec_tenant_apply *apply, int filter_fd,
                        struct tn_error *err)
{
	int r = filter_load(filter_fd, tenants->filters, tenant, err);

	if (r == 0)
		r = storage_make(tenants->bounds->storage_root, &apply->tenant,
		                 tenant->uid_first, err);
	if (r == 0)
		r = hierarchy_tenant_apply(tenants->hierarchy, tenant->name, &apply->limits,
		                           (apply->flags & SPEC_APPLY_MAY_KILL) != 0, err);
	if (r == 0 && tenant->cgroup_fd < 0) {
		tenant->cgroup_fd = hierarchy_tenant_open(tenants->hierarchy, tenant->name,
		                                          err);
		r = tenant->cgroup_fd < 0 ? tenant->cgroup_fd : 0;
	}
	if (r == 0) {
		tenant->limits = apply->limits;
		squeeze_end(&tenant->squeeze, apply->limits.memory_high_bytes);
	}
	return r;
}

static int tenant_create(struct tenants *tenants, const struct spec_tenant_apply *apply,
                         int filter_fd, struct tenant **ret, struct tn_error *err)
{
	bool known = slots_find(tenants->slots, &apply->tenant) >= 0;
	int64_t slot = slots_take(tenants->slots, &apply->tenant, apply->name, err);
	struct tn_error lost = { 0 };
	struct tenant *tenant;
	int r;

	if (slot < 0)
		return (int)slot;
	tenant = tenant_new(&apply->tenant, apply->name, slot, tenants->bounds);
	r = tenant == NULL ? err_set(err, TN_SYSTEM, ENOMEM, "tenant")
	                   : tenant_bring(tenants, tenant, apply, filter_fd, err);
	if (r < 0) {
		(void)tenant_free(tenant);
		if (!known) {
			(void)hierarchy_tenant_remove(tenants->hierarchy, apply->name, &lost);
			if (storage_remove_empty(tenants->bounds->storage_root, &apply->tenant,
			                         &lost) == 0)
				(void)slots_free(tenants->slots, slot, &lost);
		}
		return r;
	}
	id_table_add(&tenants->table, &tenant->node);
	*ret = tenant;
	return 0;
}

int tenants_apply(struct tenants *tenants, const struct spec_tenant_apply *apply, int filter_fd,
                  struct spec_slot *ret, struct tn_error *err)
{
	struct tenant *tenant = id_table_find(&tenants->table, &apply->tenant);
	int r = bounds_check_tenant(tenants->bounds, apply, err);

	if (r < 0)
		return r;
	if (tenant == NULL)
		r = tenant_create(tenants, apply, filter_fd, &tenant, err);
	else if (strcmp(tenant->name, apply->name) != 0)
		r = err_refuse(err, TN_INVALID, "the tenant's slot is named '%s'",
		               tenant->name);
	else
		r = tenant_bring(tenants, tenant, apply, filter_fd, err);
	if (r == 0)
		slot_describe(tenants, tenant, ret);
	return r;
}

int tenants_squeeze(struct tenants *tenants, const struct spec_tenant_squeeze *request,
                    struct tn_error *err)
{
	struct tenant *tenant = id_table_find(&tenants->table, &request->tenant);

	if (request->memory_high_bytes < 1)
		return err_refuse(err, TN_INVALID, "memory_high of %" PRId64 " is out of range",
		                  request->memory_high_bytes);
	if (tenant == NULL || tenant->cgroup_fd < 0)
		return err_refuse(err, TN_NOT_FOUND, "the tenant has not been applied");
	tenant->squeeze.loop = tenants->remover.loop;
	tenant->squeeze.node_fd = tenant->cgroup_fd;
	return squeeze_begin(&tenant->squeeze, request->memory_high_bytes, err);
}

static void undo(void *member, void *context)
{
	struct tenant *tenant = member;

	(void)context;
	squeeze_undo(&tenant->squeeze);
}

void tenants_squeeze_undo(struct tenants *tenants)
{
	id_table_each(&tenants->table, undo, NULL);
}

static void tenant_meter_end(struct tenants *tenants, struct tenant *tenant)
{
	if (tenant->meter_fd < 0)
		return;
	meter_end(&tenants->meters, &tenant->node.id, &tenant->meter_fd);
	tenants->tell_meter(tenants->context, &tenant->node.id, FD_NONE);
}

/* The tenant is about to be no more. */
static int tenant_meter_forget(struct tenants *tenants, const struct id *id,
                               struct tenant *tenant, struct tn_error *err)
{
	if (tenant != NULL)
		tenant_meter_end(tenants, tenant);
	return meter_forget(&tenants->meters, id, err);
}

struct idle {
	struct tenant *longest;
};

static void idle_consider(void *member, void *context)
{
	struct tenant *tenant = member;
	struct idle *idle = context;

	if (tenant->meter_fd >= 0 && tenant->executions_n == 0 &&
	    (idle->longest == NULL || tenant->meter_used < idle->longest->meter_used))
		idle->longest = tenant;
}

/* For one that there is no room for, that of who has run nothing for the longest time goes. */
static int tenant_meter_make(struct tenants *tenants, struct tenant *tenant,
                             struct tn_error *err)
{
	struct idle idle = { NULL };
	int r;

	tenant->meter_used = ++tenants->meter_uses;
	if (tenant->meter_fd >= 0)
		return 0;
	if (tenants->meters.open_n >= METERS_MAX)
		id_table_each(&tenants->table, idle_consider, &idle);
	if (idle.longest != NULL)
		tenant_meter_end(tenants, idle.longest);
	r = meter_make(&tenants->meters, &tenant->node.id, tenant->name, &tenant->meter_fd,
	               err);
	if (r == 0)
		tenants->tell_meter(tenants->context, &tenant->node.id, tenant->meter_fd);
	return r;
}

int tenants_remove(struct tenants *tenants, const struct id *id, struct tn_error *err)
{
	struct tenant *tenant = id_table_find(&tenants->table, id);
	/* Of one that a tenantd before us began to make, the slot alone is known. */
	const int64_t slot = slots_find(tenants->slots, id);
	int r;

	if (slot < 0)
		return err_refuse(err, TN_NOT_FOUND, "the tenant has not been applied");
	if (tenant != NULL && tenant->executions_n > 0)
		return err_refuse(err, TN_STATE, "'%s' has %zu executions", tenant->name,
		                  tenant->executions_n);
	r = storage_remove_empty(tenants->bounds->storage_root, id, err);
	if (r == 0)
		r = tenant_meter_forget(tenants, id, tenant, err);
	if (r == 0)
		r = hierarchy_tenant_remove(tenants->hierarchy,
		                            slots_name(tenants->slots, slot), err);
	if (r == 0)
		r = slots_free(tenants->slots, slot, err);
	if (r < 0 || tenant == NULL)
		return r;
	id_table_remove(&tenants->table, &tenant->node);
	(void)tenant_free(tenant);
	return 0;
}

/* The directory goes out of reach before the slot says so: the other way round its ids could
 * return to the pool with it still there. */
static int slot_end(struct tenants *tenants, int64_t slot, const struct id *id,
                    struct tn_error *err)
{
	int r = storage_discard(tenants->bounds->storage_root, id, err);

	if (r <= 0)
		return r < 0 ? r : slots_free(tenants->slots, slot, err);
	r = slots_retire(tenants->slots, slot, err);
	if (r == 0)
		remover_wake(&tenants->remover);
	return r;
}

int tenants_delete(struct tenants *tenants, const struct id *id, enum spec_delete_how how,
                   struct tn_error *err)
{
	struct tenant *tenant = id_table_find(&tenants->table, id);
	const int64_t slot = slots_find(tenants->slots, id);
	int r;

	if (tenant != NULL && tenant->executions_n > 0)
		return err_refuse(err, TN_STATE, "'%s' has %zu executions", tenant->name,
		                  tenant->executions_n);
	if (slot < 0)
		return 0;
	if (how == SPEC_DELETE_CHECK)
		return storage_check_empty(tenants->bounds->storage_root, id, err);
	r = tenant_meter_forget(tenants, id, tenant, err);
	if (r == 0)
		r = hierarchy_tenant_remove(tenants->hierarchy,
		                            slots_name(tenants->slots, slot), err);
	if (r < 0)
		return r;
	if (tenant != NULL) {
		id_table_remove(&tenants->table, &tenant->node);
		(void)tenant_free(tenant);
	}
	return slot_end(tenants, slot, id, err);
}

struct tenant *tenants_find(struct tenants *tenants, const struct id *id)
{
	return id_table_find(&tenants->table, id);
}

int64_t tenant_throttled_usec(struct tenant *tenant, uint32_t controllers)
{
	const int64_t usec = cg_throttled_usec(tenant->cgroup_fd, controllers);

	if (usec > tenant->throttled_usec) {
		tenant->throttled_usec = usec;
		tenant->throttled_at = clock_usec(CLOCK_BOOTTIME);
	}
	return usec;
}

bool tenant_is_throttled(const struct tenant *tenant)
{
	return tenant->throttled_usec > 0 &&
	       clock_usec(CLOCK_BOOTTIME) - tenant->throttled_at < THROTTLED_LATELY_USEC;
}

int tenants_prepare(struct tenants *tenants, const struct id *id, struct tenant **ret,
                    struct tn_error *err)
{
	struct tenant *tenant = id_table_find(&tenants->table, id);
	struct context_request request;
	char run_path[METERS_PATH_BYTES + ID_TEXT_BYTES];
	struct spec_slot slot;
	int r;

	if (tenant == NULL || tenant->filter == NULL)
		return err_refuse(err, TN_NOT_FOUND, "the tenant has not been applied");
	*ret = tenant;
	r = tenant_meter_make(tenants, tenant, err);
	if (r < 0 || tenant->prepared)
		return r;
	meter_path(&tenants->meters, id, run_path, sizeof(run_path));
	slot_describe(tenants, tenant, &slot);
	request = (struct context_request){
		.name = tenant->name,
		.skeleton_path = tenants->skeleton_path,
		.staging_path = tenants->staging_path,
		.run_path = run_path,
		.storage_path = slot.storage_path,
		.cgroup_fd = tenant->cgroup_fd,
		.uid_first = tenant->uid_first,
		.memory_max_bytes = tenant->limits.memory_max_bytes,
	};
	r = context_build(&tenant->context, &request, err);
	tenant->prepared = r == 0;
	return r;
}

int tenants_adopt(struct tenants *tenants, const struct id *id, struct tenant **ret,
                  struct tn_error *err)
{
	struct tenant *tenant = id_table_find(&tenants->table, id);
	int64_t slot;

	if (tenant != NULL) {
		*ret = tenant;
		return 0;
	}
	slot = slots_find(tenants->slots, id);
	if (slot < 0)
		return err_refuse(err, TN_NOT_FOUND, "the tenant has no slot");
	tenant = tenant_new(id, slots_name(tenants->slots, slot), slot, tenants->bounds);
	if (tenant == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "tenant");
	tenant->cgroup_fd = hierarchy_tenant_open(tenants->hierarchy, tenant->name, err);
	if (tenant->cgroup_fd < 0) {
		int r = tenant->cgroup_fd;

		(void)tenant_free(tenant);
		return r;
	}
	id_table_add(&tenants->table, &tenant->node);
	*ret = tenant;
	return 0;
}

static void meter_restore(void *member, void *context)
{
	struct tenant *tenant = member;
	struct tenants *tenants = context;
	struct tn_error err = { 0 };

	if (tenant->executions_n > 0 && tenant_meter_make(tenants, tenant, &err) < 0)
		log_event(LOG_ERR, "what runs for a tenant cannot meter itself",
		          LF_STR("tenant", tenant->name), LF_STR("error", err.msg), LF_END);
}

static bool slot_is_known(void *context, const struct id *id)
{
	const struct tenants *tenants = context;

	return slots_find(tenants->slots, id) >= 0;
}

void tenants_meters_restore(struct tenants *tenants)
{
	id_table_each(&tenants->table, meter_restore, tenants);
	meters_sweep(&tenants->meters, slot_is_known, tenants);
}

/* The controller that has ended could have shut it. */
static void meter_tell(void *member, void *context)
{
	struct tenant *tenant = member;
	struct tenants *tenants = context;

	if (tenant->meter_fd >= 0 && meter_is_shut(tenant->meter_fd)) {
		meter_end(&tenants->meters, &tenant->node.id, &tenant->meter_fd);
		meter_restore(member, context);
	} else if (tenant->meter_fd >= 0) {
		tenants->tell_meter(tenants->context, &tenant->node.id, tenant->meter_fd);
	}
}

void tenants_meters_tell(struct tenants *tenants)
{
	id_table_each(&tenants->table, meter_tell, tenants);
}

/* At our own end: nobody is there to put a memory.high back that is lower for a while. */
static void tenant_drop(void *member, void *context)
{
	struct tenant *tenant = member;
	struct squeeze *squeeze = &tenant->squeeze;
	const bool squeezed = squeeze->held || squeeze->pid > 0;
	struct tn_error lost = { 0 };

	(void)context;
	squeeze_stop(squeeze);
	if (squeezed)
		(void)squeeze_recover(tenant->cgroup_fd, &lost);
	(void)tenant_free(tenant);
}

void tenants_done(struct tenants *tenants)
{
	id_table_each(&tenants->table, tenant_drop, NULL);
	memset(&tenants->table, 0, sizeof(tenants->table));
}
