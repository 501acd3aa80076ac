/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "prices.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <base/fd.h>
#include <base/nearest.h>

#include "amounts.h"
#include "books.h"
#include "dates.h"
#include "document.h"
#include "rows.h"
#include "schema.h"

#define FILE_SUFFIX ".yaml"

/* Digits before the point: a price is below 10^15 units of the currency. */
#define PRICE_DIGITS_MAX  15
#define PRICE_EXPECTED    "expected a decimal number with at most 12 places, such as \"0.036\""
#define DATE_EXPECTED     "expected a day, in UTC, such as 2026-01-31"
#define CURRENCY_EXPECTED "expected a currency of ISO 4217, such as EUR"

static_assert(POLICY_PRICE_PLACES == 12, "the messages and the schema say so");
static_assert(PRICE_DIGITS_MAX + 1 + POLICY_PRICE_PLACES < POLICY_PRICE_BYTES_MAX,
              "a price fits as it is written");

/* A book that is being read. */
struct reading {
	struct policy_book *book;
	const struct policy_meters *meters;
	/* Keys of the document, NULL: there is none. */
	const struct document_node *currency, *valid_from, *valid_until, *prices;
};

/* A price that is being read. */
struct price_reading {
	struct policy_price *price;
	const struct meter *meter;
};

/* Of @text "0.036", in units x 10^-12. 0, -EINVAL, or -ERANGE. */
static int decimal_scan(const char *text, policy_int128 *ret)
{
	size_t whole_n = strspn(text, "0123456789"), places_n = 0;
	const char *end = text + whole_n;
	policy_int128 value = 0;

	/* "010" is eight to YAML 1.1, ten to people, so it is neither to us. */
	if (whole_n == 0 || (text[0] == '0' && whole_n > 1))
		return -EINVAL;
	if (whole_n > PRICE_DIGITS_MAX)
		return -ERANGE;
	if (*end == '.') {
		places_n = strspn(end + 1, "0123456789");
		if (places_n == 0 || places_n > POLICY_PRICE_PLACES)
			return -EINVAL;
		end += 1 + places_n;
	}
	if (*end != '\0')
		return -EINVAL;
	for (const char *p = text; p < end; p++)
		if (*p != '.')
			value = value * 10 + (*p - '0');
	for (; places_n < POLICY_PRICE_PLACES; places_n++)
		value *= 10;
	*ret = value;
	return 0;
}

static int set_price(struct price_reading *reading, const struct document_node *key,
                     struct tn_error *err)
{
	struct policy_price *price = reading->price;
	const struct document_node *value = key->value;
	int r = schema_want_text(key, "a decimal number", err);

	if (r < 0)
		return r;
	r = decimal_scan(value->text, &price->price);
	if (r == -ERANGE)
		return document_refuse(value, err,
		                       "price: '%.64s' is out of range; expected less than "
		                       "10^15",
		                       value->text);
	if (r < 0)
		return document_refuse(value, err,
		                       "price: '%.64s' is not a price; " PRICE_EXPECTED,
		                       value->text);
	memcpy(price->text, value->text, strlen(value->text) + 1);
	return 0;
}

static int set_per(struct price_reading *reading, const struct document_node *key,
                   struct tn_error *err)
{
	return amount_read(reading->meter->unit, key, 1, false, &reading->price->per, err);
}

/* The keys of one price. */
static const struct price_row {
	struct row_about about;
	int (*set)(struct price_reading *reading, const struct document_node *key,
	           struct tn_error *err);
} price_rows[] = {
	{ { .key = "price",
	    .about = "in the book's currency, at most 12 decimal places; required",
	    .schema = "\"anyOf\": [{\"type\": \"string\", \"pattern\": "
	              "\"^(0|[1-9][0-9]{0,14})(\\\\.[0-9]{1,12})?$\"}, {\"type\": \"number\", "
	              "\"minimum\": 0, \"exclusiveMaximum\": 1000000000000000}]" },
	  set_price },
	{ { .key = "per",
	    .about = "the amount that it is for; default, of what is merely counted: 1" },
	  set_per },
};

