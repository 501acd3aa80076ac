/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "budget.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/id_table.h>
#include <base/io.h>
#include <base/log.h>

#include "calendar.h"
#include "plan.h"
#include "quota_rules.h"

#define LOOK_USEC_MIN      1000     /* however many CPUs there are */
#define LOOK_OTHER_USEC    10000    /* the shortest, for what is no CPU time */
#define LOOK_UNKNOWN_USEC  100000   /* the longest, where the kernel bounds no rate */
#define LOOK_LONGEST_USEC  60000000 /* the wall clock, which ends periods, may be set */
#define AGAIN_USEC         100000   /* until what failed is tried again */
#define RATE_HEADROOM      4        /* the next rate is at most so many times the last */
#define BASE_AGE_USEC_MAX  INT64_C(60000000)
#define PERIODS_N          (POLICY_PER_MONTH + 1)
#define CONTROL_BYTES_MAX  64
#define CONTROL_PATH_BYTES (NAME_BYTES_MAX + sizeof("/cgroup.freeze"))

/* What had been used of all meters when a period began. */
struct base {
	int64_t start; /* of the period; 0: not known */
	int64_t known_at;
	int64_t totals[LEDGER_METERS_N];
};

struct budget {
	struct id_node node; /* first: found by the tenant's id */
	struct budgets *all;
	struct tenant *tenant;
	struct loop_source *timer;
	struct base bases[PERIODS_N];
	int64_t seen[LEDGER_METERS_N]; /* at the last look, since the tenant was created */
	int64_t seen_at;               /* CLOCK_MONOTONIC; 0: there was none */
	bool looking;                  /* what a look books is looked at by it */
};

struct budgets {
	struct budgets_config config;
	struct id_table table;
	int64_t cpus;
	int64_t memory_mib;
};

/* What a look has found. */
struct verdict {
	struct tenant_exhausted exhausted;
	int64_t next_usec; /* until the next look */
};

/* One look. */
struct look {
	struct budget *budget;
	const struct policy_tier *tier;
	struct spec_tenant_limits limits;
	int64_t booked[LEDGER_METERS_N]; /* since the tenant was created */
	int64_t used[LEDGER_METERS_N];   /* and with what is not booked yet */
	int64_t now;                     /* CLOCK_REALTIME */
	int64_t monotonic;
};

static bool is_budget(const struct policy_quota *quota)
{
	return quota->meter.live && quota->enforce == POLICY_ENFORCE_HARD &&
	       quota->limit != POLICY_UNLIMITED && quota->on_exhaust != POLICY_EXHAUST_REFUSE;
}

static bool has_budgets(const struct policy_tier *tier)
{
	for (size_t i = 0; i < tier->quotas_n; i++)
		if (is_budget(&tier->quotas[i]))
			return true;
	return false;
}

static enum ledger_meter meter_of(const struct policy_quota *quota)
{
	enum ledger_meter meter = 0;

	while (meter < LEDGER_METERS_N &&
	       strcmp(ledger_meter_name(meter), quota->meter.name) != 0)
		meter++;
	return meter;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
	if (value < low)
		return low;
	return value > high ? high : value;
}

int64_t budget_cpu_wait(int64_t left, int64_t cpus, int64_t quota_usec)
{
	const int64_t by_cpus = left / cpus;
	int64_t periods, by_quota;

	if (quota_usec == SPEC_UNLIMITED)
		return by_cpus;
	/* Two periods' quotas can be used back to back. */
	periods = left / quota_usec - 1;
	if (periods <= 0 || __builtin_mul_overflow(periods, SPEC_CPU_PERIOD_USEC, &by_quota))
		return periods <= 0 ? by_cpus : LOOK_LONGEST_USEC;
	return by_quota > by_cpus ? by_quota : by_cpus;
}

static int64_t cpu_wait(const struct look *look, int64_t left)
{
	const int64_t cpus = look->budget->all->cpus;
	const int64_t grain = BUDGET_GRAIN_USEC / cpus;

	return clamp(budget_cpu_wait(left, cpus, look->limits.cpu_quota_usec),
	             grain > LOOK_USEC_MIN ? grain : LOOK_USEC_MIN, LOOK_LONGEST_USEC);
}

