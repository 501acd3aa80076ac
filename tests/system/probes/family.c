/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * family CHILDREN MIB: so many children that sleep, and one that waits for a line of standard
 * input and then touches memory until it has so much or is ended. Says "here" before, and
 * "gone" if one of them ends before this.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1024 * 1024)

static void grow(size_t mib)
{
	char *memory = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char byte;

	if (memory == MAP_FAILED || read(STDIN_FILENO, &byte, 1) != 1)
		_exit(2);
	for (size_t at = 0; at < mib * MIB; at += 4096)
		memcpy(memory + at, &at, sizeof(at));
	for (;;)
		(void)pause();
}

int main(int argc, char **argv)
{
	int children = argc > 1 ? atoi(argv[1]) : 0;
	size_t mib = argc > 2 ? (size_t)atoi(argv[2]) : 0;

	for (int i = 0; i <= children; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 2;
		if (pid == 0 && i == children)
			grow(mib);
		while (pid == 0)
			(void)pause();
	}
	(void)puts("here");
	(void)fflush(stdout);
	(void)wait(NULL);
	(void)puts("gone");
	return 0;
}
