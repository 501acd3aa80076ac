/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one call that a client has in progress. Each call of the public interface is a
 * few lines: its parameters, and a function that is given each reply.
 */
#ifndef RUNTIME_CLIENT_CLIENT_H
#define RUNTIME_CLIENT_CLIENT_H

#include <jansson.h>

#include <base/err.h>

#include <tenant/bill.h>
#include <tenant/client.h>
#include <tenant/event.h>
#include <tenant/policy.h>
#include <tenant/quota.h>
#include <tenant/stats.h>

#include "connection.h"

struct call;

/*
 * Take one reply (borrowed). Returns 0; a positive number if no more is wanted; a
 * negative errno.
 */
typedef int call_reply_fn(struct call *call, json_t *parameters, struct tn_error *err);

struct call {
	call_reply_fn *on_reply;
	bool more;    /* set by client_start() */
	bool patient; /* the answer may take for ever */
	/* What the caller gave; each call uses the members it needs. */
	void *ret;
	const struct tn_field *ret_fields; /* if *ret is a record: how it is read */
	size_t ret_size;
	tn_tenant_fn *each_tenant;
	tn_execution_fn *each_execution;
	tn_usage_period_fn *each_period;
	tn_policy_entry_fn *each_policy;
	tn_policy_change_fn *each_change;
	tn_event_fn *each_event;
	void (*events_missed)(int64_t kept_from, void *userdata);
	tn_stats_fn *each_stats;
	tn_quota_fn *each_quota;
	tn_bill_line_fn *each_line;
	void *userdata;
	const char *fd_name; /* of the parameter that is a descriptor; NULL: none is */
	int *ret_fd;
	size_t replies_n; /* before this one */
};

/* A reply that is one record, as a whole. */
call_reply_fn client_on_record;

/* What a call of one record @ret of @type gives client_start(). */
#define CALL_FOR(reply, type, ret_)                                                            \
	{                                                                                      \
		.on_reply = (reply), .ret = (ret_), .ret_fields = type##_fields(),             \
		.ret_size = sizeof(struct type),                                               \
	}

/* Member @name of a reply; NULL also where it is null, which is how an empty list is told. */
json_t *client_member(json_t *parameters, const char *name);
/* There is none, but has to be. */
int client_no_member(const char *name, struct tn_error *err);

/* Begin @call of @method; consumes @parameters, NULL of which means that they hold what
 * is not UTF-8. */
int client_start(struct tn_client *client, const char *method, json_t *parameters,
                 enum connection_mode mode, const struct call *call, struct tn_error *err);

/* The waiting form: @r is what the start form returned. */
int client_finish(struct tn_client *client, int r, struct tn_error *err);

/* Where a client's idle connection lies, for it and its runs; see client.c. */
struct home;

/*
 * A connection to where @client is connected, for the caller to own: the idle one, or a
 * new one. *ret_home, if asked for, is where to leave it; release that with home_free().
 */
int client_connect(const struct tn_client *client, struct varlink **ret, struct home **ret_home,
                   struct tn_error *err);

/* The path of the socket that @client is connected to; borrowed. */
const char *client_path(const struct tn_client *client);

/* Leave the idle @link (consumed): kept if there is none. */
void home_put(struct home *home, struct varlink *link);

struct home *home_free(struct home *home);

/* Refuse what is neither a name nor a UUID before it is sent. */
int check_tenant(const char *tenant, struct tn_error *err);
/* A UUID, a beginning of one or TENANT/NAME; NULL is refused as there being none @what. */
int check_id(const char *id_text, struct tn_error *err);
int check_execution(const char *execution, const char *what, struct tn_error *err);

/* An integer, or null for TN_ABSENT. */
json_t *json_int_or_null(int64_t number);

#endif
