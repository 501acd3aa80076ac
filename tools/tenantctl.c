/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantctl: what an administrator asks of tenantd. A table of commands over libtenant;
 * `policy check` and `doctor` work without a daemon.
 */
#include <signal.h>
#include <stdlib.h>

#include <base/err.h>
#include <base/fd.h>
#include <base/nearest.h>
#include <base/num.h>
#include <policy/units.h>

#include "cmd.h"
#include "exit_status.h"
#include "output.h"
#include "signal_name.h"
#include "when.h"

#define AT(member) offsetof(struct ctl, member)

#define ROW_JSON                                                                               \
	{                                                                                      \
		0, "json", NULL, "show JSON", OPTION_FLAG, AT(json), NULL, NULL                \
	}
#define ROW_HELP                                                                               \
	{                                                                                      \
		'h', "help", NULL, "show this", OPTION_FLAG, AT(help), NULL, NULL              \
	}
#define ROW_SOCKET                                                                             \
	{                                                                                      \
		0, "socket", "PATH", "tenantd's socket; " TN_SOCKET_PATH " unless told",       \
			OPTION_TEXT, AT(socket), NULL, NULL                                    \
	}
#define COMMON ROW_JSON, ROW_SOCKET, ROW_HELP

static const struct option_row global_rows[] = {
	COMMON,
	{ 0, "version", NULL, "show the version", OPTION_FLAG, AT(version), NULL, NULL },
};
static const struct option_row common_rows[] = { COMMON };
static const struct option_row offline_rows[] = { ROW_JSON, ROW_HELP };
/* clang-format off */
#define TENANT_ROWS                                                                            \
	{ 0, "display-name", "TEXT", "what people call the tenant", OPTION_TEXT,               \
	  AT(display_name), NULL, NULL },                                                      \
	{ 0, "tier", "TIER", "the tier whose limits apply", OPTION_TEXT, AT(tier), NULL,       \
	  NULL },                                                                              \
	{ 0, "meta", "KEY=VALUE", "something to remember; may be repeated", OPTION_CALL, 0,    \
	  NULL, cmd_add_metadata },                                                            \
	{ 0, "set", "limits.KEY=VALUE", "a limit of its own, as in tenantd-tier(5)",           \
	  OPTION_CALL, 0, NULL, cmd_add_override },                                            \
	{ 0, "operator", "user:NAME|group:NAME", "who may run and look; may be repeated",      \
	  OPTION_CALL, 0, NULL, cmd_add_operator },                                            \
	{ 0, "billing-day", "DAY", "of the month on which a period begins, 1 to 31",           \
	  OPTION_NUMBER, AT(billing_day), day_parse, NULL },                                   \
	{ 0, "time-zone", "ZONE", "whose midnight that is: Europe/Berlin", OPTION_TEXT,        \
	  AT(time_zone), NULL, NULL },                                                         \
	{ 0, "currency", "CODE", "of its bills, as ISO 4217 has it: EUR", OPTION_TEXT,         \
	  AT(currency), NULL, NULL },                                                          \
	{ 0, "customer", "ID", "what your billing calls it", OPTION_TEXT, AT(customer_id),     \
	  NULL, NULL }
/* clang-format on */

#define BILLING_DAY_MAX 31

static int day_parse(const char *text, int64_t *ret, struct tn_error *err)
{
	if (num_parse(text, BILLING_DAY_MAX, ret) < 0 || *ret == 0)
		return err_refuse(err, TN_INVALID,
		                  "'%s' is no day of a month; expected 1 to 31", text);
	return 0;
}

#define INTERVAL_USEC_MIN 100000
#define INTERVAL_USEC_MAX INT64_C(86400000000)

static int interval_parse(const char *text, int64_t *ret, struct tn_error *err)
{
	int r = units_duration_parse(text, ret, err);

	if (r == 0 && (*ret < INTERVAL_USEC_MIN || *ret > INTERVAL_USEC_MAX))
		r = err_refuse(err, TN_INVALID, "'%s' is no interval; expected 100ms to 1d",
		               text);
	return r;
}

