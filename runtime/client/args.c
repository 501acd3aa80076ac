/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "args.h"

#include <assert.h>
#include <stdlib.h>

#include <base/fd.h>

#include "memfd.h"

/* The strings, measured before anything is allocated. */
static int measure(const char *what, const char *const *strings, size_t *total, int *ret_n,
                   struct tn_error *err)
{
	int n = 0;

	for (; strings != NULL && strings[n] != NULL; n++) {
		size_t bytes = strnlen(strings[n], TN_RUN_STRING_BYTES_MAX) + 1;

		if (bytes > TN_RUN_STRING_BYTES_MAX)
			return err_set(
				err, TN_INVALID, E2BIG,
				"%s %d is longer than 128 KiB, which Linux does not take; "
				"pass it in a file or on standard input",
				what, n);
		*total += bytes;
		if (*total > TN_RUN_ARGS_BYTES_MAX)
			return err_set(
				err, TN_INVALID, E2BIG,
				"arguments and environment are larger than 2 MiB together; "
				"pass them in a file or on standard input");
	}
	*ret_n = n;
	return 0;
}

static int check(const struct tn_run_spec *spec, struct tn_error *err)
{
	if (spec->argv == NULL || spec->argv[0] == NULL)
		return err_refuse(err, TN_INVALID, "there is no command to run");
	if (spec->workdir != NULL && spec->workdir[0] != '/')
		return err_refuse(err, TN_INVALID,
		                  "the working directory is not an absolute path");
	for (size_t i = 0; spec->env != NULL && spec->env[i] != NULL; i++) {
		const char *equals = strchr(spec->env[i], '=');

		if (equals == NULL || equals == spec->env[i])
			return err_refuse(err, TN_INVALID,
			                  "variable %zu of the environment is not NAME=VALUE",
			                  i);
	}
	return 0;
}

static char *append(char *p, const char *const *strings)
{
	for (size_t i = 0; strings != NULL && strings[i] != NULL; i++)
		p = stpcpy(p, strings[i]) + 1;
	return p;
}

int args_new(const struct tn_run_spec *spec, struct args *ret, struct tn_error *err)
{
	const char *const workdir[] = { spec->workdir != NULL ? spec->workdir : "", NULL };
	cleanup_free char *bytes = NULL;
	struct args args = { .fd = FD_NONE };
	size_t total = 0;
	int one, r = check(spec, err);

	if (r == 0)
		r = measure("argument", spec->argv, &total, &args.argc, err);
	if (r == 0)
		r = measure("variable", spec->env, &total, &args.envc, err);
	if (r == 0)
		r = measure("directory", workdir, &total, &one, err);
	if (r < 0)
		return r;

	assert(total > 0); /* the directory's NUL at least */
	bytes = malloc(total);
	if (bytes == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "copy the arguments");
	(void)append(append(append(bytes, spec->argv), spec->env), workdir);
	args.fd = memfd_sealed("tenant-args", bytes, total, err);
	if (args.fd < 0)
		return args.fd;
	*ret = args;
	return 0;
}
