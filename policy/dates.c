/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dates.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define USEC_PER_DAY INT64_C(86400000000)
#define FORM         "0000-00-00"

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t days_of_month(int64_t year, int64_t month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

/* As many digits as FORM has zeros there, and the same between them. */
static bool has_form(const char *text)
{
	if (strlen(text) != strlen(FORM))
		return false;
	for (size_t i = 0; FORM[i] != '\0'; i++)
		if (FORM[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != FORM[i])
			return false;
	return true;
}

static int64_t number(const char *digits, size_t n)
{
	int64_t value = 0;

	for (size_t i = 0; i < n; i++)
		value = value * 10 + (digits[i] - '0');
	return value;
}

/* Days that begin before year @year from the epoch on: 365 each, and one for each leap year. */
static int64_t days_before_year(int64_t year)
{
	const int64_t last = year - 1, leap_before_epoch = 477;

	return (year - DATES_YEAR_MIN) * 365 + last / 4 - last / 100 + last / 400 -
	       leap_before_epoch;
}

int dates_parse(const char *text, int64_t *ret)
{
	int64_t year, month, day, days;

	if (!has_form(text))
		return -EINVAL;
	year = number(text, 4);
	month = number(text + 5, 2);
	day = number(text + 8, 2);
	if (year < DATES_YEAR_MIN || month < 1 || month > 12 || day < 1 ||
	    day > days_of_month(year, month))
		return -EINVAL;
	days = days_before_year(year) + day - 1;
	for (int64_t i = 1; i < month; i++)
		days += days_of_month(year, i);
	*ret = days * USEC_PER_DAY;
	return 0;
}

void dates_format(int64_t start, char ret[static DATES_BYTES_MAX])
{
	int64_t days = start / USEC_PER_DAY, year = DATES_YEAR_MIN, month = 1;

	while (days >= days_before_year(year + 1))
		year++;
	days -= days_before_year(year);
	for (; days >= days_of_month(year, month); month++)
		days -= days_of_month(year, month);
	(void)snprintf(ret, DATES_BYTES_MAX, "%04u-%02u-%02u", (unsigned int)year % 10000,
	               (unsigned int)month, (unsigned int)days + 1);
}
