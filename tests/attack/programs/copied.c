/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * copied: what a workload can do to who copies its files.
 *
 *   swap DIRECTORY LINK   exchanges the two, again and again, until it is ended
 *   nest N                makes N directories, one in the other, and a file at the bottom
 *   plant                 makes links, FIFOs, sockets, names and holes of every kind
 *
 * Says "ready" when it has begun, or is done.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* As much as no disk has. */
#define HOLE_BYTES ((off_t)1 << 40)

static int failed(const char *what)
{
	perror(what);
	return 1;
}

static void ready(void)
{
	(void)puts("ready");
	(void)fflush(stdout);
}

static int swap(const char *directory, const char *link)
{
	ready();
	for (;;)
		if (renameat2(AT_FDCWD, directory, AT_FDCWD, link, RENAME_EXCHANGE) < 0)
			return failed("exchange");
}

static int nest(long n)
{
	int fd;

	for (long i = 0; i < n; i++)
		if (mkdir("deep", 0700) < 0 || chdir("deep") < 0)
			return failed("nest");
	fd = open("bottom", O_WRONLY | O_CREAT, 0600);
	if (fd < 0)
		return failed("bottom");
	ready();
	return 0;
}

static int file(const char *name, off_t bytes)
{
	int fd = open(name, O_WRONLY | O_CREAT, 06777);

	if (fd < 0 || fchmod(fd, 06777) < 0 || write(fd, "x", 1) != 1)
		return -1;
	if (bytes > 1 && ftruncate(fd, bytes) < 0)
		return -1;
	return close(fd);
}

static int socket_make(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", name);
	return fd < 0 ? -1 : bind(fd, (struct sockaddr *)&address, sizeof(address));
}

static int plant(void)
{
	if (mkdir("planted", 0777) < 0 || chdir("planted") < 0)
		return failed("planted");
	if (symlink("/etc/shadow", "shadow") < 0 || symlink("/", "root") < 0 ||
	    symlink("../../../../../../..", "up") < 0 ||
	    symlink("/proc/self/root", "magic") < 0 || symlink("loop", "loop") < 0)
		return failed("links");
	if (mkfifo("fifo", 0666) < 0 || socket_make("socket") < 0)
		return failed("special files");
	if (file("a\nb", 1) < 0 || file("\033[2J\033]0;owned\007", 1) < 0 ||
	    file("\xff\xfe", 1) < 0 || file("-rf", 1) < 0 || file("c:d", 1) < 0)
		return failed("names");
	if (file("hole", HOLE_BYTES) < 0 || file("one", 1) < 0 || link("one", "two") < 0)
		return failed("files");
	ready();
	return 0;
}

int main(int argc, char **argv)
{
	(void)umask(0);
	if (argc == 4 && strcmp(argv[1], "swap") == 0)
		return swap(argv[2], argv[3]);
	if (argc == 3 && strcmp(argv[1], "nest") == 0)
		return nest(atol(argv[2]));
	if (argc == 2 && strcmp(argv[1], "plant") == 0)
		return plant();
	(void)fputs("usage: copied swap DIRECTORY LINK | nest N | plant\n", stderr);
	return 2;
}
