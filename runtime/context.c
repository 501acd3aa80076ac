/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "context.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>
#include <policy/filter.h>

#include "control/meters.h"
#include "control/server.h"
#include "restart.h"
#include "wiring.h"

static_assert(FILTER_INSNS_MAX == SPEC_FILTER_INSNS_MAX, "what is compiled is taken");

static int context_load(struct context *context, const struct context_config *config,
                        struct tn_error *err)
{
	int r = store_sqlite_open(config->store_dir, &context->store, err);

	if (r == 0)
		r = event_feed_new(&context->feed, context->loop, context->store, err);
	if (r == 0) {
		restart_tell(context->store);
		r = policies_init(&context->policies, config->policy_dir, context->store, err);
	}
	if (r == 0)
		r = logbook_init(&context->logbook, config->store_dir, config->logger_socket,
		                 err);
	if (r < 0)
		return r;
	context->filter_fd = filter_compile_default(err);
	if (context->filter_fd < 0)
		return err_wrap(err, context->filter_fd, "seccomp filter");
	context->proc_fd = open(config->proc_dir != NULL ? config->proc_dir : "/proc",
	                        O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (context->proc_fd < 0)
		return err_errno(err, "open /proc");
	return usage_source_init(&context->usage, err);
}

/* What counts: by the kernel and by applications. */
static int context_assemble_ledger(struct context *context, struct tn_error *err)
{
	int r = journal_new(&context->journal, context->loop, context->store, &wiring_journal,
	                    context, err);

	if (r == 0)
		r = quotas_new(&context->quotas,
		               &(struct quotas_config){ context->store, context->usage.boot_id,
		                                        wiring_on_metered, context },
		               err);
	if (r == 0)
		r = sampler_new(&context->sampler,
		                &(struct sampler_config){ .loop = context->loop,
		                                          .root_fd = &context->root_fd,
		                                          .boot_id = context->usage.boot_id,
		                                          .book = wiring_on_looks,
		                                          .userdata = context },
		                err);
	return r;
}

static int context_assemble_budgets(struct context *context, struct tn_error *err)
{
	const struct budgets_config config = {
		.loop = context->loop,
		.store = context->store,
		.journal = context->journal,
		.tenants = context->tenants,
		.executions = context->executions,
		.lifecycle = context->lifecycle,
		.sampler = context->sampler,
		.root_fd = &context->root_fd,
		.controllers = &context->controllers,
		.book = wiring_on_book,
		.userdata = context,
	};

	return budgets_new(&context->budgets, &config, err);
}

static int context_assemble(struct context *context, int channel_fd, struct tn_error *err)
{
	int r = supervisor_link_new(&context->link, context->loop, channel_fd,
	                            &wiring_supervisor, context, err);

	if (r == 0)
		r = context_assemble_ledger(context, err);
	if (r == 0)
		r = refusals_new(&context->refusals, context->loop, context->journal, err);
	if (r == 0)
		r = tenants_new(&context->tenants,
		                &(struct tenants_config){ context->store, context->link,
		                                          context->policies.present,
		                                          context->filter_fd },
		                err);
	if (r == 0)
		r = executions_new(&context->executions,
		                   &(struct executions_config){ context->tenants,
		                                                context->journal, context->link,
		                                                wiring_on_left, context },
		                   err);
	if (r == 0)
		r = lifecycle_new(&context->lifecycle,
		                  &(struct lifecycle_config){ context->loop, context->tenants,
		                                              context->link, wiring_on_settle,
		                                              wiring_on_changed, context,
		                                              wiring_on_deleted },
		                  err);
	if (r == 0)
		r = context_assemble_budgets(context, err);
	if (r == 0)
		r = admission_new(&context->admission, context->loop, context->tenants, err);
	if (r == 0)
		r = drain_new(&context->drain,
		              &(struct drain_config){ context->store, context->journal,
		                                      context->executions, context->admission },
		              err);
	if (r == 0)
		r = retention_new(&context->retention,
		                  &(struct retention_config){ context->loop, context->store,
		                                              &context->logbook },
		                  err);
	if (r == 0)
		r = backup_new(&context->backup,
		               &(struct backup_config){ context->loop, context->store,
		                                        &context->policies },
		               err);
	if (r == 0)
		r = loop_timer(context->loop,
		               (struct loop_handler){ wiring_on_orphans, context },
		               &context->orphans_timer, err);
	if (r == 0)
		r = accounts_new(&context->accounts, context->loop, err);
	if (r == 0)
		r = loop_timer(context->loop, (struct loop_handler){ wiring_on_ask, context },
		               &context->accounts_timer, err);
	context->usage.tenants = context->tenants;
	context->usage.executions = context->executions;
	context->usage.sampler = context->sampler;
	if (r == 0) {
		wiring_ask_accounts(context);
		journal_try(context->journal);
	}
	return r;
}

int context_new(struct context **ret, struct loop *loop, const struct context_config *config,
                struct tn_error *err)
{
	cleanup_fd int channel_fd = config->channel_fd;
	cleanup_fd int listen_fd = config->listen_fd;
	struct context *context = calloc(1, sizeof(*context));
	int r;

