/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantd by its socket: each call is the same bytes, made beforehand, and of an answer it is
 * looked only whether it is an error, so that next to nothing of a client's own is measured.
 */
#include "quota.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/fd.h>

#define CALL_BYTES_MAX  256
#define FLIGHTS_MAX     512
#define INPUT_BYTES_MAX 65536

struct call {
	char bytes[CALL_BYTES_MAX]; /* the NUL at its end is part of it */
	size_t n;
};

struct target {
	int fd;
	struct call calls[SUBJECTS_MAX];
	char out[FLIGHTS_MAX * CALL_BYTES_MAX];
	size_t out_n;
	char in[INPUT_BYTES_MAX];
	size_t in_n; /* of an answer that has not ended */
};

const size_t target_flights_max = FLIGHTS_MAX;

static int dial(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		errx(2, "%s: longer than the path of a socket", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		err(1, "%s", path);
	return fd;
}

static void call_make(struct call *call, const char *subject, bool durable)
{
	const char *slash = strchr(subject, '/');
	int n;

	if (slash == NULL)
		errx(2, "'%s' is not TENANT/METER", subject);
	n = snprintf(call->bytes, sizeof(call->bytes),
	             "{\"method\":\"io.tenantd.ConsumeQuota\",\"parameters\":{\"tenant\":"
	             "\"%.*s\",\"meter\":\"%s\",\"amount\":1%s}}",
	             (int)(slash - subject), subject, slash + 1,
	             durable ? ",\"durable\":true" : "");
	if (n < 0 || (size_t)n >= sizeof(call->bytes))
		errx(2, "'%s' is too long", subject);
	call->n = (size_t)n + 1;
}

struct target *target_open(const struct target_options *options)
{
	struct target *target = calloc(1, sizeof(*target));

	if (target == NULL)
		err(1, "calloc");
	target->fd = dial(options->address);
	for (size_t i = 0; i < options->subjects_n; i++)
		call_make(&target->calls[i], options->subjects[i], options->durable);
	return target;
}

void target_close(struct target *target)
{
	fd_closep(&target->fd);
	free(target);
}

void target_queue(struct target *target, size_t i)
{
	memcpy(target->out + target->out_n, target->calls[i].bytes, target->calls[i].n);
	target->out_n += target->calls[i].n;
}

void target_flush(struct target *target)
{
	size_t sent = 0;

	while (sent < target->out_n) {
		ssize_t n = send(target->fd, target->out + sent, target->out_n - sent,
		                 MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			err(1, "send");
		sent += n > 0 ? (size_t)n : 0;
	}
	target->out_n = 0;
}

/* The whole ones of what is there. */
static size_t answers(struct target *target)
{
	char *at = target->in, *end;
	size_t left = target->in_n, taken = 0;

	while ((end = memchr(at, '\0', left)) != NULL) {
		if (strstr(at, "\"error\"") != NULL)
			errx(1, "consume: %s", at);
		left -= (size_t)(end + 1 - at);
		at = end + 1;
		taken++;
	}
	memmove(target->in, at, left);
	target->in_n = left;
	return taken;
}

size_t target_take(struct target *target)
{
	size_t taken = 0;

	while (taken == 0) {
		ssize_t n = recv(target->fd, target->in + target->in_n,
		                 sizeof(target->in) - target->in_n, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err(1, "receive");
		if (n == 0)
			errx(1, "tenantd has closed the connection");
		target->in_n += (size_t)n;
		taken = answers(target);
	}
	return taken;
}
