/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From what tenantd saw to what a record says: reason, exit code and words. Pure.
 *
 * What we did (killed, timeout, quota) goes before what the kernel did (oom, seccomp),
 * and that before what the workload did. The status of a workload comes from inside its
 * sandbox and is not trusted: without one, the reason is what the kernel's counters
 * prove, or "unknown".
 */
#ifndef RUNTIME_OUTCOME_H
#define RUNTIME_OUTCOME_H

#include "plan.h"
#include "record.h"
#include <isolate/spec.h>

#define OUTCOME_TEXT_BYTES_MAX 640

/* Fill in what @exited says of @record, whose id, tenant and names are the caller's. */
void outcome_record(const struct spec_exited *exited, struct record *record);

/*
 * Why, in words, with the limit and where it is set; "" if it just exited. @plan is that
 * of the launch, NULL if it is no longer known. The command's name is not known here:
 * the client's arguments pass through unparsed.
 */
void outcome_explain(const struct spec_exited *exited, const struct record *record,
                     const struct plan *plan, char text[static OUTCOME_TEXT_BYTES_MAX]);

#endif
