/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tenant on its way below a memory_max that is less than what it uses. tenantd squeezes it
 * (spec_tenant_squeeze) and we look, every now and then, until its use is below the limit or
 * shrink_grace is over; nothing waits meanwhile but whoever asked. It stays squeezed at the
 * end: who asked sends the new limits, or those that the tenant has.
 */
#ifndef RUNTIME_SHRINK_H
#define RUNTIME_SHRINK_H

#include "loop.h"
#include "tenants.h"

struct shrink;

struct shrink_config {
	struct loop *loop;
	struct supervisor_link *link;
	struct tenants *tenants;
	int root_fd; /* of the cgroup tree */
};

/* @err is NULL once its use is below the limit. TN_STATE, with the figures, if it is not. */
typedef void shrink_done_fn(void *userdata, const struct tn_error *err);

/*
 * What the tenant of @row uses, if that is more than @tier's memory_max: 1 and *ret; 0 if it is
 * not, or nothing is known of it, as where there is no such cgroup.
 */
int shrink_needed(int root_fd, const struct tenant_row *row, const struct policy_tier *tier,
                  int64_t *ret_used);

/* Begin with @tenant, for @tier, which need not last. @config is copied. @done is called later
 * and once, unless this fails or it is freed. */
int shrink_begin(struct shrink **ret, const struct shrink_config *config, struct tenant *tenant,
                 const struct policy_tier *tier, shrink_done_fn *done, void *userdata,
                 struct tn_error *err);

/* It has grown again: @done is called once more. */
void shrink_again(struct shrink *shrink);

/* Of one that has been done, or when the link has gone. Accepts NULL. Always returns NULL. */
struct shrink *shrink_free(struct shrink *shrink);

#endif
