/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file
 * What detached executions have written.
 *
 * A log is the last of an execution's output, log_max of its tier at most, with the time at
 * which each piece was read. It can be read while the execution runs, and after its end for as
 * long as it is kept: until its tenant is deleted, or begins too many others. Reading takes no
 * further call to the daemon.
 */
#ifndef TENANT_LOG_H
#define TENANT_LOG_H

#include <tenant/client.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tn_log;

enum tn_log_stream {
	TN_LOG_STDOUT = 1,
	TN_LOG_STDERR,
	TN_LOG_LOST, /**< lost bytes could not be written here, the host's disk was full */
};

/** Valid until the next call for its log. */
struct tn_log_piece {
	enum tn_log_stream stream;
	int64_t at; /**< microseconds since 1970, when it was read from the execution */
	const char *bytes;
	size_t n;
	int64_t lost; /**< of TN_LOG_LOST */
};

/**
 * Open the log of the detached execution @id: which, as for tn_execution_find().
 *
 * TN_NOT_FOUND if there is no such execution, or none of its output is kept.
 *
 * @ret  Receives the log, at its beginning; release it with tn_log_free().
 */
TN_API int tn_log_open(struct tn_client *client, const char *id, struct tn_log **ret,
                       struct tn_error *err);

/** Accepts NULL. Always returns NULL. */
TN_API struct tn_log *tn_log_free(struct tn_log *log);

/**
 * The next piece: 1 and *@ret. 0: there is none now; if tn_log_ended(), none will come. Never
 * waits; who follows a log asks again after a while.
 */
TN_API int tn_log_next(struct tn_log *log, struct tn_log_piece *ret, struct tn_error *err);

/** Whether the execution had written all it will when tn_log_next() last looked. */
TN_API bool tn_log_ended(const struct tn_log *log);

/**
 * Whether the execution ran when the log was opened. If not, tn_log_ended() will be true within
 * a moment: what it wrote last may still be on its way.
 */
TN_API bool tn_log_running(const struct tn_log *log);

/** How many bytes had been written and were let go, to make room, before they were read. */
TN_API int64_t tn_log_missed(const struct tn_log *log);

/** Whether its output goes to the system's journal instead (log: journal): it has no pieces. */
TN_API bool tn_log_in_journal(const struct tn_log *log);

#ifdef __cplusplus
}
#endif
#endif
