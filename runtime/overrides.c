/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overrides.h"

#include <stdlib.h>
#include <string.h>

#include <base/fd.h>

#define LIMITS "limits."
#define QUOTAS "quotas."

static bool part_take(const char **at, const char *end, char ret[STORE_TEXT_BYTES_MAX])
{
	size_t n = strcspn(*at, end);

	if ((*at)[n] == '\0' || n >= STORE_TEXT_BYTES_MAX)
		return false;
	memcpy(ret, *at, n);
	ret[n] = '\0';
	*at += n + 1;
	return true;
}

bool overrides_next(const char **at, char key[STORE_TEXT_BYTES_MAX],
                    char value[STORE_TEXT_BYTES_MAX])
{
	return part_take(at, "=", key) && part_take(at, "\n", value);
}

/* @key as policy has it, which leaves "limits." out; NULL if that is none. */
static const char *key_of_policy(const char *key)
{
	const char *name = key;

	if (strncmp(key, LIMITS, strlen(LIMITS)) == 0)
		name = key + strlen(LIMITS);
	else if (strncmp(key, QUOTAS, strlen(QUOTAS)) != 0)
		return NULL;
	/* Nothing stands below two of them. */
	if (name != key && strchr(name, '.') != NULL)
		return NULL;
	return policy_override_key_valid(name) ? name : NULL;
}

static int key_check(const char *key, struct tn_error *err)
{
	if (key_of_policy(key) != NULL)
		return 0;
	return err_refuse(err, TN_INVALID,
	                  "'%.64s' is nothing that a tenant can have of its own; expected "
	                  "limits.KEY, with a KEY of tenantd-tier(5), or quotas.METER. and "
	                  "limit, per, enforce or on_exhaust",
	                  key);
}

/* What stands between two marks of ours holds neither. */
static int value_check(const char *key, const char *value, struct tn_error *err)
{
	size_t n = strcspn(value, "=\n");

	if (n > 0 && value[n] == '\0' && n < STORE_TEXT_BYTES_MAX)
		return 0;
	return err_refuse(err, TN_INVALID, "%s: '%.64s' is no value", key, value);
}

static int line_add(char *text, size_t *n, const char *key, const char *value,
                    struct tn_error *err)
{
	const size_t room = STORE_OVERRIDES_BYTES_MAX - *n;
	int written = snprintf(text + *n, room, "%s=%s\n", key, value);

	if (written < 0 || (size_t)written >= room)
		return err_refuse(err, TN_INVALID, "there is no room for another override");
	*n += (size_t)written;
	return 0;
}

int overrides_set(char text[STORE_OVERRIDES_BYTES_MAX], const char *key, const char *value,
                  struct tn_error *err)
{
	char old_key[STORE_TEXT_BYTES_MAX], old_value[STORE_TEXT_BYTES_MAX];
	char ret[STORE_OVERRIDES_BYTES_MAX] = "";
	const char *at = text;
	size_t n = 0;
	int r = key_check(key, err);

	if (r == 0 && value != NULL)
		r = value_check(key, value, err);
	while (r == 0 && overrides_next(&at, old_key, old_value)) {
		int order = strcmp(key, old_key);

		if (order <= 0 && value != NULL) {
			r = line_add(ret, &n, key, value, err);
			value = NULL;
		}
		if (r == 0 && order != 0)
			r = line_add(ret, &n, old_key, old_value, err);
	}
	if (r == 0 && value != NULL)
		r = line_add(ret, &n, key, value, err);
	if (r == 0)
		memcpy(text, ret, sizeof(ret));
	return r;
}

/* The lines of a tenant, taken apart. */
struct lines {
	char keys[POLICY_OVERRIDES_MAX][STORE_TEXT_BYTES_MAX];
	char values[POLICY_OVERRIDES_MAX][STORE_TEXT_BYTES_MAX];
	struct policy_override overrides[POLICY_OVERRIDES_MAX];
};

int overrides_apply(const char *text, const struct policy_meters *meters,
                    struct policy_tier *tier, struct tn_error *err)
{
	cleanup_free struct lines *lines = malloc(sizeof(*lines));
	size_t n = 0;

	if (lines == NULL)
		return err_errno(err, "limits of a tenant's own");
	while (n < POLICY_OVERRIDES_MAX &&
	       overrides_next(&text, lines->keys[n], lines->values[n])) {
		int r = key_check(lines->keys[n], err);

		if (r < 0)
			return r;
		lines->overrides[n] = (struct policy_override){ key_of_policy(lines->keys[n]),
			                                        lines->values[n] };
		n++;
	}
	return policy_tier_override(tier, lines->overrides, n, meters, err);
}
