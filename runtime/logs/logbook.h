/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The logs of all tenants: STORE/logs/TENANT/EXECUTION, a file of ring.h each. It is
 * tenant-controller that makes, opens and removes them; tenant-logger writes to what it is
 * handed.
 */
#ifndef RUNTIME_LOGS_LOGBOOK_H
#define RUNTIME_LOGS_LOGBOOK_H

#include "ring.h"

/* So many of each tenant are kept, the last to have begun; what runs is among them only if
 * that is. */
#define LOGBOOK_KEPT_MAX 128

struct logbook {
	int dir_fd;         /* STORE/logs */
	const char *socket; /* tenant-logger's; borrowed */
};

/* Below the directory @store_dir, which is there. @socket is borrowed. */
int logbook_init(struct logbook *logbook, const char *store_dir, const char *socket,
                 struct tn_error *err);
void logbook_done(struct logbook *logbook);

/*
 * Have what @about's execution will write kept: *ret_fds, the caller's, are its standard
 * streams. One that was begun for it and never launched gives way, and so does the oldest of a
 * tenant that has too many. Fails if there is no room for a
 * file, or no tenant-logger.
 */
int logbook_begin(const struct logbook *logbook, const struct ring_about *about,
                  int ret_fds[static 3], struct tn_error *err);

/* It was not launched after all. */
void logbook_drop(const struct logbook *logbook, const struct id *tenant,
                  const struct id *execution);

/* A descriptor to read it by, the caller's. TN_NOT_FOUND if there is none. */
int logbook_open(const struct logbook *logbook, const struct id *tenant,
                 const struct id *execution, struct tn_error *err);

/* All of a tenant go. */
int logbook_forget(const struct logbook *logbook, const struct id *tenant,
                   struct tn_error *err);

#endif
