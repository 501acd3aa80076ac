/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "amounts.h"

#include <inttypes.h>
#include <string.h>

#include <base/fd.h>

#include "schema.h"
#include "units.h"

#define UNLIMITED "max"
/* Of memory for a time: what is none at all has no unit to name. */
#define NOTHING "0"

#define TIME_EXPECTED                                                                          \
	"expected memory for a time, in MiB, GiB or TiB and ms, s, min, h, d or w, such as "   \
	"500GiBh"

#define DAY INT64_C(86400000)

static_assert(POLICY_UNLIMITED == UNITS_UNLIMITED, "amounts and units agree on max");
static_assert(POLICY_AMOUNT_BYTES_MAX >= UNITS_TEXT_BYTES_MAX, "an amount's words fit");

struct factor {
	const char *suffix;
	int64_t factor;
};

/* In MiB, and in milliseconds. */
static const struct factor sizes[] = {
	{ "MiB", 1 },
	{ "GiB", INT64_C(1) << 10 },
	{ "TiB", INT64_C(1) << 20 },
};
static const struct factor times[] = {
	{ "ms", 1 },       { "s", 1000 },    { "min", 60000 },
	{ "h", DAY / 24 }, { "d", DAY * 1 }, { "w", DAY * 7 },
};

/* Largest first. Of all pairs those that people think in: 256GiBh is not 15TiBmin. */
static const struct factor shown[] = {
	/* clang-format off */
	{ "TiBd",   DAY << 20 },
	{ "TiBh",   (DAY / 24) << 20 },
	{ "GiBd",   DAY << 10 },
	{ "GiBh",   (DAY / 24) << 10 },
	{ "GiBmin", INT64_C(60000) << 10 },
	{ "GiBs",   INT64_C(1000) << 10 },
	{ "MiBmin", 60000 },
	{ "MiBs",   1000 },
	{ "MiBms",  1 },
	/* clang-format on */
};

/* The one of @factors that *p begins with, stepped over; with @whole, that *p is. */
static const struct factor *factor_take(const struct factor *factors, size_t n, const char **p,
                                        bool whole)
{
	for (size_t i = 0; i < n; i++) {
		size_t suffix_n = strlen(factors[i].suffix);

		if (strncmp(*p, factors[i].suffix, suffix_n) != 0 ||
		    (whole && (*p)[suffix_n] != '\0'))
			continue;
		*p += suffix_n;
		return &factors[i];
	}
	return NULL;
}

static int memory_time_scan(const char *text, int64_t *ret)
{
	const char *p = text + strspn(text, "0123456789");
	const struct factor *size, *time;
	char digits[24] = "";
	struct tn_error ignored;
	int64_t n = 0;

	if (strcmp(text, NOTHING) == 0) {
		*ret = 0;
		return 0;
	}
	if ((size_t)(p - text) >= sizeof(digits))
		return -ERANGE;
	memcpy(digits, text, (size_t)(p - text));
	if (digits[0] == '\0')
		return -EINVAL;
	size = factor_take(sizes, ARRAY_LEN(sizes), &p, false);
	time = size == NULL ? NULL : factor_take(times, ARRAY_LEN(times), &p, true);
	if (time == NULL || (digits[0] == '0' && digits[1] != '\0'))
		return -EINVAL;
	if (units_count_parse(digits, &n, &ignored) < 0 ||
	    __builtin_mul_overflow(n, size->factor, &n) ||
	    __builtin_mul_overflow(n, time->factor, &n) || n == POLICY_UNLIMITED)
		return -ERANGE;
	*ret = n;
	return 0;
}

static int memory_time_parse(const char *text, int64_t *ret, struct tn_error *err)
{
	int r = memory_time_scan(text, ret);

	if (r == 0)
		return 0;
	return err_parse(err, 0, "'%.64s' is %s; " TIME_EXPECTED, text,
	                 r == -ERANGE ? "out of range" : "not memory for a time");
}

static void memory_time_format(int64_t amount, char *text, size_t size)
{
	if (amount == POLICY_UNLIMITED || amount == 0) {
		(void)snprintf(text, size, "%s", amount == 0 ? NOTHING : UNLIMITED);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
		if (amount % shown[i].factor != 0)
			continue;
		(void)snprintf(text, size, "%" PRId64 "%s", amount / shown[i].factor,
		               shown[i].suffix);
		return;
	}
}

static const struct {
	int (*parse)(const char *text, int64_t *ret, struct tn_error *err);
	void (*format)(int64_t amount, char *text, size_t size);
	const char *expected;
} units[] = {
	[METER_UNIT_COUNT] = { units_count_parse, units_count_format, "a whole number" },
	[METER_UNIT_USEC] = { units_duration_parse, units_duration_format, "a time span" },
	[METER_UNIT_BYTES] = { units_bytes_parse, units_bytes_format, "a size" },
	[METER_UNIT_MIB_MSEC] = { memory_time_parse, memory_time_format, "memory for a time" },
};

int policy_amount_parse(enum meter_unit unit, const char *text, int64_t *ret)
{
	struct tn_error ignored;

	if (strcmp(text, UNLIMITED) == 0) {
		*ret = POLICY_UNLIMITED;
		return 0;
	}
	return units[unit].parse(text, ret, &ignored) < 0 ? -EINVAL : 0;
}

void policy_amount_format(enum meter_unit unit, int64_t amount, char *text, size_t size)
{
	units[unit].format(amount, text, size);
}

int amount_read(enum meter_unit unit, const struct document_node *key, int64_t min,
                bool unlimited, int64_t *ret, struct tn_error *err)
{
	const struct document_node *value = key->value;
	char least[POLICY_AMOUNT_BYTES_MAX];
	struct tn_error cause;
	int64_t n = 0;
	int r = schema_want_text(key, units[unit].expected, err);

	if (r < 0)
		return r;
	if (unlimited && strcmp(value->text, UNLIMITED) == 0) {
		*ret = POLICY_UNLIMITED;
		return 0;
	}
	/* To YAML, and to an editor with a schema, "5" is text and 5 a number. */
	if (unit == METER_UNIT_COUNT && !value->plain)
		return document_refuse(value, err,
		                       "%s: '%.64s' is quoted; expected a whole number",
		                       key->text, value->text);
	if (units[unit].parse(value->text, &n, &cause) < 0)
		return document_refuse(value, err, "%s: %s%s", key->text, cause.msg,
		                       unlimited ? ", or " UNLIMITED : "");
	if (n < min) {
		policy_amount_format(unit, min, least, sizeof(least));
		return document_refuse(value, err,
		                       "%s: '%.64s' is out of range; expected at least %s",
		                       key->text, value->text, least);
	}
	*ret = n;
	return 0;
}
