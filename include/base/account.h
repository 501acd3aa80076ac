/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Users and groups of the host by name: "user:alice", "group:builders". A number is no name:
 * whose it is, changes with whom the host gives it to.
 */
#ifndef BASE_ACCOUNT_H
#define BASE_ACCOUNT_H

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <base/err.h>

#define ACCOUNT_BYTES_MAX      64 /* of a name, with the NUL */
#define ACCOUNT_TEXT_BYTES_MAX (ACCOUNT_BYTES_MAX + sizeof("group:"))
#define ACCOUNT_NAME_RULE                                                                      \
	"1 to 63 of letters, digits, '_', '-', '.' and '@', beginning with a letter or '_', "  \
	"and a '$' at the end at most"

enum account_kind {
	ACCOUNT_USER,
	ACCOUNT_GROUP,
	ACCOUNT_KINDS_N,
};

static inline const char *account_kind_name(enum account_kind kind)
{
	return kind == ACCOUNT_USER ? "user" : "group";
}

/* What useradd(8) and directories of companies have; nothing that a list or a log could take
 * for something else. */
static inline bool account_name_valid(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	static const char further[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
				      "0123456789-.@";
	size_t n = strnlen(name, ACCOUNT_BYTES_MAX);

	if (n == 0 || n == ACCOUNT_BYTES_MAX || strchr(letters, name[0]) == NULL)
		return false;
	if (name[n - 1] == '$')
		n--;
	return strspn(name, further) >= n;
}

/* "user:alice": its kind and the place of its name in @text. -EINVAL and what was expected. */
static inline int account_parse(const char *text, enum account_kind *ret_kind,
                                const char **ret_name, struct tn_error *err)
{
	for (int kind = 0; kind < ACCOUNT_KINDS_N; kind++) {
		const char *noun = account_kind_name((enum account_kind)kind);
		const size_t n = strlen(noun);

		if (strncmp(text, noun, n) != 0 || text[n] != ':' ||
		    !account_name_valid(text + n + 1))
			continue;
		*ret_kind = (enum account_kind)kind;
		*ret_name = text + n + 1;
		return 0;
	}
	return err_parse(
		err, 0,
		"'%.80s' is no operator; expected user:NAME or group:NAME, with a NAME "
		"of " ACCOUNT_NAME_RULE,
		text);
}

/*
 * Ask the host, which may ask others and take its time: 1 and the uid or gid, 0 if there is no
 * such account, or -errno if that could not be found out.
 */
static inline int account_lookup(enum account_kind kind, const char *name, uint32_t *ret)
{
	/* What the functions say of a name that is not there differs: NULL and 0 is certain,
	 * and these are how manuals and modules spell the same. */
	static const int absent[] = { 0, ENOENT, ESRCH };

	errno = 0;
	if (kind == ACCOUNT_USER) {
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): no program of ours has threads */
		const struct passwd *user = getpwnam(name);

		if (user != NULL) {
			*ret = user->pw_uid;
			return 1;
		}
	} else {
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): as above */
		const struct group *group = getgrnam(name);

		if (group != NULL) {
			*ret = group->gr_gid;
			return 1;
		}
	}
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		if (errno == absent[i])
			return 0;
	return -errno;
}

#endif