static int version_parse(const char *text, int64_t *ret, struct tn_error *err)
{
	if (num_parse(text, INT64_MAX, ret) < 0 || *ret == 0)
		return err_refuse(err, TN_INVALID,
		                  "'%s' is no version; expected a number from 1, as show "
		                  "tells it",
		                  text);
	return 0;
}

static int seq_parse(const char *text, int64_t *ret, struct tn_error *err)
{
	if (num_parse(text, INT64_MAX, ret) < 0)
		return err_refuse(err, TN_INVALID,
		                  "'%s' is no number of an event; expected one as events tells "
		                  "it, or 0",
		                  text);
	return 0;
}

static const struct option_row create_rows[] = { TENANT_ROWS, COMMON };
static const struct option_row update_rows[] = {
	TENANT_ROWS,
	{ 0, "no-meta", "KEY", "forget it; may be repeated", OPTION_CALL, 0, NULL,
	  cmd_drop_metadata },
	{ 0, "unset", "limits.KEY", "the tier's again; may be repeated", OPTION_CALL, 0, NULL,
	  cmd_drop_override },
	{ 0, "no-operator", "user:NAME|group:NAME", "who may no more; may be repeated",
	  OPTION_CALL, 0, NULL, cmd_drop_operator },
	{ 'f', "force", NULL, "a memory_max below what is in use kills", OPTION_FLAG, AT(force),
	  NULL, NULL },
	{ 0, "if-version", "N", "only if it still has this version", OPTION_NUMBER,
	  AT(if_version), version_parse, NULL },
	COMMON,
};
static const struct option_row delete_rows[] = {
	{ 'f', "force", NULL, "end what runs and remove what is stored", OPTION_FLAG, AT(force),
	  NULL, NULL },
	COMMON,
};
static const struct option_row reload_rows[] = {
	{ 'f', "force", NULL, "less memory than a tenant uses kills in it", OPTION_FLAG,
	  AT(force), NULL, NULL },
	COMMON,
};
static const struct option_row list_rows[] = {
	{ 0, "status", "STATUS", "only those: active, suspended, ...", OPTION_TEXT, AT(status),
	  NULL, NULL },
	{ 0, "tier", "TIER", "only those of the tier", OPTION_TEXT, AT(tier), NULL, NULL },
	{ 0, "meta", "KEY[=VALUE]", "only those with that; may be repeated", OPTION_CALL, 0,
	  NULL, cmd_want_metadata },
	COMMON,
};
static const struct option_row ps_rows[] = {
	{ 'a', "all", NULL, "also those that have ended", OPTION_FLAG, AT(all), NULL, NULL },
	COMMON,
};
static const struct option_row kill_rows[] = {
	{ 'a', "all", "TENANT", "all that run for a tenant", OPTION_TEXT, AT(all_of), NULL,
	  NULL },
	{ 's', "signal", "SIGNAL", "send this instead: TERM, HUP, 10, ...", OPTION_NUMBER,
	  AT(signal), signal_name_parse, NULL },
	{ 0, "grace", "DURATION", "TERM or that signal first; kill what runs on so long",
	  OPTION_NUMBER, AT(grace_usec), units_duration_parse, NULL },
	COMMON,
};
static const struct option_row exec_rows[] = {
	{ 'i', "interactive", NULL, "pass standard input on, as is done in any case",
	  OPTION_FLAG, AT(interactive), NULL, NULL },
	{ 't', "tty", NULL, "give it a terminal of the sandbox's own", OPTION_FLAG, AT(tty),
	  NULL, NULL },
	{ 'e', "env", "NAME[=VALUE]", "set a variable; without a value, to what it is here",
	  OPTION_CALL, 0, NULL, cmd_add_variable },
	{ 'w', "workdir", "DIR", "start in this directory of the sandbox", OPTION_TEXT,
	  AT(workdir), NULL, NULL },
	{ 'u', "user", "USER[:GROUP]", "as this user of the sandbox; else as what runs there",
	  OPTION_TEXT, AT(user), NULL, NULL },
	{ 'q', "quiet", NULL, "do not say why it ended", OPTION_FLAG, AT(quiet), NULL, NULL },
	{ 'v', "verbose", NULL, "say by which id it runs", OPTION_FLAG, AT(verbose), NULL,
	  NULL },
	COMMON,
};
static const struct option_row attach_rows[] = {
	{ 0, "logs", NULL, "first what it has written before", OPTION_FLAG, AT(logs), NULL,
	  NULL },
	{ 0, "sig-proxy", "yes|no", "whether signals are passed on; yes unless told",
	  OPTION_TEXT, AT(sig_proxy), NULL, NULL },
	{ 0, "no-stdin", NULL, "pass no standard input on, as in any case", OPTION_FLAG,
	  AT(no_stdin), NULL, NULL },
	COMMON,
};
static const struct option_row cp_rows[] = {
	{ 'q', "quiet", NULL, "do not say how much it was", OPTION_FLAG, AT(quiet), NULL,
	  NULL },
	{ 'v', "verbose", NULL, "say each path that is copied", OPTION_FLAG, AT(verbose), NULL,
	  NULL },
	COMMON,
};
static const struct option_row logs_rows[] = {
	{ 'f', "follow", NULL, "go on until it has ended", OPTION_FLAG, AT(follow), NULL,
	  NULL },
	{ 't', "timestamps", NULL, "before each line, when it was read", OPTION_FLAG,
	  AT(timestamps), NULL, NULL },
	{ 0, "since", "TIME", "what was written since then; as for usage", OPTION_NUMBER,
	  AT(since), when_parse, NULL },
	COMMON,
};
static const struct option_row usage_rows[] = {
	{ 0, "by", "PERIOD", "hour, day, week or month; or execution, the default", OPTION_TEXT,
	  AT(by), NULL, NULL },
	{ 0, "csv", NULL, "show CSV, times in UTC", OPTION_FLAG, AT(csv), NULL, NULL },
	{ 0, "since", "TIME",
	  "2026-01-31, 2026-01-31T12:00[Z], @SECONDS,\ntoday, or -2h for 2 h ago",
	  OPTION_NUMBER, AT(since), when_parse, NULL },
	{ 0, "totals", NULL, "leave the executions out", OPTION_FLAG, AT(totals), NULL, NULL },
	{ 0, "until", "TIME", "the same; now unless told", OPTION_NUMBER, AT(until), when_parse,
	  NULL },
	COMMON,
};
static const struct option_row bill_rows[] = {
	{ 0, "period", "MONTH", "the one that begins in it: 2026-11; else the present one",
	  OPTION_TEXT, AT(period), NULL, NULL },
	{ 0, "csv", NULL, "show CSV, times in UTC", OPTION_FLAG, AT(csv), NULL, NULL },
	COMMON,
};
static const struct option_row backup_rows[] = {
	{ 0, "verify", NULL, "make none: check that FILE is a whole one; needs no daemon",
	  OPTION_FLAG, AT(verify), NULL, NULL },
	{ 'f', "force", NULL, "replace FILE if it is there", OPTION_FLAG, AT(force), NULL,
	  NULL },
	COMMON,
};
static const struct option_row restore_rows[] = {
	{ 'f', "force", NULL, "keep what is there aside, and put the backup in its place",
	  OPTION_FLAG, AT(force), NULL, NULL },
	{ 0, "config", "DIR", "where the policy is; " CONFIG_DIR " unless told", OPTION_TEXT,
	  AT(config), NULL, NULL },
	{ 0, "state-dir", "DIR", "as tenantd has it", OPTION_TEXT, AT(state_dir), NULL, NULL },
	{ 0, "libexec-dir", "DIR", "as tenantd has it", OPTION_TEXT, AT(libexec_dir), NULL,
	  NULL },
	{ 0, "user", "NAME", "as tenantd has it", OPTION_TEXT, AT(user), NULL, NULL },
	COMMON,
};
static const struct option_row events_rows[] = {
	{ 'f', "follow", NULL, "go on with what happens", OPTION_FLAG, AT(follow), NULL, NULL },
	{ 0, "since", "SEQ", "only those after this number", OPTION_NUMBER, AT(since),
	  seq_parse, NULL },
	COMMON,
};
static const struct option_row stats_rows[] = {
	{ 0, "no-stream", NULL, "once, over one interval", OPTION_FLAG, AT(no_stream), NULL,
	  NULL },
	{ 0, "interval", "DURATION", "from one look to the next; 1s unless told", OPTION_NUMBER,
	  AT(interval_usec), interval_parse, NULL },
	COMMON,
};
/* clang-format off */
#define METERING_ROWS                                                                          \
	{ 0, "key", "KEY", "done once, however often it is asked for", OPTION_TEXT, AT(key),   \
	  NULL, NULL },                                                                        \
	{ 0, "durable", NULL, "wait until a loss of power cannot undo it", OPTION_FLAG,        \
	  AT(durable), NULL, NULL }
