/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_USEC_PER_SEC  1000000
#define CLOCK_USEC_PER_MSEC 1000
#define CLOCK_NSEC_PER_USEC 1000

/* Microseconds on @clock: CLOCK_REALTIME for stamps, CLOCK_BOOTTIME for durations. */
static inline int64_t clock_usec(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * CLOCK_USEC_PER_SEC + ts.tv_nsec / CLOCK_NSEC_PER_USEC;
}

#endif
