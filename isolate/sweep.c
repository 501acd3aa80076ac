/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/log.h>
#include <base/name.h>

#include "cgroup.h"

/* What was killed takes a moment to go. */
#define SWEEP_TRIES    100
#define SWEEP_TRY_NSEC 5000000

typedef void sweep_fn(struct executions *executions, int dir_fd, const char *name);

/* Call @visit for each directory in the cgroup @fd. */
static void each_child(struct executions *executions, int fd, sweep_fn *visit)
{
	int list_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
	const struct dirent *entry;

	if (dir == NULL) {
		log_event(LOG_ERR,
		          "a control group cannot be looked into for what is left over",
		          LF_STR("error", strerror(errno)), LF_END);
		fd_closep(&list_fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			visit(executions, fd, entry->d_name);
	(void)closedir(dir);
}

static int leaf_end(int tenant_fd, const char *name, struct tn_error *err)
{
	const struct timespec pause = { .tv_nsec = SWEEP_TRY_NSEC };
	cleanup_fd int leaf_fd = openat(tenant_fd, name,
	                                O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int r = cg_leaf_remove(tenant_fd, name, err);

	if (r == -EBUSY && leaf_fd >= 0)
		(void)cg_kill(leaf_fd, err);
	for (int i = 0; r == -EBUSY && i < SWEEP_TRIES; i++) {
		(void)nanosleep(&pause, NULL);
		r = cg_leaf_remove(tenant_fd, name, err);
	}
	return r;
}

static void visit_leaf(struct executions *executions, int tenant_fd, const char *name)
{
	struct tn_error err = { 0 };
	struct id id;

	if (id_parse(name, &id) < 0 || id_table_find(&executions->table, &id) != NULL)
		return;
	if (leaf_end(tenant_fd, name, &err) < 0)
		log_event(LOG_ERR, "a leaf that no execution has cannot be removed",
		          LF_STR("execution", name), LF_STR("error", err.msg), LF_END);
	else
		log_event(LOG_WARNING, "a leaf that no execution had is removed",
		          LF_STR("execution", name), LF_END);
}

static void visit_tenant(struct executions *executions, int root_fd, const char *name)
{
	cleanup_fd int fd = FD_NONE;

	if (!name_valid(name))
		return;
	fd = openat(root_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0)
		each_child(executions, fd, visit_leaf);
}

void executions_sweep(struct executions *executions)
{
	each_child(executions, executions->tenants->hierarchy->root_fd, visit_tenant);
}
