/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json_schema.h"

#include <inttypes.h>
#include <string.h>

#include <base/fd.h>

#include "daemon.h"
#include "daemon_rows.h"
#include "limits.h"
#include "meters.h"
#include "prices.h"
#include "rows.h"
#include "units.h"

#define DRAFT "https://json-schema.org/draft/2020-12/schema"

/* In the words of units.c; a number alone is one too. */
#define SIZE_PATTERN        "^(0|[1-9][0-9]*)[KMGT]?$"
#define DURATION_PATTERN    "^([0-9]+(us|ms|s|min|m|h|d|w))+$"
#define MEMORY_TIME_PATTERN "^(0|([1-9][0-9]*|0)[MGT]iB(ms|s|min|h|d|w))$"
/* METER_NAME_RULE */
#define METER_PATTERN "^[a-z][a-z0-9_]{0,30}$"
/* ACCOUNT_NAME_RULE */
#define ACCOUNT_PATTERN "^[A-Za-z_][A-Za-z0-9_.@-]*[$]?$"
#define PERCENT_PATTERN "^[0-9]+(\\\\.[0-9]{1,3})?%$"

#define NAMES_BYTES_MAX 128

static void integer(FILE *file, int64_t min, int64_t max)
{
	(void)fprintf(file,
	              "{\"type\": \"integer\", \"minimum\": %" PRId64 ", \"maximum\": %" PRId64
	              "}",
	              min, max);
}

static void text(FILE *file, const char *pattern)
{
	(void)fprintf(file, ", {\"type\": \"string\", \"pattern\": \"%s\"}", pattern);
}

static void choices(FILE *file, const char *const *list)
{
	(void)fputs("\"enum\": [", file);
	for (size_t i = 0; list[i] != NULL; i++)
		(void)fprintf(file, "%s\"%s\"", i > 0 ? ", " : "", list[i]);
	(void)fputs("]", file);
}

/* What one value of it may be, in the order of enum limits_type. */
static void value(FILE *file, const struct limits_row *row)
{
	switch (row->type) {
	case LIMITS_COUNT:
		integer(file, row->min, row->max);
		break;
	case LIMITS_BYTES:
		integer(file, row->min, row->max);
		text(file, SIZE_PATTERN);
		break;
	case LIMITS_DURATION:
		integer(file, 0, row->max / 1000000);
		text(file, DURATION_PATTERN);
		break;
	case LIMITS_CPU_QUOTA:
		(void)fputs("{\"type\": \"string\", \"pattern\": \"" PERCENT_PATTERN "\"}",
		            file);
		break;
	case LIMITS_OOM:
		(void)fputs("{", file);
		choices(file, limits_oom_choices);
		(void)fputs("}", file);
		break;
	case LIMITS_TYPES_N:
		break;
	}
	if (row->unlimited)
		(void)fputs(", {\"const\": \"max\"}", file);
}

/* A mapping of nothing but what follows. */
static void mapping_begin(FILE *file)
{
	(void)fputs("\"type\": \"object\", \"additionalProperties\": false, \"properties\": {",
	            file);
}

static void key_of_value(FILE *file, const struct limits_row *row, bool first)
{
	(void)fprintf(file, "%s\n      \"%s\": {\"description\": \"%s\", \"anyOf\": [",
	              first ? "" : ",", row->key, row->about);
	value(file, row);
	(void)fputs("]}", file);
}

static void limits(FILE *file)
{
	mapping_begin(file);
	for (size_t i = 0; i < POLICY_LIMITS_N; i++)
		key_of_value(file, limits_row(i), i == 0);
	(void)fputs("\n    }", file);
}

/* An amount of @unit, from @min on. */
static void amount(FILE *file, enum meter_unit unit, int64_t min)
{
	switch (unit) {
	case METER_UNIT_COUNT:
		integer(file, min, INT64_MAX - 1);
		break;
	case METER_UNIT_USEC:
		integer(file, min, INT64_MAX / 1000000);
		text(file, DURATION_PATTERN);
		break;
	case METER_UNIT_BYTES:
		integer(file, min, INT64_MAX - 1);
		text(file, SIZE_PATTERN);
		break;
	case METER_UNIT_MIB_MSEC:
		integer(file, 0, 0);
		text(file, MEMORY_TIME_PATTERN);
		break;
	}
}

