/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The types of io.tenantd.varlink as JSON. Each returns a new reference, or NULL if
 * memory has run out.
 */
#ifndef RUNTIME_CONTROL_ENCODE_H
#define RUNTIME_CONTROL_ENCODE_H

#include <jansson.h>

#include "../plan.h"
#include "../store/store.h"

json_t *encode_tenant(const struct tenant_row *row);
json_t *encode_record(const struct record *record);
/* How a Run ends: @record, and @why in words, "" if the command ended by itself. */
json_t *encode_exited(const struct record *record, const char *why);
json_t *encode_event(const struct event *event);
json_t *encode_limits(const struct plan *plan);
/* Add a row of the same to @list: a limit or an option, and where it is set. 0 or -1. */
int encode_limit(json_t *list, const char *key, const char *value, const char *source);
/* Strings one after the other, each ended by a NUL. */
json_t *encode_strings(const char *strings, uint32_t n);
/* Public meters, but those that were never seen. */
json_t *encode_meters(const struct store_totals *totals);
/* null for RECORD_ABSENT. */
json_t *encode_int(int64_t number);
/* null for "" and NULL. */
json_t *encode_text(const char *text);
/* Words for people that may hold anything, cut anywhere: what is not UTF-8 becomes "?". */
json_t *encode_message(const char *text);

#endif
