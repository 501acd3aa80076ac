/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crash MIB: dies of SIGSEGV with so much memory that a core dump has to hold. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
	size_t bytes = (argc > 1 ? (size_t)atoi(argv[1]) : 1) * 1024 * 1024;
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	                    -1, 0);

	if (memory == MAP_FAILED)
		return 2;
	memset(memory, 'x', bytes);
	(void)raise(SIGSEGV);
	return 3;
}
