/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bounds.conf: the ceiling for everything that tenant-controller may ask of tenantd.
 * It is the only file that tenantd reads and others write, so its form is as small as
 * a form can be: "key = integer" or "key = path", one a line, '#' begins a comment.
 *
 * The file must belong to root and be writable by root alone; an unknown or repeated
 * key, a value out of range or a missing file is an error.
 */
#ifndef ISOLATE_BOUNDS_H
#define ISOLATE_BOUNDS_H

#include <stdint.h>

#include <base/err.h>

#include "spec.h"

#define BOUNDS_FILE_BYTES_MAX 4096

struct bounds {
	int64_t uid_base;         /* first id of slot 0 */
	int64_t slots_max;        /* tenants, each with SPEC_UIDS_PER_TENANT ids */
	int64_t executions_max;   /* of one tenant at a time */
	int64_t memory_max_bytes; /* of one tenant; SPEC_UNLIMITED above it is refused */
	int64_t tasks_max;        /* of one tenant */
	int64_t nofile_max;
	int64_t core_bytes_max;
	int64_t reserve_memory_bytes; /* left to the host, whatever is asked */
	int64_t reserve_cpu_percent;  /* of one CPU */
	char cgroup_root[SPEC_PATH_BYTES_MAX];
	char storage_root[SPEC_PATH_BYTES_MAX];
	char bind_root[SPEC_PATH_BYTES_MAX]; /* what may be bound into a sandbox lies below */
};

/* Read and check @path. *ret is written only on success. */
int bounds_load(const char *path, struct bounds *ret, struct tn_error *err);

/* The same for text in memory of @n bytes, which is changed; for tests and fuzzing. */
int bounds_parse(char *text, size_t n, struct bounds *ret, struct tn_error *err);

/* 0, or a refusal that names the first field of the message outside the bounds. */
int bounds_check_tenant(const struct bounds *bounds, const struct spec_tenant_apply *apply,
                        struct tn_error *err);
int bounds_check_reserve(const struct bounds *bounds, const struct spec_reserve *reserve,
                         struct tn_error *err);
int bounds_check_launch(const struct bounds *bounds, const struct spec_launch *launch,
                        struct tn_error *err);
/* What holds for every host. */
int bounds_check_join(const struct spec_join *join, struct tn_error *err);

#endif
