/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy_diff_money.h"

#include <string.h>

#include <base/fd.h>

#include "billing/terms.h"

static_assert(POLICY_DIFF_CHANGES_MAX >= 2ul * POLICY_METERS_MAX &&
                      POLICY_DIFF_CHANGES_MAX >=
                              1ul + POLICY_BOOK_KEYS_N + 2ul * POLICY_PRICES_MAX,
              "room for each");
static_assert(POLICY_DIFF_KEY_BYTES_MAX >=
                      sizeof("book..prices.") + NAME_BYTES_MAX + METER_NAME_BYTES_MAX,
              "a price's key fits");
static_assert(POLICY_DIFF_WORDS_BYTES_MAX >= 48 + NAME_BYTES_MAX, "a tenant's name fits");

/* @where is NULL: it is not there, and its file is what there is to say. */
static void source_fill(const char *file, const struct policy_location *where, char *source)
{
	if (where == NULL)
		(void)snprintf(source, PLAN_SOURCE_BYTES_MAX, "%s", file);
	else if (where->line == 0)
		(void)snprintf(source, PLAN_SOURCE_BYTES_MAX, "default");
	else
		(void)snprintf(source, PLAN_SOURCE_BYTES_MAX, "%s:%u", file, where->line);
}

/* Meter @name of those that @meters declares, or NULL; of one, *ret_where is where. */
static const struct meter *custom_find(const struct policy_meters *meters, const char *name,
                                       const struct policy_location **ret_where)
{
	*ret_where = NULL;
	for (size_t i = 0; i < meters->custom_n; i++)
		if (strcmp(meters->custom[i].name, name) == 0) {
			*ret_where = &meters->where[i];
			return &meters->custom[i];
		}
	return NULL;
}

static void meter_side(const struct meter *meter, const struct policy_location *where,
                       char *text, char *source)
{
	char said[POLICY_METER_TEXT_BYTES_MAX] = "none";

	if (meter != NULL)
		policy_meter_text(meter, said);
	(void)snprintf(text, POLICY_DIFF_VALUE_BYTES_MAX, "%s", said);
	source_fill(POLICY_METERS_FILE, where, source);
}

/* Whether somebody has any of @meter, and who is the first. */
static int metered_look(const struct policy_diff_money *money, const char *meter, char *hurts,
                        struct tn_error *err)
{
	const struct store_range none = { 0, 0 };
	struct store *store = money->store;
	char place[NAME_BYTES_MAX] = "";
	int r;

	do {
		struct metered metered = { 0 };
		struct tenant_row row = { 0 };
		int64_t used;

		r = store->ops->tenant_next(store, place, &row, err);
		if (r != 1)
			return r;
		(void)snprintf(place, sizeof(place), "%s", row.name);
		r = store->ops->metered_get(store, &row.id, meter, &none, &metered, &used, err);
		tenant_row_done(&row);
		if (r == 0 && (metered.total > 0 || metered.held > 0))
			r = snprintf(hurts, POLICY_DIFF_WORDS_BYTES_MAX,
			             "applications have metered with it, such as of %s", place);
	} while (r == 0);
	return r < 0 ? r : 0;
}

/* Of one that is new nobody has anything. */
static int meters_diff(const struct policy_diff_money *money, struct policy_diff_change *ret,
                       size_t *ret_n, struct tn_error *err)
{
	const struct policy_meters *sides[] = { policy_meters(money->before),
		                                policy_meters(money->after) };
	size_t n = 0;
	int r = 0;

	for (size_t side = 0; side < ARRAY_LEN(sides); side++)
		for (size_t i = 0; r == 0 && i < sides[side]->custom_n; i++) {
			const char *name = sides[side]->custom[i].name;
			const struct policy_location *was_where, *will_where;
			const struct meter *was = custom_find(sides[0], name, &was_where);
			const struct meter *will = custom_find(sides[1], name, &will_where);
			struct policy_diff_change *change = &ret[n];

			/* What both have has been seen on the first side. */
			if (side == 1 && was != NULL)
				continue;
			meter_side(was, was_where, change->before, change->before_source);
			meter_side(will, will_where, change->after, change->after_source);
			if (strcmp(change->before, change->after) == 0)
				continue;
			(void)snprintf(change->key, sizeof(change->key), "meters.%s", name);
			r = was != NULL ? metered_look(money, name, change->hurts, err) : 0;
			n++;
		}
	*ret_n = n;
	return r;
}

/* What is rated with prices of @currency from @from until @until. */
struct rated {
	const char *currency;
	int64_t from, until;
};

/* Whether a period of @row that is over has some of @rated in it: 1, 0, or -errno. */
static int rated_by_now(const struct policy_diff_money *money, const struct rated *rated,
                        const struct tenant_row *row, struct tn_error *err)
{
	struct terms_list terms;
	int64_t until;
	int r = terms_read(money->store, &row->id, &terms, err);

	if (r < 0)
		return r;
	/* From the last terms back: each hold until the next ones. */
	until = terms_period_at(&terms, money->now).span.start;
	for (size_t i = terms.n; r == 0 && i > 0; i--) {
		const struct store_terms *item = &terms.items[i - 1];
		const int64_t begin = i > 1 ? item->since : row->created_at;

		r = strcmp(item->currency, rated->currency) == 0 &&
		    (rated->from > begin ? rated->from : begin) <
		            (rated->until < until ? rated->until : until);
		until = begin < until ? begin : until;
	}
	terms_done(&terms);
	return r;
}

