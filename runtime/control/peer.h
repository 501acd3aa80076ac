/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef RUNTIME_CONTROL_PEER_H
#define RUNTIME_CONTROL_PEER_H

#include <stdbool.h>
#include <sys/types.h>

#include <base/err.h>

/* Who is at the other end, as the kernel noted when the connection was made. */
struct peer {
	uid_t uid;
	pid_t pid;  /* for the log only: it may belong to another process by now */
	bool admin; /* root, or of the admins' group by any of its groups */
};

/* Read the credentials of the borrowed socket @fd. @admin_gid counts if @admin_gid_known. */
int peer_read(int fd, gid_t admin_gid, bool admin_gid_known, struct peer *ret,
              struct tn_error *err);

#endif
