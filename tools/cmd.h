/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commands of tenantctl. Each is a function and a row in a table; all of them share
 * one struct of options, of which each takes those that its row lists.
 */
#ifndef TOOLS_CMD_H
#define TOOLS_CMD_H

#include <tenant/client.h>

#include "options.h"

#define CMD_PAIRS_MAX    64
#define CMD_OPERANDS_MAX 4096

struct ctl {
	struct tn_client *client; /* NULL for what needs no daemon */
	char **operands;
	int operands_n;

	const char *socket;
	bool json, help, version;
	int failed_status; /* of the command if it fails; 0: as the error has it */
	const char *display_name, *tier, *status;
	const char *time_zone, *currency, *customer_id;
	int64_t billing_day; /* 0: not said */
	int64_t if_version;  /* 0: not said */
	struct cmd_pairs {
		struct tn_pair items[CMD_PAIRS_MAX];
		char *texts[CMD_PAIRS_MAX]; /* owned; what the pairs point into */
		size_t n;
	} metadata, overrides;
	bool all, force, wait;
	const char *all_of; /* a tenant */
	int64_t signal;     /* 0: not said */
	int64_t grace_usec; /* TN_ABSENT: not said */
	int64_t since, until;
	const char *config; /* directory of the policy */
};

/* Returns the exit status, or -errno and what went wrong in *err. Prints to stdout. */
typedef int cmd_fn(struct ctl *ctl, struct tn_error *err);

cmd_fn cmd_create, cmd_update, cmd_suspend, cmd_resume, cmd_delete, cmd_list, cmd_show;
cmd_fn cmd_ps, cmd_wait, cmd_kill, cmd_usage;
cmd_fn cmd_policy_check, cmd_policy_show, cmd_policy_diff, cmd_policy_reload;
cmd_fn cmd_policy_history, cmd_policy_rollback, cmd_policy_export;
cmd_fn cmd_status, cmd_drain, cmd_undrain, cmd_doctor;

/* Add KEY=VALUE to the metadata, or the overrides, of @target, a struct ctl. */
int cmd_add_metadata(void *target, const char *argument, struct tn_error *err);
int cmd_add_override(void *target, const char *argument, struct tn_error *err);
/* The same of metadata that a tenant must have: KEY alone is any value. */
int cmd_want_metadata(void *target, const char *argument, struct tn_error *err);
/* Have KEY taken out of them. */
int cmd_drop_metadata(void *target, const char *argument, struct tn_error *err);
int cmd_drop_override(void *target, const char *argument, struct tn_error *err);

void cmd_pairs_done(struct cmd_pairs *pairs);

#endif