/* An amount of @meter, or of one that is not known here. */
static void amounts(FILE *file, const struct meter *meter, int64_t min)
{
	static const enum meter_unit units[] = { METER_UNIT_COUNT, METER_UNIT_USEC,
		                                 METER_UNIT_BYTES, METER_UNIT_MIB_MSEC };

	(void)fputs("\"anyOf\": [", file);
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (meter == NULL || meter->unit == units[i]) {
			if (meter == NULL && i > 0)
				(void)fputs(", ", file);
			amount(file, units[i], min);
		}
}

/* One key of a mapping, but for an amount. */
static void row_of_words(FILE *file, const struct row_about *row)
{
	if (row->choices != NULL)
		choices(file, row->choices);
	else
		(void)fputs(row->schema, file);
}

static bool is_amount(const struct row_about *row)
{
	return row->choices == NULL && row->schema == NULL;
}

static void described(FILE *file, const char *key, const char *about, bool first)
{
	(void)fprintf(file, "%s\n      \"%s\": {\"description\": \"%s\", ", first ? "" : ",",
	              key, about);
}

/* Whether quotas on @meter, or if that is NULL on one that meters.yaml declares, have key @i.
 */
static bool quota_has(const struct meter *meter, size_t i)
{
	if (i == POLICY_QUOTA_ON_EXHAUST)
		return meter != NULL && meter->source == METER_OF_KERNEL;
	return i != POLICY_QUOTA_PER || meter == NULL || meter->kind == METER_COUNTER;
}

/* What is known of with an end only holds nothing that runs. */
static void words_narrow(const struct meter *meter, size_t i, struct row_about *row)
{
	static const char *const refuse[] = { "refuse", NULL };

	if (i == POLICY_QUOTA_ON_EXHAUST && !meter->live)
		row->choices = refuse;
}

/* A file that changes a tier need say nothing of it. */
static void quota(FILE *file, const struct meter *meter, bool dropin)
{
	struct row_about row;

	mapping_begin(file);
	for (size_t i = 0, n = 0; quota_row_at(i, &row); i++) {
		if (!quota_has(meter, i))
			continue;
		described(file, row.key, row.about, n++ == 0);
		if (is_amount(&row)) {
			amounts(file, meter, 0);
			(void)fputs(", {\"const\": \"max\"}]", file);
		} else {
			words_narrow(meter, i, &row);
			row_of_words(file, &row);
		}
		(void)fputs("}", file);
	}
	(void)fputs("}", file);
	if (!dropin)
		(void)fprintf(file, ", \"required\": [\"limit\"%s]",
		              meter != NULL && meter->kind == METER_COUNTER ? ", \"per\"" : "");
}

/* One member for each builtin meter, and what holds for those that meters.yaml declares. */
static void quotas(FILE *file, bool dropin)
{
	const struct meter *meter;

	(void)fprintf(file, "\"type\": \"object\", \"maxProperties\": %d, \"properties\": {",
	              POLICY_QUOTAS_MAX);
	for (size_t i = 0; (meter = meter_builtin(i)) != NULL; i++) {
		(void)fprintf(file, "%s\n      \"%s\": ", i == 0 ? "" : ",", meter->name);
		if (meter->limitable) {
			(void)fputs("{", file);
			quota(file, meter, dropin);
			(void)fputs("}", file);
		} else {
			(void)fputs("false", file);
		}
	}
	(void)fputs("}, \"propertyNames\": {\"pattern\": \"" METER_PATTERN
	            "\"}, \"additionalProperties\": {",
	            file);
	quota(file, NULL, dropin);
	(void)fputs("}", file);
}

