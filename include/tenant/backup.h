/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * A backup of all that tenantd knows: tenants, executions, usage, and the policy with its
 * files. Conventions as in client.h. What tenants have stored is not in it.
 *
 * It is one file: an SQLite database, by itself what sqlite3(1) opens; text that says what it
 * is, whose each range of ids is, and holds the policy; and a last line,
 *
 *   tenantd-backup 1 OFFSET SHA256
 *
 * with where the text begins, in 20 digits, and the digest of all that is before the line.
 * tenantctl(1) verifies and restores it.
 */
#ifndef TENANT_BACKUP_H
#define TENANT_BACKUP_H

#include <tenant/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Make a backup, while launches and everything else go on; it takes as long as it takes.
 *
 * @ret_fd  Receives a descriptor to read it by, from its beginning to its end, which is there
 *          already; the caller's. The file has no name and goes with it.
 * @ret     Receives what it is of; release it with tn_backup_about_done().
 *
 * For administrators alone. TN_STATE while another one is made; TN_SYSTEM if there is no room
 * for it beside the store.
 */
TN_API int tn_backup(struct tn_client *client, int *ret_fd, struct tn_backup_about *ret,
                     struct tn_error *err);
TN_API int tn_backup_start(struct tn_client *client, int *ret_fd, struct tn_backup_about *ret,
                           struct tn_error *err);

#ifdef __cplusplus
}
#endif

#endif
