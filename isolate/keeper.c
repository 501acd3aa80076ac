/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "keeper.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/fdpass.h>
#include <base/id_table.h>
#include <base/log.h>

#define KEEPER_FD   3
#define KEEPER_NAME "tenantd-keeper"
/*
 * Room for a message of every execution that there can be, in both directions: so neither
 * side ever waits for the other while that waits for it.
 */
#define KEEPER_BUFFER_BYTES (64 * 1024 * 1024)

#define KEEPER_FDS_MAX (1 + KEEPER_MEMORY_MAX)

/* One message: with descriptors, to hold; without, to drop, and the answer to that. */
struct message {
	struct id execution;
};

struct held {
	struct id_node node;
	struct held *next;       /* that nobody waits for */
	int fds[KEEPER_FDS_MAX]; /* the namespace, and what is in memory */
	size_t fds_n;
};

struct kept {
	int sock;
	struct id_table table;
	struct held *first, **last; /* to be let go of when there is time */
};

static void fds_close(const int *fds, size_t n)
{
	/* The namespace last: when that is closed, no mount of it is held. */
	while (n > 0)
		(void)close(fds[--n]);
}

static void hold(struct kept *kept, const struct id *execution, const int *fds, size_t n)
{
	struct held *held = calloc(1, sizeof(*held));

	/* Then it ends with its last process. */
	if (held == NULL) {
		fds_close(fds, n);
		return;
	}
	held->node.id = *execution;
	memcpy(held->fds, fds, n * sizeof(*fds));
	held->fds_n = n;
	id_table_add(&kept->table, &held->node);
}

/* As tmpfs counts: a file without a byte is a file, and its root is one. */
static bool stores_nothing(const struct held *held)
{
	struct statfs fs;

	for (size_t i = 1; i < held->fds_n; i++)
		if (fstatfs(held->fds[i], &fs) < 0 || fs.f_blocks == 0 ||
		    fs.f_bfree != fs.f_blocks || fs.f_files == 0 ||
		    fs.f_ffree + 1 != fs.f_files)
			return false;
	return held->fds_n > 1;
}

static void answer(const struct kept *kept, const struct message *message)
{
	if (send(kept->sock, message, sizeof(*message), MSG_NOSIGNAL) < 0)
		_exit(1);
}

/* When close() is back, the mounts are gone: it takes as long as all the rest of an end. */
static void let_go(struct held *held)
{
	fds_close(held->fds, held->fds_n);
	free(held);
}

static void drop(struct kept *kept, const struct message *message)
{
	struct held *held = id_table_find(&kept->table, &message->execution);

	if (held != NULL)
		id_table_remove(&kept->table, &held->node);
	if (held != NULL && stores_nothing(held)) {
		*kept->last = held;
		kept->last = &held->next;
	} else if (held != NULL) {
		let_go(held);
	}
	answer(kept, message);
}

/* What nobody waits for is done one by one, and only while nobody asks for anything. */
static void request_await(struct kept *kept)
{
	struct pollfd request = { .fd = kept->sock, .events = POLLIN };

	while (kept->first != NULL && poll(&request, 1, 0) == 0) {
		struct held *held = kept->first;

		kept->first = held->next;
		if (kept->first == NULL)
			kept->last = &kept->first;
		let_go(held);
	}
}

static void serve(int sock) __attribute__((noreturn));
static void serve(int sock)
{
	struct kept kept = { .sock = sock };

	kept.last = &kept.first;
	for (;;) {
		struct tn_error err = { 0 };
		struct message message;
		int fds[KEEPER_FDS_MAX];
		size_t fds_n = 0;
		int n;

		request_await(&kept);
		n = fdpass_recv(sock, &message, sizeof(message), fds, KEEPER_FDS_MAX, &fds_n,
		                &err);
		if (n != (int)sizeof(message))
			_exit(n == -EPIPE ? 0 : 1);
		if (fds_n > 0)
			hold(&kept, &message.execution, fds, fds_n);
		else
			drop(&kept, &message);
	}
}

/* Nothing of tenantd's may be held by it, least of all a descriptor. */
static void keep(int sock) __attribute__((noreturn));
static void keep(int sock)
{
	(void)prctl(PR_SET_NAME, KEEPER_NAME, 0, 0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if ((sock != KEEPER_FD && dup3(sock, KEEPER_FD, O_CLOEXEC) < 0) ||
	    close_range(KEEPER_FD + 1, ~0u, 0) < 0)
		_exit(1);
	serve(KEEPER_FD);
}

static void buffers_enlarge(int sock)
{
	const int bytes = KEEPER_BUFFER_BYTES;

	(void)setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
}

static void answers_take(void *context, uint32_t events)
{
	struct keeper *keeper = context;
	struct tn_error err = { 0 };
	struct message message;
	ssize_t n = recv(keeper->source.fd, &message, sizeof(message), MSG_DONTWAIT);

	(void)events;
	if (n == (ssize_t)sizeof(message)) {
		keeper->dropped(keeper->context, &message.execution);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	log_event(LOG_ERR, "the keeper of mount namespaces has died", LF_END);
	keeper_stop(keeper);
	if (keeper_start(keeper, &err) < 0)
		log_event(LOG_ERR, "there is no keeper of mount namespaces",
		          LF_STR("error", err.msg), LF_END);
	keeper->lost(keeper->context);
}

int keeper_start(struct keeper *keeper, struct tn_error *err)
{
	int ends[2], r;

	keeper->source = (struct loop_source){ FD_NONE, answers_take, keeper };
	keeper->pid = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_errno(err, "socket to the keeper of mount namespaces");
	buffers_enlarge(ends[0]);
	buffers_enlarge(ends[1]);
	keeper->source.fd = ends[0];
	keeper->pid = fork();
	if (keeper->pid == 0)
		keep(ends[1]);
	(void)close(ends[1]);
	r = keeper->pid < 0 ? err_errno(err, "fork the keeper of mount namespaces")
	                    : loop_add(keeper->loop, &keeper->source, EPOLLIN, err);
	if (r < 0)
		keeper_stop(keeper);
	return r;
}

void keeper_stop(struct keeper *keeper)
{
	if (keeper->loop == NULL)
		return;
	loop_remove(keeper->loop, &keeper->source);
	fd_closep(&keeper->source.fd);
	if (keeper->pid <= 0)
		return;
	/* Children in set-up have the socket too: that alone would not end it now. */
	(void)kill(keeper->pid, SIGKILL);
	(void)waitpid(keeper->pid, NULL, 0);
	keeper->pid = 0;
}

int keeper_hold(int keeper_fd, const struct id *execution, const struct keeper_mounts *mounts,
                struct tn_error *err)
{
	const struct message message = { *execution };
	int fds[KEEPER_FDS_MAX] = { mounts->ns_fd };

	memcpy(fds + 1, mounts->memory_fds, mounts->memory_n * sizeof(*fds));
	if (keeper_fd < 0)
		return err_set(err, TN_SYSTEM, ENOTCONN, "no keeper of mount namespaces");
	return fdpass_send(keeper_fd, &message, sizeof(message), fds, 1 + mounts->memory_n,
	                   err);
}

int keeper_drop(struct keeper *keeper, const struct id *execution, struct tn_error *err)
{
	const struct message message = { *execution };

	if (keeper->source.fd < 0)
		return err_set(err, TN_SYSTEM, ENOTCONN, "no keeper of mount namespaces");
	return fdpass_send(keeper->source.fd, &message, sizeof(message), NULL, 0, err);
}
