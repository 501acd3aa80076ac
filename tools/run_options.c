/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run_options.h"

#include <limits.h>
#include <stdlib.h>

#include <base/err.h>
#include <base/fd.h>
#include <base/num.h>
#include <policy/units.h>

#include "options.h"

static int no_memory(struct tn_error *err)
{
	return err_set(err, TN_SYSTEM, ENOMEM, "no memory for the options");
}

static int add_env(void *target, const char *argument, struct tn_error *err)
{
	struct run_options *options = target;

	return environment_name(&options->env, argument, err);
}

/* Read when all is known: what the command line names goes before. */
static int add_env_file(void *target, const char *argument, struct tn_error *err)
{
	struct run_options *options = target;
	const char **files = reallocarray(options->env_files, options->env_files_n + 1,
	                                  sizeof(*files));

	if (files == NULL)
		return no_memory(err);
	options->env_files = files;
	files[options->env_files_n++] = argument;
	return 0;
}

static int parse_descriptor(const char *text, int64_t *ret, struct tn_error *err)
{
	if (num_parse(text, INT_MAX, ret) < 0)
		return err_refuse(err, TN_INVALID, "'%s' is no descriptor; expected its number",
		                  text);
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

/* DST[:SIZE] */
static int add_tmpfs(void *target, const char *argument, struct tn_error *err)
{
	struct run_options *options = target;
	struct tn_run_tmpfs *tmpfs = &options->tmpfs[options->tmpfs_n];
	size_t n = strcspn(argument, ":");

	if (options->tmpfs_n == TN_RUN_TMPFS_MAX)
		return err_refuse(err, TN_INVALID, "more than %d tmpfs", TN_RUN_TMPFS_MAX);
	if (argument[0] != '/')
		return err_refuse(err, TN_INVALID,
		                  "'%s' is not DST[:SIZE], where DST is an absolute path",
		                  argument);
	tmpfs->bytes_max = TN_ABSENT;
	tmpfs->target = strndup(argument, n);
	if (tmpfs->target == NULL)
		return no_memory(err);
	options->tmpfs_n++;
	return argument[n] == '\0'
	               ? 0
	               : units_bytes_parse(argument + n + 1, &tmpfs->bytes_max, err);
}

#define AT(member) offsetof(struct run_options, member)

static const struct option_row rows[] = {
	{ 'e', "env", "NAME[=VALUE]", "set a variable; without a value, to what it is here",
	  OPTION_CALL, 0, NULL, add_env },
	{ 0, "env-file", "FILE", "set what a file of such lines names; --env goes before",
	  OPTION_CALL, 0, NULL, add_env_file },
	{ 'i', "interactive", NULL, "pass standard input on, as is done in any case",
	  OPTION_FLAG, AT(interactive), NULL, NULL },
	{ 't', "tty", NULL, "give it a terminal of its own, copied to and from here",
	  OPTION_FLAG, AT(tty), NULL, NULL },
	{ 'd', "detach", NULL,
	  "leave it to itself once it has started, and print its id;\n"
	  "its output is kept for tenantctl logs",
	  OPTION_FLAG, AT(detach), NULL, NULL },
	{ 0, "name", "NAME", "a name for this execution, in lists and records", OPTION_TEXT,
	  AT(name), NULL, NULL },
	{ 'w', "workdir", "DIR", "start in this directory of the sandbox", OPTION_TEXT,
	  AT(workdir), NULL, NULL },
	{ 'u', "user", "USER[:GROUP]",
	  "run as this user of the sandbox, never with a capability;\n"
	  "a number up to 65535, or root, tenant or nobody",
	  OPTION_TEXT, AT(user), NULL, NULL },
	{ 0, "memory", "SIZE", "at most this much memory: 64M, 2G", OPTION_NUMBER,
	  AT(limits.memory_max_bytes), units_bytes_parse, NULL },
	{ 0, "cpus", "N", "at most this many CPUs: 0.5, 2", OPTION_NUMBER,
	  AT(limits.cpu_quota_usec), units_cpus_parse, NULL },
	{ 0, "pids", "N", "at most this many processes and threads", OPTION_NUMBER,
	  AT(limits.tasks_max), units_count_parse, NULL },
	{ 0, "timeout", "DURATION", "end it after this long: 90s, 5min, 1h30min", OPTION_NUMBER,
	  AT(limits.runtime_usec_max), units_duration_parse, NULL },
	{ 0, "cpu-time", "DURATION", "kill it after this much CPU time of all its processes",
	  OPTION_NUMBER, AT(limits.cpu_usec_max), units_duration_parse, NULL },
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
	{ 0, "tmpfs", "DST[:SIZE]",
	  "show a fresh file system in memory there, which everyone\n"
	  "may write to; DST lies as that of --bind, SIZE is at most\n"
	  "and by default the memory limit",
	  OPTION_CALL, 0, NULL, add_tmpfs },
	{ 0, "read-only", NULL, "do not let it write to /data and /cache", OPTION_FLAG,
	  AT(read_only), NULL, NULL },
	{ 0, "no-init", NULL,
	  "run the command as process 1 of its sandbox; it then has\n"
	  "to reap orphans, and ignores signals it does not handle",
	  OPTION_FLAG, AT(no_init), NULL, NULL },
	{ 0, "report", "FILE", "write the execution's record there as JSON", OPTION_TEXT,
	  AT(report), NULL, NULL },
	{ 0, "status-fd", "N", "write what happens there, one JSON object a line",
	  OPTION_NUMBER, AT(status_fd), parse_descriptor, NULL },
	{ 0, "dry-run", NULL, "run nothing; show every limit and option and where it is set",
	  OPTION_FLAG, AT(dry_run), NULL, NULL },
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

static int read_env(struct run_options *options, struct tn_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < options->env_files_n; i++)
		r = environment_read(&options->env, options->env_files[i], err);
	if (r < 0)
		return err_wrap(err, r, "--env-file");
	return options->tty ? environment_default(&options->env, "TERM", err) : 0;
}

int run_options_parse(int argc, char **argv, struct run_options *ret, struct tn_error *err)
{
	int first;

	*ret = (struct run_options){
		.limits = { TN_ABSENT, TN_ABSENT, TN_ABSENT, TN_ABSENT, TN_ABSENT, TN_ABSENT },
		.status_fd = TN_ABSENT,
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
	if (ret->detach && (ret->tty || ret->report != NULL))
		return err_refuse(err, TN_INVALID,
		                  "--detach leaves nobody for %s; see tenantctl logs and wait",
		                  ret->tty ? "a terminal" : "a report");
	return read_env(ret, err);
}

void run_options_done(struct run_options *options)
{
	environment_done(&options->env);
	free(options->env_files);
	for (size_t i = 0; i < options->binds_n; i++)
		free(options->binds[i].source);
	for (size_t i = 0; i < options->tmpfs_n; i++)
		free((void *)(uintptr_t)options->tmpfs[i].target);
	*options = (struct run_options){ 0 };
}
