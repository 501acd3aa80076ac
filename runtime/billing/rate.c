/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rate.h"

#include <assert.h>
#include <stdlib.h>

#include <base/fd.h>

#define PARTS_MAX (2 * POLICY_BOOKS_MAX + 1)
/* Places that a price has beyond the currency's unit, as a factor. */
#define PRICE_SCALE UINT64_C(1000000000000)

static_assert(POLICY_PRICE_PLACES == 12, "PRICE_SCALE has as many zeros");

/*
 * A price is below 10^27, a quantity below 2^63 and the power of ten of a currency at most
 * 10^4: their product is below 2^166. The least limb first.
 */
#define LIMBS 3

__extension__ typedef unsigned __int128 wide;

static void limbs_multiply(uint64_t limbs[static LIMBS], uint64_t factor)
{
	uint64_t carry = 0;

	for (size_t i = 0; i < LIMBS; i++) {
		const wide product = (wide)limbs[i] * factor + carry;

		limbs[i] = (uint64_t)product;
		carry = (uint64_t)(product >> 64);
	}
	assert(carry == 0);
}

/* Returns the remainder. */
static uint64_t limbs_divide(uint64_t limbs[static LIMBS], uint64_t divisor)
{
	uint64_t rest = 0;

	for (size_t i = LIMBS; i-- > 0;) {
		const wide part = (wide)rest << 64 | limbs[i];

		limbs[i] = (uint64_t)(part / divisor);
		rest = (uint64_t)(part % divisor);
	}
	return rest;
}

static bool limbs_fit(const uint64_t limbs[static LIMBS])
{
	for (size_t i = 1; i < LIMBS; i++)
		if (limbs[i] != 0)
			return false;
	return limbs[0] <= INT64_MAX;
}

int rate_amount(const struct policy_price *price, int exponent, int64_t quantity, int64_t *ret)
{
	const uint64_t per = (uint64_t)price->per;
	const wide whole = (wide)price->price;
	uint64_t limbs[LIMBS] = { (uint64_t)whole, (uint64_t)(whole >> 64) };
	uint64_t below_scale;
	wide rest;

	assert(price->price >= 0 && price->per > 0 && quantity >= 0);
	limbs_multiply(limbs, (uint64_t)quantity);
	for (int i = 0; i < exponent; i++)
		limbs_multiply(limbs, 10);
	/* By both in turn is by their product; what is left of either is the rest of that. */
	below_scale = limbs_divide(limbs, PRICE_SCALE);
	rest = (wide)limbs_divide(limbs, per) * PRICE_SCALE + below_scale;
	if (!limbs_fit(limbs))
		return -EOVERFLOW;
	/* Nothing here is negative: away from zero is up. */
	if (2 * rest >= (wide)per * PRICE_SCALE)
		limbs[0]++;
	if (!limbs_fit(limbs))
		return -EOVERFLOW;
	*ret = (int64_t)limbs[0];
	return 0;
}

/* What of the period one book holds for, or none. */
struct part {
	int64_t start, end;
	const struct policy_book *book;
};

struct rating {
	const struct rate_question *question;
	struct part parts[PARTS_MAX];
	size_t parts_n;
	struct rate_lines lines;
	size_t lines_size;
};

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The book of @question that is the next to hold at or after @at, or NULL. */
static const struct policy_book *book_next(const struct rate_question *question, int64_t at)
{
	const struct policy_book *next = NULL;

	for (size_t i = 0; i < question->books_n; i++) {
		const struct policy_book *book = question->books[i];

		if (book->valid_until > at && book->valid_from < question->end &&
		    (next == NULL || book->valid_from < next->valid_from))
			next = book;
	}
	return next;
}

static void part_add(struct rating *rating, int64_t start, int64_t end,
                     const struct policy_book *book)
{
	if (start < end)
		rating->parts[rating->parts_n++] = (struct part){ start, end, book };
}

static void parts_make(struct rating *rating)
{
	const struct rate_question *question = rating->question;
	const struct policy_book *book;
	int64_t at = question->start;

	assert(question->books_n <= POLICY_BOOKS_MAX);
	while (at < question->end && (book = book_next(question, at)) != NULL) {
		const int64_t from = later(book->valid_from, at);
		const int64_t until = earlier(book->valid_until, question->end);

		part_add(rating, at, from, NULL);
		part_add(rating, from, until, book);
		at = until;
	}
	part_add(rating, at, question->end, NULL);
}

