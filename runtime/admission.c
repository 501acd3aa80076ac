/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "admission.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include <base/clock.h>
#include <policy/units.h>

#include "plan.h"

/* It looks again then: a wait may be longer than a timer can be set to. */
#define TIMER_USEC_MAX (INT64_C(3600) * CLOCK_USEC_PER_SEC)

/* Of one tenant; there only while somebody waits. */
struct queue {
	struct queue *next;
	struct tenant *tenant;
	struct admission_request *first;
	size_t n;
	/* The kernel has refused, and no execution has left since. */
	bool full;
};

struct admission {
	struct tenants *tenants; /* borrowed */
	struct loop_source *timer;
	int64_t timer_at; /* INT64_MAX: not armed */
	struct queue *queues;
	size_t n;
	size_t max;
	uint64_t turns;
	/* Why nothing is launched, or "". */
	char closed[ADMISSION_BARS_N][ADMISSION_WHY_BYTES_MAX];
};

static void admission_on_timer(void *userdata, uint32_t events);

/* All that wait may hold half of the descriptors that there are. */
static size_t requests_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    limit.rlim_cur / 2 / SPEC_FDS_MAX >= ADMISSION_MAX)
		return ADMISSION_MAX;
	return (size_t)limit.rlim_cur / 2 / SPEC_FDS_MAX;
}

int admission_new(struct admission **ret, struct loop *loop, struct tenants *tenants,
                  struct tn_error *err)
{
	struct admission *admission = calloc(1, sizeof(*admission));
	int r;

	if (admission == NULL)
		return err_errno(err, "allocate the queues");
	admission->tenants = tenants;
	admission->timer_at = INT64_MAX;
	admission->max = requests_max();
	r = loop_timer(loop, (struct loop_handler){ admission_on_timer, admission },
	               &admission->timer, err);
	if (r < 0) {
		(void)admission_free(admission);
		return r;
	}
	*ret = admission;
	return 0;
}

struct admission *admission_free(struct admission *admission)
{
	if (admission == NULL)
		return NULL;
	while (admission->queues != NULL) {
		struct queue *queue = admission->queues;

		admission->queues = queue->next;
		free(queue);
	}
	admission->timer = loop_source_free(admission->timer);
	free(admission);
	return NULL;
}

static struct queue *queue_find(const struct admission *admission, const struct tenant *tenant)
{
	struct queue *queue = admission->queues;

	while (queue != NULL && queue->tenant != tenant)
		queue = queue->next;
	return queue;
}

static void queue_free_if_empty(struct admission *admission, struct queue *queue)
{
	struct queue **slot = &admission->queues;

	if (queue->first != NULL)
		return;
	while (*slot != queue)
		slot = &(*slot)->next;
	*slot = queue->next;
	free(queue);
}

size_t admission_count(const struct admission *admission, const struct tenant *tenant)
{
	const struct queue *queue;

	if (tenant == NULL)
		return admission->n;
	queue = queue_find(admission, tenant);
	return queue != NULL ? queue->n : 0;
}

/* 0 if policy lacks the tier: then a launch says so. */
static int64_t executions_max(const struct admission *admission, struct tenant *tenant)
{
	const struct policy_tier *tier;
	struct spec_tenant_limits limits;
	struct tn_error ignored;

	if (tenants_tier(admission->tenants, tenant, &tier, &ignored) < 0)
		return 0;
	plan_tenant_limits(tier, &limits);
	return limits.executions_max;
}

static bool has_room(const struct admission *admission, struct tenant *tenant)
{
	return (int64_t)tenant->executions_n < executions_max(admission, tenant);
}

static int64_t deadline_of(const struct admission_request *request)
{
	int64_t deadline;

	if (__builtin_add_overflow(request->since, request->wait_usec_max, &deadline))
		return INT64_MAX;
	return deadline;
}

