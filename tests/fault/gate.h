/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Before every source of the isolate/ under test: raw calls (raw_call.h) ask here. */
#ifndef TESTS_FAULT_GATE_H
#define TESTS_FAULT_GATE_H

/* -errno if the raw call numbered @n is to fail now, else 0. */
long fault_gate(long n);

#define CALL_GATE(n) fault_gate(n)

#endif
