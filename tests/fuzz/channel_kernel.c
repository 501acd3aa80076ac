/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of tenantd changes the kernel, for channel.c: of it nothing that is asked gets so far.
 */
#include <stdlib.h>

#include <base/fd.h>
#include <isolate/cgroup.h>
#include <isolate/execution_state.h>
#include <isolate/join_clone.h>
#include <isolate/meter.h>
#include <isolate/template.h>
#include <isolate/terminal.h>

/* No launch comes as far as its mounts, and none of ours has any. */
int mounts_place_make(struct mounts_place *place, struct tn_error *err)
{
	(void)place;
	(void)err;
	abort();
}

void mounts_make(const struct mounts_place *place, struct mounts *mounts)
{
	(void)place;
	(void)mounts;
	abort();
}

/* Of tenants' own sockets nothing is asked for. */
int meter_make(struct meters *meters, const struct id *id, const char *name, int *ret_fd,
               struct tn_error *err)
{
	(void)meters;
	(void)id;
	(void)name;
	(void)err;
	*ret_fd = FD_NONE;
	return 0;
}

void meter_end(struct meters *meters, const struct id *id, int *fd)
{
	(void)meters;
	(void)id;
	(void)fd;
	abort();
}

void meter_path(const struct meters *meters, const struct id *id, char *ret, size_t size)
{
	(void)meters;
	(void)id;
	if (size > 0)
		*ret = '\0';
}

int meter_forget(struct meters *meters, const struct id *id, struct tn_error *err)
{
	(void)meters;
	(void)id;
	(void)err;
	return 0;
}

bool meter_is_shut(int fd)
{
	(void)fd;
	abort();
}

void meters_sweep(struct meters *meters, bool (*is_known)(void *context, const struct id *id),
                  void *context)
{
	(void)meters;
	(void)is_known;
	(void)context;
	abort();
}

/* Nor is any child cloned. */
int launchers_start(struct launchers *launchers, launcher_enter_fn *enter, struct tn_error *err)
{
	(void)launchers;
	(void)enter;
	(void)err;
	abort();
}

void launchers_stop(struct launchers *launchers)
{
	(void)launchers;
}

void launcher_begin(struct launchers *launchers, const struct child_request *request,
                    struct launching *ret)
{
	(void)launchers;
	(void)request;
	(void)ret;
	abort();
}

int32_t launcher_pid(struct launching *launching)
{
	(void)launching;
	abort();
}

int launcher_finish(struct launching *launching, int *ret_pid, int *ret_pid_fd,
                    struct tn_error *err)
{
	(void)launching;
	(void)ret_pid;
	(void)ret_pid_fd;
	(void)err;
	abort();
}

int keeper_start(struct keeper *keeper, struct tn_error *err)
{
	(void)keeper;
	(void)err;
	abort();
}

void keeper_stop(struct keeper *keeper)
{
	(void)keeper;
}

int keeper_drop(struct keeper *keeper, const struct id *execution, struct tn_error *err)
{
	(void)keeper;
	(void)execution;
	(void)err;
	abort();
}

void execution_mounts_dropped(void *context, const struct id *id)
{
	(void)context;
	(void)id;
	abort();
}

void execution_mounts_lost(void *context)
{
	(void)context;
	abort();
}

int cg_kill(int cgroup_fd, struct tn_error *err)
{
	(void)cgroup_fd;
	(void)err;
	return 0;
}

bool cg_frozen(int cgroup_fd)
{
	(void)cgroup_fd;
	abort();
}

int cg_leaf_create(int tenant_fd, const char *name, const struct spec_execution_limits *limits,
                   bool oom_group, uint32_t controllers, struct tn_error *err)
{
	(void)tenant_fd;
	(void)name;
	(void)limits;
	(void)oom_group;
	(void)controllers;
	(void)err;
	abort();
}

int cg_leaf_remove(int tenant_fd, const char *name, struct tn_error *err)
{
	(void)tenant_fd;
	(void)name;
	(void)err;
	abort();
}

int cg_freeze(int cgroup_fd, bool frozen, struct tn_error *err)
{
	(void)cgroup_fd;
	(void)frozen;
	(void)err;
	return 0;
}

void cg_counter_files_init(struct cg_counter_files *files)
{
	for (size_t i = 0; i < ARRAY_LEN(files->fds); i++)
		files->fds[i] = FD_NONE;
}

void cg_counter_files_open(struct cg_counter_files *files, int cgroup_fd, uint32_t controllers)
{
	(void)files;
	(void)cgroup_fd;
	(void)controllers;
	abort();
}

void cg_counter_files_close(struct cg_counter_files *files)
{
	cg_counter_files_init(files);
}

int64_t cg_cpu_usec(int cgroup_fd)
{
	(void)cgroup_fd;
	return 0;
}

int64_t cg_throttled_usec(int cgroup_fd, uint32_t controllers)
{
	(void)cgroup_fd;
	(void)controllers;
	return 0;
}

int record_create(int dir_fd, const struct record *record, const struct spec_launch *launch,
                  int *ret_status_fd, struct tn_error *err)
{
	(void)dir_fd;
	(void)record;
	(void)launch;
	(void)ret_status_fd;
	(void)err;
	abort();
}

int record_write(int dir_fd, const struct record *record, struct tn_error *err)
{
	(void)dir_fd;
	(void)record;
	(void)err;
	return 0;
}

int record_remove(int dir_fd, const struct id *execution)
{
	(void)dir_fd;
	(void)execution;
	return 0;
}

void execution_report_ready(void *context, uint32_t events)
{
	(void)context;
	(void)events;
}

void execution_settle(void *context)
{
	(void)context;
	abort();
}

void execution_pid_ready(void *context, uint32_t events)
{
	(void)context;
	(void)events;
}

void child_enter(const struct child_request *request)
{
	(void)request;
	abort();
}

int child_error(uint32_t stage, int32_t error, struct tn_error *err)
{
	(void)stage;
	(void)error;
	(void)err;
	abort();
}

const char *template_cgroup_file(unsigned int i)
{
	(void)i;
	return "memory.max";
}

/* Of what runs there no filter is known, hence nothing joins it. */
int join_clone(const struct mounts_place *place, struct join_clone *child, struct tn_error *err)
{
	(void)place;
	(void)child;
	(void)err;
	abort();
}

void join_clone_go(struct join_clone *child, bool go)
{
	(void)child;
	(void)go;
	abort();
}

int terminal_receive(int sock, int *ret_master, struct tn_error *err)
{
	(void)sock;
	(void)ret_master;
	(void)err;
	abort();
}

int record_launch(int dir_fd, const struct id *execution, struct spec_launch *ret,
                  struct tn_error *err)
{
	(void)dir_fd;
	(void)execution;
	(void)ret;
	(void)err;
	abort();
}

bool record_status_read(int status_fd, struct init_status *ret)
{
	(void)status_fd;
	(void)ret;
	abort();
}

int record_status_open(int dir_fd, const struct id *execution)
{
	(void)dir_fd;
	(void)execution;
	abort();
}

int execution_pid_open(int leaf_fd, int32_t pid)
{
	(void)leaf_fd;
	(void)pid;
	abort();
}

bool execution_has_executed(int32_t pid)
{
	(void)pid;
	abort();
}
