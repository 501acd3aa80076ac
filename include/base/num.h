/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Strict numbers, header-only: the whole string or nothing. A number that is
 * misread as another one is how a sandbox ends up running as the wrong user.
 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Decimal digits and nothing else: no sign, no blank, no suffix, no empty string.
 * Returns 0, -EINVAL, or -ERANGE above @max; *ret is written only on success.
 */
static inline int num_parse(const char *text, int64_t max, int64_t *ret)
{
	int64_t n = 0;

	if (*text == '\0')
		return -EINVAL;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, *text - '0', &n))
			return -ERANGE;
	}
	if (n > max)
		return -ERANGE;
	*ret = n;
	return 0;
}

/*
 * Put @number at @end, of which 21 bytes suffice; it ends in a NUL. For where stdio is not
 * wanted: each page of libc's that a process on its way to an exec runs through is a fault,
 * which maps more of them than that, all of which the exec takes down again.
 */
static inline void num_put(char *end, int64_t number)
{
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
	char digits[20];
	size_t n = 0;

	if (number < 0)
		*end++ = '-';
	do
		digits[n++] = (char)('0' + rest % 10);
	while ((rest /= 10) > 0);
	while (n > 0)
		*end++ = digits[--n];
	*end = '\0';
}

#endif