bool price_row_at(size_t i, struct row_about *ret)
{
	if (i >= ARRAY_LEN(price_rows))
		return false;
	*ret = price_rows[i].about;
	return true;
}

static const char *price_key(size_t i)
{
	return price_rows[i].about.key;
}

static int price_set(void *target, size_t i, const struct document_node *key,
                     struct tn_error *err)
{
	return price_rows[i].set(target, key, err);
}

/* The meter that @key names, if it can have a price. */
static int meter_find(const struct policy_meters *meters, const struct document_node *key,
                      const struct meter **ret, struct tn_error *err)
{
	struct nearest nearest = nearest_begin(key->text);
	const struct meter *meter = policy_meter(meters, key->text), *other;
	char hint[NEAREST_HINT_BYTES_MAX];

	if (meter != NULL && meter->kind == METER_GAUGE)
		return document_refuse(key, err,
		                       "prices: %s is a gauge, which is what there is at a "
		                       "time and not what was used; expected a counter",
		                       key->text);
	if (meter != NULL) {
		*ret = meter;
		return 0;
	}
	for (size_t i = 0; (other = policy_meter_at(meters, i)) != NULL; i++)
		if (other->kind == METER_COUNTER)
			nearest_consider(&nearest, other->name);
	return document_refuse(key, err,
	                       "prices: unknown meter '%.64s'%s; expected a counter of "
	                       "tenantd-meters(5) or of " POLICY_METERS_FILE,
	                       key->text, nearest_hint(&nearest, "", hint));
}

/* @price of @meter has all that it needs; @key is the meter's. */
static int price_check(const struct document_node *key, const struct meter *meter,
                       struct policy_price *price, struct tn_error *err)
{
	if (price->text[0] == '\0')
		return document_refuse(key, err, "%s: price is missing; " PRICE_EXPECTED,
		                       key->text);
	/* Nobody who leaves it out means the price of a microsecond. */
	if (price->per == 0 && meter->unit != METER_UNIT_COUNT)
		return document_refuse(key, err,
		                       "%s: per is missing; expected the amount that the price "
		                       "is for, as it is counted in %s",
		                       key->text, meter->label);
	if (price->per == 0)
		price->per = 1;
	return 0;
}

static int price_add(struct reading *reading, const struct document_node *key,
                     struct tn_error *err)
{
	const struct schema schema = {
		.noun = key->text,
		.keys_n = ARRAY_LEN(price_rows),
		.key = price_key,
		.set = price_set,
	};
	struct policy_book *book = reading->book;
	struct policy_price price = { .where = { key->line, key->column, 0 } };
	struct price_reading target = { &price, NULL };
	int r = meter_find(reading->meters, key, &target.meter, err);

	if (r == 0)
		r = schema_walk(&schema, key->value, &target, err);
	if (r == 0)
		r = price_check(key, target.meter, &price, err);
	if (r < 0)
		return r;
	assert(target.meter != NULL);
	if (book->prices_n == POLICY_PRICES_MAX)
		return document_refuse(key, err, "prices: too many prices; expected at most %d",
		                       POLICY_PRICES_MAX);
	memcpy(price.meter, target.meter->name, sizeof(price.meter));
	book->prices[book->prices_n++] = price;
	return 0;
}

static int set_prices(struct reading *reading, const struct document_node *key,
                      struct tn_error *err)
{
	int r = schema_want_mapping(key->text, key->value, err);

	reading->prices = key;
	for (const struct document_node *price = key->value->first; r == 0 && price != NULL;
	     price = price->next)
		r = price_add(reading, price, err);
	return r;
}

