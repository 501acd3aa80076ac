/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the sandbox tells tenantd. tenant-init finds
 *   argv  INIT_NAME and the pid of its child, the workload (start.h);
 *   fd 3  the status file: one struct init_status before it ends.
 * The child on its way in (child.h) has besides
 *   fd 4  the launch pipe: struct init_report, at most one of each stage, and its
 *         end once both the workload and tenant-init have been executed.
 */
#ifndef ISOLATE_INIT_H
#define ISOLATE_INIT_H

#include <stdint.h>

#define INIT_NAME "tenant-init"

#define INIT_STATUS_FD 3
#define INIT_REPORT_FD 4

#define INIT_STATUS_MAGIC 0x746e6931u

enum init_status_kind {
	INIT_STATUS_WAITED = 1,   /* wait_status is the workload's */
	INIT_STATUS_NOT_EXECUTED, /* error is the errno of its exec */
	INIT_STATUS_FAILED,       /* error is the errno of what failed before */
};

/* The first record in the file counts: a failed exec is told before the child ends. */
struct init_status {
	uint32_t magic;
	uint32_t kind; /* enum init_status_kind */
	int32_t wait_status;
	int32_t error;
	uint64_t init_cpu_nsec; /* spent by the set-up and by tenant-init itself */
	uint64_t pad;
};

/* Where a launch is; from CHILD_* (isolate/child.h) up to here in order. */
enum init_stage {
	INIT_STAGE_CHDIR = 64,
	INIT_STAGE_FORK,
	INIT_STAGE_EXECUTING, /* error 0: the next thing is execve */
	INIT_STAGE_EXEC,
};

/* One write to the launch pipe. */
struct init_report {
	uint32_t stage;
	int32_t error;     /* errno */
	uint64_t cpu_nsec; /* of the reporting process */
};

#endif
