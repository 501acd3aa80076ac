/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenant-meter: what a workload uses of its own tenant's quotas, from within its sandbox.
 *
 * Each command is one of tenantctl quota's, on the tenant's own socket and hence without a
 * tenant: the socket says whose it is. When the daemon goes away amid a call, what may be asked
 * again is asked again until it is back: what has a key, and what only looks.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <base/err.h>
#include <base/fd.h>
#include <base/nearest.h>
#include <policy/units.h>

#include "cmd.h"
#include "output.h"

#define RETRY_USEC_MAX INT64_C(60000000)
#define RETRY_NSEC     100000000

#define AT(field) offsetof(struct ctl, field)
/* clang-format off */
#define COMMON                                                                                 \
	{ 0, "json", NULL, "print JSON, errors too", OPTION_FLAG, AT(json), NULL, NULL },      \
	{ 0, "socket", "PATH", "the tenant's socket; " TN_METER_PATH " unless told",           \
	  OPTION_TEXT, AT(socket), NULL, NULL },                                               \
	{ 'h', "help", NULL, "show this", OPTION_FLAG, AT(help), NULL, NULL }
#define KEY                                                                                    \
	{ 0, "key", "KEY", "done once, however often it is asked for", OPTION_TEXT, AT(key),   \
	  NULL, NULL }
/* clang-format on */

static const struct option_row global_rows[] = {
	COMMON,
	{ 0, "version", NULL, "show the version", OPTION_FLAG, AT(version), NULL, NULL },
};
static const struct option_row look_rows[] = { COMMON };
static const struct option_row change_rows[] = { KEY, COMMON };
static const struct option_row reserve_rows[] = {
	{ 0, "for", "DURATION", "given back after it; 1min unless told, 7d at most",
	  OPTION_NUMBER, AT(expires_usec), units_duration_parse, NULL },
	KEY,
	COMMON,
};

#define ROWS(rows) (rows), ARRAY_LEN(rows)

static const struct command {
	const char *name, *operands, *help;
	const struct option_row *rows;
	size_t rows_n;
	int operands_min, operands_max;
	bool looks; /* and changes nothing */
	cmd_fn *run;
} commands[] = {
	{ "consume", "METER AMOUNT", "use so much, if it fits", ROWS(change_rows), 2, 2, false,
	  cmd_quota_consume },
	{ "check", "METER AMOUNT", "whether so much would fit", ROWS(look_rows), 2, 2, true,
	  cmd_quota_check },
	{ "reserve", "METER AMOUNT", "keep so much free, if it fits", ROWS(reserve_rows), 2, 2,
	  false, cmd_quota_reserve },
	{ "commit", "RESERVATION [AMOUNT]", "use what is reserved, or less", ROWS(change_rows),
	  1, 2, false, cmd_quota_commit },
	{ "release", "RESERVATION", "give what is reserved back", ROWS(change_rows), 1, 1,
	  false, cmd_quota_release },
	{ "acquire", "METER AMOUNT", "have so much of a gauge, if it fits", ROWS(change_rows),
	  2, 2, false, cmd_quota_acquire },
	{ "give-back", "METER AMOUNT", "give so much of a gauge back", ROWS(change_rows), 2, 2,
	  false, cmd_quota_release },
	{ "show", "", "what is left of each quota", ROWS(look_rows), 0, 0, true,
	  cmd_quota_show },
};

static void global_help(FILE *file)
{
	(void)fputs("usage: tenant-meter COMMAND [OPTION...] [OPERAND...]\n\n"
	            "What this workload's tenant uses of its quotas; in its sandbox only.\n\n",
	            file);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		char left[64];

		(void)snprintf(left, sizeof(left), "  %s %s", commands[i].name,
		               commands[i].operands);
		(void)fprintf(file, "%-31s%s\n", left, commands[i].help);
	}
	(void)fputs("\n", file);
	options_help(global_rows, ARRAY_LEN(global_rows), file);
	(void)fputs(
		"\n"
		"tenant-meter COMMAND --help shows the options of a command.\n"
		"Exit status: 0 done; 1 refused, by a quota, a state or a failure; 2 usage;\n"
		"3 not found; 4 not permitted; 5 changed meanwhile; 69 no daemon answers.\n",
		file);
}

