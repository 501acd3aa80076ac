/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account_set.h"

#include <stdlib.h>
#include <string.h>

#define ACCOUNTS_AT_FIRST 16

void account_set_done(struct account_set *set)
{
	free(set->items);
	*set = (struct account_set){ 0 };
}

/* Where it is, or would be. */
static size_t place_of(const struct account_set *set, enum account_kind kind, const char *name,
                       bool *ret_found)
{
	size_t low = 0, high = set->n;

	*ret_found = false;
	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		const struct account *account = &set->items[middle];
		const int order = kind != account->kind ? (kind < account->kind ? -1 : 1)
		                                        : strcmp(name, account->name);

		if (order == 0) {
			*ret_found = true;
			return middle;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static int set_grow(struct account_set *set, struct tn_error *err)
{
	const size_t max = set->max > 0 ? 2 * set->max : ACCOUNTS_AT_FIRST;
	struct account *items;

	if (set->n < set->max)
		return 0;
	items = reallocarray(set->items, max, sizeof(*items));
	if (items == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "keep the names of operators");
	set->items = items;
	set->max = max;
	return 0;
}

static int set_put(struct account_set *set, enum account_kind kind, const char *name,
                   struct account **ret, struct tn_error *err)
{
	bool found;
	const size_t at = place_of(set, kind, name, &found);
	int r = found ? 0 : set_grow(set, err);

	if (r < 0)
		return r;
	if (!found) {
		memmove(&set->items[at + 1], &set->items[at],
		        (set->n - at) * sizeof(*set->items));
		set->items[at] = (struct account){ .kind = kind };
		(void)snprintf(set->items[at].name, sizeof(set->items[at].name), "%s", name);
		set->n++;
	}
	*ret = &set->items[at];
	return 0;
}

int account_set_add(struct account_set *set, enum account_kind kind, const char *name,
                    struct tn_error *err)
{
	struct account *ignored;

	return set_put(set, kind, name, &ignored, err);
}

const struct account *account_set_find(const struct account_set *set, enum account_kind kind,
                                       const char *name)
{
	bool found;
	const size_t at = place_of(set, kind, name, &found);

	return found ? &set->items[at] : NULL;
}

int account_set_merge(struct account_set *set, const struct account_set *from,
                      struct tn_error *err)
{
	for (size_t i = 0; i < from->n; i++) {
		struct account *account = NULL;
		int r = set_put(set, from->items[i].kind, from->items[i].name, &account, err);

		if (r < 0)
			return r;
		*account = from->items[i];
	}
	return 0;
}
