/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOLS_SIGNAL_NAME_H
#define TOOLS_SIGNAL_NAME_H

#include <stdint.h>

#include <tenant/error.h>

/* "TERM", "SIGTERM", "15" or "RTMIN+3". 0, or -EINVAL and what was expected. */
int signal_name_parse(const char *text, int64_t *ret, struct tn_error *err);

#endif
