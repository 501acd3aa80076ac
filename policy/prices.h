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
	struct policy_location valid_where;            /* of valid_from */
	struct policy_price prices[POLICY_PRICES_MAX]; /* in the order of the file */
	size_t prices_n;
};

/* Parse and check a book's content; @file names it in messages, and the book. */
int policy_book_parse(const char *file, const char *text, size_t n,
                      const struct policy_meters *meters, struct policy_book *ret,
                      struct tn_error *err);

/* How many decimal places the minor unit of @currency has, or -EINVAL: ISO 4217 has none such.
 */
int policy_currency_exponent(const char *currency);

#endif
