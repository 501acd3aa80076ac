/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The whole of what the admin says, checked: all tiers of a policy directory (normally
 * /etc/tenantd), the meters and price books that it declares, what its tenantd.yaml says of the
 * node if there is one, and a hash that names this exact content.
 *
 * Pure computation over files: no kernel object, no database, no daemon.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include <base/err.h>

#include "daemon.h"
#include "meters.h"
#include "prices.h"
#include "tier.h"

#define POLICY_TIERS_MAX     256
#define POLICY_HASH_BYTES    32
#define POLICY_HASH_HEX_SIZE 65 /* with the NUL */

struct policy;

/*
 * "tiers/free.yaml", or "tiers/free.d/memory.yaml", which changes that; "meters.yaml",
 * "tenantd.yaml", or "prices/standard.yaml".
 */
struct policy_file {
	char name[POLICY_FILE_BYTES_MAX];
	char *text; /* @n bytes, without a NUL */
	size_t n;
};

/*
 * Load and check every .yaml file in @dir/tiers and, if there are such, @dir/meters.yaml,
 * @dir/tenantd.yaml, and those in @dir/prices. All or nothing; at least one tier. On failure
 * *err holds "FILE:LINE:COLUMN: what is wrong; what was expected", FILE relative to @dir, and
 * err->line the line. What cannot be read is TN_SYSTEM.
 *
 * Only regular files named after a tier, or a book, are believed; a symbolic link, a file or
 * directory that everybody may write, and a .yml that an admin would think is read are
 * refused. Hidden files and other suffixes are not part of the policy.
 */
int policy_load(const char *dir, struct policy **ret, struct tn_error *err);

/*
 * The same with @file (borrowed) in the place of the one of its name, which need not check, nor
 * be there.
 */
int policy_load_with(const char *dir, const struct policy_file *file, struct policy **ret,
                     struct tn_error *err);

/*
 * The same of @files (borrowed) as policy_file_at() gave them of another one: the same texts
 * in the same order are the same policy, by its hash, too.
 */
int policy_build(const struct policy_file *files, size_t n, struct policy **ret,
                 struct tn_error *err);

/* Whether a policy can have a file of that name; none leads out of the policy's directory. */
bool policy_file_name_valid(const char *name);

/* What it was made of: @i from 0 until NULL; owned by @policy. */
const struct policy_file *policy_file_at(const struct policy *policy, size_t i);

/* Accepts NULL. Always returns NULL. */
struct policy *policy_free(struct policy *policy);

/* The tier called @name, or NULL; owned by @policy. */
const struct policy_tier *policy_tier(const struct policy *policy, const char *name);

/* Tiers in order of their names: @i from 0 until NULL. */
const struct policy_tier *policy_tier_at(const struct policy *policy, size_t i);

/* What is said of the node; owned by @policy. */
const struct policy_daemon *policy_daemon(const struct policy *policy);

/* What applications count beside the builtin meters; owned by @policy. */
const struct policy_meters *policy_meters(const struct policy *policy);

/* Price books in order of their names: @i from 0 until NULL. */
const struct policy_book *policy_book(const struct policy *policy, size_t i);

/* The book of @currency that is valid at @at, microseconds since the epoch, or NULL. */
const struct policy_book *policy_book_at(const struct policy *policy, const char *currency,
                                         int64_t at);

/*
 * SHA-256 over the tier files in order of the tiers' names, then meters.yaml, tenantd.yaml and
 * the price books in order of theirs, those that there are: for each its name
 * ("tiers/free.yaml") and its content, either after its length in 64 bits, big-endian.
 */
const uint8_t *policy_hash(const struct policy *policy);
const char *policy_hash_hex(const struct policy *policy);

#endif
