/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef ISOLATE_NOTIFY_H
#define ISOLATE_NOTIFY_H

#include <stdint.h>

/*
 * Tell systemd @state ("READY=1", "WATCHDOG=1", "STATUS=…") as sd_notify(3) documents
 * it for those who do not link libsystemd: tenantd and the holder run as root and link
 * as little as they can. Does nothing when systemd does not listen.
 */
void notify(const char *state);

/* The same as STATUS=@text, unless that would have to wait: nobody needs it. What is no
 * printable character is replaced; a line of its own would be another word to systemd. */
void notify_status(const char *text);

/*
 * Have systemd keep a copy of @fd under @name over a restart and our death, though not over a
 * stop of the unit (FileDescriptorStoreMax= in its file).
 */
void notify_keep_fd(const char *name, int fd);

/* Have systemd close what it keeps under @name. */
void notify_drop_fd(const char *name);

/* The descriptor that systemd has kept under @name, close-on-exec and numbered @first or above,
 * or FD_NONE. To be asked before anything is opened. */
int notify_kept_fd(const char *name, int first);

/* Call @taken with each that systemd has kept under a name that begins with @prefix: the rest
 * of the name, and the descriptor as above, which is @taken's to close. */
void notify_kept_each(const char *prefix, int first,
                      void (*taken)(void *context, const char *rest, int fd), void *context);

/* How often WATCHDOG=1 is due, in microseconds; 0 if no watchdog watches us. */
int64_t notify_watchdog_usec(void);

#endif
