/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Walks a mapping of a document along a table of the keys that may stand in it. A key
 * that is in no table is refused by name: what a policy file asks for is enforced or
 * is an error, never read and forgotten.
 */
#ifndef POLICY_SCHEMA_H
#define POLICY_SCHEMA_H

#include "document.h"

struct schema {
	const char *noun; /* the mapping's own key; NULL for the top of the file */
	size_t keys_n;
	const char *(*key)(size_t i); /* the name of key @i, 0 to keys_n - 1 */
	/* Take the value of @key, which is key @i, into @target. */
	int (*set)(void *target, size_t i, const struct document_node *key,
	           struct tn_error *err);
};

/* @node is a mapping: what belongs to @noun, or NULL for the top of the file. 0, or -EINVAL. */
int schema_want_mapping(const char *noun, const struct document_node *node,
                        struct tn_error *err);

/* Every key of @mapping, which must be one, is known and set. 0, or -EINVAL. */
int schema_walk(const struct schema *schema, const struct document_node *mapping, void *target,
                struct tn_error *err);

/* The value of @key is one piece of text that says something. 0, or -EINVAL. */
int schema_want_text(const struct document_node *key, const char *expected,
                     struct tn_error *err);

/* The value of @key is one of @choices, NULL-ended, which are all that this version enforces:
 * which of them, from 0 on, or -EINVAL. */
int schema_want_choice(const struct document_node *key, const char *const *choices,
                       struct tn_error *err);

#endif
