/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fdpass.h>
#include <base/log.h>

#define CHANNEL_SNDBUF_BYTES (1 << 20)
#define CHANNEL_STOP_MSEC    5000
#define NSEC_PER_MSEC        1000000

struct channel_message {
	struct channel_message *next;
	int fd;
	_Alignas(struct spec_head) unsigned char bytes[];
};

static void queue_drop(struct channel *c)
{
	while (c->first != NULL) {
		struct channel_message *message = c->first;

		c->first = message->next;
		fd_closep(&message->fd);
		free(message);
	}
	c->last = &c->first;
	c->queued_n = 0;
}

static void controller_kill(const struct channel *c)
{
	(void)syscall(SYS_pidfd_send_signal, c->process.fd, SIGKILL, NULL, 0);
}

static void watch_output(struct channel *c, bool wanted)
{
	struct tn_error err = { 0 };

	(void)loop_change(c->loop, &c->socket, EPOLLIN | (wanted ? (uint32_t)EPOLLOUT : 0),
	                  &err);
}

static uint32_t message_bytes(const void *message)
{
	struct spec_head head;

	memcpy(&head, message, sizeof(head));
	return head.bytes;
}

/* 0: sent; -EAGAIN: there is no room at the moment; else the controller is gone, which its
 * pidfd tells. */
static int send_now(struct channel *c, const void *message, int fd)
{
	struct tn_error err = { 0 };
	int r = fdpass_send(c->socket.fd, message, message_bytes(message), &fd, fd >= 0, &err);

	return r == -ENOBUFS || r == -ENOMEM ? -EAGAIN : r;
}

static void queue_flush(struct channel *c)
{
	while (c->first != NULL) {
		struct channel_message *message = c->first;
		int r = send_now(c, message->bytes, message->fd);

		if (r == -EAGAIN)
			return;
		c->first = message->next;
		if (c->first == NULL)
			c->last = &c->first;
		c->queued_n--;
		fd_closep(&message->fd);
		free(message);
	}
	watch_output(c, false);
}

static void queue_add(struct channel *c, const void *message, int fd)
{
	uint32_t n = message_bytes(message);
	struct channel_message *copy = c->queued_n < CHANNEL_QUEUE_MAX
	                                       ? malloc(sizeof(*copy) + n)
	                                       : NULL;

	if (copy == NULL) {
		log_event(LOG_ERR, "the controller does not listen: killing it", LF_END);
		controller_kill(c);
		return;
	}
	copy->next = NULL;
	copy->fd = fd < 0 ? FD_NONE : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	memcpy(copy->bytes, message, n);
	*c->last = copy;
	c->last = &copy->next;
	c->queued_n++;
	watch_output(c, true);
}

void channel_send(struct channel *c, const void *message, int fd)
{
	if (c->socket.fd < 0)
		return;
	if (c->first != NULL || send_now(c, message, fd) == -EAGAIN)
		queue_add(c, message, fd);
}

static void socket_ready(void *context, uint32_t events)
{
	struct channel *c = context;
	unsigned char *buf = c->input;
	struct spec_head head;
	struct tn_error err = { 0 };
	int fds[SPEC_FDS_MAX];
	size_t fds_n = 0;
	int n;

	if ((events & EPOLLOUT) != 0)
		queue_flush(c);
	if ((events & ~(uint32_t)EPOLLOUT) == 0)
		return;
	n = fdpass_recv(c->socket.fd, buf, sizeof(c->input), fds, SPEC_FDS_MAX, &fds_n, &err);
	/* It lies there still. */
	if (n == -EAGAIN || n == -ENOMEM)
		return;
	if (n < 0 && n != -EBADMSG) {
		/* It ends, or has only closed the channel: then it is of no more use. */
		controller_kill(c);
		loop_remove(c->loop, &c->socket);
		fd_closep(&c->socket.fd);
		queue_drop(c);
		return;
	}
	if (n >= (int)sizeof(head))
		memcpy(&head, buf, sizeof(head));
	if (n >= (int)sizeof(head) && head.version != SPEC_VERSION)
		(void)err_refuse(
			&err, TN_UNSUPPORTED,
			"it speaks version %d of the channel, tenantd %d: one of them is of "
			"another release; install both and restart tenantd",
			head.version, SPEC_VERSION);
	if (n < (int)sizeof(head) || head.bytes != (uint32_t)n ||
	    head.version != SPEC_VERSION) {
		fdpass_close(fds, fds_n);
		log_event(LOG_ERR, "bad message from the controller: killing it",
		          LF_STR("error", err.msg), LF_END);
		controller_kill(c);
		return;
	}
	if (head.op == SPEC_READY) {
		c->was_ready = true;
		c->pause_msec = 0;
	}
	c->received(c->context, (const struct spec_head *)(const void *)buf, fds, fds_n);
	fdpass_close(fds, fds_n);
}

/* No capability, no way to one, and only the two descriptors it is told about. */
static int privileges_drop(const struct channel *c)
{
	cap_t none = cap_init();
	int r;

	if (none == NULL || setgroups(0, NULL) < 0)
		return -errno;
	for (cap_value_t cap = 0; cap_drop_bound(cap) == 0; cap++)
		;
	if (setresgid(c->gid, c->gid, c->gid) < 0 || setresuid(c->uid, c->uid, c->uid) < 0)
		return -errno;
	r = cap_set_proc(none) < 0 ? -errno : 0;
	(void)cap_free(none);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	return r;
}

