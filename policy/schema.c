/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "schema.h"

#include <string.h>

#include <base/nearest.h>

#define SCHEMA_CHOICES_BYTES_MAX 128

static int refuse_unknown(const struct schema *schema, const struct document_node *key,
                          struct tn_error *err)
{
	struct nearest nearest = nearest_begin(key->text);
	char keys[TN_ERROR_MSG_BYTES] = "";
	char hint[NEAREST_HINT_BYTES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < schema->keys_n && n < sizeof(keys); i++) {
		int written = snprintf(keys + n, sizeof(keys) - n, "%s%s", i == 0 ? "" : ", ",
		                       schema->key(i));

		n += written < 0 ? sizeof(keys) : (size_t)written;
	}
	for (size_t i = 0; i < schema->keys_n; i++)
		nearest_consider(&nearest, schema->key(i));
	return document_refuse(key, err, "unknown key '%.64s'%s%s%s; this version enforces: %s",
	                       key->text, schema->noun == NULL ? "" : " in ",
	                       schema->noun == NULL ? "" : schema->noun,
	                       nearest_hint(&nearest, "", hint), keys);
}

static int take(const struct schema *schema, const struct document_node *key, void *target,
                struct tn_error *err)
{
	for (size_t i = 0; i < schema->keys_n; i++)
		if (strcmp(schema->key(i), key->text) == 0)
			return schema->set(target, i, key, err);
	return refuse_unknown(schema, key, err);
}

/* What stands where something else belongs, in words. */
static const char *kind_text(const struct document_node *node)
{
	if (document_is_empty(node))
		return "no value";
	switch (node->kind) {
	case DOCUMENT_MAPPING:
		return "a mapping";
	case DOCUMENT_SEQUENCE:
		return "a list";
	case DOCUMENT_SCALAR:
		break;
	}
	return "a single value";
}

int schema_want_mapping(const char *noun, const struct document_node *node,
                        struct tn_error *err)
{
	if (node->kind == DOCUMENT_MAPPING)
		return 0;
	return document_refuse(node, err, "%s: %s; expected 'key: value' lines",
	                       noun == NULL ? "the file" : noun, kind_text(node));
}

int schema_walk(const struct schema *schema, const struct document_node *mapping, void *target,
                struct tn_error *err)
{
	if (schema_want_mapping(schema->noun, mapping, err) < 0)
		return -EINVAL;
	for (const struct document_node *key = mapping->first; key != NULL; key = key->next) {
		int r = take(schema, key, target, err);

		if (r < 0)
			return r;
	}
	return 0;
}

int schema_want_text(const struct document_node *key, const char *expected,
                     struct tn_error *err)
{
	const struct document_node *value = key->value;

	if (value->kind == DOCUMENT_SCALAR && !document_is_empty(value))
		return 0;
	return document_refuse(value, err, "%s: %s; expected %s", key->text, kind_text(value),
	                       expected);
}

int schema_want_choice(const struct document_node *key, const char *const *choices,
                       struct tn_error *err)
{
	char expected[SCHEMA_CHOICES_BYTES_MAX] = "";
	size_t n = 0;
	int r;

	for (size_t i = 0; choices[i] != NULL && n < sizeof(expected); i++)
		n += (size_t)snprintf(expected + n, sizeof(expected) - n, "%s%s",
		                      i > 0 ? " or " : "", choices[i]);
	r = schema_want_text(key, expected, err);
	if (r < 0)
		return r;
	for (int i = 0; choices[i] != NULL; i++)
		if (strcmp(key->value->text, choices[i]) == 0)
			return i;
	return document_refuse(key->value, err,
	                       "%s: '%.64s' is not enforced by this version; expected %s",
	                       key->text, key->value->text, expected);
}
