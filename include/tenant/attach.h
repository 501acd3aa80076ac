/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file
 * Stand beside a detached execution that runs: read what it writes as it does, pass signals on,
 * and hear how it ends. Whoever stops does nothing to it, and several may stand beside the same
 * one. It reads nothing: a detached execution's standard input is /dev/null.
 *
 * A daemon that goes away, as for an upgrade, takes nothing of that away: it is waited for for
 * up to a minute, and output goes on meanwhile. The conventions are those of client.h.
 */
#ifndef TENANT_ATTACH_H
#define TENANT_ATTACH_H

#include <tenant/log.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tn_attach;

enum tn_attach_from {
	TN_ATTACH_NOW,   /**< what it writes from now on */
	TN_ATTACH_START, /**< what is kept of before, too */
};

enum tn_attach_event {
	TN_ATTACH_NOTHING, /**< nothing new */
	TN_ATTACH_OUTPUT,  /**< a piece of what it has written */
	TN_ATTACH_EXITED,  /**< it has ended, and all that it wrote has been told */
};

/**
 * Begin, with one call of @client, which is waited for; after it the client is not needed.
 *
 * TN_NOT_FOUND if there is no such execution, or none of its output is kept; TN_STATE if it has
 * ended, or its output is in the journal.
 *
 * @ret  To be released with tn_attach_free().
 */
TN_API int tn_attach_start(struct tn_client *client, const char *id, enum tn_attach_from from,
                           struct tn_attach **ret, struct tn_error *err);

/** Leaves the execution as it is. Accepts NULL. Always returns NULL. */
TN_API struct tn_attach *tn_attach_free(struct tn_attach *attach);

/** Borrowed; poll it for POLLIN. */
TN_API int tn_attach_fd(const struct tn_attach *attach);

/**
 * Returns one enum tn_attach_event, or a negative errno. With TN_ATTACH_OUTPUT *ret_piece is
 * valid until the next call. Call again until it returns TN_ATTACH_NOTHING; after
 * TN_ATTACH_EXITED it returns nothing else.
 */
TN_API int tn_attach_process(struct tn_attach *attach, struct tn_log_piece *ret_piece,
                             struct tn_error *err);

/** Send @signal to the command's process group; while the daemon is away a few are kept.
 * -EAGAIN if those are too many. */
TN_API int tn_attach_signal(struct tn_attach *attach, int signal, struct tn_error *err);

/** The record, or NULL before TN_ATTACH_EXITED. Owned by @attach. */
TN_API const struct tn_execution *tn_attach_execution(const struct tn_attach *attach);

/** Called for each piece; a negative value ends the wait and is returned. */
typedef int tn_attach_fn(const struct tn_log_piece *piece, void *userdata);

/**
 * All of it as one call that waits until the execution has ended.
 *
 * @ret  Receives its record; release it with tn_execution_done().
 */
TN_API int tn_attach(struct tn_client *client, const char *id, enum tn_attach_from from,
                     tn_attach_fn *each, void *userdata, struct tn_execution *ret,
                     struct tn_error *err);

#ifdef __cplusplus
}
#endif
#endif
