/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bounds_value.h"

#include <stdlib.h>
#include <string.h>

int64_t bounds_value(const char *text, const char *key, int64_t fallback)
{
	size_t n = strlen(key);

	for (const char *line = text; line != NULL && *line != '\0';) {
		const char *value = line + strspn(line, " \t");

		if (strncmp(value, key, n) == 0 && strspn(value + n, " \t=") > 0) {
			const char *digits = value + n + strspn(value + n, " \t=");
			char *end;
			long long number = strtoll(digits, &end, 10);

			if (end != digits && number >= 0)
				return number;
		}
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
	return fallback;
}
