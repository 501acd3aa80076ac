/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rating, beside what was worked out by hand; each sum stands where it is expected. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <base/fd.h>

#include "billing/rate.h"

TestSuite(rate, .timeout = 60);

#define HOUR ((int64_t)3600000000)
#define DAY  (24 * HOUR)
/* 2026-11-01, -16 and 2026-12-01 in UTC. */
#define START  INT64_C(1793491200000000)
#define MIDDLE (START + 15 * DAY)
#define END    (START + 30 * DAY)

static struct policy_book books[POLICY_BOOKS_MAX];
static const struct policy_book *held[POLICY_BOOKS_MAX];
static size_t books_n;
static struct tn_error err;

static struct policy_book *book_of(const char *text)
{
	struct policy_book *book = &books[books_n];

	cr_assert_eq(policy_book_parse("prices/b.yaml", text, strlen(text), NULL, book, &err),
	             0, "%s", err.msg);
	held[books_n++] = book;
	return book;
}

#define EUR(from, prices) "book: b\ncurrency: EUR\nvalid_from: " from "\nprices: {" prices "}\n"
#define CPU_OLD           "cpu_time: {price: \"0.036\", per: 1h}"
#define CPU_NEW           "cpu_time: {price: \"0.072\", per: 1h}"

static int rate_rows(const struct rate_row *rows, size_t n, struct rate_lines *ret)
{
	const struct rate_question question = { START, END, held, books_n, rows, n };

	return rate(&question, ret, &err);
}

/* What the quantity costs at "price" in this currency, -1 if it is too much. */
static int64_t costs(const char *currency, const char *price, int64_t per, int64_t quantity)
{
	char text[160];
	struct policy_book *book;
	int64_t amount;

	(void)snprintf(text, sizeof(text),
	               "book: b\ncurrency: %s\nvalid_from: 2026-01-01\nprices: "
	               "{tokens: {price: \"%s\"}}\n",
	               currency, price);
	books_n = 0;
	book = book_of(text);
	book->prices[0].per = per;
	return rate_amount(&book->prices[0], book->exponent, quantity, &amount) == 0 ? amount
	                                                                             : -1;
}

Test(rate, rounds_half_away_from_zero_once)
{
	/* 0.40 EUR per million: a cent per 25000. */
	cr_expect_eq(costs("EUR", "0.40", 1000000, 25000), 1);
	/* 12500 are half a cent, 12499 are 0.49996; 37500 are 1.5, 37499 are 1.49996. */
	cr_expect_eq(costs("EUR", "0.40", 1000000, 12500), 1);
	cr_expect_eq(costs("EUR", "0.40", 1000000, 12499), 0);
	cr_expect_eq(costs("EUR", "0.40", 1000000, 37500), 2);
	cr_expect_eq(costs("EUR", "0.40", 1000000, 37499), 1);
	/* 0.036 an hour: 5 x 10^12 us are 1388.8... h, and 50.00 exactly. */
	cr_expect_eq(costs("EUR", "0.036", HOUR, 5000000000000), 5000);
	/* Half a cent is 0.005 / 0.036 h = 500 s. */
	cr_expect_eq(costs("EUR", "0.036", HOUR, 500000000), 1);
	cr_expect_eq(costs("EUR", "0.036", HOUR, 499999999), 0);
	/* A price of nothing, and nothing of a price. */
	cr_expect_eq(costs("EUR", "0", 1, INT64_MAX), 0);
	cr_expect_eq(costs("EUR", "999999999999999", 1, 0), 0);
}

Test(rate, knows_the_places_of_a_currency)
{
	/* Yen have none: 1, 2 and 3 at 0.5 are 0.5, 1 and 1.5. */
	cr_expect_eq(costs("JPY", "0.5", 1, 1), 1);
	cr_expect_eq(costs("JPY", "0.5", 1, 2), 1);
	cr_expect_eq(costs("JPY", "0.5", 1, 3), 2);
	cr_expect_eq(costs("JPY", "0.499999999999", 1, 1), 0);
	/* Dinars of Kuwait have three: 1.5 fils, and a bit less than half of one. */
	cr_expect_eq(costs("KWD", "0.0015", 1, 1), 2);
	cr_expect_eq(costs("KWD", "0.000499999999", 1, 1), 0);
	cr_expect_eq(costs("KWD", "1.234", 1, 1000), 1234000);
	/* Unidades de fomento have four. */
	cr_expect_eq(costs("CLF", "0.00005", 1, 1), 1);
	cr_expect_eq(costs("CLF", "0.00005", 1, 3), 2);
}