static int refuse_late(const struct admission *admission,
                       const struct admission_request *request, struct tn_error *err)
{
	char waited[UNITS_TEXT_BYTES_MAX];
	int64_t usec = clock_usec(CLOCK_MONOTONIC) - request->since;

	units_duration_format(usec - usec % CLOCK_USEC_PER_MSEC, waited, sizeof(waited));
	return err_refuse(err, TN_QUOTA,
	                  "executions_max %" PRId64 " is reached; no slot was free within %s",
	                  executions_max(admission, request->tenant), waited);
}

static int refuse_crowd(const struct admission *admission, struct tenant *tenant,
                        struct tn_error *err)
{
	size_t n = admission_count(admission, tenant);

	return err_refuse(err, TN_QUOTA,
	                  "executions_max %" PRId64 " is reached, and %zu launches of '%s' "
	                  "(%zu of all tenants) wait already",
	                  executions_max(admission, tenant), n, tenant->row.name, admission->n);
}

/* NULL: it is open. */
static const char *closed_why(const struct admission *admission)
{
	for (size_t i = 0; i < ADMISSION_BARS_N; i++)
		if (admission->closed[i][0] != '\0')
			return admission->closed[i];
	return NULL;
}

static int refuse_closed(const struct admission *admission, struct tn_error *err)
{
	return err_refuse(err, TN_STATE, "%s", closed_why(admission));
}

static void arm(struct admission *admission, int64_t deadline)
{
	int64_t left = deadline - clock_usec(CLOCK_MONOTONIC);

	if (deadline >= admission->timer_at)
		return;
	if (left < 0)
		left = 0;
	if (left > TIMER_USEC_MAX)
		left = TIMER_USEC_MAX;
	admission->timer_at = deadline;
	loop_disarm(admission->timer);
	loop_arm(admission->timer, left);
}

/* By turn: who was refused comes back to where it was. Returns how many are before it. */
static size_t queue_insert(struct queue *queue, struct admission_request *request)
{
	struct admission_request **slot = &queue->first;
	size_t before = 0;

	while (*slot != NULL && (*slot)->turn < request->turn) {
		slot = &(*slot)->next;
		before++;
	}
	request->next = *slot;
	*slot = request;
	request->waits = true;
	queue->n++;
	return before;
}

static void queue_remove(struct admission *admission, struct queue *queue,
                         struct admission_request *request)
{
	struct admission_request **slot = &queue->first;

	while (*slot != request)
		slot = &(*slot)->next;
	*slot = request->next;
	request->next = NULL;
	request->waits = false;
	queue->n--;
	admission->n--;
}

static int wait_in_queue(struct admission *admission, struct admission_request *request,
                         bool full, struct tn_error *err)
{
	struct queue *queue = queue_find(admission, request->tenant);
	bool first_time = request->since == 0;
	size_t before;

	if (admission->n >= admission->max ||
	    (queue != NULL && queue->n >= ADMISSION_TENANT_MAX))
		return refuse_crowd(admission, request->tenant, err);
	if (queue == NULL) {
		queue = calloc(1, sizeof(*queue));
		if (queue == NULL)
			return err_set(err, TN_SYSTEM, ENOMEM, "let a launch wait");
		queue->tenant = request->tenant;
		queue->next = admission->queues;
		admission->queues = queue;
	}
	if (first_time)
		request->since = clock_usec(CLOCK_MONOTONIC);
	queue->full |= full;
	before = queue_insert(queue, request);
	admission->n++;
	arm(admission, deadline_of(request));
	if (first_time)
		request->client->queued(request, before);
	return 0;
}

int admission_enter(struct admission *admission, struct admission_request *request,
                    struct tn_error *err)
{
	bool others = admission_count(admission, request->tenant) > 0;

	if (closed_why(admission) != NULL)
		return refuse_closed(admission, err);
	request->turn = ++admission->turns;
	if (request->wait_usec_max <= 0 && others)
		return refuse_crowd(admission, request->tenant, err);
	if (request->wait_usec_max > 0 && (others || !has_room(admission, request->tenant)))
		return wait_in_queue(admission, request, false, err);
	return request->client->launch(request, err);
}

