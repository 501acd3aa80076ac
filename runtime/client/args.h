/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Arguments, environment and working directory of a run, as they travel: bytes, each
 * string ended by a NUL, in a memfd that nobody can change any more.
 */
#ifndef RUNTIME_CLIENT_ARGS_H
#define RUNTIME_CLIENT_ARGS_H

#include <base/err.h>

#include <tenant/run.h>

struct args {
	int fd; /* owned; sealed */
	int argc, envc;
};

/* *ret->fd belongs to the caller. TN_INVALID names what is too long or malformed. */
int args_new(const struct tn_run_spec *spec, struct args *ret, struct tn_error *err);

#endif
