/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The whole of what the admin says, checked: all tiers of a policy directory
 * (normally /etc/tenantd) and a hash that names this exact content.
 *
 * Pure computation over files: no kernel object, no database, no daemon.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include <stddef.h>

#include <base/err.h>

#include "tier.h"

#define POLICY_TIERS_MAX     256
#define POLICY_HASH_BYTES    32
#define POLICY_HASH_HEX_SIZE 65 /* with the NUL */

struct policy;

/*
 * Load and check every .yaml file below @dir/tiers. All or nothing. On failure *err
 * holds "FILE:LINE:COLUMN: what is wrong; what was expected", FILE relative to
 * @dir, and err->line the line.
 */
int policy_load(const char *dir, struct policy **ret, struct tn_error *err);

/* Accepts NULL. Always returns NULL. */
struct policy *policy_free(struct policy *policy);

/* The tier called @name, or NULL; owned by @policy. */
const struct policy_tier *policy_tier(const struct policy *policy, const char *name);

/* Tiers in order of their names: @i from 0 until NULL. */
const struct policy_tier *policy_tier_at(const struct policy *policy, size_t i);

/* SHA-256 over names and contents of the files, in order of their names. */
const uint8_t *policy_hash(const struct policy *policy);
const char *policy_hash_hex(const struct policy *policy);

#endif