/* The first tenant of whom that is so, unless there are words already. */
static int rated_look(const struct policy_diff_money *money, const struct rated *rated,
                      char *hurts, struct tn_error *err)
{
	struct store *store = money->store;
	char place[NAME_BYTES_MAX] = "";
	int r = 0;

	if (rated->from >= rated->until || rated->from >= money->now)
		return 0;
	while (r == 0 && hurts[0] == '\0') {
		struct tenant_row row = { 0 };

		r = store->ops->tenant_next(store, place, &row, err);
		if (r != 1)
			return r;
		(void)snprintf(place, sizeof(place), "%s", row.name);
		r = rated_by_now(money, rated, &row, err);
		tenant_row_done(&row);
		if (r == 1)
			(void)snprintf(hurts, POLICY_DIFF_WORDS_BYTES_MAX,
			               "bills of ended periods change, such as of %s", place);
	}
	return r < 0 ? r : 0;
}

/* A book as it was, NULL: it was not there, and as it will be. */
struct books {
	const struct policy_book *was, *will;
};

/* Whom it hurts that one of them has other prices than the other. */
static int prices_look(const struct policy_diff_money *money, const struct books *books,
                       char *hurts, struct tn_error *err)
{
	const struct policy_book *sides[] = { books->was, books->will };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(sides); i++)
		if (sides[i] != NULL)
			r = rated_look(money,
			               &(struct rated){ sides[i]->currency,
			                                sides[i]->valid_from,
			                                sides[i]->valid_until },
			               hurts, err);
	return r;
}

/* Whom it hurts that they begin or cease to hold at @a and no longer at @b: only what lies
 * between is rated otherwise. */
static int bound_look(const struct policy_diff_money *money, const struct books *books,
                      int64_t a, int64_t b, char *hurts, struct tn_error *err)
{
	struct rated rated = { books->was->currency, a < b ? a : b, a < b ? b : a };
	int r = rated_look(money, &rated, hurts, err);

	rated.currency = books->will->currency;
	return r < 0 ? r : rated_look(money, &rated, hurts, err);
}

static int change_look(const struct policy_diff_money *money, const struct books *books,
                       enum policy_book_key key, char *hurts, struct tn_error *err)
{
	if (key == POLICY_BOOK_VALID_FROM)
		return bound_look(money, books, books->was->valid_from, books->will->valid_from,
		                  hurts, err);
	if (key == POLICY_BOOK_VALID_UNTIL)
		return bound_look(money, books, books->was->valid_until,
		                  books->will->valid_until, hurts, err);
	return prices_look(money, books, hurts, err);
}

static const char *name_of(const struct books *books)
{
	return books->was != NULL ? books->was->name : books->will->name;
}

static const char *file_of(const struct books *books)
{
	return books->was != NULL ? books->was->file : books->will->file;
}

/* "EUR from 2026-01-01 until never", and where it begins to hold. */
static void book_side(const struct policy_book *book, const char *file, char *text,
                      char *source)
{
	char currency[POLICY_BOOK_TEXT_BYTES_MAX], from[POLICY_BOOK_TEXT_BYTES_MAX],
		until[POLICY_BOOK_TEXT_BYTES_MAX];

	source_fill(file, book != NULL ? &book->valid_where : NULL, source);
	if (book == NULL) {
		(void)snprintf(text, POLICY_DIFF_VALUE_BYTES_MAX, "none");
		return;
	}
	policy_book_text(book, POLICY_BOOK_CURRENCY, currency);
	policy_book_text(book, POLICY_BOOK_VALID_FROM, from);
	policy_book_text(book, POLICY_BOOK_VALID_UNTIL, until);
	(void)snprintf(text, POLICY_DIFF_VALUE_BYTES_MAX, "%s from %s until %s", currency, from,
	               until);
}

/* One of them is not there. */
static int book_diff(const struct policy_diff_money *money, const struct books *books,
                     struct policy_diff_change *change, struct tn_error *err)
{
	(void)snprintf(change->key, sizeof(change->key), "book.%s", name_of(books));
	book_side(books->was, file_of(books), change->before, change->before_source);
	book_side(books->will, file_of(books), change->after, change->after_source);
	return prices_look(money, books, change->hurts, err);
}

/* Both are there: each key that has another value. */
static int keys_diff(const struct policy_diff_money *money, const struct books *books,
                     struct policy_diff_change *ret, size_t *n, struct tn_error *err)
{
	int r = 0;

