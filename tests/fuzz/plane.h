/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The whole control plane in one process for libFuzzer targets, with a real store, policy files
 * and sockets; and tenantd at its other end, which takes no tenant unless it is to, and answers
 * no launch by itself.
 */
#ifndef TESTS_FUZZ_PLANE_H
#define TESTS_FUZZ_PLANE_H

#include <stdbool.h>
#include <stdint.h>

#include <context.h>

#define PLANE_LAUNCHES    8
#define PLANE_FDS_MAX     5
#define PLANE_PATH_BYTES  128
#define PLANE_REPLY_BYTES 65536

extern struct plane {
	char dir[64];
	struct loop *loop;
	struct context *context;
	struct spec_launch launches[PLANE_LAUNCHES]; /* not answered yet, oldest first */
	size_t launches_n;
	struct id tenant; /* that was taken last */
	int supervisor;
	int cgroup;
	int null;
	bool takes_tenants;
} plane;

/* What sends on a connection. */
struct peer_end {
	int fd;
	int fds[PLANE_FDS_MAX]; /* borrowed; they go with the next bytes */
	size_t fds_n;
};

void require(bool condition);

/* Directories and the policy, whose one tier is @tier, "free", and a price book; removed at the
 * end. */
void plane_init(const char *name, const char *tier);
void plane_path(char path[static PLANE_PATH_BYTES], const char *name);
/* Begin with what is in the store. */
void plane_start(void);
/* Until nothing is left to do. */
void plane_turn(void);
/* Listening at @name in the directory; and a connection to it. */
int plane_listen(const char *name);
int plane_connect(const char *name);

/* As tenantd. With the borrowed @fd unless that is FD_NONE. */
void supervisor_say(enum spec_op op, uint64_t serial, struct spec_head *message, size_t bytes,
                    int fd);
/* Refuse the oldest launch. */
void supervisor_answer_launch(void);

void peer_send(struct peer_end *peer, const uint8_t *data, size_t n);
/* Read all that is there. */
void peer_read_all(const struct peer_end *peer);
/* On a connection of its own to @name: @call is answered, and not by an error. */
void plane_ask(const char *name, const char *call);
/* The lowest free descriptor: the same before and after, if none leaked. */
int plane_lowest_free(void);

#endif
