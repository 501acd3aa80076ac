/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tenant's directory: ROOT/UUID/data, owned by the tenant's workload uid and visible
 * to its sandboxes alone, as /data. ROOT and ROOT/UUID are root's. What belonged to a deleted
 * tenant is in ROOT/.deleted/UUID until it has been removed.
 */
#ifndef ISOLATE_STORAGE_H
#define ISOLATE_STORAGE_H

#include <stdint.h>

#include <base/err.h>
#include <base/id.h>

/* Create it, or check that it is there. */
int storage_make(const char *root, const struct id *tenant, int64_t uid_first,
                 struct tn_error *err);

/* What is /data in the tenant's sandboxes: O_PATH, owned by the caller. */
int storage_open(const char *root, const struct id *tenant, struct tn_error *err);

/* Remove it; -ENOTEMPTY (TN_STATE) if something is stored. No error if it is gone. */
int storage_remove_empty(const char *root, const struct id *tenant, struct tn_error *err);

/* Whether something is stored: 0, or -ENOTEMPTY (TN_STATE). */
int storage_check_empty(const char *root, const struct id *tenant, struct tn_error *err);

/*
 * Put the directory where no sandbox will find it, for remover.h. Returns 1, or 0 if there is
 * none.
 */
int storage_discard(const char *root, const struct id *tenant, struct tn_error *err);

/* Where discarded directories are, by UUID: O_DIRECTORY, owned by the caller; -ENOENT if
 * nothing has ever been discarded. */
int storage_discarded_open(const char *root, struct tn_error *err);

#endif
