/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "environment.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include <base/err.h>
#include <base/fd.h>
#include <base/io.h>

#include <tenant/run.h>

static int no_memory(struct tn_error *err)
{
	return err_set(err, TN_SYSTEM, ENOMEM, "no memory for the environment");
}

/* The place of the variable whose name is the first @n bytes of @name; env->n: none. */
static size_t find(const struct environment *env, const char *name, size_t n)
{
	size_t i = 0;

	while (i < env->n && (strncmp(env->items[i], name, n) != 0 || env->items[i][n] != '='))
		i++;
	return i;
}

static int put(struct environment *env, size_t at, char *text, struct tn_error *err)
{
	char **items = env->items;

	if (text == NULL)
		return no_memory(err);
	if (at < env->n) {
		free(items[at]);
		items[at] = text;
		return 0;
	}
	if (env->n < ENVIRONMENT_MAX)
		items = reallocarray(items, env->n + 2, sizeof(*items));
	if (env->n == ENVIRONMENT_MAX || items == NULL) {
		free(text);
		return items != NULL ? err_refuse(err, TN_INVALID, "more than %d variables",
		                                  ENVIRONMENT_MAX)
		                     : no_memory(err);
	}
	env->items = items;
	items[env->n++] = text;
	items[env->n] = NULL;
	return 0;
}

/* NAME=VALUE, or what a bare NAME is here; NULL and 0 if it is not set. */
static int resolve(const char *argument, char **ret, struct tn_error *err)
{
	const char *value;

	*ret = NULL;
	if (strchr(argument, '=') != NULL) {
		*ret = strdup(argument);
		return *ret != NULL ? 0 : no_memory(err);
	}
	value = getenv(argument);
	if (value == NULL)
		return 0;
	return asprintf(ret, "%s=%s", argument, value) < 0 ? no_memory(err) : 0;
}

int environment_name(struct environment *env, const char *argument, struct tn_error *err)
{
	const size_t n = strcspn(argument, "=");
	char *text = NULL;
	int r;

	if (n == 0)
		return err_refuse(err, TN_INVALID, "'%s' has no name before '='", argument);
	r = resolve(argument, &text, err);
	if (r == 0 && text != NULL)
		r = put(env, find(env, argument, n), text, err);
	env->named_n = env->n;
	return r;
}

int environment_default(struct environment *env, const char *name, struct tn_error *err)
{
	const size_t at = find(env, name, strlen(name));
	char *text = NULL;
	int r = at < env->n ? 0 : resolve(name, &text, err);

	return r < 0 || text == NULL ? r : put(env, at, text, err);
}

/* One line, which is ended by a NUL and holds no other. */
static int take_line(struct environment *env, const char *line, struct tn_error *err)
{
	char *text = NULL;
	size_t n, at;
	int r;

	line += strspn(line, " \t");
	if (*line == '\0' || *line == '\r' || *line == '#')
		return 0;
	n = strcspn(line, "=");
	if (n == 0)
		return err_refuse(err, TN_INVALID,
		                  "nothing before '='; expected NAME=VALUE or NAME");
	if (strcspn(line, " \t\r") < n)
		return err_refuse(err, TN_INVALID,
		                  "a blank in a name; expected NAME=VALUE or NAME");
	if (strlen(line) >= TN_RUN_STRING_BYTES_MAX)
		return err_refuse(err, TN_INVALID,
		                  "longer than the 128 KiB that Linux takes of a variable");
	at = find(env, line, n);
	r = at < env->named_n ? 0 : resolve(line, &text, err);
	return r < 0 || text == NULL ? r : put(env, at, text, err);
}

static int take_lines(struct environment *env, char *text, size_t n, const char *path,
                      struct tn_error *err)
{
	char *end = text + n;
	int r = 0;

	for (int line = 1; r == 0 && text < end; line++) {
		char *stop = memchr(text, '\n', (size_t)(end - text));

		if (stop == NULL)
			stop = end;
		*stop = '\0';
		r = strlen(text) < (size_t)(stop - text)
		            ? err_refuse(err, TN_INVALID, "a NUL byte; expected text")
		            : take_line(env, text, err);
		if (r < 0)
			r = err_wrap(err, r, "%s:%d", path, line);
		text = stop + 1;
	}
	return r;
}

int environment_read(struct environment *env, const char *path, struct tn_error *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	cleanup_free char *text = malloc(ENVIRONMENT_FILE_BYTES_MAX + 2);
	ssize_t n;

	if (fd < 0)
		return err_errno(err, "%s: %s", path, strerror(errno));
	if (text == NULL)
		return no_memory(err);
	n = io_read_all(fd, text, ENVIRONMENT_FILE_BYTES_MAX + 1);
	if (n < 0)
		return err_set(err, TN_SYSTEM, (int)-n, "%s: %s", path, strerror((int)-n));
	if (n > ENVIRONMENT_FILE_BYTES_MAX)
		return err_set(err, TN_INVALID, EFBIG, "%s: larger than 2 MiB", path);
	return take_lines(env, text, (size_t)n, path, err);
}

void environment_done(struct environment *env)
{
	for (size_t i = 0; i < env->n; i++)
		free(env->items[i]);
	free(env->items);
	*env = (struct environment){ 0 };
}
