/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The call of <tenant/backup.h>, as calls.c has those of client.h. */
#include <tenant/backup.h>

#include "client.h"

static int on_backup(struct call *call, json_t *parameters, struct tn_error *err)
{
	return *call->ret_fd < 0 ? client_no_member("backup", err)
	                         : client_on_record(call, parameters, err);
}

/* NOLINTBEGIN(readability-non-const-parameter): the reply writes *ret_fd */
int tn_backup_start(struct tn_client *client, int *ret_fd, struct tn_backup_about *ret,
                    struct tn_error *err)
{
	struct call call = CALL_FOR(on_backup, tn_backup_about, ret);

	call.fd_name = "backup";
	call.ret_fd = ret_fd;
	call.patient = true;
	return client_start(client, "Backup", json_object(), CONNECTION_ONE, &call, err);
}
/* NOLINTEND(readability-non-const-parameter) */

int tn_backup(struct tn_client *client, int *ret_fd, struct tn_backup_about *ret,
              struct tn_error *err)
{
	return client_finish(client, tn_backup_start(client, ret_fd, ret, err), err);
}
