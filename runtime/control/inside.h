/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who has connected on a tenant's own socket. That tenant's sandboxes alone see the socket; the
 * kernel has noted the process; and its cgroup has to be a leaf of that tenant's, too, which
 * says the execution. So neither a socket that has come to another tenant nor somebody of the
 * host's is mistaken for a workload.
 */
#ifndef RUNTIME_CONTROL_INSIDE_H
#define RUNTIME_CONTROL_INSIDE_H

#include "peer.h"

struct inside_place {
	int proc_fd;             /* a directory with what /proc has of processes */
	const char *cgroup_root; /* of the tree, as a path of the host's */
	const char *tenant_name;
};

/*
 * Read who is at the other end of the borrowed @fd, whose listening socket is that of the
 * tenant @tenant. Nothing in *ret is owned. TN_NOT_PERMITTED if it is none of its workloads, or
 * is gone.
 */
int inside_read(int fd, const struct inside_place *place, const struct id *tenant,
                struct peer *ret, struct tn_error *err);

#endif
