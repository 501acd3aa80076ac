/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "context.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/log.h>
#include <policy/filter.h>

#include "control/meters.h"
#include "control/server.h"
#include "operators.h"
#include "restart.h"

/* How long whoever launched what still runs has to come back; and tenantd, to tell of it. */
#define ORPHANS_GRACE_USEC INT64_C(10000000)
/* Until names are asked for again that were nobody's. */
#define ACCOUNTS_AGAIN_USEC INT64_C(30000000)

static_assert(FILTER_INSNS_MAX == SPEC_FILTER_INSNS_MAX, "what is compiled is taken");

/* In the unit's status; that it arrives is not needed. */
static void context_tell_status(const struct context *context)
{
	struct spec_status status = { 0 };
	struct supervisor_request request = SUPERVISOR_REQUEST(SPEC_STATUS, &status);
	struct tn_error ignored = { 0 };

	const char *why;

	if (journal_failing(context->journal, &why))
		(void)snprintf(status.text, sizeof(status.text),
		               "degraded: usage cannot be booked: %s", why);
	else if (context->policies.degraded[0] != '\0')
		(void)snprintf(status.text, sizeof(status.text), "degraded: %s",
		               context->policies.degraded);
	else
		(void)snprintf(status.text, sizeof(status.text), "serving, policy %.12s",
		               policy_hash_hex(context->policies.present));
	(void)supervisor_send(context->link, &request, &ignored);
}

/* What the policy says of the node. */
static void context_follow(struct context *context)
{
	const struct policy_daemon *daemon = policy_daemon(context->policies.present);

	journal_set_window(context->journal, daemon->settings.commit_window_usec);
	sampler_set_interval(context->sampler, daemon->settings.sample_interval_usec);
	reserve_ask(&context->reserve, context->link, daemon);
	/* What tenantd may yet repeat is not forgotten before. */
	if (context->settled)
		retention_set(context->retention, &daemon->settings);
}

static void context_ask_accounts(struct context *context);

static void context_log_accounts(const struct account_set *found)
{
	for (size_t i = 0; i < found->n; i++)
		if (!found->items[i].known)
			log_event(LOG_WARNING,
			          "an operator is nobody that this host knows, and may do "
			          "nothing",
			          LF_STR("kind", account_kind_name(found->items[i].kind)),
			          LF_STR("name", found->items[i].name), LF_END);
}

/*
 * At a start nobody is there to be told what is wrong with a name, and where the network is
 * needed to know it, that may come later: it is asked for again.
 */
static void context_on_accounts(void *userdata, const struct account_set *found,
                                const struct tn_error *why)
{
	struct context *context = userdata;
	struct tn_error err = { 0 };
	int r = 0;

	if (why != NULL) {
		err = *why;
		r = -EIO;
	} else {
		r = accounts_add(context->accounts, found, &err);
		if (r == 0)
			r = operators_check_policy(context->policies.present, found, &err);
		if (!context->accounts_asked)
			context_log_accounts(found);
	}
	(void)snprintf(context->accounts_missing, sizeof(context->accounts_missing), "%s",
	               r < 0 ? err.msg : "");
	if (r < 0)
		loop_arm(context->accounts_timer, ACCOUNTS_AGAIN_USEC);
	context->accounts_asked = true;
	if (context->server != NULL)
		server_retry(context->server);
}

static void context_on_ask(void *userdata, uint32_t events)
{
	(void)events;
	context_ask_accounts(userdata);
}

static void context_ask_accounts(struct context *context)
{
	struct account_set names = { 0 };
	struct tn_error err = { 0 };
	int r = operators_of_policy(context->policies.present, &names, &err);

	if (r == 0)
		r = operators_of_tenants(context->store, &names, &err);
	if (r == 0)
		r = accounts_ask(context->accounts, &names, context_on_accounts, context, &err);
	account_set_done(&names);
	if (r < 0)
		context_on_accounts(context, NULL, &err);
}

static int context_send_ready(struct context *context, struct tn_error *err)
{
	struct spec_head ready = { 0 };

	return supervisor_send(
		context->link,
		&(struct supervisor_request){ SPEC_READY, &ready, sizeof(ready), NULL, 0 },
		err);
}

