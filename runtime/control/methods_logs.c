/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * OpenLog: what a detached execution has written, as a descriptor to read it by. However long
 * it is, nothing of it passes through here.
 */
#include <base/fd.h>

#include "connection.h"
#include "lookup.h"
#include "methods.h"

struct log_arguments {
	const char *id;
};

static const struct param log_params[] = {
	{ .name = "id",
	  .kind = PARAM_STRING,
	  .required = true,
	  .offset = offsetof(struct log_arguments, id) },
	{ .name = NULL },
};

static int handle_open_log(struct call *call, struct tn_error *err)
{
	const struct log_arguments *arguments = call->arguments;
	struct context *context = call->context;
	cleanup_fd int fd = FD_NONE;
	struct record record = { 0 };
	struct id id;
	int r = lookup_execution(context, &call->connection->peer, arguments->id, &id, err);

	if (r == 0)
		r = journal_commit(context->journal, NULL, err);
	if (r == 0)
		r = context->store->ops->execution_by_id(context->store, &id, &record, err);
	if (r < 0)
		return r;
	if (r == 0)
		return err_refuse(err, TN_NOT_FOUND, "there is no execution %s", arguments->id);
	fd = logbook_open(&context->logbook, &record.tenant, &id, err);
	if (fd < 0)
		return fd;
	call_reply_with_fd(
		call,
		json_pack("{s:i, s:b}", "log", 0, "running", record.state == RECORD_RUNNING),
		fd);
	return 0;
}

const struct method methods_logs[] = {
	{ "io.tenantd.OpenLog", handle_open_log, 0, log_params, sizeof(struct log_arguments) },
	{ .name = NULL },
};
