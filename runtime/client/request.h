/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is said of a run when it is asked for: the spec's check, and its parameters.
 */
#ifndef RUNTIME_CLIENT_REQUEST_H
#define RUNTIME_CLIENT_REQUEST_H

#include <jansson.h>

#include <tenant/exec.h>

#include "args.h"

/* TN_INVALID says what cannot be asked for. */
int request_check(const struct tn_run_spec *spec, struct tn_error *err);
int request_check_exec(const struct tn_exec_spec *spec, struct tn_error *err);
/* The same of what counts for a plan. */
int request_check_plan(const struct tn_run_spec *spec, struct tn_error *err);

/* How many descriptors of the caller's come before the arguments, which binds follow. */
int request_stdio_n(const struct tn_run_spec *spec);

/* Parameters of Run, or NULL without memory. */
json_t *request_pack(const struct tn_run_spec *spec, const struct args *args, const char *id);
/* The same of Exec; of @spec what struct tn_exec_spec has, too. */
json_t *request_pack_exec(const struct tn_run_spec *spec, const struct args *args,
                          const char *execution, const char *id);
json_t *request_pack_plan(const struct tn_run_spec *spec);

#endif