/* "standard" of "prices/standard.yaml": *n letters from the returned one. */
static const char *file_base(const char *file, size_t *n)
{
	const char *slash = strrchr(file, '/');
	const char *base = slash != NULL ? slash + 1 : file;
	size_t suffix_n = strlen(FILE_SUFFIX);

	*n = strlen(base);
	if (*n > suffix_n && strcmp(base + *n - suffix_n, FILE_SUFFIX) == 0)
		*n -= suffix_n;
	return base;
}

static int set_name(struct reading *reading, const struct document_node *key,
                    struct tn_error *err)
{
	const struct document_node *value = key->value;
	const char *base;
	size_t n;
	int r = schema_want_text(key, "the book's name", err);

	if (r < 0)
		return r;
	if (!name_valid(value->text))
		return document_refuse(value, err,
		                       "book: '%.64s' is not a name; expected " NAME_RULE,
		                       value->text);
	base = file_base(reading->book->file, &n);
	if (strlen(value->text) != n || memcmp(value->text, base, n) != 0)
		return document_refuse(value, err,
		                       "book: '%.64s' is not the file's name; expected %.*s",
		                       value->text, (int)n, base);
	memcpy(reading->book->name, value->text, n + 1);
	return 0;
}

static int set_currency(struct reading *reading, const struct document_node *key,
                        struct tn_error *err)
{
	const struct document_node *value = key->value;
	int r = schema_want_text(key, "a currency of ISO 4217, such as EUR", err);

	if (r < 0)
		return r;
	reading->book->exponent = policy_currency_exponent(value->text);
	if (reading->book->exponent < 0)
		return document_refuse(
			value, err, "currency: '%.64s' is not a currency; " CURRENCY_EXPECTED,
			value->text);
	memcpy(reading->book->currency, value->text, sizeof(reading->book->currency));
	reading->currency = key;
	reading->book->currency_where = (struct policy_location){ key->line, key->column, 0 };
	return 0;
}

static int date_read(const struct document_node *key, int64_t *ret, struct tn_error *err)
{
	int r = schema_want_text(key, "a day, in UTC, such as 2026-01-31", err);

	if (r < 0 || dates_parse(key->value->text, ret) == 0)
		return r;
	return document_refuse(key->value, err, "%s: '%.64s' is not a day; " DATE_EXPECTED,
	                       key->text, key->value->text);
}

static int set_valid_from(struct reading *reading, const struct document_node *key,
                          struct tn_error *err)
{
	reading->valid_from = key;
	reading->book->valid_where = (struct policy_location){ key->line, key->column, 0 };
	return date_read(key, &reading->book->valid_from, err);
}

static int set_valid_until(struct reading *reading, const struct document_node *key,
                           struct tn_error *err)
{
	reading->valid_until = key;
	reading->book->until_where = (struct policy_location){ key->line, key->column, 0 };
	return date_read(key, &reading->book->valid_until, err);
}

#define DATE_SCHEMA "\"type\": \"string\", \"pattern\": \"^[0-9]{4}-[01][0-9]-[0-3][0-9]$\""

/* The keys of a book. */
static const struct book_row {
	struct row_about about;
	int (*set)(struct reading *reading, const struct document_node *key,
	           struct tn_error *err);
} rows[] = {
	{ { .key = "book",
	    .about = "its name, and that of its file; required",
	    .schema = "\"type\": \"string\", \"pattern\": "
	              "\"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$\"" },
	  set_name },
	{ { .key = "currency",
	    .about = "of all its prices, as ISO 4217 has it; required",
	    .schema = "\"type\": \"string\", \"pattern\": \"^[A-Z]{3}$\"" },
	  set_currency },
	{ { .key = "valid_from",
	    .about = "the first day, in UTC, that it holds for; required",
	    .schema = DATE_SCHEMA },
	  set_valid_from },
	{ { .key = "valid_until",
	    .about = "the first day, in UTC, that it no longer holds for; default: never",
	    .schema = DATE_SCHEMA },
	  set_valid_until },
	{ { .key = "prices", .about = "what each meter costs; required" }, set_prices },
};

