/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Backup: a copy of all that the control plane knows, as a descriptor to read it by. Who asked
 * writes it where he may; nothing of it passes through here.
 */
#include "methods.h"

static void backup_on_done(void *userdata, int fd, const struct backup_about *about,
                           const struct tn_error *why)
{
	struct call *call = userdata;

	if (why != NULL)
		call_fail(call, why);
	else
		call_reply_with_fd(call,
		                   json_pack("{s:i, s:I, s:I, s:I, s:s}", "backup", 0,
		                             "created_at", (json_int_t)about->created_at,
		                             "bytes", (json_int_t)about->bytes, "tenants",
		                             (json_int_t)about->tenants, "policy_hash",
		                             about->policy_hash),
		                   fd);
}

static void backup_abandoned(struct call *call)
{
	backup_cancel(call->context->backup);
}

static int handle_backup(struct call *call, struct tn_error *err)
{
	int r = journal_commit(call->context->journal, NULL, err);

	if (r == 0)
		r = backup_begin(call->context->backup, backup_on_done, call, err);
	if (r == 0)
		call->abandoned = backup_abandoned;
	return r;
}

const struct method methods_backup[] = {
	{ "io.tenantd.Backup", handle_backup, 0, NULL, 0 },
	{ .name = NULL },
};
