/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * meter_times METER COUNT PAUSE_USEC: as a workload, uses 1 of METER so often, with a pause
 * after each, and prints how many microseconds each took. Who finds his connection closed
 * connects again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <tenant/quota.h>

static long long now_usec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ll + ts.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	struct tn_client *client = NULL;
	struct tn_quota_answer answer;
	struct tn_error err;

	if (argc != 4)
		return 2;
	if (tn_client_open_self(&client, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	for (int i = 0; i < atoi(argv[2]); i++) {
		const long long began = now_usec();

		if (tn_quota_consume(client, NULL, argv[1], 1, NULL, &answer, &err) < 0) {
			(void)fprintf(stderr, "%s\n", err.msg);
			return 1;
		}
		(void)printf("%lld\n", now_usec() - began);
		(void)usleep((useconds_t)atoi(argv[3]));
	}
	tn_client_free(client);
	return 0;
}
