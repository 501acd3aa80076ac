/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process that says again what it is told, over a UNIX socket, and keeps nothing: what is
 * left of the others' time once all that they do is taken away.
 */
#include "quota.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fd.h>

#define CALL_BYTES   128
#define FLIGHTS_MAX  512
#define OUTPUT_BYTES ((size_t)FLIGHTS_MAX * CALL_BYTES)

struct target {
	int fd;
	pid_t server;
	char out[OUTPUT_BYTES];
	size_t out_n;
	size_t in_n; /* of an answer that has not ended */
};

const size_t target_flights_max = FLIGHTS_MAX;

static void send_all(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);

		if (sent < 0)
			err(1, "send");
		bytes += sent;
		n -= (size_t)sent;
	}
}

_Noreturn static void serve(int fd)
{
	static char bytes[OUTPUT_BYTES];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		send_all(fd, bytes, (size_t)n);
	_exit(n < 0);
}

struct target *target_open(const struct target_options *options)
{
	struct target *target = calloc(1, sizeof(*target));
	int ends[2];

	(void)options;
	if (target == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		err(1, "socketpair");
	target->server = fork();
	if (target->server < 0)
		err(1, "fork");
	if (target->server == 0) {
		fd_closep(&ends[0]);
		serve(ends[1]);
	}
	fd_closep(&ends[1]);
	target->fd = ends[0];
	return target;
}

void target_close(struct target *target)
{
	int status;

	fd_closep(&target->fd);
	if (waitpid(target->server, &status, 0) < 0 || status != 0)
		errx(1, "the echo has failed");
	free(target);
}

void target_queue(struct target *target, size_t i)
{
	memset(target->out + target->out_n, 'a' + (int)i, CALL_BYTES);
	target->out_n += CALL_BYTES;
}

void target_flush(struct target *target)
{
	send_all(target->fd, target->out, target->out_n);
	target->out_n = 0;
}

size_t target_take(struct target *target)
{
	char bytes[4096];
	size_t taken;

	do {
		ssize_t n = recv(target->fd, bytes, sizeof(bytes), 0);

		if (n <= 0)
			err(1, "receive");
		target->in_n += (size_t)n;
	} while (target->in_n < CALL_BYTES);
	taken = target->in_n / CALL_BYTES;
	target->in_n %= CALL_BYTES;
	return taken;
}
