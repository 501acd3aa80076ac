/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reload.h"

#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <base/fd.h>
#include <base/log.h>

#include "context.h"
#include "operators.h"
#include "shrink.h"

/* In one turn of the loop so many tenants are looked at; so many are squeezed at a time. */
#define LOOKS_MAX   64
#define SQUEEZE_MAX 64

struct squeezed {
	struct squeezed *next;
	struct reload *reload;
	struct tenant *tenant;
	struct shrink *shrink;
};

struct reload {
	struct context *context;
	struct policies_change change;
	struct account_set found; /* whom the new policy's names mean, and tenants' own */
	bool force;
	char place[NAME_BYTES_MAX]; /* of the tenant looked at last */
	bool looked;                /* at all of them */
	struct loop_source *timer;
	struct squeezed *squeezed; /* also those that have got there */
	size_t waiting_n;
	struct tn_error why; /* code TN_OK: nothing has refused it */
	reload_done_fn *done;
	void *userdata;
};

static void squeezed_free_all(struct reload *reload)
{
	while (reload->squeezed != NULL) {
		struct squeezed *one = reload->squeezed;

		reload->squeezed = one->next;
		(void)shrink_free(one->shrink);
		lifecycle_release(reload->context->lifecycle, one->tenant);
		free(one);
	}
}

struct reload *reload_free(struct reload *reload)
{
	if (reload == NULL)
		return NULL;
	squeezed_free_all(reload);
	reload->timer = loop_source_free(reload->timer);
	account_set_done(&reload->found);
	policies_change_done(&reload->change);
	free(reload);
	return NULL;
}

/* It is over, with @why unless that is NULL. */
static void reload_end(struct reload *reload, size_t failed_n, const struct tn_error *why)
{
	struct context *context = reload->context;
	reload_done_fn *done = reload->done;
	void *userdata = reload->userdata;
	struct tn_error err = { 0 };

	if (why != NULL) {
		err = *why;
		log_event(LOG_WARNING, "the policy is as it was: another is refused",
		          LF_STR("error", err.msg), LF_END);
	}
	context->reload = reload_free(reload);
	if (done != NULL)
		done(userdata, failed_n, why != NULL ? &err : NULL);
}

/* Every tenant has been brought to it. */
static void on_reapplied(void *userdata, size_t failed_n)
{
	struct reload *reload = userdata;

	/* All that it names is known. */
	reload->context->accounts_missing[0] = '\0';
	reload_end(reload, failed_n, NULL);
}

/* Tenants may have come, and been changed, since it was checked with them. */
static int reload_commit(struct reload *reload, struct tn_error *err)
{
	struct context *context = reload->context;
	int r = tenants_check_policy(context->store, reload->change.policy, err);

	if (r == 0)
		r = accounts_add(context->accounts, &reload->found, err);
	return r < 0 ? r
	             : context_set_policy(context, &reload->change, reload->force, on_reapplied,
	                                  reload, err);
}

/* Those that got there have limits that were theirs, and are squeezed no more. */
static void reload_refuse(struct reload *reload)
{
	const struct tn_error why = reload->why;

	for (const struct squeezed *one = reload->squeezed; one != NULL; one = one->next) {
		struct tn_error lost = { 0 };

		one->tenant->applied = false;
		(void)tenants_apply(reload->context->tenants, one->tenant, &lost);
	}
	reload_end(reload, 0, &why);
}

/* Once nobody is waited for. */
static void reload_conclude(struct reload *reload)
{
	if (reload->waiting_n > 0 || (!reload->looked && reload->why.code == TN_OK))
		return;
	if (reload->why.code == TN_OK && reload_commit(reload, &reload->why) == 0)
		return;
	reload_refuse(reload);
}

static void on_shrunk(void *userdata, const struct tn_error *err)
{
	const struct squeezed *one = userdata;
	struct reload *reload = one->reload;

	reload->waiting_n--;
	if (err != NULL && reload->why.code == TN_OK)
		reload->why = *err;
	/* There is room for more. */
	if (!reload->looked)
		loop_arm(reload->timer, 0);
	reload_conclude(reload);
}

static int squeeze(struct reload *reload, const struct id *id, const struct policy_tier *tier,
                   struct tn_error *err)
{
	struct context *context = reload->context;
	const struct shrink_config config = { context->loop, context->link, context->tenants,
		                              context->root_fd };
	struct squeezed *one = calloc(1, sizeof(*one));
	int r;

