/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a price book says, for people: one value after the other, and where it stands. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <base/fd.h>

#include "dates.h"
#include "prices.h"

static_assert(POLICY_BOOK_TEXT_BYTES_MAX >= DATES_BYTES_MAX &&
                      POLICY_BOOK_TEXT_BYTES_MAX >= POLICY_CURRENCY_BYTES_MAX,
              "each value fits");

static void currency_text(const struct policy_book *book, char *ret)
{
	memcpy(ret, book->currency, sizeof(book->currency));
}

static void valid_from_text(const struct policy_book *book, char *ret)
{
	dates_format(book->valid_from, ret);
}

static void valid_until_text(const struct policy_book *book, char *ret)
{
	if (book->valid_until == INT64_MAX)
		memcpy(ret, "never", sizeof("never"));
	else
		dates_format(book->valid_until, ret);
}

/* By enum policy_book_key. */
static const struct {
	const char *key;
	size_t where; /* its place in struct policy_book */
	void (*text)(const struct policy_book *book, char *ret);
} rows[] = {
	[POLICY_BOOK_CURRENCY] = { "currency", offsetof(struct policy_book, currency_where),
	                           currency_text },
	[POLICY_BOOK_VALID_FROM] = { "valid_from", offsetof(struct policy_book, valid_where),
	                             valid_from_text },
	[POLICY_BOOK_VALID_UNTIL] = { "valid_until", offsetof(struct policy_book, until_where),
	                              valid_until_text },
};

static_assert(ARRAY_LEN(rows) == POLICY_BOOK_KEYS_N, "a row for each key");

const char *policy_book_key(enum policy_book_key key)
{
	return rows[key].key;
}

void policy_book_text(const struct policy_book *book, enum policy_book_key key,
                      char ret[static POLICY_BOOK_TEXT_BYTES_MAX])
{
	rows[key].text(book, ret);
}

const struct policy_location *policy_book_where(const struct policy_book *book,
                                                enum policy_book_key key)
{
	return (const struct policy_location *)(const void *)((const char *)book +
	                                                      rows[key].where);
}

const struct policy_price *policy_book_price(const struct policy_book *book, const char *meter)
{
	for (size_t i = 0; i < book->prices_n; i++)
		if (strcmp(book->prices[i].meter, meter) == 0)
			return &book->prices[i];
	return NULL;
}

void policy_price_text(const struct policy_price *price, const struct policy_meters *meters,
                       char ret[static POLICY_PRICE_TEXT_BYTES_MAX])
{
	const struct meter *meter = policy_meter(meters, price->meter);
	char per[POLICY_AMOUNT_BYTES_MAX];

	policy_amount_format(meter != NULL ? meter->unit : METER_UNIT_COUNT, price->per, per,
	                     sizeof(per));
	(void)snprintf(ret, POLICY_PRICE_TEXT_BYTES_MAX, "%s per %s", price->text, per);
}
