/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One tier file (tiers/NAME.yaml): the walls and limits that a tenant of this tier
 * gets. Each value remembers where it was set, so that a refusal or a kill can name
 * the line an admin has to change.
 */
#ifndef POLICY_TIER_H
#define POLICY_TIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <base/account.h>
#include <base/err.h>
#include <base/name.h>

#include "location.h"
#include "meters.h"
#include "quotas.h"

#define POLICY_BINDS_MAX      32
#define POLICY_OPERATORS_MAX  64
#define POLICY_PATH_BYTES_MAX 256
#define POLICY_TEXT_BYTES_MAX 128
/* cpu_quota is held per this period, as cpu.max takes it. */
#define POLICY_CPU_PERIOD_USEC 100000

enum policy_oom {
	POLICY_OOM_GROUP,   /* the whole execution dies */
	POLICY_OOM_PROCESS, /* the process that the kernel picks */
};

/* Where the output of a detached execution goes. */
enum policy_log {
	POLICY_LOG_FILE, /* the last of it, log_max at most */
	POLICY_LOG_JOURNAL,
};

/* Every limit is an int64: bytes, microseconds or a count; POLICY_UNLIMITED lifts it. */
struct policy_limits {
	int64_t cpu_quota_usec; /* per POLICY_CPU_PERIOD_USEC */
	int64_t cpu_weight;     /* 1 to 10000 */
	int64_t memory_max_bytes;
	int64_t memory_high_bytes;
	int64_t memory_swap_max_bytes;
	int64_t execution_memory_max_bytes;
	int64_t tasks_max;
	int64_t executions_max;
	int64_t runtime_usec_max;
	int64_t cpu_time_usec_max;
	int64_t nofile_max;
	int64_t core_bytes_max;
	int64_t fsize_bytes_max;
	int64_t oom; /* enum policy_oom */
	int64_t log_bytes_max;
	int64_t shrink_grace_usec;
};

#define POLICY_LIMITS_N (sizeof(struct policy_limits) / sizeof(int64_t))

/* Documents that can change a tier: drop-ins, and one for what a tenant has of its own. */
#define POLICY_DROPINS_MAX    16
#define POLICY_EXTENSIONS_MAX (POLICY_DROPINS_MAX + 1)

/* What a tier has beside its limits, by key: first those that have one value. */
enum policy_key {
	POLICY_KEY_DISPLAY_NAME,
	POLICY_KEY_ROOTFS,
	POLICY_KEY_SECCOMP,
	POLICY_KEY_NETWORK_MODE,
	POLICY_KEY_LOG,
	POLICY_KEY_SINGLES_N,
	POLICY_KEY_BINDS_ALLOW = POLICY_KEY_SINGLES_N,
	POLICY_KEY_BINDS_RW,
	POLICY_KEY_OPERATORS_USERS,
	POLICY_KEY_OPERATORS_GROUPS,
	POLICY_KEY_QUOTAS,
	POLICY_KEYS_N,
};

/* A user or group of the host whose members may run and look. */
struct policy_operator {
	enum account_kind kind;
	char name[ACCOUNT_BYTES_MAX];
	struct policy_location where;
};

struct policy_tier {
	char name[NAME_BYTES_MAX];
	char display_name[POLICY_TEXT_BYTES_MAX];
	char file[POLICY_FILE_BYTES_MAX];                              /* "tiers/free.yaml" */
	char extensions[POLICY_EXTENSIONS_MAX][POLICY_FILE_BYTES_MAX]; /* the later holds */
	size_t extensions_n;
	struct policy_limits limits;
	enum policy_log log;
	/* Where each key of a limit stands, in the order of struct policy_limits. */
	struct policy_location where[POLICY_LIMITS_N];
	struct policy_location single_where[POLICY_KEY_SINGLES_N];
	/* Paths that --bind may name (they and what is below), and which of them :rw. */
	char binds_allow[POLICY_BINDS_MAX][POLICY_PATH_BYTES_MAX];
	struct policy_location binds_allow_where[POLICY_BINDS_MAX];
	size_t binds_allow_n;
	char binds_rw[POLICY_BINDS_MAX][POLICY_PATH_BYTES_MAX];
	struct policy_location binds_rw_where[POLICY_BINDS_MAX];
	size_t binds_rw_n;
	/* By name; whom the host means by it is asked elsewhere. */
	struct policy_operator operators[POLICY_OPERATORS_MAX];
	size_t operators_n;
	struct policy_quota quotas[POLICY_QUOTAS_MAX]; /* in order of the meters' names */
	size_t quotas_n;
};

/* Description of limit @i (0 to POLICY_LIMITS_N - 1), from the table that also parses it. */
const char *policy_limit_key(size_t i);

/* Limit @i of @tier as a policy file writes it ("512M", "200%", "1h", "max"). */
void policy_limit_text(const struct policy_tier *tier, size_t i, char *text, size_t size);

/* Where limit @i of @tier is set: "tiers/free.yaml:7", "override", or "default". */
void policy_limit_source(const struct policy_tier *tier, size_t i, char *text, size_t size);

/* One of them; of a list one member. */
struct policy_value {
	const char *key; /* "network.mode", "binds.allow", "quotas.tokens"; may be the tier's */
	const char *text; /* as a policy file writes it; of the tier */
	struct policy_location where;
};

/* Value @i of @key, from 0 on; false: there is none. */
bool policy_value_at(const struct policy_tier *tier, enum policy_key key, size_t i,
                     struct policy_value *ret);

/* What stands at @where of @tier: "tiers/free.yaml:7", "override", or "default". */
void policy_source(const struct policy_tier *tier, const struct policy_location *where,
                   char *text, size_t size);

/* The same with its column, where it has one: "tiers/free.yaml:7:3". */
void policy_place(const struct policy_tier *tier, const struct policy_location *where,
                  char *text, size_t size);

/*
 * Parse and check one tier file's content; @file names it in messages. @meters (borrowed) are
 * those that its quotas can be on beside the builtin ones. Further files may change it, and
 * then policy_tier_check() says whether it is whole.
 */
int policy_tier_parse(const char *file, const char *text, size_t n,
                      const struct policy_meters *meters, struct policy_tier *ret,
                      struct tn_error *err);

/*
 * Change @tier by another document: what that says holds, and to its lists of paths are added.
 * On failure @tier is as it was.
 */
int policy_tier_extend(struct policy_tier *tier, const char *file, const char *text, size_t n,
                       const struct policy_meters *meters, struct tn_error *err);

/* All that @tier is made of is read: nothing that it needs may be missing. 0, or -EINVAL. */
int policy_tier_check(const struct policy_tier *tier, struct tn_error *err);

/* The name of a document that is no file: what one tenant has of its own. */
#define POLICY_OVERRIDE "override"

/*
 * One limit of a tenant's own, "memory_max", or one key of a quota, "quotas.tokens.limit"; and
 * as a policy file writes it, "1G".
 */
struct policy_override {
	const char *key;
	const char *value;
};

/* Each limit once, and of each quota what is one word. */
#define POLICY_OVERRIDES_MAX (POLICY_LIMITS_N + 4ul * POLICY_QUOTAS_MAX)

/* Whether an override may have that key; of which meters there are nothing is known. */
bool policy_override_key_valid(const char *key);

/*
 * Change @tier by all of @overrides at once; then it is whole. TN_INVALID names the one that is
 * wrong.
 */
int policy_tier_override(struct policy_tier *tier, const struct policy_override *overrides,
                         size_t n, const struct policy_meters *meters, struct tn_error *err);

#endif
