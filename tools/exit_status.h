/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a command ends with that stands for an execution: tenant-run(1), EXIT STATUS.
 */
#ifndef TOOLS_EXIT_STATUS_H
#define TOOLS_EXIT_STATUS_H

#include <tenant/types.h>

#define EXIT_TIMEOUT 124
#define EXIT_RUNTIME 125 /* refused, or it failed: nothing that the workload did */
#define EXIT_SIGNAL  128 /* and the signal's number */

/* Of an execution that has ended. */
int exit_status(const struct tn_execution *execution);

#endif
