/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quota_account.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

static int account_compare(const void *a, const void *b)
{
	const struct quota_account *left = a;
	const struct quota_account *right = b;
	int r = memcmp(&left->tenant, &right->tenant, sizeof(left->tenant));

	return r != 0 ? r : strcmp(left->meter, right->meter);
}

static void account_free(void *p)
{
	struct quota_account *account = p;

	if (account != NULL)
		free(account->reservations);
	free(account);
}

void quota_accounts_done(struct quota_accounts *accounts)
{
	tdestroy(accounts->tree, account_free);
	accounts->tree = NULL;
}

static struct quota_account *account_find(const struct quota_accounts *accounts,
                                          const struct id *tenant, const char *meter)
{
	struct quota_account key = { .tenant = *tenant };
	struct quota_account *const *found;

	(void)snprintf(key.meter, sizeof(key.meter), "%s", meter);
	/* A node of tsearch(3) begins with a pointer to the element. */
	found = tfind(&key, &accounts->tree, account_compare);
	return found != NULL ? *found : NULL;
}

struct search {
	const struct id *tenant;
	struct quota_account *found;
};

static void search_visit(const void *node, VISIT visit, void *closure)
{
	struct quota_account *account = *(struct quota_account *const *)node;
	struct search *search = closure;

	if ((visit == postorder || visit == leaf) && search->found == NULL &&
	    id_equal(&account->tenant, search->tenant) && account->metered.held > 0)
		search->found = account;
}

void quota_accounts_forget_held(struct quota_accounts *accounts, const struct id *tenant)
{
	struct search search = { .tenant = tenant };

	do {
		search.found = NULL;
		twalk_r(accounts->tree, search_visit, &search);
		if (search.found != NULL) {
			(void)tdelete(search.found, &accounts->tree, account_compare);
			account_free(search.found);
		}
	} while (search.found != NULL);
}

static bool is_of(const struct quota_account *account, const struct quota_rule *rule)
{
	return account->span.start == rule->span.start && account->span.end == rule->span.end;
}

bool quota_account_is_old(const struct quota_accounts *accounts, const struct id *tenant,
                          const struct quota_rule *rule)
{
	const struct quota_account *account = account_find(accounts, tenant, rule->meter.name);

	return account != NULL && !is_of(account, rule);
}

int quota_account_reserve(struct quota_account *account, const struct reservation *reservation,
                          struct tn_error *err)
{
	const size_t size = account->reservations_size;

	if (account->reservations_n == QUOTA_RESERVATIONS_MAX)
		return err_set(err, TN_STATE, ENOBUFS, "there are %d reservations of %s",
		               QUOTA_RESERVATIONS_MAX, account->meter);
	if (account->reservations_n == size) {
		struct reservation *grown = reallocarray(
			account->reservations, size == 0 ? 4 : 2 * size, sizeof(*grown));

		if (grown == NULL)
			return err_errno(err, "keep a reservation");
		account->reservations = grown;
		account->reservations_size = size == 0 ? 4 : 2 * size;
	}
	account->reservations[account->reservations_n++] = *reservation;
	account->reserved += reservation->amount;
	return 0;
}

struct reservation *quota_account_reservation(const struct quota_account *account,
                                              const struct id *id)
{
	for (size_t i = 0; i < account->reservations_n; i++)
		if (id_equal(&account->reservations[i].id, id))
			return &account->reservations[i];
	return NULL;
}

void quota_account_unreserve(struct quota_account *account, struct reservation *reservation)
{
	account->reserved -= reservation->amount;
	*reservation = account->reservations[--account->reservations_n];
}

static int account_read(struct quota_account *account, struct store *store,
                        const struct quota_rule *rule, struct tn_error *err)
{
	struct reservation reservation;
	const struct id *after = NULL;
	struct id last;
	const struct store_range range = { rule->span.start, INT64_MAX };
	int r = store->ops->metered_get(store, &account->tenant, account->meter, &range,
	                                &account->metered, &account->used, err);

	if (r < 0)
		return r;
	if (rule->meter.kind == METER_GAUGE)
		account->used = account->metered.held;
	account->span = rule->span;
	while ((r = store->ops->reservation_next(store, &account->tenant, account->meter, after,
	                                         &reservation, err)) == 1) {
		r = quota_account_reserve(account, &reservation, err);
		if (r < 0)
			return r;
		last = reservation.id;
		after = &last;
	}
	return r;
}

int quota_account_get(struct quota_accounts *accounts, struct store *store,
                      const struct id *tenant, const struct quota_rule *rule,
                      struct quota_account **ret, struct tn_error *err)
{
	struct quota_account *account = account_find(accounts, tenant, rule->meter.name);
	int r;

	if (account != NULL && is_of(account, rule)) {
		*ret = account;
		return 0;
	}
	if (account != NULL) {
		(void)tdelete(account, &accounts->tree, account_compare);
		account_free(account);
	}
	account = calloc(1, sizeof(*account));
	if (account == NULL)
		return err_errno(err, "keep what is used of %s", rule->meter.name);
	account->tenant = *tenant;
	memcpy(account->meter, rule->meter.name, sizeof(account->meter));
	r = account_read(account, store, rule, err);
	if (r == 0 && tsearch(account, &accounts->tree, account_compare) == NULL)
		r = err_set(err, TN_SYSTEM, ENOMEM, "keep what is used of %s",
		            rule->meter.name);
	if (r < 0) {
		account_free(account);
		return r;
	}
	*ret = account;
	return 0;
}
