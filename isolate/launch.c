/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a request to a running workload. Everything that can fail for reasons of ours is
 * done before clone3; what the child could not do comes back through the launch pipe.
 */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/io.h>

#include "bind.h"
#include "execution_state.h"
#include "fdcheck.h"
#include "template.h"

#define LAUNCH_STDIO_N 3

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* How many descriptors come before that of the arguments, behind which the binds are. */
static size_t stdio_n(const struct spec_launch *launch)
{
	return (launch->flags & SPEC_LAUNCH_TTY) != 0 ? 0 : LAUNCH_STDIO_N;
}

/*
 * Which paths a tenant may be shown is policy, but a mapped bind gives what is some user's
 * of the host to the same number inside: not all of the host may be up to the controller.
 */
static int binds_check(const struct executions *all, const struct spec_launch *launch,
                       const int *fds, struct tn_error *err)
{
	int r = bind_check(launch, fds, err);

	for (uint32_t i = 0; r == 0 && i < launch->binds_n; i++) {
		r = fdcheck_beneath(fds[i], all->bounds->bind_root, err);
		if (r < 0)
			return err_wrap(err, r, "bind to %s", launch->binds[i].target);
	}
	return r;
}

static int request_check(struct executions *all, const struct spec_launch *launch,
                         const int *fds, size_t fds_n, struct tn_error *err)
{
	const size_t args = stdio_n(launch);
	int r;

	if (launch->binds_n > SPEC_BINDS_MAX || fds_n != args + 1 + launch->binds_n)
		return err_refuse(err, TN_INVALID,
		                  "this launch takes %zu descriptors and one per bind",
		                  args + 1);
	if (executions_have(all, &launch->execution))
		return err_refuse(err, TN_EXISTS, "the execution's id is taken");
	if (all->unsettled_n >= EXECUTIONS_UNSETTLED_MAX)
		return err_refuse(err, TN_STATE, "%zu executions are not settled yet",
		                  all->unsettled_n);
	r = bounds_check_launch(all->bounds, launch, err);
	for (size_t i = 0; r == 0 && i < args; i++) {
		r = fdcheck_stdio(fds[i], err);
		if (r < 0)
			return err_wrap(err, r, "descriptor %zu", i);
	}
	if (r == 0)
		r = fdcheck_sealed(fds[args], launch->args_bytes, err);
	return r < 0 ? r : binds_check(all, launch, fds + args + 1, err);
}

static void record_begin(struct execution *e, const struct spec_launch *launch)
{
	struct record *record = &e->record;
	const int64_t now = clock_usec(CLOCK_BOOTTIME);

	record->tenant = launch->tenant;
	memcpy(record->policy_hash, launch->policy_hash, sizeof(record->policy_hash));
	record->filter = e->filter->number;
	record->no_init = (launch->flags & SPEC_LAUNCH_NO_INIT) != 0;
	record->attached = (launch->flags & SPEC_LAUNCH_ATTACHED) != 0;
	record->started_unix_usec = clock_usec(CLOCK_REALTIME);
	record->started_boot_usec = now;
	record->kill_after_usec = launch->limits.kill_after_usec;
	record->cpu_time_usec_max = launch->limits.cpu_time_usec_max;
	if (__builtin_add_overflow(now, launch->limits.runtime_usec_max,
	                           &record->deadline_boot_usec))
		record->deadline_boot_usec = SPEC_UNLIMITED;
	record->kill_boot_usec = SPEC_UNLIMITED;
	record->tenant_throttled_usec = tenant_throttled_usec(e->tenant, e->all->controllers);
}

/* The sandbox shows the leaf's own figures where they are tighter than the tenant's. */
static uint32_t leaf_files(const struct spec_execution_limits *leaf,
                           const struct spec_tenant_limits *tenant)
{
	const struct {
		const char *prefix;
		bool tighter;
	} rows[] = {
		{ "memory.", leaf->memory_max_bytes < tenant->memory_max_bytes },
		{ "cpu.", leaf->cpu_quota_usec < tenant->cpu_quota_usec },
		{ "pids.", leaf->tasks_max < tenant->tasks_max },
	};
	uint32_t files = 0;

	for (unsigned int i = 0; i < TEMPLATE_CGROUP_FILES_N; i++)
		for (size_t row = 0; row < ARRAY_LEN(rows); row++)
			if (rows[row].tighter &&
			    strncmp(template_cgroup_file(i), rows[row].prefix,
			            strlen(rows[row].prefix)) == 0)
				files |= 1u << i;
	return files;
}

