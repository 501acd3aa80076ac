/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "join.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/io.h>
#include <base/log.h>

#include "execution_state.h"
#include "fdcheck.h"
#include "join_clone.h"
#include "terminal.h"
#include "unwatched.h"

#define JOIN_STDIO_N 3

/* From its request to its settlement. */
struct join {
	struct id_node node; /* by its own id */
	struct executions *all;
	struct record record;
	uint64_t serial; /* of the request; 0 after a restart of the controller */
	int status_fd;
	int terminal_fd;            /* socket in which the terminal's master lies */
	bool child;                 /* ours to wait for */
	bool counted;               /* among the joins of its execution */
	bool executing;             /* reported: the next step is the command's exec */
	bool told;                  /* its end */
	bool unwatched;             /* unwatched.h: its end */
	bool untold;                /* the present controller has not heard of it yet */
	struct init_report failure; /* error != 0: what failed before the command ran */
	enum spec_kill_why killed;
	struct loop_source pid, report;
};

static void pid_ready(void *context, uint32_t events);
static void report_ready(void *context, uint32_t events);

static struct join *join_new(struct executions *all, const struct id *id)
{
	struct join *join = calloc(1, sizeof(*join));

	if (join == NULL)
		return NULL;
	join->node.id = *id;
	join->all = all;
	join->status_fd = join->terminal_fd = FD_NONE;
	join->pid = (struct loop_source){ FD_NONE, pid_ready, join };
	join->report = (struct loop_source){ FD_NONE, report_ready, join };
	join->record = (struct record){ .magic = RECORD_MAGIC, .execution = *id };
	id_table_add(&all->joins, &join->node);
	return join;
}

static struct execution *joined(const struct join *join)
{
	return id_table_find(&join->all->table, &join->record.joined.joins);
}

/* SIGKILL waits for that process to take it. */
static bool is_killed(int32_t pid)
{
	static const char *const sets[] = { "\nSigPnd:\t", "\nShdPnd:\t" };
	char path[32], text[4096];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (io_read_file_at(AT_FDCWD, path, text, sizeof(text)) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		const char *set = strstr(text, sets[i]);

		if (set != NULL && (strtoull(set + strlen(sets[i]), NULL, 16) &
		                    UINT64_C(1) << (SIGKILL - 1)) != 0)
			return true;
	}
	return false;
}

/* Whether it is the execution's end that ends what has joined it. A process that ends has no
 * program any more, and pid 1 waits like that until those of its pid namespace are reaped. */
static bool is_ending(const struct execution *e)
{
	char path[32], program[PATH_MAX];

	if (e == NULL || e->ended || e->killed != SPEC_KILL_NONE)
		return true;
	(void)snprintf(path, sizeof(path), "/proc/%d/exe", e->record.pid);
	return readlink(path, program, sizeof(program)) < 0 || is_killed(e->record.pid);
}

static void join_release(struct join *join)
{
	struct execution *e = join->counted ? joined(join) : NULL;

	loop_remove(join->all->loop, &join->pid);
	fd_closep(&join->pid.fd);
	loop_remove(join->all->loop, &join->report);
	fd_closep(&join->report.fd);
	fd_closep(&join->status_fd);
	fd_closep(&join->terminal_fd);
	if (e != NULL)
		e->joins_n--;
	join->counted = false;
}

static void join_free(struct join *join)
{
	join_release(join);
	id_table_remove(&join->all->joins, &join->node);
	free(join);
}

static void is_told(struct join *join)
{
	if (join->untold)
		executions_untold_less(join->all);
	join->untold = false;
}

static void tell_started(struct join *join, int terminal, const struct tn_error *error)
{
	struct spec_started started = {
		.head = { sizeof(started), SPEC_STARTED, SPEC_VERSION, join->serial },
		.tenant = join->record.tenant,
		.execution = join->record.execution,
		.started_unix_usec = join->record.started_unix_usec,
		.attached = 1,
		.joined = join->record.joined,
	};

	memcpy(started.policy_hash, join->record.policy_hash, sizeof(started.policy_hash));
	if (error != NULL) {
		started.not_executed = 1;
		started.error = *error;
	}
	join->all->tell(join->all->context, &started, terminal);
	is_told(join);
}

static void tell_exited(struct join *join)
{
	join->record.exited.head.serial = join->serial;
	join->all->tell(join->all->context, &join->record.exited, FD_NONE);
	is_told(join);
}

