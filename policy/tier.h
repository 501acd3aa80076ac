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

#include <base/err.h>
#include <base/name.h>

#define POLICY_UNLIMITED      INT64_MAX
#define POLICY_BINDS_MAX      32
#define POLICY_PATH_BYTES_MAX 256
#define POLICY_FILE_BYTES_MAX 96
#define POLICY_TEXT_BYTES_MAX 128
/* cpu_quota is held per this period, as cpu.max takes it. */
#define POLICY_CPU_PERIOD_USEC 100000

enum policy_oom {
	POLICY_OOM_GROUP,   /* the whole execution dies */
	POLICY_OOM_PROCESS, /* the process that the kernel picks */
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
};

#define POLICY_LIMITS_N (sizeof(struct policy_limits) / sizeof(int64_t))

/* "tiers/free.yaml:7:3"; line 0: the documented default applies. */
struct policy_location {
	uint32_t line;
	uint32_t column;
	uint32_t extension; /* 0: the tier's own file; else the one of that number, from 1 */
};

/* Documents that can change a tier: drop-ins, and one for what a tenant has of its own. */
#define POLICY_DROPINS_MAX    16
#define POLICY_EXTENSIONS_MAX (POLICY_DROPINS_MAX + 1)

struct policy_tier {
	char name[NAME_BYTES_MAX];
	char display_name[POLICY_TEXT_BYTES_MAX];
	char file[POLICY_FILE_BYTES_MAX];                              /* "tiers/free.yaml" */
	char extensions[POLICY_EXTENSIONS_MAX][POLICY_FILE_BYTES_MAX]; /* the later holds */
	size_t extensions_n;
	struct policy_limits limits;
	/* Where each key of a limit stands, in the order of struct policy_limits. */
	struct policy_location where[POLICY_LIMITS_N];
	/* Paths that --bind may name (they and what is below), and which of them :rw. */
	char binds_allow[POLICY_BINDS_MAX][POLICY_PATH_BYTES_MAX];
	size_t binds_allow_n;
	char binds_rw[POLICY_BINDS_MAX][POLICY_PATH_BYTES_MAX];
	size_t binds_rw_n;
};

/* Description of limit @i (0 to POLICY_LIMITS_N - 1), from the table that also parses it. */
const char *policy_limit_key(size_t i);

/* Limit @i of @tier as a policy file writes it ("512M", "200%", "1h", "max"). */
void policy_limit_text(const struct policy_tier *tier, size_t i, char *text, size_t size);

/* Where limit @i of @tier is set: "tiers/free.yaml:7", "override", or "default". */
void policy_limit_source(const struct policy_tier *tier, size_t i, char *text, size_t size);

/* Parse and check one tier file's content; @file names it in messages. */
int policy_tier_parse(const char *file, const char *text, size_t n, struct policy_tier *ret,
                      struct tn_error *err);

/*
 * Change @tier by another document: what that says holds, and to its lists of paths are added.
 * On failure @tier is as it was.
 */
int policy_tier_extend(struct policy_tier *tier, const char *file, const char *text, size_t n,
                       struct tn_error *err);

/* The name of a document that is no file: what one tenant has of its own. */
#define POLICY_OVERRIDE "override"

/* One limit of a tenant's own: "memory_max", and as a policy file writes it, "1G". */
struct policy_override {
	const char *key;
	const char *value;
};

/* Change @tier by all of @overrides at once. TN_INVALID names the one that is wrong. */
int policy_tier_override(struct policy_tier *tier, const struct policy_override *overrides,
                         size_t n, struct tn_error *err);

#endif
