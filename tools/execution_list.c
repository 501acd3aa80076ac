/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "execution_list.h"

#include <base/err.h>
#include <base/fd.h>

static const struct table_column columns[] = {
	{ "ID", false },    { "TENANT", false },  { "NAME", false },
	{ "STATE", false }, { "STARTED", false }, { "WALL", true },
	{ "CPU", true },    { "MEMORY", true },   { "PIDS", true },
};

/* Most have no name. */
#define COLUMN_NAME 2

void execution_table_init(struct table *table)
{
	table_init(table, columns, ARRAY_LEN(columns));
	table->spare = UINT64_C(1) << COLUMN_NAME;
}

int execution_as_row(const struct tn_execution *execution, void *userdata)
{
	struct table *table = userdata;
	char cell[OUTPUT_CELL_BYTES_MAX];

	table_add(table, execution->id);
	table_add(table, execution->tenant);
	table_add(table, execution->name != NULL ? execution->name : "");
	table_add(table, output_ending(execution, cell));
	table_add(table, output_instant(execution->started_at, cell));
	table_add(table, output_duration(execution->wall_usec, cell));
	table_add(table, output_duration(execution->cpu_usec, cell));
	table_add(table, output_bytes(execution->memory_peak_bytes, cell));
	table_add(table, output_int(execution->pids_peak, cell));
	return 0;
}

int execution_as_json(const struct tn_execution *execution, void *userdata)
{
	struct jout *out = userdata;

	jout_line(out);
	output_record(out, NULL, tn_execution_fields(), execution);
	return 0;
}

int list_table_print(const struct table *table, struct tn_error *err)
{
	if (table_print(table, stdout) < 0)
		return err_set(err, TN_SYSTEM, ENOMEM, "no memory for the list");
	return 0;
}
