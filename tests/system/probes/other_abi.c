/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* other_abi i386|x32: makes a harmless system call as programs of another ABI do. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define X32_BIT     0x40000000
#define I386_GETPID 20

int main(int argc, char **argv)
{
	long pid = I386_GETPID;

	if (argc != 2)
		return 2;
	if (strcmp(argv[1], "x32") == 0)
		pid = syscall(X32_BIT | SYS_getpid);
	else
		__asm__ volatile("int $0x80" : "+a"(pid) : : "memory");
	printf("%ld\n", pid);
	return 0;
}
