/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "actor.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <base/fd.h>
#include <base/io.h>
#include <base/num.h>

#define LOGIN_UNSET INT64_C(4294967295) /* (uid_t)-1 */

int64_t actor_login_uid(int64_t pid)
{
	char path[64], text[32];
	int64_t uid;

	if (pid <= 0)
		return ACTOR_ABSENT;
	(void)snprintf(path, sizeof(path), "/proc/%" PRId64 "/loginuid", pid);
	if (io_read_file_at(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return ACTOR_ABSENT;
	text[strcspn(text, "\n")] = '\0';
	return num_parse(text, LOGIN_UNSET - 1, &uid) == 0 ? uid : ACTOR_ABSENT;
}