/* @left is in MiB by millisecond. */
static int64_t memory_wait(const struct look *look, int64_t left)
{
	const int64_t limit = look->limits.memory_max_bytes;
	int64_t mib = look->budget->all->memory_mib, wait;

	if (limit != SPEC_UNLIMITED && limit / (1 << 20) < mib)
		mib = limit / (1 << 20) + 1;
	if (__builtin_mul_overflow(left / mib, 1000, &wait))
		wait = LOOK_LONGEST_USEC;
	return clamp(wait, LOOK_OTHER_USEC, LOOK_LONGEST_USEC);
}

/* The kernel bounds no rate of it, or not one for all devices: by that of late. */
static int64_t other_wait(const struct look *look, enum ledger_meter meter, int64_t left)
{
	const struct budget *budget = look->budget;
	const int64_t more = look->used[meter] - budget->seen[meter];
	const int64_t usec = look->monotonic - budget->seen_at;

	if (budget->seen_at == 0 || more <= 0 || usec <= 0)
		return LOOK_UNKNOWN_USEC;
	return clamp((int64_t)((ledger_area)left * (ledger_area)usec /
	                       ((ledger_area)more * RATE_HEADROOM)),
	             LOOK_OTHER_USEC, LOOK_UNKNOWN_USEC);
}

static int64_t wait_for(const struct look *look, enum ledger_meter meter, int64_t left)
{
	if (meter == METER_CPU_TIME)
		return cpu_wait(look, left);
	return meter == METER_MEMORY_TIME ? memory_wait(look, left)
	                                  : other_wait(look, meter, left);
}

/* A sum over a period is many rows, one over all time is one: the former is the latter less
 * what it was when the period began, and that does not change but by what is booked late. */
static int base_refresh(const struct look *look, struct base *base,
                        const struct calendar_span *span, struct tn_error *err)
{
	struct store *store = look->budget->all->config.store;
	struct store_totals since;
	int r;

	if (base->start == span->start && look->monotonic - base->known_at < BASE_AGE_USEC_MAX)
		return 0;
	r = store->ops->totals(store, &look->budget->tenant->row.id, span->start, LEDGER_ABSENT,
	                       &since, err);
	if (r < 0)
		return r;
	for (int meter = 0; meter < (int)LEDGER_METERS_N; meter++)
		base->totals[meter] =
			look->booked[meter] -
			(since.meters[meter] == LEDGER_ABSENT ? 0 : since.meters[meter]);
	base->start = span->start;
	base->known_at = look->monotonic;
	return 0;
}

static void exhausted_by(const struct look *look, const struct policy_quota *quota,
                         const struct calendar_span *span, int64_t used,
                         struct tenant_exhausted *ret)
{
	char source[POLICY_FILE_BYTES_MAX + 16];

	policy_source(look->tier, &quota->where, source, sizeof(source));
	*ret = (struct tenant_exhausted){ .is = true,
		                          .how = quota->on_exhaust,
		                          .limit = quota->limit,
		                          .used = used,
		                          .reset_at = span->end };
	memcpy(ret->meter, quota->meter.name, sizeof(ret->meter));
	(void)snprintf(ret->text, sizeof(ret->text), "%s %s (%s)", quota->key, quota->text,
	               source);
}

/* What is to become of it by one quota. */
static int look_at(const struct look *look, const struct policy_quota *quota,
                   struct verdict *verdict, struct tn_error *err)
{
	struct base *base = &look->budget->bases[quota->per];
	const enum ledger_meter meter = meter_of(quota);
	const struct calendar_span span = quota_span(look->budget->tenant, quota->per,
	                                             look->now);
	int64_t used, wait;
	int r = base_refresh(look, base, &span, err);

	if (r < 0)
		return r;
	used = look->used[meter] - base->totals[meter];
	if (used < quota->limit) {
		wait = wait_for(look, meter, quota->limit - used);
	} else {
		wait = clamp(span.end - look->now, LOOK_OTHER_USEC, LOOK_LONGEST_USEC);
		if (!verdict->exhausted.is || verdict->exhausted.how < quota->on_exhaust)
			exhausted_by(look, quota, &span, used, &verdict->exhausted);
	}
	if (wait < verdict->next_usec)
		verdict->next_usec = wait;
	return 0;
}