static void record_keep(const struct join *join)
{
	struct tn_error err = { 0 };

	if (record_write(join->all->dir_fd, &join->record, &err) < 0)
		log_event(LOG_ERR, "cannot note what has joined an execution",
		          LF_STR("error", err.msg), LF_END);
}

/* True at the end of the pipe: nothing more will come. */
static bool report_drain(struct join *join)
{
	struct init_report report;
	ssize_t n;

	while ((n = read(join->report.fd, &report, sizeof(report))) ==
	       (ssize_t)sizeof(report)) {
		if (report.stage == INIT_STAGE_EXECUTING) {
			join->executing = true;
		} else if (join->failure.error == 0) {
			join->failure = report;
			if (join->failure.error == 0)
				join->failure.error = EIO;
		}
	}
	return n == 0;
}

static bool has_executed(const struct join *join)
{
	return join->failure.error == 0 && join->executing;
}

/* Of what was begun as one the tenant-init is the parent of the command, which dies with it. */
static void kill_now(const struct join *join)
{
	if (join->pid.fd >= 0)
		(void)syscall(SYS_pidfd_send_signal, join->pid.fd, SIGKILL, NULL, 0);
}

/* False if the terminal it was to have is not there; then it ends. */
static bool terminal_take(struct join *join, int *ret_master)
{
	struct tn_error err = { 0 };

	if (join->terminal_fd < 0 || terminal_receive(join->terminal_fd, ret_master, &err) == 0)
		return true;
	log_event(LOG_ERR, "a command without its terminal is ended", LF_STR("error", err.msg),
	          LF_END);
	join->failure = (struct init_report){ .error = EIO };
	kill_now(join);
	return false;
}

static void started(struct join *join)
{
	cleanup_fd int terminal = FD_NONE;

	if (!terminal_take(join, &terminal))
		return;
	fd_closep(&join->terminal_fd);
	join->record.started = 1;
	tell_started(join, terminal, NULL);
	record_keep(join);
}

static void report_close(struct join *join)
{
	loop_remove(join->all->loop, &join->report);
	fd_closep(&join->report.fd);
}

static void report_ready(void *context, uint32_t events)
{
	struct join *join = context;

	(void)events;
	if (!report_drain(join))
		return;
	report_close(join);
	/* Otherwise the pidfd tells next. */
	if (has_executed(join))
		started(join);
}

/* What its tenant-init has left: untrusted, as of an execution's. */
static void exit_kind(const struct join *join, struct spec_exited *exited)
{
	struct init_status status;
	const bool told = record_status_read(join->status_fd, &status);

	if (join->failure.error != 0 && join->failure.stage == INIT_STAGE_EXEC) {
		exited->kind = SPEC_EXIT_NOT_EXECUTED;
		exited->exec_errno = join->failure.error;
	}
	if (told && status.kind == INIT_STATUS_WAITED) {
		exited->kind = SPEC_EXIT_STATUS;
		exited->wait_status = status.wait_status;
	} else if (told && status.kind == INIT_STATUS_NOT_EXECUTED) {
		exited->kind = SPEC_EXIT_NOT_EXECUTED;
		exited->exec_errno = status.error;
	}
}

/* The leaf's counters are the execution's. */
static const struct spec_counters no_counters = {
	SPEC_ABSENT, SPEC_ABSENT, SPEC_ABSENT, SPEC_ABSENT, SPEC_ABSENT,
	SPEC_ABSENT, SPEC_ABSENT, SPEC_ABSENT, SPEC_ABSENT, SPEC_ABSENT,
	SPEC_ABSENT, SPEC_ABSENT, SPEC_ABSENT, SPEC_ABSENT, SPEC_ABSENT,
};
static_assert(sizeof(no_counters) == 15 * sizeof(int64_t), "each of them is absent");

static void exited_fill(struct join *join)
{
	struct record *record = &join->record;
	struct spec_exited *exited = &record->exited;
	const struct execution *e = joined(join);

	*exited = (struct spec_exited){
		.head = { sizeof(*exited), SPEC_EXITED, SPEC_VERSION, 0 },
		.tenant = record->tenant,
		.execution = record->execution,
		.started_unix_usec = record->started_unix_usec,
		.ended_unix_usec = clock_usec(CLOCK_REALTIME),
		.wall_usec = clock_usec(CLOCK_BOOTTIME) - record->started_boot_usec,
		.joined = record->joined,
		.counters = no_counters,
	};
	memcpy(exited->policy_hash, record->policy_hash, sizeof(exited->policy_hash));
	exit_kind(join, exited);
	if (join->killed == SPEC_KILL_NONE && exited->kind == SPEC_EXIT_UNKNOWN && is_ending(e))
		join->killed = SPEC_KILL_WITH_EXECUTION;
	exited->killed = join->killed;
}

