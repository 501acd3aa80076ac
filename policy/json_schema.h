/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What may stand in a policy's file, as a JSON Schema (draft 2020-12) for editors and for
 * whoever makes such files: from the tables that also parse them. What one value means for
 * another it cannot say; that is for policy_load().
 */
#ifndef POLICY_JSON_SCHEMA_H
#define POLICY_JSON_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <base/err.h>

#define POLICY_SCHEMAS(X)                                                                      \
	X(POLICY_SCHEMA_TIER, "tier")                                                          \
	X(POLICY_SCHEMA_DROPIN, "drop-in") /* of a file that changes a tier */                 \
	X(POLICY_SCHEMA_DAEMON, "tenantd") /* of tenantd.yaml */                               \
	X(POLICY_SCHEMA_METERS, "meters")  /* of meters.yaml */                                \
	X(POLICY_SCHEMA_PRICES, "prices")  /* of a price book */

#define POLICY_SCHEMA_ENUM(code, name) code,
enum policy_schema {
	POLICY_SCHEMAS(POLICY_SCHEMA_ENUM) POLICY_SCHEMAS_N
};
#undef POLICY_SCHEMA_ENUM

void policy_schema_write(FILE *file, enum policy_schema which);

/* Which has a name, or -EINVAL and what names there are. */
int policy_schema_parse(const char *name, struct tn_error *err);

/* Private to policy/: what a key's value is made of. */
enum tier_shape {
	TIER_VALUE,     /* one piece of text */
	TIER_LIMITS,    /* the limits, by their own table */
	TIER_MODE,      /* a mapping of mode, which is a choice */
	TIER_BINDS,     /* a mapping of allow and rw, which are paths */
	TIER_QUOTAS,    /* a mapping of meters, each a quota's keys */
	TIER_OPERATORS, /* a mapping of users and groups, which are names */
};

/* The keys of a tier's file, from 0 on. */
struct tier_row_about {
	const char *key;
	const char *about;
	const char *const *choices; /* NULL: there is no choice */
	const char *schema;         /* members of a JSON object, or NULL */
	enum tier_shape shape;
};

bool tier_row_at(size_t i, struct tier_row_about *ret);

#endif
