/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * overwrite: tries to change the program that process 1 runs, and the one it runs itself, by
 * every way that leads there. One line each: what, and the error's name or "0".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, long r)
{
	printf("%s: %s\n", what, r < 0 ? strerrorname_np(errno) : "0");
}

static long opened(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd >= 0)
		(void)close(fd);
	return fd;
}

/* As runc's exploit does: hold it by path, open that again for writing. */
static long opened_again(const char *path)
{
	char again[64];
	int fd = open(path, O_PATH);

	if (fd < 0)
		return fd;
	(void)snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
	return opened(again, O_WRONLY);
}

static void tries(const char *path)
{
	static const struct {
		const char *name;
		int flags;
	} ways[] = { { "write", O_WRONLY },
		     { "read and write", O_RDWR },
		     { "append", O_WRONLY | O_APPEND },
		     { "truncate", O_WRONLY | O_TRUNC } };
	char what[128];

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		(void)snprintf(what, sizeof(what), "%s %s", path, ways[i].name);
		say(what, opened(path, ways[i].flags));
	}
	(void)snprintf(what, sizeof(what), "%s by descriptor", path);
	say(what, opened_again(path));
	(void)snprintf(what, sizeof(what), "%s truncate(2)", path);
	say(what, truncate(path, 0));
	(void)snprintf(what, sizeof(what), "%s chmod", path);
	say(what, chmod(path, 0777));
}

/* A script whose interpreter is whoever executes it. */
static long script(void)
{
	int status = 0, fd = open("/data/script", O_WRONLY | O_CREAT | O_TRUNC, 0700);
	pid_t pid;

	if (fd < 0 || write(fd, "#!/proc/1/exe\n", 14) != 14 || close(fd) < 0)
		return 0; /* reads as granted, which fails the test */
	pid = fork();
	if (pid == 0) {
		(void)execl("/data/script", "script", NULL);
		_exit(errno == EACCES ? 77 : 78);
	}
	(void)waitpid(pid, &status, 0);
	errno = EACCES;
	return WIFEXITED(status) && WEXITSTATUS(status) == 77 ? -1 : 0;
}

int main(void)
{
	tries("/proc/1/exe");
	tries("/proc/self/exe");
	say("script", script());
	return 0;
}
