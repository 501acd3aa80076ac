/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tenant as tenantd knows it while it is in use: its slot, its node, its filter and,
 * from its first launch on, its context.
 */
#ifndef ISOLATE_TENANT_H
#define ISOLATE_TENANT_H

#include <stdbool.h>

#include <base/id_table.h>

#include "bounds.h"
#include "context.h"
#include "filters.h"
#include "hierarchy.h"
#include "meter.h"
#include "remover.h"
#include "slots.h"
#include "squeeze.h"

struct tenant {
	struct id_node node; /* by the tenant's id */
	char name[NAME_BYTES_MAX];
	int64_t slot;
	int64_t uid_first;
	int cgroup_fd; /* O_PATH of its node */
	struct squeeze squeeze;
	struct spec_tenant_limits limits;
	struct filter *filter; /* NULL until it is applied */
	struct context context;
	bool prepared;
	int meter_fd;        /* listening; FD_NONE: nothing has run, or not for long */
	uint64_t meter_used; /* the greater, the later it was last of use */
	size_t executions_n; /* that hold this tenant */
	size_t setting_up_n; /* of those, that have not got to their command yet */
	/* Of its node, when it was last read, and when it was last seen to have grown
	 * (CLOCK_BOOTTIME). */
	int64_t throttled_usec, throttled_at;
};

/* What tenants are made from; all borrowed, all outlive every tenant. */
struct tenants {
	struct id_table table;
	const struct bounds *bounds;
	const struct hierarchy *hierarchy;
	struct slots *slots;
	struct filters *filters;
	const char *skeleton_path;
	const char *staging_path;
	struct remover remover;
	struct meters meters;
	uint64_t meter_uses;
	/* Tell the controller of a tenant's socket, or with FD_NONE that there is none. */
	void (*tell_meter)(void *context, const struct id *tenant, int fd);
	void *context;
};

/* Create what @apply names or bring it to its limits; @filter_fd is borrowed. */
int tenants_apply(struct tenants *tenants, const struct spec_tenant_apply *apply, int filter_fd,
                  struct spec_slot *ret, struct tn_error *err);

/* Have it slowed down, and its memory taken back, until it is applied again or all are undone.
 */
int tenants_squeeze(struct tenants *tenants, const struct spec_tenant_squeeze *request,
                    struct tn_error *err);
/* Whoever wanted it has gone. */
void tenants_squeeze_undo(struct tenants *tenants);

/* Undo a creation: the tenant runs nothing and stores nothing. */
int tenants_remove(struct tenants *tenants, const struct id *id, struct tn_error *err);

/*
 * Whether the tenant could be deleted without losing anything: TN_STATE if something runs or
 * is stored. With SPEC_DELETE_ALL what is stored is discarded, and all else is taken away.
 */
int tenants_delete(struct tenants *tenants, const struct id *id, enum spec_delete_how how,
                   struct tn_error *err);

/* The tenant that has been applied, with its context built. */
int tenants_prepare(struct tenants *tenants, const struct id *id, struct tenant **ret,
                    struct tn_error *err);

/* The tenant that has been applied, or NULL. */
struct tenant *tenants_find(struct tenants *tenants, const struct id *id);

/* How long its quota has stopped it, as cg_throttled_usec() has it. */
int64_t tenant_throttled_usec(struct tenant *tenant, uint32_t controllers);
/* Whether it was seen to be stopped in the last second, at a start or an end. */
bool tenant_is_throttled(const struct tenant *tenant);

/*
 * A tenant whose node stands in the kernel though nobody applied it yet: the state
 * after a restart. It can be waited for and killed, not launched into.
 */
int tenants_adopt(struct tenants *tenants, const struct id *id, struct tenant **ret,
                  struct tn_error *err);

/* Once all that runs has been adopted: whoever has something that runs can meter himself, and
 * of nobody else there is a socket. */
void tenants_meters_restore(struct tenants *tenants);

/* Tell of every socket that there is, and is of use: to another controller than before. */
void tenants_meters_tell(struct tenants *tenants);

void tenants_done(struct tenants *tenants);

#endif
