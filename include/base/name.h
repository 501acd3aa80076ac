/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BASE_NAME_H
#define BASE_NAME_H

#include <stdbool.h>
#include <string.h>

#include <base/id.h>

#define NAME_BYTES_MAX 64 /* with the NUL */
#define NAME_RULE                                                                              \
	"1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit, not ending in '-', "   \
	"and no UUID"

/*
 * A tenant's name is also its cgroup's and its host name, so the rule is checked
 * again on every floor that makes one of these of it. A UUID is no name: where a tenant
 * is asked for by either, it would mean another.
 */
static inline bool name_valid(const char *name)
{
	size_t n = strnlen(name, NAME_BYTES_MAX);
	struct id id;

	return n > 0 && n < NAME_BYTES_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n && name[0] != '-' &&
	       name[n - 1] != '-' && id_parse(name, &id) < 0;
}

#endif
