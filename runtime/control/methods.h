/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef RUNTIME_CONTROL_METHODS_H
#define RUNTIME_CONTROL_METHODS_H

#include "call.h"

/* Tables, each ended by a row without a name. */
extern const struct method methods_service[];
extern const struct method methods_run[], methods_kill[], methods_exec[];
extern const struct method methods_tenants[];
extern const struct method methods_usage[], methods_stats[];
extern const struct method methods_wait[], methods_logs[], methods_data[], methods_quota[];
extern const struct method methods_bill[];
extern const struct method methods_admin[], methods_backup[];
extern const struct method methods_drain[], methods_policy[], methods_events[];

/* An id of the caller's choice, so that it can be asked for by that whatever comes; TN_EXISTS
 * if an execution has had it. */
int execution_id_take(struct context *context, const char *text, struct id *ret,
                      struct tn_error *err);

/* By full name; NULL if there is none. */
const struct method *methods_find(const char *name);

/* The description of the interface whose name is the first @n bytes of @name, or NULL. */
const char *methods_interface(const char *name, size_t n);
/* Name of interface @i from 0, or NULL. */
const char *methods_interface_name(size_t i);

#endif
