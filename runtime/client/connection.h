/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Method calls on one connection to tenantd: request out, reply or error in.
 */
#ifndef RUNTIME_CLIENT_CONNECTION_H
#define RUNTIME_CLIENT_CONNECTION_H

#include <sys/un.h>

#include <tenant/client.h>
#include <wire/varlink.h>

/* How connection_call() is to be answered. */
enum connection_mode {
	CONNECTION_ONE,    /* by one reply */
	CONNECTION_MORE,   /* by a stream of them */
	CONNECTION_ONEWAY, /* not at all */
};

/* Connect to the socket at @path; waits for a busy daemon for a few seconds. */
int connection_open(const char *path, struct varlink **ret, struct tn_error *err);

/* Queue a call of io.tenantd.@method. Consumes @parameters, which may be NULL: out of
 * memory. @fds are borrowed. */
int connection_call(struct varlink *link, const char *method, json_t *parameters,
                    enum connection_mode mode, struct tn_error *err);
int connection_call_with_fds(struct varlink *link, const char *method, json_t *parameters,
                             const int *fds, size_t fds_n, struct tn_error *err);

/*
 * Take the next reply. 1 and *ret_parameters (owned by the caller) and whether more
 * follow, 0 if none is there yet; or a negative errno and the daemon's error in *err,
 * and if that is about a quota the rest of it in *quota. If
 * @fd_name is not NULL, *ret_fd (the caller's) is the descriptor whose index that parameter
 * gives; it stays what it was where that is null or absent.
 */
int connection_reply(struct varlink *link, json_t **ret_parameters, bool *ret_continues,
                     struct tn_quota_error *quota, const char *fd_name, int *ret_fd,
                     struct tn_error *err);

#endif
