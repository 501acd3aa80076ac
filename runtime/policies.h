/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which policy is in force, and which were. What the files say holds once it has been checked
 * and kept in the store; files that do not check leave what was accepted last, also at a
 * start. Somebody may wish an earlier one back: it holds until the files say something
 * else than they did then, or are read again on request.
 */
#ifndef RUNTIME_POLICIES_H
#define RUNTIME_POLICIES_H

#include <policy/policy.h>

#include "store/store.h"

#define POLICIES_PATH_BYTES_MAX   256
#define POLICIES_REASON_BYTES_MAX (TN_ERROR_MSG_BYTES + 64)

struct policies {
	char dir[POLICIES_PATH_BYTES_MAX];
	struct store *store;                      /* borrowed */
	struct policy *present;                   /* owned */
	char degraded[POLICIES_REASON_BYTES_MAX]; /* why it is not what the files say; "": it is
	                                           */
};

/*
 * The policy to begin with: of the files in @dir, or, if these do not check, do not fit the
 * tenants, or were set aside, the last that was accepted. Fails, and says what is wrong with
 * the files, only if that cannot be had either.
 */
int policies_init(struct policies *policies, const char *dir, struct store *store,
                  struct tn_error *err);
void policies_done(struct policies *policies);

/* What comes to hold next. */
struct policies_change {
	struct policy *policy; /* owned until it is taken */
	struct store_policy row;
	struct actor actor; /* by whose wish */
	enum event_kind kind;
	char degraded[POLICIES_REASON_BYTES_MAX];
};

/* Read the files and check them, by the wish of @actor. */
int policies_read(const struct policies *policies, const struct actor *actor,
                  struct policies_change *ret, struct tn_error *err);

/* The same of an earlier one, by its hash as policies_get() takes it. */
int policies_find(const struct policies *policies, const char *hash, const struct actor *actor,
                  struct policies_change *ret, struct tn_error *err);

/* Keep it, so that it holds from the next start on, and tell of it; durable. */
int policies_keep(const struct policies *policies, const struct policies_change *change,
                  struct tn_error *err);

/* @change is in force: the one before, which is to be freed when nobody has it. */
struct policy *policies_take(struct policies *policies, struct policies_change *change);

/* Of one that is not taken. Accepts a zeroed one. */
void policies_change_done(struct policies_change *change);

/*
 * An earlier one, for policy_free(). @hash may be cut to what is still the only one's.
 * TN_NOT_FOUND if there is none, TN_INVALID if there are more.
 */
int policies_get(struct store *store, const char *hash, struct policy **ret,
                 struct tn_error *err);

#endif
