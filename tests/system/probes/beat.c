/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* beat: looks at the clock every 50 ms until SIGTERM, then says how far apart two looks were.
 */
#include <signal.h>
#include <stdio.h>
#include <time.h>

#define BEAT_NSEC 50000000

static volatile sig_atomic_t over;

static void on_term(int signal)
{
	(void)signal;
	over = 1;
}

static long long now_msec(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

int main(void)
{
	const struct timespec beat = { .tv_nsec = BEAT_NSEC };
	long long last, longest = 0;

	(void)signal(SIGTERM, on_term);
	(void)puts("up");
	(void)fflush(stdout);
	last = now_msec();
	while (!over) {
		long long now;

		(void)nanosleep(&beat, NULL);
		now = now_msec();
		if (now - last > longest)
			longest = now - last;
		last = now;
	}
	(void)printf("longest %lld\n", longest);
	return 5;
}