static void row_write(FILE *file, const struct tier_row_about *row, bool dropin)
{
	switch (row->shape) {
	case TIER_LIMITS:
		limits(file);
		break;
	case TIER_MODE:
		mapping_begin(file);
		(void)fputs("\"mode\": {", file);
		choices(file, row->choices);
		(void)fputs("}}", file);
		break;
	case TIER_BINDS:
		mapping_begin(file);
		(void)fputs("\"allow\": {\"$ref\": \"#/$defs/paths\"}, "
		            "\"rw\": {\"$ref\": \"#/$defs/paths\"}}",
		            file);
		break;
	case TIER_QUOTAS:
		quotas(file, dropin);
		break;
	case TIER_OPERATORS:
		mapping_begin(file);
		(void)fputs("\"users\": {\"$ref\": \"#/$defs/accounts\"}, "
		            "\"groups\": {\"$ref\": \"#/$defs/accounts\"}}",
		            file);
		break;
	case TIER_VALUE:
		if (row->choices != NULL)
			choices(file, row->choices);
		else
			(void)fputs(row->schema, file);
		break;
	}
}

/* Rows of one group stand together. */
static void daemon_write(FILE *file)
{
	const char *group = NULL;

	(void)fputs("{\n  \"$schema\": \"" DRAFT
	            "\",\n  \"title\": \"tenantd: " POLICY_DAEMON_FILE
	            "\",\n  \"type\": \"object\",\n  \"additionalProperties\": false,\n"
	            "  \"properties\": {",
	            file);
	for (size_t i = 0; i < POLICY_DAEMON_N; i++) {
		const struct daemon_row *row = daemon_row_at(i);
		const bool begins = row->group != group;

		if (begins && group != NULL)
			(void)fputs("\n    }}", file);
		if (begins && row->group != NULL) {
			(void)fprintf(file, "%s\n    \"%s\": {\"description\": \"%s\", ",
			              i > 0 ? "," : "", row->group, row->group_about);
			mapping_begin(file);
		}
		key_of_value(file, &row->value, i == 0 || (begins && row->group != NULL));
		group = row->group;
	}
	(void)fputs(group != NULL ? "\n    }}\n  }\n}\n" : "\n  }\n}\n", file);
}

static void title(FILE *file, const char *what)
{
	(void)fprintf(file,
	              "{\n  \"$schema\": \"" DRAFT "\",\n  \"title\": \"tenantd: %s\",\n  ",
	              what);
}

static void meters_write(FILE *file)
{
	struct row_about row;

	title(file, POLICY_METERS_FILE);
	mapping_begin(file);
	(void)fprintf(file,
	              "\n    \"meters\": {\"description\": \"what applications count\", "
	              "\"type\": \"object\", \"maxProperties\": %d, \"propertyNames\": "
	              "{\"pattern\": \"" METER_PATTERN "\"}, \"additionalProperties\": {",
	              POLICY_METERS_MAX);
	mapping_begin(file);
	for (size_t i = 0; meter_row_at(i, &row); i++) {
		described(file, row.key, row.about, i == 0);
		row_of_words(file, &row);
		(void)fputs("}", file);
	}
	(void)fputs("}, \"required\": [\"kind\"]}}\n  }\n}\n", file);
}

static void price(FILE *file, const struct meter *meter)
{
	struct row_about row;

	mapping_begin(file);
	for (size_t i = 0; price_row_at(i, &row); i++) {
		described(file, row.key, row.about, i == 0);
		if (is_amount(&row)) {
			amounts(file, meter, 1);
			(void)fputs("]", file);
		} else {
			row_of_words(file, &row);
		}
		(void)fputs("}", file);
	}
	(void)fprintf(file, "}, \"required\": [\"price\"%s]",
	              meter != NULL && meter->unit != METER_UNIT_COUNT ? ", \"per\"" : "");
}

