/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bombs KIND SECONDS: takes all it can get of one thing, says "N ERROR" and keeps it for so
 * long. bombs check: takes a little of each, as an ordinary program does, and says "fine" or
 * what it could not have.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK     (1 << 20)
#define TRIES_MAX 100000
#define CRASHES   100
#define DIRTY_MAX 256 /* blocks */

static int forked(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		for (;;)
			(void)pause();
	}
	return pid;
}

static int zombie(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static int file(void)
{
	return open("/dev/null", O_RDONLY);
}

static int terminal(void)
{
	return posix_openpt(O_RDWR | O_NOCTTY);
}

static int watcher(void)
{
	return inotify_init();
}

/* A name each; the bound is on the bytes that they may hold together. */
static int queue(void)
{
	struct mq_attr attributes = { .mq_maxmsg = 10, .mq_msgsize = 8192 };
	static int n;
	char name[32];

	(void)snprintf(name, sizeof(name), "/bomb-%d-%d", (int)getpid(), n++);
	return mq_open(name, O_RDWR | O_CREAT, 0600, &attributes);
}

static int pending(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGRTMIN);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	return sigqueue(getpid(), SIGRTMIN, (union sigval){ 0 });
}

static int memory(void)
{
	char *block = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	                   0);

	if (block == MAP_FAILED)
		return -1;
	memset(block, 1, BLOCK);
	return 0;
}

/* Written and never synced; the disk is the bound, and what a tenant's memory may hold. */
static int dirty(void)
{
	static char block[BLOCK];
	static int fd = -1, n;

	if (fd < 0)
		fd = open("/data/dirty", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	errno = EFBIG;
	return fd < 0 || n++ == DIRTY_MAX ? -1 : (int)write(fd, block, sizeof(block));
}

static int crash(void)
{
	static int n;
	pid_t pid;

	errno = ERANGE;
	if (n++ == CRASHES)
		return -1;
	pid = fork();
	if (pid == 0)
		abort();
	return pid < 0 ? -1 : (int)waitpid(pid, NULL, 0);
}

static const struct kind {
	const char *name;
	int (*take)(void);
	int a_little;
} kinds[] = {
	{ "fork", forked, 5 },      { "zombies", zombie, 5 },  { "files", file, 50 },
	{ "ptys", terminal, 5 },    { "inotify", watcher, 3 }, { "queues", queue, 2 },
	{ "signals", pending, 20 }, { "memory", memory, 8 },   { "dirty", dirty, 4 },
	{ "crashes", crash, 1 },
};

static bool takes_a_little(void)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (int n = 0; n < kinds[i].a_little; n++)
			if (kinds[i].take() < 0) {
				printf("%s %d: %s\n", kinds[i].name, n, strerror(errno));
				return false;
			}
	return true;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && strcmp(argv[1], "check") == 0) {
		if (!takes_a_little())
			return 1;
		puts("fine");
		return 0;
	}
	for (size_t i = 0; argc == 3 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int n = 0;

		if (strcmp(argv[1], kinds[i].name) != 0)
			continue;
		while (n < TRIES_MAX && kinds[i].take() >= 0)
			n++;
		printf("%d %s\n", n, strerrorname_np(errno));
		(void)sleep((unsigned int)atoi(argv[2]));
		return 0;
	}
	return 2;
}
