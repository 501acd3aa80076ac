/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the launch pipe and the pidfd to a record that no one can dispute: wait, read,
 * write the final counters, remove the leaf, tell. Whoever removes the cgroup first
 * destroys the evidence, so nobody else does.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/log.h>

#include "execution_state.h"
#include "terminal.h"

/* How long to wait before an end that is not quite one is looked at again. */
#define EXIT_RETRY_NSEC 1000000
/* And for processes that were killed together to leave their CPUs. */
#define EXIT_KILLED_NSEC 5000000
/* And how often for the last process to leave its CPU. */
#define EXIT_OFF_CPU_TRIES_MAX 100
/* So often it is looked at without a wait: mostly it takes some microseconds. */
#define EXIT_OFF_CPU_LOOKS 50

static void report_take(struct execution *e, const struct init_report *report)
{
	if (report->stage == INIT_STAGE_EXECUTING) {
		e->executing = true;
		e->record.child_cpu_nsec = (int64_t)report->cpu_nsec;
		return;
	}
	/* The first is what the others come from. */
	if (e->failure.error != 0)
		return;
	e->failure = *report;
	if (e->failure.error == 0)
		e->failure.error = EIO;
}

/* True at the end of the pipe: nothing more will come. */
static bool report_drain(struct execution *e)
{
	struct init_report report;

	for (;;) {
		ssize_t n = read(e->report.fd, &report, sizeof(report));

		if (n == (ssize_t)sizeof(report))
			report_take(e, &report);
		else if (n < 0 && errno == EINTR)
			continue;
		else
			return n == 0;
	}
}

static void report_close(struct execution *e)
{
	execution_set_up(e);
	loop_remove(e->all->loop, &e->report);
	fd_closep(&e->report.fd);
}

/* The workload's exec is the one thing that was reported and nothing failed. */
static bool has_executed(const struct execution *e)
{
	return e->failure.error == 0 && e->executing;
}

/*
 * The terminal that the child has sent before it executed tenant-init. What is no
 * terminal's master goes no further, and then nor does the workload.
 */
static int terminal_take(struct execution *e, int *ret_master)
{
	struct tn_error err = { 0 }, lost = { 0 };
	int r = 0;

	if (e->terminal_fd < 0)
		return 0;
	r = terminal_receive(e->terminal_fd, ret_master, &err);
	fd_closep(&e->terminal_fd);
	if (r == 0)
		return 0;
	log_event(LOG_ERR, "a sandbox without its terminal is ended", LF_STR("error", err.msg),
	          LF_END);
	e->failure = (struct init_report){ .error = EIO };
	(void)cg_kill(e->leaf_fd, &lost);
	return r;
}

/* The workload has been executed; false if what it was to have along is not there. */
static bool started(struct execution *e)
{
	cleanup_fd int terminal = FD_NONE;

	if (terminal_take(e, &terminal) < 0)
		return false;
	e->record.started = 1;
	execution_tell_started(e, true, terminal, NULL);
	return true;
}

void execution_report_ready(void *context, uint32_t events)
{
	struct execution *e = context;
	struct tn_error err = { 0 };

	(void)events;
	if (!report_drain(e))
		return;
	report_close(e);
	/* Otherwise the pidfd tells next: the child is about to end. */
	if (!has_executed(e))
		return;
	if (started(e) && record_write(e->all->dir_fd, &e->record, &err) < 0)
		log_event(LOG_ERR, "cannot note a start", LF_STR("error", err.msg), LF_END);
}

/* Failed in a stage before the workload's exec, other than by being killed. */
static bool set_up_failed(const struct execution *e)
{
	return e->failure.error != 0 && e->failure.stage != INIT_STAGE_EXEC;
}

/* The same without tenant-init: what the kernel said, if it was our child to wait for. */
static int64_t exit_kind_without_init(const struct execution *e, struct spec_exited *exited)
{
	if (has_executed(e) && e->waited) {
		exited->kind = SPEC_EXIT_STATUS;
		exited->wait_status = e->wait_status;
	}
	if (!e->executing && !e->record.started)
		return SPEC_ABSENT;
	return e->record.child_cpu_nsec / CLOCK_NSEC_PER_USEC;
}

/* How it ended. Returns what we spent in the leaf, or SPEC_ABSENT if no one told. */
static int64_t exit_kind(const struct execution *e, struct spec_exited *exited)
{
	struct init_status status;

	if (e->failure.error != 0 && e->failure.stage == INIT_STAGE_EXEC) {
		exited->kind = SPEC_EXIT_NOT_EXECUTED;
		exited->exec_errno = e->failure.error;
	}
	if (e->record.no_init)
		return exit_kind_without_init(e, exited);
	if (!record_status_read(e->status_fd, &status))
		return SPEC_ABSENT;
	if (status.kind == INIT_STATUS_WAITED) {
		exited->kind = SPEC_EXIT_STATUS;
		exited->wait_status = status.wait_status;
	} else if (status.kind == INIT_STATUS_NOT_EXECUTED) {
		exited->kind = SPEC_EXIT_NOT_EXECUTED;
		exited->exec_errno = status.error;
	}
	/* Untrusted, like all of the record: no figure that would overflow. */
	if (status.init_cpu_nsec > INT64_MAX / 2)
		return SPEC_ABSENT;
	return ((int64_t)status.init_cpu_nsec + e->record.child_cpu_nsec) / CLOCK_NSEC_PER_USEC;
}