/* Failed before its command's exec, other than by being killed. */
static bool set_up_failed(const struct join *join)
{
	return join->failure.error != 0 && join->failure.stage != INIT_STAGE_EXEC &&
	       join->record.started == 0;
}

static void join_end(struct join *join)
{
	struct tn_error error = { 0 };

	if (set_up_failed(join)) {
		(void)child_error(join->failure.stage, join->failure.error, &error);
		tell_started(join, FD_NONE, &error);
		leftovers_record_remove(join->all, &join->node.id);
		join_free(join);
		return;
	}
	exited_fill(join);
	join->record.final = 1;
	record_keep(join);
	join->told = true;
	join->all->unsettled_n++;
	tell_exited(join);
	join_release(join);
}

static void pid_ready(void *context, uint32_t events)
{
	struct join *join = context;
	siginfo_t info;

	(void)events;
	/* Whatever was reported before the end lies in the pipe now. */
	if (join->report.fd >= 0) {
		(void)report_drain(join);
		report_close(join);
		if (has_executed(join))
			started(join);
	}
	/* At once: pid 1 cannot end before. */
	if (join->child)
		(void)waitid(P_PIDFD, (id_t)join->pid.fd, &info, WEXITED | WNOHANG);
	join_end(join);
}

/* The execution that can be joined now. */
static int execution_find(struct executions *all, const struct spec_join *request,
                          struct execution **ret, struct tn_error *err)
{
	struct execution *e = id_table_find(&all->table, &request->joins);

	if (e == NULL || e->leaf_fd < 0 || e->ended || !e->record.started ||
	    !id_equal(&e->record.tenant, &request->tenant))
		return err_refuse(err, TN_NOT_FOUND, "no such execution is running");
	if (e->filter == NULL || e->pid.fd < 0)
		return err_refuse(err, TN_STATE,
		                  "the execution cannot be joined: what it was launched with "
		                  "is not known any more");
	if (cg_frozen(e->tenant->cgroup_fd))
		return err_refuse(err, TN_STATE, "'%s' is suspended", e->tenant->name);
	if (e->joins_n >= JOINS_MAX)
		return err_refuse(err, TN_STATE, "%zu commands have joined the execution",
		                  e->joins_n);
	*ret = e;
	return 0;
}

static int request_check(struct executions *all, const struct spec_join *request,
                         const int *fds, size_t fds_n, struct tn_error *err)
{
	const size_t args = (request->flags & SPEC_JOIN_TTY) != 0 ? 0 : JOIN_STDIO_N;
	int r = bounds_check_join(request, err);

	if (r == 0 && fds_n != args + 1)
		r = err_refuse(err, TN_INVALID, "this takes %zu descriptors", args + 1);
	if (r == 0 && executions_have(all, &request->execution))
		r = err_refuse(err, TN_EXISTS, "the execution's id is taken");
	if (r == 0 && all->unsettled_n >= EXECUTIONS_UNSETTLED_MAX)
		r = err_refuse(err, TN_STATE, "%zu executions are not settled yet",
		               all->unsettled_n);
	for (size_t i = 0; r == 0 && i < args; i++) {
		r = fdcheck_stdio(fds[i], err);
		if (r < 0)
			return err_wrap(err, r, "descriptor %zu", i);
	}
	return r < 0 ? r : fdcheck_sealed(fds[args], request->args_bytes, err);
}

static void record_begin(struct join *join, const struct execution *e,
                         const struct spec_join *request)
{
	struct record *record = &join->record;

	record->tenant = request->tenant;
	memcpy(record->policy_hash, e->record.policy_hash, sizeof(record->policy_hash));
	record->started_unix_usec = clock_usec(CLOCK_REALTIME);
	record->started_boot_usec = clock_usec(CLOCK_BOOTTIME);
	record->deadline_boot_usec = SPEC_UNLIMITED;
	record->cpu_time_usec_max = SPEC_UNLIMITED;
	record->attached = 1;
	record->joined = (struct spec_joined){ request->joins, request->asked_uid,
		                               request->asked_pid };
}

