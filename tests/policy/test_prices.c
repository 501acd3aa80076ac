/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* policy/prices.c: what a price book may say, and what an admin is told of each mistake. */
#include <criterion/criterion.h>
#include <string.h>

#include <base/fd.h>
#include <policy/policy.h>

TestSuite(policy_prices, .timeout = 20);

#define DAY INT64_C(86400000000)
#define TOP "book: std\ncurrency: EUR\nvalid_from: 2026-01-01\n"

static struct policy_book book;

static const struct policy_meters meters = {
	.custom = { { "gpu_time", METER_COUNTER, METER_OF_APPLICATIONS, METER_UNIT_USEC, "usec",
	              true, false },
	            { "documents", METER_GAUGE, METER_OF_APPLICATIONS, METER_UNIT_COUNT,
	              "documents", true, false } },
	.custom_n = 2,
};

static int parse(const char *text, struct tn_error *err)
{
	return policy_book_parse("prices/std.yaml", text, strlen(text), &meters, &book, err);
}

Test(policy_prices, are_exact)
{
	static const struct {
		const char *meter, *text;
		int64_t whole, rest; /* units, and 10^-12 of one */
		int64_t per;
	} rows[] = {
		{ "cpu_time", "0.036", 0, 36000000000, INT64_C(3600000000) },
		{ "memory_time", "0.005", 0, 5000000000, INT64_C(3686400000) },
		{ "io_write_bytes", "0.02", 0, 20000000000, INT64_C(1) << 30 },
		{ "tokens", "0.40", 0, 400000000000, 1000000 },
		{ "executions", "0.000000000001", 0, 1, 1 },
		{ "io_ops", "999999999999999.999999999999", 999999999999999, 999999999999, 1 },
		{ "api_calls", "0", 0, 0, 1 },
		{ "gpu_time", "12", 12, 0, 1000000 },
	};
	struct tn_error err = { 0 };

	cr_assert_eq(parse(TOP "valid_until: 2027-01-01\nprices:\n"
	                       "  cpu_time: {price: \"0.036\", per: 1h}\n"
	                       "  memory_time: {price: 0.005, per: 1GiBh}\n"
	                       "  io_write_bytes: {price: '0.02', per: 1G}\n"
	                       "  tokens: {price: \"0.40\", per: 1000000}\n"
	                       "  executions: {price: \"0.000000000001\"}\n"
	                       "  io_ops: {price: '999999999999999.999999999999'}\n"
	                       "  api_calls: {price: 0}\n"
	                       "  gpu_time: {price: 12, per: 1}\n",
	                   &err),
	             0, "%s", err.msg);
	cr_expect_str_eq(book.name, "std");
	cr_expect_str_eq(book.file, "prices/std.yaml");
	cr_expect_str_eq(book.currency, "EUR");
	cr_expect_eq(book.exponent, 2);
	cr_expect_eq(book.valid_from, 20454 * DAY);
	cr_expect_eq(book.valid_until, (20454 + 365) * DAY);
	cr_assert_eq(book.prices_n, ARRAY_LEN(rows));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct policy_price *price = &book.prices[i];
		const policy_int128 one = INT64_C(1000000000000);

		cr_expect_str_eq(price->meter, rows[i].meter);
		cr_expect_str_eq(price->text, rows[i].text);
		cr_expect(price->price == rows[i].whole * one + rows[i].rest, "%s",
		          price->text);
		cr_expect_eq(price->per, rows[i].per, "%s", price->meter);
		cr_expect_eq(price->where.line, 6 + i);
	}
}