/* A gauge has none. */
static void prices(FILE *file)
{
	const struct meter *meter;

	(void)fprintf(file, "\"type\": \"object\", \"maxProperties\": %d, \"properties\": {",
	              POLICY_PRICES_MAX);
	for (size_t i = 0; (meter = meter_builtin(i)) != NULL; i++) {
		(void)fprintf(file, "%s\n      \"%s\": ", i == 0 ? "" : ",", meter->name);
		if (meter->kind == METER_COUNTER) {
			(void)fputs("{", file);
			price(file, meter);
			(void)fputs("}", file);
		} else {
			(void)fputs("false", file);
		}
	}
	(void)fputs("}, \"propertyNames\": {\"pattern\": \"" METER_PATTERN
	            "\"}, \"additionalProperties\": {",
	            file);
	price(file, NULL);
	(void)fputs("}", file);
}

static void prices_write(FILE *file)
{
	struct row_about row;

	title(file, "a price book");
	mapping_begin(file);
	for (size_t i = 0; book_row_at(i, &row); i++) {
		described(file, row.key, row.about, i == 0);
		if (is_amount(&row))
			prices(file);
		else
			row_of_words(file, &row);
		(void)fputs("}", file);
	}
	(void)fputs("\n  },\n  \"required\": [\"book\", \"currency\", \"valid_from\", "
	            "\"prices\"]\n}\n",
	            file);
}

static void tier_write(FILE *file, bool dropin)
{
	struct tier_row_about row;

	(void)fprintf(file,
	              "{\n  \"$schema\": \"" DRAFT "\",\n  \"title\": \"%s\",\n"
	              "  \"type\": \"object\",\n  \"additionalProperties\": false,\n",
	              dropin ? "tenantd: a file that changes a tier" : "tenantd: a tier");
	if (!dropin)
		(void)fputs("  \"required\": [\"tier\"],\n", file);
	(void)fprintf(file,
	              "  \"$defs\": {\"paths\": {\"type\": \"array\", \"maxItems\": %d, "
	              "\"items\": {\"type\": \"string\", \"pattern\": \"^/.\", \"maxLength\": "
	              "%d}}, \"accounts\": {\"type\": \"array\", \"maxItems\": %d, "
	              "\"items\": {\"type\": \"string\", \"pattern\": \"" ACCOUNT_PATTERN
	              "\", \"maxLength\": %d}}},\n  \"properties\": {",
	              POLICY_BINDS_MAX, POLICY_PATH_BYTES_MAX - 1, POLICY_OPERATORS_MAX,
	              ACCOUNT_BYTES_MAX - 1);
	for (size_t i = 0; tier_row_at(i, &row); i++) {
		(void)fprintf(file, "%s\n    \"%s\": {\"description\": \"%s\", ",
		              i > 0 ? "," : "", row.key, row.about);
		row_write(file, &row, dropin);
		(void)fputs("}", file);
	}
	(void)fputs("\n  }\n}\n", file);
}

void policy_schema_write(FILE *file, enum policy_schema which)
{
	switch (which) {
	case POLICY_SCHEMA_TIER:
	case POLICY_SCHEMA_DROPIN:
		tier_write(file, which == POLICY_SCHEMA_DROPIN);
		break;
	case POLICY_SCHEMA_DAEMON:
		daemon_write(file);
		break;
	case POLICY_SCHEMA_METERS:
		meters_write(file);
		break;
	case POLICY_SCHEMA_PRICES:
		prices_write(file);
		break;
	case POLICY_SCHEMAS_N:
		break;
	}
}

#define SCHEMA_NAME(code, name) name,
static const char *const names[] = { POLICY_SCHEMAS(SCHEMA_NAME) };
#undef SCHEMA_NAME

int policy_schema_parse(const char *name, struct tn_error *err)
{
	char expected[NAMES_BYTES_MAX] = "";
	size_t n = 0;

	for (int i = 0; i < POLICY_SCHEMAS_N; i++) {
		if (strcmp(names[i], name) == 0)
			return i;
		n += (size_t)snprintf(expected + n, sizeof(expected) - n, "%s%s",
		                      i == 0                     ? ""
		                      : i < POLICY_SCHEMAS_N - 1 ? ", "
		                                                 : " or ",
		                      names[i]);
	}
	return err_refuse(err, TN_INVALID, "'%.64s': expected %s", name, expected);
}
