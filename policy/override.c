/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory: what a tenant has of its own is written down as one more document, which is read as
 * every other is; so it is checked by the same tables. What is put into that is one word each,
 * lest it be more than it says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/fd.h>

#include "limits.h"
#include "quotas_read.h"

#define LIMITS_NOUN   "limits"
#define QUOTAS_NOUN   "quotas"
#define QUOTAS_PREFIX QUOTAS_NOUN "."

#define WORD_BYTES_MAX 64

static_assert(sizeof(QUOTAS_PREFIX) + METER_NAME_BYTES_MAX + sizeof(".on_exhaust") <=
                      WORD_BYTES_MAX,
              "the key of every quota fits");

static bool is_word(const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.%";

	return text[0] != '\0' && text[strspn(text, letters)] == '\0' &&
	       strlen(text) <= WORD_BYTES_MAX;
}

/* "tokens" and "limit" of "quotas.tokens.limit"; false if it is no quota's. */
static bool quota_cut(const char *key, char ret_meter[METER_NAME_BYTES_MAX],
                      const char **ret_key)
{
	const char *name = key + strlen(QUOTAS_PREFIX);
	size_t n;

	if (strncmp(key, QUOTAS_PREFIX, strlen(QUOTAS_PREFIX)) != 0)
		return false;
	n = strcspn(name, ".");
	if (name[n] == '\0' || n >= METER_NAME_BYTES_MAX)
		return false;
	memcpy(ret_meter, name, n);
	ret_meter[n] = '\0';
	*ret_key = name + n + 1;
	if (!meter_name_valid(ret_meter))
		return false;
	for (int i = 0; i < POLICY_QUOTA_KEYS_N; i++)
		if (quota_key_is_word((enum policy_quota_key)i) &&
		    strcmp(quota_key_name((enum policy_quota_key)i), *ret_key) == 0)
			return true;
	return false;
}

bool policy_override_key_valid(const char *key)
{
	char meter[METER_NAME_BYTES_MAX];
	const char *rest;

	for (size_t i = 0; i < POLICY_LIMITS_N; i++)
		if (strcmp(policy_limit_key(i), key) == 0)
			return true;
	return quota_cut(key, meter, &rest);
}

static void limits_put(FILE *file, const struct policy_override *overrides, size_t n)
{
	const char *meter_key;
	char meter[METER_NAME_BYTES_MAX];
	bool begun = false;

	for (size_t i = 0; i < n; i++) {
		if (quota_cut(overrides[i].key, meter, &meter_key))
			continue;
		(void)fprintf(file, "%s  %s: %s\n", begun ? "" : LIMITS_NOUN ":\n",
		              overrides[i].key, overrides[i].value);
		begun = true;
	}
}

/* All that is said of @meter, which is said first by override @i. */
static void quota_put(FILE *file, const char *meter, const struct policy_override *overrides,
                      size_t i, size_t n)
{
	char other[METER_NAME_BYTES_MAX];
	const char *key;

	(void)fprintf(file, "  %s:\n", meter);
	for (; i < n; i++)
		if (quota_cut(overrides[i].key, other, &key) && strcmp(other, meter) == 0)
			(void)fprintf(file, "    %s: %s\n", key, overrides[i].value);
}

/* Whether one of the first @n is of @meter, too. */
static bool was_put(const char *meter, const struct policy_override *overrides, size_t n)
{
	char other[METER_NAME_BYTES_MAX];
	const char *key;

	for (size_t i = 0; i < n; i++)
		if (quota_cut(overrides[i].key, other, &key) && strcmp(other, meter) == 0)
			return true;
	return false;
}

static void quotas_put(FILE *file, const struct policy_override *overrides, size_t n)
{
	char meter[METER_NAME_BYTES_MAX];
	bool begun = false;
	const char *key;

	for (size_t i = 0; i < n; i++) {
		if (!quota_cut(overrides[i].key, meter, &key) || was_put(meter, overrides, i))
			continue;
		(void)fprintf(file, "%s", begun ? "" : QUOTAS_NOUN ":\n");
		quota_put(file, meter, overrides, i, n);
		begun = true;
	}
}

static int words_check(const struct policy_override *overrides, size_t n, struct tn_error *err)
{
	char meter[METER_NAME_BYTES_MAX];
	const char *key;

	if (n > POLICY_OVERRIDES_MAX)
		return err_refuse(err, TN_INVALID, "%zu overrides; expected at most %zu", n,
		                  (size_t)POLICY_OVERRIDES_MAX);
	for (size_t i = 0; i < n; i++) {
		if (!is_word(overrides[i].key) || !is_word(overrides[i].value))
			return err_refuse(err, TN_INVALID,
			                  POLICY_OVERRIDE ": '%.64s: %.64s' is no limit",
			                  overrides[i].key, overrides[i].value);
		if (strchr(overrides[i].key, '.') != NULL &&
		    !quota_cut(overrides[i].key, meter, &key))
			return err_refuse(
				err, TN_INVALID,
				POLICY_OVERRIDE
				": '%.64s' is no key of a quota; expected " QUOTAS_PREFIX
				"METER. and limit, per, enforce or "
				"on_exhaust",
				overrides[i].key);
	}
	return 0;
}

/* All of @overrides as a document; *ret is the caller's to free. */
static int document_write(const struct policy_override *overrides, size_t n, char **ret,
                          size_t *ret_n, struct tn_error *err)
{
	FILE *file = open_memstream(ret, ret_n);

	if (file == NULL)
		return err_errno(err, "limits of a tenant's own");
	limits_put(file, overrides, n);
	quotas_put(file, overrides, n);
	return fclose(file) == 0 ? 0 : err_errno(err, "limits of a tenant's own");
}

int policy_tier_override(struct policy_tier *tier, const struct policy_override *overrides,
                         size_t n, const struct policy_meters *meters, struct tn_error *err)
{
	cleanup_free struct policy_tier *changed = NULL;
	cleanup_free char *text = NULL;
	size_t text_n = 0;
	int r = words_check(overrides, n, err);

	if (r < 0 || n == 0)
		return r;
	r = document_write(overrides, n, &text, &text_n, err);
	if (r < 0)
		return r;
	changed = malloc(sizeof(*changed));
	if (changed == NULL)
		return err_errno(err, "limits of a tenant's own");
	*changed = *tier;
	r = policy_tier_extend(changed, POLICY_OVERRIDE, text, text_n, meters, err);
	if (r == 0)
		r = policy_tier_check(changed, err);
	if (r == 0)
		*tier = *changed;
	return r;
}