/*
 * An OOM kill is counted where the memory belongs, and until the child executes, its is the
 * launcher's: the leaf knows nothing of it.
 */
static bool ran_out_of_memory_on_its_way_in(const struct execution *e,
                                            const struct spec_exited *exited)
{
	/* The workload's process, or pid 1 and so both. */
	const bool told = exited->kind == SPEC_EXIT_STATUS;
	const int status = told ? exited->wait_status : e->wait_status;

	return (told || e->waited) && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL &&
	       e->killed == SPEC_KILL_NONE && launchers_lost(&e->all->launchers, &e->turn);
}

static void exited_fill(struct execution *e)
{
	const struct record *record = &e->record;
	struct spec_exited *exited = &e->record.exited;
	struct spec_counters *counters = &exited->counters;
	int64_t throttled, overhead_usec;

	*exited = (struct spec_exited){
		.head = { sizeof(*exited), SPEC_EXITED, SPEC_VERSION, e->serial },
		.tenant = record->tenant,
		.execution = record->execution,
		.started_unix_usec = record->started_unix_usec,
		.ended_unix_usec = clock_usec(CLOCK_REALTIME),
		.wall_usec = execution_wall_usec(e, clock_usec(CLOCK_BOOTTIME)),
		.killed = e->killed,
	};
	memcpy(exited->policy_hash, record->policy_hash, sizeof(exited->policy_hash));
	overhead_usec = exit_kind(e, exited);

	cg_counters_read(e->leaf_fd, e->all->controllers, &e->counters, counters);
	throttled = tenant_throttled_usec(e->tenant, e->all->controllers);
	counters->tenant_throttled_usec = throttled < 0 || record->tenant_throttled_usec < 0
	                                          ? SPEC_ABSENT
	                                          : throttled - record->tenant_throttled_usec;
	counters->overhead_usec = overhead_usec;
	if (counters->oom_kills == 0 && ran_out_of_memory_on_its_way_in(e, exited))
		counters->oom_kills = 1;
}

/* Come back: something in the leaf still ends. False: it has no timer, as one that was adopted
 * when the kernel had none left. */
static bool retry_later(struct execution *e, long nsec)
{
	const struct itimerspec soon = { .it_value = { .tv_nsec = nsec } };

	if (timerfd_settime(e->timer.fd, 0, &soon, NULL) < 0)
		return false;
	loop_remove(e->all->loop, &e->pid);
	e->timer.ready = execution_pid_ready;
	return true;
}

static void tell_end(struct execution *e)
{
	if (e->serial != 0 && !e->record.started)
		execution_tell_started(e, false, FD_NONE, NULL);
	e->all->unsettled_n++;
	e->all->tell(e->all->context, &e->record.exited, FD_NONE);
	execution_is_told(e);
}

bool execution_never_was(const struct execution *e)
{
	struct spec_counters counters = { 0 };
	struct init_status status;

	if (e->serial != 0 || e->record.started || e->record.no_init ||
	    e->killed != SPEC_KILL_NONE || e->leaf_fd < 0 || e->status_fd < 0 ||
	    record_status_read(e->status_fd, &status))
		return false;
	cg_counters_read(e->leaf_fd, e->all->controllers, &e->counters, &counters);
	return counters.oom_kills <= 0;
}

/* Whoever wanted it may ask again. */
static void forget(struct execution *e)
{
	execution_is_told(e);
	leftovers_record_remove(e->all, &e->node.id);
	execution_free(e);
}

/* Nothing has run that could be billed as the workload's: as if it had never been. */
static void tell_failure(struct execution *e)
{
	struct tn_error error = { 0 };

	(void)child_error(e->failure.stage, e->failure.error, &error);
	execution_tell_started(e, false, FD_NONE, &error);
	leftovers_record_remove(e->all, &e->node.id);
}

/* Leaf and mounts are gone. */
static void tell(struct execution *e)
{
	e->told = true;
	e->all->running_n--;
	if (e->never) {
		forget(e);
		return;
	}
	if (set_up_failed(e)) {
		tell_failure(e);
		execution_free(e);
		return;
	}
	tell_end(e);
	execution_release(e);
}

