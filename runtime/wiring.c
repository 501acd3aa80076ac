/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wiring.h"

#include <stdlib.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/log.h>

#include "billing/bill.h"
#include "control/meters.h"
#include "control/server.h"
#include "operators.h"

/* How long whoever launched what still runs has to come back; and tenantd, to tell of it. */
#define ORPHANS_GRACE_USEC INT64_C(10000000)
/* Until names are asked for again that were nobody's. */
#define ACCOUNTS_AGAIN_USEC INT64_C(30000000)

void wiring_tell_status(const struct context *context)
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

void wiring_follow(struct context *context)
{
	const struct policy_daemon *daemon = policy_daemon(context->policies.present);

	journal_set_window(context->journal, daemon->settings.commit_window_usec);
	sampler_set_interval(context->sampler, daemon->settings.sample_interval_usec);
	reserve_ask(&context->reserve, context->link, daemon);
	/* What tenantd may yet repeat is not forgotten before. */
	if (context->settled)
		retention_set(context->retention, &daemon->settings);
}

static void log_accounts(const struct account_set *found)
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
static void on_accounts(void *userdata, const struct account_set *found,
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
			log_accounts(found);
	}
	(void)snprintf(context->accounts_missing, sizeof(context->accounts_missing), "%s",
	               r < 0 ? err.msg : "");
	if (r < 0)
		loop_arm(context->accounts_timer, ACCOUNTS_AGAIN_USEC);
	context->accounts_asked = true;
	if (context->server != NULL)
		server_retry(context->server);
}

void wiring_on_ask(void *userdata, uint32_t events)
{
	(void)events;
	wiring_ask_accounts(userdata);
}

void wiring_ask_accounts(struct context *context)
{
	struct account_set names = { 0 };
	struct tn_error err = { 0 };
	int r = operators_of_policy(context->policies.present, &names, &err);

	if (r == 0)
		r = operators_of_tenants(context->store, &names, &err);
	if (r == 0)
		r = accounts_ask(context->accounts, &names, on_accounts, context, &err);
	account_set_done(&names);
	if (r < 0)
		on_accounts(context, NULL, &err);
}

static int send_ready(struct context *context, struct tn_error *err)
{
	struct spec_head ready = { 0 };

	return supervisor_send(
		context->link,
		&(struct supervisor_request){ SPEC_READY, &ready, sizeof(ready), NULL, 0 },
		err);
}

/* What was interrupted is undone or gone on with, at once or when the store takes it again. */
static void recover(struct context *context)
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

static void on_hello(void *userdata, const struct spec_hello *hello, int root_fd)
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
	r = send_ready(context, &err);
	if (r == 0)
		recover(context);
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
	wiring_follow(context);
	wiring_tell_status(context);
	log_event(LOG_INFO, "serving", LF_STR("cgroup_root", hello->cgroup_root),
	          LF_STR("policy_hash", policy_hash_hex(context->policies.present)), LF_END);
}

static void on_reserved(void *userdata, const struct tn_error *why)
{
	struct context *context = userdata;

	reserve_told(&context->reserve, why);
}

/* Something of @tenant runs. */
static void watch(struct context *context, struct tenant *tenant, const struct id *execution)
{
	sampler_on_started(context->sampler, tenant, execution);
	if (!context->settled)
		budgets_adopt(context->budgets, tenant);
	budgets_look(context->budgets, tenant);
}

static void on_meter(void *userdata, const struct id *tenant, int listen_fd)
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

static void on_started(void *userdata, const struct spec_started *started, int terminal)
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
		watch(context, tenant, &started->execution);
}

static void on_exited(void *userdata, const struct spec_exited *exited)
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

static void on_gone(void *userdata, const struct tn_error *why)
{
	struct context *context = userdata;
	bool plain = why->sys_errno == EPIPE || why->sys_errno == ECONNRESET;

	log_event(plain ? LOG_INFO : LOG_ERR, "tenantd has gone", LF_STR("error", why->msg),
	          LF_END);
	loop_stop(context->loop, plain ? EXIT_SUCCESS : EXIT_FAILURE);
}

static void on_sample(void *userdata, const struct id *tenant, struct ledger_sample *ret)
{
	struct context *context = userdata;

	usage_sample(&context->usage, tenant, ret, NULL, NULL);
}

void wiring_on_metered(void *userdata)
{
	const struct context *context = userdata;

	journal_booked(context->journal);
}

