/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a tenant's sandboxes have at /run/tenant: a directory of the host's, of which each of
 * them sees its own tenant's and nothing beside it. In it are the few files that differ from
 * tenant to tenant, and the socket that its workloads meter themselves on.
 *
 * The socket is made here, because here is known whose directory it lies in, and accepted on by
 * the controller, each of which is given it anew. systemd keeps it over a restart and our
 * death. Where it does not, another takes its place in the same directory, which the sandboxes
 * that run have still: so a directory stays as long as its tenant, or until the host goes down.
 *
 * A tenant that never ran anything has neither. Of sockets there are METERS_MAX at most, as far
 * as tenants do not run all at once.
 */
#ifndef ISOLATE_METER_H
#define ISOLATE_METER_H

#include <stdbool.h>
#include <stddef.h>

#include <base/err.h>
#include <base/id.h>

#include "spec.h"

#define METERS_MAX        1024 /* FileDescriptorStoreMax= of tenantd.service has room for them */
#define METER_BACKLOG     128
#define METERS_PATH_BYTES 256

struct meter_kept;

struct meters {
	int dir_fd; /* of the tenants' directories; nobody but root passes it */
	char path[METERS_PATH_BYTES];
	size_t open_n;
	struct meter_kept *kept; /* by systemd, and not asked for yet */
	size_t kept_n;
};

/* Take what systemd has kept, before anything is opened; numbered @first or above. */
void meters_take_kept(struct meters *meters, int first);
/* The tenants' directories are those in @run_dir. */
int meters_open(struct meters *meters, const char *run_dir, struct tn_error *err);
/* What is left of tenants of whom @is_known says no, and what systemd keeps in vain, goes. */
void meters_sweep(struct meters *meters, bool (*is_known)(void *context, const struct id *id),
                  void *context);

/*
 * The socket of tenant @id, which is called @name, in its directory: that which was kept, or a
 * new one. *@ret_fd is the caller's.
 */
int meter_make(struct meters *meters, const struct id *id, const char *name, int *ret_fd,
               struct tn_error *err);
/* Whether somebody has put an end to @fd: the controller has it, too. */
bool meter_is_shut(int fd);
/* Close @fd, which has been made for @id. Whoever connects is told that nobody listens. */
void meter_end(struct meters *meters, const struct id *id, int *fd);
/* The tenant's directory as its sandboxes' template binds it. */
void meter_path(const struct meters *meters, const struct id *id, char *ret, size_t size);
/* Nothing of the tenant's runs any more: its directory goes. No failure if there is none. */
int meter_forget(struct meters *meters, const struct id *id, struct tn_error *err);

#endif
