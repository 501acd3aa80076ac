/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * consume TENANT METER CLIENTS EACH PREFIX: on the control socket, or where TENANT is - as the
 * workload that it is on its tenant's own, so many clients at once consume 1, EACH times,
 * under keys of their own. Who gets no answer asks again under the same key. Prints how many
 * were accepted, and how many refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tenant/quota.h>

#define TRIES_MAX 600

static const char *tenant; /* NULL: our own */

static struct tn_client *reach(void)
{
	const struct timespec pause = { .tv_nsec = 100000000 };
	struct tn_client *client = NULL;
	struct tn_error err;

	for (int i = 0;
	     i < TRIES_MAX && (tenant != NULL ? tn_client_open(NULL, &client, &err)
	                                      : tn_client_open_self(&client, &err)) < 0;
	     i++)
		(void)nanosleep(&pause, NULL);
	return client;
}

/* 'a', accepted; 'r', refused; or '?'. */
static char consume(struct tn_client **client, char **argv, const char *key)
{
	const struct tn_quota_options options = { .key = key };
	struct tn_quota_answer answer;
	struct tn_error err;

	for (int i = 0; i < TRIES_MAX; i++) {
		if (*client == NULL)
			*client = reach();
		if (*client == NULL)
			return '?';
		if (tn_quota_consume(*client, tenant, argv[2], 1, &options, &answer, &err) == 0)
			return 'a';
		if (err.code == TN_QUOTA)
			return 'r';
		if (err.code != TN_UNREACHABLE) {
			(void)fprintf(stderr, "%s\n", err.msg);
			return '?';
		}
		tn_client_free(*client);
		*client = NULL;
	}
	return '?';
}

static void consume_all(char **argv, int number, int out)
{
	struct tn_client *client = NULL;
	char key[64];

	for (int i = 0; i < atoi(argv[4]); i++) {
		char result;

		(void)snprintf(key, sizeof(key), "%s-%d-%d", argv[5], number, i);
		result = consume(&client, argv, key);
		if (write(out, &result, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	int pipe_fds[2], accepted = 0, refused = 0, lost = 0;
	char result;

	if (argc != 6 || pipe(pipe_fds) < 0)
		return 2;
	tenant = strcmp(argv[1], "-") == 0 ? NULL : argv[1];
	for (int i = 0; i < atoi(argv[3]); i++)
		if (fork() == 0)
			consume_all(argv, i, pipe_fds[1]);
	(void)close(pipe_fds[1]);
	while (read(pipe_fds[0], &result, 1) == 1) {
		accepted += result == 'a';
		refused += result == 'r';
		lost += result == '?';
	}
	while (wait(NULL) > 0)
		;
	(void)printf("%d %d %d\n", accepted, refused, lost);
	return 0;
}