#define HELD_ROWS                                                                              \
	{ 0, "execution", "ID", "by a UUID: it comes back when that ends", OPTION_TEXT,        \
	  AT(of_execution), NULL, NULL }
/* clang-format on */

static const struct option_row consume_rows[] = { METERING_ROWS, COMMON };
static const struct option_row held_rows[] = { METERING_ROWS, HELD_ROWS, COMMON };
static const struct option_row reserve_rows[] = {
	{ 0, "expires", "DURATION", "given back after it; 1min unless told, 7d at most",
	  OPTION_NUMBER, AT(expires_usec), units_duration_parse, NULL },
	METERING_ROWS,
	COMMON,
};
static const struct option_row drain_rows[] = {
	{ 'w', "wait", NULL, "until nothing runs any more", OPTION_FLAG, AT(wait), NULL, NULL },
	COMMON,
};
static const struct option_row edit_rows[] = {
	{ 0, "config", "DIR", "where the policy is; " CONFIG_DIR " unless told", OPTION_TEXT,
	  AT(config), NULL, NULL },
	ROW_HELP,
};
static const struct option_row help_rows[] = { ROW_HELP };
static const struct option_row doctor_rows[] = {
	{ 0, "config", "DIR", "policy files and bounds.conf; " CONFIG_DIR " unless told",
	  OPTION_TEXT, AT(config), NULL, NULL },
	COMMON,
};

