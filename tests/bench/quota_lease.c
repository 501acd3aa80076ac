/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench-quota-lease SOCKET TENANT METER COUNT ROUNDS: what it takes to consume of a lease, and
 * a bare atomic subtraction in a loop of the same kind, in turn; each COUNT times a round. A
 * line per round, "lease NSEC" and "atomic NSEC", and at the end "accepted TENANT/METER N".
 */
#include <tenant/lease.h>

#include <err.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <base/num.h>

#define BLOCK      (INT64_C(1) << 40)
#define TERM_USEC  INT64_C(3600000000)
#define COUNT_MAX  1000000000
#define ROUNDS_MAX 1000
#define WARM_COUNT 1000000

static int64_t nsec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static int64_t consume(struct tn_lease *lease, int64_t count)
{
	const int64_t begin = nsec();

	for (int64_t i = 0; i < count; i++)
		if (tn_lease_consume(lease, 1) != 0)
			errx(1, "the lease has no more after %lld", (long long)i);
	return nsec() - begin;
}

static int64_t subtract(_Atomic int64_t *left, int64_t count)
{
	const int64_t begin = nsec();

	for (int64_t i = 0; i < count; i++)
		if (atomic_fetch_sub(left, 1) < 1)
			errx(1, "there is no more after %lld", (long long)i);
	return nsec() - begin;
}

/* What it wants to do, between rounds. */
static void tend(struct tn_lease *lease)
{
	struct pollfd fd = { .fd = tn_lease_fd(lease), .events = POLLIN };
	struct tn_error error = { 0 };

	while (poll(&fd, 1, 0) > 0)
		if (tn_lease_tend(lease, &error) < 0)
			errx(1, "tend: %s", error.msg);
}

static void rounds_run(struct tn_lease *lease, int64_t count, int64_t rounds)
{
	static _Atomic int64_t left = BLOCK;

	(void)consume(lease, WARM_COUNT);
	(void)subtract(&left, WARM_COUNT);
	for (int64_t i = 0; i < rounds; i++) {
		(void)printf("lease %lld\n", (long long)consume(lease, count));
		(void)printf("atomic %lld\n", (long long)subtract(&left, count));
		tend(lease);
	}
}

int main(int argc, char **argv)
{
	const struct tn_lease_options options = { .block = BLOCK, .term_usec = TERM_USEC };
	struct tn_error error = { 0 };
	struct tn_client *client;
	struct tn_lease *lease;
	int64_t count, rounds;

	if (argc != 6 || num_parse(argv[4], COUNT_MAX, &count) < 0 ||
	    num_parse(argv[5], ROUNDS_MAX, &rounds) < 0)
		errx(2, "bench-quota-lease SOCKET TENANT METER COUNT ROUNDS");
	if (tn_client_open(argv[1], &client, &error) < 0 ||
	    tn_lease_open(client, argv[2], argv[3], &options, &lease, &error) < 0)
		errx(1, "%s", error.msg);
	rounds_run(lease, count, rounds);
	if (tn_lease_close(lease, &error) < 0)
		errx(1, "give back: %s", error.msg);
	tn_client_free(client);
	(void)printf("accepted %s/%s %lld\n", argv[2], argv[3],
	             (long long)(WARM_COUNT + count * rounds));
	return fflush(stdout) != 0;
}