Test(policy_prices, hold_from_and_until_days_of_the_calendar)
{
	static const struct {
		const char *text;
		int64_t day; /* -1: it is none */
	} rows[] = {
		{ "1970-01-01", 0 },     { "1970-03-01", 59 },      { "1972-02-29", 789 },
		{ "1972-03-01", 790 },   { "2000-02-29", 11016 },   { "2000-12-31", 11322 },
		{ "2100-03-01", 47541 }, { "9999-12-31", 2932896 }, { "2100-02-29", -1 },
		{ "2026-02-29", -1 },    { "2026-04-31", -1 },      { "2026-00-10", -1 },
		{ "2026-13-01", -1 },    { "2026-01-00", -1 },      { "2026-01-32", -1 },
		{ "1969-12-31", -1 },    { "2026-1-1", -1 },        { "2026/01/01", -1 },
		{ "2026-01-011", -1 },   { "26-01-01", -1 },        { "2026-01-01T00", -1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[256];
		struct tn_error err = { 0 };
		int r;

		(void)snprintf(text, sizeof(text),
		               "book: std\ncurrency: USD\nvalid_from: %s\nprices: {}\n",
		               rows[i].text);
		r = parse(text, &err);
		cr_expect_eq(r, rows[i].day < 0 ? -EINVAL : 0, "%s: %s", rows[i].text, err.msg);
		if (r == 0)
			cr_expect_eq(book.valid_from, rows[i].day * DAY, "%s", rows[i].text);
		if (r == 0)
			cr_expect_eq(book.valid_until, INT64_MAX);
	}
}

Test(policy_prices, know_the_minor_units_of_currencies)
{
	static const struct {
		const char *currency;
		int exponent;
	} rows[] = {
		{ "EUR", 2 },       { "USD", 2 },       { "AED", 2 },       { "ZWG", 2 },
		{ "JPY", 0 },       { "KRW", 0 },       { "XPF", 0 },       { "BIF", 0 },
		{ "KWD", 3 },       { "BHD", 3 },       { "TND", 3 },       { "CLF", 4 },
		{ "UYW", 4 },       { "eur", -EINVAL }, { "EU", -EINVAL },  { "EURO", -EINVAL },
		{ "", -EINVAL },    { "XXX", -EINVAL }, { "R U", -EINVAL }, { "DEM", -EINVAL },
		{ "UR ", -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		cr_expect_eq(policy_currency_exponent(rows[i].currency), rows[i].exponent, "%s",
		             rows[i].currency);
}

#define PRICE                                                                                  \
	" is not a price; expected a decimal number with at most 12 places, such as \"0.036\""
#define A_DAY        "; expected a day, in UTC, such as 2026-01-31"
#define MONEY        "; expected a currency of ISO 4217, such as EUR"
#define COUNTER      "; expected a counter of tenantd-meters(5) or of meters.yaml"
#define PRICES(rest) TOP "prices: {" rest "}\n"

static const struct {
	const char *text, *message;
} refusals[] = {
	{ TOP, "1:1: key 'prices' is missing; expected what each meter costs" },
	{ "currency: EUR\n", "1:1: key 'book' is missing; expected 'book: std'" },
	{ "book: std\nvalid_from: 2026-01-01\n", "1:1: key 'currency' is missing" MONEY },
	{ "book: std\ncurrency: EUR\n", "1:1: key 'valid_from' is missing" A_DAY },
	{ "book: other\n", "1:7: book: 'other' is not the file's name; expected std" },
	{ "book: a b\n",
	  "1:7: book: 'a b' is not a name; expected 1 to 63 of a-z, 0-9 and '-', "
	  "beginning with a letter or digit, not ending in '-', and no UUID" },
	{ "boo: std\n",
	  "1:1: unknown key 'boo', did you mean 'book'?; this version enforces: book, "
	  "currency, valid_from, valid_until, prices" },
	{ "currency: eur\n", "1:11: currency: 'eur' is not a currency" MONEY },
	{ "currency: [EUR]\n", "1:11: currency: a list" MONEY },
	{ "valid_from: soon\n", "1:13: valid_from: 'soon' is not a day" A_DAY },
	{ "valid_until: 2026-02-30\n", "1:14: valid_until: '2026-02-30' is not a day" A_DAY },
	{ TOP "valid_until: 2026-01-01\nprices: {}\n",
	  "4:14: valid_until: 2026-01-01 is not after valid_from; expected a day after "
	  "2026-01-01" },
	{ TOP "prices: 5\n", "4:9: prices: a single value; expected 'key: value' lines" },
	{ PRICES("tokens: 5"), "4:18: tokens: a single value; expected 'key: value' lines" },
	{ PRICES("tokens: {}"),
	  "4:10: tokens: price is missing; expected a decimal number with at most 12 "
	  "places, such as \"0.036\"" },
	{ PRICES("tokens: {prise: 1}"),
	  "4:19: unknown key 'prise' in tokens, did you mean 'price'?; this version "
	  "enforces: price, per" },
	{ PRICES("tokns: {price: 1}"),
	  "4:10: prices: unknown meter 'tokns', did you mean 'tokens'?" COUNTER },
	{ PRICES("agents: {price: 1}"),
	  "4:10: prices: agents is a gauge, which is what there is at a time and not "
	  "what was used; expected a counter" },
	{ PRICES("documents: {price: 1}"), "4:10: prices: documents is a gauge, which "
	                                   "is what there is at a time and not "
	                                   "what was used; expected a counter" },
	{ PRICES("tokens: {price: -1}"), "4:26: price: '-1'" PRICE },
	{ PRICES("tokens: {price: 1.}"), "4:26: price: '1.'" PRICE },
	{ PRICES("tokens: {price: .5}"), "4:26: price: '.5'" PRICE },
	{ PRICES("tokens: {price: 1e3}"), "4:26: price: '1e3'" PRICE },
	{ PRICES("tokens: {price: 007}"), "4:26: price: '007'" PRICE },
	{ PRICES("tokens: {price: '1,5'}"), "4:26: price: '1,5'" PRICE },
	{ PRICES("tokens: {price: 0.0000000000001}"), "4:26: price: '0.0000000000001'" PRICE },
	{ PRICES("tokens: {price: 1000000000000000}"),
	  "4:26: price: '1000000000000000' is out of range; expected less than 10^15" },
	{ PRICES("tokens: {price: 1, per: 0}"),
	  "4:34: per: '0' is out of range; expected at least 1" },
	{ PRICES("tokens: {price: 1, per: max}"),
	  "4:34: per: 'max' is not a number; expected a whole number such as 512" },
	{ PRICES("cpu_time: {price: 1}"), "4:10: cpu_time: per is missing; expected "
	                                  "the amount that the price is for, as "
	                                  "it is counted in usec" },
	{ PRICES("cpu_time: {price: 1, per: 0s}"),
	  "4:36: per: '0s' is out of range; expected at least 1us" },
	{ PRICES("memory_time: {price: 1, per: 1GiB}"),
	  "4:39: per: '1GiB' is not memory for a time; expected memory for a time, in "
	  "MiB, GiB or TiB and ms, s, min, h, d or w, such as 500GiBh" },
};

Test(policy_prices, are_refused_with_what_is_wrong_and_where)
{
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		char expected[TN_ERROR_MSG_BYTES];
		struct tn_error err = { 0 };

		(void)snprintf(expected, sizeof(expected), "prices/std.yaml:%s",
		               refusals[i].message);
		memset(&book, 0x55, sizeof(book));
		cr_expect_eq(parse(refusals[i].text, &err), -EINVAL, "%s", refusals[i].text);
		cr_expect_str_eq(err.msg, expected);
		cr_expect_eq(book.exponent, 0x55555555, "a refused book must change nothing");
	}
}

static void put(struct policy_file *file, const char *name, const char *text)
{
	*file = (struct policy_file){ .n = strlen(text) };
	(void)snprintf(file->name, sizeof(file->name), "%s", name);
	file->text = (char *)(uintptr_t)text;
}

Test(policy_prices, are_those_of_the_one_book_that_holds_at_a_time)
{
	struct policy_file files[4];
	struct policy *policy = NULL;
	struct tn_error err = { 0 };
	const int64_t year = 20454 * DAY;

	put(&files[0], "tiers/free.yaml", "tier: free\n");
	put(&files[1], "prices/a.yaml",
	    "book: a\ncurrency: EUR\nvalid_from: 2026-01-01\nvalid_until: 2027-01-01\n"
	    "prices: {}\n");
	put(&files[2], "prices/b.yaml",
	    "book: b\ncurrency: EUR\nvalid_from: 2027-01-01\nprices: {}\n");
	put(&files[3], "prices/c.yaml",
	    "book: c\ncurrency: JPY\nvalid_from: 2026-01-01\nprices: {}\n");
	cr_assert_eq(policy_build(files, 4, &policy, &err), 0, "%s", err.msg);

	cr_expect_null(policy_book_at(policy, "EUR", year - 1));
	cr_expect_str_eq(policy_book_at(policy, "EUR", year)->name, "a");
	cr_expect_str_eq(policy_book_at(policy, "EUR", year + 365 * DAY - 1)->name, "a");
	cr_expect_str_eq(policy_book_at(policy, "EUR", year + 365 * DAY)->name, "b");
	cr_expect_str_eq(policy_book_at(policy, "EUR", INT64_MAX - 1)->name, "b");
	cr_expect_str_eq(policy_book_at(policy, "JPY", year)->name, "c");
	cr_expect_null(policy_book_at(policy, "USD", year));
	cr_expect_str_eq(policy_book(policy, 2)->name, "c");
	cr_expect_null(policy_book(policy, 3));
	(void)policy_free(policy);
}

Test(policy_prices, of_two_books_for_one_time_are_refused)
{
	struct policy_file files[3];
	struct policy *policy = NULL;
	struct tn_error err = { 0 };

	put(&files[0], "tiers/free.yaml", "tier: free\n");
	put(&files[1], "prices/a.yaml",
	    "book: a\ncurrency: EUR\nvalid_from: 2026-06-01\nprices: {}\n");
	put(&files[2], "prices/b.yaml",
	    "book: b\nvalid_from: 2026-01-01\ncurrency: EUR\nvalid_until: 2026-06-02\n"
	    "prices: {}\n");
	cr_expect_eq(policy_build(files, 3, &policy, &err), -EINVAL);
	cr_expect_str_eq(err.msg,
	                 "prices/a.yaml:3:1: valid_from: another book for EUR still holds then "
	                 "(prices/b.yaml:2:1); expected one book at a time");
}

Test(policy_prices, say_what_they_are_and_where_it_stands)
{
	static const struct {
		const char *from, *until;
	} days[] = {
		{ "1970-01-01", "1970-01-02" }, { "1999-12-31", "2000-01-01" },
		{ "2000-02-29", "2000-03-01" }, { "2023-12-31", "2024-02-29" },
		{ "2025-02-28", "2026-11-30" }, { "2026-01-31", "9999-12-31" },
	};
	char text[POLICY_BOOK_TEXT_BYTES_MAX], price[POLICY_PRICE_TEXT_BYTES_MAX];
	struct tn_error err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(days); i++) {
		char file[128];

		(void)snprintf(file, sizeof(file),
		               "book: std\nvalid_until: %s\ncurrency: EUR\nvalid_from: %s\n"
		               "prices: {}\n",
		               days[i].until, days[i].from);
		cr_assert_eq(parse(file, &err), 0, "%s", err.msg);
		policy_book_text(&book, POLICY_BOOK_VALID_FROM, text);
		cr_expect_str_eq(text, days[i].from);
		policy_book_text(&book, POLICY_BOOK_VALID_UNTIL, text);
		cr_expect_str_eq(text, days[i].until);
		cr_expect_eq(policy_book_where(&book, POLICY_BOOK_VALID_UNTIL)->line, 2u);
		cr_expect_eq(policy_book_where(&book, POLICY_BOOK_CURRENCY)->line, 3u);
		cr_expect_eq(policy_book_where(&book, POLICY_BOOK_VALID_FROM)->line, 4u);
	}
	cr_assert_eq(parse(TOP "prices:\n  gpu_time: {price: \"0.50\", per: 2h}\n"
	                       "  tokens: {price: 2}\n",
	                   &err),
	             0, "%s", err.msg);
	policy_book_text(&book, POLICY_BOOK_VALID_UNTIL, text);
	cr_expect_str_eq(text, "never");
	cr_expect_eq(policy_book_where(&book, POLICY_BOOK_VALID_UNTIL)->line, 0u);
	policy_price_text(policy_book_price(&book, "gpu_time"), &meters, price);
	cr_expect_str_eq(price, "0.50 per 2h");
	policy_price_text(policy_book_price(&book, "tokens"), &meters, price);
	cr_expect_str_eq(price, "2 per 1");
	cr_expect_null(policy_book_price(&book, "cpu_time"));
}