/* What the execution was launched with, and of that what this command has of its own. */
static int launch_like(const struct executions *all, const struct spec_join *request,
                       struct spec_launch *ret, struct tn_error *err)
{
	const bool tty = (request->flags & SPEC_JOIN_TTY) != 0;
	int r = record_launch(all->dir_fd, &request->joins, ret, err);

	if (r < 0)
		return r;
	ret->flags &= ~(uint32_t)(SPEC_LAUNCH_NO_INIT | SPEC_LAUNCH_TTY);
	ret->flags |= tty ? SPEC_LAUNCH_TTY : 0;
	ret->argc = request->argc;
	ret->envc = request->envc;
	ret->args_bytes = request->args_bytes;
	ret->tty_rows = request->tty_rows;
	ret->tty_cols = request->tty_cols;
	if ((request->flags & SPEC_JOIN_USER) != 0) {
		ret->uid = request->uid;
		ret->gid = request->gid;
	}
	return 0;
}

/* @child: what is the child's of the sockets and pipes that are made here, to be closed. */
static int channels_make(struct join *join, struct join_clone *child, struct tn_error *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, "launch pipe");
	join->report.fd = ends[0];
	child->request.report_fd = ends[1];
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
		return err_errno(err, "launch pipe");
	if ((child->request.launch->flags & SPEC_LAUNCH_TTY) == 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return err_errno(err, "socket for a terminal");
	join->terminal_fd = ends[0];
	child->request.terminal_fd = ends[1];
	return 0;
}

/*
 * With the pid by which a later tenantd can find it. Only then may it begin: what that one does
 * not find has executed nothing. What fails here is told at its end, as what fails in it.
 */
static bool record_pid(struct join *join, int32_t error)
{
	struct tn_error err = { 0 };

	if (error != 0)
		join->failure = (struct init_report){ .stage = CHILD_OOM_SCORE,
			                              .error = error };
	if (record_write(join->all->dir_fd, &join->record, &err) < 0 &&
	    join->failure.error == 0)
		join->failure = (struct init_report){ .stage = CHILD_RECORD,
			                              .error = err.sys_errno };
	return join->failure.error == 0;
}

static int child_begin(struct join *join, const struct execution *e,
                       const struct spec_launch *launch, const int *fds, struct tn_error *err)
{
	const bool tty = (launch->flags & SPEC_LAUNCH_TTY) != 0;
	struct join_clone child = {
		.request = {
			.masks = join->all->masks,
			.launch = launch,
			.filter = execution_program(e->filter, launch),
			.leaf_fd = e->leaf_fd,
			.stdio_fds = { FD_NONE, FD_NONE, FD_NONE },
			.terminal_fd = FD_NONE,
			.args_fd = fds[tty ? 0 : JOIN_STDIO_N],
			.status_fd = join->status_fd,
			.report_fd = FD_NONE,
			.init_fd = join->all->init_fd,
			.core_bytes_max = execution_core_limit(launch->limits.core_bytes_max),
			.oom_score_adj = EXECUTION_OOM_SCORE_ADJ,
			.joins = true,
			.join_pid_fd = e->pid.fd,
		},
	};
	int r;

	if (!tty)
		memcpy(child.request.stdio_fds, fds, JOIN_STDIO_N * sizeof(*fds));
	r = channels_make(join, &child, err);
	/* Its end alone wakes us. */
	if (r == 0)
		r = loop_add(join->all->loop, &join->report, 0, err);
	if (r == 0)
		r = join_clone(&join->all->mounts_place, &child, err);
	fd_closep(&child.request.report_fd);
	fd_closep(&child.request.terminal_fd);
	if (r < 0)
		return r;
	join->pid.fd = child.pid_fd;
	join->record.pid = child.pid;
	join->child = true;
	unwatched_watch(join->all, &join->pid, &join->unwatched);
	join_clone_go(&child, record_pid(join, child.error));
	return 0;
}

/* Of what has no child. */
static void undo(struct join *join)
{
	leftovers_record_remove(join->all, &join->node.id);
	join_free(join);
}

