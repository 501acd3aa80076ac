/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tenant_fields.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/fd.h>

#include "../overrides.h"

#define TIER_DEFAULT       "free"
#define ANCHOR_DAY_DEFAULT 1
#define ANCHOR_DAY_MAX     31 /* in a shorter month it is the last day */
#define TIME_ZONE_DEFAULT  "UTC"
#define CURRENCY_DEFAULT   "USD"
#define ZONES_DIR          "/usr/share/zoneinfo"

#define SETTING_AT(field) .offset = offsetof(struct tenant_settings_arguments, field)
#define TEXT_MAX          .max = (STORE_TEXT_BYTES_MAX - 1)

const struct param tenant_settings_params[] = {
	{ .name = "billing_anchor_day",
	  .kind = PARAM_INT,
	  .max = ANCHOR_DAY_MAX,
	  SETTING_AT(billing_anchor_day) },
	{ .name = "time_zone", .kind = PARAM_STRING, TEXT_MAX, SETTING_AT(time_zone) },
	{ .name = "currency",
	  .kind = PARAM_STRING,
	  .max = STORE_CURRENCY_BYTES - 1,
	  SETTING_AT(currency) },
	{ .name = "customer_id", .kind = PARAM_STRING, TEXT_MAX, SETTING_AT(customer_id) },
	{ .name = NULL },
};

int tenant_fields_default(struct tenant_row *row, struct tn_error *err)
{
	(void)snprintf(row->display_name, sizeof(row->display_name), "%s", row->name);
	(void)snprintf(row->tier, sizeof(row->tier), TIER_DEFAULT);
	row->billing_anchor_day = ANCHOR_DAY_DEFAULT;
	(void)snprintf(row->time_zone, sizeof(row->time_zone), TIME_ZONE_DEFAULT);
	(void)snprintf(row->currency, sizeof(row->currency), CURRENCY_DEFAULT);
	row->metadata = strdup("{}");
	return row->metadata == NULL ? err_errno(err, "keep the metadata") : 0;
}

/* What is shown on terminals and in logs holds no control characters. */
static int text_set(char *to, size_t size, const char *what, const char *text,
                    struct tn_error *err)
{
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return err_refuse(err, TN_INVALID, "%s: holds a control character",
			                  what);
	(void)snprintf(to, size, "%s", text);
	return 0;
}

/* A name of the time zone database; if the host has none, anything that looks like one. */
static int time_zone_check(const char *zone, struct tn_error *err)
{
	char path[sizeof(ZONES_DIR) + 1 + STORE_TEXT_BYTES_MAX];
	size_t n = strspn(zone, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	                        "0123456789_+-/");

	(void)snprintf(path, sizeof(path), ZONES_DIR "/%s", zone);
	if (zone[0] == '\0' || zone[n] != '\0' || zone[0] == '/' ||
	    (access(ZONES_DIR, F_OK) == 0 && access(path, F_OK) < 0))
		return err_refuse(err, TN_INVALID, "'%s' is no time zone", zone);
	return 0;
}

static int currency_check(const char *currency, struct tn_error *err)
{
	if (strlen(currency) != STORE_CURRENCY_BYTES - 1 ||
	    strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != STORE_CURRENCY_BYTES - 1)
		return err_refuse(err, TN_INVALID, "'%s' is no currency code like %s", currency,
		                  CURRENCY_DEFAULT);
	return 0;
}

static int settings_apply(const struct tenant_settings_arguments *given, struct tenant_row *row,
                          struct tn_error *err)
{
	int r = 0;

