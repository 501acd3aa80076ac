/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hierarchy.h"

#include <fcntl.h>
#include <inttypes.h>
#include <libcgroup.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/io.h>
#include <base/num.h>

#define VALUE_BYTES_MAX 64

static const struct controller {
	const char *name;
	enum spec_controller bit;
} controllers[] = {
	{ "cpu", SPEC_CONTROLLER_CPU },
	{ "memory", SPEC_CONTROLLER_MEMORY },
	{ "pids", SPEC_CONTROLLER_PIDS },
	{ "io", SPEC_CONTROLLER_IO },
};

/*
 * One row per attribute of a tenant's node. Adding a limit means adding a field to
 * struct spec_tenant_limits and a row here.
 */
static const struct attribute {
	const char *controller; /* NULL: a core file of every node */
	const char *file;
	size_t offset;
} attributes[] = {
	{ "cpu", "cpu.max", offsetof(struct spec_tenant_limits, cpu_quota_usec) },
	{ "cpu", "cpu.weight", offsetof(struct spec_tenant_limits, cpu_weight) },
	{ "memory", "memory.max", offsetof(struct spec_tenant_limits, memory_max_bytes) },
	{ "memory", "memory.high", offsetof(struct spec_tenant_limits, memory_high_bytes) },
	{ "memory", "memory.swap.max",
	  offsetof(struct spec_tenant_limits, memory_swap_max_bytes) },
	{ "pids", "pids.max", offsetof(struct spec_tenant_limits, tasks_max) },
	{ NULL, "cgroup.max.descendants", offsetof(struct spec_tenant_limits, executions_max) },
};

static_assert(sizeof(struct spec_tenant_limits) == ARRAY_LEN(attributes) * sizeof(int64_t),
              "every limit of a tenant needs a row in attributes");

static void value_format(const struct attribute *attribute,
                         const struct spec_tenant_limits *limits, char text[VALUE_BYTES_MAX])
{
	bool bandwidth = strcmp(attribute->file, "cpu.max") == 0;
	char number[24] = "max";
	int64_t value = 0;

	memcpy(&value, (const char *)limits + attribute->offset, sizeof(value));
	if (value != SPEC_UNLIMITED)
		(void)snprintf(number, sizeof(number), "%" PRId64, value);
	if (bandwidth)
		(void)snprintf(text, VALUE_BYTES_MAX, "%s %d", number, SPEC_CPU_PERIOD_USEC);
	else
		(void)snprintf(text, VALUE_BYTES_MAX, "%s", number);
}

