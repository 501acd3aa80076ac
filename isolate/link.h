/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Network interfaces, through libnl-route; the one file that uses it. */
#ifndef ISOLATE_LINK_H
#define ISOLATE_LINK_H

#include <base/err.h>

/* Bring the loopback interface of the caller's network namespace up. */
int link_loopback_up(struct tn_error *err);

#endif
