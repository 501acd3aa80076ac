/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The service manager, which keeps descriptors for the logger after this one. Where there is
 * none, nothing is kept, and nothing fails.
 */
#ifndef RUNTIME_LOGS_MANAGER_H
#define RUNTIME_LOGS_MANAGER_H

#include <stdbool.h>

#include <base/err.h>

/* Have a copy of @fd kept as @name, whatever becomes of the other end. */
void manager_keep(const char *name, int fd);
void manager_drop(const char *name);

/*
 * What it has kept, and sockets: each goes to @take, which owns it. @listens: it is a socket to
 * accept at.
 */
int manager_handed(void (*take)(void *userdata, const char *name, int fd, bool listens),
                   void *userdata, struct tn_error *err);

void manager_say_ready(void);

#endif
