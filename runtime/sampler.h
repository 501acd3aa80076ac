/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looks at the cgroups of active tenants: those of which something runs.
 *
 * At every sample_interval (tenantd.yaml) what the node of each has counted is read, and all of
 * it is booked in one transaction; what has not moved is not written. Who only looks has not
 * read the leaves, so he says nothing of what closes the sum (LEDGER_ABSENT); readings that do
 * come from usage.h, which has its memory from here.
 *
 * Memory has no counter, so it is looked at more often: SAMPLER_LOOKS times in an interval,
 * and a few times, ever less often, after a start, because most executions are short and have
 * what they want soon after it. At an end the leaf is gone when we hear of it; until then the
 * node had what it had at the last look, and of what went with the leaf its peak is the upper
 * bound: see ledger_path_end(). Looks gather in a path until they have been booked. The store
 * has the last that was, so what lies between it and the first of another life of ours, or of a
 * tenant that becomes active again, is a straight line.
 *
 * A look at even intervals would see a load with the same period always in the same phase, and
 * bill its peak or its trough for ever. So each is moved within its share of the interval by
 * the multiples of the golden ratio: they fill it evenly from the first few on, which chance
 * does not, and are never in step with anything.
 *
 * Lengths of time are of CLOCK_MONOTONIC: a host that sleeps uses nothing, and the wall clock
 * says only in which hour something lies.
 *
 * The files of an active tenant stay open, as far as descriptors go; those of one beyond that
 * are opened for each reading, and its memory is looked at with that only. An idle one has
 * neither descriptors nor a timer, and nothing is written for it.
 */
#ifndef RUNTIME_SAMPLER_H
#define RUNTIME_SAMPLER_H

#include <time.h>

#include "cgstat.h"
#include "loop.h"
#include "tenants.h"

#define SAMPLER_LOOKS       8    /* at memory, in one interval */
#define SAMPLER_FIRST_USEC  5000 /* from a start to the look after it */
#define SAMPLER_FDS_DIVISOR 4    /* of all descriptors, the part that may be kept open */

struct sampler;

struct sampler_config {
	struct loop *loop;
	const int *root_fd;  /* of the cgroup tree, once there is one */
	const char *boot_id; /* borrowed like the rest */
	/* Book them in one transaction; whoever does calls sampler_booked() for each. */
	int (*book)(void *userdata, const struct ledger_sample *samples, size_t n,
	            struct tn_error *err);
	void *userdata;
	/* NULL: clock_usec(). */
	int64_t (*clock)(clockid_t clock);
	/* Tenants whose files are kept open; 0: as many as descriptors allow. */
	size_t kept_max;
};

/* Raises the soft limit of descriptors to the hard one. */
int sampler_new(struct sampler **ret, const struct sampler_config *config,
                struct tn_error *err);
/* Books nothing. Accepts NULL. Always returns NULL. */
struct sampler *sampler_free(struct sampler *sampler);

/* From the next look on. */
void sampler_set_interval(struct sampler *sampler, int64_t usec);

/* Something of @tenant runs: @execution was told to have started. */
void sampler_on_started(struct sampler *sampler, struct tenant *tenant,
                        const struct id *execution);
/* @execution has ended, after @wall_usec, and its leaf never had more than @peak_bytes; each
 * may be LEDGER_ABSENT. Call when tenant->executions_n is without it. */
void sampler_on_ended(struct sampler *sampler, struct tenant *tenant,
                      const struct id *execution, int64_t wall_usec, int64_t peak_bytes);

/* What has been read of @tenant's node, with looks at its memory that are not booked yet, into
 * @sample. @sampler may be NULL. */
void sampler_fill(struct sampler *sampler, const struct id *tenant,
                  const struct cgstat_node *node, struct ledger_sample *sample);
/* @sample has been booked. A tenant of which nothing runs is looked at no more. */
void sampler_booked(struct sampler *sampler, const struct ledger_sample *sample);

/*
 * What @tenant's node has counted since it was booked last, of the meters that are read there;
 * of the others 0. -EAGAIN: nothing of it was booked by us yet; -ENOENT: it is not active.
 */
int sampler_ahead(struct sampler *sampler, const struct id *tenant,
                  int64_t ret[static LEDGER_METERS_N]);

/* Now: a look at the memory of all that are active, and with @book at everything, to be booked.
 * What the timer does. */
void sampler_turn(struct sampler *sampler, bool book);

/* How far into its share of @share_usec look @n is moved. */
int64_t sampler_place(int64_t n, int64_t share_usec);

/* Active tenants, and how many of them have their files open. */
size_t sampler_active(const struct sampler *sampler);
size_t sampler_kept(const struct sampler *sampler);

#endif
