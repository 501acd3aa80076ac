/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table that parses tenantd.yaml, for what else is made of it. Private to policy/. */
#ifndef POLICY_DAEMON_ROWS_H
#define POLICY_DAEMON_ROWS_H

#include "limits.h"

struct daemon_row {
	const char *key;   /* "retention.executions" */
	const char *group; /* "retention": the mapping that it stands in; NULL: at the top */
	const char *group_about;
	struct limits_row value; /* its key is that in its group */
};

/* Row @i describes the @i-th member of struct policy_daemon_settings. */
const struct daemon_row *daemon_row_at(size_t i);

#endif