/* What has been counted and is not booked, once something is. */
static int look_ahead(struct look *look, struct tn_error *err)
{
	const struct budgets_config *config = &look->budget->all->config;
	const struct tenant *tenant = look->budget->tenant;
	int64_t ahead[LEDGER_METERS_N];
	struct store_totals totals;
	int r = sampler_ahead(config->sampler, &tenant->row.id, ahead);

	if (r == -EAGAIN) {
		r = config->book(config->userdata, tenant, err);
		/* What is not booked is not known, and that is not nothing. */
		if (r < 0)
			return r;
		r = sampler_ahead(config->sampler, &tenant->row.id, ahead);
	}
	/* Its node went, or it does not run: all that there was is booked. */
	if (r < 0)
		memset(ahead, 0, sizeof(ahead));
	r = config->store->ops->totals(config->store, &tenant->row.id, LEDGER_ABSENT,
	                               LEDGER_ABSENT, &totals, err);
	for (int meter = 0; r == 0 && meter < (int)LEDGER_METERS_N; meter++) {
		look->booked[meter] = totals.meters[meter] == LEDGER_ABSENT
		                              ? 0
		                              : totals.meters[meter];
		look->used[meter] = look->booked[meter] + ahead[meter];
	}
	return r;
}

static int look_begin(struct budget *budget, struct look *ret, struct tn_error *err)
{
	struct tenant *tenant = budget->tenant;
	int r = tenants_tier(budget->all->config.tenants, tenant, &ret->tier, err);

	if (r < 0)
		return r;
	ret->budget = budget;
	plan_tenant_limits(ret->tier, &ret->limits);
	/* What nobody enforces bounds no rate. */
	if ((*budget->all->config.controllers & SPEC_CONTROLLER_CPU) == 0)
		ret->limits.cpu_quota_usec = SPEC_UNLIMITED;
	ret->now = clock_usec(CLOCK_REALTIME);
	ret->monotonic = clock_usec(CLOCK_MONOTONIC);
	return has_budgets(ret->tier) ? look_ahead(ret, err) : 0;
}

static void look_in(const struct budget *budget, int64_t usec)
{
	loop_disarm(budget->timer);
	loop_arm(budget->timer, usec);
}

static void budget_drop(struct budget *budget)
{
	id_table_remove(&budget->all->table, &budget->node);
	budget->timer = loop_source_free(budget->timer);
	free(budget);
}

static void budget_tell(const struct budget *budget, enum event_kind kind,
                        const struct tenant_exhausted *of)
{
	struct tenant *tenant = budget->tenant;
	struct tn_error err = { 0 };
	struct event event = { .at = clock_usec(CLOCK_REALTIME),
		               .kind = kind,
		               .actor = ACTOR_NONE,
		               .of_tenant = true,
		               .tenant = tenant->row.id };
	int r;

	(void)snprintf(event.tenant_name, sizeof(event.tenant_name), "%s", tenant->row.name);
	(void)snprintf(event.reason, sizeof(event.reason), "%s", of->text);
	r = event_say(&event, "on_exhaust", policy_exhaust_names[of->how], &err);
	if (r == 0 && of->meter[0] != '\0')
		r = event_say(&event, "meter", of->meter, &err);
	if (r == 0 && kind == EVENT_QUOTA_EXHAUSTED)
		r = event_say_int(&event, "used", of->used, &err);
	if (r == 0 && kind == EVENT_QUOTA_EXHAUSTED)
		r = event_say_int(&event, "limit", of->limit, &err);
	if (r == 0)
		r = journal_tell(budget->all->config.journal, &event, &err);
	else
		event_done(&event);
	if (r < 0)
		log_event(LOG_ERR, "what a budget does to a tenant could not be told",
		          LF_STR("tenant", tenant->row.name), LF_STR("error", err.msg), LF_END);
}

static void on_timer(void *userdata, uint32_t events);

/* One that is watched already, or is from now on; or NULL. */
static struct budget *budget_get(struct budgets *budgets, struct tenant *tenant)
{
	struct budget *budget = id_table_find(&budgets->table, &tenant->row.id);
	struct tn_error err = { 0 };

	if (budget != NULL)
		return budget;
	budget = calloc(1, sizeof(*budget));
	if (budget == NULL)
		(void)err_errno(&err, "watch the budgets of a tenant");
	if (budget == NULL ||
	    loop_timer(budgets->config.loop, (struct loop_handler){ on_timer, budget },
	               &budget->timer, &err) < 0) {
		log_event(LOG_ERR, "the budgets of a tenant are not watched",
		          LF_STR("tenant", tenant->row.name), LF_STR("error", err.msg), LF_END);
		free(budget);
		return NULL;
	}
	budget->node.id = tenant->row.id;
	budget->all = budgets;
	budget->tenant = tenant;
	id_table_add(&budgets->table, &budget->node);
	return budget;
}

