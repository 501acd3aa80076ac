/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files of an execution below /run/tenantd/exec (tmpfs, root only): UUID holds a
 * struct record from the launch to the settlement, behind it what of the launch counts for
 * whoever joins it, and UUID.status is where tenant-init leaves its one record. They outlive
 * every process of ours, so that an execution can be adopted after a restart and its counters
 * are never lost with its leaf.
 */
#ifndef ISOLATE_RECORD_H
#define ISOLATE_RECORD_H

#include <sys/types.h>

#include <base/err.h>

#include "init.h"
#include "spec.h"

/* Another one ends all that runs at the next start: sweep.h. */
#define RECORD_MAGIC 0x746e7235u

struct record {
	uint32_t magic;
	uint32_t final; /* exited holds the end; the leaf may be gone */
	struct id tenant;
	struct id execution;
	uint8_t policy_hash[SPEC_HASH_BYTES];
	int64_t started_unix_usec;
	int64_t started_boot_usec;
	int64_t deadline_boot_usec;  /* SPEC_UNLIMITED: none */
	int64_t kill_boot_usec;      /* the end of a grace that was given; the same */
	int64_t suspended_boot_usec; /* since when its tenant is frozen; 0: it is not */
	int64_t suspended_usec;      /* that it was before */
	int64_t kill_after_usec;
	int64_t cpu_time_usec_max;
	int64_t tenant_throttled_usec; /* of the node, at the start */
	int64_t child_cpu_nsec;        /* spent before the workload's exec by its process */
	int32_t pid;       /* of tenant-init, in the host's pid namespace; 0: none yet */
	uint32_t started;  /* the workload has been executed */
	uint32_t no_init;  /* pid is the workload's own, and there is no status file's record */
	uint32_t attached; /* SPEC_LAUNCH_ATTACHED */
	uint64_t filter;   /* its program's number: filters.h */
	struct spec_joined joined;
	struct spec_exited exited;
};

/* Create both files. @launch: to be read by record_launch(); NULL: nobody will.
 * *ret_status_fd is the status file, owned by the caller. */
int record_create(int dir_fd, const struct record *record, const struct spec_launch *launch,
                  int *ret_status_fd, struct tn_error *err);

/* The launch that @execution was created with. */
int record_launch(int dir_fd, const struct id *execution, struct spec_launch *ret,
                  struct tn_error *err);

/* Replace what is stored. */
int record_write(int dir_fd, const struct record *record, struct tn_error *err);

/* Remove both files; those missing are no error. 0, or -errno and one of them may be there. */
int record_remove(int dir_fd, const struct id *execution);

/* Open the status file of @execution for reading, or -errno. */
int record_status_open(int dir_fd, const struct id *execution);

/* tenant-init's record from @status_fd: untrusted. False if there is none of any sense. */
bool record_status_read(int status_fd, struct init_status *ret);

/* Call @visit for every sound record in @dir_fd; what is not sound is removed. */
int record_each(int dir_fd, void (*visit)(const struct record *record, void *context),
                void *context, struct tn_error *err);

#endif
