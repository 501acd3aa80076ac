/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantd's end of the channel to tenant-controller, and the controller's process: it is
 * started with the channel and the listening socket, without a capability, and started
 * again when it ends. Workloads do not notice.
 *
 * Nothing that must arrive is lost: what a slow controller does not take waits in a
 * queue; when that is full the controller is killed, and its successor is told anew.
 */
#ifndef ISOLATE_CHANNEL_H
#define ISOLATE_CHANNEL_H

#include <stdbool.h>
#include <sys/types.h>

#include <base/err.h>

#include "loop.h"
#include "spec.h"

#define CHANNEL_QUEUE_MAX 16384
/* Until the next controller is started; each time that one did not come up, twice as long. */
#define CHANNEL_RESTART_MSEC     100
#define CHANNEL_RESTART_MSEC_MAX 5000

struct channel_message;

struct channel {
	struct loop *loop;
	struct loop_source socket, process, restart;
	struct channel_message *first, **last; /* not yet sent */
	size_t queued_n;
	uid_t uid; /* of the controller */
	gid_t gid;
	int listen_fd;           /* control socket, borrowed */
	const char *path;        /* of the program */
	const char *const *argv; /* its arguments, NULL-terminated */
	pid_t pid;               /* 0: none runs */
	bool was_ready;          /* some controller has said SPEC_READY */
	long pause_msec;         /* that the last restart has waited; 0: it has come up */
	bool stopping;
	_Alignas(struct spec_head) unsigned char input[SPEC_MSG_BYTES_MAX];
	/* A new controller is there: greet it. */
	void (*connected)(void *context);
	/* A whole message; @fds are the receiver's to close, it takes what it keeps. */
	void (*received)(void *context, const struct spec_head *message, int *fds,
	                 size_t fds_n);
	void *context;
};

/* Start the first controller; loop, uid … context are set by the caller. */
int channel_start(struct channel *channel, struct tn_error *err);

/* Queue a message of spec.h and copies of borrowed descriptors (at most one). */
void channel_send(struct channel *channel, const void *message, int fd);

/* Ask the controller to end, wait for it a bounded time, kill it. */
void channel_stop(struct channel *channel);

#endif