/* What is done to one by whom, and for which quota, is not known here. */
static struct tenant_exhausted found(enum policy_exhaust how)
{
	return (struct tenant_exhausted){ .is = true,
		                          .how = how,
		                          .text = "a quota that it was held to before" };
}

/* The kernel has what it had before, and the next look finds that it is not so. */
static void on_stood(void *userdata, const struct spec_reply *reply)
{
	struct budgets *budgets = userdata;
	struct tn_error err = { 0 }, ignored = { 0 };
	struct budget *budget;
	struct tenant *tenant;

	if (reply == NULL || tenants_reply_check(reply, &err) == 0 ||
	    tenants_get_by_id(budgets->config.tenants, &reply->tenant, &tenant, &ignored) < 0)
		return;
	log_event(LOG_ERR, "a tenant could not be held to a quota, or let go on",
	          LF_STR("tenant", tenant->row.name), LF_STR("error", err.msg), LF_END);
	tenant->exhausted = tenant_held(&tenant->exhausted) ? (struct tenant_exhausted){ 0 }
	                                                    : found(POLICY_EXHAUST_FREEZE);
	budget = budget_get(budgets, tenant);
	if (budget != NULL)
		look_in(budget, AGAIN_USEC);
}

static int tell_kernel(const struct budget *budget, const struct tenant_exhausted *before,
                       struct tn_error *err)
{
	const struct budgets_config *config = &budget->all->config;
	struct tenant *tenant = budget->tenant;
	const struct execution_end at_once = { .quota = true };
	int r = 0;

	if (tenant_slowed(&tenant->exhausted) != tenant_slowed(before))
		tenant->applied = false;
	/* Nor is it if tenantd could not do it the last time. */
	if (tenant_slowed(&tenant->exhausted) || tenant_slowed(before))
		r = tenants_apply(config->tenants, tenant, err);
	if (r == 0 && tenant_held(&tenant->exhausted) != tenant_held(before) &&
	    tenant->row.status == TENANT_ACTIVE)
		r = lifecycle_stand(config->lifecycle, tenant, on_stood, budget->all, err);
	if (r == 0 && tenant->exhausted.is && tenant->exhausted.how == POLICY_EXHAUST_KILL)
		r = executions_kill_all(config->executions, tenant, &at_once, err);
	return r < 0 ? r : 0;
}

static bool is_same(const struct tenant_exhausted *a, const struct tenant_exhausted *b)
{
	return a->is == b->is &&
	       (!a->is || (a->how == b->how && strcmp(a->text, b->text) == 0));
}

/* 0, or -errno: it is to be tried again. */
static int budget_enforce(struct budget *budget, const struct tenant_exhausted *now)
{
	struct tenant *tenant = budget->tenant;
	const struct tenant_exhausted before = tenant->exhausted;
	struct tn_error err = { 0 };
	int r;

	/* Somebody is about to let it go on, and will find out himself whether it may. */
	if (tenant->changing && tenant_held(&before) && !tenant_held(now))
		return -EAGAIN;
	tenant->exhausted = *now;
	r = tell_kernel(budget, &before, &err);
	if (r < 0) {
		tenant->exhausted = before;
		log_event(LOG_ERR, "a tenant could not be held to a quota, or let go on",
		          LF_STR("tenant", tenant->row.name), LF_STR("error", err.msg), LF_END);
		return r;
	}
	if (is_same(&before, now))
		return 0;
	if (before.is && !now->is && (tenant->executions_n > 0 || tenant_slowed(&before)))
		budget_tell(budget, EVENT_QUOTA_RESTORED, &before);
	if (now->is)
		budget_tell(budget, EVENT_QUOTA_EXHAUSTED, now);
	return 0;
}

/* Where nothing runs only what slows the next one down is kept. */
static bool is_over(const struct budget *budget, const struct look *look)
{
	const struct tenant *tenant = budget->tenant;

	if (tenant_slowed(&tenant->exhausted))
		return false;
	return tenant->executions_n == 0 || !has_budgets(look->tier);
}

