/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Statistics of cgroups, read below the tree's root descriptor: root/TENANT is the node
 * that is billed, root/TENANT/EXECUTION the leaf of one execution. They are
 * world-readable, so no privilege is needed; nothing here writes.
 *
 * What the kernel does not give (its controller is not enabled, or the kernel is older)
 * is SPEC_ABSENT, never 0.
 */
#ifndef RUNTIME_CGSTAT_H
#define RUNTIME_CGSTAT_H

#include <base/err.h>

#include <isolate/spec.h>

struct cgstat {
	int64_t cgroup_id;             /* the inode: no two cgroups of a boot have the same */
	struct spec_counters counters; /* but overhead_usec and tenant_throttled_usec */
};

/* What a tenant's node has counted since it was made, for the ledger; the inode comes first. */
struct cgstat_node {
	int64_t cgroup_id;
	int64_t cpu_usec;
	int64_t throttled_usec;
	int64_t io_read_bytes;
	int64_t io_write_bytes;
	int64_t io_reads;
	int64_t io_writes;
	int64_t memory_bytes; /* what is charged to it now */
};

/* -ENOENT if there is no such cgroup. */
int cgstat_node(int root_fd, const char *tenant, struct cgstat_node *ret, struct tn_error *err);

/* The same files of one cgroup, kept open for whoever reads them again and again. */
#define CGSTAT_KEPT_FDS 3
struct cgstat_kept {
	int64_t cgroup_id;
	int fds[CGSTAT_KEPT_FDS]; /* FD_NONE: there is no such file */
};

/* -ENOENT if there is no such cgroup; *ret is for cgstat_drop() then. */
int cgstat_keep(int root_fd, const char *tenant, struct cgstat_kept *ret, struct tn_error *err);
/* Closes them. Accepts one whose descriptors are FD_NONE. */
void cgstat_drop(struct cgstat_kept *kept);
/* -ENOENT if the cgroup is no more. */
int cgstat_node_kept(const struct cgstat_kept *kept, struct cgstat_node *ret,
                     struct tn_error *err);
/* memory_bytes alone; SPEC_ABSENT. */
int64_t cgstat_memory_kept(const struct cgstat_kept *kept);

/* Have the kernel add up what all below @root_fd have counted. Before the nodes of many tenants
 * are read: with it that takes a time which grows as their number does, and without it as its
 * square. */
void cgstat_flush(int root_fd);

/* For whoever watches: what is now, and what has been counted since the cgroup was made. In the
 * order of the interface. */
#define CGSTAT_LOOK_INTS(X)                                                                    \
	X(cgroup_id)                                                                           \
	X(cpu_usec)                                                                            \
	X(cpu_periods)                                                                         \
	X(cpu_periods_throttled)                                                               \
	X(memory_bytes)                                                                        \
	X(memory_max_bytes) /* SPEC_ABSENT also where it has none of its own */                \
	X(tasks)                                                                               \
	X(tasks_max) /* the same */                                                            \
	X(io_read_bytes)                                                                       \
	X(io_write_bytes)                                                                      \
	X(stall_cpu_usec)                                                                      \
	X(stall_memory_usec)                                                                   \
	X(stall_io_usec)

struct cgstat_look {
#define CGSTAT_FIELD(name) int64_t name;
	CGSTAT_LOOK_INTS(CGSTAT_FIELD)
#undef CGSTAT_FIELD
};

/* The same for whoever watches; on failure all of *ret is SPEC_ABSENT. */
int cgstat_look(int root_fd, const char *tenant, const struct id *execution,
                struct cgstat_look *ret, struct tn_error *err);

/* Read the tenant's node, or with @execution its leaf. -ENOENT if there is no such cgroup. */
int cgstat_read(int root_fd, const char *tenant, const struct id *execution, struct cgstat *ret,
                struct tn_error *err);

#endif
