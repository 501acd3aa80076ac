/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantd.yaml: what the admin says of the node itself and of the daemon, whoever its tenants
 * are. A file that is not there says nothing, and everything has a default.
 */
#ifndef POLICY_DAEMON_H
#define POLICY_DAEMON_H

#include "tier.h"

#define POLICY_DAEMON_FILE "tenantd.yaml"

/* Every setting is an int64: bytes or microseconds; POLICY_UNLIMITED is for ever. */
struct policy_daemon_settings {
	int64_t commit_window_usec;
	int64_t sample_interval_usec;
	int64_t retention_executions_usec;
	int64_t retention_events_usec;
	int64_t reserve_memory_bytes;
	int64_t reserve_cpu_usec; /* per POLICY_CPU_PERIOD_USEC; 0: none */
};

#define POLICY_DAEMON_N (sizeof(struct policy_daemon_settings) / sizeof(int64_t))

struct policy_daemon {
	struct policy_daemon_settings settings;
	/* Where each stands, in the order of struct policy_daemon_settings. */
	struct policy_location where[POLICY_DAEMON_N];
};

/* Nothing is said: the defaults. */
void policy_daemon_reset(struct policy_daemon *daemon);

/* Parse and check the file's content; @file names it in messages. */
int policy_daemon_parse(const char *file, const char *text, size_t n, struct policy_daemon *ret,
                        struct tn_error *err);

/* Description of setting @i (0 to POLICY_DAEMON_N - 1): "retention.executions". */
const char *policy_daemon_key(size_t i);

/* Setting @i as the file writes it, and where it is set: "tenantd.yaml:7" or "default". */
void policy_daemon_text(const struct policy_daemon *daemon, size_t i, char *text, size_t size);
void policy_daemon_source(const struct policy_daemon *daemon, size_t i, char *text,
                          size_t size);

#endif
