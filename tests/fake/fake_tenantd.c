/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fake-tenantd SOCKET COMMAND [ARGUMENT...]: run a command while the fake serves. */
#include "fake.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	pid_t fake, command;
	int status;

	if (argc < 3) {
		(void)fputs("usage: fake-tenantd SOCKET COMMAND [ARGUMENT...]\n", stderr);
		return 2;
	}
	fake = fake_start(argv[1]);
	command = fake < 0 ? -1 : fork();
	if (command == 0) {
		(void)execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (command < 0 || waitpid(command, &status, 0) != command) {
		perror("fake-tenantd");
		return 125;
	}
	(void)kill(fake, SIGKILL);
	(void)unlink(argv[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
