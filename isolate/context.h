/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is prepared once per tenant and entered by each of its executions: network, IPC,
 * UTS and user namespaces, and a template mount namespace of which every execution
 * takes a private copy. Built at first use by a short-lived child of tenantd, kept as
 * descriptors.
 *
 * User namespaces are made by the tenant's last id, so that what the kernel counts per user
 * is counted per tenant. All namespaces but the user namespaces belong to the initial user
 * namespace: nobody in a sandbox has a capability over them, even with all those of its own
 * user namespace.
 *
 * Bound paths are mapped by a second user namespace. In it the workload's usual user is the
 * host's of the same number, and all others are the host's own, whom nobody in a sandbox
 * is: its root neither, however it got hold of what another execution has bound.
 */
#ifndef ISOLATE_CONTEXT_H
#define ISOLATE_CONTEXT_H

#include <stdint.h>

#include <base/err.h>

enum context_ns {
	CONTEXT_NET,
	CONTEXT_IPC,
	CONTEXT_UTS,
	CONTEXT_MNT,
	CONTEXT_USER,
	CONTEXT_USER_BINDS, /* maps bound paths; nobody is in it */
	CONTEXT_NS_N,
};

struct context {
	int fds[CONTEXT_NS_N]; /* FD_NONE until built */
	/* The root of the IPC namespace's message queues, on a mount of its own that is
	 * nowhere attached: Landlock has to be told of it. FD_NONE if the kernel has none. */
	int queues_fd;
};

struct context_request {
	const char *name;          /* the tenant's: host name inside */
	const char *skeleton_path; /* where skeleton_make() mounted it */
	const char *staging_path;  /* an empty root-only directory to assemble on */
	const char *run_path;      /* what is /run/tenant inside */
	const char *storage_path;  /* owned by the tenant's workload uid */
	int cgroup_fd;             /* the tenant's node, borrowed */
	int64_t uid_first;         /* of SPEC_UIDS_PER_TENANT */
	int64_t memory_max_bytes;  /* bounds the size of /cache */
};

void context_init(struct context *context);

/* Close everything; the namespaces end with their last process. */
void context_done(struct context *context);

/*
 * The root of the message queues of the caller's own IPC namespace, for struct context. *ret is
 * FD_NONE where the kernel has none; no error is mistaken for that.
 */
int context_queues_open(int *ret, struct tn_error *err);

/* Fill @context, which is initialised. Waits for a child that runs no tenant's code. */
int context_build(struct context *context, const struct context_request *request,
                  struct tn_error *err);

#endif