int executions_join(struct executions *all, const struct spec_join *request, const int *fds,
                    size_t fds_n, struct tn_error *err)
{
	struct spec_launch launch;
	struct execution *e = NULL;
	struct join *join;
	int r = request_check(all, request, fds, fds_n, err);

	if (r == 0)
		r = execution_find(all, request, &e, err);
	if (r == 0)
		r = launch_like(all, request, &launch, err);
	if (r < 0)
		return r;
	assert(e != NULL);
	join = join_new(all, &request->execution);
	if (join == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "join");
	join->serial = request->head.serial;
	record_begin(join, e, request);
	join->counted = true;
	e->joins_n++;
	r = record_create(all->dir_fd, &join->record, NULL, &join->status_fd, err);
	if (r == 0)
		r = child_begin(join, e, &launch, fds, err);
	if (r < 0)
		undo(join);
	return r;
}

static struct join *running_find(struct executions *all, const struct id *id)
{
	struct join *join = id_table_find(&all->joins, id);

	return join != NULL && !join->told ? join : NULL;
}

bool joins_have(struct executions *all, const struct id *id)
{
	return running_find(all, id) != NULL;
}

bool joins_signal(struct executions *all, const struct id *id, int signal)
{
	const struct join *join = running_find(all, id);

	if (join == NULL)
		return false;
	/* Its tenant-init passes it on to the command's group. */
	if (join->pid.fd >= 0)
		(void)syscall(SYS_pidfd_send_signal, join->pid.fd, signal, NULL, 0);
	return true;
}

bool joins_kill(struct executions *all, const struct id *id, enum spec_kill_why why)
{
	struct join *join = running_find(all, id);

	if (join == NULL)
		return false;
	if (join->killed == SPEC_KILL_NONE)
		join->killed = why;
	kill_now(join);
	return true;
}

bool joins_settled(struct executions *all, const struct id *id)
{
	struct join *join = id_table_find(&all->joins, id);

	if (join == NULL)
		return false;
	if (join->told) {
		leftovers_record_remove(all, id);
		all->unsettled_n--;
		join_free(join);
	}
	return true;
}

static void look_at(void *member, void *context)
{
	struct join *join = member;

	unwatched_look(context, &join->pid, &join->unwatched);
}

void joins_look(struct executions *all)
{
	id_table_each(&all->joins, look_at, all);
}

static void replay_one(void *member, void *context)
{
	struct join *join = member;

	(void)context;
	join->serial = 0;
	join->untold = false;
	if (join->told) {
		tell_exited(join);
	} else if (join->record.started != 0) {
		tell_started(join, FD_NONE, NULL);
	} else {
		join->untold = true;
		join->all->untold_n++;
	}
}

void joins_replay(struct executions *all)
{
	id_table_each(&all->joins, replay_one, NULL);
}

/*
 * The launch pipe has gone with the tenantd before us. What has executed by now had got so far
 * that its command has, or does in a moment; what has not is ended, and nobody is told that it
 * never ran, since its command may have.
 */
static void adopt_running(struct join *join, struct execution *e)
{
	e->joins_n++;
	join->counted = true;
	if (join->record.started == 0 && execution_has_executed(join->record.pid)) {
		join->record.started = 1;
		record_keep(join);
	} else if (join->record.started == 0) {
		kill_now(join);
	}
	unwatched_watch(join->all, &join->pid, &join->unwatched);
}

void joins_adopt(const struct record *record, void *context)
{
	struct executions *all = context;
	struct init_status status;
	struct execution *e;
	struct join *join;

	if (id_is_none(&record->joined.joins))
		return;
	join = join_new(all, &record->execution);
	if (join == NULL)
		return;
	join->record = *record;
	if (record->final) {
		join->told = true;
		all->unsettled_n++;
		return;
	}
	e = joined(join);
	join->status_fd = record_status_open(all->dir_fd, &join->node.id);
	if (e != NULL && e->leaf_fd >= 0)
		join->pid.fd = execution_pid_open(e->leaf_fd, join->record.pid);
	if (join->pid.fd >= 0) {
		adopt_running(join, e);
	} else if (record->started == 0 && !record_status_read(join->status_fd, &status)) {
		/* As if it had never been: whoever wanted it may ask again. */
		leftovers_record_remove(all, &join->node.id);
		join_free(join);
	} else {
		join_end(join);
	}
}

static void drop_one(void *member, void *context)
{
	(void)context;
	join_free(member);
}

void joins_done(struct executions *all)
{
	id_table_each(&all->joins, drop_one, NULL);
}
