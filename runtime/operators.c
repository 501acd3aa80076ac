/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "operators.h"

#include <string.h>

bool operators_next(const char **at, char ret[ACCOUNT_TEXT_BYTES_MAX])
{
	size_t n = strcspn(*at, "\n");

	if ((*at)[n] == '\0' || n >= ACCOUNT_TEXT_BYTES_MAX)
		return false;
	memcpy(ret, *at, n);
	ret[n] = '\0';
	*at += n + 1;
	return true;
}

static int line_add(char *text, size_t *n, const char *who, struct tn_error *err)
{
	const size_t room = STORE_OPERATORS_BYTES_MAX - *n;
	const int written = snprintf(text + *n, room, "%s\n", who);

	if (written < 0 || (size_t)written >= room)
		return err_refuse(err, TN_INVALID,
		                  "there is no room for another operator; name a group");
	*n += (size_t)written;
	return 0;
}

/* @text without @who, or with it in its place. */
static int text_change(char text[STORE_OPERATORS_BYTES_MAX], const char *who, bool with,
                       struct tn_error *err)
{
	char old[ACCOUNT_TEXT_BYTES_MAX], ret[STORE_OPERATORS_BYTES_MAX] = "";
	enum account_kind kind = ACCOUNT_USER;
	const char *name = NULL, *at = text;
	size_t n = 0;
	int r = account_parse(who, &kind, &name, err);

	while (r == 0 && operators_next(&at, old)) {
		const int order = strcmp(who, old);

		if (with && order <= 0) {
			r = line_add(ret, &n, who, err);
			with = false;
		}
		if (r == 0 && order != 0)
			r = line_add(ret, &n, old, err);
	}
	if (r == 0 && with)
		r = line_add(ret, &n, who, err);
	if (r == 0)
		memcpy(text, ret, sizeof(ret));
	return r;
}

int operators_add(char text[STORE_OPERATORS_BYTES_MAX], const char *who, struct tn_error *err)
{
	return text_change(text, who, true, err);
}

int operators_remove(char text[STORE_OPERATORS_BYTES_MAX], const char *who,
                     struct tn_error *err)
{
	return text_change(text, who, false, err);
}

int operators_of_text(const char *text, struct account_set *set, struct tn_error *err)
{
	char who[ACCOUNT_TEXT_BYTES_MAX];
	enum account_kind kind = ACCOUNT_USER;
	const char *name = NULL;
	int r = 0;

	while (r == 0 && operators_next(&text, who)) {
		r = account_parse(who, &kind, &name, err);
		if (r == 0)
			r = account_set_add(set, kind, name, err);
	}
	return r;
}

int operators_of_policy(const struct policy *policy, struct account_set *set,
                        struct tn_error *err)
{
	const struct policy_tier *tier;

	for (size_t i = 0; (tier = policy_tier_at(policy, i)) != NULL; i++)
		for (size_t j = 0; j < tier->operators_n; j++) {
			int r = account_set_add(set, tier->operators[j].kind,
			                        tier->operators[j].name, err);

			if (r < 0)
				return r;
		}
	return 0;
}

int operators_of_tenants(struct store *store, struct account_set *set, struct tn_error *err)
{
	char after[NAME_BYTES_MAX] = "";

	for (;;) {
		struct tenant_row row = { 0 };
		int r = store->ops->tenant_operated_next(store, after, &row, err);

		if (r <= 0)
			return r;
		(void)snprintf(after, sizeof(after), "%s", row.name);
		r = operators_of_text(row.operators, set, err);
		tenant_row_done(&row);
		if (r < 0)
			return err_wrap(err, r, "operators of tenant '%s'", after);
	}
}

static bool is_known(const struct account_set *found, enum account_kind kind, const char *name)
{
	const struct account *account = account_set_find(found, kind, name);

	return account != NULL && account->known;
}

int operators_check_policy(const struct policy *policy, const struct account_set *found,
                           struct tn_error *err)
{
	const struct policy_tier *tier;

	for (size_t i = 0; (tier = policy_tier_at(policy, i)) != NULL; i++)
		for (size_t j = 0; j < tier->operators_n; j++) {
			const struct policy_operator *who = &tier->operators[j];
			char place[POLICY_FILE_BYTES_MAX + 32];

			if (is_known(found, who->kind, who->name))
				continue;
			policy_place(tier, &who->where, place, sizeof(place));
			return err_refuse(err, TN_INVALID,
			                  "%s: operators: this host has no %s '%s'; expected "
			                  "one that it knows",
			                  place, account_kind_name(who->kind), who->name);
		}
	return 0;
}

int operators_check_text(const char *text, const struct account_set *found,
                         struct tn_error *err)
{
	char who[ACCOUNT_TEXT_BYTES_MAX];

	while (operators_next(&text, who)) {
		enum account_kind kind = ACCOUNT_USER;
		const char *name = NULL;
		int r = account_parse(who, &kind, &name, err);

		if (r == 0 && !is_known(found, kind, name))
			r = err_refuse(err, TN_INVALID,
			               "operator '%s': this host has no %s '%s'", who,
			               account_kind_name(kind), name);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool ids_match(const struct account *account, const struct operator_ids *ids)
{
	if (account == NULL || !account->known)
		return false;
	if (account->kind == ACCOUNT_USER)
		return account->id == ids->uid;
	if (account->id == ids->gid)
		return true;
	for (size_t i = 0; i < ids->groups_n; i++)
		if (ids->groups[i] == account->id)
			return true;
	return false;
}

bool operators_include(const struct policy *policy, const struct tenant_row *row,
                       const struct account_set *present, const struct operator_ids *ids)
{
	const struct policy_tier *tier = policy_tier(policy, row->tier);
	char who[ACCOUNT_TEXT_BYTES_MAX];
	const char *at = row->operators;

	for (size_t i = 0; tier != NULL && i < tier->operators_n; i++)
		if (ids_match(account_set_find(present, tier->operators[i].kind,
		                               tier->operators[i].name),
		              ids))
			return true;
	while (operators_next(&at, who)) {
		struct tn_error ignored = { 0 };
		enum account_kind kind = ACCOUNT_USER;
		const char *name = NULL;

		if (account_parse(who, &kind, &name, &ignored) == 0 &&
		    ids_match(account_set_find(present, kind, name), ids))
			return true;
	}
	return false;
}
