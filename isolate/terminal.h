/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The terminal of an execution: a pair of the sandbox's own devpts.
 *
 * The child opens both ends with the workload's ids, so that the workload owns its
 * terminal; no terminal of the caller's enters the sandbox, and no path that could have
 * been replaced is followed: the slave comes from the master (TIOCGPTPEER). The slave
 * becomes descriptors 0 to 2 and the controlling terminal. The master travels over a
 * socket of its own to tenantd, which checks it and hands it on; what lies in that socket
 * once the launch pipe has ended is all that will ever come, so nobody waits for it.
 */
#ifndef ISOLATE_TERMINAL_H
#define ISOLATE_TERMINAL_H

#include <stdint.h>

#include <base/err.h>

#define TERMINAL_SIZE_MAX UINT16_MAX

/*
 * In the child, once /dev/pts is there and the ids are the workload's: open a pair of
 * @rows and @cols. 0, or -1 and errno. Nothing is allocated.
 */
int terminal_open(uint32_t rows, uint32_t cols, int *ret_master, int *ret_slave);

/* Send @master (borrowed) over @sock. 0, or -1 and errno. */
int terminal_send(int sock, int master);

/* In tenantd: the master that lies in @sock, checked; never waits. */
int terminal_receive(int sock, int *ret_master, struct tn_error *err);

#endif