Test(rate, takes_the_largest_of_all_exactly_and_refuses_more)
{
	/* A cent each: as many cents. */
	cr_expect_eq(costs("EUR", "0.01", 1, INT64_MAX), INT64_MAX);
	cr_expect_eq(costs("EUR", "0.010000000001", 1, INT64_MAX), -1);
	cr_expect_eq(costs("EUR", "0.02", 1, INT64_MAX), -1);
	/* 9223372036854775807 x 10^-12 EUR are 922337203.6854775807 cents. */
	cr_expect_eq(costs("EUR", "0.000000000001", 1, INT64_MAX), 922337204);
	/* Price, quantity and divisor as great as can be: 10^15 EUR less 10^-10 cents. */
	cr_expect_eq(costs("EUR", "999999999999999.999999999999", INT64_MAX, INT64_MAX),
	             INT64_C(100000000000000000));
	cr_expect_eq(costs("CLF", "999999999999999.999999999999", INT64_MAX, INT64_MAX), -1);
	cr_expect_eq(costs("EUR", "999999999999999.999999999999", 1, INT64_MAX), -1);
	/* (2^64 - 1) / 3 x 1.5 is 2^63 - 1/2, which would be 2^63; one less is 2^63 - 2. */
	cr_expect_eq(costs("JPY", "1.5", 1, INT64_C(6148914691236517205)), -1);
	cr_expect_eq(costs("JPY", "1.5", 1, INT64_C(6148914691236517204)), INT64_MAX - 1);
}

/* The same each time: a failure can be looked at. */
static uint64_t random_next(void)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Up to so many bits, each length as often. */
static int64_t random_bits(unsigned int bits_max)
{
	return (int64_t)(random_next() >> (64 - (1 + random_next() % bits_max)));
}

Test(rate, is_never_wrong_by_more_than_half_a_minor_unit)
{
	__extension__ typedef __int128 wide;
	const wide scale = INT64_C(1000000000000);
	int fitting = 0;

	for (int i = 0; i < 100000; i++) {
		const struct policy_price price = { .price = random_bits(50),
			                            .per = 1 + random_bits(30) };
		const int64_t quantity = random_bits(50);
		const int exponent = (int)(random_next() % 3);
		/* Below 2^50 x 2^50 x 10^2, and 2^31 x 2^40: all fits here. */
		wide exact = price.price * quantity, unit = price.per * scale, off;
		int64_t amount, more;
		bool too_much;
		int r;

		for (int place = 0; place < exponent; place++)
			exact *= 10;
		r = rate_amount(&price, exponent, quantity, &amount);
		too_much = (2 * exact + unit) / (2 * unit) > INT64_MAX;
		cr_assert_eq(r, too_much ? -EOVERFLOW : 0, "%d", i);
		if (r < 0)
			continue;
		fitting++;
		off = 2 * (amount * unit - exact);
		cr_assert(off <= unit && off > -unit, "%d", i);
		/* More never costs less. */
		if (rate_amount(&price, exponent, quantity + 1, &more) == 0)
			cr_assert_geq(more, amount);
	}
	cr_assert_gt(fitting, 50000);
}

Test(rate, adds_up_hours_before_it_rounds)
{
	const struct rate_row rows[] = {
		{ "cpu_time", START, 250000000 },
		{ "cpu_time", START + HOUR, 250000000 },
		/* Before the period, and after it. */
		{ "cpu_time", START - 1, 7 },
		{ "cpu_time", END, 7 },
		{ "cpu_time", END - 1, 1 },
	};
	struct rate_lines lines;

	(void)book_of(EUR("2026-01-01", CPU_OLD));
	cr_assert_eq(rate_rows(rows, ARRAY_LEN(rows), &lines), 0, "%s", err.msg);
	cr_assert_eq(lines.n, 1u);
	cr_expect_eq(lines.items[0].quantity, 500000001);
	/* 500 s are half a cent; twice 250 s rounded would be nothing. */
	cr_expect_eq(lines.items[0].amount, 1);
	cr_expect_eq(lines.subtotal, 1);
	cr_expect_eq(lines.items[0].start, START);
	cr_expect_eq(lines.items[0].end, END);
	rate_lines_done(&lines);
}

