/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a tier says beside its limits, as a list: for those who show and compare policies. */
#include "values.h"

#include <stdio.h>
#include <string.h>

static const char *display_name(const struct policy_tier *tier)
{
	return tier->display_name;
}

/* Of these three there is one each that is enforced, and that is in force. */
static const char *rootfs(const struct policy_tier *tier)
{
	(void)tier;
	return "host";
}

static const char *seccomp(const struct policy_tier *tier)
{
	(void)tier;
	return "default";
}

static const char *network_mode(const struct policy_tier *tier)
{
	(void)tier;
	return "none";
}

static const char *log_to(const struct policy_tier *tier)
{
	return tier->log == POLICY_LOG_JOURNAL ? "journal" : "file";
}

static bool path_at(const char (*paths)[POLICY_PATH_BYTES_MAX],
                    const struct policy_location *where, size_t n, size_t i,
                    struct policy_value *ret)
{
	if (i >= n)
		return false;
	ret->text = paths[i];
	ret->where = where[i];
	return true;
}

static bool allow_at(const struct policy_tier *tier, size_t i, struct policy_value *ret)
{
	return path_at(tier->binds_allow, tier->binds_allow_where, tier->binds_allow_n, i, ret);
}

static bool rw_at(const struct policy_tier *tier, size_t i, struct policy_value *ret)
{
	return path_at(tier->binds_rw, tier->binds_rw_where, tier->binds_rw_n, i, ret);
}

static bool operator_at(const struct policy_tier *tier, enum account_kind kind, size_t i,
                        struct policy_value *ret)
{
	for (size_t j = 0; j < tier->operators_n; j++) {
		if (tier->operators[j].kind != kind || i-- > 0)
			continue;
		ret->text = tier->operators[j].name;
		ret->where = tier->operators[j].where;
		return true;
	}
	return false;
}

static bool user_at(const struct policy_tier *tier, size_t i, struct policy_value *ret)
{
	return operator_at(tier, ACCOUNT_USER, i, ret);
}

static bool group_at(const struct policy_tier *tier, size_t i, struct policy_value *ret)
{
	return operator_at(tier, ACCOUNT_GROUP, i, ret);
}

/* One value for each quota, under a key that has its meter. */
static bool quota_at(const struct policy_tier *tier, size_t i, struct policy_value *ret)
{
	if (i >= tier->quotas_n)
		return false;
	ret->key = tier->quotas[i].key;
	ret->text = tier->quotas[i].text;
	ret->where = tier->quotas[i].where;
	return true;
}

static const struct {
	const char *key;
	const char *(*single)(const struct policy_tier *tier); /* or, of a list, */
	bool (*member)(const struct policy_tier *tier, size_t i, struct policy_value *ret);
} rows[POLICY_KEYS_N] = {
	[POLICY_KEY_DISPLAY_NAME] = { "display_name", display_name, NULL },
	[POLICY_KEY_ROOTFS] = { "rootfs", rootfs, NULL },
	[POLICY_KEY_SECCOMP] = { "seccomp", seccomp, NULL },
	[POLICY_KEY_NETWORK_MODE] = { "network.mode", network_mode, NULL },
	[POLICY_KEY_LOG] = { "log", log_to, NULL },
	[POLICY_KEY_BINDS_ALLOW] = { "binds.allow", NULL, allow_at },
	[POLICY_KEY_BINDS_RW] = { "binds.rw", NULL, rw_at },
	[POLICY_KEY_OPERATORS_USERS] = { "operators.users", NULL, user_at },
	[POLICY_KEY_OPERATORS_GROUPS] = { "operators.groups", NULL, group_at },
	[POLICY_KEY_QUOTAS] = { "quotas", NULL, quota_at },
};

bool policy_value_at(const struct policy_tier *tier, enum policy_key key, size_t i,
                     struct policy_value *ret)
{
	ret->key = rows[key].key;
	if (rows[key].member != NULL)
		return rows[key].member(tier, i, ret);
	ret->text = rows[key].single(tier);
	ret->where = tier->single_where[key];
	return i == 0;
}

struct policy_location tier_location(const struct policy_tier *tier,
                                     const struct document_node *node)
{
	return (struct policy_location){ node->line, node->column,
		                         (uint32_t)tier->extensions_n };
}

void policy_source(const struct policy_tier *tier, const struct policy_location *where,
                   char *text, size_t size)
{
	const char *file = where->extension == 0 ? tier->file
	                                         : tier->extensions[where->extension - 1];

	if (where->line == 0)
		(void)snprintf(text, size, "default");
	else if (strcmp(file, POLICY_OVERRIDE) == 0)
		(void)snprintf(text, size, POLICY_OVERRIDE);
	else
		(void)snprintf(text, size, "%s:%u", file, where->line);
}

void policy_place(const struct policy_tier *tier, const struct policy_location *where,
                  char *text, size_t size)
{
	char source[POLICY_FILE_BYTES_MAX + 16];

	policy_source(tier, where, source, sizeof(source));
	if (where->line == 0 || strcmp(source, POLICY_OVERRIDE) == 0)
		(void)snprintf(text, size, "%s", source);
	else
		(void)snprintf(text, size, "%s:%u", source, where->column);
}
