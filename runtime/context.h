/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control plane put together: who owns whom, and which part hears from which.
 *
 *   control/server ──▶ tenants, executions, usage ──▶ supervisor_link ──▶ tenantd
 *                                 └──▶ journal ──▶ store
 *
 * It begins to serve when tenantd has greeted, and ends when tenantd has gone, when it
 * is told to, or never.
 */
#ifndef RUNTIME_CONTEXT_H
#define RUNTIME_CONTEXT_H

#include <sys/types.h>

#include "admission.h"
#include "drain.h"
#include "executions.h"
#include "lifecycle.h"
#include "policies.h"
#include "usage.h"

struct server;

struct context_config {
	const char *policy_dir;
	const char *store_dir;
	int channel_fd; /* consumed */
	int listen_fd;  /* consumed */
	gid_t admin_gid;
	bool admin_gid_known; /* else only root is an admin */
};

struct context {
	struct loop *loop; /* borrowed */
	struct policies policies;
	struct store *store;
	int filter_fd;
	int root_fd;
	int listen_fd;
	uint32_t controllers; /* enum spec_controller */
	int64_t began_usec;   /* CLOCK_BOOTTIME */
	gid_t admin_gid;
	bool admin_gid_known;
	struct supervisor_link *link;
	struct journal *journal;
	struct tenants *tenants;
	struct executions *executions;
	struct lifecycle *lifecycle;
	struct admission *admission;
	struct drain *drain;
	struct usage_source usage;
	struct server *server; /* NULL until tenantd has greeted */
	struct loop_source *orphans_timer;
	bool settled;                   /* tenantd has told of all that ran before us */
	tenants_reapplied_fn *reloaded; /* of the reload that is under way */
	void *reloaded_userdata;
};

int context_new(struct context **ret, struct loop *loop, const struct context_config *config,
                struct tn_error *err);
/* Commits what waits. Accepts NULL. Always returns NULL. */
struct context *context_free(struct context *context);

/*
 * Have @change in force, which is consumed, all or nothing: kept for the next start, then
 * applied. @done is called when every applied tenant has been brought to it, unless this
 * fails; then what was in force is.
 */
int context_set_policy(struct context *context, struct policies_change *change,
                       tenants_reapplied_fn *done, void *userdata, struct tn_error *err);

/* Names of the controllers that the kernel does not enforce here: at most
 * CONTEXT_UNENFORCED_MAX, returns how many. */
#define CONTEXT_UNENFORCED_MAX 4
size_t context_unenforced(const struct context *context,
                          const char *names[static CONTEXT_UNENFORCED_MAX]);

#endif
