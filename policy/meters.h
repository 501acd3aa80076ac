/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * meters.yaml: what applications count beside the builtin meters of base/meter.h. A file that
 * is not there declares none.
 */
#ifndef POLICY_METERS_H
#define POLICY_METERS_H

#include <stddef.h>

#include <base/err.h>
#include <base/meter.h>

#include "location.h"

#define POLICY_METERS_FILE "meters.yaml"
#define POLICY_METERS_MAX  48

struct policy_meters {
	struct meter custom[POLICY_METERS_MAX]; /* in the order of the file */
	struct policy_location where[POLICY_METERS_MAX];
	size_t custom_n;
};

/*
 * The meter of that name, builtin or of @meters, which may be NULL: there are only the builtin
 * ones. NULL if there is none.
 */
const struct meter *policy_meter(const struct policy_meters *meters, const char *name);

/* Meter @i of all there are, the builtin ones first, from 0 until NULL. */
const struct meter *policy_meter_at(const struct policy_meters *meters, size_t i);

#define POLICY_METER_TEXT_BYTES_MAX (METER_LABEL_BYTES_MAX + 16)

/* "counter, bytes": what it is, and what it is counted in. */
void policy_meter_text(const struct meter *meter, char ret[static POLICY_METER_TEXT_BYTES_MAX]);

/* Parse and check the file's content; @file names it in messages. */
int policy_meters_parse(const char *file, const char *text, size_t n, struct policy_meters *ret,
                        struct tn_error *err);

#endif
