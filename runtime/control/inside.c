/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inside.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <base/fd.h>
#include <base/io.h>
#include <isolate/spec.h>

/* Linux 6.5 and later; its number beside the headers of Debian 12. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define CGROUP_BYTES_MAX 4096

/* Of the process that connected; from a kernel that cannot say so, of whoever has its pid. */
static int pidfd_open_peer(int fd, pid_t pid)
{
	int pid_fd = FD_NONE;
	socklen_t bytes = sizeof(pid_fd);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pid_fd, &bytes) == 0)
		return pid_fd;
	return errno == ENOPROTOOPT ? (int)syscall(SYS_pidfd_open, pid, 0) : FD_NONE;
}

static bool has_ended(int pid_fd)
{
	struct pollfd pollfd = { .fd = pid_fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) != 0;
}

/* The path in the line of cgroup v2, which is cut off there; NULL if there is none. */
static char *path_of(char *text)
{
	char *line = text;

	while (line != NULL && strncmp(line, "0::", 3) != 0) {
		line = strchr(line, '\n');
		line += line != NULL;
	}
	if (line == NULL)
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	return line + 3;
}

/*
 * Whether @path, which begins at the mount of cgroup v2, is that of a leaf of the tenant's;
 * then its execution. The tree's path has that mount's own before it.
 */
static bool leaf_parse(const struct inside_place *place, const char *path, struct id *ret)
{
	const char *last = strrchr(path, '/');
	char leaf[SPEC_PATH_BYTES_MAX + NAME_BYTES_MAX + ID_TEXT_BYTES + 2];
	size_t path_n = strlen(path), leaf_n;

	if (last == NULL || id_parse(last + 1, ret) < 0)
		return false;
	(void)snprintf(leaf, sizeof(leaf), "%s/%s/%s", place->cgroup_root, place->tenant_name,
	               last + 1);
	leaf_n = strlen(leaf);
	/* Its last two parts, and whatever comes before them. */
	return path_n <= leaf_n && path_n > strlen(place->tenant_name) + ID_TEXT_BYTES &&
	       strcmp(leaf + leaf_n - path_n, path) == 0;
}

static int refuse(const struct inside_place *place, const struct peer *peer,
                  struct tn_error *err)
{
	return err_refuse(err, TN_NOT_PERMITTED, "process %d is no workload of '%s'",
	                  (int)peer->pid, place->tenant_name);
}

int inside_read(int fd, const struct inside_place *place, const struct id *tenant,
                struct peer *ret, struct tn_error *err)
{
	char path[32], text[CGROUP_BYTES_MAX];
	struct ucred credentials;
	socklen_t bytes = sizeof(credentials);
	struct peer peer = { .inside = true, .tenant = *tenant, .login_uid = ACTOR_ABSENT };
	cleanup_fd int pid_fd = FD_NONE;
	const char *cgroup;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) < 0)
		return err_errno(err, "read the credentials of a peer");
	peer.uid = credentials.uid;
	peer.gid = credentials.gid;
	peer.pid = credentials.pid;
	pid_fd = pidfd_open_peer(fd, peer.pid);
	(void)snprintf(path, sizeof(path), "%d/cgroup", (int)peer.pid);
	if (pid_fd < 0 || io_read_file_at(place->proc_fd, path, text, sizeof(text)) < 0)
		return refuse(place, &peer, err);
	cgroup = path_of(text);
	/* Looked for before it has ended: so the pid was nobody else's. */
	if (cgroup == NULL || !leaf_parse(place, cgroup, &peer.execution) || has_ended(pid_fd))
		return refuse(place, &peer, err);
	*ret = peer;
	return 0;
}
