/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "execution.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <syslog.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/log.h>

#include "execution_state.h"
#include "join.h"
#include "unwatched.h"

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1U << 2)
#endif

struct execution *execution_new(struct executions *executions, const struct id *id)
{
	struct execution *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->node.id = *id;
	e->all = executions;
	e->leaf_fd = e->status_fd = e->terminal_fd = FD_NONE;
	cg_counter_files_init(&e->counters);
	e->pid = (struct loop_source){ FD_NONE, execution_pid_ready, e };
	e->report = (struct loop_source){ FD_NONE, execution_report_ready, e };
	e->beginning = (struct loop_source){ FD_NONE, NULL, NULL };
	e->timer = (struct loop_source){ FD_NONE, execution_timer_ready, e };
	e->cpu_timer = (struct loop_source){ FD_NONE, execution_cpu_timer_ready, e };
	e->settling =
		(struct turns_job){ .execution = *id, .run = execution_settle, .context = e };
	e->record = (struct record){ .magic = RECORD_MAGIC, .execution = *id };
	return e;
}

static void source_close(struct loop *loop, struct loop_source *source)
{
	loop_remove(loop, source);
	fd_closep(&source->fd);
}

void execution_set_up(struct execution *e)
{
	if (e->setting_up)
		e->tenant->setting_up_n--;
	e->setting_up = false;
}

void execution_release(struct execution *e)
{
	execution_set_up(e);
	source_close(e->all->loop, &e->pid);
	source_close(e->all->loop, &e->report);
	source_close(e->all->loop, &e->beginning);
	source_close(e->all->loop, &e->timer);
	source_close(e->all->loop, &e->cpu_timer);
	cg_counter_files_close(&e->counters);
	fd_closep(&e->leaf_fd);
	fd_closep(&e->status_fd);
	fd_closep(&e->terminal_fd);
	e->filter = filter_put(e->filter);
	if (e->tenant != NULL)
		e->tenant->executions_n--;
	e->tenant = NULL;
}

void execution_free(struct execution *e)
{
	execution_release(e);
	id_table_remove(&e->all->table, &e->node);
	free(e);
}

/* 0, or -1 and errno. @flags as of timerfd_settime(2). */
static int timer_set(int fd, int flags, int64_t usec)
{
	struct itimerspec when = {
		.it_value = { .tv_sec = (time_t)(usec / CLOCK_USEC_PER_SEC),
		              .tv_nsec = (long)(usec % CLOCK_USEC_PER_SEC) *
		                         CLOCK_NSEC_PER_USEC },
	};

	return timerfd_settime(fd, flags, &when, NULL);
}

int execution_timer_arm(struct execution *e, int64_t boot_usec)
{
	e->wake_boot_usec = boot_usec;
	if (e->record.suspended_boot_usec != 0)
		return timer_set(e->timer.fd, 0, 0);
	return timer_set(e->timer.fd, TFD_TIMER_ABSTIME, boot_usec);
}

/* For @boot_usec or the end of a grace that was given, whichever comes first. */
static int timer_arm_for(struct execution *e, int64_t boot_usec)
{
	if (e->record.kill_boot_usec < boot_usec)
		boot_usec = e->record.kill_boot_usec;
	return boot_usec == SPEC_UNLIMITED ? 0 : execution_timer_arm(e, boot_usec);
}

/* Look at once, and from then on when it is due. */
static int cpu_time_watch(struct execution *e, struct tn_error *err)
{
	if (e->record.cpu_time_usec_max == SPEC_UNLIMITED)
		return 0;
	cpu_time_init(&e->cpu_time, e->record.cpu_time_usec_max, sysconf(_SC_NPROCESSORS_CONF));
	e->cpu_timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (e->cpu_timer.fd < 0)
		return err_errno(err, "create a timer");
	if (timer_set(e->cpu_timer.fd, 0, 1) < 0)
		return err_errno(err, "arm a timer");
	return loop_add(e->all->loop, &e->cpu_timer, EPOLLIN, err);
}

void execution_watch(struct execution *e, int pid_fd)
{
	e->pid.fd = pid_fd;
	unwatched_watch(e->all, &e->pid, &e->unwatched);
}

int execution_clocks(struct execution *e, struct tn_error *err)
{
	int r;

	e->timer.fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (e->timer.fd < 0)
		return err_errno(err, "create a timer");
	r = loop_add(e->all->loop, &e->timer, EPOLLIN, err);
	if (r == 0 && timer_arm_for(e, e->record.deadline_boot_usec) < 0)
		r = err_errno(err, "arm a timer");
	return r < 0 ? r : cpu_time_watch(e, err);
}

static void kill_leaf(struct execution *e)
{
	struct tn_error err = { 0 };

	if (e->leaf_fd >= 0 && cg_kill(e->leaf_fd, &err) < 0)
		log_event(LOG_ERR, "cannot kill an execution", LF_STR("error", err.msg),
		          LF_END);
}

