/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Instants as people give them: "2026-01-31", "2026-01-31T12:00", "2026-01-31 12:00:05"
 * in local time, with a Z behind it in UTC; "@SECONDS" since the epoch; "now", "today";
 * or a span before now, "-90min".
 */
#ifndef TOOLS_WHEN_H
#define TOOLS_WHEN_H

#include <stdint.h>

#include <tenant/error.h>

/* *ret is in microseconds since the epoch; TN_INVALID if @text is none of the above. */
int when_parse(const char *text, int64_t *ret, struct tn_error *err);

#endif
