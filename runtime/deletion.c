/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of a tenant. Every step can be taken again: what is frozen is frozen, what is killed
 * is killed, a reading that has been booked is booked once, and of a tenant that is gone
 * tenantd has nothing left to take away.
 */
#include <time.h>

#include <base/clock.h>

#include "change.h"

/* What is killed ends in a moment, but for what the kernel works for. */
#define DELETE_LOOK_USEC 20000
#define DELETE_WAIT_USEC INT64_C(30000000)

/* A word about what may not be there. */
static void on_frozen_for_ever(void *userdata, const struct spec_reply *reply)
{
	(void)userdata;
	(void)reply;
}

static void delete_look(struct change *change);

static void on_delete_look(void *userdata, uint32_t events)
{
	(void)events;
	delete_look(userdata);
}

/* What has been frozen can be killed; that tenantd does not know the tenant is no failure. */
static int everything_end(const struct change *change, struct tn_error *err)
{
	const struct lifecycle_config *config = &change->lifecycle->config;
	struct spec_tenant_freeze freeze = { .tenant = change->tenant->row.id, .frozen = 1 };
	struct supervisor_request freezes = SUPERVISOR_REQUEST(SPEC_TENANT_FREEZE, &freeze);
	struct spec_kill kill = { .tenant = change->tenant->row.id,
		                  .whole_tenant = 1,
		                  .why = SPEC_KILL_ADMIN };
	struct supervisor_request kills = SUPERVISOR_REQUEST(SPEC_KILL, &kill);
	int r = supervisor_ask(config->link, &freezes, on_frozen_for_ever, NULL, err);

	return r < 0 ? r : supervisor_send(config->link, &kills, err);
}

/* There is no way back: what is to be done is to do it again. */
static void delete_fail(struct change *change, int r, struct tn_error *err)
{
	(void)err_wrap(err, r,
	               "tenant '%s' is not deleted yet and launches nothing; delete it again",
	               change->tenant->row.name);
	change_end(change, err);
}

static void delete_on_done(void *userdata, const struct spec_reply *reply)
{
	struct change *change = userdata;
	struct lifecycle *lifecycle = change->lifecycle;
	struct tenant *tenant = change->tenant;
	struct tn_error err = { 0 };
	int r = tenants_reply_check(reply, &err);

	/* It knows of executions that we do not: after a restart they are told of one by one.
	 */
	if (r < 0 && err.code == TN_STATE &&
	    clock_usec(CLOCK_MONOTONIC) < change->deadline_usec) {
		loop_arm(change->timer, DELETE_LOOK_USEC);
		return;
	}
	if (r == 0)
		r = change_status(change, TENANT_DELETED, EVENT_DELETED, NULL, &err);
	if (r < 0) {
		delete_fail(change, r, &err);
		return;
	}
	if (lifecycle->config.deleted != NULL)
		lifecycle->config.deleted(lifecycle->config.userdata, tenant);
	tenants_bury(lifecycle->config.tenants, tenant);
	change_end(change, NULL);
}

/* Once nothing runs: book what was used, and have the rest taken away. */
static int delete_finish(struct change *change, struct tn_error *err)
{
	const struct lifecycle_config *config = &change->lifecycle->config;
	struct spec_tenant_delete request = { .tenant = change->tenant->row.id,
		                              .how = SPEC_DELETE_ALL };
	struct supervisor_request deletes = SUPERVISOR_REQUEST(SPEC_TENANT_DELETE, &request);
	int r = config->settle(config->userdata, change->tenant, err);

	return r < 0 ? r : supervisor_ask(config->link, &deletes, delete_on_done, change, err);
}

static void delete_look(struct change *change)
{
	const struct tenant *tenant = change->tenant;
	struct tn_error err = { 0 };
	int r = everything_end(change, &err);

	if (r == 0 && tenant->executions_n > 0) {
		if (clock_usec(CLOCK_MONOTONIC) < change->deadline_usec) {
			loop_arm(change->timer, DELETE_LOOK_USEC);
			return;
		}
		r = err_refuse(&err, TN_STATE,
		               "%zu of its executions have not ended within 30 s",
		               tenant->executions_n);
	}
	if (r == 0)
		r = delete_finish(change, &err);
	if (r < 0)
		delete_fail(change, r, &err);
}

static void delete_begin(struct change *change)
{
	struct tn_error err = { 0 };
	int r = 0;

	change->deadline_usec = clock_usec(CLOCK_MONOTONIC) + DELETE_WAIT_USEC;
	if (change->tenant->row.status != TENANT_DELETING)
		r = change_status(change, TENANT_DELETING, EVENT_UPDATED, NULL, &err);
	if (r < 0)
		change_end(change, &err);
	else
		delete_look(change);
}

static void delete_on_checked(void *userdata, const struct spec_reply *reply)
{
	struct change *change = userdata;
	struct tn_error err = { 0 };
	int r = tenants_reply_check(reply, &err);

	if (r == 0) {
		delete_begin(change);
		return;
	}
	(void)err_wrap(&err, r, "tenant '%s' is not deleted without --force",
	               change->tenant->row.name);
	change_end(change, &err);
}

static int delete_check(struct change *change, struct tn_error *err)
{
	const struct tenant *tenant = change->tenant;
	struct spec_tenant_delete request = { .tenant = tenant->row.id,
		                              .how = SPEC_DELETE_CHECK };
	struct supervisor_request asks = SUPERVISOR_REQUEST(SPEC_TENANT_DELETE, &request);

	if (tenant->executions_n > 0)
		return err_refuse(err, TN_STATE,
		                  "tenant '%s' is not deleted without --force: %zu "
		                  "execution%s running",
		                  tenant->row.name, tenant->executions_n,
		                  tenant->executions_n == 1 ? " is" : "s are");
	return supervisor_ask(change->lifecycle->config.link, &asks, delete_on_checked, change,
	                      err);
}

int lifecycle_delete(struct lifecycle *lifecycle, struct tenant *tenant, bool force,
                     const struct actor *actor, tenants_done_fn *done, void *userdata,
                     struct tn_error *err)
{
	const bool again = tenant->row.status == TENANT_DELETING;
	struct change *change = NULL;
	int r = again ? 0 : change_check(tenant, TENANT_DELETING, err);

	if (r == 0)
		r = change_new(lifecycle, tenant, actor, done, userdata, &change, err);
	if (r < 0)
		return r;
	assert(change != NULL);
	tenant->leaving = true;
	r = loop_timer(lifecycle->config.loop, (struct loop_handler){ on_delete_look, change },
	               &change->timer, err);
	if (r == 0 && !force && !again)
		r = delete_check(change, err);
	else if (r == 0)
		delete_begin(change);
	if (r < 0)
		change_free(change);
	return r;
}
