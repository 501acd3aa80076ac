/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * The policy of a node: what holds for whom and which line says so, what a change would do,
 * and how it is made. Conventions as in client.h.
 *
 * HASH in a parameter is the hexadecimal hash of a policy that was accepted, or at least four
 * digits with which no other one's begins.
 */
#ifndef TENANT_POLICY_H
#define TENANT_POLICY_H

#include <tenant/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Read the policy files again: all of them or none. *@ret is for tn_policy_done(). TN_INVALID
 * names file, line and what is wrong, as an operator whom the daemon's host does not know;
 * TN_STATE a tier that tenants have and the files lack, or a tenant that uses more memory than
 * it would have and has not given it back within its shrink_grace, which the waiting form waits
 * for.
 *
 * @force  Wait for no memory: have the kernel kill where there is less than is in use.
 */
TN_API int tn_policy_reload(struct tn_client *client, bool force, struct tn_policy *ret,
                            struct tn_error *err);
TN_API int tn_policy_reload_start(struct tn_client *client, bool force, struct tn_policy *ret,
                                  struct tn_error *err);

/**
 * Have an earlier policy in force, whatever the files say, until they say something else than
 * they do now or tn_policy_reload(); a restart does not change that. *@ret is for
 * tn_policy_done(). TN_NOT_FOUND if there is none of that hash, TN_STATE if it lacks a tier
 * that tenants have; memory in use, and @force, as with tn_policy_reload().
 */
TN_API int tn_policy_rollback(struct tn_client *client, const char *hash, bool force,
                              struct tn_policy *ret, struct tn_error *err);
TN_API int tn_policy_rollback_start(struct tn_client *client, const char *hash, bool force,
                                    struct tn_policy *ret, struct tn_error *err);

/** Called with each policy; return 0 to go on, anything else to end the list. */
typedef int tn_policy_entry_fn(const struct tn_policy_entry *entry, void *userdata);

/** The policies that were accepted, the latest first. */
TN_API int tn_policy_list(struct tn_client *client, tn_policy_entry_fn *each, void *userdata,
                          struct tn_error *err);
TN_API int tn_policy_list_start(struct tn_client *client, tn_policy_entry_fn *each,
                                void *userdata, struct tn_error *err);

/** The files of one; *@ret is for tn_policy_files_done(). TN_NOT_FOUND as above. */
TN_API int tn_policy_get(struct tn_client *client, const char *hash,
                         struct tn_policy_files *ret, struct tn_error *err);
TN_API int tn_policy_get_start(struct tn_client *client, const char *hash,
                               struct tn_policy_files *ret, struct tn_error *err);

/** What holds for @tenant, each value with its source; *@ret is for tn_tenant_policy_done(). */
TN_API int tn_policy_show(struct tn_client *client, const char *tenant,
                          struct tn_tenant_policy *ret, struct tn_error *err);
TN_API int tn_policy_show_start(struct tn_client *client, const char *tenant,
                                struct tn_tenant_policy *ret, struct tn_error *err);

/** Called with each change; return 0 to go on, anything else to end the list. */
typedef int tn_policy_change_fn(const struct tn_policy_change *change, void *userdata);

/**
 * What would change for whom if the files came to hold, or, if @hash is not NULL, that earlier
 * policy: for the node, then of meters and price books, then tenant by tenant, in order of
 * their names. Fails as a reload or a rollback would.
 */
TN_API int tn_policy_diff(struct tn_client *client, const char *hash, tn_policy_change_fn *each,
                          void *userdata, struct tn_error *err);
TN_API int tn_policy_diff_start(struct tn_client *client, const char *hash,
                                tn_policy_change_fn *each, void *userdata,
                                struct tn_error *err);

#ifdef __cplusplus
}
#endif

#endif
