/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attacks by SPEC_DATA, and on the socket that it gives; and on those of SPEC_METER. */
#include "controller.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/data.h>

void data_make(struct request *r)
{
	head_make(r, SPEC_DATA, sizeof(r->u.data));
	r->u.data.tenant = acme;
	r->u.data.flags = SPEC_DATA_WRITABLE;
}

static void path_set(struct request *r, const char *path)
{
	(void)snprintf(r->u.data.path, sizeof(r->u.data.path), "%s", path);
}

void data_unknown(struct request *r)
{
	r->u.data.tenant = nobody;
}

void data_flags(struct request *r)
{
	r->u.data.flags = 1u << 31;
}

void data_up(struct request *r)
{
	path_set(r, "../../../etc");
}

void data_between(struct request *r)
{
	path_set(r, "a/../../..");
}

void data_absolute(struct request *r)
{
	path_set(r, "/etc");
}

void data_dot(struct request *r)
{
	path_set(r, ".");
}

void data_endless(struct request *r)
{
	memset(r->u.data.path, 'a', sizeof(r->u.data.path));
}

void data_with_fd(struct request *r)
{
	r->fds[r->fds_n++] = open("/", O_PATH | O_CLOEXEC);
}

/* The error that a request on the socket is answered with, or -1 without an answer. */
static int ask(int sock, enum data_kind kind, const char *path, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct {
		struct data_request head;
		char path[256];
	} message = { { .kind = kind, .path_bytes = (uint32_t)strlen(path) }, "" };
	struct iovec iov = { &message, sizeof(message.head) + strlen(path) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct data_reply reply;

	memcpy(message.path, path, strlen(path));
	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int));
		*CMSG_FIRSTHDR(&msg) = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET,
			                                 SCM_RIGHTS };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &fd, sizeof(fd));
	}
	if (sendmsg(sock, &msg, MSG_NOSIGNAL) < 0 ||
	    recv(sock, &reply, sizeof(reply), 0) < (ssize_t)sizeof(reply))
		return -1;
	return reply.error;
}

static void expect(const char *what, int error)
{
	if (error <= 0)
		say("%s gave %d; ", what, error);
}

static int data_open(void)
{
	struct request r = { .output = -1 };
	int fd;

	data_make(&r);
	must(transmit(&r) && answered(SPEC_REPLY, r.u.head.serial, ANSWER_MSEC), "data");
	must(answer.reply.error.code == TN_OK && reply_fd >= 0, "a socket");
	fd = reply_fd;
	reply_fd = -1;
	return fd;
}

/* What lies beside and above, and files of the host's to be given a name inside. */
void data_beyond(void)
{
	static const char *const paths[] = {
		"/etc/shadow", "../../../../../etc/shadow", "..",
		"../../slots", "x/../../../../etc/shadow",  "proc/self/root/etc/shadow"
	};
	const int file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	const int own = open(store, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	const int tree = dup(cgroup_fd);
	const int sock = data_open();

	for (size_t i = 0; i < LEN(paths); i++)
		for (enum data_kind kind = DATA_STAT; kind < DATA_COMMIT; kind++)
			expect(paths[i], ask(sock, kind, paths[i], -1));
	expect("a file of the host's", ask(sock, DATA_COMMIT, "x", file));
	expect("a file of the controller's", ask(sock, DATA_COMMIT, "x", own));
	expect("a directory", ask(sock, DATA_COMMIT, "x", tree));
	expect("no kind", ask(sock, DATA_KINDS_END, "x", -1));
	if (ask(sock, DATA_STAT, "", -1) != 0)
		say("/data itself is not served; ");
	say("nothing beyond");
	(void)close(file);
	(void)close(own);
	(void)close(tree);
	(void)close(sock);
}

/* More than there is room for: then they are refused, and all are given back. */
void data_flood(void)
{
	int socks[64], n = 0;
	struct request r = { .output = -1 };

	for (;; n++) {
		data_make(&r);
		must(transmit(&r) && answered(SPEC_REPLY, r.u.head.serial, ANSWER_MSEC),
		     "data");
		if (answer.reply.error.code != TN_OK || n == (int)LEN(socks))
			break;
		socks[n] = reply_fd;
		reply_fd = -1;
	}
	say("%d: %.200s", n, answer.reply.error.msg);
	while (n > 0)
		(void)close(socks[--n]);
}

/* Of a tenant that has one from its first launch on; it is ours as much as tenantd's. */
void meter_shut(void)
{
	struct request r = { .output = -1 };

	sleeper_start(&r);
	must(meter_fd >= 0 && shutdown(meter_fd, SHUT_RDWR) == 0, "shut the socket");
	_exit(0);
}

/* The sleeper is still there, and has one that the one before us cannot have shut. */
void meter_again(void)
{
	struct pollfd pollfd = { .fd = meter_fd, .events = POLLRDHUP };
	struct request r = { .output = -1 };
	int listening = 0;
	socklen_t bytes = sizeof(listening);

	sleeper_start(&r);
	sleeper_end(&r);
	pollfd.fd = meter_fd;
	must(meter_fd >= 0 &&
	             getsockopt(meter_fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &bytes) == 0,
	     "look at the socket");
	say("%s", listening == 1 && poll(&pollfd, 1, 0) == 0 ? "listens" : "is shut");
}
