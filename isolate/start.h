/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last step of the way in: the command is executed, and tenant-init beside it.
 *
 * To execute something is a good part of what a launch costs, and there are two to be
 * executed. So pid 1 clones the workload's process before it executes tenant-init, and both
 * do so at the same time, each out of the memory that the child has lived in until then. By
 * then every wall stands, and neither finds anything in the other's way: pid 1 has every
 * signal blocked, and what comes meanwhile waits for tenant-init; of tenant-init's memory and
 * descriptors the workload, which has the same uid, never sees anything, because its program
 * may be executed and not read (the kernel then keeps it as it does those with privileges).
 *
 * The workload's process shares pid 1's memory, and with it what libc keeps for a thread:
 * here it makes system calls and nothing else.
 */
#ifndef ISOLATE_START_H
#define ISOLATE_START_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a process takes to begin a command on a stack of its own. */
#define START_STACK_BYTES 32768

struct start {
	char **argv; /* the command and its arguments, NULL */
	char **envp;
	const char *dir; /* the working directory, entered with the workload's rights */
	bool terminal;   /* descriptor 0 is to be its controlling terminal */
	bool joins;      /* in somebody else's pid namespace: it does not outlive tenant-init */
	int report_fd;   /* the launch pipe; closes with an exec, as status_fd does */
	int status_fd;   /* tenant-init's and ours, see init.h; FD_NONE without it */
};

/* The caller becomes the command. Never comes back. */
void start_command(const struct start *start) __attribute__((noreturn));

/* What it takes to begin both. All of it stays as it is until both have executed. */
struct start_place {
	int init_fd;       /* sealed memfd of tenant-init; closes with an exec */
	char *stack;       /* START_STACK_BYTES */
	int32_t *workload; /* the workload's pid; the kernel sets it to 0 once that has
	                    * executed or ended, and wakes who waits for it as for a futex */
};

/*
 * A process for the command, whose pid is at *@place->workload from then on; the caller
 * becomes tenant-init. The command's own failures are told as init.h says. Comes back only if
 * one of these two cannot be: the stage (INIT_STAGE_FORK, or @init_stage of tenant-init's own
 * exec), and errno.
 */
uint32_t start_with_init(const struct start *start, const struct start_place *place,
                         uint32_t init_stage);

#endif