/*
 * A core_pattern helper runs outside the tenant, without a limit. The kernel starts none
 * at an RLIMIT_CORE of exactly 1, but does at 0; so 1 stands for "no core", and for any
 * size on a host where core_pattern is a pipe.
 */
int64_t execution_core_limit(int64_t wanted)
{
	char pattern[256] = "";

	if (wanted <= 1 ||
	    io_read_file_at(AT_FDCWD, "/proc/sys/kernel/core_pattern", pattern,
	                    sizeof(pattern)) < 1 ||
	    pattern[0] == '|')
		return 1;
	return wanted;
}

/* A socket for the terminal's master: tenantd's end is the execution's. */
static int terminal_socket(struct execution *e, int *ret_child_fd, struct tn_error *err)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return err_errno(err, "socket for a terminal");
	e->terminal_fd = ends[0];
	*ret_child_fd = ends[1];
	return 0;
}

/*
 * Without its mounts a child does not get the word to go on. What fails here is told as what
 * fails in the child, at its end.
 */
static void mounts_failed(struct execution *e, const struct mounts *mounts)
{
	struct tn_error lost = { 0 };

	if (mounts->error != 0)
		e->failure = (struct init_report){ .stage = mounts->failed_stage,
			                           .error = mounts->error };
	(void)cg_kill(e->leaf_fd, &lost);
}

static int32_t child_pid(void *context)
{
	return launcher_pid(context);
}

/* Both at once: the child is cloned while its mounts are made. */
static int child_and_mounts(struct execution *e, const struct child_request *request,
                            int *ret_pid_fd, struct tn_error *err)
{
	struct launching launching;
	struct mounts mounts = {
		.request = request,
		.child_pid = child_pid,
		.context = &launching,
		.keeper_fd = e->all->keeper.source.fd,
	};
	int r;

	launcher_begin(&e->all->launchers, request, &launching);
	mounts_make(&e->all->mounts_place, &mounts);
	e->mounts_kept = mounts.kept;
	e->turn = launching.turn;
	r = launcher_finish(&launching, &e->record.pid, ret_pid_fd, err);
	/* Only the child's own is to be left: who sends to it hears of its end. */
	(void)close(request->mounts_fd);
	e->child = r == 0;
	if (r == 0 && !mounts.made)
		mounts_failed(e, &mounts);
	return r;
}

/* With both ends: the child closes tenantd's, and so hears of tenantd's end too. */
static int child_with_mounts(struct execution *e, struct child_request *request,
                             int *ret_pid_fd, struct tn_error *err)
{
	int ends[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_errno(err, "socket for the mounts");
	request->mounts_peer_fd = ends[0];
	request->mounts_fd = ends[1];
	r = child_and_mounts(e, request, ret_pid_fd, err);
	(void)close(ends[0]);
	return r;
}

const struct sock_fprog *execution_program(const struct filter *filter,
                                           const struct spec_launch *launch)
{
	for (uint32_t i = 0; i < launch->binds_n; i++)
		if (launch->binds[i].writable)
			return &filter->host_files;
	return &filter->usual;
}

static int child_start(struct execution *e, const struct spec_launch *launch, const int *fds,
                       struct tn_error *err)
{
	const struct tenant *tenant = e->tenant;
	const size_t args = stdio_n(launch);
	struct child_request request = {
		.context = &tenant->context,
		.masks = e->all->masks,
		.launch = launch,
		.filter = execution_program(tenant->filter, launch),
		.leaf_fd = e->leaf_fd,
		.leaf_files = leaf_files(&launch->limits, &tenant->limits),
		.stdio_fds = { FD_NONE, FD_NONE, FD_NONE },
		.terminal_fd = FD_NONE,
		.args_fd = fds[args],
		.status_fd = e->status_fd,
		.init_fd = e->all->init_fd,
		.host_mnt_fd = e->all->host_mnt_fd,
		.memory_max_bytes = smaller(launch->limits.memory_max_bytes,
		                            tenant->limits.memory_max_bytes),
		.core_bytes_max = execution_core_limit(launch->limits.core_bytes_max),
		.oom_score_adj = EXECUTION_OOM_SCORE_ADJ,
	};
	cleanup_fd int report_fd = FD_NONE, terminal_fd = FD_NONE;
	int ends[2], pid_fd = FD_NONE, r = 0;

	memcpy(request.stdio_fds, fds, args * sizeof(*fds));
	memcpy(request.bind_fds, fds + args + 1, launch->binds_n * sizeof(*fds));
	if ((launch->flags & SPEC_LAUNCH_TTY) != 0)
		r = terminal_socket(e, &terminal_fd, err);
	if (r < 0)
		return r;
	request.terminal_fd = terminal_fd;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, "launch pipe");
	e->report.fd = ends[0];
	report_fd = ends[1];
	request.report_fd = report_fd;
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
		return err_errno(err, "launch pipe");
	/* Its end alone wakes us (EPOLLHUP, which needs no asking for): the exec. */
	r = loop_add(e->all->loop, &e->report, 0, err);
	if (r == 0)
		r = execution_clocks(e, err);
	if (r == 0)
		r = child_with_mounts(e, &request, &pid_fd, err);
	if (r < 0)
		return r;
	execution_watch(e, pid_fd);
	return 0;
}