static bool is_cgroup2(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* Cut @path back to the mount point of the cgroup2 it lies in. */
static void to_mount_point(char *path)
{
	for (;;) {
		char *slash = strrchr(path, '/');

		if (slash == NULL || slash == path)
			return;
		*slash = '\0';
		if (!is_cgroup2(path)) {
			*slash = '/';
			return;
		}
	}
}

static bool listed(const char *list, const char *name)
{
	size_t n = strlen(name);

	while (*list != '\0') {
		size_t word = strcspn(list, " \n");

		if (word == n && strncmp(list, name, n) == 0)
			return true;
		list += word;
		list += strspn(list, " \n");
	}
	return false;
}

static int missing_error(const struct hierarchy *hierarchy, struct tn_error *err)
{
	char names[VALUE_BYTES_MAX] = "";

	for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
		if ((hierarchy->controllers & controllers[i].bit) == 0) {
			(void)strncat(names, " ", sizeof(names) - strlen(names) - 1);
			(void)strncat(names, controllers[i].name,
			              sizeof(names) - strlen(names) - 1);
		}
	return err_refuse(
		err, TN_UNSUPPORTED,
		"%s: not in cgroup.controllers:%s (bound to a cgroup v1 hierarchy, or not "
		"enabled in the parent's cgroup.subtree_control)",
		hierarchy->path, names);
}

static int enable_controllers(struct hierarchy *hierarchy, bool allow_missing,
                              struct tn_error *err)
{
	char available[512] = "", text[VALUE_BYTES_MAX];
	ssize_t n = io_read_file_at(hierarchy->root_fd, "cgroup.controllers", available,
	                            sizeof(available));

	if (n < 0)
		return err_set(err, TN_SYSTEM, (int)-n, "%s: read cgroup.controllers",
		               hierarchy->path);
	for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
		if (listed(available, controllers[i].name))
			hierarchy->controllers |= controllers[i].bit;
	if (hierarchy->controllers != (SPEC_CONTROLLER_CPU | SPEC_CONTROLLER_MEMORY |
	                               SPEC_CONTROLLER_PIDS | SPEC_CONTROLLER_IO) &&
	    !allow_missing)
		return missing_error(hierarchy, err);

	for (size_t i = 0; i < ARRAY_LEN(controllers); i++) {
		int r;

		if ((hierarchy->controllers & controllers[i].bit) == 0)
			continue;
		(void)snprintf(text, sizeof(text), "+%s", controllers[i].name);
		r = io_write_file_at(hierarchy->root_fd, "cgroup.subtree_control", text);
		if (r < 0)
			return err_set(err, TN_SYSTEM, -r,
			               "%s: write '%s' to cgroup.subtree_control",
			               hierarchy->path, text);
	}
	return 0;
}

/* Each controller that we enabled must be one that libcgroup will use on cgroup2. */
static int check_versions(uint32_t wanted, struct tn_error *err)
{
	struct cgroup_mount_point info;
	void *handle = NULL;
	int r;

	for (r = cgroup_get_controller_begin(&handle, &info); r == 0;
	     r = cgroup_get_controller_next(&handle, &info))
		for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
			if (strcmp(info.name, controllers[i].name) == 0 &&
			    is_cgroup2(info.path))
				wanted &= ~(uint32_t)controllers[i].bit;
	(void)cgroup_get_controller_end(&handle);

	for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
		if ((wanted & controllers[i].bit) != 0)
			return err_refuse(err, TN_UNSUPPORTED,
			                  "libcgroup does not see controller '%s' on cgroup v2",
			                  controllers[i].name);
	return 0;
}

static int confine_libcgroup(const struct hierarchy *hierarchy, struct tn_error *err)
{
	char mount_point[SPEC_PATH_BYTES_MAX];
	int r;

	memcpy(mount_point, hierarchy->path, sizeof(mount_point));
	to_mount_point(mount_point);
	if (mount(hierarchy->path, mount_point, NULL, MS_BIND, NULL) < 0)
		return err_errno(err, "bind %s over %s", hierarchy->path, mount_point);
	if (hierarchy->controllers == 0)
		return 0;
	r = cgroup_init();
	if (r != 0)
		return err_refuse(err, TN_SYSTEM, "libcgroup: %s", cgroup_strerror(r));
	return check_versions(hierarchy->controllers, err);
}

int hierarchy_open(struct hierarchy *hierarchy, const char *path, bool allow_missing,
                   struct tn_error *err)
{
	int r;

	*hierarchy = (struct hierarchy){ .root_fd = FD_NONE };
	if (strlen(path) >= sizeof(hierarchy->path))
		return err_refuse(err, TN_INVALID, "%s: path is too long", path);
	memcpy(hierarchy->path, path, strlen(path));

	hierarchy->root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (hierarchy->root_fd < 0)
		return err_errno(err, "cgroup root %s", path);
	if (!is_cgroup2(path))
		r = err_refuse(err, TN_UNSUPPORTED, "%s is not on a cgroup2 file system", path);
	else
		r = enable_controllers(hierarchy, allow_missing, err);
	if (r == 0)
		r = confine_libcgroup(hierarchy, err);
	if (r < 0)
		hierarchy_close(hierarchy);
	return r;
}

void hierarchy_close(struct hierarchy *hierarchy)
{
	fd_closep(&hierarchy->root_fd);
}

static void cgroup_freep(struct cgroup **group)
{
	cgroup_free(group);
}

/* Fill @group with the limits of every controller this host has. */
static int group_fill(struct cgroup *group, uint32_t enabled,
                      const struct spec_tenant_limits *limits, struct tn_error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(controllers); i++) {
		const char *name = controllers[i].name;
		struct cgroup_controller *controller;

		if ((enabled & controllers[i].bit) == 0)
			continue;
		controller = cgroup_add_controller(group, name);
		if (controller == NULL)
			return err_refuse(err, TN_SYSTEM, "libcgroup: add controller %s", name);
		for (size_t j = 0; j < ARRAY_LEN(attributes); j++) {
			char text[VALUE_BYTES_MAX];

			if (attributes[j].controller == NULL ||
			    strcmp(attributes[j].controller, name) != 0)
				continue;
			value_format(&attributes[j], limits, text);
			if (cgroup_add_value_string(controller, attributes[j].file, text) != 0)
				return err_refuse(err, TN_SYSTEM, "libcgroup: add %s",
				                  attributes[j].file);
		}
	}
	return 0;
}

