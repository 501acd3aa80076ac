/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Executions from launch to settlement.
 *
 *   launch: leaf → record → a launcher's clone3 into the leaf → its mounts, made from
 *           outside → the launch pipe tells how far it got
 *   exit:   pidfd of tenant-init → counters → record → rmdir (the slot is free), and beside
 *           that the mounts dropped → told
 *   settled: the controller's ledger has it → record removed
 *
 * While its tenant is frozen an execution's time stands still: no deadline comes nearer and
 * its wall time does not grow; see suspend.c.
 *
 * tenantd waits for nothing inside a tenant's cgroup: what is in there is frozen,
 * throttled or out of memory as the tenant is. It learns everything from descriptors in
 * its loop: the launch pipe, the pidfd, a timer.
 */
#ifndef ISOLATE_EXECUTION_H
#define ISOLATE_EXECUTION_H

#include <stdbool.h>

#include <base/err.h>
#include <base/id_table.h>

#include "cgroup.h"
#include "child.h"
#include "cpu_time.h"
#include "keeper.h"
#include "launcher.h"
#include "leftovers.h"
#include "loop.h"
#include "mounts.h"
#include "record.h"
#include "tenant.h"
#include "turns.h"

/*
 * So many of one tenant are on their way to their command at a time; the others wait. It takes
 * no more to keep tenantd busy, and a tenant that does not get on, throttled as it is, would
 * only have more of them stand about, that then all come at once.
 */
#define EXECUTIONS_SETTING_UP_MAX 2
/* Of one that is throttled. It gets on when its next period begins, with all that it has begun
 * at once: of two at a time both would end, be settled and be followed by the next in one
 * moment, and whoever else launches something then would share tenantd and the CPUs with both.
 */
#define EXECUTIONS_SETTING_UP_THROTTLED_MAX 1

/* Before the host's own services when memory runs out; tenants cannot go below. */
#define EXECUTION_OOM_SCORE_ADJ 500

/* So many have the files of their counters open while they run: enough for those that are
 * over in a moment, and of the others one more or less is nothing. */
#define EXECUTIONS_COUNTERS_OPEN_MAX 64

/* Records that the controller has not settled: beyond, launches are refused. */
#define EXECUTIONS_UNSETTLED_MAX 10000

struct execution {
	struct id_node node;
	struct tenant *tenant; /* NULL once the leaf is gone */
	struct record record;  /* what is on disk, or will be */
	struct filter
		*filter; /* that of its launch; NULL: not known any more, or it has ended */
	size_t joins_n;  /* commands that have joined it and have not ended */
	uint64_t serial; /* of the launch request; 0 after a restart */
	int leaf_fd;
	struct cg_counter_files counters;
	int status_fd;
	int terminal_fd; /* socket in which the terminal's master lies; FD_NONE: none */
	bool child;      /* ours to wait for: until it is reaped, and not after a restart */
	int off_cpu_tries;
	bool paused; /* before what was killed was read */
	struct launcher_turn turn;
	int64_t wake_boot_usec;     /* for when the timer is set; 0: not yet */
	bool unwatched;             /* unwatched.h: its end */
	bool setting_up;            /* its command has not been executed yet */
	bool ended;                 /* pid 1, and so all of them */
	bool mounts_kept;           /* the keeper has its mount namespace */
	bool mounts_dropping;       /* and has been asked to drop it */
	bool settled;               /* the record is final and the leaf gone */
	bool told;                  /* its end: that waits for the mounts, too */
	bool never;                 /* it has ended, and nothing of it ever ran */
	bool untold;                /* the present controller has not heard of it yet */
	bool waited;                /* wait_status is that of pid 1 */
	int32_t wait_status;        /* as waitpid(2) gives it */
	bool executing;             /* reported: the next step is the workload's exec */
	bool terminated;            /* SIGTERM was sent at the deadline */
	struct init_report failure; /* error != 0: what failed before the workload ran */
	enum spec_kill_why killed;
	struct executions *all;
	struct cpu_time cpu_time;
	struct loop_source pid, report, timer, cpu_timer;
	struct loop_source
		beginning;         /* adopted on its way in: a timer, to look how far it is */
	struct turns_job settling; /* what is to be done of its end */
};

/* All but the table and the counts is borrowed or plain and set by the owner. */
struct executions {
	struct id_table table;
	struct id_table joins; /* join.h */
	size_t running_n, unsettled_n;
	size_t untold_n; /* of those from before the present controller */
	struct loop *loop;
	struct turns *turns;
	struct tenants *tenants;
	const struct bounds *bounds;
	const struct child_masks *masks;
	uint32_t controllers;
	int dir_fd;      /* of the records */
	int init_fd;     /* sealed memfd of tenant-init */
	int host_mnt_fd; /* the host's mount namespace, where paths to bind come from */
	struct mounts_place mounts_place;
	struct keeper keeper;
	struct launchers launchers;
	struct loop_source looking; /* unwatched.h: a timer */
	struct leftovers leftovers;
	/* Tell the controller; @message is a whole message of spec.h, @fd borrowed or
	 * FD_NONE. */
	void (*tell)(void *context, const void *message, int fd);
	void *context;
};

/*
 * Launch what @launch asks for, with the descriptors of SPEC_LAUNCH, all borrowed. 0:
 * SPEC_STARTED will tell how it went. -errno: nothing is left behind.
 */
int executions_launch(struct executions *executions, const struct spec_launch *launch,
                      const int *fds, size_t fds_n, struct tn_error *err);

/* A launch for this tenant has to wait for one of those before. */
bool executions_crowded(const struct executions *executions, const struct id *tenant);

/* An execution has that id, or a command that has joined one. */
bool executions_have(struct executions *executions, const struct id *id);

/* Whether @signal is one that a workload may be sent; refused if not. */
int execution_signal_check(int signal, struct tn_error *err);
/* By the id of either. */
int executions_signal(struct executions *executions, const struct id *id, int signal,
                      struct tn_error *err);

/* @why stands in the record. With @grace_usec it is only noted when that is over: until then
 * they have @signal, which can be forwarded, and end by themselves. */
struct kill_how {
	enum spec_kill_why why;
	int64_t grace_usec; /* 0: none, and no signal */
	int signal;
};

int executions_kill(struct executions *executions, const struct id *id,
                    const struct kill_how *how, struct tn_error *err);
void executions_kill_tenant(struct executions *executions, const struct id *tenant,
                            const struct kill_how *how);

/* Freeze the tenant or thaw it, and the clocks of its executions with it; nothing changes if
 * it is so already. */
int executions_freeze(struct executions *executions, const struct id *tenant, bool frozen,
                      struct tn_error *err);

/* The ledger has the record of @id. */
void executions_settled(struct executions *executions, const struct id *id);

/* Tell a new controller what runs and what is unsettled. */
void executions_replay(struct executions *executions);

/* Take over what an earlier tenantd left in the records and the kernel. */
int executions_adopt(struct executions *executions, struct tn_error *err);

/* Start what they need besides: the keeper of their mounts and who clones their children.
 * @executions->loop is ready. */
int executions_start(struct executions *executions, struct tn_error *err);

/* Forget them all without touching them: they run on. */
void executions_done(struct executions *executions);

#endif