#define ROWS(rows) (rows), ARRAY_LEN(rows)

static const struct command {
	const char *name, *second; /* "policy", "check" */
	const char *operands;
	const char *help;
	const struct option_row *rows;
	size_t rows_n;
	int operands_min, operands_max;
	bool offline; /* needs no daemon */
	int failed;   /* its exit status if it fails; 0: as the error has it */
	cmd_fn *run;
} commands[] = {
	{ "create", NULL, "NAME", "make a tenant", ROWS(create_rows), 1, 1, false, 0,
	  cmd_create },
	{ "update", NULL, "TENANT", "change it: name, tier, metadata, settings",
	  ROWS(update_rows), 1, 1, false, 0, cmd_update },
	{ "suspend", NULL, "TENANT", "stop what runs for it where it is", ROWS(common_rows), 1,
	  1, false, 0, cmd_suspend },
	{ "resume", NULL, "TENANT", "let that go on", ROWS(common_rows), 1, 1, false, 0,
	  cmd_resume },
	{ "delete", NULL, "TENANT", "take it away", ROWS(delete_rows), 1, 1, false, 0,
	  cmd_delete },
	{ "list", NULL, "", "all tenants, or some", ROWS(list_rows), 0, 0, false, 0, cmd_list },
	{ "show", NULL, "TENANT", "one tenant", ROWS(common_rows), 1, 1, false, 0, cmd_show },
	{ "ps", NULL, "[TENANT]", "what runs, or has run", ROWS(ps_rows), 0, 1, false, 0,
	  cmd_ps },
	{ "wait", NULL, "EXECUTION...",
	  "until they have ended; with the last one's exit status", ROWS(common_rows), 1,
	  CMD_OPERANDS_MAX, false, EXIT_RUNTIME, cmd_wait },
	{ "logs", NULL, "EXECUTION", "what a detached execution has written", ROWS(logs_rows),
	  1, 1, false, 0, cmd_logs },
	{ "exec", NULL, "EXECUTION -- COMMAND [ARGUMENT...]", "run a command in what runs",
	  ROWS(exec_rows), 2, CMD_OPERANDS_MAX, false, EXIT_RUNTIME, cmd_exec },
	{ "attach", NULL, "EXECUTION", "what a detached execution writes, until it ends",
	  ROWS(attach_rows), 1, 1, false, EXIT_RUNTIME, cmd_attach },
	{ "cp", NULL, "SRC DST", "copy to TENANT:/data/... or from there", ROWS(cp_rows), 2, 2,
	  false, 0, cmd_cp },
	{ "kill", NULL, "EXECUTION | --all TENANT", "end executions and all they started",
	  ROWS(kill_rows), 0, 1, false, 0, cmd_kill },
	{ "usage", NULL, "TENANT", "what a tenant used", ROWS(usage_rows), 1, 1, false, 0,
	  cmd_usage },
	{ "bill", NULL, "TENANT", "what a tenant has to pay for it", ROWS(bill_rows), 1, 1,
	  false, 0, cmd_bill },
	{ "events", NULL, "[TENANT]", "what has become different, and does", ROWS(events_rows),
	  0, 1, false, 0, cmd_events },
	{ "stats", NULL, "[TENANT]", "what runs uses, again and again", ROWS(stats_rows), 0, 1,
	  false, 0, cmd_stats },
	{ "quota", "show", "TENANT", "what is left of its quotas", ROWS(common_rows), 1, 1,
	  false, 0, cmd_quota_show },
	{ "quota", "check", "TENANT METER AMOUNT", "whether so much would fit",
	  ROWS(common_rows), 3, 3, false, 0, cmd_quota_check },
	{ "quota", "consume", "TENANT METER AMOUNT", "use so much, if it fits",
	  ROWS(consume_rows), 3, 3, false, 0, cmd_quota_consume },
	{ "quota", "reserve", "TENANT METER AMOUNT", "keep so much free, if it fits",
	  ROWS(reserve_rows), 3, 3, false, 0, cmd_quota_reserve },
	{ "quota", "commit", "TENANT RESERVATION [AMOUNT]", "use what is reserved, or less",
	  ROWS(consume_rows), 2, 3, false, 0, cmd_quota_commit },
	{ "quota", "release", "TENANT RESERVATION | TENANT METER AMOUNT",
	  "give back what is reserved, or so much of a gauge", ROWS(held_rows), 2, 3, false, 0,
	  cmd_quota_release },
	{ "quota", "acquire", "TENANT METER AMOUNT", "have so much of a gauge, if it fits",
	  ROWS(held_rows), 3, 3, false, 0, cmd_quota_acquire },
	{ "quota", "set", "TENANT METER LIMIT", "a limit of the tenant's own; or max",
	  ROWS(common_rows), 3, 3, false, 0, cmd_quota_set },
	{ "policy", "check", "[FILE|DIR]", "check policy files; needs no daemon",
	  ROWS(offline_rows), 0, 1, true, 0, cmd_policy_check },
	{ "policy", "schema", "[tier|drop-in|tenantd|meters|prices]",
	  "a JSON Schema of what policy files may hold", ROWS(help_rows), 0, 1, true, 0,
	  cmd_policy_schema },
	{ "policy", "edit", "TIER | FILE",
	  "change a tier, tenantd.yaml, meters.yaml or prices/NAME.yaml", ROWS(edit_rows), 1, 1,
	  true, 0, cmd_policy_edit },
	{ "policy", "reload", "", "have the policy files read again", ROWS(reload_rows), 0, 0,
	  false, 0, cmd_policy_reload },
	{ "policy", "show", "TENANT", "what holds for a tenant, and which line says so",
	  ROWS(common_rows), 1, 1, false, 0, cmd_policy_show },
	{ "policy", "diff", "[HASH]", "what the files, or that policy, would change for whom",
	  ROWS(common_rows), 0, 1, false, 0, cmd_policy_diff },
	{ "policy", "history", "", "the policies that were accepted", ROWS(common_rows), 0, 0,
	  false, 0, cmd_policy_history },
	{ "policy", "rollback", "HASH", "have an earlier one in force", ROWS(reload_rows), 1, 1,
	  false, 0, cmd_policy_rollback },
	{ "policy", "export", "HASH DIR", "write its files to a new directory",
	  ROWS(common_rows), 2, 2, false, 0, cmd_policy_export },
	{ "status", NULL, "", "how the daemon is", ROWS(common_rows), 0, 0, false, 0,
	  cmd_status },
	{ "backup", NULL, "FILE | -", "write all that the daemon knows, and the policy",
	  ROWS(backup_rows), 1, 1, true, 0, cmd_backup },
	{ "restore", NULL, "FILE", "put a backup back, while the daemon is stopped",
	  ROWS(restore_rows), 1, 1, true, 0, cmd_restore },
	{ "drain", NULL, "", "launch nothing more on this node", ROWS(drain_rows), 0, 0, false,
	  0, cmd_drain },
	{ "undrain", NULL, "", "launch again", ROWS(common_rows), 0, 0, false, 0, cmd_undrain },
	{ "doctor", NULL, "", "what this host can and cannot enforce, and why",
	  ROWS(doctor_rows), 0, 0, true, 0, cmd_doctor },
};

