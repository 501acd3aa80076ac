/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of executions, as ps and usage show them. */
#ifndef TOOLS_EXECUTION_LIST_H
#define TOOLS_EXECUTION_LIST_H

#include <tenant/types.h>

#include "output.h"

void execution_table_init(struct table *table);

/* Called with each: a row of the struct table, or a line of the struct jout, that is @userdata.
 */
int execution_as_row(const struct tn_execution *execution, void *userdata);
int execution_as_json(const struct tn_execution *execution, void *userdata);

/* To standard output. 0, or -ENOMEM. */
int list_table_print(const struct table *table, struct tn_error *err);

#endif