Test(rate, lists_what_has_no_price_and_not_what_was_not_used)
{
	const struct rate_row rows[] = {
		{ "tokens", START, 3 },     { "zebras", START, 1 },    { "io_ops", START, 2 },
		{ "executions", START, 4 }, { "api_calls", START, 0 },
	};
	struct rate_lines lines;

	(void)book_of(EUR("2026-01-01", CPU_OLD ", executions: {price: \"0.02\"}, "
	                                        "api_calls: {price: \"1\"}, "
	                                        "tokens: {price: \"0.01\"}"));
	cr_assert_eq(rate_rows(rows, ARRAY_LEN(rows), &lines), 0, "%s", err.msg);
	cr_assert_eq(lines.n, 4u);
	/* In the order of the book, then by name. */
	cr_expect_str_eq(lines.items[0].meter, "executions");
	cr_expect_eq(lines.items[0].amount, 8);
	cr_expect_str_eq(lines.items[1].meter, "tokens");
	cr_expect_eq(lines.items[1].amount, 3);
	cr_expect_str_eq(lines.items[2].meter, "io_ops");
	cr_expect_null(lines.items[2].price);
	cr_expect_not_null(lines.items[2].book);
	cr_expect_str_eq(lines.items[3].meter, "zebras");
	cr_expect_eq(lines.subtotal, 11);
	rate_lines_done(&lines);
}

Test(rate, gives_each_book_of_a_period_its_part)
{
	const struct rate_row rows[] = {
		{ "cpu_time", MIDDLE, 2 * HOUR },
		{ "cpu_time", START + 10 * DAY, 100 * HOUR },
		{ "cpu_time", MIDDLE - HOUR, HOUR },
		{ "cpu_time", START, 5 * HOUR },
	};
	struct rate_lines lines;

	/* The later one first, since order is nothing; and before the earlier one there is
	 * none. */
	(void)book_of(EUR("2026-11-16", CPU_NEW));
	book_of(EUR("2026-11-06", CPU_OLD))->valid_until = MIDDLE;
	cr_assert_eq(rate_rows(rows, ARRAY_LEN(rows), &lines), 0, "%s", err.msg);
	cr_assert_eq(lines.n, 3u);
	cr_expect_null(lines.items[0].book);
	cr_expect_null(lines.items[0].price);
	cr_expect_eq(lines.items[0].quantity, 5 * HOUR);
	cr_expect_eq(lines.items[0].start, START);
	cr_expect_eq(lines.items[0].end, START + 5 * DAY);
	/* 101 h at 0.036 are 3.636. */
	cr_expect_eq(lines.items[1].book, held[1]);
	cr_expect_eq(lines.items[1].quantity, 101 * HOUR);
	cr_expect_eq(lines.items[1].amount, 364);
	cr_expect_eq(lines.items[1].end, MIDDLE);
	/* 2 h at 0.072 are 0.144. */
	cr_expect_eq(lines.items[2].book, held[0]);
	cr_expect_eq(lines.items[2].amount, 14);
	cr_expect_eq(lines.items[2].start, MIDDLE);
	cr_expect_eq(lines.items[2].end, END);
	cr_expect_eq(lines.subtotal, 378);
	rate_lines_done(&lines);
}

/* As many as there can be, a day each: of each day a line, at the price of the day. */
Test(rate, has_room_for_a_book_a_day)
{
	struct rate_row rows[30];
	struct rate_lines lines;
	int64_t subtotal = 0;

	for (int i = 0; i < POLICY_BOOKS_MAX; i++) {
		char text[160];
		struct policy_book *book;

		(void)snprintf(text, sizeof(text),
		               EUR("2026-01-01", "tokens: {price: \"0.%02d\"}"), i + 1);
		book = book_of(text);
		book->valid_from = START + (i - 1) * DAY;
		book->valid_until = book->valid_from + DAY;
	}
	for (int i = 0; i < 30; i++) {
		rows[i] = (struct rate_row){ "tokens", START + (29 - i) * DAY + 23 * HOUR, 1 };
		/* Of the first day is the second book's price. */
		subtotal += i + 2;
	}
	cr_assert_eq(rate_rows(rows, ARRAY_LEN(rows), &lines), 0, "%s", err.msg);
	cr_assert_eq(lines.n, 30u);
	for (size_t i = 0; i < lines.n; i++) {
		cr_expect_eq(lines.items[i].start, START + (int64_t)i * DAY);
		cr_expect_eq(lines.items[i].amount, (int64_t)i + 2);
	}
	cr_expect_eq(lines.subtotal, subtotal);
	rate_lines_done(&lines);
}