static const char *second_of(const struct command *command)
{
	return command->second != NULL ? command->second : "";
}

static void global_help(FILE *file)
{
	(void)fputs("usage: tenantctl COMMAND [OPTION...] [OPERAND...]\n\n", file);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		char left[64];

		(void)snprintf(left, sizeof(left), "  %s%s%s %s", commands[i].name,
		               commands[i].second != NULL ? " " : "", second_of(&commands[i]),
		               commands[i].operands);
		(void)fprintf(file, "%-26s%s\n", left, commands[i].help);
	}
	(void)fputs("\n", file);
	options_help(global_rows, ARRAY_LEN(global_rows), file);
	(void)fputs(
		"\n"
		"tenantctl COMMAND --help shows the options of a command.\n"
		"EXECUTION is an ID, 8 or more digits that it begins with, or TENANT/NAME.\n"
		"Exit status: 0 done; 1 refused, by a quota, a state or a failure; 2 usage;\n"
		"3 not found; 4 not permitted; 5 changed meanwhile; 69 no daemon answers.\n",
		file);
}

static void command_help(const struct command *command, FILE *file)
{
	(void)fprintf(file, "usage: tenantctl %s%s%s [OPTION...] %s\n\n%s\n\n", command->name,
	              command->second != NULL ? " " : "", second_of(command), command->operands,
	              command->help);
	options_help(command->rows, command->rows_n, file);
}

