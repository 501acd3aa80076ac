/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the JSON of a reply to a record of <tenant/types.h>, driven by the table of
 * fields that the record's type is described by.
 *
 * A record keeps the JSON it was read from (its owner, the first member) and points
 * into that for its text; only its lists are allocated.
 */
#ifndef RUNTIME_CLIENT_RECORD_H
#define RUNTIME_CLIENT_RECORD_H

#include <jansson.h>

#include <base/err.h>

#include <tenant/types.h>

/*
 * Fill *@record, which has a void *owner as its first member, from @json (borrowed;
 * a reference is kept). On failure, TN_PROTOCOL, *@record is as it was.
 */
int record_read(const struct tn_field *fields, json_t *json, void *record, size_t size,
                struct tn_error *err);

/* Release what a record holds and zero it. */
void record_done(const struct tn_field *fields, void *record, size_t size);

#endif
