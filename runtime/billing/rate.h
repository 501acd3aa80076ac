/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rating: from rows of the ledger and price books to the lines of a bill. Pure: no store, no
 * clock, nothing that is looked up elsewhere, so that the same rows and books make the same
 * lines whenever they are asked for, and what a bill becomes later can stand on it.
 *
 * A period is cut where another book begins to hold, or none does; each part has lines of its
 * own. A line is all that was used of one meter in one part, multiplied by its price and
 * rounded once, half away from zero, to the minor unit of the currency. What was used and has
 * no price is a line as well, without an amount: nothing is dropped. A price of what was not
 * used makes no line, so that a price more in a book changes no bill that does not use it.
 *
 * Products are formed in 192 bits; what does not fit into the 63 of an amount is an error.
 */
#ifndef RUNTIME_BILLING_RATE_H
#define RUNTIME_BILLING_RATE_H

#include <stddef.h>
#include <stdint.h>

#include <base/err.h>
#include <base/meter.h>
#include <policy/prices.h>

/* What was used of a meter from @at on, within the hour of UTC that this lies in. */
struct rate_row {
	char meter[METER_NAME_BYTES_MAX];
	int64_t at; /* microseconds since the epoch */
	int64_t quantity;
};

struct rate_question {
	int64_t start, end; /* of the period; a row belongs to the one in which it begins */
	/* Of one currency, no two at once, at most POLICY_BOOKS_MAX; in any order. */
	const struct policy_book *const *books;
	size_t books_n;
	const struct rate_row *rows; /* in any order; those of other times do not count */
	size_t rows_n;
};

struct rate_line {
	char meter[METER_NAME_BYTES_MAX];
	int64_t start, end;               /* of the part */
	int64_t quantity;                 /* more than 0 */
	const struct policy_book *book;   /* that holds in it, or NULL; of the question */
	const struct policy_price *price; /* in that, or NULL: there is none */
	int64_t amount;                   /* in minor units; 0 without a price */
};

/* Part by part; in one first what has a price, as the book has them, then the rest by name. */
struct rate_lines {
	struct rate_line *items;
	size_t n;
	int64_t subtotal;
};

/*
 * Rate the question. *ret is for rate_lines_done(), and has what is in the question only by
 * pointer. TN_SYSTEM (EOVERFLOW) if a quantity, an amount or the subtotal is beyond 2^63 - 1.
 */
int rate(const struct rate_question *question, struct rate_lines *ret, struct tn_error *err);

/* Accepts a zeroed one. */
void rate_lines_done(struct rate_lines *lines);

/* What @quantity costs in minor units with @exponent places. 0, or -EOVERFLOW. */
int rate_amount(const struct policy_price *price, int exponent, int64_t quantity, int64_t *ret);

#endif
