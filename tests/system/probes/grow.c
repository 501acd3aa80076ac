/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* grow FILE MIB [ignore]: writes until that fails or so much is written; says which. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static char block[3000]; /* no divisor of any limit: the last write is cut */
	long long want, written = 0;
	int fd;

	if (argc < 3)
		return 2;
	want = atoll(argv[2]) * 1024 * 1024;
	if (argc > 3)
		(void)signal(SIGXFSZ, SIG_IGN);
	fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0) {
		perror(argv[1]);
		return 2;
	}
	while (written < want) {
		ssize_t n = write(fd, block, sizeof(block));

		if (n < 0) {
			(void)printf("%lld %s\n", written, strerrorname_np(errno));
			return 0;
		}
		written += n;
	}
	(void)printf("%lld whole\n", written);
	return 0;
}
