/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whom the host means by the names of users and groups. It may ask a directory on another host
 * for that, and take its time, so a process of our own asks, and we go on: it writes what it
 * heard to a pipe. What is not heard within ACCOUNTS_ANSWER_USEC is a failure.
 *
 * Names are asked for when a policy is loaded and when a tenant is given operators, and never
 * when somebody calls: what was heard then holds until the next load. A name that is not known
 * gives nobody anything.
 */
#ifndef RUNTIME_ACCOUNTS_H
#define RUNTIME_ACCOUNTS_H

#include "account_set.h"
#include "loop.h"

#define ACCOUNTS_ANSWER_USEC INT64_C(10000000)

struct accounts;

/* @found has all that was asked for, each known or not, and goes when this returns; NULL if it
 * could not be found out, and @err says why. */
typedef void accounts_done_fn(void *userdata, const struct account_set *found,
                              const struct tn_error *err);

int accounts_new(struct accounts **ret, struct loop *loop, struct tn_error *err);
/* Who waits is told nothing. Accepts NULL. Always returns NULL. */
struct accounts *accounts_free(struct accounts *accounts);

/*
 * Ask for all of @names, which is consumed and zeroed, also on failure. @done is called once,
 * before this returns if there is nothing to ask, and not at all if it fails.
 */
int accounts_ask(struct accounts *accounts, struct account_set *names, accounts_done_fn *done,
                 void *userdata, struct tn_error *err);

/* What @found says holds from now on, of all names in it. -ENOMEM, and some of it may not. */
int accounts_add(struct accounts *accounts, const struct account_set *found,
                 struct tn_error *err);
/* Whether somebody is being asked. */
bool accounts_busy(const struct accounts *accounts);
const struct account_set *accounts_present(const struct accounts *accounts);

#endif
