/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Price books (prices/NAME.yaml): what a meter's amounts cost, in one currency and for a time.
 * Of each currency at most one holds at any time. No binary floating point is near money.
 */
#ifndef POLICY_PRICES_H
#define POLICY_PRICES_H

#include <stddef.h>
#include <stdint.h>

#include <base/err.h>
#include <base/meter.h>
#include <base/name.h>

#include "location.h"
#include "meters.h"
#include "quotas.h"

#define POLICY_BOOKS_MAX          32
#define POLICY_PRICES_MAX         64
#define POLICY_PRICE_PLACES       12
#define POLICY_PRICE_BYTES_MAX    40
#define POLICY_CURRENCY_BYTES_MAX 4 /* with the NUL */

/* Products with money and quotas exceed 64 bits. */
__extension__ typedef __int128 policy_int128;

struct policy_price {
	char meter[METER_NAME_BYTES_MAX];
	policy_int128 price; /* units of the currency x 10^-12, below 10^27 */
	int64_t per;         /* base units of the meter that it is for, from 1 on */
	char text[POLICY_PRICE_BYTES_MAX]; /* the price as written */
	struct policy_location where;
};

struct policy_book {
	char name[NAME_BYTES_MAX];
	char file[POLICY_FILE_BYTES_MAX]; /* "prices/standard-2026.yaml" */
	char currency[POLICY_CURRENCY_BYTES_MAX];
	int exponent; /* of the currency's minor unit: 2 for EUR, 0 for JPY, 3 for KWD */
	/* Microseconds since the epoch, [from, until); INT64_MAX: open. */
	int64_t valid_from, valid_until;
	struct policy_location valid_where; /* of valid_from */
	struct policy_location until_where; /* of valid_until; line 0: open */
	struct policy_location currency_where;
	struct policy_price prices[POLICY_PRICES_MAX]; /* in the order of the file */
	size_t prices_n;
};

/* Parse and check a book's content; @file names it in messages, and the book. */
int policy_book_parse(const char *file, const char *text, size_t n,
                      const struct policy_meters *meters, struct policy_book *ret,
                      struct tn_error *err);

/* The keys of a book that have one value each, beside its name. */
enum policy_book_key {
	POLICY_BOOK_CURRENCY,
	POLICY_BOOK_VALID_FROM,
	POLICY_BOOK_VALID_UNTIL,
	POLICY_BOOK_KEYS_N,
};

#define POLICY_BOOK_TEXT_BYTES_MAX  16
#define POLICY_PRICE_TEXT_BYTES_MAX (POLICY_PRICE_BYTES_MAX + 8 + POLICY_AMOUNT_BYTES_MAX)

/* "valid_from"; its value as the file writes it, "never" for what is open; where it stands. */
const char *policy_book_key(enum policy_book_key key);
void policy_book_text(const struct policy_book *book, enum policy_book_key key,
                      char ret[static POLICY_BOOK_TEXT_BYTES_MAX]);
const struct policy_location *policy_book_where(const struct policy_book *book,
                                                enum policy_book_key key);

/* What @book has for @meter, or NULL. */
const struct policy_price *policy_book_price(const struct policy_book *book, const char *meter);

/* "0.36 per 1h", with the amount in the unit that the meter has in @meters. */
void policy_price_text(const struct policy_price *price, const struct policy_meters *meters,
                       char ret[static POLICY_PRICE_TEXT_BYTES_MAX]);

/* How many decimal places the minor unit of @currency has, or -EINVAL: ISO 4217 has none such.
 */
int policy_currency_exponent(const char *currency);

#endif
