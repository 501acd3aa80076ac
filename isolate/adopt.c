/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * After a restart: every execution that has a record is taken over again. One that runs
 * is found by the pid in its record, which counts only if that process is still in the
 * execution's own leaf; one that has ended is settled from its leaf and status file.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <syslog.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/io.h>
#include <base/log.h>

#include "cgroup.h"
#include "execution_state.h"
#include "join.h"

#define ADOPT_PROCS_BYTES_MAX 65536
#define ADOPT_LOOK_NSEC       20000000

static bool leaf_has(int leaf_fd, int32_t pid)
{
	char *text = malloc(ADOPT_PROCS_BYTES_MAX);
	char wanted[16];
	bool found = false;

	if (text != NULL &&
	    io_read_file_at(leaf_fd, "cgroup.procs", text, ADOPT_PROCS_BYTES_MAX) > 0) {
		char *save = NULL;

		(void)snprintf(wanted, sizeof(wanted), "%d", pid);
		for (char *line = strtok_r(text, "\n", &save); line != NULL && !found;
		     line = strtok_r(NULL, "\n", &save))
			found = strcmp(line, wanted) == 0;
	}
	free(text);
	return found;
}

int execution_pid_open(int leaf_fd, int32_t pid)
{
	int fd;

	if (pid <= 0)
		return FD_NONE;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	/* Looked for after its pidfd is open: so it cannot be another. */
	if (fd >= 0 && !leaf_has(leaf_fd, pid))
		fd_closep(&fd);
	return fd < 0 ? FD_NONE : fd;
}

/*
 * Until it executes something it is tenantd's own program; that of the tenantd before us may
 * have been replaced, which the kernel says behind the path.
 */
bool execution_has_executed(int32_t pid)
{
	char path[32], theirs[PATH_MAX] = "", ours[PATH_MAX] = "";

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return readlink(path, theirs, sizeof(theirs) - 1) > 0 &&
	       readlink("/proc/self/exe", ours, sizeof(ours) - 1) > 0 &&
	       strncmp(theirs, ours, strlen(ours)) != 0;
}

/* The tenantd before us did not live to note it. */
static void start_note(struct execution *e)
{
	struct tn_error err = { 0 };

	e->record.started = 1;
	if (record_write(e->all->dir_fd, &e->record, &err) < 0)
		log_event(LOG_ERR, "cannot note a start", LF_STR("error", err.msg), LF_END);
}

/* Its launch pipe went with the tenantd before us: it has to be looked at. */
static void beginning_look(void *context, uint32_t events)
{
	struct execution *e = context;
	uint64_t ticks;

	(void)events;
	(void)!read(e->beginning.fd, &ticks, sizeof(ticks));
	if (!e->ended && !execution_has_executed(e->record.pid))
		return;
	loop_remove(e->all->loop, &e->beginning);
	fd_closep(&e->beginning.fd);
	if (e->ended)
		return;
	start_note(e);
	execution_tell_started(e, true, FD_NONE, NULL);
	execution_is_told(e);
}

static int beginning_watch(struct execution *e, struct tn_error *err)
{
	const struct itimerspec looks = { .it_value = { .tv_nsec = ADOPT_LOOK_NSEC },
		                          .it_interval = { .tv_nsec = ADOPT_LOOK_NSEC } };

	e->beginning = (struct loop_source){
		timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), beginning_look, e
	};
	if (e->beginning.fd < 0 || timerfd_settime(e->beginning.fd, 0, &looks, NULL) < 0)
		return err_errno(err, "a timer");
	return loop_add(e->all->loop, &e->beginning, EPOLLIN, err);
}

/* It runs, or is on its way: then who makes its mounts may have lived on, and so it may, too.
 */
static void start_adopt(struct execution *e)
{
	struct tn_error err = { 0 };

	if (e->record.started)
		return;
	if (execution_has_executed(e->record.pid))
		start_note(e);
	else if (beginning_watch(e, &err) < 0)
		log_event(LOG_ERR, "a start will not be told", LF_STR("error", err.msg),
		          LF_END);
}

/* It has its mounts from an earlier tenantd, whose keeper has died with it. */
static void mounts_adopt(struct execution *e)
{
	struct keeper_mounts kept = { .ns_fd = FD_NONE };
	struct tn_error err = { 0 };
	cleanup_fd int fd = FD_NONE;
	char path[48];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/mnt", e->record.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	kept.ns_fd = fd;
	e->mounts_kept = fd >= 0 &&
	                 keeper_hold(e->all->keeper.source.fd, &e->node.id, &kept, &err) == 0;
}

static void adopt_running(struct execution *e)
{
	char name[ID_TEXT_BYTES];
	struct tn_error err = { 0 };
	int pid_fd;

	id_format(&e->node.id, name);
	e->leaf_fd = openat(e->tenant->cgroup_fd, name,
	                    O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	e->status_fd = record_status_open(e->all->dir_fd, &e->node.id);
	e->all->running_n++;
	pid_fd = e->leaf_fd < 0 ? FD_NONE : execution_pid_open(e->leaf_fd, e->record.pid);
	/* The kernel is right about what is frozen: we may have ended between its word and
	 * ours.
	 */
	execution_freeze(e, cg_frozen(e->tenant->cgroup_fd), clock_usec(CLOCK_BOOTTIME));
	/* Its end is waited for all the same. */
	if (execution_clocks(e, &err) < 0 && pid_fd >= 0)
		log_event(LOG_ERR, "an adopted execution has no deadline",
		          LF_STR("execution", name), LF_STR("error", err.msg), LF_END);
	if (pid_fd < 0) {
		execution_end(e);
		return;
	}
	execution_watch(e, pid_fd);
	start_adopt(e);
	mounts_adopt(e);
	log_event(LOG_INFO, "execution adopted", LF_STR("execution", name),
	          LF_STR("tenant", e->tenant->name), LF_END);
}

/* The end was written, but the restart may have come before the leaf was removed. */
static void leaf_sweep(struct executions *all, const struct record *record)
{
	struct tn_error err = { 0 };
	char name[ID_TEXT_BYTES];
	struct tenant *tenant;

	id_format(&record->execution, name);
	if (tenants_adopt(all->tenants, &record->tenant, &tenant, &err) == 0)
		(void)cg_leaf_remove(tenant->cgroup_fd, name, &err);
}

static void adopt_one(const struct record *record, void *context)
{
	struct executions *all = context;
	struct tn_error err = { 0 };
	struct execution *e;

	if (!id_is_none(&record->joined.joins))
		return;
	e = execution_new(all, &record->execution);
	if (e == NULL)
		return;
	e->record = *record;
	id_table_add(&all->table, &e->node);
	if (record->final) {
		e->told = true;
		all->unsettled_n++;
		leaf_sweep(all, record);
		return;
	}
	if (tenants_adopt(all->tenants, &record->tenant, &e->tenant, &err) < 0) {
		log_event(LOG_WARNING, "an execution's record has no tenant any more",
		          LF_STR("error", err.msg), LF_END);
		leftovers_record_remove(all, &record->execution);
		execution_free(e);
		return;
	}
	e->tenant->executions_n++;
	e->filter = filters_find(all->tenants->filters, record->filter);
	adopt_running(e);
}

int executions_adopt(struct executions *executions, struct tn_error *err)
{
	int r = record_each(executions->dir_fd, adopt_one, executions, err);

	/* They look for those that they have joined. */
	return r < 0 ? r : record_each(executions->dir_fd, joins_adopt, executions, err);
}
