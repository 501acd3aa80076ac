/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * orphans COUNT: so many processes one after the other, each without a parent that waits for
 * it and busy for one millisecond of CPU time; "gone" once all have ended.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void burn(void)
{
	struct timespec used = { 0 };

	while (used.tv_sec == 0 && used.tv_nsec < 1000000)
		(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
}

static int orphan(void)
{
	int ends[2], status;
	char byte;
	pid_t pid;

	if (pipe(ends) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			burn();
		_exit(pid < 0);
	}
	(void)close(ends[1]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		return -1;
	/* The end comes with the orphan's. */
	if (read(ends[0], &byte, 1) != 0)
		return -1;
	return close(ends[0]);
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 0;

	for (int i = 0; i < count; i++)
		if (orphan() < 0) {
			perror("orphan");
			return 1;
		}
	(void)puts("gone");
	return 0;
}