int admission_refused(struct admission *admission, struct admission_request *request,
                      struct tn_error *err)
{
	if (request->wait_usec_max <= 0)
		return -EDQUOT;
	if (closed_why(admission) != NULL)
		return refuse_closed(admission, err);
	if (request->since != 0 && clock_usec(CLOCK_MONOTONIC) >= deadline_of(request))
		return refuse_late(admission, request, err);
	return wait_in_queue(admission, request, true, err);
}

void admission_leave(struct admission *admission, struct admission_request *request)
{
	struct queue *queue = queue_find(admission, request->tenant);

	if (!request->waits || queue == NULL)
		return;
	queue_remove(admission, queue, request);
	queue_free_if_empty(admission, queue);
}

/*
 * Launch from the head as long as there is room. Whoever is told may free its request and
 * may have another one enter, so that nothing is kept over a call.
 */
static void pump(struct admission *admission, struct tenant *tenant)
{
	for (size_t i = 0; i < ADMISSION_TENANT_MAX; i++) {
		struct queue *queue = queue_find(admission, tenant);
		bool closed = closed_why(admission) != NULL;
		bool active = tenant->row.status == TENANT_ACTIVE && !closed;
		struct admission_request *request;
		struct tn_error err = { 0 };

		if (queue == NULL || (active && (queue->full || !has_room(admission, tenant))))
			return;
		request = queue->first;
		queue_remove(admission, queue, request);
		queue_free_if_empty(admission, queue);
		if ((closed ? refuse_closed(admission, &err)
		            : request->client->launch(request, &err)) < 0)
			request->client->ended(request, &err);
	}
}

void admission_on_left(struct admission *admission, struct tenant *tenant, bool room)
{
	struct queue *queue = queue_find(admission, tenant);

	if (queue == NULL)
		return;
	if (room)
		queue->full = false;
	pump(admission, tenant);
}

void admission_reconsider(struct admission *admission, struct tenant *tenant)
{
	struct tenant *tenants[ADMISSION_MAX];
	size_t n = 0;

	for (struct queue *queue = admission->queues; queue != NULL; queue = queue->next)
		if (tenant == NULL || queue->tenant == tenant)
			tenants[n++] = queue->tenant;
	for (size_t i = 0; i < n; i++)
		admission_on_left(admission, tenants[i], true);
}

void admission_close(struct admission *admission, enum admission_bar bar, const char *why)
{
	(void)snprintf(admission->closed[bar], sizeof(admission->closed[bar]), "%s",
	               why != NULL ? why : "");
	if (why != NULL)
		admission_reconsider(admission, NULL);
}

/* One whose time is up, or NULL and the next deadline. */
static struct admission_request *find_late(const struct admission *admission, int64_t now,
                                           int64_t *ret_next)
{
	int64_t next = INT64_MAX;

	for (const struct queue *queue = admission->queues; queue != NULL;
	     queue = queue->next) {
		for (struct admission_request *r = queue->first; r != NULL; r = r->next) {
			int64_t deadline = deadline_of(r);

			if (deadline <= now)
				return r;
			next = deadline < next ? deadline : next;
		}
	}
	*ret_next = next;
	return NULL;
}

static void admission_on_timer(void *userdata, uint32_t events)
{
	struct admission *admission = userdata;
	int64_t now = clock_usec(CLOCK_MONOTONIC);
	struct admission_request *request;
	int64_t next = INT64_MAX;

	(void)events;
	while ((request = find_late(admission, now, &next)) != NULL) {
		struct tn_error err = { 0 };

		admission_leave(admission, request);
		(void)refuse_late(admission, request, &err);
		request->client->ended(request, &err);
	}
	admission->timer_at = INT64_MAX;
	if (admission->n > 0)
		arm(admission, next);
}