bool book_row_at(size_t i, struct row_about *ret)
{
	if (i >= ARRAY_LEN(rows))
		return false;
	*ret = rows[i].about;
	return true;
}

static const char *book_key(size_t i)
{
	return rows[i].about.key;
}

static int book_set(void *target, size_t i, const struct document_node *key,
                    struct tn_error *err)
{
	return rows[i].set(target, key, err);
}

/* All that a book needs is there. */
static int book_check(const struct reading *reading, const struct document_node *root,
                      struct tn_error *err)
{
	const struct policy_book *book = reading->book;
	size_t n;
	const char *base = file_base(book->file, &n);

	if (book->name[0] == '\0')
		return document_refuse(root, err,
		                       "key 'book' is missing; expected 'book: %.*s'", (int)n,
		                       base);
	if (reading->currency == NULL)
		return document_refuse(root, err,
		                       "key 'currency' is missing; " CURRENCY_EXPECTED);
	if (reading->valid_from == NULL)
		return document_refuse(root, err,
		                       "key 'valid_from' is missing; " DATE_EXPECTED);
	if (reading->prices == NULL)
		return document_refuse(root, err,
		                       "key 'prices' is missing; expected what each meter "
		                       "costs");
	if (book->valid_until <= book->valid_from)
		return document_refuse(reading->valid_until->value, err,
		                       "valid_until: %s is not after valid_from; expected a "
		                       "day after %s",
		                       reading->valid_until->value->text,
		                       reading->valid_from->value->text);
	return 0;
}

static void document_freep(struct document **document)
{
	(void)document_free(*document);
}

int policy_book_parse(const char *file, const char *text, size_t n,
                      const struct policy_meters *meters, struct policy_book *ret,
                      struct tn_error *err)
{
	static const struct schema schema = {
		.keys_n = ARRAY_LEN(rows),
		.key = book_key,
		.set = book_set,
	};
	__attribute__((cleanup(document_freep))) struct document *document = NULL;
	cleanup_free struct policy_book *book = calloc(1, sizeof(*book));
	struct reading reading = { .book = book, .meters = meters };
	int r;

	if (book == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "parse %s", file);
	if (strlen(file) >= sizeof(book->file))
		return err_refuse(err, TN_INVALID,
		                  "%.64s...: file name too long; expected at most %zu", file,
		                  sizeof(book->file) - 1);
	memcpy(book->file, file, strlen(file) + 1);
	book->valid_until = INT64_MAX;
	r = document_parse(book->file, text, n, &document, err);
	if (r == 0)
		r = schema_walk(&schema, document_root(document), &reading, err);
	if (r == 0)
		r = book_check(&reading, document_root(document), err);
	if (r == 0)
		*ret = *book;
	return r;
}

/* @later begins while @earlier holds. */
static int overlap_refuse(const struct policy_book *earlier, const struct policy_book *later,
                          struct tn_error *err)
{
	return document_refuse_at(later->file, later->valid_where.line,
	                          later->valid_where.column, err,
	                          "valid_from: another book for %s still holds then "
	                          "(%s:%u:%u); expected one book at a time",
	                          later->currency, earlier->file, earlier->valid_where.line,
	                          earlier->valid_where.column);
}

int books_check(const struct policy_book *books, size_t n, struct tn_error *err)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++) {
			const struct policy_book *a = &books[j], *b = &books[i];

			if (strcmp(a->currency, b->currency) != 0 ||
			    a->valid_from >= b->valid_until || b->valid_from >= a->valid_until)
				continue;
			return a->valid_from <= b->valid_from ? overlap_refuse(a, b, err)
			                                      : overlap_refuse(b, a, err);
		}
	return 0;
}

const struct policy_book *books_find(const struct policy_book *books, size_t n,
                                     const char *currency, int64_t at)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(books[i].currency, currency) == 0 && at >= books[i].valid_from &&
		    at < books[i].valid_until)
			return &books[i];
	return NULL;
}