static const struct part *part_of(const struct rating *rating, int64_t at)
{
	for (size_t i = 0; i < rating->parts_n; i++)
		if (at >= rating->parts[i].start && at < rating->parts[i].end)
			return &rating->parts[i];
	return NULL;
}

static const struct policy_price *price_find(const struct policy_book *book, const char *meter)
{
	for (size_t i = 0; book != NULL && i < book->prices_n; i++)
		if (strcmp(book->prices[i].meter, meter) == 0)
			return &book->prices[i];
	return NULL;
}

/* The line of @meter in @part, a new one if there is none yet. NULL: no memory. */
static struct rate_line *line_of(struct rating *rating, const struct part *part,
                                 const char *meter)
{
	struct rate_lines *lines = &rating->lines;
	struct rate_line *line;

	for (size_t i = 0; i < lines->n; i++)
		if (lines->items[i].start == part->start &&
		    strcmp(lines->items[i].meter, meter) == 0)
			return &lines->items[i];
	if (lines->n == rating->lines_size) {
		const size_t size = rating->lines_size == 0 ? 16 : 2 * rating->lines_size;
		struct rate_line *items = reallocarray(lines->items, size, sizeof(*items));

		if (items == NULL)
			return NULL;
		lines->items = items;
		rating->lines_size = size;
	}
	line = &lines->items[lines->n++];
	*line = (struct rate_line){ .start = part->start,
		                    .end = part->end,
		                    .book = part->book,
		                    .price = price_find(part->book, meter) };
	(void)snprintf(line->meter, sizeof(line->meter), "%s", meter);
	return line;
}

static int row_add(struct rating *rating, const struct rate_row *row, struct tn_error *err)
{
	const struct part *part = part_of(rating, row->at);
	struct rate_line *line;

	if (part == NULL || row->quantity == 0)
		return 0;
	line = line_of(rating, part, row->meter);
	if (line == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "rate %s", row->meter);
	if (__builtin_add_overflow(line->quantity, row->quantity, &line->quantity))
		return err_set(err, TN_SYSTEM, EOVERFLOW,
		               "more than 2^63 - 1 of %s was used in the period", row->meter);
	return 0;
}

/* What has a price comes first. */
static int line_compare(const void *left, const void *right)
{
	const struct rate_line *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if ((a->price == NULL) != (b->price == NULL))
		return a->price == NULL ? 1 : -1;
	if (a->price == NULL)
		return strcmp(a->meter, b->meter);
	return (a->price > b->price) - (a->price < b->price);
}

static int line_price(struct rate_line *line, struct tn_error *err)
{
	const struct policy_price *price = line->price;

	if (price == NULL ||
	    rate_amount(price, line->book->exponent, line->quantity, &line->amount) == 0)
		return 0;
	return err_set(err, TN_SYSTEM, EOVERFLOW,
	               "%s:%u:%u: %lld of %s cost more than 2^63 - 1 minor units of %s; "
	               "expected a lower price",
	               line->book->file, price->where.line, price->where.column,
	               (long long)line->quantity, line->meter, line->book->currency);
}

static int lines_price(struct rate_lines *lines, struct tn_error *err)
{
	for (size_t i = 0; i < lines->n; i++) {
		int r = line_price(&lines->items[i], err);

		if (r < 0)
			return r;
		if (__builtin_add_overflow(lines->subtotal, lines->items[i].amount,
		                           &lines->subtotal))
			return err_set(err, TN_SYSTEM, EOVERFLOW,
			               "the subtotal is beyond 2^63 - 1 minor units");
	}
	return 0;
}

int rate(const struct rate_question *question, struct rate_lines *ret, struct tn_error *err)
{
	struct rating rating = { .question = question };
	int r = 0;

	parts_make(&rating);
	for (size_t i = 0; r == 0 && i < question->rows_n; i++)
		r = row_add(&rating, &question->rows[i], err);
	if (r == 0 && rating.lines.n > 0)
		qsort(rating.lines.items, rating.lines.n, sizeof(*rating.lines.items),
		      line_compare);
	if (r == 0)
		r = lines_price(&rating.lines, err);
	if (r < 0)
		rate_lines_done(&rating.lines);
	else
		*ret = rating.lines;
	return r;
}

void rate_lines_done(struct rate_lines *lines)
{
	free(lines->items);
	*lines = (struct rate_lines){ 0 };
}
