/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What bounds.conf says, for who need not be as strict as tenantd, which reads it too. */
#ifndef TOOLS_BOUNDS_VALUE_H
#define TOOLS_BOUNDS_VALUE_H

#include <stdint.h>

/* As tenantd-bounds(5) says: what it leaves out. */
#define BOUNDS_UID_BASE  INT64_C(2147483648)
#define BOUNDS_SLOTS_MAX INT64_C(10000)

#define BOUNDS_BYTES_MAX 4097

/* The integer that @text sets @key to, or @fallback. */
int64_t bounds_value(const char *text, const char *key, int64_t fallback);

#endif
