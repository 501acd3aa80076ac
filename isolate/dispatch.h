/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the controller may ask: one table, checked for size and descriptors before a
 * handler sees the message. */
#ifndef ISOLATE_DISPATCH_H
#define ISOLATE_DISPATCH_H

#include "channel.h"
#include "data.h"
#include "execution.h"
#include "reserve.h"
#include "tenant.h"
#include "turns.h"

struct dispatch {
	struct channel *channel;
	struct tenants *tenants;
	struct executions *executions;
	struct turns *turns; /* in which launches wait */
	struct reserve *reserve;
	struct data_servers *data;
};

/* Handle one message; descriptors that are not moved out of @fds stay the caller's to close. */
void dispatch_message(struct dispatch *dispatch, const struct spec_head *message, int *fds,
                      size_t fds_n);

#endif
