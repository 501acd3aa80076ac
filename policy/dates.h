/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Days as policy files write them, in UTC. Private to policy/. */
#ifndef POLICY_DATES_H
#define POLICY_DATES_H

#include <stdint.h>

#define DATES_YEAR_MIN 1970

/* The start of the day "2026-01-31", in microseconds since the epoch. 0, or -EINVAL: it is no
 * day of the calendar from 1970 to 9999. */
int dates_parse(const char *text, int64_t *ret);

#define DATES_BYTES_MAX 11 /* with the NUL */

/* The day that begins at @start, as dates_parse() has given it. */
void dates_format(int64_t start, char ret[static DATES_BYTES_MAX]);

#endif
