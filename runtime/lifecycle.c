/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lifecycle.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/io.h>
#include <base/log.h>

#include "change.h"

/* Most stop within a millisecond; one that the kernel works for stops when that is done. */
#define FREEZE_LOOK_USEC    2000
#define FREEZE_WAIT_USEC    INT64_C(10000000)
#define EVENTS_BYTES_MAX    256
#define NODE_PATH_BYTES_MAX (NAME_BYTES_MAX + sizeof("/cgroup.events"))

/* Which status a tenant may have after which. */
static const bool transitions[TENANT_STATUSES_N][TENANT_STATUSES_N] = {
	[TENANT_CREATING] = { [TENANT_ACTIVE] = true },
	[TENANT_ACTIVE] = { [TENANT_SUSPENDED] = true, [TENANT_DELETING] = true },
	[TENANT_SUSPENDED] = { [TENANT_ACTIVE] = true, [TENANT_DELETING] = true },
	[TENANT_DELETING] = { [TENANT_DELETED] = true },
};

int change_check(const struct tenant *tenant, enum tenant_status status, struct tn_error *err)
{
	const struct tenant_row *row = &tenant->row;

	if (transitions[row->status][status])
		return 0;
	return err_refuse(err, TN_STATE, "tenant '%s' is %s; it cannot become %s", row->name,
	                  tenant_status_name(row->status), tenant_status_name(status));
}

static void on_turn(void *userdata, uint32_t events)
{
	(void)events;
	update_turn(userdata);
}

int lifecycle_new(struct lifecycle **ret, const struct lifecycle_config *config,
                  struct tn_error *err)
{
	struct lifecycle *lifecycle = calloc(1, sizeof(*lifecycle));
	int r;

	if (lifecycle == NULL)
		return err_errno(err, "allocate the tenants' changes");
	lifecycle->config = *config;
	lifecycle->root_fd = FD_NONE;
	r = loop_timer(config->loop, (struct loop_handler){ on_turn, lifecycle },
	               &lifecycle->turn, err);
	if (r < 0) {
		free(lifecycle);
		return r;
	}
	*ret = lifecycle;
	return 0;
}

void lifecycle_set_root(struct lifecycle *lifecycle, int root_fd)
{
	lifecycle->root_fd = root_fd;
}

void change_free(struct change *change)
{
	struct change **at = &change->lifecycle->changes;

	while (*at != change)
		at = &(*at)->next;
	*at = change->next;
	change->tenant->leaving = false;
	lifecycle_release(change->lifecycle, change->tenant);
	change->timer = loop_source_free(change->timer);
	change->shrink = shrink_free(change->shrink);
	tenant_row_done(&change->wanted);
	free(change);
}

/* Whose turn is next is looked at in another turn of the loop: nobody finds a change gone that
 * he is in the middle of. */
void lifecycle_release(struct lifecycle *lifecycle, struct tenant *tenant)
{
	tenant->changing = false;
	if (lifecycle->waiting != NULL)
		loop_arm(lifecycle->turn, 0);
}

int lifecycle_hold(struct lifecycle *lifecycle, struct tenant *tenant, struct tn_error *err)
{
	(void)lifecycle;
	if (tenant->changing)
		return err_refuse(err, TN_STATE,
		                  "another change of tenant '%s' is under way; try again",
		                  tenant->row.name);
	tenant->changing = true;
	return 0;
}

void change_end(struct change *change, const struct tn_error *err)
{
	const struct lifecycle_config config = change->lifecycle->config;
	struct tenant *tenant = change->tenant;
	tenants_done_fn *done = change->done;
	void *userdata = change->userdata;

	change_free(change);
	done(userdata, err == NULL ? tenant : NULL, err);
	config.changed(config.userdata, tenant);
}

struct lifecycle *lifecycle_free(struct lifecycle *lifecycle)
{
	struct tn_error err = { 0 };

	if (lifecycle == NULL)
		return NULL;
	(void)tenants_reply_check(NULL, &err);
	while (lifecycle->changes != NULL)
		change_end(lifecycle->changes, &err);
	while (lifecycle->waiting != NULL) {
		struct change *change = lifecycle->waiting;

		lifecycle->waiting = change->next;
		change->done(change->userdata, NULL, &err);
		free(change);
	}
	lifecycle->turn = loop_source_free(lifecycle->turn);
	free(lifecycle);
	return NULL;
}