static void shuffle(struct rate_row *rows, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		const size_t other = (size_t)(random_next() % i);
		const struct rate_row row = rows[i - 1];

		rows[i - 1] = rows[other];
		rows[other] = row;
	}
}

#define ROWS_N 600

Test(rate, loses_nothing_and_does_not_depend_on_the_order_of_rows)
{
	static const char *const meters[] = { "cpu_time", "tokens", "io_ops", "pages" };
	static struct rate_row rows[ROWS_N];
	struct rate_lines first, again;

	(void)book_of(EUR("2026-11-16", CPU_NEW ", tokens: {price: \"0.007\"}"));
	book_of(EUR("2026-01-01", CPU_OLD))->valid_until = MIDDLE;
	for (int round = 0; round < 50; round++) {
		int64_t used[ARRAY_LEN(meters)] = { 0 }, amounts = 0;

		for (size_t i = 0; i < ROWS_N; i++) {
			const size_t meter = (size_t)(random_next() % ARRAY_LEN(meters));

			rows[i] = (struct rate_row){
				.at = START + (int64_t)(random_next() % 720) * HOUR,
				.quantity = random_bits(40)
			};
			(void)strcpy(rows[i].meter, meters[meter]);
			used[meter] += rows[i].quantity;
		}
		cr_assert_eq(rate_rows(rows, ROWS_N, &first), 0, "%s", err.msg);
		shuffle(rows, ROWS_N);
		cr_assert_eq(rate_rows(rows, ROWS_N, &again), 0, "%s", err.msg);
		cr_assert_eq(first.n, again.n);
		cr_assert_eq(first.subtotal, again.subtotal);
		for (size_t i = 0; i < first.n; i++) {
			const struct rate_line *line = &first.items[i];

			cr_assert_str_eq(line->meter, again.items[i].meter);
			cr_assert_eq(line->quantity, again.items[i].quantity);
			cr_assert_eq(line->amount, again.items[i].amount);
			cr_assert_eq(line->start, again.items[i].start);
			amounts += line->amount;
			for (size_t meter = 0; meter < ARRAY_LEN(meters); meter++)
				if (strcmp(line->meter, meters[meter]) == 0)
					used[meter] -= line->quantity;
		}
		cr_assert_eq(first.subtotal, amounts);
		for (size_t meter = 0; meter < ARRAY_LEN(meters); meter++)
			cr_assert_eq(used[meter], 0);
		rate_lines_done(&first);
		rate_lines_done(&again);
	}
}

Test(rate, says_what_is_beyond_an_amount_and_gives_nothing)
{
	struct rate_row rows[] = {
		{ "pages", START, INT64_MAX },
		{ "pages", START + HOUR, 1 },
	};
	struct rate_lines lines = { 0 };

	(void)book_of(EUR("2026-01-01", "tokens: {price: \"0.02\"}, api_calls: {price: "
	                                "\"0.01\"}"));
	/* What was used, though it has no price. */
	cr_expect_eq(rate_rows(rows, 2, &lines), -EOVERFLOW);
	cr_expect_not_null(strstr(err.msg, "more than 2^63 - 1 of pages was used"), "%s",
	                   err.msg);
	/* What it costs, and where the price stands. */
	(void)strcpy(rows[0].meter, "tokens");
	cr_expect_eq(rate_rows(rows, 1, &lines), -EOVERFLOW);
	cr_expect_not_null(strstr(err.msg, "prices/b.yaml:4:10: 9223372036854775807 of tokens "
	                                   "cost more than 2^63 - 1 minor units of EUR"),
	                   "%s", err.msg);
	/* All of it together. */
	(void)strcpy(rows[0].meter, "api_calls");
	(void)strcpy(rows[1].meter, "tokens");
	cr_expect_eq(rate_rows(rows, 2, &lines), -EOVERFLOW);
	cr_expect_not_null(strstr(err.msg, "the subtotal is beyond 2^63 - 1"), "%s", err.msg);
	cr_expect_eq(lines.n, 0u);
	cr_expect_null(lines.items);
}

Test(rate, makes_nothing_of_nothing)
{
	struct rate_lines lines;

	cr_assert_eq(rate_rows(NULL, 0, &lines), 0);
	cr_expect_eq(lines.n, 0u);
	cr_expect_eq(lines.subtotal, 0);
	rate_lines_done(&lines);
	(void)book_of(EUR("2026-01-01", CPU_OLD));
	cr_assert_eq(rate_rows(NULL, 0, &lines), 0);
	cr_expect_eq(lines.n, 0u);
	rate_lines_done(&lines);
}
