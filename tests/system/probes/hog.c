/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hog THREADS [CPU]: busy for ever, on that CPU if one is named. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static void *spin(void *arg)
{
	volatile unsigned long n = 0;

	(void)arg;
	for (;;)
		n++;
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 1;
	pthread_t thread;

	if (argc > 2) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((unsigned int)atoi(argv[2]), &set);
		if (sched_setaffinity(0, sizeof(set), &set) < 0) {
			perror("sched_setaffinity");
			return 1;
		}
	}
	for (int i = 1; i < threads; i++)
		if (pthread_create(&thread, NULL, spin, NULL) != 0)
			return 1;
	(void)puts("busy");
	(void)fflush(stdout);
	(void)spin(NULL);
}
