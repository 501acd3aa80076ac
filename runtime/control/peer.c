/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer.h"

#include <stdlib.h>
#include <sys/socket.h>

#include <base/fd.h>

/* 1 if @gid is among the supplementary groups, 0 if not, or -errno. */
static int peer_in_group(int fd, gid_t gid, struct tn_error *err)
{
	cleanup_free gid_t *groups = NULL;
	socklen_t bytes = 0;

	/* Asked without room, the kernel says how much it needs. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes) < 0 && errno != ERANGE)
		return err_errno(err, "read the groups of a peer");
	if (bytes == 0)
		return 0;
	groups = malloc(bytes);
	if (groups == NULL)
		return err_errno(err, "read the groups of a peer");
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) < 0)
		return err_errno(err, "read the groups of a peer");
	for (size_t i = 0; i < bytes / sizeof(*groups); i++)
		if (groups[i] == gid)
			return 1;
	return 0;
}

int peer_read(int fd, gid_t admin_gid, bool admin_gid_known, struct peer *ret,
              struct tn_error *err)
{
	struct ucred credentials;
	socklen_t bytes = sizeof(credentials);
	int r = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) < 0)
		return err_errno(err, "read the credentials of a peer");
	if (admin_gid_known && credentials.gid == admin_gid)
		r = 1;
	else if (admin_gid_known)
		r = peer_in_group(fd, admin_gid, err);
	if (r < 0)
		return r;
	*ret = (struct peer){ .uid = credentials.uid,
		              .pid = credentials.pid,
		              .admin = credentials.uid == 0 || r == 1 };
	return 0;
}
