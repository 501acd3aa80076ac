/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target: a peer that sends anything. The input is a list of sends, each a
 * byte that says how many bytes follow and how many descriptors go with them.
 *
 * Whatever it is: messages come out whole, in bounds and as objects; after an error
 * nothing comes any more; and no descriptor is left when the connection is gone.
 */
#include <wire/varlink.h>

#include <fcntl.h>
#include <stdint.h>
#include <sys/socket.h>

#include <base/fd.h>

#define SEND_BYTES_MAX 63
#define SEND_FDS_MAX   3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void send_bytes(int fd, const uint8_t *data, size_t n, size_t fds_n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SEND_FDS_MAX * sizeof(int))];
	} control = { 0 };
	char copy[SEND_BYTES_MAX];
	struct iovec iov = { .iov_base = copy, .iov_len = n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	memcpy(copy, data, n);
	if (fds_n > 0) {
		const int fds[SEND_FDS_MAX] = { STDERR_FILENO, STDERR_FILENO, STDERR_FILENO };

		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fds_n * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, fds_n * sizeof(int));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(fds_n * sizeof(int));
	}
	(void)sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Take what has come; whether the connection goes on. */
static bool take(struct varlink *link)
{
	struct varlink_message message = { 0 };
	struct tn_error err = { 0 };
	int r = varlink_process(link, &err);

	if (r < 0) {
		require(err.code == TN_PROTOCOL || err.code == TN_UNREACHABLE);
		return false;
	}
	while ((r = varlink_next(link, &message, &err)) == 1) {
		char *text = json_dumps(message.json, JSON_COMPACT);

		require(json_is_object(message.json) && message.fds_n <= VARLINK_FDS_MAX);
		require(text != NULL);
		for (size_t i = 0; i < message.fds_n; i++)
			require(fcntl(message.fds[i], F_GETFD) == FD_CLOEXEC);
		free(text);
		varlink_message_done(&message);
	}
	require(r == 0 || (r == -EPROTO && err.code == TN_PROTOCOL));
	if (r < 0)
		require(varlink_next(link, &message, &err) == -EPROTO);
	return r == 0;
}

/* The lowest free descriptor: the same before and after, if none leaked. */
static int lowest_free(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	(void)close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size;
	int before = lowest_free(), sv[2];
	struct tn_error err;
	struct varlink *link;
	bool going = true;

	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0);
	require(varlink_new(&link, sv[0], &err) == 0);
	while (going && data < end) {
		size_t n = *data & SEND_BYTES_MAX, fds_n = *data >> 6;

		data++;
		n = n < (size_t)(end - data) ? n : (size_t)(end - data);
		if (n > 0)
			send_bytes(sv[1], data, n, fds_n);
		data += n;
		/* An empty send is a moment at which the reader runs. */
		if (n == 0)
			going = take(link);
	}
	(void)close(sv[1]);
	while (going)
		going = take(link);
	varlink_free(link);
	require(lowest_free() == before);
	return 0;
}
