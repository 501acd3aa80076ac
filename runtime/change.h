/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lifecycle.c and deletion.c share of a change that is under way; private to them. */
#ifndef RUNTIME_CHANGE_H
#define RUNTIME_CHANGE_H

#include "lifecycle.h"

struct change {
	struct change *next;
	struct lifecycle *lifecycle;
	struct tenant *tenant;
	struct tenant_row wanted; /* of an update; its metadata is ours */
	struct loop_source *timer;
	int64_t deadline_usec; /* CLOCK_MONOTONIC */
	tenants_done_fn *done;
	void *userdata;
};

struct lifecycle {
	struct lifecycle_config config;
	int root_fd;
	struct change *changes;
	char recovered[NAME_BYTES_MAX]; /* up to this name */
};

/* 0, or TN_STATE if no tenant may go from its status to @status at once. */
int change_check(const struct tenant *tenant, enum tenant_status status, struct tn_error *err);

/* TN_STATE if another change of the tenant is under way. */
int change_new(struct lifecycle *lifecycle, struct tenant *tenant, tenants_done_fn *done,
               void *userdata, struct change **ret, struct tn_error *err);
void change_free(struct change *change);

/* Tell who wanted it, and free it. @err is NULL on success. */
void change_end(struct change *change, const struct tn_error *err);

/* Durably. */
int change_status(struct lifecycle *lifecycle, struct tenant *tenant, enum tenant_status status,
                  struct tn_error *err);

#endif
