/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STORE_NAME(code, name) name,
static const char *const statuses[] = { STORE_STATUSES(STORE_NAME) };
#undef STORE_NAME

const char *tenant_status_name(enum tenant_status status)
{
	return statuses[status];
}

int tenant_status_parse(const char *name)
{
	for (int i = 0; i < TENANT_STATUSES_N; i++)
		if (strcmp(statuses[i], name) == 0)
			return i;
	return -EINVAL;
}

void tenant_row_done(struct tenant_row *row)
{
	free(row->metadata);
	row->metadata = NULL;
}
