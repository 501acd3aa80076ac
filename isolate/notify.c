/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "notify.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/fd.h>
#include <base/num.h>

#define LISTEN_FDS_FIRST        3 /* as sd_listen_fds(3) has it */
#define LISTEN_FDS_MAX          4096
#define KEPT_NAME_BYTES_MAX     96
#define NOTIFY_STATUS_BYTES_MAX 1024

/* With a copy of @kept_fd, unless that is FD_NONE. */
static void send_state(const char *state, int kept_fd, int flags)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { { 0 } };
	struct iovec text = { (void *)(uintptr_t)state, strlen(state) };
	struct msghdr message = { .msg_name = &address, .msg_iov = &text, .msg_iovlen = 1 };
	cleanup_fd int fd = FD_NONE;
	size_t n;

	if (path == NULL || (path[0] != '/' && path[0] != '@'))
		return;
	n = strlen(path);
	if (n >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, n);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	message.msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	if (kept_fd >= 0) {
		control.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
			                         .cmsg_level = SOL_SOCKET,
			                         .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.head), &kept_fd, sizeof(kept_fd));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendmsg(fd, &message, MSG_NOSIGNAL | flags);
}

void notify(const char *state)
{
	send_state(state, FD_NONE, 0);
}

void notify_status(const char *text)
{
	char state[NOTIFY_STATUS_BYTES_MAX];

	(void)snprintf(state, sizeof(state), "STATUS=%s", text);
	for (char *p = state; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	send_state(state, FD_NONE, MSG_DONTWAIT);
}

void notify_keep_fd(const char *name, int fd)
{
	char state[96];

	(void)snprintf(state, sizeof(state), "FDSTORE=1\nFDNAME=%s", name);
	send_state(state, fd, 0);
}

void notify_drop_fd(const char *name)
{
	char state[96];

	(void)snprintf(state, sizeof(state), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	notify(state);
}

/* The position of @name in "a:b:c", or -1. */
static int position_of(const char *names, const char *name)
{
	const size_t n = strlen(name);

	for (int i = 0; names != NULL && i < LISTEN_FDS_MAX; i++) {
		if (strcspn(names, ":") == n && strncmp(names, name, n) == 0)
			return i;
		names = strchr(names, ':');
		if (names != NULL)
			names++;
	}
	return -1;
}

/* How many there are for us. */
static int64_t kept_n(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	int64_t pid_value, n;

	if (pid == NULL || num_parse(pid, INT32_MAX, &pid_value) < 0 || pid_value != getpid() ||
	    count == NULL || num_parse(count, LISTEN_FDS_MAX, &n) < 0)
		return 0;
	return n;
}

static int kept_move(int i, int first)
{
	int fd = fcntl(LISTEN_FDS_FIRST + i, F_DUPFD_CLOEXEC, first);

	(void)close(LISTEN_FDS_FIRST + i);
	return fd < 0 ? FD_NONE : fd;
}

int notify_kept_fd(const char *name, int first)
{
	const int i = position_of(getenv("LISTEN_FDNAMES"), name);

	return i < 0 || i >= kept_n() ? FD_NONE : kept_move(i, first);
}

void notify_kept_each(const char *prefix, int first,
                      void (*taken)(void *context, const char *rest, int fd), void *context)
{
	const char *names = getenv("LISTEN_FDNAMES");
	const int64_t n = kept_n();
	const size_t prefix_n = strlen(prefix);

	for (int i = 0; names != NULL && i < n; i++) {
		const size_t name_n = strcspn(names, ":");
		char name[KEPT_NAME_BYTES_MAX];

		if (name_n < sizeof(name) && strncmp(names, prefix, prefix_n) == 0) {
			memcpy(name, names, name_n);
			name[name_n] = '\0';
			taken(context, name + prefix_n, kept_move(i, first));
		}
		names = names[name_n] == ':' ? names + name_n + 1 : NULL;
	}
}

int64_t notify_watchdog_usec(void)
{
	const char *text = getenv("WATCHDOG_USEC");
	int64_t usec;

	if (text == NULL || num_parse(text, INT64_MAX, &usec) < 0)
		return 0;
	/* Half of what is allowed, as sd_watchdog_enabled(3) advises. */
	return usec / 2;
}
