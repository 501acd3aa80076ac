/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "units.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include <base/fd.h>
#include <base/num.h>

struct unit {
	const char *suffix;
	int64_t factor;
};

/* Largest first: a formatter takes the first that divides the value. */
static const struct unit units_bytes[] = {
	{ "T", INT64_C(1) << 40 },
	{ "G", INT64_C(1) << 30 },
	{ "M", INT64_C(1) << 20 },
	{ "K", INT64_C(1) << 10 },
	{ "", 1 },
};

/* Largest first. The formatter uses all but those marked as another's other name. */
static const struct duration_unit {
	struct unit unit;
	bool alias;
} units_duration[] = {
	{ { "w", INT64_C(604800000000) }, true }, /* a span of weeks reads better in days */
	{ { "d", INT64_C(86400000000) }, false },
	{ { "h", INT64_C(3600000000) }, false },
	{ { "min", 60000000 }, false },
	{ { "m", 60000000 }, true },
	{ { "s", 1000000 }, false },
	{ { "ms", 1000 }, false },
	{ { "us", 1 }, false },
};

#define COUNT_EXPECTED    "expected a whole number such as 512"
#define BYTES_EXPECTED    "expected bytes with an optional K, M, G or T, such as 512M"
#define DURATION_EXPECTED "expected a time span in us, ms, s, min, h, d or w, such as 1h30min"
#define PERCENT_EXPECTED  "expected percent of one CPU, 1% to 1000000%, such as 50% or 12.5%"
#define CPUS_EXPECTED     "expected a number of CPUs from 0.01 to 10000, such as 0.5"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Read digits at *p and step over them. Returns 0, -EINVAL if there are none, -ERANGE. */
static int digits_take(const char **p, int64_t *ret)
{
	int64_t n = 0;

	if (!is_digit(**p))
		return -EINVAL;
	for (; is_digit(**p); (*p)++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, **p - '0', &n))
			return -ERANGE;
	*ret = n;
	return 0;
}

/*
 * Read digits with at most @places decimals at *p and step over them: *ret is the
 * number times 10^@places, exactly.
 */
static int decimal_take(const char **p, int places, int64_t *ret)
{
	int64_t n;
	int r = digits_take(p, &n);

	if (r < 0)
		return r;
	if (**p == '.') {
		(*p)++;
		if (!is_digit(**p))
			return -EINVAL;
	}
	/* Only past a point can a digit be left here. */
	for (int i = 0; i < places; i++) {
		int digit = is_digit(**p) ? *(*p)++ - '0' : 0;

		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, digit, &n))
			return -ERANGE;
	}
	*ret = n;
	return 0;
}

/* "010" is eight to YAML 1.1, ten to people, so it is neither to us. */
static bool is_octal(const char *text)
{
	return text[0] == '0' && is_digit(text[1]);
}

/* One error for every failure of a parser; @text is cut so that the rest still fits. */
static int refuse(const char *text, const char *noun, int r, const char *expected,
                  struct tn_error *err)
{
	if (*text == '\0')
		return err_parse(err, 0, "empty %s; %s", noun, expected);
	if (r == -ERANGE)
		return err_parse(err, 0, "'%.64s' is out of range; %s", text, expected);
	return err_parse(err, 0, "'%.64s' is not a %s; %s", text, noun, expected);
}

int units_count_parse(const char *text, int64_t *ret, struct tn_error *err)
{
	int r = is_octal(text) ? -EINVAL : num_parse(text, UNITS_UNLIMITED - 1, ret);

	return r < 0 ? refuse(text, "number", r, COUNT_EXPECTED, err) : 0;
}

static int bytes_scan(const char *text, int64_t *ret)
{
	int64_t n = 0;
	int r = is_octal(text) ? -EINVAL : digits_take(&text, &n);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(units_bytes); i++) {
		if (strcmp(units_bytes[i].suffix, text) != 0)
			continue;
		if (__builtin_mul_overflow(n, units_bytes[i].factor, &n) ||
		    n == UNITS_UNLIMITED)
			return -ERANGE;
		*ret = n;
		return 0;
	}
	return -EINVAL;
}

int units_bytes_parse(const char *text, int64_t *ret, struct tn_error *err)
{
	int r = bytes_scan(text, ret);

	return r < 0 ? refuse(text, "size", r, BYTES_EXPECTED, err) : 0;
}

