/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --status-fd: what happens to a run, one JSON object a line, as it happens:
 *
 *   {"event": "started", "id": ID, "tenant": NAME}
 *   {"event": "exited", "execution": {the record of --report}}
 *   {"event": "refused", "error": NAME, "message": TEXT}
 *
 * A reader that goes away is no reason for the run to end: then nothing more is written.
 */
#ifndef TOOLS_RUN_STATUS_H
#define TOOLS_RUN_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include <tenant/run.h>

/* Zero but for fd, which is FD_NONE where none is wanted. */
struct run_status {
	int fd; /* the caller's, not to be closed */
	bool started;
	bool failed; /* to write: nobody reads any more */
};

/*
 * Take @number, TN_ABSENT for none. To be called before anything else is opened: -EBADF if
 * it is not open, -EINVAL if it cannot be written to or is one of the command's own.
 */
int run_status_init(struct run_status *status, int64_t number, struct tn_error *err);

void run_status_started(struct run_status *status, const char *id, const char *tenant);
void run_status_exited(struct run_status *status, const struct tn_execution *execution);
/* Refused, or, once it had started, over in the way of @execution. */
void run_status_failed(struct run_status *status, const struct tn_execution *execution,
                       const struct tn_error *failure);

#endif
