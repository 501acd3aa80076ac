/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "data.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <base/data.h>
#include <base/fd.h>
#include <base/log.h>

#include "data_server.h"
#include "storage.h"

static_assert(SPEC_DATA_BYTES_MAX == DATA_PATH_BYTES_MAX, "what is asked for can be served");

static void forget(struct data_servers *servers, struct data_process *process)
{
	loop_remove(servers->loop, &process->source);
	fd_closep(&process->source.fd);
	process->pid = 0;
}

static void on_ended(void *context, uint32_t events)
{
	struct data_servers *servers = context;
	char id[ID_TEXT_BYTES];
	int status = 0;

	(void)events;
	for (size_t i = 0; i < DATA_SERVERS_MAX; i++) {
		struct data_process *process = &servers->processes[i];

		if (process->pid == 0 ||
		    waitpid(process->pid, &status, WNOHANG) != process->pid)
			continue;
		id_format(&process->tenant, id);
		if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
			log_event(LOG_WARNING, "who served a tenant's data has failed",
			          LF_STR("tenant_id", id), LF_END);
		forget(servers, process);
	}
}

static int place_find(struct data_servers *servers, const struct id *tenant,
                      struct data_process **ret, struct tn_error *err)
{
	size_t of_tenant_n = 0;

	*ret = NULL;
	for (size_t i = 0; i < DATA_SERVERS_MAX; i++) {
		struct data_process *process = &servers->processes[i];

		if (process->pid == 0)
			*ret = process;
		else if (id_equal(&process->tenant, tenant))
			of_tenant_n++;
	}
	if (of_tenant_n >= DATA_SERVERS_TENANT_MAX)
		return err_refuse(err, TN_STATE,
		                  "%zu copies of this tenant's data are under way; try "
		                  "again when one has ended",
		                  of_tenant_n);
	if (*ret == NULL)
		return err_refuse(err, TN_STATE,
		                  "%d copies of tenants' data are under way; try again when "
		                  "one has ended",
		                  DATA_SERVERS_MAX);
	return 0;
}

static int request_check(const struct spec_data *request, struct tn_error *err)
{
	if ((request->flags & ~(uint32_t)SPEC_DATA_WRITABLE) != 0)
		return err_refuse(err, TN_INVALID, "unknown flags %#x", request->flags);
	if (memchr(request->path, '\0', sizeof(request->path)) == NULL ||
	    !data_path_valid(request->path))
		return err_refuse(err, TN_INVALID, "not a path below /data");
	return 0;
}

static int process_start(struct data_servers *servers, struct data_process *process,
                         const struct data_entry_request *entry, struct tn_error *err)
{
	const pid_t self = getpid();
	int r;

	process->pid = fork();
	if (process->pid == 0)
		data_enter(entry, self);
	if (process->pid < 0) {
		process->pid = 0;
		return err_errno(err, "fork who serves the tenant's data");
	}
	process->source = (struct loop_source){ (int)syscall(SYS_pidfd_open, process->pid, 0),
		                                on_ended, servers };
	r = process->source.fd < 0
	            ? err_errno(err, "descriptor of who serves the tenant's data")
	            : loop_add(servers->loop, &process->source, EPOLLIN, err);
	if (r < 0) {
		(void)kill(process->pid, SIGKILL);
		(void)waitpid(process->pid, NULL, 0);
		forget(servers, process);
	}
	return r;
}

int data_servers_start(struct data_servers *servers, const struct spec_data *request,
                       int *ret_fd, struct tn_error *err)
{
	struct data_process *process = NULL;
	struct tenant *tenant = NULL;
	cleanup_fd int root_fd = FD_NONE;
	int ends[2];
	int r = request_check(request, err);

	if (r == 0)
		r = place_find(servers, &request->tenant, &process, err);
	if (r == 0)
		r = tenants_prepare(servers->tenants, &request->tenant, &tenant, err);
	if (r < 0)
		return r;
	assert(process != NULL && tenant != NULL);
	root_fd = storage_open(servers->storage_root, &request->tenant, err);
	if (root_fd < 0)
		return root_fd;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_errno(err, "socket for the tenant's data");
	r = process_start(servers, process,
	                  &(struct data_entry_request){
				  .sock = ends[1],
				  .root_fd = root_fd,
				  .user_ns_fd = tenant->context.fds[CONTEXT_USER],
				  .writable = (request->flags & SPEC_DATA_WRITABLE) != 0,
				  .path = request->path,
			  },
	                  err);
	(void)close(ends[1]);
	if (r < 0) {
		(void)close(ends[0]);
		return r;
	}
	process->tenant = request->tenant;
	*ret_fd = ends[0];
	return 0;
}

/*
 * Nobody waits for them: one may be in the kernel on behalf of a tenant that has been stopped,
 * or with a file of its client's that gives no answer. What it is about to make there it makes
 * in directories that are on their way out, or in none.
 */
void data_servers_end_tenant(struct data_servers *servers, const struct id *tenant)
{
	for (size_t i = 0; i < DATA_SERVERS_MAX; i++) {
		const struct data_process *process = &servers->processes[i];

		if (process->pid != 0 && id_equal(&process->tenant, tenant))
			(void)kill(process->pid, SIGKILL);
	}
}

void data_servers_stop(struct data_servers *servers)
{
	for (size_t i = 0; i < DATA_SERVERS_MAX; i++)
		if (servers->processes[i].pid != 0) {
			(void)kill(servers->processes[i].pid, SIGKILL);
			forget(servers, &servers->processes[i]);
		}
}
