/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who wanted something: a peer of the control socket, or nobody but the daemon itself. */
#ifndef RUNTIME_ACTOR_H
#define RUNTIME_ACTOR_H

#include <stdint.h>

#define ACTOR_ABSENT (-1)

struct actor {
	int64_t uid; /* ACTOR_ABSENT: the daemon itself */
	int64_t pid;
	/* As whom the peer's session was opened, whatever it has become since, as the audit
	 * subsystem keeps it; ACTOR_ABSENT: it was not, or that cannot be read any more. */
	int64_t login_uid;
};

#define ACTOR_NONE ((struct actor){ ACTOR_ABSENT, ACTOR_ABSENT, ACTOR_ABSENT })

/* The login uid of process @pid, which must still be the one that is meant; or ACTOR_ABSENT. */
int64_t actor_login_uid(int64_t pid);

#endif