void execution_end(struct execution *e)
{
	struct executions *all = e->all;
	bool failed;
	struct tn_error err = { 0 };
	char name[ID_TEXT_BYTES];
	int r;

	id_format(&e->node.id, name);
	e->never = !e->record.final && (e->never || execution_never_was(e));
	failed = e->never || set_up_failed(e);
	if (!e->record.final) {
		exited_fill(e);
		cg_counter_files_close(&e->counters);
		e->record.final = !failed;
		if (!failed && record_write(all->dir_fd, &e->record, &err) < 0)
			log_event(LOG_ERR, "cannot write final counters",
			          LF_STR("execution", name), LF_STR("error", err.msg), LF_END);
	}
	r = cg_leaf_remove(e->tenant->cgroup_fd, name, &err);
	if (r == -EBUSY) {
		struct tn_error lost = { 0 };

		(void)cg_kill(e->leaf_fd, &lost);
		if (retry_later(e, EXIT_RETRY_NSEC))
			return;
	}
	if (r < 0)
		log_event(LOG_ERR, "cannot remove a leaf", LF_STR("execution", name),
		          LF_STR("error", err.msg), LF_END);
	e->settled = true;
	if (!e->mounts_dropping)
		tell(e);
}

/*
 * A process tells of its end before it leaves its CPU for the last time, and only then
 * does the kernel charge it for its last stretch. Until it is reaped, /proc/PID/syscall
 * says which: "running", or else the kernel has waited for it to be off its CPU.
 *
 * What is left of it is a few instructions, so a wait by the clock would be most of what
 * a short execution costs. It may share our CPU: then it is let go on between two looks.
 */
static bool off_cpu(const struct execution *e)
{
	char path[32], text[128];
	cleanup_fd int fd = FD_NONE;

	(void)snprintf(path, sizeof(path), "/proc/%d/syscall", e->record.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	for (int look = 0; look < EXIT_OFF_CPU_LOOKS; look++) {
		ssize_t n = pread(fd, text, sizeof(text), 0);

		if (n < (ssize_t)strlen("running") ||
		    strncmp(text, "running", strlen("running")) != 0)
			return true;
		(void)sched_yield();
	}
	return false;
}

/*
 * Of what was killed with pid 1 nobody can ask: the kernel has reaped it. Its last stretch is
 * charged as late, and it may be on another CPU.
 */
static bool killed_with_others(const struct execution *e)
{
	return e->killed != SPEC_KILL_NONE || (e->waited && WIFSIGNALED(e->wait_status));
}

static void child_reap(struct execution *e)
{
	siginfo_t info = { 0 };

	e->child = false;
	if (waitid(P_PIDFD, (id_t)e->pid.fd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
		return;
	e->waited = true;
	if (info.si_code == CLD_EXITED)
		e->wait_status = W_EXITCODE(info.si_status, 0);
	else
		e->wait_status = info.si_status | (info.si_code == CLD_DUMPED ? WCOREFLAG : 0);
}

/*
 * No process is left that could be killed or be told of again. The end is told when the keeper
 * has answered, and settled meanwhile.
 */
static void mounts_drop(struct execution *e)
{
	struct tn_error err = { 0 };

	if (!e->mounts_kept)
		return;
	e->mounts_kept = false;
	if (keeper_drop(&e->all->keeper, &e->node.id, &err) < 0) {
		log_event(LOG_ERR, "cannot drop a mount namespace", LF_STR("error", err.msg),
		          LF_END);
		return;
	}
	e->mounts_dropping = true;
}

static void mounts_gone(struct execution *e)
{
	if (!e->mounts_dropping)
		return;
	e->mounts_dropping = false;
	if (e->settled)
		tell(e);
}

void execution_mounts_dropped(void *context, const struct id *id)
{
	struct executions *all = context;
	struct execution *e = id_table_find(&all->table, id);

	if (e != NULL)
		mounts_gone(e);
}

static void lost_one(void *member, void *context)
{
	struct execution *e = member;

	(void)context;
	e->mounts_kept = false;
	mounts_gone(e);
}

void execution_mounts_lost(void *context)
{
	struct executions *all = context;

	id_table_each(&all->table, lost_one, NULL);
}

void execution_settle(void *context)
{
	struct execution *e = context;

	if (e->child && !off_cpu(e) && e->off_cpu_tries++ < EXIT_OFF_CPU_TRIES_MAX &&
	    retry_later(e, EXIT_RETRY_NSEC))
		return;
	if (e->child)
		child_reap(e);
	if (!e->paused && killed_with_others(e)) {
		e->paused = true;
		if (retry_later(e, EXIT_KILLED_NSEC))
			return;
	}
	execution_end(e);
}

void execution_pid_ready(void *context, uint32_t events)
{
	struct execution *e = context;
	uint64_t ticks;

	(void)events;
	/* Whatever was reported before the end lies in the pipe now. */
	if (e->report.fd >= 0) {
		(void)report_drain(e);
		report_close(e);
		if (has_executed(e))
			(void)started(e);
	}
	(void)!read(e->timer.fd, &ticks, sizeof(ticks));
	/* It has ended by itself, whatever it used up to then. */
	loop_remove(e->all->loop, &e->cpu_timer);
	e->ended = true;
	mounts_drop(e);
	/* Until that is done: it would be told of again. */
	loop_remove(e->all->loop, &e->pid);
	if (!turns_add(e->all->turns, &e->record.tenant, &e->settling))
		execution_settle(e);
}