/*
 * tenant-init forwards to the workload's group. Without it the workload leads that itself.
 * Its number cannot be anyone else's while our child has not been reaped; after a restart
 * only a kernel since 6.9 can be asked for the group by a descriptor, and otherwise the
 * workload alone is meant. It is also before it leads a group.
 */
static bool group_signal(const struct execution *e, int signal)
{
	if (!e->record.no_init)
		return false;
	if (e->child)
		return kill(-e->record.pid, signal) == 0;
	return syscall(SYS_pidfd_send_signal, e->pid.fd, signal, NULL,
	               PIDFD_SIGNAL_PROCESS_GROUP) == 0;
}

static int pid_signal(const struct execution *e, int signal)
{
	if (group_signal(e, signal))
		return 0;
	return syscall(SYS_pidfd_send_signal, e->pid.fd, signal, NULL, 0) < 0 ? -errno : 0;
}

static void kill_for(struct execution *e, enum spec_kill_why why)
{
	/* It has ended by itself, if not to the last. */
	if (e->ended)
		return;
	if (e->killed == SPEC_KILL_NONE)
		e->killed = why;
	kill_leaf(e);
}

/*
 * First the deadline: a polite signal; then the end of the grace it gives. Before, between or
 * after them the end of a grace that somebody else has given.
 */
void execution_timer_ready(void *context, uint32_t events)
{
	struct execution *e = context;
	const int64_t now = clock_usec(CLOCK_BOOTTIME);
	int64_t end = 0;
	uint64_t ticks;

	(void)events;
	if (read(e->timer.fd, &ticks, sizeof(ticks)) < 0 || e->ended)
		return;
	if (now >= e->record.kill_boot_usec) {
		kill_for(e, SPEC_KILL_ADMIN);
		return;
	}
	if (e->killed == SPEC_KILL_NONE)
		e->killed = SPEC_KILL_TIMEOUT;
	if (e->terminated || e->record.kill_after_usec == 0) {
		kill_leaf(e);
		return;
	}
	e->terminated = true;
	(void)pid_signal(e, SIGTERM);
	if (__builtin_add_overflow(now, e->record.kill_after_usec, &end))
		end = SPEC_UNLIMITED;
	if (timer_arm_for(e, end) < 0)
		kill_leaf(e);
}

/*
 * Killed at once, without a SIGTERM before: what is given for a clean end would be CPU time
 * beyond the limit, and all of its processes could use it.
 */
void execution_cpu_timer_ready(void *context, uint32_t events)
{
	struct execution *e = context;
	int64_t used = cg_cpu_usec(e->leaf_fd), wait = CPU_TIME_WAIT_USEC_MAX;
	uint64_t ticks;

	(void)events;
	if (read(e->cpu_timer.fd, &ticks, sizeof(ticks)) < 0)
		return;
	if (used != SPEC_ABSENT)
		wait = cpu_time_next(&e->cpu_time, used);
	if (wait > 0 && timer_set(e->cpu_timer.fd, 0, wait) == 0)
		return;
	if (e->killed == SPEC_KILL_NONE)
		e->killed = SPEC_KILL_CPU_TIME;
	kill_leaf(e);
}

static struct execution *find_running(struct executions *executions, const struct id *id,
                                      struct tn_error *err)
{
	struct execution *e = id_table_find(&executions->table, id);

	if (e != NULL && e->leaf_fd >= 0 && !e->ended)
		return e;
	(void)err_refuse(err, TN_NOT_FOUND, "no such execution is running");
	return NULL;
}

int execution_signal_check(int signal, struct tn_error *err)
{
	if (signal < 1 || signal > SIGRTMAX || signal == SIGKILL || signal == SIGSTOP)
		return err_refuse(err, TN_INVALID, "signal %d cannot be forwarded", signal);
	return 0;
}

int executions_signal(struct executions *executions, const struct id *id, int signal,
                      struct tn_error *err)
{
	struct execution *e;
	int r;

	r = execution_signal_check(signal, err);
	if (r < 0)
		return r;
	if (joins_signal(executions, id, signal))
		return 0;
	e = find_running(executions, id, err);
	if (e == NULL)
		return -ENOENT;
	r = pid_signal(e, signal);
	return r < 0 ? err_set(err, TN_SYSTEM, -r, "send signal %d", signal) : 0;
}

/* Noted on disk, so that whoever comes after us keeps it. */
static void kill_politely(struct execution *e, const struct kill_how *how)
{
	struct tn_error err = { 0 };
	int64_t now = clock_usec(CLOCK_BOOTTIME), end = 0;

	/* The clock of what is suspended stands where it stood then. */
	if (e->record.suspended_boot_usec != 0)
		now = e->record.suspended_boot_usec;
	if (__builtin_add_overflow(now, how->grace_usec, &end))
		end = SPEC_UNLIMITED;
	if (end < e->record.kill_boot_usec) {
		e->record.kill_boot_usec = end;
		if (record_write(e->all->dir_fd, &e->record, &err) < 0)
			log_event(LOG_ERR, "cannot note when an execution is to be killed",
			          LF_STR("error", err.msg), LF_END);
	}
	(void)pid_signal(e, how->signal);
	/* One that is set up yet has no timer: it will be armed for that with the others. */
	if (e->timer.fd >= 0 && (e->wake_boot_usec == 0 || end < e->wake_boot_usec) &&
	    timer_arm_for(e, end) < 0)
		kill_for(e, SPEC_KILL_ADMIN);
}

