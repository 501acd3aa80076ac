/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one place where policy becomes a specification: a tenant's tier, narrowed by what
 * a request asks for, as limits, flags and environment for tenantd, and as words for
 * people, with the source of each.
 *
 * A request narrows and never widens: one that asks for more than the tier gives is
 * refused with both figures, not cut to what is allowed.
 */
#ifndef RUNTIME_PLAN_H
#define RUNTIME_PLAN_H

#include <isolate/spec.h>
#include <policy/policy.h>

#define PLAN_ABSENT           (-1)
#define PLAN_VALUE_BYTES_MAX  64
#define PLAN_SOURCE_BYTES_MAX 128
#define PLAN_USER_BYTES_MAX   64                    /* "USER[:GROUP]", with the NUL */
#define PLAN_LIMITS_MAX       (POLICY_LIMITS_N + 1) /* kill_after has no key in a tier */
#define PLAN_KILL_AFTER_USEC  (INT64_C(10) * 1000 * 1000)

/* PLAN_ABSENT leaves what the tier gives. */
struct plan_narrowing {
	int64_t memory_max_bytes;
	int64_t cpu_quota_usec;
	int64_t tasks_max;
	int64_t runtime_usec_max;
	int64_t kill_after_usec;
	int64_t cpu_usec_max;
};

#define PLAN_NARROWING_NONE                                                                    \
	((struct plan_narrowing){ PLAN_ABSENT, PLAN_ABSENT, PLAN_ABSENT, PLAN_ABSENT,          \
	                          PLAN_ABSENT, PLAN_ABSENT })

/* One limit in words: key, value as policy files write it, and where it is set. */
struct plan_limit {
	const char *key;
	char value[PLAN_VALUE_BYTES_MAX];
	char source[PLAN_SOURCE_BYTES_MAX]; /* "tiers/free.yaml:7", "--memory", "default" */
};

struct plan {
	struct spec_tenant_limits tenant;
	struct spec_execution_limits execution;
	uint32_t flags; /* enum spec_launch_flag */
	uint32_t uid;   /* inside */
	uint32_t gid;
	struct plan_limit limits[PLAN_LIMITS_MAX];
	size_t limits_n;
	/* What ends a workload that takes too much: indexes into limits. */
	size_t memory_tightest;
	size_t runtime;
	size_t cpu_time;
};

/* The limits of a tenant's own cgroup. */
void plan_tenant_limits(const struct policy_tier *tier, struct spec_tenant_limits *ret);

/* Resolve @tier narrowed by @narrowing. TN_INVALID names what would widen. */
int plan_resolve(const struct policy_tier *tier, const struct plan_narrowing *narrowing,
                 struct plan *ret, struct tn_error *err);

/*
 * Run @plan as @user, "USER[:GROUP]": each a number below SPEC_UIDS_PER_TENANT or a name of
 * the sandbox's accounts. A number has the group of the same number. NULL: as "tenant".
 */
int plan_user(struct plan *plan, const char *user, struct tn_error *err);

/*
 * A tmpfs at @target of at most @bytes_max (PLAN_ABSENT: and by default) the memory that
 * @plan gives. @target is at most SPEC_PATH_BYTES_MAX with its NUL.
 */
int plan_tmpfs(const struct plan *plan, const char *target, int64_t bytes_max,
               struct spec_tmpfs *ret, struct tn_error *err);

/* Fill in env, env_n, env_default_n and env_bytes of @launch for @plan. */
int plan_environment(const struct plan *plan, const char *tenant, struct spec_launch *launch,
                     struct tn_error *err);

/*
 * Whether @tier lets the borrowed descriptor @fd be mounted at @target. What its path
 * is, the kernel says; that it is what everybody sees there, and not a mount of the
 * caller's own making, is checked.
 */
int plan_bind(const struct policy_tier *tier, int fd, const char *target, bool writable,
              struct tn_error *err);

#endif