int change_new(struct lifecycle *lifecycle, struct tenant *tenant, const struct actor *actor,
               tenants_done_fn *done, void *userdata, struct change **ret, struct tn_error *err)
{
	struct change *change;
	int r = lifecycle_hold(lifecycle, tenant, err);

	if (r < 0)
		return r;
	change = calloc(1, sizeof(*change));
	if (change == NULL) {
		r = err_errno(err, "change tenant '%s'", tenant->row.name);
		lifecycle_release(lifecycle, tenant);
		return r;
	}
	*change = (struct change){ .next = lifecycle->changes,
		                   .lifecycle = lifecycle,
		                   .tenant = tenant,
		                   .actor = *actor,
		                   .done = done,
		                   .userdata = userdata };
	lifecycle->changes = change;
	*ret = change;
	return 0;
}

int change_save(const struct change *change, struct tenant_row *row, enum event_kind kind,
                const char *reason, struct tn_error *err)
{
	struct tenants *tenants = change->lifecycle->config.tenants;
	struct event event;
	int r = event_of_tenant(kind, &change->actor, &change->tenant->row, row, &event, err);

	if (r < 0)
		return r;
	if (reason != NULL)
		(void)snprintf(event.reason, sizeof(event.reason), "%s", reason);
	r = tenants_save(tenants, change->tenant, row, &event, err);
	event_done(&event);
	return r;
}

int change_status(struct change *change, enum tenant_status status, enum event_kind kind,
                  const char *reason, struct tn_error *err)
{
	struct tenant_row row = change->tenant->row;

	row.status = status;
	return change_save(change, &row, kind, reason, err);
}

/* Where tenantd has not heard of the tenant yet, it does before. What is held to a quota goes
 * on when there is room in that. */
static int freeze_send(struct lifecycle *lifecycle, struct tenant *tenant, bool frozen,
                       supervisor_reply_fn *fn, void *userdata, struct tn_error *err)
{
	struct spec_tenant_freeze freeze = {
		.tenant = tenant->row.id, .frozen = frozen || tenant_held(&tenant->exhausted)
	};
	struct supervisor_request request = SUPERVISOR_REQUEST(SPEC_TENANT_FREEZE, &freeze);
	int r = tenants_apply(lifecycle->config.tenants, tenant, err);

	return r < 0 ? r : supervisor_ask(lifecycle->config.link, &request, fn, userdata, err);
}

int lifecycle_stand(struct lifecycle *lifecycle, struct tenant *tenant, supervisor_reply_fn *fn,
                    void *userdata, struct tn_error *err)
{
	return freeze_send(lifecycle, tenant, tenant->row.status == TENANT_SUSPENDED, fn,
	                   userdata, err);
}

/* A word that nobody waits for. */
static void on_told(void *userdata, const struct spec_reply *reply)
{
	struct tn_error err = { 0 };

	(void)userdata;
	if (reply != NULL && tenants_reply_check(reply, &err) < 0)
		log_event(LOG_ERR, "a tenant could not be brought to what it is to be",
		          LF_STR("error", err.msg), LF_END);
}

/* True once no process of the tenant runs any more. */
static bool is_frozen(const struct lifecycle *lifecycle, const struct tenant *tenant)
{
	char path[NODE_PATH_BYTES_MAX], text[EVENTS_BYTES_MAX];

	(void)snprintf(path, sizeof(path), "%s/cgroup.events", tenant->row.name);
	return io_read_file_at(lifecycle->root_fd, path, text, sizeof(text)) > 0 &&
	       strstr(text, "frozen 1") != NULL;
}

static void frozen_look(struct change *change)
{
	const char *name = change->tenant->row.name;
	struct tn_error err = { 0 };

	if (is_frozen(change->lifecycle, change->tenant)) {
		change_end(change, NULL);
		return;
	}
	if (clock_usec(CLOCK_MONOTONIC) < change->deadline_usec) {
		loop_arm(change->timer, FREEZE_LOOK_USEC);
		return;
	}
	(void)err_refuse(
		&err, TN_STATE,
		"tenant '%s' is suspended and launches nothing, but some of its "
		"processes are not stopped after 10 s: they are in the kernel, and stop "
		"when they leave it",
		name);
	change_end(change, &err);
}

static void on_look(void *userdata, uint32_t events)
{
	(void)events;
	frozen_look(userdata);
}

static void suspend_undo(struct change *change, const struct tn_error *why)
{
	struct tn_error err = { 0 };

	if (change_status(change, TENANT_ACTIVE, EVENT_RESUMED, why->msg, &err) < 0)
		log_event(LOG_ERR,
		          "a tenant that could not be suspended is taken for suspended",
		          LF_STR("tenant", change->tenant->row.name), LF_STR("error", err.msg),
		          LF_END);
}

static void suspend_on_reply(void *userdata, const struct spec_reply *reply)
{
	struct change *change = userdata;
	struct tn_error err = { 0 };

	/* When tenantd has gone the next controller freezes what is suspended in the store. */
	if (tenants_reply_check(reply, &err) < 0) {
		if (reply != NULL)
			suspend_undo(change, &err);
		change_end(change, &err);
		return;
	}
	change->deadline_usec = clock_usec(CLOCK_MONOTONIC) + FREEZE_WAIT_USEC;
	frozen_look(change);
}

