/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * eat MIB [hold|child]: touches so much memory and says "full"; then ends, or holds it
 * for ever, or did all that in a child whose end the parent tells.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1024 * 1024)

static void eat(size_t mib)
{
	char *memory = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		perror("mmap");
		_exit(2);
	}
	/* Not all alike, so that nothing can merge or compress it to nothing. */
	for (size_t at = 0; at < mib * MIB; at += 4096)
		memcpy(memory + at, &at, sizeof(at));
	(void)puts("full");
	(void)fflush(stdout);
}

static int in_child(size_t mib)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		eat(mib);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("child");
		return 2;
	}
	if (WIFSIGNALED(status))
		(void)printf("the child was ended by signal %d\n", WTERMSIG(status));
	else
		(void)printf("the child ended with %d\n", WEXITSTATUS(status));
	return 0;
}

int main(int argc, char **argv)
{
	size_t mib = argc > 1 ? (size_t)atoi(argv[1]) : 0;

	if (argc > 2 && strcmp(argv[2], "child") == 0)
		return in_child(mib);
	eat(mib);
	while (argc > 2)
		(void)pause();
	return 0;
}
