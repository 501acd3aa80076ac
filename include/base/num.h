/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Strict numbers, header-only: the whole string or nothing. A number that is
 * misread as another one is how a sandbox ends up running as the wrong user.
 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <errno.h>
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

#endif
