/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which file of a policy somebody wants to edit, and how one begins that is not there yet. */
#ifndef TOOLS_EDIT_TARGET_H
#define TOOLS_EDIT_TARGET_H

#include <stdbool.h>

#include <base/err.h>
#include <policy/policy.h>

#define EDIT_PATH_BYTES_MAX 4096

struct edit_target {
	const char *dir;                  /* the policy's; borrowed */
	char name[POLICY_FILE_BYTES_MAX]; /* "tiers/free.yaml" */
	char parent[EDIT_PATH_BYTES_MAX]; /* the directory that it is in */
	char path[EDIT_PATH_BYTES_MAX];   /* what is to be changed */
	char copy[EDIT_PATH_BYTES_MAX];   /* a hidden file beside it */
	bool fresh;                       /* there is no such file: it is to be made */
};

/*
 * What @what is in the policy of @dir (borrowed): a tier by its name, "tenantd.yaml",
 * "meters.yaml" or "prices/NAME.yaml". Only a tier has to be there (TN_NOT_FOUND): its name
 * alone is easily another one's with a slip of the pen, and a file that nobody meant would be a
 * tier.
 */
int edit_target_find(const char *dir, const char *what, struct edit_target *ret,
                     struct tn_error *err);

/* What a fresh one begins with: what there is to say, for the most part as comments. For
 * free().
 */
char *edit_target_beginning(const struct edit_target *target, struct tn_error *err);

#endif
