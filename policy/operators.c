/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "operators.h"

#include <string.h>

#include <base/fd.h>

#include "schema.h"
#include "values.h"

/* By enum account_kind. */
static const struct {
	const char *key;
	const char *expected;
} rows[] = {
	[ACCOUNT_USER] = { "users", "a user's name" },
	[ACCOUNT_GROUP] = { "groups", "a group's name" },
};

static_assert(ARRAY_LEN(rows) == ACCOUNT_KINDS_N, "every kind of account needs a key");

static int account_add(struct policy_tier *tier, enum account_kind kind,
                       const struct document_node *item, struct tn_error *err)
{
	struct policy_operator *added;
	const char *key = rows[kind].key;

	if (item->kind != DOCUMENT_SCALAR || document_is_empty(item))
		return document_refuse(item, err, "%s: not a name; expected %s", key,
		                       rows[kind].expected);
	if (!account_name_valid(item->text))
		return document_refuse(
			item, err,
			"%s: '%.64s' is no name; expected %s, which is " ACCOUNT_NAME_RULE, key,
			item->text, rows[kind].expected);
	for (size_t i = 0; i < tier->operators_n; i++)
		if (tier->operators[i].kind == kind &&
		    strcmp(tier->operators[i].name, item->text) == 0)
			return document_refuse(
				item, err, "%s: '%.64s' stands there twice; expected it once",
				key, item->text);
	if (tier->operators_n == POLICY_OPERATORS_MAX)
		return document_refuse(item, err, "%s: too many operators; expected at most %d",
		                       key, POLICY_OPERATORS_MAX);
	added = &tier->operators[tier->operators_n++];
	*added = (struct policy_operator){
		.kind = kind,
		.where = tier_location(tier, item),
	};
	memcpy(added->name, item->text, strlen(item->text) + 1);
	return 0;
}

static const char *operators_key(size_t i)
{
	return rows[i].key;
}

static int operators_set(void *target, size_t i, const struct document_node *key,
                         struct tn_error *err)
{
	if (key->value->kind != DOCUMENT_SEQUENCE)
		return document_refuse(key->value, err,
		                       "%s: not a list; expected one such as [alice, bob]",
		                       key->text);
	for (const struct document_node *item = key->value->first; item != NULL;
	     item = item->next) {
		int r = account_add(target, (enum account_kind)i, item, err);

		if (r < 0)
			return r;
	}
	return 0;
}

int operators_read(struct policy_tier *tier, const struct document_node *mapping,
                   struct tn_error *err)
{
	static const struct schema schema = {
		.noun = "operators",
		.keys_n = ARRAY_LEN(rows),
		.key = operators_key,
		.set = operators_set,
	};

	return schema_walk(&schema, mapping, tier, err);
}
