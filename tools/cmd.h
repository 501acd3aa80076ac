/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commands of tenantctl. Each is a function and a row in a table; all of them share
 * one struct of options, of which each takes those that its row lists.
 */
#ifndef TOOLS_CMD_H
#define TOOLS_CMD_H

#include <tenant/client.h>

#include <policy/tier.h>

#include "environment.h"
#include "options.h"

#define CMD_PAIRS_MAX    64
#define CMD_OPERANDS_MAX 4096
#define CMD_TEXTS_MAX    64

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
	struct cmd_texts {
		const char *items[CMD_TEXTS_MAX]; /* of the command line */
		size_t n;
	} operators, no_operators;
	bool all, force, wait, follow, timestamps, verify, totals, csv, no_stream;
	const char *period;    /* of a bill: "2026-11"; NULL: the present one */
	const char *by;        /* hour, day, week, month, execution */
	const char *all_of;    /* a tenant */
	int64_t signal;        /* 0: not said */
	int64_t grace_usec;    /* TN_ABSENT: not said */
	int64_t interval_usec; /* 0: not said */
	const char *key, *of_execution;
	int64_t expires_usec; /* 0: not said */
	bool durable;
	int64_t since, until;
	const char *config; /* directory of the policy */
	/* Directories of the daemon, and whom its unprivileged half runs as; NULL: the usual.
	 */
	const char *state_dir, *libexec_dir;
	const char *user; /* that, or of a command */
	bool interactive, tty, quiet, verbose;
	const char *workdir;
	struct environment env;
	bool no_stdin, logs;
	const char *sig_proxy;         /* "yes", "no" */
	char execution[ID_TEXT_BYTES]; /* see cmd_execution_id() */
};

/*
 * The id of the execution that the first operand means. By that it is still the same one when
 * it is asked for again, whatever has its name by then. NULL, and what is wrong with it.
 */
const char *cmd_execution_id(struct ctl *ctl, struct tn_error *err);

/* Returns the exit status, or -errno and what went wrong in *err. Prints to stdout. */
typedef int cmd_fn(struct ctl *ctl, struct tn_error *err);

cmd_fn cmd_create, cmd_update, cmd_suspend, cmd_resume, cmd_delete, cmd_list, cmd_show;
cmd_fn cmd_ps, cmd_wait, cmd_logs, cmd_exec, cmd_attach, cmd_kill, cmd_usage, cmd_stats,
	cmd_events;
cmd_fn cmd_policy_check, cmd_policy_show, cmd_policy_diff, cmd_policy_reload;
cmd_fn cmd_policy_history, cmd_policy_rollback, cmd_policy_export, cmd_policy_edit;
cmd_fn cmd_policy_schema;
cmd_fn cmd_quota_show, cmd_quota_check, cmd_quota_consume, cmd_quota_reserve, cmd_quota_commit;
cmd_fn cmd_quota_release, cmd_quota_acquire, cmd_quota_set;
cmd_fn cmd_bill;
cmd_fn cmd_backup, cmd_restore, cmd_cp;
cmd_fn cmd_status, cmd_drain, cmd_undrain, cmd_doctor;

/* Add KEY=VALUE to the metadata, or the overrides, of @target, a struct ctl. */
int cmd_add_metadata(void *target, const char *argument, struct tn_error *err);
int cmd_add_override(void *target, const char *argument, struct tn_error *err);
/* Set a variable of the command's. */
int cmd_add_variable(void *target, const char *argument, struct tn_error *err);
/* The same of metadata that a tenant must have: KEY alone is any value. */
int cmd_want_metadata(void *target, const char *argument, struct tn_error *err);
/* Have KEY taken out of them. */
int cmd_drop_metadata(void *target, const char *argument, struct tn_error *err);
int cmd_drop_override(void *target, const char *argument, struct tn_error *err);

/* Add user:NAME or group:NAME to the operators, or to those that are to be none any more. */
int cmd_add_operator(void *target, const char *argument, struct tn_error *err);
int cmd_drop_operator(void *target, const char *argument, struct tn_error *err);

/* TN_INVALID, with its place, for an operator of @tier whom this host does not know. */
int cmd_policy_accounts(const struct policy_tier *tier, struct tn_error *err);

/* The whole text of a policy's file, the caller's. */
int cmd_policy_text(const char *path, char **ret, size_t *ret_n, struct tn_error *err);

void cmd_pairs_done(struct cmd_pairs *pairs);

#endif
