/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A workload that looks at how tenant-init started it and answers by its exit status.
 *
 *   signal  wait, in two processes of one group, for a signal: its number if both got it
 *   fds     the number of open descriptors beyond the standard streams
 *   fresh   0 if it leads a session and blocks no signal
 *   orphan  0 once all that it left without a parent has been reaped
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ORPHANS_N   40
#define POLLS_MAX   500
#define POLL_USEC   10000
#define EXIT_BROKEN 125

static int wait_signal(const sigset_t *set)
{
	int number = 0;

	return sigwait(set, &number) == 0 ? number : EXIT_BROKEN;
}

static int probe_signal(void)
{
	sigset_t set;
	int status = 0, number;
	pid_t pid;

	(void)sigfillset(&set);
	(void)sigdelset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	pid = fork();
	if (pid == 0)
		_exit(wait_signal(&set));
	(void)!write(STDOUT_FILENO, "r", 1);
	number = wait_signal(&set);
	(void)waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == number ? number : EXIT_BROKEN;
}

static int probe_fds(void)
{
	int n = 0;

	for (int fd = STDERR_FILENO + 1; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int probe_fresh(void)
{
	sigset_t set;
	int blocked = 0;

	(void)sigprocmask(SIG_BLOCK, NULL, &set);
	for (int number = 1; number < 32; number++)
		blocked |= sigismember(&set, number);
	return (getsid(0) == getpid() && getpgrp() == getpid() ? 0 : 1) + (blocked ? 2 : 0);
}

static int probe_orphan(void)
{
	pid_t orphans[ORPHANS_N] = { 0 };
	int ends[2], left = ORPHANS_N;
	pid_t pid;

	if (pipe(ends) < 0)
		return EXIT_BROKEN;
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < ORPHANS_N; i++) {
			orphans[i] = fork();
			if (orphans[i] == 0)
				_exit(0);
		}
		_exit(write(ends[1], orphans, sizeof(orphans)) == (ssize_t)sizeof(orphans) ? 0
		                                                                           : 1);
	}
	(void)close(ends[1]);
	if (read(ends[0], orphans, sizeof(orphans)) != (ssize_t)sizeof(orphans) ||
	    waitpid(pid, NULL, 0) != pid)
		return EXIT_BROKEN;
	/* A zombie still takes signals, what has been reaped does not. */
	for (int polls = 0; left > 0 && polls < POLLS_MAX; polls++) {
		(void)usleep(POLL_USEC);
		left = 0;
		for (int i = 0; i < ORPHANS_N; i++)
			left += kill(orphans[i], 0) == 0;
	}
	return left;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*probe)(void);
	} probes[] = { { "signal", probe_signal },
		       { "fds", probe_fds },
		       { "fresh", probe_fresh },
		       { "orphan", probe_orphan } };

	for (size_t i = 0; argc == 2 && i < sizeof(probes) / sizeof(probes[0]); i++)
		if (strcmp(argv[1], probes[i].name) == 0)
			return probes[i].probe();
	return EXIT_BROKEN;
}
