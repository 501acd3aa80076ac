/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Before isolate/init.c, in a tenant-init whose calls fail as test_init_fault.c has written
 * into a copy of the program: it has neither arguments of ours nor a libc that could be stood
 * before.
 */
#ifndef TESTS_ISOLATE_INIT_FAULT_H
#define TESTS_ISOLATE_INIT_FAULT_H

#include <stdint.h>

#define INIT_FAULT_MARK "fault of tenant-init's" /* the program has it once */

struct init_fault {
	char mark[sizeof(INIT_FAULT_MARK)];
	int64_t call;  /* its number */
	int64_t first; /* the how manieth of them fails */
	int64_t last;
	int64_t error;
};

#ifdef INIT_FAULT_GATE
static volatile const struct init_fault init_fault = { .mark = INIT_FAULT_MARK };

static inline long init_fault_gate(long call)
{
	static int64_t n;

	if (call != init_fault.call)
		return 0;
	n++;
	return n >= init_fault.first && n <= init_fault.last ? -init_fault.error : 0;
}

#define CALL_GATE(n) init_fault_gate(n)
#endif

#endif
