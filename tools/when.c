/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "when.h"

#include <time.h>

#include <base/clock.h>
#include <base/err.h>
#include <base/fd.h>
#include <base/num.h>
#include <policy/units.h>

static int refuse(const char *text, struct tn_error *err)
{
	return err_refuse(err, TN_INVALID,
	                  "'%s' is no time; expected 2026-01-31, 2026-01-31T12:00[:00][Z], "
	                  "@SECONDS, now, today or -SPAN",
	                  text);
}

/* The start of the local day. */
static int64_t today(void)
{
	time_t now = time(NULL);
	struct tm tm;

	if (localtime_r(&now, &tm) == NULL)
		return 0;
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	tm.tm_isdst = -1;
	return (int64_t)mktime(&tm) * CLOCK_USEC_PER_SEC;
}

static int parse_date(const char *text, int64_t *ret, struct tn_error *err)
{
	static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
		                             "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d" };

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *end = strptime(text, forms[i], &tm);
		int64_t sec;

		if (end == NULL || (*end != '\0' && strcmp(end, "Z") != 0))
			continue;
		sec = *end == 'Z' ? (int64_t)timegm(&tm) : (int64_t)mktime(&tm);
		if (sec < 0 || sec > INT64_MAX / CLOCK_USEC_PER_SEC)
			break;
		*ret = sec * CLOCK_USEC_PER_SEC;
		return 0;
	}
	return refuse(text, err);
}

int when_parse(const char *text, int64_t *ret, struct tn_error *err)
{
	int64_t now = clock_usec(CLOCK_REALTIME), n;

	if (strcmp(text, "now") == 0) {
		*ret = now;
	} else if (strcmp(text, "today") == 0) {
		*ret = today();
	} else if (text[0] == '@') {
		if (num_parse(text + 1, INT64_MAX / CLOCK_USEC_PER_SEC, &n) < 0)
			return refuse(text, err);
		*ret = n * CLOCK_USEC_PER_SEC;
	} else if (text[0] == '-') {
		if (units_duration_parse(text + 1, &n, err) < 0)
			return refuse(text, err);
		*ret = n < now ? now - n : 0;
	} else {
		return parse_date(text, ret, err);
	}
	return 0;
}