/* What was interrupted is undone or gone on with, at once or when the store takes it again. */
static void context_recover(struct context *context)
{
	struct tn_error err = { 0 };
	const char *why;
	int r = tenants_recover(context->tenants, &err);

	if (r < 0)
		log_event(LOG_ERR, "what was interrupted cannot be undone yet",
		          LF_STR("error", err.msg), LF_END);
	context->unrecovered = r < 0 || journal_failing(context->journal, &why);
	lifecycle_recover(context->lifecycle);
}

static void context_on_hello(void *userdata, const struct spec_hello *hello, int root_fd)
{
	struct context *context = userdata;
	struct tn_error err = { 0 };
	int r;

	context->root_fd = root_fd;
	context->usage.root_fd = root_fd;
	(void)snprintf(context->cgroup_root, sizeof(context->cgroup_root), "%s",
	               hello->cgroup_root);
	context->controllers = hello->controllers;
	lifecycle_set_root(context->lifecycle, root_fd);
	r = context_send_ready(context, &err);
	if (r == 0)
		context_recover(context);
	if (r == 0)
		r = server_new(&context->server, context, fd_take(&context->listen_fd), &err);
	if (r == 0)
		r = meters_new(&context->meters, context, server_batch(context->server), &err);
	if (r < 0) {
		log_event(LOG_ERR, "cannot serve", LF_STR("error", err.msg), LF_END);
		loop_stop(context->loop, EXIT_FAILURE);
		return;
	}
	loop_arm(context->orphans_timer, ORPHANS_GRACE_USEC);
	context_follow(context);
	context_tell_status(context);
	log_event(LOG_INFO, "serving", LF_STR("cgroup_root", hello->cgroup_root),
	          LF_STR("policy_hash", policy_hash_hex(context->policies.present)), LF_END);
}

static void context_on_reserved(void *userdata, const struct tn_error *why)
{
	struct context *context = userdata;

	reserve_told(&context->reserve, why);
}

/* Something of @tenant runs. */
static void context_watch(struct context *context, struct tenant *tenant,
                          const struct id *execution)
{
	sampler_on_started(context->sampler, tenant, execution);
	if (!context->settled)
		budgets_adopt(context->budgets, tenant);
	budgets_look(context->budgets, tenant);
}

static void context_on_meter(void *userdata, const struct id *tenant, int listen_fd)
{
	struct context *context = userdata;
	cleanup_fd int fd = listen_fd;
	struct tn_error err = { 0 };

	/* There is nobody to serve any more. */
	if (context->meters == NULL)
		return;
	if (fd < 0)
		meters_drop(context->meters, tenant);
	else if (meters_add(context->meters, tenant, fd_take(&fd), &err) < 0)
		log_event(LOG_ERR, "a tenant cannot meter itself", LF_STR("error", err.msg),
		          LF_END);
}

static void context_on_started(void *userdata, const struct spec_started *started, int terminal)
{
	struct context *context = userdata;
	const bool known = executions_runs(context->executions, &started->execution);
	struct tenant *tenant;
	struct record record;
	struct tn_error err = { 0 };

	executions_on_started(context->executions, started, terminal);
	/* The store has kept its name, from a controller before this one. */
	if (!known && context->store->ops->execution_by_id(context->store, &started->execution,
	                                                   &record, &err) == 1)
		executions_name(context->executions, &started->execution, record.name);
	if (executions_has_started(context->executions, &started->execution) &&
	    id_is_none(&started->joined.joins) &&
	    tenants_get_by_id(context->tenants, &started->tenant, &tenant, &err) == 0)
		context_watch(context, tenant, &started->execution);
}

static void context_on_exited(void *userdata, const struct spec_exited *exited)
{
	struct context *context = userdata;
	struct tenant *tenant;
	struct tn_error ignored = { 0 };

	executions_on_exited(context->executions, exited);
	if (id_is_none(&exited->joined.joins) &&
	    tenants_get_by_id(context->tenants, &exited->tenant, &tenant, &ignored) == 0) {
		sampler_on_ended(context->sampler, tenant, &exited->execution,
		                 exited->wall_usec, exited->counters.memory_peak_bytes);
		if (!context->settled)
			budgets_adopt(context->budgets, tenant);
		budgets_look(context->budgets, tenant);
	}
}

