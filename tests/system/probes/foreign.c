/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A system call of the 32-bit ABI, getpid, which a filter for 64-bit programs cannot judge. */
#include <stdio.h>

int main(void)
{
	long r = 20;

	__asm__ volatile("int $0x80" : "+a"(r) : : "memory");
	(void)printf("getpid gave %ld\n", r);
	return 0;
}
