/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system call filters of what runs: floor and policy in one program, for each of the two
 * floors.
 *
 * A reload of the policy gives a tenant another one, and a tenantd after us may have another
 * floor; but who joins an execution gets what that was launched with. So a filter stays for
 * as long as a tenant or an execution has it, in memory and as a file below /run/tenantd
 * (tmpfs, root only), by whose number an execution's record names it. Those that are alike
 * are one, however many tenants have it.
 */
#ifndef ISOLATE_FILTERS_H
#define ISOLATE_FILTERS_H

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#include <base/err.h>

#include "floor.h"

struct filter {
	struct filter *next;
	struct filters *all;
	size_t users;
	uint64_t number;
	struct sock_fprog usual, host_files; /* for the floors of these names */
};

/* The first two are set by the owner. */
struct filters {
	const struct floors *floors;
	int dir_fd; /* of the files, borrowed; FD_NONE: there are none, they are not kept */
	struct filter *first;
};

/* The filter made of @policy, with one more user. */
int filters_join(struct filters *filters, const struct sock_fprog *policy, struct filter **ret,
                 struct tn_error *err);

/* The one of that number, with one more user; NULL if there is no such file any more. */
struct filter *filters_find(struct filters *filters, uint64_t number);

struct filter *filter_use(struct filter *filter);

/* One user less: its file goes with the last. Accepts NULL. Always returns NULL. */
struct filter *filter_put(struct filter *filter);

/* Remove the files of those that nobody has. */
void filters_sweep(const struct filters *filters);

#endif
