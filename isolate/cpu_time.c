/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu_time.h"

static int64_t bounded(int64_t value, int64_t min, int64_t max)
{
	return value < min ? min : value > max ? max : value;
}

void cpu_time_init(struct cpu_time *time, int64_t usec_max, int64_t cpus)
{
	*time = (struct cpu_time){
		.usec_max = usec_max,
		.cpus = cpus < 1 ? 1 : cpus,
		.least_usec = CPU_TIME_WAIT_USEC_MIN,
	};
}

int64_t cpu_time_next(struct cpu_time *time, int64_t used_usec)
{
	if (used_usec >= time->usec_max)
		return 0;
	time->least_usec = used_usec > time->used_usec
	                           ? CPU_TIME_WAIT_USEC_MIN
	                           : bounded(2 * time->least_usec, CPU_TIME_WAIT_USEC_MIN,
	                                     CPU_TIME_WAIT_IDLE_USEC_MAX);
	time->used_usec = used_usec;
	return bounded((time->usec_max - used_usec) / time->cpus, time->least_usec,
	               CPU_TIME_WAIT_USEC_MAX);
}
