/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * What has become different on a node, and does: tenants created and suspended, executions that
 * began and ended, policies, refusals. Conventions as in client.h.
 *
 * Events are numbered without a gap. Each is written in the transaction of the change that it
 * tells, and is given out once that is durable: a number that has been seen is never another
 * event's. Whoever keeps the number of the last one has not missed any.
 */
#ifndef TENANT_EVENT_H
#define TENANT_EVENT_H

#include <stdbool.h>

#include <tenant/client.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tn_event {
	void *owner; /**< private */
	int64_t seq; /**< from 1 on */
	int64_t at;  /**< when it happened; later numbers may have earlier times */
	/**
	 * created, updated, suspended, resumed, deleted, started, exited, oom, throttled,
	 * policy_reloaded, policy_rolled_back, policy_degraded, restarted, refused, drained or
	 * undrained; a later daemon may have more.
	 */
	const char *kind;
	const char *message;   /**< the same in words */
	const char *tenant;    /**< as it was called then; NULL: of the node */
	const char *tenant_id; /**< its UUID, or NULL */
	const char *execution; /**< its UUID, or NULL */
	/** Who wanted it, as the kernel knew that peer; TN_ABSENT: the daemon itself. */
	int64_t actor_uid;
	int64_t actor_pid;
	/** As whom that peer's session was opened; TN_ABSENT: it was not. */
	int64_t actor_login_uid;
	const char *reason; /**< of exited as in tn_reason_name(); or words; or NULL */
	/** What differs, by name, and figures: "tier" of "free" and "pro". */
	struct tn_pairs before;
	struct tn_pairs after;
};

/** Release what *@event owns. Accepts a zeroed one. */
TN_API void tn_event_done(struct tn_event *event);
TN_API const struct tn_field *tn_event_fields(void);

/** Called with each event; return 0 to go on, anything else to end the list. */
typedef int tn_event_fn(const struct tn_event *event, void *userdata);

struct tn_event_query {
	int64_t since;      /**< those after this number; TN_ABSENT: all that are kept */
	const char *tenant; /**< NULL: of all, and of the node */
	/** Go on with what happens, until @each ends the list or the daemon goes away; then
	 * TN_UNREACHABLE, and another list that begins after the last number misses none. */
	bool follow;
	tn_event_fn *each;
	/**
	 * Called if some after @since, or after the last one that @each was given, are not kept
	 * any more: those from @kept_from on are. NULL: does not matter.
	 */
	void (*missed)(int64_t kept_from, void *userdata);
	void *userdata;
};

/**
 * The events, oldest first. *@query is copied. TN_NOT_FOUND if there is no such tenant;
 * TN_INVALID if no event has had number @since: it is of another store, or of one that an older
 * copy has taken the place of, and what has happened is to be read from the beginning.
 */
TN_API int tn_event_list(struct tn_client *client, const struct tn_event_query *query,
                         struct tn_error *err);
TN_API int tn_event_list_start(struct tn_client *client, const struct tn_event_query *query,
                               struct tn_error *err);

#ifdef __cplusplus
}
#endif

#endif
