/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Staying on one CPU for the some hundred microseconds that a sandbox's mounts take.
 *
 * Whoever is forked is moved to the CPU that is idlest at the moment: with one after the other
 * at work, each waiting for the next, that is another one each time, and most of the time goes
 * into waking it. Header-only.
 */
#ifndef ISOLATE_CPU_PIN_H
#define ISOLATE_CPU_PIN_H

#include <sched.h>
#include <stdbool.h>

/* Where we could be before; @known is false if the host has more CPUs than fit. */
struct cpu_pin {
	cpu_set_t before;
	bool known;
};

static inline void cpu_pin(struct cpu_pin *pin)
{
	const int cpu = sched_getcpu();
	cpu_set_t one;

	pin->known = cpu >= 0 && cpu < CPU_SETSIZE &&
	             sched_getaffinity(0, sizeof(pin->before), &pin->before) == 0;
	if (!pin->known)
		return;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

static inline void cpu_unpin(const struct cpu_pin *pin)
{
	if (pin->known)
		(void)sched_setaffinity(0, sizeof(pin->before), &pin->before);
}

#endif
