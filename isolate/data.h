/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copies to and from tenants' files: which processes serve them (data_server.h), as many at a
 * time as there is room for. They end with their clients, with their tenant, or with tenantd;
 * they are none of the tenant's processes, so that it may stand still meanwhile.
 */
#ifndef ISOLATE_DATA_H
#define ISOLATE_DATA_H

#include <sys/types.h>

#include "loop.h"
#include "tenant.h"

/* So many at a time: each is a process, and one tenant's clients do not take all. */
#define DATA_SERVERS_MAX        128
#define DATA_SERVERS_TENANT_MAX 16

struct data_process {
	struct loop_source source; /* its pidfd */
	pid_t pid;                 /* 0: there is none */
	struct id tenant;
};

/* The first three are borrowed and set by the owner, the rest is zeroed. */
struct data_servers {
	struct loop *loop;
	struct tenants *tenants;
	const char *storage_root;
	struct data_process processes[DATA_SERVERS_MAX];
};

/* Begin to serve what @request asks for. *ret_fd is the client's end, the caller's to close. */
int data_servers_start(struct data_servers *servers, const struct spec_data *request,
                       int *ret_fd, struct tn_error *err);

/* End those of a tenant that is going to be deleted: what has no name yet gets none. */
void data_servers_end_tenant(struct data_servers *servers, const struct id *tenant);

/* End all, at our own end. */
void data_servers_stop(struct data_servers *servers);

#endif
