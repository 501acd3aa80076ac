/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A fork bomb: every process forks for ever; one that cannot tries again. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	(void)puts("lit");
	(void)fflush(stdout);
	for (;;)
		if (fork() < 0)
			(void)usleep(1000);
}
