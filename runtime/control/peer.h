/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef RUNTIME_CONTROL_PEER_H
#define RUNTIME_CONTROL_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <base/err.h>
#include <base/id.h>

#include "../actor.h"

/* Who is at the other end, as the kernel noted when the connection was made. */
struct peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;     /* for the log only: it may belong to another process by now */
	bool admin;    /* root, or of the admins' group by any of its groups */
	gid_t *groups; /* supplementary; owned */
	size_t groups_n;
	/* As whom its session was opened, or ACTOR_ABSENT. Read at once: a peer that has its
	 * connection used by another process, and ends, could have its pid, and later also its
	 * deeds, taken for somebody else's. */
	int64_t login_uid;
	/* It is one of a tenant's workloads on that tenant's own socket: this tenant's, and of
	 * this execution. */
	bool inside;
	struct id tenant;
	struct id execution;
};

/* Read the credentials of the borrowed socket @fd. @admin_gid counts if @admin_gid_known.
 * *ret is for peer_done(). */
int peer_read(int fd, gid_t admin_gid, bool admin_gid_known, struct peer *ret,
              struct tn_error *err);

/* Accepts a zeroed one. */
void peer_done(struct peer *peer);

#endif
