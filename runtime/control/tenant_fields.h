/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a call says about a tenant, checked and put into its row: the same for one that is
 * created and one that is changed. What the call does not say stays as the row has it.
 */
#ifndef RUNTIME_CONTROL_TENANT_FIELDS_H
#define RUNTIME_CONTROL_TENANT_FIELDS_H

#include <jansson.h>

#include "../store/store.h"
#include "params.h"

struct tenant_arguments {
	const char *display_name;
	const char *tier;
	json_t *metadata;
	json_t *overrides;
	struct tenant_settings_arguments {
		int64_t billing_anchor_day;
		const char *time_zone;
		const char *currency;
		const char *customer_id;
	} settings;
};

/* Rows of a method's table whose struct tenant_arguments is at @base of the struct it fills. */
#define TENANT_FIELD(base, member) .offset = (base) + offsetof(struct tenant_arguments, member)
#define TENANT_FIELDS_PARAMS(base)                                                             \
	{ .name = "display_name",                                                              \
	  .kind = PARAM_STRING,                                                                \
	  .max = STORE_TEXT_BYTES_MAX - 1,                                                     \
	  TENANT_FIELD(base, display_name) },                                                  \
		{ .name = "tier",                                                              \
		  .kind = PARAM_STRING,                                                        \
		  .max = NAME_BYTES_MAX - 1,                                                   \
		  TENANT_FIELD(base, tier) },                                                  \
		{ .name = "metadata",                                                          \
		  .kind = PARAM_JSON,                                                          \
		  .json = JSON_OBJECT,                                                         \
		  TENANT_FIELD(base, metadata) },                                              \
		{ .name = "overrides",                                                         \
		  .kind = PARAM_JSON,                                                          \
		  .json = JSON_OBJECT,                                                         \
		  TENANT_FIELD(base, overrides) },                                             \
	{                                                                                      \
		.name = "settings", .kind = PARAM_STRUCT, .fields = tenant_settings_params,    \
		TENANT_FIELD(base, settings)                                                   \
	}

extern const struct param tenant_settings_params[];

/* What a new tenant has where nothing is said; @row has a name. 0, or -ENOMEM. */
int tenant_fields_default(struct tenant_row *row, struct tn_error *err);

/*
 * @row's metadata is its own, and replaced by one that is: each key of the call is set or,
 * where it is null, taken out; and so with its overrides. On failure @row is still one for
 * tenant_row_done().
 */
int tenant_fields_apply(const struct tenant_arguments *arguments, struct tenant_row *row,
                        struct tn_error *err);

/*
 * Call @change (operators_add() or operators_remove()) with each of @given, an array of text or
 * NULL, and @text. TN_INVALID for what is no text, or none.
 */
typedef int tenant_operators_fn(char text[STORE_OPERATORS_BYTES_MAX], const char *who,
                                struct tn_error *err);
int tenant_operators_apply(json_t *given, tenant_operators_fn *change,
                           char text[STORE_OPERATORS_BYTES_MAX], struct tn_error *err);

#endif