/* The letters at *p as a unit, stepped over; NULL if they are none. */
static const struct unit *duration_unit_take(const char **p)
{
	size_t n = strspn(*p, "abcdefghijklmnopqrstuvwxyz");

	for (size_t i = 0; i < ARRAY_LEN(units_duration); i++) {
		const struct unit *unit = &units_duration[i].unit;

		if (strlen(unit->suffix) == n && memcmp(unit->suffix, *p, n) == 0) {
			*p += n;
			return unit;
		}
	}
	return NULL;
}

static int duration_scan(const char *text, int64_t *ret)
{
	static const struct unit seconds = { "", 1000000 };
	int64_t total = 0, smallest = INT64_MAX;
	const char *p = text;

	do {
		const struct unit *unit;
		const char *first = p;
		int64_t n;
		int r = digits_take(&p, &n);

		if (r < 0)
			return r;
		unit = first == text && *p == '\0' ? &seconds : duration_unit_take(&p);
		/* "1h1h" and "5min1h" are slips of the pen, not sums. */
		if (unit == NULL || unit->factor >= smallest)
			return -EINVAL;
		smallest = unit->factor;
		if (__builtin_mul_overflow(n, unit->factor, &n) ||
		    __builtin_add_overflow(total, n, &total) || total == UNITS_UNLIMITED)
			return -ERANGE;
		if (p[0] == ' ' && p[1] != '\0')
			p++;
	} while (*p != '\0');

	*ret = total;
	return 0;
}

int units_duration_parse(const char *text, int64_t *ret, struct tn_error *err)
{
	int r = duration_scan(text, ret);

	return r < 0 ? refuse(text, "time span", r, DURATION_EXPECTED, err) : 0;
}

/* A decimal number of @places and then exactly @suffix. */
static int quota_scan(const char *text, int places, const char *suffix, int64_t *ret)
{
	int64_t n;
	int r = decimal_take(&text, places, &n);

	if (r < 0)
		return r;
	if (strcmp(text, suffix) != 0)
		return -EINVAL;
	if (n < UNITS_CPU_QUOTA_USEC_MIN || n > UNITS_CPU_QUOTA_USEC_MAX)
		return -ERANGE;
	*ret = n;
	return 0;
}

static_assert(UNITS_CPU_PERIOD_USEC == 100 * 1000,
              "100 percent with three decimals, one CPU with five, must be one period");

int units_percent_parse(const char *text, int64_t *ret, struct tn_error *err)
{
	int r = quota_scan(text, 3, "%", ret);

	return r < 0 ? refuse(text, "percentage", r, PERCENT_EXPECTED, err) : 0;
}

int units_cpus_parse(const char *text, int64_t *ret, struct tn_error *err)
{
	int r = quota_scan(text, 5, "", ret);

	return r < 0 ? refuse(text, "number of CPUs", r, CPUS_EXPECTED, err) : 0;
}

void units_count_format(int64_t value, char *text, size_t size)
{
	if (value == UNITS_UNLIMITED)
		(void)snprintf(text, size, "max");
	else
		(void)snprintf(text, size, "%" PRId64, value);
}

void units_bytes_format(int64_t value, char *text, size_t size)
{
	if (value == UNITS_UNLIMITED || value == 0) {
		units_count_format(value, text, size);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(units_bytes); i++) {
		if (value % units_bytes[i].factor != 0)
			continue;
		(void)snprintf(text, size, "%" PRId64 "%s", value / units_bytes[i].factor,
		               units_bytes[i].suffix);
		return;
	}
}

void units_duration_format(int64_t usec, char *text, size_t size)
{
	size_t n = 0;

	if (usec == UNITS_UNLIMITED || usec == 0) {
		(void)snprintf(text, size, "%s", usec == 0 ? "0s" : "max");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(units_duration); i++) {
		const struct unit *unit = &units_duration[i].unit;
		int written;

		if (units_duration[i].alias || usec < unit->factor)
			continue;
		written = snprintf(text + n, size - n, "%" PRId64 "%s", usec / unit->factor,
		                   unit->suffix);
		if (written < 0 || (size_t)written >= size - n)
			return;
		n += (size_t)written;
		usec %= unit->factor;
	}
}

void units_percent_format(int64_t quota_usec, char *text, size_t size)
{
	int64_t decimals = quota_usec % 1000;
	int places = 3;

	if (quota_usec == UNITS_UNLIMITED) {
		(void)snprintf(text, size, "max");
		return;
	}
	if (decimals == 0) {
		(void)snprintf(text, size, "%" PRId64 "%%", quota_usec / 1000);
		return;
	}
	for (; decimals % 10 == 0; places--)
		decimals /= 10;
	(void)snprintf(text, size, "%" PRId64 ".%0*" PRId64 "%%", quota_usec / 1000, places,
	               decimals);
}
