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
#include <sys/syscall.h>
#include <syslog.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/io.h>
#include <base/log.h>

#include "cgroup.h"
#include "execution_state.h"

#define ADOPT_PROCS_BYTES_MAX 65536

/* Is @pid listed in the leaf? Asked after its pidfd is open, so it cannot be another. */
static bool in_leaf(int leaf_fd, int32_t pid)
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

static int running_pid_fd(const struct execution *e)
{
	int fd;

	if (e->record.pid <= 0)
		return FD_NONE;
	fd = (int)syscall(SYS_pidfd_open, e->record.pid, 0);
	if (fd >= 0 && !in_leaf(e->leaf_fd, e->record.pid))
		fd_closep(&fd);
	return fd < 0 ? FD_NONE : fd;
}

/*
 * Until it executes something it is tenantd's own program; that of the tenantd before us may
 * have been replaced, which the kernel says behind the path.
 */
static bool has_executed(const struct execution *e)
{
	char path[32], theirs[PATH_MAX] = "", ours[PATH_MAX] = "";

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", e->record.pid);
	return readlink(path, theirs, sizeof(theirs) - 1) > 0 &&
	       readlink("/proc/self/exe", ours, sizeof(ours) - 1) > 0 &&
	       strncmp(theirs, ours, strlen(ours)) != 0;
}

/* Its start, which the tenantd before us did not live to note. */
static void start_adopt(struct execution *e)
{
	struct tn_error err = { 0 };

	if (e->record.started || !has_executed(e))
		return;
	e->record.started = 1;
	if (record_write(e->all->dir_fd, &e->record, &err) < 0)
		log_event(LOG_ERR, "cannot note a start", LF_STR("error", err.msg), LF_END);
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

/*
 * The tenantd before us ended while it was set up, and with that so did it: whatever executes
 * a command leaves a status, unless it is killed. Then it has never been, and whoever wanted
 * it may ask again. False if it cannot be told, or something is there still.
 */
static bool never_was(const struct execution *e, const char *name)
{
	struct spec_counters counters = { 0 };
	struct init_status status;
	struct tn_error err = { 0 };

	if (e->record.started || e->record.no_init || e->leaf_fd < 0 || e->status_fd < 0 ||
	    record_status_read(e->status_fd, &status))
		return false;
	cg_counters_read(e->leaf_fd, e->all->controllers, &e->counters, &counters);
	return counters.oom_kills <= 0 && cg_leaf_remove(e->tenant->cgroup_fd, name, &err) == 0;
}

static void forget(struct execution *e)
{
	e->all->running_n--;
	record_remove(e->all->dir_fd, &e->node.id);
	execution_free(e);
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
	pid_fd = e->leaf_fd < 0 ? FD_NONE : running_pid_fd(e);
	/* The kernel is right about what is frozen: we may have ended between its word and
	 * ours.
	 */
	execution_freeze(e, cg_frozen(e->tenant->cgroup_fd), clock_usec(CLOCK_BOOTTIME));
	if (execution_watch(e, pid_fd, &err) < 0 && pid_fd >= 0) {
		log_event(LOG_ERR, "cannot watch an adopted execution",
		          LF_STR("execution", name), LF_STR("error", err.msg), LF_END);
		return;
	}
	if (pid_fd < 0 && never_was(e, name)) {
		forget(e);
		return;
	}
	if (pid_fd < 0) {
		execution_end(e);
		return;
	}
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
	struct execution *e = execution_new(all, &record->execution);
	struct tn_error err = { 0 };

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
		record_remove(all->dir_fd, &record->execution);
		execution_free(e);
		return;
	}
	e->tenant->executions_n++;
	adopt_running(e);
}

int executions_adopt(struct executions *executions, struct tn_error *err)
{
	return record_each(executions->dir_fd, adopt_one, executions, err);
}
