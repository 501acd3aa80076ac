/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opens /dev/null until that fails; says how many descriptors there are and why. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	int last = -1, fd;

	while ((fd = open("/dev/null", O_RDONLY)) >= 0)
		last = fd;
	(void)printf("%d %s\n", last + 1, strerrorname_np(errno));
	return 0;
}
