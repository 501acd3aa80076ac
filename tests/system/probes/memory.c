/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory MIB:MSEC...: has so much memory for so long, one after the other; what is less than
 * before is given back. "NxMIB:MSEC,MIB:MSEC" does that N times over. Says "begun" at first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define MIB     ((size_t)1 << 20)
#define MIB_MAX 256

static char *memory;
static size_t held;

static void hold(size_t mib)
{
	for (size_t at = held; at < mib * MIB; at += 4096)
		memcpy(memory + at, &at, sizeof(at));
	if (mib * MIB < held)
		(void)madvise(memory + mib * MIB, held - mib * MIB, MADV_DONTNEED);
	held = mib * MIB;
}

static void step(const char *text, struct timespec *at)
{
	char *rest;
	const size_t mib = strtoul(text, &rest, 10);
	const long msec = *rest == ':' ? strtol(rest + 1, NULL, 10) : 0;

	hold(mib < MIB_MAX ? mib : MIB_MAX);
	/* By the clock, so that what the steps themselves take does not add up. */
	at->tv_nsec += msec % 1000 * 1000000;
	at->tv_sec += msec / 1000 + at->tv_nsec / 1000000000;
	at->tv_nsec %= 1000000000;
	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, at, NULL);
}

static void steps(const char *text, struct timespec *at)
{
	for (; text != NULL; text = strchr(text, ',')) {
		text += *text == ',';
		step(text, at);
	}
}

int main(int argc, char **argv)
{
	struct timespec at;

	memory = mmap(NULL, MIB_MAX * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	              -1, 0);
	if (memory == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	(void)puts("begun");
	(void)fflush(stdout);
	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	for (int i = 1; i < argc; i++) {
		char *rest;
		const long n = strtol(argv[i], &rest, 10);

		for (long k = *rest == 'x' ? n : 1; k > 0; k--)
			steps(*rest == 'x' ? rest + 1 : argv[i], &at);
	}
	return 0;
}
