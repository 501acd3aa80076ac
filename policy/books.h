/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What price books have to be together. Private to policy/. */
#ifndef POLICY_BOOKS_H
#define POLICY_BOOKS_H

#include "prices.h"

/* No two of them hold for one currency at one time. 0, or -EINVAL. */
int books_check(const struct policy_book *books, size_t n, struct tn_error *err);

/* The one of them for @currency at @at, or NULL. */
const struct policy_book *books_find(const struct policy_book *books, size_t n,
                                     const char *currency, int64_t at);

#endif