static void kill_as(struct execution *e, const struct kill_how *how)
{
	if (e->ended)
		return;
	if (how->grace_usec > 0)
		kill_politely(e, how);
	else
		kill_for(e, how->why);
}

int executions_kill(struct executions *executions, const struct id *id,
                    const struct kill_how *how, struct tn_error *err)
{
	struct execution *e;

	if (how->grace_usec > 0 && joins_have(executions, id))
		return err_refuse(err, TN_INVALID,
		                  "a command in an execution has no time of grace: send it a "
		                  "signal, or end it at once");
	if (joins_kill(executions, id, how->why))
		return 0;
	e = find_running(executions, id, err);
	if (e == NULL)
		return -ENOENT;
	kill_as(e, how);
	return 0;
}

struct kill_all {
	const struct id *tenant;
	const struct kill_how *how;
};

static void kill_one(void *member, void *context)
{
	const struct kill_all *all = context;
	struct execution *e = member;

	if (e->leaf_fd >= 0 && id_equal(&e->record.tenant, all->tenant))
		kill_as(e, all->how);
}

void executions_kill_tenant(struct executions *executions, const struct id *tenant,
                            const struct kill_how *how)
{
	struct kill_all all = { tenant, how };

	id_table_each(&executions->table, kill_one, &all);
}

void executions_settled(struct executions *executions, const struct id *id)
{
	struct execution *e = id_table_find(&executions->table, id);

	if (joins_settled(executions, id) || e == NULL || !e->told)
		return;
	leftovers_record_remove(executions, id);
	executions->unsettled_n--;
	execution_free(e);
}

void execution_tell_started(struct execution *e, bool executed, int terminal,
                            const struct tn_error *error)
{
	struct spec_started started = {
		.head = { sizeof(started), SPEC_STARTED, SPEC_VERSION, e->serial },
		.tenant = e->record.tenant,
		.execution = e->record.execution,
		.started_unix_usec = e->record.started_unix_usec,
		.not_executed = !executed,
		.attached = e->record.attached,
	};

	memcpy(started.policy_hash, e->record.policy_hash, sizeof(started.policy_hash));
	if (error != NULL)
		started.error = *error;
	e->all->tell(e->all->context, &started, terminal);
	execution_is_told(e);
}

static void tell_replayed(struct executions *executions)
{
	const struct spec_head replayed = { sizeof(replayed), SPEC_REPLAYED, SPEC_VERSION, 0 };

	executions->tell(executions->context, &replayed, FD_NONE);
}

void execution_is_told(struct execution *e)
{
	if (!e->untold)
		return;
	e->untold = false;
	executions_untold_less(e->all);
}

void executions_untold_less(struct executions *executions)
{
	if (--executions->untold_n == 0)
		tell_replayed(executions);
}

static void replay_one(void *member, void *context)
{
	struct execution *e = member;

	(void)context;
	e->serial = 0;
	e->untold = false;
	if (e->told) {
		e->record.exited.head.serial = 0;
		e->all->tell(e->all->context, &e->record.exited, FD_NONE);
	} else if (e->record.started && !e->record.final) {
		execution_tell_started(e, true, FD_NONE, NULL);
	} else {
		e->untold = true;
		e->all->untold_n++;
	}
}

void executions_replay(struct executions *executions)
{
	executions->untold_n = 0;
	id_table_each(&executions->table, replay_one, NULL);
	/* After those that they have joined. */
	joins_replay(executions);
	if (executions->untold_n == 0)
		tell_replayed(executions);
}

int executions_start(struct executions *executions, struct tn_error *err)
{
	struct keeper *keeper = &executions->keeper;
	int r = mounts_place_make(&executions->mounts_place, err);

	if (r < 0)
		return r;
	keeper->loop = executions->loop;
	keeper->dropped = execution_mounts_dropped;
	keeper->lost = execution_mounts_lost;
	keeper->context = executions;
	r = keeper_start(keeper, err);
	if (r == 0)
		r = unwatched_start(executions, err);
	if (r == 0)
		r = leftovers_start(executions, err);
	return r < 0 ? r : launchers_start(&executions->launchers, child_enter, err);
}

static void drop_one(void *member, void *context)
{
	(void)context;
	execution_free(member);
}

bool executions_have(struct executions *executions, const struct id *id)
{
	return id_table_find(&executions->table, id) != NULL ||
	       id_table_find(&executions->joins, id) != NULL;
}

void executions_done(struct executions *executions)
{
	joins_done(executions);
	id_table_each(&executions->table, drop_one, NULL);
	keeper_stop(&executions->keeper);
	unwatched_stop(executions);
	leftovers_stop(executions);
	launchers_stop(&executions->launchers);
}
