/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What all tenants together leave to the host.
 *
 * The limit belongs on the top of the tree, which all of them are below; one more level under
 * it would cost every page and every task another step up. But the attributes of that
 * control group are those of the unit that systemd delegates to us, and systemd writes them
 * again whenever it likes. So where it is a unit's, systemd is asked for a runtime property:
 * that stays over its daemon-reload, is seen by `systemctl show`, and is gone after a reboot,
 * when we ask anew. Elsewhere (tenantd --cgroup-root) the control group is ours to write to.
 *
 * systemctl takes its time, so it is a process of its own; of what is asked meanwhile, the
 * last counts.
 */
#ifndef ISOLATE_RESERVE_H
#define ISOLATE_RESERVE_H

#include <sys/types.h>

#include "bounds.h"
#include "hierarchy.h"
#include "loop.h"

#define RESERVE_UNIT_BYTES_MAX 256

/* What is left to tenants; SPEC_UNLIMITED: all. */
struct reserve_limits {
	int64_t memory_bytes;
	int64_t cpu_usec; /* per SPEC_CPU_PERIOD_USEC */
};

struct reserve {
	struct loop *loop;
	const struct hierarchy *hierarchy;
	const struct bounds *bounds;
	const char *systemctl;             /* its path */
	char unit[RESERVE_UNIT_BYTES_MAX]; /* whose the tree is; "": nobody's but ours */
	/* How the last of what was asked went; err.code is TN_OK if it is held. */
	void (*told)(void *context, const struct tn_error *error);
	void *context;
	struct loop_source source; /* the process that asks; no descriptor: there is none */
	pid_t pid;
	struct reserve_limits wanted;
	bool again; /* something else was wanted meanwhile */
	bool asked; /* by the controller */
};

/* @systemd: we are a service of systemd, so that a tree named as a unit is one. */
void reserve_init(struct reserve *reserve, bool systemd);

/*
 * What tenants may have of a host of @memory_bytes and @cpus, when so much is to be left: not
 * less than half of it, for a host that is too small for its reserve is of no use either.
 */
struct reserve_limits reserve_compute(int64_t memory_bytes, int64_t cpus,
                                      int64_t leave_memory_bytes, int64_t leave_cpu_usec);

/* Have so much of this host left from now on; told() is called, maybe before this returns. */
void reserve_set(struct reserve *reserve, int64_t leave_memory_bytes, int64_t leave_cpu_usec);

/* The same of what the controller asks for, within bounds. */
void reserve_ask(struct reserve *reserve, const struct spec_reserve *request);

/* Leave what has been asked to systemd. */
void reserve_stop(struct reserve *reserve);

#endif
