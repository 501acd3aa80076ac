/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A suspended tenant's executions stand still, and so does what is counted against them by
 * the clock: a deadline that passed meanwhile would end them the moment they go on, for time
 * they never had. What is frozen can be killed; what was told to end by SIGTERM and frozen
 * then has the rest of its grace when it goes on.
 *
 * The kernel keeps the freeze, the records since when it holds, so that both outlive us.
 */
#include <syslog.h>
#include <time.h>

#include <base/clock.h>
#include <base/log.h>

#include "execution_state.h"

static int64_t later(int64_t boot_usec, int64_t by_usec)
{
	int64_t sum;

	if (boot_usec == SPEC_UNLIMITED || __builtin_add_overflow(boot_usec, by_usec, &sum))
		return SPEC_UNLIMITED;
	return sum;
}

static void suspend(struct execution *e, int64_t boot_usec)
{
	e->record.suspended_boot_usec = boot_usec;
	if (e->wake_boot_usec != 0)
		(void)execution_timer_arm(e, e->wake_boot_usec);
}

static void resume(struct execution *e, int64_t boot_usec)
{
	const int64_t stood = boot_usec - e->record.suspended_boot_usec;

	e->record.suspended_boot_usec = 0;
	e->record.suspended_usec += stood;
	e->record.deadline_boot_usec = later(e->record.deadline_boot_usec, stood);
	e->record.kill_boot_usec = later(e->record.kill_boot_usec, stood);
	if (e->wake_boot_usec != 0)
		(void)execution_timer_arm(e, later(e->wake_boot_usec, stood));
}

void execution_freeze(struct execution *e, bool frozen, int64_t boot_usec)
{
	struct tn_error err = { 0 };

	if (frozen == (e->record.suspended_boot_usec != 0))
		return;
	(frozen ? suspend : resume)(e, boot_usec);
	if (record_write(e->all->dir_fd, &e->record, &err) < 0)
		log_event(LOG_ERR, "cannot note how long an execution is suspended",
		          LF_STR("error", err.msg), LF_END);
}

int64_t execution_wall_usec(const struct execution *e, int64_t boot_usec)
{
	const struct record *record = &e->record;
	int64_t stood = record->suspended_usec;

	if (record->suspended_boot_usec != 0)
		stood += boot_usec - record->suspended_boot_usec;
	return boot_usec - record->started_boot_usec - stood;
}

struct change {
	const struct id *tenant;
	bool frozen;
	int64_t boot_usec;
};

static void change_one(void *member, void *context)
{
	const struct change *change = context;
	struct execution *e = member;

	/* What has ended has its timer for something else. */
	if (e->leaf_fd >= 0 && !e->ended && id_equal(&e->record.tenant, change->tenant))
		execution_freeze(e, change->frozen, change->boot_usec);
}

int executions_freeze(struct executions *executions, const struct id *tenant, bool frozen,
                      struct tn_error *err)
{
	const struct tenant *found = tenants_find(executions->tenants, tenant);
	struct change change = { tenant, frozen, 0 };
	int r;

	if (found == NULL)
		return err_refuse(err, TN_NOT_FOUND, "the tenant has not been applied");
	r = cg_freeze(found->cgroup_fd, frozen, err);
	if (r < 0)
		return err_wrap(err, r, "%s '%s'", frozen ? "freeze" : "thaw", found->name);
	change.boot_usec = clock_usec(CLOCK_BOOTTIME);
	id_table_each(&executions->table, change_one, &change);
	return 0;
}