static int group_write(const struct hierarchy *hierarchy, const char *name, bool create,
                       const struct spec_tenant_limits *limits, struct tn_error *err)
{
	__attribute__((cleanup(cgroup_freep))) struct cgroup *group = cgroup_new_cgroup(name);
	int r;

	if (group == NULL)
		return err_refuse(err, TN_SYSTEM, "libcgroup: new group");
	r = group_fill(group, hierarchy->controllers, limits, err);
	if (r < 0)
		return r;
	r = create ? cgroup_create_cgroup(group, 1) : cgroup_modify_cgroup(group);
	if (r == ECGOTHER)
		return err_set(err, TN_SYSTEM,
		               cgroup_get_last_errno() != 0 ? cgroup_get_last_errno() : EIO,
		               "libcgroup: %s: %s", create ? "create" : "modify",
		               strerror(cgroup_get_last_errno()));
	if (r != 0)
		return err_refuse(err, TN_SYSTEM, "libcgroup: %s: %s",
		                  create ? "create" : "modify", cgroup_strerror(r));
	return 0;
}

/* The core files, which need no controller and which libcgroup 2.0 cannot create with. */
static int core_write(int node_fd, const struct hierarchy *hierarchy,
                      const struct spec_tenant_limits *limits, struct tn_error *err)
{
	char text[VALUE_BYTES_MAX];
	int r;

	for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
		if (attributes[i].controller != NULL)
			continue;
		value_format(&attributes[i], limits, text);
		r = io_write_file_at(node_fd, attributes[i].file, text);
		if (r < 0)
			return err_set(err, TN_SYSTEM, -r, "write '%s' to %s", text,
			               attributes[i].file);
	}
	r = io_write_file_at(node_fd, "cgroup.max.depth", "1");
	if (r < 0)
		return err_set(err, TN_SYSTEM, -r, "write cgroup.max.depth");
	for (size_t i = 0; i < ARRAY_LEN(controllers); i++) {
		if ((hierarchy->controllers & controllers[i].bit) == 0)
			continue;
		(void)snprintf(text, sizeof(text), "+%s", controllers[i].name);
		r = io_write_file_at(node_fd, "cgroup.subtree_control", text);
		if (r < 0)
			return err_set(err, TN_SYSTEM, -r,
			               "write '%s' to cgroup.subtree_control", text);
	}
	return 0;
}

int hierarchy_tenant_open(const struct hierarchy *hierarchy, const char *name,
                          struct tn_error *err)
{
	int fd = openat(hierarchy->root_fd, name,
	                O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? err_errno(err, "open cgroup '%s'", name) : fd;
}

static int node_apply(const struct hierarchy *hierarchy, const char *name, bool create,
                      const struct spec_tenant_limits *limits, struct tn_error *err)
{
	cleanup_fd int node_fd = FD_NONE;
	int r = 0;

	if (hierarchy->controllers != 0)
		r = group_write(hierarchy, name, create, limits, err);
	else if (create && mkdirat(hierarchy->root_fd, name, 0755) < 0)
		r = err_errno(err, "mkdir");
	if (r < 0)
		return r;
	node_fd = hierarchy_tenant_open(hierarchy, name, err);
	return node_fd < 0 ? node_fd : core_write(node_fd, hierarchy, limits, err);
}

/* What the files of a node say, a row of attributes each; "" where there is none. */
struct values {
	char text[ARRAY_LEN(attributes)][VALUE_BYTES_MAX];
};

static bool is_there(const struct hierarchy *hierarchy, const struct attribute *attribute)
{
	for (size_t i = 0; attribute->controller != NULL && i < ARRAY_LEN(controllers); i++)
		if (strcmp(controllers[i].name, attribute->controller) == 0)
			return (hierarchy->controllers & controllers[i].bit) != 0;
	return true;
}

static int values_read(const struct hierarchy *hierarchy, int node_fd, struct values *ret,
                       struct tn_error *err)
{
	*ret = (struct values){ 0 };
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
		char *text = ret->text[i];
		ssize_t n;

		if (!is_there(hierarchy, &attributes[i]))
			continue;
		n = io_read_file_at(node_fd, attributes[i].file, text, VALUE_BYTES_MAX);
		if (n < 0)
			return err_set(err, TN_SYSTEM, (int)-n, "read %s", attributes[i].file);
		text[strcspn(text, "\n")] = '\0';
	}
	return 0;
}

/* As far as the kernel takes them, which it did before. */
static void values_restore(const struct hierarchy *hierarchy, int node_fd,
                           const struct values *values)
{
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
		if (is_there(hierarchy, &attributes[i]))
			(void)io_write_file_at(node_fd, attributes[i].file, values->text[i]);
}