static void controller_exec(const struct channel *c, int sock) __attribute__((noreturn));
static void controller_exec(const struct channel *c, int sock)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* tenantd's own descriptors lie above these numbers. */
	if (dup3(sock, SPEC_CONTROLLER_CHANNEL_FD, 0) < 0 ||
	    dup3(c->listen_fd, SPEC_CONTROLLER_LISTEN_FD, 0) < 0 ||
	    close_range(SPEC_CONTROLLER_LISTEN_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		_exit(71);
	if (privileges_drop(c) < 0)
		_exit(77);
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)execv(c->path, (char *const *)(uintptr_t)c->argv);
	log_event(LOG_ERR, "cannot execute the controller", LF_STR("path", c->path),
	          LF_STR("error", strerror(errno)), LF_END);
	_exit(127);
}

static int spawn(struct channel *c, struct tn_error *err)
{
	int bytes = CHANNEL_SNDBUF_BYTES;
	int socks[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, socks) < 0)
		return err_errno(err, "socketpair");
	(void)setsockopt(socks[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	c->pid = fork();
	if (c->pid == 0)
		controller_exec(c, socks[1]);
	(void)close(socks[1]);
	c->socket.fd = socks[0];
	if (c->pid < 0) {
		c->pid = 0;
		return err_errno(err, "fork the controller");
	}
	c->process.fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (c->process.fd < 0)
		return err_errno(err, "pidfd of the controller");
	r = loop_add(c->loop, &c->process, EPOLLIN, err);
	if (r == 0)
		r = loop_add(c->loop, &c->socket, EPOLLIN, err);
	if (r == 0)
		c->connected(c->context);
	return r;
}

static void controller_gone(struct channel *c)
{
	loop_remove(c->loop, &c->process);
	fd_closep(&c->process.fd);
	if (c->socket.fd >= 0)
		loop_remove(c->loop, &c->socket);
	fd_closep(&c->socket.fd);
	queue_drop(c);
	c->pid = 0;
}

/* One that has come up is replaced at once; one that could not is tried ever more seldom. */
static void restart_later(struct channel *c)
{
	struct itimerspec when = { 0 };

	c->pause_msec = c->pause_msec == 0 ? CHANNEL_RESTART_MSEC : 2 * c->pause_msec;
	if (c->pause_msec > CHANNEL_RESTART_MSEC_MAX)
		c->pause_msec = CHANNEL_RESTART_MSEC_MAX;
	when.it_value.tv_sec = c->pause_msec / 1000;
	when.it_value.tv_nsec = c->pause_msec % 1000 * NSEC_PER_MSEC;
	(void)timerfd_settime(c->restart.fd, 0, &when, NULL);
}

static void process_ready(void *context, uint32_t events)
{
	struct channel *c = context;
	siginfo_t info = { 0 };

	(void)events;
	(void)waitid(P_PIDFD, (id_t)c->process.fd, &info, WEXITED | WNOHANG);
	controller_gone(c);
	if (c->stopping)
		return;
	log_event(LOG_ERR, "the controller has ended",
	          LF_STR("how", info.si_code == CLD_EXITED ? "exit" : "signal"),
	          LF_INT("status", info.si_status), LF_END);
	/* One that never came up will not do so by trying again: let the admin see it. */
	if (!c->was_ready) {
		c->loop->done = true;
		return;
	}
	restart_later(c);
}

static void restart_ready(void *context, uint32_t events)
{
	struct channel *c = context;
	struct tn_error err = { 0 };
	uint64_t ticks;

	(void)events;
	if (read(c->restart.fd, &ticks, sizeof(ticks)) < 0 || spawn(c, &err) == 0)
		return;
	log_event(LOG_ERR, "cannot start the controller", LF_STR("error", err.msg), LF_END);
	c->loop->done = true;
}

int channel_start(struct channel *c, struct tn_error *err)
{
	int r;

	c->last = &c->first;
	c->socket = (struct loop_source){ FD_NONE, socket_ready, c };
	c->process = (struct loop_source){ FD_NONE, process_ready, c };
	c->restart = (struct loop_source){ FD_NONE, restart_ready, c };
	c->restart.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (c->restart.fd < 0)
		return err_errno(err, "create a timer");
	r = loop_add(c->loop, &c->restart, EPOLLIN, err);
	return r < 0 ? r : spawn(c, err);
}

void channel_stop(struct channel *c)
{
	c->stopping = true;
	if (c->pid > 0) {
		struct pollfd ended = { .fd = c->process.fd, .events = POLLIN };
		siginfo_t info;

		(void)syscall(SYS_pidfd_send_signal, c->process.fd, SIGTERM, NULL, 0);
		if (poll(&ended, 1, CHANNEL_STOP_MSEC) <= 0)
			controller_kill(c);
		(void)waitid(P_PIDFD, (id_t)c->process.fd, &info, WEXITED);
		controller_gone(c);
	}
	loop_remove(c->loop, &c->restart);
	fd_closep(&c->restart.fd);
}
