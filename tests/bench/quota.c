/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench-quota-TARGET --address WHERE [OPTION...] TENANT/METER...: consume one after the other
 * for a while, and say how many that were and what each took.
 *
 *   --usec N      for so long
 *   --flights N   so many calls on their way at a time on a connection; 1
 *   --batch N     new ones are written when so many have come back; 1
 *   --clients N   so many processes with a connection each; 1
 *   --durable     see quota.h
 *
 * Each client takes the subjects in turn, the n-th beginning with the n-th. What comes before
 * the clock starts counts as accepted and is not timed. Printed are the lines
 *
 *   calls N NSEC          of all clients, from the first one's first to the last one's last
 *   accepted SUBJECT N    with those that were not timed
 *   latency NSEC          of each call, with one flight
 */
#include "quota.h"

#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/num.h>

#define CLIENTS_MAX  64
#define SAMPLES_MAX  (1 << 17) /* of one client */
#define WARM_CALLS   200
#define USEC_MAX     (60 * (int64_t)CLOCK_USEC_PER_SEC)
#define NSEC_PER_SEC INT64_C(1000000000)

/* What a client has to say, in memory that it shares with its parent. */
struct client {
	int64_t accepted[SUBJECTS_MAX];
	int64_t calls;
	int64_t begin_nsec, end_nsec;
	size_t samples_n;
	int64_t samples[SAMPLES_MAX];
};

struct bench {
	struct target_options options;
	int64_t usec, flights, batch, clients_n;
	struct client *clients;
};

static int64_t nsec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/* Those of one client; @turn is whose subject's it is. */
static void queue(const struct bench *bench, struct target *target, struct client *client,
                  size_t *turn)
{
	target_queue(target, *turn);
	client->accepted[*turn]++;
	*turn = (*turn + 1) % bench->options.subjects_n;
}

static void one_by_one(const struct bench *bench, struct target *target, struct client *client,
                       size_t *turn)
{
	const int64_t until = client->begin_nsec + bench->usec * CLOCK_NSEC_PER_USEC;
	int64_t now = nsec();

	while (now < until) {
		const int64_t begin = now;

		queue(bench, target, client, turn);
		target_flush(target);
		client->calls += (int64_t)target_take(target);
		now = nsec();
		if (client->samples_n < SAMPLES_MAX)
			client->samples[client->samples_n++] = now - begin;
	}
}

static void pipelined(const struct bench *bench, struct target *target, struct client *client,
                      size_t *turn)
{
	const int64_t until = client->begin_nsec + bench->usec * CLOCK_NSEC_PER_USEC;
	int64_t flying = 0, done;
	bool more = true;

	for (;;) {
		if (more && bench->flights - flying >= bench->batch) {
			for (; flying < bench->flights; flying++)
				queue(bench, target, client, turn);
			target_flush(target);
		}
		if (flying == 0)
			return;
		done = (int64_t)target_take(target);
		flying -= done;
		client->calls += done;
		more = nsec() < until;
	}
}

static void warm(const struct bench *bench, struct target *target, struct client *client,
                 size_t *turn)
{
	for (int i = 0; i < WARM_CALLS; i++) {
		queue(bench, target, client, turn);
		target_flush(target);
		(void)target_take(target);
	}
}

/* Says on @ready_fd that it is there, and begins when @go_fd ends. */
static void client_run(const struct bench *bench, size_t number, int ready_fd, int go_fd)
{
	struct client *client = &bench->clients[number];
	struct target *target = target_open(&bench->options);
	size_t turn = number % bench->options.subjects_n;
	char byte = 0;

	warm(bench, target, client, &turn);
	if (write(ready_fd, &byte, 1) != 1)
		err(1, "say so");
	fd_closep(&ready_fd);
	if (read(go_fd, &byte, 1) != 0)
		err(1, "wait for the others");
	client->begin_nsec = nsec();
	if (bench->flights == 1)
		one_by_one(bench, target, client, &turn);
	else
		pipelined(bench, target, client, &turn);
	client->end_nsec = nsec();
	target_close(target);
}

