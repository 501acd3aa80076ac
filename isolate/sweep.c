/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/log.h>
#include <base/name.h>

#include "cgroup.h"
#include "squeeze.h"

/* What was killed takes a moment to go. */
#define SWEEP_TRIES    100
#define SWEEP_TRY_NSEC 5000000

struct sweep {
	struct executions *executions;
	/* Of the slot table, in order: there may be as many directories as slots. */
	const char **names; /* of slots that are taken */
	struct id *ids;     /* of these and of retired ones */
	size_t names_n, ids_n;
};

typedef void sweep_fn(const struct sweep *sweep, int dir_fd, const char *name);

/* Call @visit for each directory in @fd. */
static void each_child(const struct sweep *sweep, int fd, sweep_fn *visit)
{
	int list_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
	const struct dirent *entry;

	if (dir == NULL) {
		log_event(LOG_ERR, "a directory cannot be looked into for what is left over",
		          LF_STR("error", strerror(errno)), LF_END);
		fd_closep(&list_fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			visit(sweep, fd, entry->d_name);
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

static void visit_leaf(const struct sweep *sweep, int tenant_fd, const char *name)
{
	struct tn_error err = { 0 };
	struct id id;

	if (id_parse(name, &id) < 0 || id_table_find(&sweep->executions->table, &id) != NULL)
		return;
	if (leaf_end(tenant_fd, name, &err) < 0)
		log_event(LOG_ERR, "a leaf that no execution has cannot be removed",
		          LF_STR("execution", name), LF_STR("error", err.msg), LF_END);
	else
		log_event(LOG_WARNING, "a leaf that no execution had is removed",
		          LF_STR("execution", name), LF_END);
}

/* Memory that was being taken back when the tenantd before us ended. */
static void squeeze_left(int tenant_fd, const char *name)
{
	struct tn_error err = { 0 };
	const int r = squeeze_recover(tenant_fd, &err);

	if (r < 0)
		log_event(LOG_ERR, "a tenant's memory.high cannot be put back",
		          LF_STR("tenant", name), LF_STR("error", err.msg), LF_END);
	else if (r > 0)
		log_event(LOG_WARNING, "a tenant's memory.high is put back",
		          LF_STR("tenant", name), LF_END);
}

/* A tenantd that died between a tenant's cgroup and its slot's end has left it. */
static void node_remove(int root_fd, const char *name)
{
	if (unlinkat(root_fd, name, AT_REMOVEDIR) < 0)
		log_event(LOG_ERR, "a control group that no tenant has cannot be removed",
		          LF_STR("tenant", name), LF_STR("error", strerror(errno)), LF_END);
	else
		log_event(LOG_WARNING, "a control group that no tenant had is removed",
		          LF_STR("tenant", name), LF_END);
}

static int name_compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int id_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct id));
}

static void visit_tenant(const struct sweep *sweep, int root_fd, const char *name)
{
	cleanup_fd int fd = FD_NONE;

	if (!name_valid(name))
		return;
	fd = openat(root_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	squeeze_left(fd, name);
	each_child(sweep, fd, visit_leaf);
	if (bsearch(&name, sweep->names, sweep->names_n, sizeof(*sweep->names), name_compare) ==
	    NULL)
		node_remove(root_fd, name);
}

/* Nobody knows whose it was, and somebody may miss it: it is not ours to remove. */
static void visit_stored(const struct sweep *sweep, int dir_fd, const char *name)
{
	struct id id;

	(void)dir_fd;
	if (id_parse(name, &id) == 0 &&
	    bsearch(&id, sweep->ids, sweep->ids_n, sizeof(id), id_compare) == NULL)
		log_event(LOG_WARNING, "a directory in storage_root is no tenant's: it is left",
		          LF_STR("directory", name), LF_END);
}

static int index_slots(struct sweep *sweep, const struct slots *slots)
{
	size_t n = 0;
	struct id id;

	for (int64_t i = -1; (i = slots_taken(slots, i + 1, &id)) >= 0;)
		n++;
	for (int64_t i = -1; (i = slots_retired(slots, i + 1, &id)) >= 0;)
		n++;
	sweep->names = calloc(n + 1, sizeof(*sweep->names));
	sweep->ids = calloc(n + 1, sizeof(*sweep->ids));
	if (sweep->names == NULL || sweep->ids == NULL)
		return -ENOMEM;
	for (int64_t i = -1; (i = slots_taken(slots, i + 1, &id)) >= 0;) {
		sweep->names[sweep->names_n++] = slots_name(slots, i);
		sweep->ids[sweep->ids_n++] = id;
	}
	for (int64_t i = -1; (i = slots_retired(slots, i + 1, &id)) >= 0;)
		sweep->ids[sweep->ids_n++] = id;
	qsort(sweep->names, sweep->names_n, sizeof(*sweep->names), name_compare);
	qsort(sweep->ids, sweep->ids_n, sizeof(*sweep->ids), id_compare);
	return 0;
}

void executions_sweep(struct executions *executions)
{
	struct sweep sweep = { .executions = executions };
	cleanup_fd int storage_fd = open(executions->bounds->storage_root,
	                                 O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (index_slots(&sweep, executions->tenants->slots) < 0) {
		log_event(LOG_ERR, "what is left over cannot be looked for",
		          LF_STR("error", strerror(ENOMEM)), LF_END);
	} else {
		each_child(&sweep, executions->tenants->hierarchy->root_fd, visit_tenant);
		if (storage_fd >= 0)
			each_child(&sweep, storage_fd, visit_stored);
	}
	free(sweep.names);
	free(sweep.ids);
}
