/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events: what has become different on this node, for whoever has to know or to show later who
 * changed what. An event is written in the transaction of the change that it tells, so that
 * neither is there without the other, and gets its number there: numbers have no gap, and are
 * never given twice.
 *
 * What an event tells is in two sets of named texts, before and after; only what differs is
 * there.
 */
#ifndef RUNTIME_EVENTS_H
#define RUNTIME_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syslog.h>

#include <base/err.h>
#include <base/id.h>
#include <base/name.h>

#include "actor.h"
#include "record.h"

#define EVENT_REASON_BYTES_MAX 320

/* Name, MESSAGE_ID of the journal and its catalog (never to change), severity, message. */
#define EVENT_KINDS(X)                                                                         \
	X(CREATED, "created", "7b667ec359a94124bba7376ce294ea2d", LOG_NOTICE,                  \
	  "tenant created")                                                                    \
	X(UPDATED, "updated", "10e61b8ae22c433880ba8bd186488266", LOG_NOTICE,                  \
	  "tenant changed")                                                                    \
	X(STARTED, "started", "8fb6d6d2e99f4872a8c4405e5e472d55", LOG_INFO,                    \
	  "execution started")                                                                 \
	X(EXITED, "exited", "0d4f14fdceff4cdc9dddabbfd1b6ca7f", LOG_INFO, "execution ended")   \
	X(OOM, "oom", "4e486cb3ec63471bba2779bef8f02d8d", LOG_WARNING,                         \
	  "execution ran out of memory")                                                       \
	X(THROTTLED, "throttled", "be294e082cec4f3baba7e7f9c95085d8", LOG_INFO,                \
	  "execution was held back by a CPU limit")                                            \
	X(SUSPENDED, "suspended", "ecd20c4da0914e77942d67923ebb3724", LOG_NOTICE,              \
	  "tenant suspended")                                                                  \
	X(RESUMED, "resumed", "bcb023642f2e473896b1fe0fb014830e", LOG_NOTICE,                  \
	  "tenant resumed")                                                                    \
	X(DELETED, "deleted", "63a919cee5e44d4c8d739d4fb8a668cc", LOG_NOTICE,                  \
	  "tenant deleted")                                                                    \
	X(POLICY_RELOADED, "policy_reloaded", "de8333eb9a34408684aa7dcc6aab7cdd", LOG_NOTICE,  \
	  "policy reloaded")                                                                   \
	X(POLICY_ROLLED_BACK, "policy_rolled_back", "943ebd37e0224e5298d4dc49bf01faea",        \
	  LOG_NOTICE, "policy rolled back")                                                    \
	X(POLICY_DEGRADED, "policy_degraded", "7c08895f53a04f1d9ef96518e0452c25", LOG_WARNING, \
	  "the policy files are not in force")                                                 \
	X(RESTARTED, "restarted", "32b091f91f9a40bd91a63250a141e2ca", LOG_NOTICE,              \
	  "the daemon began to serve")                                                         \
	X(REFUSED, "refused", "47a22e3b419c4e189e92b6a555a11d3d", LOG_WARNING,                 \
	  "a call was refused")                                                                \
	X(DRAINED, "drained", "76e2c20e2600451f91b84ae078f66ae4", LOG_NOTICE,                  \
	  "the node is drained")                                                               \
	X(UNDRAINED, "undrained", "7c905469113244bb9d8c1ede4be1e531", LOG_NOTICE,              \
	  "the node launches again")                                                           \
	X(QUOTA_REACHED, "quota_reached", "bcd566ce9a5c440c9e640efca682eb6b", LOG_NOTICE,      \
	  "a threshold of a quota is reached")                                                 \
	X(QUOTA_EXHAUSTED, "quota_exhausted", "dd673c7007a64324b9953d0256b8ef3d", LOG_WARNING, \
	  "a quota is used up, and what runs is held to it")                                   \
	X(QUOTA_RESTORED, "quota_restored", "4fae21258f274af7a8ed68fc635cf8e1", LOG_NOTICE,    \
	  "what was held to a quota goes on")

#define EVENT_ENUM(code, name, message_id, level, message) EVENT_##code,
enum event_kind {
	EVENT_KINDS(EVENT_ENUM) EVENT_KINDS_N
};
#undef EVENT_ENUM

struct event {
	int64_t seq; /* from 1 on; the store gives it */
	int64_t at;  /* when it happened, microseconds since the epoch */
	enum event_kind kind;
	struct actor actor;
	bool of_tenant; /* else tenant and its name say nothing */
	struct id tenant;
	char tenant_name[NAME_BYTES_MAX]; /* as it was called then */
	bool of_execution;
	struct id execution;
	char reason[EVENT_REASON_BYTES_MAX]; /* "": it needs none */
	/* JSON objects of strings; owned; NULL: nothing. */
	char *before;
	char *after;
};

struct event_kind_row {
	const char *name;
	const char *message_id;
	int level; /* of syslog(3) */
	const char *message;
};
const struct event_kind_row *event_kind_row(enum event_kind kind);
int event_kind_parse(const char *name); /* or -EINVAL */

/* Releases what @event owns. Accepts a zeroed one. */
void event_done(struct event *event);

/* Each of these fills in *@ret, for event_done(), unless it returns -errno. */

struct tenant_row;
/* A tenant's row is @after and was @before, which is NULL for a new one. */
int event_of_tenant(enum event_kind kind, const struct actor *actor,
                    const struct tenant_row *before, const struct tenant_row *after,
                    struct event *ret, struct tn_error *err);

/*
 * What @record tells that was not known: @first, nothing was; else that it runs was. Returns
 * how many there are, in the order in which they are to be told.
 */
#define EVENTS_OF_RECORD_MAX 4
int events_of_record(const struct record *record, bool first,
                     struct event ret[static EVENTS_OF_RECORD_MAX], struct tn_error *err);

/* Something with a name, as it was and is; "" and NULL are nothing. */
struct event_difference {
	const char *name;
	const char *before;
	const char *after;
};

/* Of the node as a whole. @reason is NULL if it needs none. */
int event_of_node(enum event_kind kind, const struct actor *actor, const char *reason,
                  const struct event_difference *difference, struct event *ret,
                  struct tn_error *err);

/* Have value @name of @after be @text as well; 0 or -errno. */
int event_say(struct event *event, const char *name, const char *text, struct tn_error *err);
/* The same of a whole number. */
int event_say_int(struct event *event, const char *name, int64_t number, struct tn_error *err);
/* Value @name of the set @json, which is one of an event's; "" if it has none. Returns @text.
 */
const char *event_value(const char *json, const char *name, char *text, size_t size);

/* Tell the log of it, with all its fields. */
void event_log(const struct event *event);

#endif
