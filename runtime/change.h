/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lifecycle.c, update.c and deletion.c share of a change that is under way; private to
 * them. */
#ifndef RUNTIME_CHANGE_H
#define RUNTIME_CHANGE_H

#include "lifecycle.h"
#include "shrink.h"

struct change {
	struct change *next;
	struct lifecycle *lifecycle;
	struct tenant *tenant;
	struct actor actor;
	/* Of an update: what is to be different, what that makes of the row (its metadata is
	 * ours), and the memory that has to be given back before. */
	struct lifecycle_update update;
	struct tenant_row wanted;
	struct shrink *shrink;
	struct loop_source *timer;
	int64_t deadline_usec; /* CLOCK_MONOTONIC */
	tenants_done_fn *done;
	void *userdata;
};

struct lifecycle {
	struct lifecycle_config config;
	int root_fd;
	struct change *changes;
	struct change *waiting; /* updates whose turn has not come, in order */
	size_t waiting_n;
	struct loop_source *turn;
	char recovered[NAME_BYTES_MAX]; /* up to this name */
};

/* 0, or TN_STATE if no tenant may go from its status to @status at once. */
int change_check(const struct tenant *tenant, enum tenant_status status, struct tn_error *err);

/* The next update of each tenant that no change is under way of. */
void update_turn(struct lifecycle *lifecycle);

/* TN_STATE if another change of the tenant is under way. */
int change_new(struct lifecycle *lifecycle, struct tenant *tenant, const struct actor *actor,
               tenants_done_fn *done, void *userdata, struct change **ret,
               struct tn_error *err);
void change_free(struct change *change);

/* Tell who wanted it, and free it. @err is NULL on success. */
void change_end(struct change *change, const struct tn_error *err);

/* Have the tenant's row be @row, durably, and told as an event of @kind. As change_status(). */
int change_save(const struct change *change, struct tenant_row *row, enum event_kind kind,
                const char *reason, struct tn_error *err);

/* Durably, and told as an event of @kind; @reason is NULL if it needs none. */
int change_status(struct change *change, enum tenant_status status, enum event_kind kind,
                  const char *reason, struct tn_error *err);

#endif