	for (int i = 0; r == 0 && i < POLICY_BOOK_KEYS_N; i++) {
		const enum policy_book_key key = (enum policy_book_key)i;
		struct policy_diff_change *change = &ret[*n];
		char was[POLICY_BOOK_TEXT_BYTES_MAX], will[POLICY_BOOK_TEXT_BYTES_MAX];

		policy_book_text(books->was, key, was);
		policy_book_text(books->will, key, will);
		if (strcmp(was, will) == 0)
			continue;
		(void)snprintf(change->key, sizeof(change->key), "book.%s.%s", name_of(books),
		               policy_book_key(key));
		(void)snprintf(change->before, sizeof(change->before), "%s", was);
		(void)snprintf(change->after, sizeof(change->after), "%s", will);
		source_fill(books->was->file, policy_book_where(books->was, key),
		            change->before_source);
		source_fill(books->will->file, policy_book_where(books->will, key),
		            change->after_source);
		r = change_look(money, books, key, change->hurts, err);
		++*n;
	}
	return r;
}

/* A price is the same however many places it is written with. */
static bool price_same(const struct policy_price *was, const struct policy_price *will)
{
	return was != NULL && will != NULL && was->price == will->price &&
	       was->per == will->per;
}

static void price_side(const struct policy_price *price, const struct policy *policy,
                       const char *file, char *text, char *source)
{
	char said[POLICY_PRICE_TEXT_BYTES_MAX] = "none";

	if (price != NULL)
		policy_price_text(price, policy_meters(policy), said);
	(void)snprintf(text, POLICY_DIFF_VALUE_BYTES_MAX, "%s", said);
	source_fill(file, price != NULL ? &price->where : NULL, source);
}

/* Each price that is another one, comes or goes. */
static size_t prices_diff(const struct policy_diff_money *money, const struct books *books,
                          struct policy_diff_change *ret)
{
	const struct policy_book *sides[] = { books->was, books->will };
	size_t n = 0;

	for (size_t side = 0; side < ARRAY_LEN(sides); side++)
		for (size_t i = 0; sides[side] != NULL && i < sides[side]->prices_n; i++) {
			const char *meter = sides[side]->prices[i].meter;
			const struct policy_price *was = NULL, *will = NULL;
			struct policy_diff_change *change = &ret[n];

			if (books->was != NULL)
				was = policy_book_price(books->was, meter);
			if (books->will != NULL)
				will = policy_book_price(books->will, meter);
			/* What both have has been seen on the first side. */
			if (price_same(was, will) || (side == 1 && was != NULL))
				continue;
			(void)snprintf(change->key, sizeof(change->key), "book.%s.prices.%s",
			               name_of(books), meter);
			price_side(was, money->before, file_of(books), change->before,
			           change->before_source);
			price_side(will, money->after, file_of(books), change->after,
			           change->after_source);
			n++;
		}
	return n;
}

static int books_diff(const struct policy_diff_money *money, const struct books *books,
                      struct policy_diff_change *ret, size_t *ret_n, struct tn_error *err)
{
	char hurts[POLICY_DIFF_WORDS_BYTES_MAX] = "";
	size_t n = 0, prices_n;
	int r;

	if (books->was != NULL && books->will != NULL)
		r = keys_diff(money, books, ret, &n, err);
	else
		r = book_diff(money, books, &ret[n++], err);
	prices_n = prices_diff(money, books, ret + n);
	if (r == 0 && prices_n > 0)
		r = prices_look(money, books, hurts, err);
	for (size_t i = n; i < n + prices_n; i++)
		memcpy(ret[i].hurts, hurts, sizeof(hurts));
	*ret_n = n + prices_n;
	return r;
}

static const struct policy_book *book_find(const struct policy *policy, const char *name)
{
	const struct policy_book *book;

	for (size_t i = 0; (book = policy_book(policy, i)) != NULL; i++)
		if (strcmp(book->name, name) == 0)
			return book;
	return NULL;
}

/* Book @i of those that either policy has, first those that there were: 1, or 0. Both are NULL
 * for one of the second that the first has, too. */
static int books_at(const struct policy_diff_money *money, size_t i, struct books *ret)
{
	size_t before_n = 0;

	while (policy_book(money->before, before_n) != NULL)
		before_n++;
	*ret = (struct books){ 0 };
	if (i < before_n) {
		ret->was = policy_book(money->before, i);
		ret->will = book_find(money->after, ret->was->name);
		return 1;
	}
	ret->will = policy_book(money->after, i - before_n);
	if (ret->will == NULL)
		return 0;
	if (book_find(money->before, ret->will->name) != NULL)
		ret->will = NULL;
	return 1;
}

int policy_diff_money(const struct policy_diff_money *money, size_t step,
                      struct policy_diff_change ret[static POLICY_DIFF_CHANGES_MAX],
                      size_t *ret_n, struct tn_error *err)
{
	struct books books;
	int r;

	memset(ret, 0, POLICY_DIFF_CHANGES_MAX * sizeof(*ret));
	*ret_n = 0;
	if (step == 0) {
		r = meters_diff(money, ret, ret_n, err);
		return r < 0 ? r : 1;
	}
	if (books_at(money, step - 1, &books) == 0)
		return 0;
	r = books.was == NULL && books.will == NULL
	            ? 0
	            : books_diff(money, &books, ret, ret_n, err);
	return r < 0 ? r : 1;
}
