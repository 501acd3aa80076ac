/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tier.h"

#include <stdlib.h>
#include <string.h>

#include <base/fd.h>

#include "binds.h"
#include "document.h"
#include "json_schema.h"
#include "limits.h"
#include "operators.h"
#include "quotas_read.h"
#include "schema.h"
#include "values.h"

#define FILE_SUFFIX ".yaml"

static void document_freep(struct document **document)
{
	(void)document_free(*document);
}

/* "free" of "tiers/free.yaml": *n letters from the returned one. */
static const char *file_base(const char *file, size_t *n)
{
	const char *slash = strrchr(file, '/');
	const char *base = slash != NULL ? slash + 1 : file;
	size_t suffix_n = strlen(FILE_SUFFIX);

	*n = strlen(base);
	if (*n > suffix_n && strcmp(base + *n - suffix_n, FILE_SUFFIX) == 0)
		*n -= suffix_n;
	return base;
}

static int set_name(struct policy_tier *tier, const struct document_node *key,
                    struct tn_error *err)
{
	const struct document_node *value = key->value;
	const char *base;
	size_t n;
	int r = schema_want_text(key, "the tier's name", err);

	if (r < 0)
		return r;
	if (!name_valid(value->text))
		return document_refuse(value, err,
		                       "tier: '%.64s' is not a name; expected " NAME_RULE,
		                       value->text);
	/* One name for the tier and its file: two files cannot claim the same. */
	if (tier->name[0] != '\0') {
		if (strcmp(tier->name, value->text) == 0)
			return 0;
		return document_refuse(value, err,
		                       "tier: '%.64s' is not the tier that this changes; "
		                       "expected %s",
		                       value->text, tier->name);
	}
	base = file_base(tier->file, &n);
	if (strlen(value->text) != n || memcmp(value->text, base, n) != 0)
		return document_refuse(value, err,
		                       "tier: '%.64s' is not the file's name; expected %.*s",
		                       value->text, (int)n, base);
	memcpy(tier->name, value->text, n + 1);
	return 0;
}

static int set_display_name(struct policy_tier *tier, const struct document_node *key,
                            struct tn_error *err)
{
	const struct document_node *value = key->value;
	int r = schema_want_text(key, "a line of text", err);

	if (r < 0)
		return r;
	if (strlen(value->text) >= sizeof(tier->display_name))
		return document_refuse(value, err,
		                       "display_name: too long; expected at most %zu bytes",
		                       sizeof(tier->display_name) - 1);
	for (const char *p = value->text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return document_refuse(
				value, err,
				"display_name: control characters; expected a line of text");
	memcpy(tier->display_name, value->text, strlen(value->text) + 1);
	tier->single_where[POLICY_KEY_DISPLAY_NAME] = tier_location(tier, key);
	return 0;
}

static int set_limits(struct policy_tier *tier, const struct document_node *key,
                      struct tn_error *err)
{
	return limits_read(tier, key->value, err);
}

static const char *const rootfs_choices[] = { "host", NULL };
static const char *const seccomp_choices[] = { "default", NULL };
static const char *const mode_choices[] = { "none", NULL };
static const char *const log_choices[] = {
	[POLICY_LOG_FILE] = "file", [POLICY_LOG_JOURNAL] = "journal", NULL
};

/* The value of @key is one of @choices. */
static int single_choice(struct policy_tier *tier, enum policy_key which,
                         const struct document_node *key, const char *const *choices,
                         struct tn_error *err)
{
	const int choice = schema_want_choice(key, choices, err);

	if (choice < 0)
		return choice;
	if (which == POLICY_KEY_LOG)
		tier->log = (enum policy_log)choice;
	tier->single_where[which] = tier_location(tier, key);
	return 0;
}

static int set_rootfs(struct policy_tier *tier, const struct document_node *key,
                      struct tn_error *err)
{
	return single_choice(tier, POLICY_KEY_ROOTFS, key, rootfs_choices, err);
}

static int set_seccomp(struct policy_tier *tier, const struct document_node *key,
                       struct tn_error *err)
{
	return single_choice(tier, POLICY_KEY_SECCOMP, key, seccomp_choices, err);
}

static const char *network_key(size_t i)
{
	(void)i;
	return "mode";
}

static int network_set(void *target, size_t i, const struct document_node *key,
                       struct tn_error *err)
{
	(void)i;
	return single_choice(target, POLICY_KEY_NETWORK_MODE, key, mode_choices, err);
}

static int set_network(struct policy_tier *tier, const struct document_node *key,
                       struct tn_error *err)
{
	static const struct schema schema = {
		.noun = "network",
		.keys_n = 1,
		.key = network_key,
		.set = network_set,
	};