static void on_booked(void *userdata, const struct ledger_sample *sample)
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

int wiring_on_looks(void *userdata, const struct ledger_sample *samples, size_t n,
                    struct tn_error *err)
{
	const struct context *context = userdata;

	return journal_looks(context->journal, samples, n, err);
}

/* What it held of a gauge is given back. */
static void on_settled(void *userdata, const struct record *record)
{
	struct context *context = userdata;

	quotas_given_back(context->quotas, &record->tenant);
	executions_settled(context->executions, record);
}

/* What could not be booked would run for nothing. It is the journal's to find out when it can.
 */
static void on_turned(void *userdata)
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
	wiring_tell_status(context);
	if (!failing && context->unrecovered)
		recover(context);
}

/* Whoever opens it anew has to prepare all anew, which is what a start does. */
static void on_stale(void *userdata)
{
	struct context *context = userdata;

	log_event(LOG_NOTICE, "the store can be written again: beginning anew", LF_END);
	loop_stop(context->loop, EXIT_SUCCESS);
}

void wiring_on_left(void *userdata, struct tenant *tenant, bool room)
{
	struct context *context = userdata;

	admission_on_left(context->admission, tenant, room);
	drain_on_left(context->drain);
}

int wiring_on_book(void *userdata, const struct tenant *tenant, struct tn_error *err)
{
	struct context *context = userdata;
	struct ledger_sample sample;

	usage_sample(&context->usage, &tenant->row.id, &sample, NULL, NULL);
	return journal_commit(context->journal, &sample, err);
}

int wiring_on_settle(void *userdata, const struct tenant *tenant, struct tn_error *err)
{
	struct context *context = userdata;
	int r = wiring_on_book(context, tenant, err);

	return r < 0 ? r : context->store->ops->sync(context->store, err);
}

void wiring_on_deleted(void *userdata, const struct tenant *tenant)
{
	const struct context *context = userdata;
	struct tn_error err = { 0 };

	if (logbook_forget(&context->logbook, &tenant->row.id, &err) < 0)
		log_event(LOG_WARNING, "logs of a deleted tenant are left",
		          LF_STR("tenant", tenant->row.name), LF_STR("error", err.msg), LF_END);
}

void wiring_on_changed(void *userdata, struct tenant *tenant)
{
	struct context *context = userdata;

	if (context->admission != NULL)
		admission_reconsider(context->admission, tenant);
	if (context->budgets != NULL)
		budgets_look(context->budgets, tenant);
}

/* What is told late is booked when it was used, unless the bill of then is closed: then now. */
static int64_t on_hour(void *userdata, const struct id *tenant, int64_t at)
{
	const struct context *context = userdata;
	const int64_t now = clock_usec(CLOCK_REALTIME);
	struct tn_error ignored = { 0 };
	struct tenant *found;

	if (bill_is_closed(context->store, tenant, at, now))
		at = now;
	return tenants_get_by_id(context->tenants, tenant, &found, &ignored) < 0
	               ? ledger_hour(at)
	               : quota_hour(found, at);
}

const struct journal_handlers wiring_journal = {
	.hour = on_hour,
	.sample = on_sample,
	.booked = on_booked,
	.settled = on_settled,
	.turned = on_turned,
	.stale = on_stale,
};

/*
 * Executions that the store takes for running and tenantd does not know: the host went
 * down under them. How they ended is not known and not invented.
 */
static void settle(struct context *context)
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

static void on_replayed(void *userdata)
{
	struct context *context = userdata;

	settle(context);
	drain_on_left(context->drain);
}

/* Whoever launched what runs has had the time to come back. */
void wiring_on_orphans(void *userdata, uint32_t events)
{
	struct context *context = userdata;

	(void)events;
	settle(context);
	executions_end_orphans(context->executions);
	drain_on_left(context->drain);
}

static void on_slots(void *userdata, const struct spec_slots *slots)
{
	struct context *context = userdata;

	for (uint32_t i = 0; i < slots->n; i++)
		tenants_audit(context->tenants, &slots->tenants[i]);
}

const struct supervisor_handlers wiring_supervisor = {
	.hello = on_hello,
	.started = on_started,
	.exited = on_exited,
	.replayed = on_replayed,
	.reserved = on_reserved,
	.gone = on_gone,
	.slots = on_slots,
	.meter = on_meter,
};