static void command_help(const struct command *command, FILE *file)
{
	(void)fprintf(file, "usage: tenant-meter %s [OPTION...] %s\n\n%s\n\n", command->name,
	              command->operands, command->help);
	options_help(command->rows, command->rows_n, file);
}

/* Or refuse, with what may have been meant. */
static const struct command *find(const char *name, struct tn_error *err)
{
	struct nearest nearest;
	char hint[NEAREST_HINT_BYTES_MAX];

	if (name == NULL) {
		(void)err_refuse(err, TN_INVALID, "which command? see --help");
		return NULL;
	}
	nearest = nearest_begin(name);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(name, commands[i].name) == 0)
			return &commands[i];
		nearest_consider(&nearest, commands[i].name);
	}
	(void)err_refuse(err, TN_INVALID, "there is no command '%.64s'%s; see --help", name,
	                 nearest_hint(&nearest, "", hint));
	return NULL;
}

static int attempt(const struct command *command, struct ctl *ctl, struct tn_error *err)
{
	int r;

	if (ctl->client == NULL) {
		r = ctl->socket != NULL ? tn_client_open(ctl->socket, &ctl->client, err)
		                        : tn_client_open_self(&ctl->client, err);
		if (r < 0 && err->sys_errno == ENOENT)
			return err_set(err, TN_UNREACHABLE, ENOENT,
			               "no socket is at %s: this is for workloads in their "
			               "sandbox; outside see tenantctl quota",
			               ctl->socket != NULL ? ctl->socket : TN_METER_PATH);
		if (r < 0)
			return r;
	}
	r = command->run(ctl, err);
	/* Whatever there is of the connection belongs to a daemon that is gone. */
	if (r < 0 && err->code == TN_UNREACHABLE)
		ctl->client = tn_client_free(ctl->client);
	return r;
}

static int run(const struct command *command, struct ctl *ctl, struct tn_error *err)
{
	const struct timespec pause = { .tv_nsec = RETRY_NSEC };
	const int64_t deadline = clock_usec(CLOCK_MONOTONIC) + RETRY_USEC_MAX;
	const bool may_repeat = command->looks || ctl->key != NULL;
	int r;

	if (ctl->operands_n - 1 < command->operands_min ||
	    ctl->operands_n - 1 > command->operands_max)
		return err_refuse(err, TN_INVALID, "usage: tenant-meter %s %s", command->name,
		                  command->operands);
	while ((r = attempt(command, ctl, err)) < 0 && err->code == TN_UNREACHABLE &&
	       err->sys_errno != ENOENT && may_repeat && clock_usec(CLOCK_MONOTONIC) < deadline)
		(void)nanosleep(&pause, NULL);
	return r;
}

/* Returns the exit status, or -errno. */
static int act(int argc, char **argv, struct ctl *ctl, struct tn_error *err)
{
	const struct command *command;
	int first = options_parse(global_rows, ARRAY_LEN(global_rows), argc, argv, true, ctl,
	                          err);

	if (first < 0)
		return first;
	if (ctl->version) {
		(void)puts("tenant-meter " TENANTD_VERSION);
		return 0;
	}
	if (ctl->help) {
		global_help(stdout);
		return 0;
	}
	command = find(argv[first], err);
	if (command == NULL)
		return -EINVAL;
	/* What getopt takes for the program's name is the command. */
	argv += first;
	argc -= first;
	first = options_parse(command->rows, command->rows_n, argc, argv, false, ctl, err);
	if (first < 0)
		return first;
	if (ctl->help) {
		command_help(command, stdout);
		return 0;
	}
	/* In the place of a tenant, as tenantctl has one: nobody has to be named. */
	argv[first - 1] = NULL;
	ctl->operands = argv + first - 1;
	ctl->operands_n = argc - first + 1;
	return run(command, ctl, err);
}

int main(int argc, char **argv)
{
	struct ctl ctl = { .since = TN_ABSENT, .until = TN_ABSENT };
	struct tn_error err = { 0 };
	int r = act(argc, argv, &ctl, &err);

	if (r >= 0 && (fflush(stdout) != 0 || ferror(stdout) != 0))
		r = err_set(&err, TN_SYSTEM, EIO, "write to standard output");
	if (r < 0) {
		(void)fflush(stdout);
		output_error("tenant-meter", ctl.json, &err);
		r = tn_error_exit_status(err.code);
	}
	tn_client_free(ctl.client);
	return r;
}
