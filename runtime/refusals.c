/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "refusals.h"

#include <stdlib.h>
#include <string.h>

#include <base/fd.h>
#include <base/log.h>

/* What is kept of a kind: its last refusal, but for who that was in person. */
struct kind {
	int64_t uid;
	int32_t code;
	bool of_tenant;
	struct id tenant;
	char tenant_name[NAME_BYTES_MAX];
	char method[STORE_TEXT_BYTES_MAX];
	char message[EVENT_REASON_BYTES_MAX];
	int64_t count; /* after the first */
};

struct refusals {
	struct journal *journal;
	struct loop_source *timer;
	struct kind kinds[REFUSALS_KINDS_MAX];
	size_t kinds_n;
	int64_t others; /* of kinds that found no room */
};

bool refusals_counts(int32_t code)
{
	return code == TN_NOT_PERMITTED || code == TN_QUOTA || code == TN_STATE;
}

static void tell(struct refusals *refusals, const struct actor *actor, const struct kind *kind,
                 int64_t count)
{
	struct tn_error err = { 0 };
	struct event event = { 0 };
	int r = event_of_node(
		EVENT_REFUSED, actor, kind->message,
		&(struct event_difference){
			"error", NULL, kind->code != TN_OK ? err_row(kind->code)->name : NULL },
		&event, &err);

	if (r == 0)
		r = event_say(&event, "method", kind->method, &err);
	if (r == 0)
		r = event_say_int(&event, "count", count, &err);
	event.of_tenant = kind->of_tenant;
	event.tenant = kind->tenant;
	memcpy(event.tenant_name, kind->tenant_name, sizeof(event.tenant_name));
	if (r == 0)
		r = journal_tell(refusals->journal, &event, &err);
	event_done(&event);
	if (r < 0)
		log_event(LOG_WARNING, "a refusal could not be told", LF_STR("error", err.msg),
		          LF_END);
}

void refusals_flush(struct refusals *refusals)
{
	struct kind others = { .uid = ACTOR_ABSENT, .message = "of many kinds" };

	for (size_t i = 0; i < refusals->kinds_n; i++) {
		struct actor actor = ACTOR_NONE;

		actor.uid = refusals->kinds[i].uid;
		if (refusals->kinds[i].count > 0)
			tell(refusals, &actor, &refusals->kinds[i], refusals->kinds[i].count);
	}
	if (refusals->others > 0)
		tell(refusals, &ACTOR_NONE, &others, refusals->others);
	refusals->kinds_n = 0;
	refusals->others = 0;
}

static void on_period(void *userdata, uint32_t events)
{
	(void)events;
	refusals_flush(userdata);
}

int refusals_new(struct refusals **ret, struct loop *loop, struct journal *journal,
                 struct tn_error *err)
{
	struct refusals *refusals = calloc(1, sizeof(*refusals));
	int r;

	if (refusals == NULL)
		return err_errno(err, "allocate the refusals");
	refusals->journal = journal;
	r = loop_timer(loop, (struct loop_handler){ on_period, refusals }, &refusals->timer,
	               err);
	if (r < 0) {
		free(refusals);
		return r;
	}
	*ret = refusals;
	return 0;
}

struct refusals *refusals_free(struct refusals *refusals)
{
	if (refusals == NULL)
		return NULL;
	refusals->timer = loop_source_free(refusals->timer);
	free(refusals);
	return NULL;
}

static bool is_of_kind(const struct kind *kind, const struct refusal *refusal)
{
	const struct tenant_row *tenant = refusal->tenant;

	return kind->uid == refusal->actor.uid && kind->code == refusal->why->code &&
	       kind->of_tenant == (tenant != NULL) &&
	       (tenant == NULL || id_equal(&kind->tenant, &tenant->id));
}

static void kind_fill(struct kind *kind, const struct refusal *refusal)
{
	kind->uid = refusal->actor.uid;
	kind->code = refusal->why->code;
	kind->of_tenant = refusal->tenant != NULL;
	if (refusal->tenant != NULL) {
		kind->tenant = refusal->tenant->id;
		(void)snprintf(kind->tenant_name, sizeof(kind->tenant_name), "%s",
		               refusal->tenant->name);
	}
	(void)snprintf(kind->method, sizeof(kind->method), "%s", refusal->method);
	(void)snprintf(kind->message, sizeof(kind->message), "%s", refusal->why->msg);
}

void refusals_note(struct refusals *refusals, const struct refusal *refusal)
{
	struct kind *kind;

	loop_arm(refusals->timer, REFUSALS_PERIOD_USEC);
	for (size_t i = 0; i < refusals->kinds_n; i++) {
		kind = &refusals->kinds[i];
		if (!is_of_kind(kind, refusal))
			continue;
		kind_fill(kind, refusal);
		kind->count++;
		return;
	}
	if (refusals->kinds_n == REFUSALS_KINDS_MAX) {
		refusals->others++;
		return;
	}
	kind = &refusals->kinds[refusals->kinds_n++];
	*kind = (struct kind){ 0 };
	kind_fill(kind, refusal);
	tell(refusals, &refusal->actor, kind, 1);
}
