/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "controller.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* Spoilers of bytes. */

void short_message(struct request *r)
{
	r->n = 3;
}

void lying_size(struct request *r)
{
	r->u.head.bytes++;
}

void wrong_version(struct request *r)
{
	r->u.head.version++;
}

void huge_message(struct request *r)
{
	r->n = r->u.head.bytes = sizeof(r->u.bytes);
}

void empty_message(struct request *r)
{
	r->n = 0;
}

void unknown_op(struct request *r)
{
	r->u.head.op = 99;
}

void op_of_tenantd(struct request *r)
{
	r->u.head.op = SPEC_EXITED;
}

void size_of_another(struct request *r)
{
	r->u.head.op = SPEC_TENANT_APPLY;
}

static void fds_add(struct request *r, size_t n)
{
	while (r->fds_n < n)
		r->fds[r->fds_n++] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void fds_too_many(struct request *r)
{
	fds_add(r, FDS_MAX - 2);
}

void fds_one_more(struct request *r)
{
	fds_add(r, 5);
}

void fds_one_less(struct request *r)
{
	(void)close(r->fds[--r->fds_n]);
}

/* Spoilers of a tenant. */

#define NAME(function, text)                                                                   \
	void function(struct request *r)                                                       \
	{                                                                                      \
		r->u.apply.tenant = other;                                                     \
		memset(r->u.apply.name, 0, sizeof(r->u.apply.name));                           \
		memcpy(r->u.apply.name, text, sizeof(text) - 1);                               \
	}

NAME(name_dots, "..")
NAME(name_path, "a/b")
NAME(name_up, "../../x")
NAME(name_holder, ".holder")
NAME(name_none, "")
NAME(name_uuid, "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234")
NAME(name_taken, "acme")

void name_endless(struct request *r)
{
	memset(r->u.apply.name, 'a', sizeof(r->u.apply.name));
}

void name_changed(struct request *r)
{
	memcpy(r->u.apply.name, "acme2", sizeof("acme2"));
}

#define LIMIT(function, field, value)                                                          \
	void function(struct request *r)                                                       \
	{                                                                                      \
		r->u.field = (value);                                                          \
	}

LIMIT(memory_above, apply.limits.memory_max_bytes, INT64_MAX)
LIMIT(memory_negative, apply.limits.memory_max_bytes, -1)
LIMIT(tasks_above, apply.limits.tasks_max, 1 << 20)
LIMIT(executions_above, apply.limits.executions_max, 1 << 20)
LIMIT(weight_none, apply.limits.cpu_weight, 0)
LIMIT(weight_above, apply.limits.cpu_weight, 10001)
LIMIT(quota_negative, apply.limits.cpu_quota_usec, INT64_MIN)
LIMIT(files_above, launch.limits.nofile_max, 1 << 20)
LIMIT(core_above, launch.limits.core_bytes_max, INT64_MAX)
LIMIT(runtime_none, launch.limits.runtime_usec_max, 0)
LIMIT(tasks_negative, launch.limits.tasks_max, -1)
LIMIT(argc_none, launch.argc, 0)
LIMIT(flags_unknown, launch.flags, 1u << 31)
LIMIT(uid_above, launch.uid, SPEC_UIDS_PER_TENANT)
LIMIT(gid_above, launch.gid, UINT32_MAX)
LIMIT(cpu_time_none, launch.limits.cpu_time_usec_max, 0)
LIMIT(rows_above, launch.tty_rows, 1 << 16)
LIMIT(terminal_and_streams, launch.flags, SPEC_LAUNCH_TTY)
LIMIT(tmpfs_many, launch.tmpfs_n, SPEC_TMPFS_MAX + 1)
LIMIT(execution_no_id, launch.execution, (struct id){ { 0 } })
LIMIT(tenant_unknown, launch.tenant, nobody)
LIMIT(tenant_half_made, launch.tenant, other)
LIMIT(env_longer, launch.env_bytes, SPEC_ENV_BYTES_MAX + 1)
LIMIT(env_more, launch.env_n, 3)
LIMIT(args_longer, launch.args_bytes, 1 << 20)
LIMIT(args_shorter, launch.args_bytes, 4)
LIMIT(remove_unknown, remove.tenant, nobody)
LIMIT(freeze_unknown, freeze.tenant, nobody)
LIMIT(freeze_half, freeze.frozen, 2)
LIMIT(squeeze_unknown, squeeze.tenant, nobody)
LIMIT(squeeze_none, squeeze.memory_high_bytes, 0)
LIMIT(squeeze_negative, squeeze.memory_high_bytes, -1)
LIMIT(squeeze_wrapped, squeeze.memory_high_bytes, INT64_MIN)
LIMIT(apply_flags, apply.flags, 2)
LIMIT(delete_unknown, delete.tenant, nobody)
LIMIT(delete_otherwise, delete.how, 2)

static void tmpfs_add(struct request *r, const char *target, int64_t bytes_max)
{
	struct spec_tmpfs *tmpfs = &r->u.launch.tmpfs[r->u.launch.tmpfs_n++];

	(void)snprintf(tmpfs->target, sizeof(tmpfs->target), "%s", target);
	tmpfs->bytes_max = bytes_max;
}

void tmpfs_at_usr(struct request *r)
{
	tmpfs_add(r, "/usr", 4096);
}

void tmpfs_up(struct request *r)
{
	tmpfs_add(r, "/mnt/../usr", 4096);
}

void tmpfs_large(struct request *r)
{
	r->u.launch.limits.memory_max_bytes = 1 << 20;
	tmpfs_add(r, "/mnt/x", INT64_MAX);
}

void filter_unsealed(struct request *r)
{
	filter_put(r, filter(1, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
}

void filter_long(struct request *r)
{
	filter_put(r, filter(SPEC_FILTER_INSNS_MAX + 1, SEALS));
}

void filter_empty(struct request *r)
{
	filter_put(r, memory("", 0, SEALS));
}

void filter_odd(struct request *r)
{
	filter_put(r, memory("0123456789", 9, SEALS));
}

void filter_no_memory(struct request *r)
{
	filter_put(r, open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

/* Spoilers of a launch. */

void args_unsealed(struct request *r)
{
	args_set(r, "true\0", 6, 1, F_SEAL_GROW);
}

void args_endless(struct request *r)
{
	args_set(r, "true", 4, 1, SEALS);
}

void args_fewer(struct request *r)
{
	args_set(r, "true\0", 6, 9, SEALS);
}

void args_file(struct request *r)
{
	(void)close(r->fds[3]);
	r->fds[3] = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

static void stdio_put(struct request *r, int fd)
{
	must(fd >= 0, "open what is to be passed");
	(void)close(r->fds[0]);
	r->fds[0] = fd;
}

#define STDIO(function, fd)                                                                    \
	void function(struct request *r)                                                       \
	{                                                                                      \
		stdio_put(r, fd);                                                              \
	}

STDIO(stdio_directory, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC))
STDIO(stdio_path, open("/", O_PATH | O_CLOEXEC))
STDIO(stdio_path_file, open("/etc/passwd", O_PATH | O_CLOEXEC))
STDIO(stdio_proc, open("/proc/self/status", O_RDONLY | O_CLOEXEC))
STDIO(stdio_memory, open("/proc/self/mem", O_RDWR | O_CLOEXEC))
STDIO(stdio_sysfs, open("/sys/kernel/fscaps", O_RDONLY | O_CLOEXEC))
STDIO(stdio_ns, open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC))
STDIO(stdio_pidfd, (int)syscall(SYS_pidfd_open, getpid(), 0))
STDIO(stdio_cgroup, fcntl(cgroup_fd, F_DUPFD_CLOEXEC, 5))
STDIO(stdio_cgroup_file, openat(cgroup_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC))
STDIO(stdio_epoll, epoll_create1(EPOLL_CLOEXEC))
STDIO(stdio_inotify, inotify_init1(IN_CLOEXEC))
STDIO(stdio_timer, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC))

static void bind_add(struct request *r, const char *target, int fd)
{
	struct spec_bind *bind = &r->u.launch.binds[r->u.launch.binds_n++];

	must(fd >= 0, "open what is to be bound");
	(void)snprintf(bind->target, sizeof(bind->target), "%s", target);
	bind->writable = 1;
	r->fds[r->fds_n++] = fd;
}

static int path(const char *name)
{
	return open(name, O_PATH | O_CLOEXEC);
}

#define BIND(function, target, fd)                                                             \
	void function(struct request *r)                                                       \
	{                                                                                      \
		bind_add(r, target, fd);                                                       \
	}

BIND(bind_at_root, "/", path("/srv"))
BIND(bind_at_usr, "/usr", path("/srv"))
BIND(bind_in_usr, "/usr/lib", path("/srv"))
BIND(bind_at_proc, "/proc/sys", path("/srv"))
BIND(bind_at_etc, "/etc/passwd", path("/srv"))
BIND(bind_at_data, "/data/x", path("/srv"))
BIND(bind_up, "/mnt/../usr/x", path("/srv"))
BIND(bind_relative, "mnt/x", path("/srv"))
BIND(bind_slashes, "/mnt//x", path("/srv"))
BIND(bind_of_root, "/mnt/x", path("/"))
BIND(bind_of_etc, "/mnt/x", path("/etc"))
BIND(bind_of_home, "/mnt/x", path("/root"))
BIND(bind_of_store, "/mnt/x", path(store))
BIND(bind_of_proc, "/mnt/x", path("/proc"))
BIND(bind_of_sys, "/mnt/x", path("/sys"))
BIND(bind_of_cgroup, "/mnt/x", fcntl(cgroup_fd, F_DUPFD_CLOEXEC, 5))
BIND(bind_of_device, "/mnt/x", path("/dev/null"))
BIND(bind_opened, "/mnt/x", open("/srv", O_RDONLY | O_DIRECTORY | O_CLOEXEC))

void bind_nested(struct request *r)
{
	bind_add(r, "/mnt/x", path("/srv"));
	bind_add(r, "/mnt/x/y", path("/srv"));
}

void bind_endless(struct request *r)
{
	bind_add(r, "/mnt/x", path("/srv"));
	memset(r->u.launch.binds[0].target, 'a', SPEC_PATH_BYTES_MAX);
}

void bind_count_lies(struct request *r)
{
	r->u.launch.binds_n = UINT32_MAX;
}

void bind_without_fd(struct request *r)
{
	r->u.launch.binds_n = 1;
}
