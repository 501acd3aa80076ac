/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who opens a tenant's files for people on the host: a process of its own for each copy, which
 * serves <base/data.h> on a socket until its client goes or is silent for a while.
 *
 * tenantd itself opens nothing of a tenant's: whoever looks up or makes a name there takes
 * locks that the tenant's processes hold, too, and one that its cgroup has stopped holds them
 * for as long as it likes (until Linux 6.18). So it is this process that waits, and nobody
 * else.
 *
 * It has no right on the host. It is the tenant's workload (its uid and gid, in its user
 * namespace), with one capability there: to read what other users of the tenant's own range
 * have kept to themselves, as whoever may run commands as any of them could. What it makes is
 * the workload's, and what the workload may not write it may not, either. Its root directory is
 * /data, it has no descriptor of anything outside but the list of its own (/proc/self/fd, by
 * which a file that has no name is given one), and every path goes through openat2() beneath
 * that root, without links, onto no other file system.
 *
 * What it hands out are regular files: to read, after it has looked at what it opens by a
 * descriptor that opens nothing (a FIFO or a device feels nothing of it); or to write, one that
 * it has just made without a name. So an interrupted copy leaves nothing, whoever is
 * killed, and the workload never sees half a file. A directory is never handed out, only told:
 * by a descriptor of one its holder could walk up and out with his own rights.
 *
 * It reads and writes no contents: that is its client's, with his limits.
 */
#ifndef ISOLATE_DATA_SERVER_H
#define ISOLATE_DATA_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* So long does it wait for the next request; a client that wants more asks for a new one. */
#define DATA_IDLE_MSEC 60000

struct data_server {
	int sock;
	int root_fd; /* O_PATH of /data */
	int fds_fd;  /* O_PATH of /proc/self/fd */
	uid_t owner; /* of what may be given a name: its own uid, as it sees it */
	bool writable;
	const char *path; /* nothing but this and what lies below it */
	int idle_msec;
};

/* Serve until the client goes; 0, or -errno. The caller has seen to who it is. */
int data_serve(const struct data_server *server);

struct data_entry_request {
	int sock;       /* the server's end */
	int root_fd;    /* O_PATH of /data */
	int user_ns_fd; /* of the tenant; all its ids are in it */
	bool writable;
	const char *path; /* data_path_valid() */
};

/* Become what is described above, in a process that was forked for it by @parent. */
void data_enter(const struct data_entry_request *request, pid_t parent)
	__attribute__((noreturn));

#endif
