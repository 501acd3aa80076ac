/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer.h"

#include <stdlib.h>
#include <sys/socket.h>

#include <base/fd.h>

void peer_done(struct peer *peer)
{
	free(peer->groups);
	peer->groups = NULL;
	peer->groups_n = 0;
}

/* The supplementary groups, into @peer. */
static int groups_read(int fd, struct peer *peer, struct tn_error *err)
{
	socklen_t bytes = 0;

	/* Asked without room, the kernel says how much it needs. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes) < 0 && errno != ERANGE)
		return err_errno(err, "read the groups of a peer");
	if (bytes == 0)
		return 0;
	peer->groups = malloc(bytes);
	if (peer->groups == NULL)
		return err_errno(err, "read the groups of a peer");
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer->groups, &bytes) < 0)
		return err_errno(err, "read the groups of a peer");
	peer->groups_n = bytes / sizeof(*peer->groups);
	return 0;
}

static bool is_in_group(const struct peer *peer, gid_t gid)
{
	for (size_t i = 0; i < peer->groups_n; i++)
		if (peer->groups[i] == gid)
			return true;
	return peer->gid == gid;
}

int peer_read(int fd, gid_t admin_gid, bool admin_gid_known, struct peer *ret,
              struct tn_error *err)
{
	struct ucred credentials;
	socklen_t bytes = sizeof(credentials);
	struct peer peer = { 0 };
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) < 0)
		return err_errno(err, "read the credentials of a peer");
	peer.uid = credentials.uid;
	peer.gid = credentials.gid;
	peer.pid = credentials.pid;
	peer.login_uid = actor_login_uid(credentials.pid);
	r = groups_read(fd, &peer, err);
	if (r < 0) {
		peer_done(&peer);
		return r;
	}
	peer.admin = peer.uid == 0 || (admin_gid_known && is_in_group(&peer, admin_gid));
	/* Nobody asks for an admin's: it may do everything. */
	if (peer.admin)
		peer_done(&peer);
	*ret = peer;
	return 0;
}
