/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef RUNTIME_CLIENT_MEMFD_H
#define RUNTIME_CLIENT_MEMFD_H

#include <stddef.h>

#include <base/err.h>

/* A memfd with a copy of @bytes, at its beginning, that nobody can change any more; @what
 * names it. The caller's, or -errno. */
int memfd_sealed(const char *what, const void *bytes, size_t n, struct tn_error *err);

#endif
