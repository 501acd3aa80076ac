/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What becomes of a tenant after its creation: changed, suspended, resumed, deleted. One at a
 * time for a tenant: a change waits for its turn, anything else is refused meanwhile.
 *
 * Suspended: the row says so first, durably, and launches are refused from then on; then
 * tenantd freezes the node. Resumed: tenantd thaws it first, then the row says so. So whatever
 * interrupts us, a tenant is never active in the store and frozen in the kernel: the next
 * controller freezes what the store takes for suspended.
 *
 * Changed: the kernel has the new limits before the row does, and gets the old ones back if
 * the row cannot be written. Who has not been answered may find the old or the new, whole. A
 * memory_max below what is in use waits until that has been given back (shrink.h).
 *
 * Deleted: the row says "deleting", durably, and from then on there is no way back: launches
 * are refused, what runs is frozen and killed, what it used is booked from the node for the
 * last time, and only then tenantd takes node, namespaces and storage away. The row stays, as
 * "deleted", for its bills; the name is free. Interrupted, it is gone on with by the next
 * controller.
 */
#ifndef RUNTIME_LIFECYCLE_H
#define RUNTIME_LIFECYCLE_H

#include "loop.h"
#include "tenants.h"

struct lifecycle;

struct lifecycle_config {
	struct loop *loop;
	struct tenants *tenants;
	struct supervisor_link *link;
	/* Book what the tenant used up to now, durably: its node is about to go. */
	int (*settle)(void *userdata, const struct tenant *tenant, struct tn_error *err);
	/* Something about @tenant is different: who waits for a slot may have one. */
	void (*changed)(void *userdata, struct tenant *tenant);
	void *userdata;
	/* @tenant has been deleted: what else there is of it goes. */
	void (*deleted)(void *userdata, const struct tenant *tenant);
};

/* All of @config is borrowed. */
int lifecycle_new(struct lifecycle **ret, const struct lifecycle_config *config,
                  struct tn_error *err);
/* After the link: what waits is told that tenantd has gone. Accepts NULL; returns NULL. */
struct lifecycle *lifecycle_free(struct lifecycle *lifecycle);

/* The cgroup tree's root, borrowed: where is seen what the kernel has frozen. */
void lifecycle_set_root(struct lifecycle *lifecycle, int root_fd);

/*
 * Freeze what the store takes for suspended, and go on deleting what it takes for that: begins
 * with it, and goes on by itself. Once, before anything is asked of us. What fails is logged,
 * and keeps nobody else from being served.
 */
void lifecycle_recover(struct lifecycle *lifecycle);

/*
 * Each calls @done once it is true, or why not; that may be before it returns, and is not at
 * all if it fails. @actor is who wants it, for the event that tells of it. TN_STATE: the
 * tenant's status does not allow it, or another change of it is under way.
 */
int lifecycle_suspend(struct lifecycle *lifecycle, struct tenant *tenant,
                      const struct actor *actor, tenants_done_fn *done, void *userdata,
                      struct tn_error *err);
int lifecycle_resume(struct lifecycle *lifecycle, struct tenant *tenant,
                     const struct actor *actor, tenants_done_fn *done, void *userdata,
                     struct tn_error *err);

/* Have @tenant stand still or go on, by whether it is suspended or held to a quota. */
int lifecycle_stand(struct lifecycle *lifecycle, struct tenant *tenant, supervisor_reply_fn *fn,
                    void *userdata, struct tn_error *err);

/* What is to be different. */
struct lifecycle_update {
	/* Make of @row, a copy of the tenant's with a metadata of its own, what it is to be;
	 * called when its turn has come. What counts is display name, tier, overrides,
	 * operators, metadata and settings. */
	int (*apply)(void *userdata, struct tenant_row *row, struct tn_error *err);
	int64_t if_version; /* not 0: only if the tenant still has it, else TN_CONFLICT */
	bool force;         /* a memory_max below what is in use kills */
	struct actor actor; /* by whose wish */
};

/* So many updates wait for their turn, of all tenants. */
#define LIFECYCLE_WAITING_MAX 256

/* Change the tenant, after the changes that are under way or wait. */
int lifecycle_update(struct lifecycle *lifecycle, struct tenant *tenant,
                     const struct lifecycle_update *update, tenants_done_fn *done,
                     void *userdata, struct tn_error *err);

/* Let nobody change the tenant until lifecycle_release(). TN_STATE if somebody does. */
int lifecycle_hold(struct lifecycle *lifecycle, struct tenant *tenant, struct tn_error *err);
void lifecycle_release(struct lifecycle *lifecycle, struct tenant *tenant);

/*
 * Delete the tenant. Without @force it is TN_STATE if anything runs or is stored. One whose
 * deletion has failed half-way may be deleted again, by force or not.
 */
int lifecycle_delete(struct lifecycle *lifecycle, struct tenant *tenant, bool force,
                     const struct actor *actor, tenants_done_fn *done, void *userdata,
                     struct tn_error *err);

#endif