/* Memory is held in pages: the rest of one is dropped. */
static void value_expect(const struct attribute *attribute,
                         const struct spec_tenant_limits *limits, char text[VALUE_BYTES_MAX])
{
	struct spec_tenant_limits whole = *limits;
	char *field = (char *)&whole + attribute->offset;
	int64_t value;

	memcpy(&value, field, sizeof(value));
	if (strncmp(attribute->file, "memory.", strlen("memory.")) == 0 &&
	    value != SPEC_UNLIMITED)
		value -= value % sysconf(_SC_PAGESIZE);
	memcpy(field, &value, sizeof(value));
	value_format(attribute, &whole, text);
}

static int values_check(const struct hierarchy *hierarchy, int node_fd,
                        const struct spec_tenant_limits *limits, struct tn_error *err)
{
	struct values now;
	int r = values_read(hierarchy, node_fd, &now, err);

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(attributes); i++) {
		char expected[VALUE_BYTES_MAX];

		value_expect(&attributes[i], limits, expected);
		if (is_there(hierarchy, &attributes[i]) && strcmp(expected, now.text[i]) != 0)
			r = err_set(err, TN_SYSTEM, EIO, "%s is '%s', though '%s' was written",
			            attributes[i].file, now.text[i], expected);
	}
	return r;
}

static int node_create(const struct hierarchy *hierarchy, const char *name,
                       const struct spec_tenant_limits *limits, struct tn_error *err)
{
	cleanup_fd int node_fd = FD_NONE;
	int r = node_apply(hierarchy, name, true, limits, err);

	if (r == 0) {
		node_fd = hierarchy_tenant_open(hierarchy, name, err);
		r = node_fd < 0 ? node_fd : values_check(hierarchy, node_fd, limits, err);
	}
	if (r < 0)
		(void)unlinkat(hierarchy->root_fd, name, AT_REMOVEDIR);
	return r;
}

static int bytes_read(int node_fd, const char *file, int64_t *ret, struct tn_error *err)
{
	char text[VALUE_BYTES_MAX];
	const ssize_t n = io_read_file_at(node_fd, file, text, sizeof(text));

	if (n < 0)
		return err_set(err, TN_SYSTEM, (int)-n, "read %s", file);
	text[strcspn(text, "\n")] = '\0';
	*ret = SPEC_UNLIMITED;
	if (strcmp(text, "max") != 0 && num_parse(text, INT64_MAX, ret) < 0)
		return err_refuse(err, TN_SYSTEM, "%s is '%.32s'", file, text);
	return 0;
}

/* To write a memory.max below what is in use is to have the kernel kill. */
static int memory_check(const struct hierarchy *hierarchy, int node_fd,
                        const struct spec_tenant_limits *limits, struct tn_error *err)
{
	int64_t used = 0, max = 0;
	int r;

	if ((hierarchy->controllers & SPEC_CONTROLLER_MEMORY) == 0)
		return 0;
	r = bytes_read(node_fd, "memory.max", &max, err);
	if (r == 0)
		r = bytes_read(node_fd, "memory.current", &used, err);
	if (r < 0 || limits->memory_max_bytes >= max || used <= limits->memory_max_bytes)
		return r;
	return err_refuse(err, TN_STATE,
	                  "memory_max %" PRId64 " is below the %" PRId64 " in use",
	                  limits->memory_max_bytes, used);
}

static int node_change(const struct hierarchy *hierarchy, const char *name, bool may_kill,
                       const struct spec_tenant_limits *limits, struct tn_error *err)
{
	cleanup_fd int node_fd = hierarchy_tenant_open(hierarchy, name, err);
	struct values before;
	int r = node_fd < 0 ? node_fd : values_read(hierarchy, node_fd, &before, err);

	if (r == 0 && !may_kill)
		r = memory_check(hierarchy, node_fd, limits, err);
	if (r < 0)
		return r;
	r = node_apply(hierarchy, name, false, limits, err);
	if (r == 0)
		r = values_check(hierarchy, node_fd, limits, err);
	if (r < 0)
		values_restore(hierarchy, node_fd, &before);
	return r;
}

int hierarchy_tenant_apply(const struct hierarchy *hierarchy, const char *name,
                           const struct spec_tenant_limits *limits, bool may_kill,
                           struct tn_error *err)
{
	const bool create = faccessat(hierarchy->root_fd, name, F_OK, 0) < 0;
	int r = create ? node_create(hierarchy, name, limits, err)
	               : node_change(hierarchy, name, may_kill, limits, err);

	return r < 0 ? err_wrap(err, r, "cgroup '%s'", name) : 0;
}

int hierarchy_tenant_remove(const struct hierarchy *hierarchy, const char *name,
                            struct tn_error *err)
{
	if (unlinkat(hierarchy->root_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_errno(err, "remove cgroup '%s'", name);
	return 0;
}
