/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* That the daemon began to serve, told as an event: which version, and what had been. */
#ifndef RUNTIME_RESTART_H
#define RUNTIME_RESTART_H

#include "store/store.h"

/* Durable. A store that cannot be written is logged and no failure: whoever runs goes on. */
void restart_tell(struct store *store);

#endif
