/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The output of executions that nobody reads, on its way from their pipes to where it is kept.
 *
 * Their descriptors are also with the service manager, under a name for each: so a logger that
 * dies loses none of them, and a workload never finds that nobody reads. What a full file
 * system does not take is read all the same, counted, and gone.
 */
#ifndef RUNTIME_LOGS_OUTPUT_H
#define RUNTIME_LOGS_OUTPUT_H

#include "../loop.h"
#include "handover.h"
#include "ring.h"

#define OUTPUTS_MAX 10000

/* "log.UUID.0": which of which; with the NUL. */
#define OUTPUT_NAME_BYTES (4 + ID_TEXT_BYTES + 2)

struct outputs;

int outputs_new(struct outputs **ret, struct loop *loop, struct tn_error *err);
/* What is there goes on with the next logger. Accepts NULL. Always returns NULL. */
struct outputs *outputs_free(struct outputs *outputs);

/* Take the output whose descriptors these are, consumed also on failure; @kept: the service
 * manager has them already. One of them may be FD_NONE then: it had ended. */
int outputs_take(struct outputs *outputs, int fds[static HANDOVER_FDS_N], bool kept,
                 struct tn_error *err);

/* Put back the descriptor @fd (consumed) that the service manager kept as @name. */
void outputs_restore(struct outputs *outputs, const char *name, int fd);
/* All have been put back. */
void outputs_restored(struct outputs *outputs);

size_t outputs_count(const struct outputs *outputs);

#endif