/* The command that @argv begins with, and how many words that is. */
static const struct command *find(int argc, char **argv, int *ret_words)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (argc < 1 || strcmp(argv[0], commands[i].name) != 0)
			continue;
		*ret_words = commands[i].second != NULL ? 2 : 1;
		if (*ret_words == 1 || (argc > 1 && strcmp(argv[1], commands[i].second) == 0))
			return &commands[i];
	}
	return NULL;
}

/* That @argv begins with none; @argc may be 0. */
static int refuse_command(int argc, char **argv, struct tn_error *err)
{
	struct nearest nearest;
	char hint[NEAREST_HINT_BYTES_MAX], prefix[NEAREST_WORD_BYTES_MAX] = "";
	const char *word = argc > 0 ? argv[0] : NULL;

	/* Where the first word is right, it is the second, if there is one. */
	for (size_t i = 0; word != NULL && i < ARRAY_LEN(commands); i++)
		if (commands[i].second != NULL && strcmp(argv[0], commands[i].name) == 0) {
			word = argc > 1 && argv[1][0] != '-' ? argv[1] : NULL;
			(void)snprintf(prefix, sizeof(prefix), "%s ", commands[i].name);
		}
	if (word == NULL)
		return err_refuse(err, TN_INVALID, "which command? see --help");
	nearest = nearest_begin(word);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (prefix[0] == '\0')
			nearest_consider(&nearest, commands[i].name);
		else if (commands[i].second != NULL)
			nearest_consider(&nearest, commands[i].second);
	return err_refuse(err, TN_INVALID, "there is no command '%s%.64s'%s; see --help",
	                  prefix, word, nearest_hint(&nearest, prefix, hint));
}