/* Reverse what a launch has made that has no child. */
static void launch_undo(struct execution *e, const char *leaf_name)
{
	struct tn_error lost = { 0 };

	if (e->mounts_kept)
		(void)keeper_drop(&e->all->keeper, &e->node.id, &lost);
	if (e->leaf_fd >= 0)
		(void)cg_leaf_remove(e->tenant->cgroup_fd, leaf_name, &lost);
	leftovers_record_remove(e->all, &e->node.id);
}

/*
 * Again, with the pid by which a later tenantd can find it. A child that is there is not waited
 * for, since its tenant says when it ends: the failure is told then, as one of its own.
 */
static void record_pid(struct execution *e)
{
	struct tn_error err = { 0 }, lost = { 0 };

	if (record_write(e->all->dir_fd, &e->record, &err) == 0)
		return;
	if (e->failure.error == 0)
		e->failure = (struct init_report){ .stage = CHILD_RECORD,
			                           .error = err.sys_errno };
	(void)cg_kill(e->leaf_fd, &lost);
}

static int launch_into(struct execution *e, const struct spec_launch *launch, const int *fds,
                       struct tn_error *err)
{
	const bool oom_group = (launch->flags & SPEC_LAUNCH_OOM_GROUP) != 0;
	char name[ID_TEXT_BYTES];
	int r;

	id_format(&launch->execution, name);
	e->leaf_fd = cg_leaf_create(e->tenant->cgroup_fd, name, &launch->limits, oom_group,
	                            e->all->controllers, err);
	if (e->leaf_fd < 0)
		return e->leaf_fd;
	e->filter = filter_use(e->tenant->filter);
	record_begin(e, launch);
	r = record_create(e->all->dir_fd, &e->record, launch, &e->status_fd, err);
	if (r == 0)
		r = child_start(e, launch, fds, err);
	if (r < 0)
		launch_undo(e, name);
	else
		record_pid(e);
	return r;
}

int executions_launch(struct executions *executions, const struct spec_launch *launch,
                      const int *fds, size_t fds_n, struct tn_error *err)
{
	struct tenant *tenant = NULL;
	struct execution *e;
	int r = request_check(executions, launch, fds, fds_n, err);

	if (r == 0)
		r = tenants_prepare(executions->tenants, &launch->tenant, &tenant, err);
	if (r < 0)
		return r;
	assert(tenant != NULL);
	if (cg_frozen(tenant->cgroup_fd))
		return err_refuse(err, TN_STATE, "'%s' is suspended", tenant->name);

	e = execution_new(executions, &launch->execution);
	if (e == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "execution");
	e->serial = launch->head.serial;
	e->tenant = tenant;
	tenant->executions_n++;
	id_table_add(&executions->table, &e->node);
	r = launch_into(e, launch, fds, err);
	if (r < 0) {
		execution_free(e);
		return r;
	}
	executions->running_n++;
	/* The child is on its way, and we have nothing else to do meanwhile. */
	if (executions->running_n <= EXECUTIONS_COUNTERS_OPEN_MAX)
		cg_counter_files_open(&e->counters, e->leaf_fd, executions->controllers);
	e->setting_up = true;
	tenant->setting_up_n++;
	return 0;
}

bool executions_crowded(const struct executions *executions, const struct id *tenant)
{
	const struct tenant *found = tenants_find(executions->tenants, tenant);

	/* A frozen one takes no launch, and that is to be said at once. */
	return found != NULL &&
	       found->setting_up_n >= (tenant_is_throttled(found)
	                                       ? EXECUTIONS_SETTING_UP_THROTTLED_MAX
	                                       : EXECUTIONS_SETTING_UP_MAX) &&
	       !cg_frozen(found->cgroup_fd);
}