static void context_on_gone(void *userdata, const struct tn_error *why)
{
	struct context *context = userdata;
	bool plain = why->sys_errno == EPIPE || why->sys_errno == ECONNRESET;

	log_event(plain ? LOG_INFO : LOG_ERR, "tenantd has gone", LF_STR("error", why->msg),
	          LF_END);
	loop_stop(context->loop, plain ? EXIT_SUCCESS : EXIT_FAILURE);
}

static void context_on_sample(void *userdata, const struct id *tenant,
                              struct ledger_sample *ret)
{
	struct context *context = userdata;

	usage_sample(&context->usage, tenant, ret, NULL, NULL);
}

static void context_on_metered(void *userdata)
{
	const struct context *context = userdata;

	journal_booked(context->journal);
}

static void context_on_booked(void *userdata, const struct ledger_sample *sample)
{
	struct context *context = userdata;

	struct tn_error ignored = { 0 };
	struct tenant *tenant;

	sampler_booked(context->sampler, sample);
	if (tenants_get_by_id(context->tenants, &sample->tenant, &tenant, &ignored) < 0)
		return;
	quota_look(context->quotas, context->tenants, context->store, tenant,
	           clock_usec(CLOCK_REALTIME));
	quotas_settle(context->quotas);
	budgets_look(context->budgets, tenant);
}

static int context_on_looks(void *userdata, const struct ledger_sample *samples, size_t n,
                            struct tn_error *err)
{
	const struct context *context = userdata;

	return journal_looks(context->journal, samples, n, err);
}

/* What it held of a gauge is given back. */
static void context_on_settled(void *userdata, const struct record *record)
{
	struct context *context = userdata;

	quotas_given_back(context->quotas, &record->tenant);
	executions_settled(context->executions, record);
}

/* What could not be booked would run for nothing. It is the journal's to find out when it can.
 */
static void context_on_turned(void *userdata)
{
	struct context *context = userdata;
	char text[ADMISSION_WHY_BYTES_MAX];
	const char *why;
	bool failing = journal_failing(context->journal, &why);

	if (context->admission == NULL)
		return;
	if (failing)
		(void)snprintf(text, sizeof(text),
		               "nothing is launched while usage cannot be booked: %s", why);
	admission_close(context->admission, ADMISSION_STORE, failing ? text : NULL);
	context_tell_status(context);
	if (!failing && context->unrecovered)
		context_recover(context);
}

/* Whoever opens it anew has to prepare all anew, which is what a start does. */
static void context_on_stale(void *userdata)
{
	struct context *context = userdata;

	log_event(LOG_NOTICE, "the store can be written again: beginning anew", LF_END);
	loop_stop(context->loop, EXIT_SUCCESS);
}

static void context_on_left(void *userdata, struct tenant *tenant, bool room)
{
	struct context *context = userdata;

	admission_on_left(context->admission, tenant, room);
	drain_on_left(context->drain);
}

static int context_on_book(void *userdata, const struct tenant *tenant, struct tn_error *err)
{
	struct context *context = userdata;
	struct ledger_sample sample;

	usage_sample(&context->usage, &tenant->row.id, &sample, NULL, NULL);
	return journal_commit(context->journal, &sample, err);
}

static int context_on_settle(void *userdata, const struct tenant *tenant, struct tn_error *err)
{
	struct context *context = userdata;
	int r = context_on_book(context, tenant, err);

	return r < 0 ? r : context->store->ops->sync(context->store, err);
}

static void context_on_deleted(void *userdata, const struct tenant *tenant)
{
	const struct context *context = userdata;
	struct tn_error err = { 0 };

	if (logbook_forget(&context->logbook, &tenant->row.id, &err) < 0)
		log_event(LOG_WARNING, "logs of a deleted tenant are left",
		          LF_STR("tenant", tenant->row.name), LF_STR("error", err.msg), LF_END);
}

static void context_on_changed(void *userdata, struct tenant *tenant)
{
	struct context *context = userdata;

	if (context->admission != NULL)
		admission_reconsider(context->admission, tenant);
	if (context->budgets != NULL)
		budgets_look(context->budgets, tenant);
}

static int64_t context_on_hour(void *userdata, const struct id *tenant, int64_t at)
{
	const struct context *context = userdata;
	struct tn_error ignored = { 0 };
	struct tenant *found;

	return tenants_get_by_id(context->tenants, tenant, &found, &ignored) < 0
	               ? ledger_hour(at)
	               : quota_hour(found, at);
}

