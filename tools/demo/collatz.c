/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A customer's program: of all numbers below N, the one with the longest Collatz sequence. */
#include <stdio.h>
#include <stdlib.h>

static unsigned int steps(unsigned long long n)
{
	unsigned int count = 0;

	for (; n != 1; count++)
		n = n % 2 != 0 ? 3 * n + 1 : n / 2;
	return count;
}

int main(int argc, char **argv)
{
	unsigned long long below = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000, best = 1;
	unsigned int most = 0;

	for (unsigned long long n = 1; n < below; n++) {
		unsigned int count = steps(n);

		if (count > most) {
			most = count;
			best = n;
		}
	}
	printf("%llu takes %u steps to 1, the most below %llu\n", best, most, below);
	return 0;
}