int lifecycle_suspend(struct lifecycle *lifecycle, struct tenant *tenant,
                      const struct actor *actor, tenants_done_fn *done, void *userdata,
                      struct tn_error *err)
{
	struct change *change = NULL;
	int r = change_check(tenant, TENANT_SUSPENDED, err);

	if (r == 0)
		r = change_new(lifecycle, tenant, actor, done, userdata, &change, err);
	if (r < 0)
		return r;
	assert(change != NULL);
	r = loop_timer(lifecycle->config.loop, (struct loop_handler){ on_look, change },
	               &change->timer, err);
	if (r == 0)
		r = change_status(change, TENANT_SUSPENDED, EVENT_SUSPENDED, NULL, err);
	if (r < 0) {
		change_free(change);
		return r;
	}
	r = freeze_send(lifecycle, tenant, true, suspend_on_reply, change, err);
	if (r < 0) {
		suspend_undo(change, err);
		change_free(change);
	}
	return r;
}

static void resume_on_reply(void *userdata, const struct spec_reply *reply)
{
	struct change *change = userdata;
	struct tn_error err = { 0 }, lost = { 0 };
	int r = tenants_reply_check(reply, &err);

	if (r == 0) {
		r = change_status(change, TENANT_ACTIVE, EVENT_RESUMED, NULL, &err);
		if (r < 0)
			(void)freeze_send(change->lifecycle, change->tenant, true, on_told,
			                  NULL, &lost);
	}
	change_end(change, r < 0 ? &err : NULL);
}

int lifecycle_resume(struct lifecycle *lifecycle, struct tenant *tenant,
                     const struct actor *actor, tenants_done_fn *done, void *userdata,
                     struct tn_error *err)
{
	struct change *change = NULL;
	int r = change_check(tenant, TENANT_ACTIVE, err);

	if (r == 0)
		r = change_new(lifecycle, tenant, actor, done, userdata, &change, err);
	if (r < 0)
		return r;
	assert(change != NULL);
	r = freeze_send(lifecycle, tenant, false, resume_on_reply, change, err);
	if (r < 0)
		change_free(change);
	return r;
}

static void recover_next(struct lifecycle *lifecycle);

static void recover_log(const struct tenant *tenant, const struct tn_error *err)
{
	log_event(LOG_ERR, "a tenant is not what the store takes it for; do it again",
	          LF_STR("tenant", tenant->row.name),
	          LF_STR("status", tenant_status_name(tenant->row.status)),
	          LF_STR("error", err->msg), LF_END);
}

static void on_frozen_again(void *userdata, const struct spec_reply *reply)
{
	on_told(NULL, reply);
	if (reply != NULL)
		recover_next(userdata);
}

/* One that could not be deleted is, like any other, for an admin to delete again. */
static void on_deleted_again(void *userdata, struct tenant *tenant, const struct tn_error *err)
{
	if (tenant == NULL)
		log_event(LOG_ERR, "the deletion of a tenant could not be gone on with",
		          LF_STR("error", err->msg), LF_END);
	if (tenant != NULL || err->code != TN_UNREACHABLE)
		recover_next(userdata);
}

/* 1 if an answer will lead to the next. */
static int recover_one(struct lifecycle *lifecycle, struct tenant *tenant)
{
	struct tn_error err = { 0 };
	int r;

	/* Somebody has asked for something since, which says it all anew. */
	if (tenant->changing)
		return 0;
	if (tenant->row.status == TENANT_SUSPENDED)
		r = freeze_send(lifecycle, tenant, true, on_frozen_again, lifecycle, &err);
	else
		r = lifecycle_delete(lifecycle, tenant, true, &ACTOR_NONE, on_deleted_again,
		                     lifecycle, &err);
	if (r < 0)
		recover_log(tenant, &err);
	return r == 0;
}

/* One after the other, however many there are: tenantd owes only so many answers at a time. */
static void recover_next(struct lifecycle *lifecycle)
{
	const unsigned int statuses = 1u << TENANT_SUSPENDED | 1u << TENANT_DELETING;
	struct tn_error err = { 0 };
	struct tenant *tenant = NULL;
	int r;

	while ((r = tenants_next_of(lifecycle->config.tenants, statuses, lifecycle->recovered,
	                            &tenant, &err)) == 1)
		if (recover_one(lifecycle, tenant) == 1)
			return;
	if (r < 0)
		log_event(LOG_ERR, "suspended tenants could not be looked for",
		          LF_STR("error", err.msg), LF_END);
}

void lifecycle_recover(struct lifecycle *lifecycle)
{
	lifecycle->recovered[0] = '\0';
	recover_next(lifecycle);
}
