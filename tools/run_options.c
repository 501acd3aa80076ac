/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run_options.h"

#include <stdlib.h>

#include <base/err.h>
#include <base/fd.h>
#include <policy/units.h>

#include "options.h"

static int no_memory(struct tn_error *err)
{
	return err_set(err, TN_SYSTEM, ENOMEM, "no memory for the options");
}

/* NAME=VALUE, or NAME for what it is here; what is not set here is not set there. */
static int add_env(void *target, const char *argument, struct tn_error *err)
{
	struct run_options *options = target;
	const char *value = NULL;
	char **env, *text;
	int n;

	if (argument[0] == '=' || argument[0] == '\0')
		return err_refuse(err, TN_INVALID, "'%s' has no name before '='", argument);
	if (strchr(argument, '=') == NULL) {
		value = getenv(argument);
		if (value == NULL)
			return 0;
	}
	env = reallocarray(options->env, options->env_n + 2, sizeof(*env));
	if (env == NULL)
		return no_memory(err);
	options->env = env;
	n = value != NULL ? asprintf(&text, "%s=%s", argument, value)
	                  : asprintf(&text, "%s", argument);
	if (n < 0)
		return no_memory(err);
	env[options->env_n++] = text;
	env[options->env_n] = NULL;
	return 0;
}

/* SRC[:DST[:rw]]; a path with a colon in it cannot be bound. */
static int add_bind(void *target, const char *argument, struct tn_error *err)
{
	struct run_options *options = target;
	struct run_bind_option bind = { 0 };
	char *mode = NULL;

	if (options->binds_n == TN_RUN_BINDS_MAX)
		return err_refuse(err, TN_INVALID, "more than %d paths", TN_RUN_BINDS_MAX);
	bind.source = strdup(argument);
	if (bind.source == NULL)
		return no_memory(err);
	options->binds[options->binds_n++] = bind;

	bind.target = strchr(bind.source, ':');
	if (bind.target != NULL) {
		*bind.target++ = '\0';
		mode = strchr(bind.target, ':');
	}
	if (mode != NULL)
		*mode++ = '\0';
	bind.writable = mode != NULL && strcmp(mode, "rw") == 0;
	if (bind.source[0] == '\0' ||
	    (mode != NULL && !bind.writable && strcmp(mode, "ro") != 0))
		return err_refuse(err, TN_INVALID, "'%s' is not SRC[:DST[:rw]]", argument);
	if (bind.target != NULL && bind.target[0] != '/')
		return err_refuse(err, TN_INVALID,
		                  "'%s' in the sandbox is not an absolute path", bind.target);
	options->binds[options->binds_n - 1] = bind;
	return 0;
}

#define AT(member) offsetof(struct run_options, member)

static const struct option_row rows[] = {
	{ 'e', "env", "NAME[=VALUE]", "set a variable; without a value, to what it is here",
	  OPTION_CALL, 0, NULL, add_env },
	{ 'w', "workdir", "DIR", "start in this directory of the sandbox", OPTION_TEXT,
	  AT(workdir), NULL, NULL },
	{ 0, "memory", "SIZE", "at most this much memory: 64M, 2G", OPTION_NUMBER,
	  AT(limits.memory_max_bytes), units_bytes_parse, NULL },
	{ 0, "cpus", "N", "at most this many CPUs: 0.5, 2", OPTION_NUMBER,
	  AT(limits.cpu_quota_usec), units_cpus_parse, NULL },
	{ 0, "pids", "N", "at most this many processes and threads", OPTION_NUMBER,
	  AT(limits.tasks_max), units_count_parse, NULL },
	{ 0, "timeout", "DURATION", "end it after this long: 90s, 5min, 1h30min", OPTION_NUMBER,
	  AT(limits.runtime_usec_max), units_duration_parse, NULL },
	{ 0, "kill-after", "DURATION",
	  "after a timeout, this long from TERM to KILL;\n"
	  "10s unless told, and at most",
	  OPTION_NUMBER, AT(limits.kill_after_usec), units_duration_parse, NULL },
	{ 0, "queue", "DURATION", "wait this long, in order, if executions_max are there",
	  OPTION_NUMBER, AT(queue_usec_max), units_duration_parse, NULL },
	{ 0, "bind", "SRC[:DST[:rw]]",
	  "show a file or directory of yours, read-only unless :rw;\n"
	  "the tier has to allow it, and DST (or else SRC) to lie below\n"
	  "/home, /media, /mnt, /opt, /srv or /tmp",
	  OPTION_CALL, 0, NULL, add_bind },
	{ 0, "report", "FILE", "write the execution's record there as JSON", OPTION_TEXT,
	  AT(report), NULL, NULL },
	{ 0, "dry-run", NULL, "run nothing; show every limit and where it is set", OPTION_FLAG,
	  AT(dry_run), NULL, NULL },
	{ 0, "json", NULL, "show the plan of --dry-run, and errors, as JSON", OPTION_FLAG,
	  AT(json), NULL, NULL },
	{ 'q', "quiet", NULL, "do not say why it was ended", OPTION_FLAG, AT(quiet), NULL,
	  NULL },
	{ 'v', "verbose", NULL, "say when it waits and starts, and what it used", OPTION_FLAG,
	  AT(verbose), NULL, NULL },
	{ 0, "socket", "PATH", "tenantd's socket; " TN_SOCKET_PATH " unless told", OPTION_TEXT,
	  AT(socket), NULL, NULL },
	{ 'h', "help", NULL, "show this", OPTION_FLAG, AT(help), NULL, NULL },
	{ 0, "version", NULL, "show the version", OPTION_FLAG, AT(version), NULL, NULL },
};

void run_options_help(FILE *file)
{
	(void)fputs("usage: tenant-run [OPTION...] TENANT [--] COMMAND [ARGUMENT...]\n"
	            "\n"
	            "Run a command as a tenant, inside the tenant's walls and limits.\n"
	            "\n",
	            file);
	options_help(rows, ARRAY_LEN(rows), file);
	(void)fputs("\n"
	            "Options only narrow what the tenant's tier allows.\n"
	            "Exit status: the command's own; 128+N if signal N ended it; 124 timeout;\n"
	            "125 tenantd refused or failed; 126 not executable; 127 not found.\n",
	            file);
}

int run_options_parse(int argc, char **argv, struct run_options *ret, struct tn_error *err)
{
	int first;

	*ret = (struct run_options){
		.limits = { TN_ABSENT, TN_ABSENT, TN_ABSENT, TN_ABSENT, TN_ABSENT },
	};
	first = options_parse(rows, ARRAY_LEN(rows), argc, argv, true, ret, err);
	if (first < 0)
		return first;
	if (ret->help || ret->version)
		return 0;
	if (first == argc)
		return err_refuse(err, TN_INVALID, "which tenant? see --help");
	ret->tenant = argv[first++];
	if (first < argc && strcmp(argv[first], "--") == 0)
		first++;
	if (first == argc && !ret->dry_run)
		return err_refuse(err, TN_INVALID, "which command? see --help");
	ret->command = argv + first;
	return 0;
}

void run_options_done(struct run_options *options)
{
	for (size_t i = 0; i < options->env_n; i++)
		free(options->env[i]);
	free(options->env);
	for (size_t i = 0; i < options->binds_n; i++)
		free(options->binds[i].source);
	*options = (struct run_options){ 0 };
}
