/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spy: looks into every other process of its sandbox, again and again, by each way that leads
 * into one, while commands join. Says "ready", then once of each thing that it gets hold of
 * what it is; on SIGTERM "done" and how often it looked, and whether it can see a child of its
 * own, which nothing forbids.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIDS_MAX 400

static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

/* Its program, wherever that lies. */
static int program(int pid, char *target, size_t size)
{
	char path[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n = readlink(path, target, size - 1);
	target[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static int opens(int pid, const char *what, int flags)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	fd = open(path, flags);
	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}

static int traces(int pid)
{
	return ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0;
}

static void look(int pid)
{
	static char told[4096];
	char target[256], line[320];
	const char *how = NULL;

	if (program(pid, target, sizeof(target)))
		how = "program";
	else if (opens(pid, "mem", O_RDWR))
		how = "memory";
	else if (opens(pid, "root/", O_RDONLY | O_DIRECTORY))
		how = "root";
	else if (opens(pid, "fd/0", O_RDONLY) || opens(pid, "fd/7", O_RDONLY))
		how = "descriptor";
	else if (traces(pid))
		how = "trace";
	if (how == NULL)
		return;
	(void)snprintf(line, sizeof(line), "%s %s\n", how, target);
	if (strstr(told, line) == NULL && strlen(told) + strlen(line) < sizeof(told)) {
		(void)strcat(told, line);
		(void)fputs(line, stdout);
	}
}

int main(void)
{
	const int self = getpid();
	char target[256];
	long looks = 0;
	int child;

	(void)signal(SIGTERM, end);
	child = fork();
	if (child == 0)
		for (;;)
			(void)pause();
	(void)puts("ready");
	(void)fflush(stdout);
	for (; !ended; looks++)
		for (int pid = 1; pid < PIDS_MAX; pid++)
			if (pid != self && pid != child)
				look(pid);
	(void)printf("done %ld %d\n", looks, program(child, target, sizeof(target)));
	(void)kill(child, SIGKILL);
	(void)wait(NULL);
	return 0;
}