static void clients_start(const struct bench *bench)
{
	int ready[2], go[2];
	char byte;

	if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0)
		err(1, "pipe");
	for (size_t i = 0; i < (size_t)bench->clients_n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (pid > 0)
			continue;
		fd_closep(&ready[0]);
		fd_closep(&go[1]);
		client_run(bench, i, ready[1], go[0]);
		_exit(0);
	}
	fd_closep(&ready[1]);
	fd_closep(&go[0]);
	/* One that has failed has said why, and its end of the pipe is closed. */
	for (int64_t i = 0; i < bench->clients_n; i++)
		if (read(ready[0], &byte, 1) != 1)
			errx(1, "not every client is there");
	fd_closep(&ready[0]);
	fd_closep(&go[1]);
}

static void clients_wait(const struct bench *bench)
{
	int status;

	for (int64_t i = 0; i < bench->clients_n; i++)
		if (wait(&status) < 0 || status != 0)
			errx(1, "a client has failed");
}

static void print(const struct bench *bench)
{
	int64_t begin = INT64_MAX, end = 0, calls = 0;

	for (int64_t i = 0; i < bench->clients_n; i++) {
		const struct client *client = &bench->clients[i];

		begin = client->begin_nsec < begin ? client->begin_nsec : begin;
		end = client->end_nsec > end ? client->end_nsec : end;
		calls += client->calls;
		for (size_t j = 0; j < client->samples_n; j++)
			(void)printf("latency %lld\n", (long long)client->samples[j]);
	}
	(void)printf("calls %lld %lld\n", (long long)calls, (long long)(end - begin));
	for (size_t j = 0; j < bench->options.subjects_n; j++) {
		int64_t accepted = 0;

		for (int64_t i = 0; i < bench->clients_n; i++)
			accepted += bench->clients[i].accepted[j];
		(void)printf("accepted %s %lld\n", bench->options.subjects[j],
		             (long long)accepted);
	}
}

static int64_t number(const char *text, int64_t max)
{
	int64_t n;

	if (num_parse(text, max, &n) < 0 || n == 0)
		errx(2, "'%s' is no number from 1 to %lld", text, (long long)max);
	return n;
}

static void parse(struct bench *bench, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "address", required_argument, NULL, 'a' },
		{ "usec", required_argument, NULL, 'u' },
		{ "flights", required_argument, NULL, 'f' },
		{ "batch", required_argument, NULL, 'b' },
		{ "clients", required_argument, NULL, 'c' },
		{ "durable", no_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		switch (c) {
		case 'a':
			bench->options.address = optarg;
			break;
		case 'u':
			bench->usec = number(optarg, USEC_MAX);
			break;
		case 'f':
			bench->flights = number(optarg, (int64_t)target_flights_max);
			break;
		case 'b':
			bench->batch = number(optarg, (int64_t)target_flights_max);
			break;
		case 'c':
			bench->clients_n = number(optarg, CLIENTS_MAX);
			break;
		case 'd':
			bench->options.durable = true;
			break;
		default:
			errx(2, "see the head of quota.c");
		}
	}
	bench->options.subjects = (const char *const *)argv + optind;
	bench->options.subjects_n = (size_t)(argc - optind);
	if (bench->options.address == NULL || argc == optind || argc - optind > SUBJECTS_MAX ||
	    bench->batch > bench->flights)
		errx(2, "see the head of quota.c");
}

int main(int argc, char **argv)
{
	struct bench bench = {
		.usec = CLOCK_USEC_PER_SEC, .flights = 1, .batch = 1, .clients_n = 1
	};

	parse(&bench, argc, argv);
	bench.clients = mmap(NULL, (size_t)bench.clients_n * sizeof(bench.clients[0]),
	                     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (bench.clients == MAP_FAILED)
		err(1, "mmap");
	clients_start(&bench);
	clients_wait(&bench);
	print(&bench);
	return fflush(stdout) != 0;
}
