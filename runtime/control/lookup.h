/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which execution is meant, by whatever people and programs say: see base/exec_ref.h. Every
 * method that takes an execution asks here, so that all of them understand the same.
 */
#ifndef RUNTIME_CONTROL_LOOKUP_H
#define RUNTIME_CONTROL_LOOKUP_H

#include "../context.h"
#include "peer.h"

/*
 * A whole UUID stands for itself, whether there is such an execution or not. A beginning
 * of one must be that of just one that @peer may see: otherwise TN_INVALID with ENOTUNIQ names
 * those there are. Of several with a name it is one that runs, or else the last that began.
 * TN_NOT_FOUND if there is none.
 */
int lookup_execution(const struct context *context, const struct peer *peer, const char *text,
                     struct id *ret, struct tn_error *err);

/* A UUID and nothing else. */
int lookup_id(const char *text, struct id *ret, struct tn_error *err);

#endif
