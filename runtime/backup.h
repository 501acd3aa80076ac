/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A backup while everything goes on: the store is copied a few pages in a turn of the loop,
 * then what else belongs to it is written behind the copy and a digest is taken over all of
 * it, no less piecemeal. Its form is that of base/backup.h. One is made at a time.
 */
#ifndef RUNTIME_BACKUP_H
#define RUNTIME_BACKUP_H

#include "loop.h"
#include "policies.h"
#include "store/store.h"

struct backup;

struct backup_config {
	struct loop *loop;
	struct store *store;
	const struct policies *policies; /* all borrowed */
};

/* What it is a backup of. */
struct backup_about {
	int64_t created_at;
	int64_t bytes;
	int64_t tenants; /* living */
	char policy_hash[POLICY_HASH_HEX_SIZE];
};

/*
 * Called once: @fd, borrowed, is a file without a name, open for reading from its beginning;
 * or FD_NONE, and *why says why.
 */
typedef void backup_done_fn(void *userdata, int fd, const struct backup_about *about,
                            const struct tn_error *why);

int backup_new(struct backup **ret, const struct backup_config *config, struct tn_error *err);
/* Tells nobody. Accepts NULL. Always returns NULL. */
struct backup *backup_free(struct backup *backup);

/* TN_STATE if one is being made. */
int backup_begin(struct backup *backup, backup_done_fn *done, void *userdata,
                 struct tn_error *err);

/* Nobody wants it any more: nobody is told. */
void backup_cancel(struct backup *backup);

#endif
