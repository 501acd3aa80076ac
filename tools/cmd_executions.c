/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd.h"

#include <base/err.h>
#include <base/fd.h>

#include "execution_list.h"

const char *cmd_execution_id(struct ctl *ctl, struct tn_error *err)
{
	struct tn_execution execution = { 0 };
	struct id id = { 0 };

	if (id_parse(ctl->operands[0], &id) < 0) {
		if (tn_execution_find(ctl->client, ctl->operands[0], &execution, err) < 0)
			return NULL;
		if (id_parse(execution.id, &id) < 0)
			(void)err_refuse(err, TN_PROTOCOL, "the daemon's reply has no id");
		tn_execution_done(&execution);
		if (err->code != TN_OK)
			return NULL;
	}
	id_format(&id, ctl->execution);
	return ctl->execution;
}

int cmd_ps(struct ctl *ctl, struct tn_error *err)
{
	const char *tenant = ctl->operands_n > 0 ? ctl->operands[0] : NULL;
	struct jout out = { .file = stdout };
	struct table table;
	int r;

	if (ctl->json) {
		r = tn_execution_list(ctl->client, tenant, ctl->all, execution_as_json, &out,
		                      err);
		if (r == 0) {
			jout_end_lines(&out);
			(void)putchar('\n');
		}
		return r;
	}
	execution_table_init(&table);
	r = tn_execution_list(ctl->client, tenant, ctl->all, execution_as_row, &table, err);
	if (r == 0)
		r = list_table_print(&table, err);
	table_done(&table);
	return r;
}