static int run(const struct command *command, struct ctl *ctl, struct tn_error *err)
{
	ctl->failed_status = command->failed;
	if (ctl->operands_n < command->operands_min || ctl->operands_n > command->operands_max)
		return err_refuse(err, TN_INVALID, "usage: tenantctl %s%s%s %s", command->name,
		                  command->second != NULL ? " " : "", second_of(command),
		                  command->operands);
	if (!command->offline) {
		int r = tn_client_open(ctl->socket, &ctl->client, err);

		if (r < 0)
			return r;
	}
	return command->run(ctl, err);
}

/* Returns the exit status, or -errno. */
static int act(int argc, char **argv, struct ctl *ctl, struct tn_error *err)
{
	const struct command *command;
	int words, first;

	first = options_parse(global_rows, ARRAY_LEN(global_rows), argc, argv, true, ctl, err);
	if (first < 0)
		return first;
	if (ctl->version) {
		(void)puts("tenantctl " TENANTD_VERSION);
		return 0;
	}
	if (ctl->help) {
		global_help(stdout);
		return 0;
	}
	command = find(argc - first, argv + first, &words);
	if (command == NULL)
		return refuse_command(argc - first, argv + first, err);

	/* What getopt takes for the program's name is the command's last word. */
	argv += first + words - 1;
	argc -= first + words - 1;
	/* What follows the first operand of exec is another command's. */
	first = options_parse(command->rows, command->rows_n, argc, argv,
	                      command->run == cmd_exec, ctl, err);
	if (first < 0)
		return first;
	if (ctl->help) {
		command_help(command, stdout);
		return 0;
	}
	ctl->operands = argv + first;
	ctl->operands_n = argc - first;
	return run(command, ctl, err);
}

int main(int argc, char **argv)
{
	struct ctl ctl = { .since = TN_ABSENT, .until = TN_ABSENT, .grace_usec = TN_ABSENT };
	struct tn_error err = { 0 };
	int r = act(argc, argv, &ctl, &err);

	if (r >= 0 && (fflush(stdout) != 0 || ferror(stdout) != 0))
		r = err_set(&err, TN_SYSTEM, EIO, "write to standard output");
	if (r < 0) {
		(void)fflush(stdout);
		output_error("tenantctl", ctl.json, &err);
		r = ctl.failed_status != 0 ? ctl.failed_status : tn_error_exit_status(err.code);
	}
	tn_client_free(ctl.client);
	cmd_pairs_done(&ctl.metadata);
	cmd_pairs_done(&ctl.overrides);
	environment_done(&ctl.env);
	return r;
}
