/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way into the sandbox: what runs from clone3 to where the workload and tenant-init are
 * executed (start.h), or the workload alone where that is to be pid 1 itself.
 *
 * The child begins in the leaf, with all signals blocked, as root in the initial user
 * namespace, in the memory of a launcher (launcher.h) or a copy of tenantd's; it ends as the
 * tenant's uid with nothing. Everything it needs lies ready in struct child_request, but for
 * its mount namespace, which it is sent; it allocates nothing from the heap, changes nothing
 * outside its stack and never comes back.
 *
 * It runs when its tenant's quota of CPU time lets it, and until Linux 6.18 it is stopped
 * wherever in the kernel it then is. So it mounts nothing: the locks for that are the host's.
 */
#ifndef ISOLATE_CHILD_H
#define ISOLATE_CHILD_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <base/err.h>

#include "context.h"
#include "spec.h"

#define CHILD_MASKS_MAX 32

/* What can fail on the way, in the child itself or in what makes its mounts (mounts.h). */
enum child_stage {
	CHILD_ARGS = 1,
	CHILD_OOM_SCORE,
	CHILD_RLIMIT,
	CHILD_LEAF_FILES,
	CHILD_TEMPLATE,
	CHILD_SETNS,
	CHILD_MOUNTS,
	CHILD_UNSHARE,
	CHILD_PROC,
	CHILD_PROC_MASK,
	CHILD_TMP,
	CHILD_PTS,
	CHILD_READ_ONLY,
	CHILD_LEAF_ATTACH,
	CHILD_BIND_CLONE,
	CHILD_BIND_ATTACH,
	CHILD_HAND_OVER,
	CHILD_USERNS,
	CHILD_BOUNDING,
	CHILD_IDS,
	CHILD_CAPS,
	CHILD_TERMINAL,
	CHILD_FDS,
	CHILD_NO_NEW_PRIVS,
	CHILD_LANDLOCK,
	CHILD_SECCOMP,
	CHILD_EXEC_INIT,
	CHILD_RECORD, /* tenantd's, beside it */
	CHILD_STAGES_N,
};

/*
 * What the way in needs to know of this kernel and of tenantd, found out once: what must
 * not be seen or written in /proc, of that what there is (/proc itself is fresh in every
 * execution); the capabilities to drop; what Landlock can; the signals to set back.
 */
struct child_masks {
	const char *hidden[CHILD_MASKS_MAX]; /* directories end in '/' */
	const char *read_only[CHILD_MASKS_MAX];
	size_t hidden_n, read_only_n;
	int cap_last;     /* highest capability of this kernel */
	int landlock_abi; /* 0: the kernel has none that can be used */
	uint64_t ignored; /* bit n-1: signal n is ignored, and would be after exec */
};

void child_masks_probe(struct child_masks *masks);

/* What a child has mapped into memory that is not its own. */
struct child_maps {
	void *at[2]; /* NULL: nothing */
	size_t bytes[2];
	int32_t workload; /* not 0: its pid, and it uses them still; a futex (start.h) */
};

struct child_request {
	const struct context *context;
	const struct child_masks *masks;
	const struct spec_launch *launch;
	const struct sock_fprog *filter; /* our own and the policy's */
	int leaf_fd;
	uint32_t leaf_files; /* bit i: show the leaf's own template_cgroup_file(i) */
	int stdio_fds[3];    /* FD_NONE with a terminal */
	int terminal_fd;     /* socket for the terminal's master; FD_NONE without one */
	bool joins;          /* what follows is set, and of context its message queues alone */
	int join_pid_fd;     /* of pid 1 of the execution that is joined */
	int args_fd;
	int status_fd;
	int report_fd;
	int mounts_fd;            /* socket on which its mounts come, and then a byte: go on */
	int mounts_peer_fd;       /* the other end, tenantd's and that of who makes them */
	int init_fd;              /* sealed memfd of tenant-init */
	int64_t memory_max_bytes; /* the tightest of leaf and tenant: bounds /tmp */
	int bind_fds[SPEC_BINDS_MAX]; /* O_PATH, opened in the host's mount namespace */
	int host_mnt_fd;              /* that namespace */
	int64_t core_bytes_max;
	int oom_score_adj;
	struct child_maps *maps; /* filled by the child; NULL: its memory ends with it */
};

/* What its pointers to arguments and environment take. */
size_t child_pointers_bytes(const struct spec_launch *launch);

void child_enter(const struct child_request *request) __attribute__((noreturn));

/*
 * The way in of a command that joins an execution. It begins in that one's leaf and pid
 * namespace, and takes all others from pid 1 of it, which cannot change its own. The workload
 * runs beside it and has, in the end, the same uid: until both have executed something, nobody
 * inside may look into it, trace it or reach its descriptors (hide(), and before that its uid
 * and its capabilities). @request->mounts_fd tells when it may begin: what is to be done from
 * outside has been done.
 */
void child_join(const struct child_request *request) __attribute__((noreturn));

/* Fill *err from what a failed child reported; "mount /proc: Permission denied". */
int child_error(uint32_t stage, int32_t error, struct tn_error *err);

#endif