	if (one == NULL)
		return err_errno(err, "change the policy");
	one->reload = reload;
	r = tenants_get_by_id(context->tenants, id, &one->tenant, err);
	if (r == 0)
		r = lifecycle_hold(context->lifecycle, one->tenant, err);
	if (r < 0) {
		free(one);
		return r;
	}
	one->next = reload->squeezed;
	reload->squeezed = one;
	r = shrink_begin(&one->shrink, &config, one->tenant, tier, on_shrunk, one, err);
	if (r == 0)
		reload->waiting_n++;
	return r;
}

/* Whether the next tenant, if there is one, would be below what it uses: then it is squeezed.
 * 1, 0 at the end, or -errno. */
static int look_at_next(struct reload *reload, struct tn_error *err)
{
	struct context *context = reload->context;
	const struct policy_tier *tier = NULL;
	struct policy_tier *own = NULL;
	struct tenant_row row = { 0 };
	int64_t used;
	int r = context->store->ops->tenant_next(context->store, reload->place, &row, err);

	if (r <= 0)
		return r;
	(void)snprintf(reload->place, sizeof(reload->place), "%s", row.name);
	r = tenants_resolve(reload->change.policy, &row, &own, &tier, err);
	if (r == 0 && shrink_needed(context->root_fd, &row, tier, &used) == 1)
		r = squeeze(reload, &row.id, tier, err);
	free(own);
	tenant_row_done(&row);
	return r < 0 ? r : 1;
}

static void on_look(void *userdata, uint32_t events)
{
	struct reload *reload = userdata;

	(void)events;
	for (int i = 0; i < LOOKS_MAX && !reload->looked && reload->why.code == TN_OK; i++) {
		int r;

		if (reload->waiting_n >= SQUEEZE_MAX)
			return;
		r = look_at_next(reload, &reload->why);
		reload->looked = r <= 0;
	}
	if (!reload->looked && reload->why.code == TN_OK)
		loop_arm(reload->timer, 0);
	reload_conclude(reload);
}

static void on_accounts(void *userdata, const struct account_set *found,
                        const struct tn_error *why)
{
	struct reload *reload = userdata;
	int r = 0;

	if (why != NULL)
		reload->why = *why;
	else
		r = operators_check_policy(reload->change.policy, found, &reload->why);
	if (why == NULL && r == 0)
		r = account_set_merge(&reload->found, found, &reload->why);
	if (why != NULL || r < 0) {
		reload_refuse(reload);
		return;
	}
	reload->looked = reload->force;
	loop_arm(reload->timer, 0);
}

static int names_collect(const struct reload *reload, struct account_set *ret,
                         struct tn_error *err)
{
	int r = operators_of_policy(reload->change.policy, ret, err);

	if (r == 0)
		r = operators_of_tenants(reload->context->store, ret, err);
	if (r < 0)
		account_set_done(ret);
	return r;
}

static int reload_start(struct reload *reload, struct tn_error *err)
{
	struct account_set names = { 0 };
	int r = loop_timer(reload->context->loop, (struct loop_handler){ on_look, reload },
	                   &reload->timer, err);

	if (r == 0)
		r = names_collect(reload, &names, err);
	return r < 0 ? r
	             : accounts_ask(reload->context->accounts, &names, on_accounts, reload,
	                            err);
}

int reload_begin(struct context *context, struct policies_change *change, bool force,
                 reload_done_fn *done, void *userdata, struct tn_error *err)
{
	const bool busy = context->reload != NULL || tenants_reapplying(context->tenants);
	struct reload *reload = busy ? NULL : calloc(1, sizeof(*reload));
	int r;

	if (reload == NULL) {
		r = busy ? err_refuse(err, TN_STATE, "a change of policy is under way")
		         : err_errno(err, "change the policy");
		policies_change_done(change);
		return r;
	}
	*reload = (struct reload){ .context = context,
		                   .change = *change,
		                   .force = force,
		                   .done = done,
		                   .userdata = userdata };
	*change = (struct policies_change){ 0 };
	context->reload = reload;
	r = reload_start(reload, err);
	if (r < 0)
		context->reload = reload_free(reload);
	return r;
}
