/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "csv.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <tenant/types.h>

void csv_instant(int64_t unix_usec)
{
	const time_t seconds = (time_t)(unix_usec / CLOCK_USEC_PER_SEC);
	const int usec = (int)(unix_usec % CLOCK_USEC_PER_SEC);
	struct tm tm;
	char text[32];

	if (unix_usec == TN_ABSENT)
		return;
	(void)gmtime_r(&seconds, &tm);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)printf(usec != 0 ? "%s.%06dZ" : "%sZ", text, usec);
}

void csv_text(const char *text)
{
	if (text == NULL)
		return;
	if (text[strcspn(text, ",\"\n")] == '\0') {
		(void)fputs(text, stdout);
		return;
	}
	(void)putchar('"');
	for (; *text != '\0'; text++) {
		if (*text == '"')
			(void)putchar('"');
		(void)putchar(*text);
	}
	(void)putchar('"');
}
