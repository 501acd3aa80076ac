/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Users and groups by name, each once, and whom the host means by them, as far as that has been
 * asked. Pure; who asks is accounts.c.
 */
#ifndef RUNTIME_ACCOUNT_SET_H
#define RUNTIME_ACCOUNT_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <base/account.h>
#include <base/err.h>

struct account {
	enum account_kind kind;
	char name[ACCOUNT_BYTES_MAX];
	bool known; /* there is such an account, and @id is its uid or gid */
	uint32_t id;
};

/* Zeroed: empty. In the order of kind and name. */
struct account_set {
	struct account *items; /* owned */
	size_t n, max;
};

void account_set_done(struct account_set *set);

/* Nothing if it is there already. 0, or -ENOMEM. */
int account_set_add(struct account_set *set, enum account_kind kind, const char *name,
                    struct tn_error *err);

/* NULL if it is not in it. */
const struct account *account_set_find(const struct account_set *set, enum account_kind kind,
                                       const char *name);

/* What @from knows is known to @set as well, instead of what it said of the same names. */
int account_set_merge(struct account_set *set, const struct account_set *from,
                      struct tn_error *err);

#endif
