/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syscalls native|x32|i386: makes every system call from 0 to 1023 (511 for i386), each in a
 * process of its own that ends after two seconds, and says of each "NUMBER RESULT":
 *
 *   EPERM, ENOSYS   it failed with that
 *   killed          the process was ended by SIGSYS
 *   allowed         anything else: it succeeded, failed in another way, blocked or crashed
 *
 * Arguments are all ones: no such descriptor, process, address or flag, so that a call that
 * is let through does nothing. A few need others to say what is asked.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define X32_BIT      0x40000000
#define NUMBERS      1024
#define NUMBERS_I386 512
#define ENDS_AFTER   2 /* seconds */

enum {
	GAVE_OTHER = 10,
	GAVE_EPERM,
	GAVE_ENOSYS
};

static int word;

static const struct special {
	long nr, a, b, c;
} specials[] = {
	{ SYS_clone, SIGCHLD, 0, 0 },
	{ SYS_ioctl, -1, TCGETS, 0 },
	{ SYS_socket, AF_UNIX, SOCK_STREAM, 0 },
	{ SYS_socketpair, AF_UNIX, SOCK_STREAM, 0 },
};

static long make(long nr)
{
	/* Its child would return through our stack. */
	if (nr == SYS_vfork) {
		pid_t pid = vfork();

		if (pid == 0)
			_exit(0);
		return pid;
	}
	/* Of an operation that it does not know it says ENOSYS. */
	if (nr == SYS_futex)
		return syscall(nr, &word, FUTEX_WAKE, 0, NULL, NULL, 0);
	for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++)
		if (specials[i].nr == nr)
			return syscall(nr, specials[i].a, specials[i].b, specials[i].c, -1, -1,
			               -1);
	return syscall(nr, -1, -1, -1, -1, -1, -1);
}

static long make_i386(long nr)
{
#ifdef __x86_64__
	long r = nr;

	__asm__ volatile("int $0x80" : "+a"(r) : "b"(-1), "c"(-1), "d"(-1) : "memory");
	return r;
#else
	return nr;
#endif
}

static void child(const char *abi, long nr) __attribute__((noreturn));
static void child(const char *abi, long nr)
{
	long r;

	(void)alarm(ENDS_AFTER);
	errno = 0;
	r = strcmp(abi, "i386") == 0  ? make_i386(nr)
	    : strcmp(abi, "x32") == 0 ? make(X32_BIT | nr)
	                              : make(nr);
	if (r == -1 && errno == EPERM)
		_exit(GAVE_EPERM);
	_exit(r == -1 && errno == ENOSYS ? GAVE_ENOSYS : GAVE_OTHER);
}

static const char *result_of(int status)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return "killed";
	if (WIFEXITED(status) && WEXITSTATUS(status) == GAVE_EPERM)
		return "EPERM";
	if (WIFEXITED(status) && WEXITSTATUS(status) == GAVE_ENOSYS)
		return "ENOSYS";
	return "allowed";
}

int main(int argc, char **argv)
{
	const char *abi = argc == 2 ? argv[1] : "native";
	const long n = strcmp(abi, "i386") == 0 ? NUMBERS_I386 : NUMBERS;

	for (long nr = 0; nr < n; nr++) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0)
			child(abi, nr);
		if (pid < 0 || waitpid(pid, &status, 0) < 0) {
			perror("fork");
			return 1;
		}
		printf("%ld %s\n", nr, result_of(status));
	}
	return 0;
}
