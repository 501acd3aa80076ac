/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json_schema.h"

#include <inttypes.h>
#include <string.h>

#include "daemon.h"
#include "daemon_rows.h"
#include "limits.h"
#include "units.h"

#define DRAFT "https://json-schema.org/draft/2020-12/schema"

/* In the words of units.c; a number alone is one too. */
#define SIZE_PATTERN     "^(0|[1-9][0-9]*)[KMGT]?$"
#define DURATION_PATTERN "^([0-9]+(us|ms|s|min|m|h|d|w))+$"
/* ACCOUNT_NAME_RULE */
#define ACCOUNT_PATTERN "^[A-Za-z_][A-Za-z0-9_.@-]*[$]?$"
#define PERCENT_PATTERN "^[0-9]+(\\\\.[0-9]{1,3})?%$"

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

static void row_write(FILE *file, const struct tier_row_about *row)
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
		row_write(file, &row);
		(void)fputs("}", file);
	}
	(void)fputs("\n  }\n}\n", file);
}

void policy_schema_write(FILE *file, enum policy_schema which)
{
	if (which == POLICY_SCHEMA_DAEMON)
		daemon_write(file);
	else
		tier_write(file, which == POLICY_SCHEMA_DROPIN);
}

#define SCHEMA_NAME(code, name) name,
static const char *const names[] = { POLICY_SCHEMAS(SCHEMA_NAME) };
#undef SCHEMA_NAME

int policy_schema_parse(const char *name, struct tn_error *err)
{
	for (int i = 0; i < POLICY_SCHEMAS_N; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return err_refuse(err, TN_INVALID, "'%.64s': expected %s, %s or %s", name, names[0],
	                  names[1], names[2]);
}