	if (context == NULL)
		return err_errno(err, "allocate the context");
	context->loop = loop;
	context->filter_fd = FD_NONE;
	context->logbook.dir_fd = FD_NONE;
	context->root_fd = FD_NONE;
	context->proc_fd = FD_NONE;
	context->usage.root_fd = FD_NONE;
	context->listen_fd = fd_take(&listen_fd);
	context->admin_gid = config->admin_gid;
	context->admin_gid_known = config->admin_gid_known;
	context->began_usec = clock_usec(CLOCK_BOOTTIME);
	r = context_load(context, config, err);
	if (r == 0)
		r = context_assemble(context, fd_take(&channel_fd), err);
	if (r < 0) {
		(void)context_free(context);
		return r;
	}
	*ret = context;
	return 0;
}

struct context *context_free(struct context *context)
{
	struct tn_error err = { 0 };

	if (context == NULL)
		return NULL;
	context->orphans_timer = loop_source_free(context->orphans_timer);
	context->retention = retention_free(context->retention);
	if (context->refusals != NULL)
		refusals_flush(context->refusals);
	if (context->journal != NULL && journal_commit(context->journal, NULL, &err) == 0)
		(void)context->store->ops->sync(context->store, &err);
	context->budgets = budgets_free(context->budgets);
	context->meters = meters_free(context->meters);
	context->server = server_free(context->server);
	context->backup = backup_free(context->backup);
	/* Those who waited went with their connections. */
	context->drain = drain_free(context->drain);
	context->admission = admission_free(context->admission);
	context->accounts_timer = loop_source_free(context->accounts_timer);
	context->accounts = accounts_free(context->accounts);
	context->link = supervisor_link_free(context->link);
	context->reload = reload_free(context->reload);
	context->lifecycle = lifecycle_free(context->lifecycle);
	context->refusals = refusals_free(context->refusals);
	context->quotas = quotas_free(context->quotas);
	context->journal = journal_free(context->journal);
	context->executions = executions_free(context->executions);
	context->sampler = sampler_free(context->sampler);
	context->tenants = tenants_free(context->tenants);
	context->feed = event_feed_free(context->feed);
	if (context->store != NULL)
		context->store->ops->close(context->store);
	policies_done(&context->policies);
	logbook_done(&context->logbook);
	fd_closep(&context->filter_fd);
	fd_closep(&context->root_fd);
	fd_closep(&context->proc_fd);
	fd_closep(&context->listen_fd);
	free(context);
	return NULL;
}

/* The kernel has the new limits: who waited for the old ones may have room. */
static void context_on_reapplied(void *userdata, size_t failed_n)
{
	struct context *context = userdata;

	if (context->admission != NULL)
		admission_reconsider(context->admission, NULL);
	budgets_look_all(context->budgets);
	if (context->reloaded != NULL)
		context->reloaded(context->reloaded_userdata, failed_n);
}

/* Nothing new that would have to be kept. */
static bool is_in_force(const struct context *context, const struct policies_change *change)
{
	return context->policies.degraded[0] == '\0' && change->row.instead_of[0] == '\0' &&
	       strcmp(policy_hash_hex(context->policies.present), change->row.hash) == 0;
}

/* For this and for every start to come. */
static int policy_keep(const struct context *context, const struct policies_change *change,
                       struct tn_error *err)
{
	return is_in_force(context, change) ? 0
	                                    : policies_keep(&context->policies, change, err);
}

int context_set_policy(struct context *context, struct policies_change *change, bool may_kill,
                       tenants_reapplied_fn *done, void *userdata, struct tn_error *err)
{
	struct policy *before;
	int r = policy_keep(context, change, err);

	if (r < 0)
		return r;
	before = policies_take(&context->policies, change);
	wiring_follow(context);
	wiring_tell_status(context);
	context->reloaded = done;
	context->reloaded_userdata = userdata;
	tenants_set_policy(context->tenants, context->policies.present, may_kill,
	                   context_on_reapplied, context);
	(void)policy_free(before);
	return 0;
}

size_t context_unenforced(const struct context *context,
                          const char *names[static CONTEXT_UNENFORCED_MAX])
{
	static const struct {
		enum spec_controller bit;
		const char *name;
	} controllers[] = {
		{ SPEC_CONTROLLER_CPU, "cpu" },
		{ SPEC_CONTROLLER_MEMORY, "memory" },
		{ SPEC_CONTROLLER_PIDS, "pids" },
		{ SPEC_CONTROLLER_IO, "io" },
	};
	size_t n = 0;

	static_assert(ARRAY_LEN(controllers) == CONTEXT_UNENFORCED_MAX, "room for each");
	for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
		if ((context->controllers & controllers[i].bit) == 0)
			names[n++] = controllers[i].name;
	return n;
}
