/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last steps of the process that becomes the workload, the same in tenant-init's child
 * and, without tenant-init, in tenantd's own. Header-only and without a libc, since the
 * former has none.
 */
#ifndef ISOLATE_WORKLOAD_H
#define ISOLATE_WORKLOAD_H

#include <asm/unistd.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "raw_call.h"

#define WORKLOAD_PATH_BYTES_MAX 4096

static inline bool workload_is_path_entry(const char *env)
{
	return env[0] == 'P' && env[1] == 'A' && env[2] == 'T' && env[3] == 'H' &&
	       env[4] == '=';
}

static inline const char *workload_path_of(char **envp)
{
	for (; *envp != NULL; envp++)
		if (workload_is_path_entry(*envp))
			return *envp + 5;
	return "/usr/local/bin:/usr/bin:/bin";
}

static inline bool workload_has_slash(const char *name)
{
	for (; *name != '\0'; name++)
		if (*name == '/')
			return true;
	return false;
}

/* Copy @dir (up to ':' or the end), '/', @name; false if that does not fit. */
static inline bool workload_path_join(char *out, const char *dir, const char *name)
{
	char *p = out, *end = out + WORKLOAD_PATH_BYTES_MAX - 1;

	for (; *dir != '\0' && *dir != ':' && p < end; dir++)
		*p++ = *dir;
	if (p == out)
		*p++ = '.';
	if (p < end)
		*p++ = '/';
	for (; *name != '\0' && p < end; name++)
		*p++ = *name;
	*p = '\0';
	return *name == '\0';
}

/* As execvp(3) searches: EACCES is kept, ENOENT and ENOTDIR go on. Returns an errno. */
static inline int workload_execute(char **argv, char **envp)
{
	char path[WORKLOAD_PATH_BYTES_MAX];
	int kept = ENOENT;

	if (argv[0][0] == '\0')
		return ENOENT;
	if (workload_has_slash(argv[0]))
		return (int)-CALL(__NR_execve, argv[0], argv, envp, 0);

	for (const char *dir = workload_path_of(envp);; dir++) {
		if (workload_path_join(path, dir, argv[0])) {
			int error = (int)-CALL(__NR_execve, path, argv, envp, 0);

			if (error == EACCES)
				kept = error;
			else if (error != ENOENT && error != ENOTDIR)
				return error;
		}
		while (*dir != '\0' && *dir != ':')
			dir++;
		if (*dir == '\0')
			return kept;
	}
}

/*
 * The working directory is entered with the workload's own rights. A directory that
 * cannot be named from our root would be one that leaked in: then getcwd(2) gives
 * something that does not begin with '/'. Returns 0 or an errno.
 */
static inline int workload_enter(const char *dir)
{
	char cwd[WORKLOAD_PATH_BYTES_MAX];
	long r = CALL(__NR_chdir, dir, 0, 0, 0);

	if (r < 0)
		return (int)-r;
	cwd[0] = '\0';
	r = CALL(__NR_getcwd, cwd, sizeof(cwd), 0, 0);
	if (r < 0)
		return (int)-r;
	return cwd[0] == '/' ? 0 : EXDEV;
}

#endif
