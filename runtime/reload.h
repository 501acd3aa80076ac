/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Another policy, from its files until every tenant has it: all or nothing.
 *
 * The names of operators are looked up, and one that the host does not know refuses it. Then
 * every tenant that uses more memory than it would have is squeezed (shrink.h), and one that
 * does not give it back within its shrink_grace refuses it, with its figures and the line of
 * its limit; the others get back what they had. Only then the policy is kept and comes to hold.
 * Whoever dies in the middle leaves the old one.
 */
#ifndef RUNTIME_RELOAD_H
#define RUNTIME_RELOAD_H

#include "policies.h"

struct context;
struct reload;

/* At the end. @err is NULL if the policy holds; @failed_n tenants have not got its limits then.
 */
typedef void reload_done_fn(void *userdata, size_t failed_n, const struct tn_error *err);

/*
 * Have @change in force, which is consumed, also on failure. With @force a tenant that uses
 * more memory than it is to have is not waited for, and killed in. @done (NULL: nobody) is
 * called once, maybe before this returns, and not at all if it fails: TN_STATE while another is
 * under way.
 */
int reload_begin(struct context *context, struct policies_change *change, bool force,
                 reload_done_fn *done, void *userdata, struct tn_error *err);

/* Of the one that is under way, if there is one; after the link, and nobody is told. Returns
 * NULL. */
struct reload *reload_free(struct reload *reload);

#endif