	if (given->billing_anchor_day == 0)
		return err_refuse(err, TN_INVALID,
		                  "billing_anchor_day: 0 is no day of a month");
	if (given->billing_anchor_day != PARAMS_ABSENT)
		row->billing_anchor_day = given->billing_anchor_day;
	if (given->currency != NULL) {
		r = currency_check(given->currency, err);
		(void)snprintf(row->currency, sizeof(row->currency), "%s", given->currency);
	}
	if (r == 0 && given->time_zone != NULL) {
		r = time_zone_check(given->time_zone, err);
		(void)snprintf(row->time_zone, sizeof(row->time_zone), "%s", given->time_zone);
	}
	if (r == 0 && given->customer_id != NULL)
		r = text_set(row->customer_id, sizeof(row->customer_id), "customer_id",
		             given->customer_id, err);
	return r;
}

/* Set what @given has a text for, and take out what it has null for. */
static int metadata_merge(json_t *metadata, json_t *given, struct tn_error *err)
{
	for (void *i = json_object_iter(given); i != NULL;
	     i = json_object_iter_next(given, i)) {
		const char *key = json_object_iter_key(i);
		json_t *value = json_object_iter_value(i);

		if (json_is_null(value))
			(void)json_object_del(metadata, key);
		else if (!json_is_string(value))
			return err_refuse(err, TN_INVALID,
			                  "metadata '%.64s': expected a string", key);
		else if (json_object_set(metadata, key, value) < 0)
			return err_set(err, TN_SYSTEM, ENOMEM, "keep the metadata");
	}
	return 0;
}

static int metadata_apply(json_t *given, struct tenant_row *row, struct tn_error *err)
{
	json_t *metadata = json_loads(row->metadata, 0, NULL);
	char *text = NULL;
	int r = metadata == NULL ? err_set(err, TN_SYSTEM, ENOMEM, "keep the metadata")
	                         : metadata_merge(metadata, given, err);

	if (r == 0) {
		text = json_dumps(metadata, JSON_COMPACT | JSON_SORT_KEYS);
		if (text == NULL)
			r = err_set(err, TN_SYSTEM, ENOMEM, "keep the metadata");
		else if (strlen(text) > STORE_METADATA_BYTES_MAX)
			r = err_refuse(err, TN_INVALID, "metadata: longer than %d bytes",
			               STORE_METADATA_BYTES_MAX);
	}
	json_decref(metadata);
	if (r < 0) {
		free(text);
		return r;
	}
	free(row->metadata);
	row->metadata = text;
	return 0;
}

static int overrides_merge(json_t *given, struct tenant_row *row, struct tn_error *err)
{
	for (void *i = json_object_iter(given); i != NULL;
	     i = json_object_iter_next(given, i)) {
		const char *key = json_object_iter_key(i);
		const json_t *value = json_object_iter_value(i);
		int r;

		if (!json_is_null(value) && !json_is_string(value))
			return err_refuse(err, TN_INVALID, "%.64s: expected a string", key);
		r = overrides_set(row->overrides, key, json_string_value(value), err);
		if (r < 0)
			return r;
	}
	return 0;
}

int tenant_fields_apply(const struct tenant_arguments *arguments, struct tenant_row *row,
                        struct tn_error *err)
{
	int r = 0;

	if (arguments->display_name != NULL)
		r = text_set(row->display_name, sizeof(row->display_name), "display_name",
		             arguments->display_name, err);
	if (r == 0 && arguments->tier != NULL)
		(void)snprintf(row->tier, sizeof(row->tier), "%s", arguments->tier);
	if (r == 0)
		r = settings_apply(&arguments->settings, row, err);
	if (r == 0)
		r = overrides_merge(arguments->overrides, row, err);
	return r < 0 || arguments->metadata == NULL
	               ? r
	               : metadata_apply(arguments->metadata, row, err);
}

int tenant_operators_apply(json_t *given, tenant_operators_fn *change,
                           char text[STORE_OPERATORS_BYTES_MAX], struct tn_error *err)
{
	for (size_t i = 0; i < json_array_size(given); i++) {
		const char *who = json_string_value(json_array_get(given, i));
		int r = who != NULL
		                ? change(text, who, err)
		                : err_refuse(err, TN_INVALID, "operators: expected strings");

		if (r < 0)
			return r;
	}
	return 0;
}
