/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one tenant has of its own over its tier: "limits.memory_max=1G" and
 * "quotas.tokens.limit=100" lines, sorted, each with
 * its line end, as the store keeps them. Pure text; what a value may be, policy knows.
 */
#ifndef RUNTIME_OVERRIDES_H
#define RUNTIME_OVERRIDES_H

#include <policy/tier.h>

#include "store/store.h"

/*
 * Set @key ("limits.memory_max", "quotas.tokens.limit") to @value in @text, or take it out if
 * that is NULL. TN_INVALID for what is no such key, holds more than a word, or has no room.
 */
int overrides_set(char text[STORE_OVERRIDES_BYTES_MAX], const char *key, const char *value,
                  struct tn_error *err);

/* The next line from *@at on, which moves behind it: true and its parts, or false at the end.
 */
bool overrides_next(const char **at, char key[STORE_TEXT_BYTES_MAX],
                    char value[STORE_TEXT_BYTES_MAX]);

/* Change @tier, of the policy that has @meters, by all of them. TN_INVALID says which is wrong.
 */
int overrides_apply(const char *text, const struct policy_meters *meters,
                    struct policy_tier *tier, struct tn_error *err);

#endif
