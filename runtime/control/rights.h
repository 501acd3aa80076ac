/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may call which method, of which tenant: one table with a row for every method, and one
 * function that the server calls before any handler. A method without a row is nobody's.
 *
 * Admins may do everything. Anybody else may do what changes no tenant, with the tenants that
 * it is an operator of (operators.h), and learns nothing of others: what it may not see is
 * answered as what is not there, in the same words.
 *
 * A workload on its tenant's own socket may do what a row says it may, and that about itself
 * alone; whatever its user would be on the control socket counts for nothing there.
 */
#ifndef RUNTIME_CONTROL_RIGHTS_H
#define RUNTIME_CONTROL_RIGHTS_H

#include <jansson.h>

#include "../context.h"
#include "peer.h"

enum right {
	RIGHT_ADMIN, /* what no row grants to others */
	RIGHT_LOOK,  /* at a tenant: its operators */
	RIGHT_RUN,   /* in a tenant, and what runs there: its operators */
	RIGHT_ANY,
};

/* Which tenant a call is about. */
enum subject {
	SUBJECT_NONE,
	SUBJECT_TENANT,    /* parameter tenant */
	SUBJECT_EXECUTION, /* parameter id: the tenant's that it is of */
	SUBJECT_JOINED,    /* parameter execution, in the same way */
	SUBJECT_EITHER,    /* one of these */
	SUBJECT_LISTED,    /* parameter tenant or else all: the handler leaves out what
	                    * rights_see() does not show */
};

struct rights_row {
	const char *method; /* with its interface */
	enum right right;
	enum subject subject;
	bool inside; /* a workload, too, of its own tenant on that tenant's socket */
};

/* NULL if no row has @method. */
const struct rights_row *rights_row(const char *method);

/*
 * Whether @peer may call @method with @parameters, which have not been checked: 0; 1 if that
 * cannot be said yet and will be when server_retry() is called; TN_NOT_PERMITTED or
 * TN_NOT_FOUND.
 */
int rights_check(const struct context *context, const struct peer *peer, const char *method,
                 json_t *parameters, struct tn_error *err);

/* Whether a list that @peer gets has the tenant in it. */
bool rights_see(const struct context *context, const struct peer *peer,
                const struct tenant_row *row);

#endif
