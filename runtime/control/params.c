/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "params.h"

#include <string.h>

#include <base/fd.h>

static const struct param *param_find(const struct param *table, const char *name)
{
	for (; table->name != NULL; table++)
		if (strcmp(table->name, name) == 0)
			return table;
	return NULL;
}

static int param_bad(char *bad, const char *prefix, const char *name, const char *what,
                     struct tn_error *err)
{
	(void)snprintf(bad, PARAMS_NAME_BYTES_MAX, "%s%s%.64s", prefix,
	               prefix[0] != '\0' ? "." : "", name);
	return err_refuse(err, TN_INVALID, "parameter '%s': %s", bad, what);
}

static void *param_at(const struct param *row, void *ret)
{
	return (char *)ret + row->offset;
}

static const char *string_set(const struct param *row, json_t *value, void *ret)
{
	const char *text = NULL;

	if (value != NULL) {
		if (!json_is_string(value))
			return "expected a string";
		text = json_string_value(value);
		if (row->max > 0 && json_string_length(value) > (size_t)row->max)
			return "too long";
	}
	*(const char **)param_at(row, ret) = text;
	return NULL;
}

static const char *int_set(const struct param *row, json_t *value, void *ret)
{
	int64_t number = PARAMS_ABSENT;

	if (value != NULL) {
		if (!json_is_integer(value) || json_integer_value(value) < 0)
			return "expected a non-negative integer";
		number = json_integer_value(value);
		if (row->max > 0 && number > row->max)
			return "too large";
	}
	*(int64_t *)param_at(row, ret) = number;
	return NULL;
}

static const char *bool_set(const struct param *row, json_t *value, void *ret)
{
	bool truth = json_is_true(value);

	if (value != NULL && !json_is_boolean(value))
		return "expected true or false";
	*(bool *)param_at(row, ret) = truth;
	return NULL;
}

static const char *json_set(const struct param *row, json_t *value, void *ret)
{
	if (value != NULL && json_typeof(value) != row->json)
		return row->json == JSON_ARRAY ? "expected an array" : "expected an object";
	*(json_t **)param_at(row, ret) = value;
	return NULL;
}

/* What is wrong with @value, or NULL if it has been stored. */
static const char *param_set(const struct param *row, json_t *value, void *ret)
{
	switch (row->kind) {
	case PARAM_STRING:
		return string_set(row, value, ret);
	case PARAM_INT:
		return int_set(row, value, ret);
	case PARAM_BOOL:
		return bool_set(row, value, ret);
	case PARAM_JSON:
		return json_set(row, value, ret);
	case PARAM_STRUCT:
		break;
	}
	return "has no type";
}

static int params_parse_level(json_t *json, const struct param *table, const char *prefix,
                              void *ret, char *bad, struct tn_error *err)
{
	const char *name;

	if (json != NULL && !json_is_object(json))
		return param_bad(bad, "", prefix[0] != '\0' ? prefix : "parameters",
		                 "expected an object", err);
	for (void *i = json_object_iter(json); i != NULL; i = json_object_iter_next(json, i)) {
		name = json_object_iter_key(i);
		if (param_find(table, name) == NULL)
			return param_bad(bad, prefix, name, "unknown", err);
	}
	for (; table->name != NULL; table++) {
		json_t *value = json_object_get(json, table->name);
		const char *wrong = NULL;
		int r = 0;

		if (json_is_null(value))
			value = NULL;
		if (value == NULL && table->required)
			wrong = "missing";
		else if (table->kind == PARAM_STRUCT)
			r = params_parse_level(value, table->fields, table->name,
			                       param_at(table, ret), bad, err);
		else
			wrong = param_set(table, value, ret);
		if (r < 0)
			return r;
		if (wrong != NULL)
			return param_bad(bad, prefix, table->name, wrong, err);
	}
	return 0;
}

int params_parse(json_t *json, const struct param *table, void *ret,
                 char bad[static PARAMS_NAME_BYTES_MAX], struct tn_error *err)
{
	return params_parse_level(json, table, "", ret, bad, err);
}