	return schema_walk(&schema, key->value, tier, err);
}

static int set_binds(struct policy_tier *tier, const struct document_node *key,
                     struct tn_error *err)
{
	return binds_read(tier, key->value, err);
}

static int set_operators(struct policy_tier *tier, const struct document_node *key,
                         struct tn_error *err)
{
	return operators_read(tier, key->value, err);
}

static int set_log(struct policy_tier *tier, const struct document_node *key,
                   struct tn_error *err)
{
	return single_choice(tier, POLICY_KEY_LOG, key, log_choices, err);
}

/* The keys of a tier file. */
static const struct tier_row {
	const char *key;
	/* NULL of quotas, which need to know what meters there are. */
	int (*set)(struct policy_tier *tier, const struct document_node *key,
	           struct tn_error *err);
	const char *about;
	const char *const *choices; /* all it may be, NULL-ended; or */
	const char *schema;         /* what it may be, as members of a JSON Schema; or */
	enum tier_shape shape;      /* what that is made of */
} rows[] = {
	/* clang-format off */
	{ "tier",         set_name,         "its name, and that of its file; required", NULL,
	  "\"type\": \"string\", \"pattern\": \"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$\"", TIER_VALUE },
	{ "display_name", set_display_name, "the name that people see; default: tier", NULL,
	  "\"type\": \"string\", \"minLength\": 1, \"maxLength\": 127", TIER_VALUE },
	{ "limits",       set_limits,       "what its tenants and their executions may use", NULL,
	  NULL, TIER_LIMITS },
	{ "quotas",       NULL,             "how much its tenants may use in a period, or have",
	  NULL, NULL, TIER_QUOTAS },
	{ "rootfs",       set_rootfs,       "what a sandbox sees as /: host", rootfs_choices,
	  NULL, TIER_VALUE },
	{ "seccomp",      set_seccomp,      "the system calls that may be made: default",
	  seccomp_choices, NULL, TIER_VALUE },
	{ "network",      set_network,      "mode: none, a loopback interface and no other",
	  mode_choices, NULL, TIER_MODE },
	{ "binds",        set_binds,        "host paths that may be bound; default: none", NULL,
	  NULL, TIER_BINDS },
	{ "log",          set_log,          "detached output goes to: file or journal",
	  log_choices, NULL, TIER_VALUE },
	{ "operators",    set_operators,    "users and groups that may run and look; default: none",
	  NULL, NULL, TIER_OPERATORS },
	/* clang-format on */
};

bool tier_row_at(size_t i, struct tier_row_about *ret)
{
	if (i >= ARRAY_LEN(rows))
		return false;
	*ret = (struct tier_row_about){ rows[i].key, rows[i].about, rows[i].choices,
		                        rows[i].schema, rows[i].shape };
	return true;
}

static const char *tier_key(size_t i)
{
	return rows[i].key;
}

/* A tier that a document is read into. */
struct reading {
	struct policy_tier *tier;
	const struct policy_meters *meters;
};

static int tier_set(void *target, size_t i, const struct document_node *key,
                    struct tn_error *err)
{
	const struct reading *reading = target;

	if (rows[i].shape == TIER_QUOTAS)
		return quotas_read(reading->tier, reading->meters, key->value, err);
	return rows[i].set(reading->tier, key, err);
}

static int tier_read(struct policy_tier *tier, const struct policy_meters *meters,
                     const struct document_node *root, struct tn_error *err)
{
	static const struct schema schema = {
		.keys_n = ARRAY_LEN(rows),
		.key = tier_key,
		.set = tier_set,
	};
	struct reading reading = { tier, meters };
	int r = schema_walk(&schema, root, &reading, err);

	if (r < 0)
		return r;
	if (tier->name[0] == '\0') {
		size_t n;
		const char *base = file_base(tier->file, &n);

		return document_refuse(root, err,
		                       "key 'tier' is missing; expected 'tier: %.*s'", (int)n,
		                       base);
	}
	if (tier->display_name[0] == '\0')
		memcpy(tier->display_name, tier->name, sizeof(tier->name));
	limits_finish(tier);
	return 0;
}

static int file_name_check(const char *file, struct tn_error *err)
{
	if (strlen(file) < POLICY_FILE_BYTES_MAX)
		return 0;
	return err_refuse(err, TN_INVALID, "%.64s...: file name too long; expected at most %d",
	                  file, POLICY_FILE_BYTES_MAX - 1);
}

static_assert(NAME_BYTES_MAX <= POLICY_TEXT_BYTES_MAX, "a name serves as display name");

int policy_tier_parse(const char *file, const char *text, size_t n,
                      const struct policy_meters *meters, struct policy_tier *ret,
                      struct tn_error *err)
{
	__attribute__((cleanup(document_freep))) struct document *document = NULL;
	cleanup_free struct policy_tier *tier = calloc(1, sizeof(*tier));
	int r;

	if (tier == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "parse %s", file);
	r = file_name_check(file, err);
	if (r < 0)
		return r;
	memcpy(tier->file, file, strlen(file) + 1);
	limits_reset(tier);

	r = document_parse(tier->file, text, n, &document, err);
	if (r < 0)
		return r;
	r = tier_read(tier, meters, document_root(document), err);
	if (r < 0)
		return r;
	*ret = *tier;
	return 0;
}

int policy_tier_extend(struct policy_tier *tier, const char *file, const char *text, size_t n,
                       const struct policy_meters *meters, struct tn_error *err)
{
	__attribute__((cleanup(document_freep))) struct document *document = NULL;
	cleanup_free struct policy_tier *changed = malloc(sizeof(*changed));
	char *name;
	int r = file_name_check(file, err);

	if (r < 0)
		return r;
	if (changed == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "parse %s", file);
	if (tier->extensions_n == POLICY_EXTENSIONS_MAX)
		return err_refuse(err, TN_INVALID, "%s: one file too many that changes %s",
		                  file, tier->name);
	*changed = *tier;
	name = changed->extensions[changed->extensions_n++];
	memcpy(name, file, strlen(file) + 1);
	r = document_parse(name, text, n, &document, err);
	if (r == 0)
		r = tier_read(changed, meters, document_root(document), err);
	if (r == 0)
		*tier = *changed;
	return r;
}

int policy_tier_check(const struct policy_tier *tier, struct tn_error *err)
{
	return quotas_check(tier, err);
}
