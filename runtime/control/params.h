/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parameters of a call, by table: a row says what a parameter is called, of which type
 * it is and where its value goes. What no row names and what has another type is an
 * error that names the parameter.
 */
#ifndef RUNTIME_CONTROL_PARAMS_H
#define RUNTIME_CONTROL_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <base/err.h>

#define PARAMS_ABSENT         (-1)
#define PARAMS_NAME_BYTES_MAX 96

enum param_kind {
	PARAM_STRING, /* const char *, borrowed from the message; NULL if null */
	PARAM_INT,    /* int64_t, not negative; PARAMS_ABSENT if null */
	PARAM_BOOL,   /* bool; false if null */
	PARAM_STRUCT, /* a nested table at the same place; its defaults if null */
	PARAM_JSON,   /* json_t *, an object or array, borrowed; NULL if null */
};

struct param {
	const char *name; /* NULL ends the table */
	enum param_kind kind;
	bool required;
	size_t offset;  /* in the struct that params_parse() fills */
	int64_t max;    /* PARAM_INT: greatest value; PARAM_STRING: longest; 0: no bound */
	json_type json; /* PARAM_JSON: JSON_OBJECT or JSON_ARRAY */
	const struct param *fields; /* PARAM_STRUCT */
};

/*
 * Fill @ret from @json (NULL is an empty object). On failure *err says what is wrong and
 * @bad names the parameter ("limits.tasks_max").
 */
int params_parse(json_t *json, const struct param *table, void *ret,
                 char bad[static PARAMS_NAME_BYTES_MAX], struct tn_error *err);

#endif
