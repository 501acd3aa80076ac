/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may run and look beside the admins: the users and groups that a tenant's tier names, and
 * those that it has of its own. The latter are "user:alice" lines, sorted, each with its line
 * end, as the store keeps them.
 */
#ifndef RUNTIME_OPERATORS_H
#define RUNTIME_OPERATORS_H

#include <policy/policy.h>

#include "account_set.h"
#include "store/store.h"

/*
 * Add "user:NAME" or "group:NAME" to @text, or take it out; no failure if it is there already,
 * or is not. TN_INVALID for what is none, or has no room.
 */
int operators_add(char text[STORE_OPERATORS_BYTES_MAX], const char *who, struct tn_error *err);
int operators_remove(char text[STORE_OPERATORS_BYTES_MAX], const char *who,
                     struct tn_error *err);

/* The next line from *@at on, which moves behind it: true, or false at the end. */
bool operators_next(const char **at, char ret[ACCOUNT_TEXT_BYTES_MAX]);

/* Add the names to @set: all of a text, of a policy, and of every living tenant's own. */
int operators_of_text(const char *text, struct account_set *set, struct tn_error *err);
int operators_of_policy(const struct policy *policy, struct account_set *set,
                        struct tn_error *err);
int operators_of_tenants(struct store *store, struct account_set *set, struct tn_error *err);

/* TN_INVALID, with its place, if @policy names one that @found says the host does not know. */
int operators_check_policy(const struct policy *policy, const struct account_set *found,
                           struct tn_error *err);
/* The same of a text. */
int operators_check_text(const char *text, const struct account_set *found,
                         struct tn_error *err);

/* Whose ids count: the peer's uid, and its main and supplementary groups. */
struct operator_ids {
	uint32_t uid, gid;
	const gid_t *groups;
	size_t groups_n;
};

/* Whether those are an operator's of the tenant, by what the names mean in @present. */
bool operators_include(const struct policy *policy, const struct tenant_row *row,
                       const struct account_set *present, const struct operator_ids *ids);

#endif