static void budget_look(struct budget *budget)
{
	struct verdict verdict = { .next_usec = LOOK_LONGEST_USEC };
	struct tenant *tenant = budget->tenant;
	struct tn_error err = { 0 };
	struct look look = { 0 };
	int r;

	if (budget->looking)
		return;
	/* Whoever deletes it stops it, and nothing is to make its cgroup anew. */
	if (tenant->leaving || tenant->row.status == TENANT_DELETING ||
	    tenant->row.status == TENANT_DELETED) {
		budget_drop(budget);
		return;
	}
	budget->looking = true;
	r = look_begin(budget, &look, &err);
	for (size_t i = 0; r == 0 && i < look.tier->quotas_n; i++)
		if (is_budget(&look.tier->quotas[i]))
			r = look_at(&look, &look.tier->quotas[i], &verdict, &err);
	/* None stands still of which nothing runs: nothing would ever wake it. */
	if (tenant->executions_n == 0 && !tenant_slowed(&verdict.exhausted))
		verdict.exhausted = (struct tenant_exhausted){ 0 };
	if (r == 0)
		r = budget_enforce(budget, &verdict.exhausted);
	budget->looking = false;
	if (r == 0 && is_over(budget, &look)) {
		budget_drop(budget);
		return;
	}
	memcpy(budget->seen, look.used, sizeof(budget->seen));
	budget->seen_at = r == 0 ? look.monotonic : 0;
	look_in(budget, r == 0 ? verdict.next_usec : AGAIN_USEC);
}

static void on_timer(void *userdata, uint32_t events)
{
	(void)events;
	budget_look(userdata);
}

void budgets_look(struct budgets *budgets, struct tenant *tenant)
{
	struct budget *budget = id_table_find(&budgets->table, &tenant->row.id);
	const struct policy_tier *tier;
	struct tn_error ignored = { 0 };

	if (budget == NULL &&
	    (tenant->executions_n == 0 || tenant->leaving ||
	     tenants_tier(budgets->config.tenants, tenant, &tier, &ignored) < 0 ||
	     !has_budgets(tier)))
		return;
	budget = budget_get(budgets, tenant);
	if (budget != NULL)
		budget_look(budget);
}

static void visit_soon(void *member, void *context)
{
	const struct budget *budget = member;

	(void)context;
	look_in(budget, 0);
}

void budgets_look_all(struct budgets *budgets)
{
	id_table_each(&budgets->table, visit_soon, NULL);
}

/* What the kernel has in a file of @tenant's node. */
static bool control_reads(const struct budgets *budgets, const struct tenant *tenant,
                          const char *file, const char *text)
{
	char path[CONTROL_PATH_BYTES], content[CONTROL_BYTES_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", tenant->row.name, file);
	return *budgets->config.root_fd >= 0 &&
	       io_read_file_at(*budgets->config.root_fd, path, content, sizeof(content)) > 0 &&
	       strcmp(content, text) == 0;
}

void budgets_adopt(struct budgets *budgets, struct tenant *tenant)
{
	enum policy_exhaust how;
	char slowed[CONTROL_BYTES_MAX];
	struct budget *budget;

	if (tenant->exhausted.is || tenant->row.status != TENANT_ACTIVE || tenant->leaving ||
	    id_table_find(&budgets->table, &tenant->row.id) != NULL)
		return;
	(void)snprintf(slowed, sizeof(slowed), "%d %d\n", TENANT_SLOWED_CPU_USEC,
	               SPEC_CPU_PERIOD_USEC);
	if (control_reads(budgets, tenant, "cgroup.freeze", "1\n"))
		how = POLICY_EXHAUST_FREEZE;
	else if (control_reads(budgets, tenant, "cpu.max", slowed))
		how = POLICY_EXHAUST_THROTTLE;
	else
		return;
	budget = budget_get(budgets, tenant);
	if (budget == NULL)
		return;
	tenant->exhausted = found(how);
	budget_look(budget);
}

int budgets_new(struct budgets **ret, const struct budgets_config *config, struct tn_error *err)
{
	struct budgets *budgets = calloc(1, sizeof(*budgets));
	const int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	if (budgets == NULL)
		return err_errno(err, "allocate the budgets");
	budgets->config = *config;
	budgets->cpus = clamp(sysconf(_SC_NPROCESSORS_ONLN), 1, INT32_MAX);
	budgets->memory_mib = clamp(pages * page / (1 << 20), 1, INT32_MAX);
	*ret = budgets;
	return 0;
}

static void visit_free(void *member, void *context)
{
	struct budget *budget = member;

	(void)context;
	budget->timer = loop_source_free(budget->timer);
	free(budget);
}

struct budgets *budgets_free(struct budgets *budgets)
{
	if (budgets == NULL)
		return NULL;
	id_table_each(&budgets->table, visit_free, NULL);
	free(budgets);
	return NULL;
}