static const struct journal_handlers journal_handlers = {
	.hour = context_on_hour,
	.sample = context_on_sample,
	.booked = context_on_booked,
	.settled = context_on_settled,
	.turned = context_on_turned,
	.stale = context_on_stale,
};

/*
 * Executions that the store takes for running and tenantd does not know: the host went
 * down under them. How they ended is not known and not invented.
 */
static void context_settle(struct context *context)
{
	struct store_selection running = { .state = RECORD_RUNNING,
		                           .since = LEDGER_ABSENT,
		                           .until = LEDGER_ABSENT };
	struct store_place place = { 0 };
	struct record record;
	struct tn_error err = { 0 };
	int r;

	if (context->settled)
		return;
	for (;;) {
		r = context->store->ops->execution_next(context->store, &running, &place,
		                                        &record, &err);
		if (r <= 0)
			break;
		/* What tenantd has just told the end of is not in the store yet. */
		if (executions_runs(context->executions, &record.id) ||
		    journal_waits(context->journal, &record.id))
			continue;
		record.state = RECORD_EXITED;
		record.reason = REASON_UNKNOWN;
		r = journal_add(context->journal, &record, &err);
		if (r < 0)
			break;
		executions_on_lost(context->executions, &record);
	}
	if (r < 0)
		log_event(LOG_ERR, "lost executions could not be recorded",
		          LF_STR("error", err.msg), LF_END);
	context->settled = true;
	retention_set(context->retention, &policy_daemon(context->policies.present)->settings);
	executions_forget_unknown(context->executions);
	if (context->server != NULL)
		server_retry(context->server);
}

static void context_on_replayed(void *userdata)
{
	struct context *context = userdata;

	context_settle(context);
	drain_on_left(context->drain);
}

/* Whoever launched what runs has had the time to come back. */
static void context_on_orphans(void *userdata, uint32_t events)
{
	struct context *context = userdata;

	(void)events;
	context_settle(context);
	executions_end_orphans(context->executions);
	drain_on_left(context->drain);
}

static void context_on_slots(void *userdata, const struct spec_slots *slots)
{
	struct context *context = userdata;

	for (uint32_t i = 0; i < slots->n; i++)
		tenants_audit(context->tenants, &slots->tenants[i]);
}

static const struct supervisor_handlers supervisor_handlers = {
	.hello = context_on_hello,
	.started = context_on_started,
	.exited = context_on_exited,
	.replayed = context_on_replayed,
	.reserved = context_on_reserved,
	.gone = context_on_gone,
	.slots = context_on_slots,
	.meter = context_on_meter,
};

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
	int r = journal_new(&context->journal, context->loop, context->store, &journal_handlers,
	                    context, err);

	if (r == 0)
		r = quotas_new(&context->quotas,
		               &(struct quotas_config){ context->store, context->usage.boot_id,
		                                        context_on_metered, context },
		               err);
	if (r == 0)
		r = sampler_new(&context->sampler,
		                &(struct sampler_config){ .loop = context->loop,
		                                          .root_fd = &context->root_fd,
		                                          .boot_id = context->usage.boot_id,
		                                          .book = context_on_looks,
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
		.book = context_on_book,
		.userdata = context,
	};

	return budgets_new(&context->budgets, &config, err);
}

static int context_assemble(struct context *context, int channel_fd, struct tn_error *err)
{
	int r = supervisor_link_new(&context->link, context->loop, channel_fd,
	                            &supervisor_handlers, context, err);

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
		                                                context_on_left, context },
		                   err);
	if (r == 0)
		r = lifecycle_new(&context->lifecycle,
		                  &(struct lifecycle_config){ context->loop, context->tenants,
		                                              context->link, context_on_settle,
		                                              context_on_changed, context,
		                                              context_on_deleted },
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
		               (struct loop_handler){ context_on_orphans, context },
		               &context->orphans_timer, err);
	if (r == 0)
		r = accounts_new(&context->accounts, context->loop, err);
	if (r == 0)
		r = loop_timer(context->loop, (struct loop_handler){ context_on_ask, context },
		               &context->accounts_timer, err);
	context->usage.tenants = context->tenants;
	context->usage.executions = context->executions;
	context->usage.sampler = context->sampler;
	if (r == 0) {
		context_ask_accounts(context);
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
	context_follow(context);
	context_tell_status(context);
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
