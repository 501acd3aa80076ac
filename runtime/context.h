/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control plane put together: who owns whom. Which part hears from which is in wiring.h.
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

#include "accounts.h"
#include "admission.h"
#include "backup.h"
#include "budget.h"
#include "drain.h"
#include "event_feed.h"
#include "executions.h"
#include "lifecycle.h"
#include "logs/logbook.h"
#include "policies.h"
#include "quota_rules.h"
#include "refusals.h"
#include "reload.h"
#include "reserve.h"
#include "retention.h"
#include "sampler.h"
#include "usage.h"

struct meters;
struct server;

struct context_config {
	const char *policy_dir;
	const char *store_dir;
	const char *logger_socket; /* NULL: tenant-logger's usual one */
	const char *proc_dir;      /* NULL: /proc */
	int channel_fd;            /* consumed */
	int listen_fd;             /* consumed */
	gid_t admin_gid;
	bool admin_gid_known; /* else only root is an admin */
};

struct context {
	struct loop *loop; /* borrowed */
	struct policies policies;
	struct store *store;
	int filter_fd;
	int root_fd;
	char cgroup_root[SPEC_PATH_BYTES_MAX]; /* of the host's; "" until tenantd has greeted */
	int proc_fd;
	int listen_fd;
	uint32_t controllers; /* enum spec_controller */
	int64_t began_usec;   /* CLOCK_BOOTTIME */
	gid_t admin_gid;
	bool admin_gid_known;
	struct supervisor_link *link;
	struct journal *journal;
	struct quotas *quotas;
	struct tenants *tenants;
	struct executions *executions;
	struct lifecycle *lifecycle;
	struct admission *admission;
	struct drain *drain;
	struct retention *retention;
	struct backup *backup;
	struct reserve reserve;
	struct event_feed *feed;
	struct refusals *refusals;
	struct sampler *sampler;
	struct budgets *budgets;
	struct usage_source usage;
	struct logbook logbook;
	struct server *server; /* NULL until tenantd has greeted */
	struct meters *meters; /* with it */
	struct loop_source *orphans_timer;
	struct accounts *accounts;
	struct loop_source *accounts_timer; /* to ask again for names that are nobody's */
	bool accounts_asked;                /* the host has said, or did not in time */
	char accounts_missing[TN_ERROR_MSG_BYTES]; /* an operator of the policy's; "": none */
	struct reload *reload;                     /* under way; NULL: none is */
	bool settled;                   /* tenantd has told of all that ran before us */
	bool unrecovered;               /* the store has not taken what a start puts in order */
	tenants_reapplied_fn *reloaded; /* of the reload that is under way */
	void *reloaded_userdata;
};

int context_new(struct context **ret, struct loop *loop, const struct context_config *config,
                struct tn_error *err);
/* Commits what waits. Accepts NULL. Always returns NULL. */
struct context *context_free(struct context *context);

/*
 * The last step of reload.h: have @change in force, which is taken unless this fails, kept for
 * the next start, then applied. @done is called when every applied tenant has been brought to
 * it, with
 * @may_kill also below what it uses.
 */
int context_set_policy(struct context *context, struct policies_change *change, bool may_kill,
                       tenants_reapplied_fn *done, void *userdata, struct tn_error *err);

/* Names of the controllers that the kernel does not enforce here: at most
 * CONTEXT_UNENFORCED_MAX, returns how many. */
#define CONTEXT_UNENFORCED_MAX 4
size_t context_unenforced(const struct context *context,
                          const char *names[static CONTEXT_UNENFORCED_MAX]);

#endif
