/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A customer's program: count the primes below N with a sieve. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000, count = 0;
	unsigned char *composite = calloc(n, 1);

	if (composite == NULL)
		return 1;
	for (size_t i = 2; i < n; i++) {
		if (composite[i])
			continue;
		count++;
		for (size_t j = i * i; j < n; j += i)
			composite[j] = 1;
	}
	printf("%zu primes below %zu\n", count, n);
	free(composite);
	return 0;
}
