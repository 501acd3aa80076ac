/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target: any bytes as meters.yaml, and as a price book. Either they are refused with
 * a place and a printable reason, or what comes out keeps every promise of meters.h and
 * prices.h.
 */
#include <stdlib.h>
#include <string.h>

#include <policy/meters.h>
#include <policy/prices.h>
#include <policy/quotas.h>

#define BOOK_FILE "prices/std.yaml"

static struct policy_book book; /* large: not for the stack */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_error(const char *file, const struct tn_error *err)
{
	require(err->code == TN_INVALID && err->line > 0);
	require(strncmp(err->msg, file, strlen(file)) == 0 && err->msg[strlen(file)] == ':');
	require(strchr(err->msg, ';') != NULL);
	for (const char *p = err->msg; *p != '\0'; p++)
		require(*p >= ' ' && *p <= '~');
}

static void check_meters(const struct policy_meters *meters)
{
	require(meters->custom_n <= POLICY_METERS_MAX);
	for (size_t i = 0; i < meters->custom_n; i++) {
		const struct meter *meter = &meters->custom[i];

		require(meter_name_valid(meter->name) &&
		        policy_meter(NULL, meter->name) == NULL);
		require(policy_meter(meters, meter->name) == meter);
		require(meter->source == METER_OF_APPLICATIONS && meter->limitable);
		require(meter->label[0] != '\0');
	}
}

static void check_book(void)
{
	const policy_int128 one = INT64_C(1000000000000);

	require(strcmp(book.name, "std") == 0);
	require(policy_currency_exponent(book.currency) == book.exponent);
	require(book.valid_from >= 0 && book.valid_from < book.valid_until);
	require(book.prices_n <= POLICY_PRICES_MAX);
	for (size_t i = 0; i < book.prices_n; i++) {
		const struct policy_price *price = &book.prices[i];

		require(price->price >= 0 && price->price < one * 1000 * one);
		require(price->per >= 1 && price->per < INT64_MAX);
		require(policy_meter(NULL, price->meter)->kind == METER_COUNTER);
		require(price->text[0] >= '0' && price->text[0] <= '9');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_meters meters;
	struct tn_error err = { 0 };

	if (policy_meters_parse(POLICY_METERS_FILE, (const char *)data, size, &meters, &err) <
	    0)
		check_error(POLICY_METERS_FILE, &err);
	else
		check_meters(&meters);
	err = (struct tn_error){ 0 };
	if (policy_book_parse(BOOK_FILE, (const char *)data, size, NULL, &book, &err) < 0)
		check_error(BOOK_FILE, &err);
	else
		check_book();
	return 0;
}
