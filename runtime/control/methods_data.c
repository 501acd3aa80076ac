/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * OpenData: a way to a tenant's files, for who may run its commands, since those can do all
 * that this can. It is a socket, behind which a process without any right but the tenant's
 * serves them (isolate/data_server.h); what is copied does not pass through here, nor which
 * files.
 *
 * That it was opened, by whom and for what, is told to the log and is no event: an event tells
 * what of the node has become different, and is written in the transaction of that. As with
 * what a command does to the tenant's files, nothing that we keep has.
 */
#include <stdlib.h>
#include <syslog.h>

#include <base/data.h>
#include <base/fd.h>
#include <base/log.h>

#include "../tenants.h"
#include "connection.h"
#include "methods.h"

static_assert(SPEC_DATA_BYTES_MAX == DATA_PATH_BYTES_MAX, "a path fits");

struct data_arguments {
	const char *tenant;
	const char *path;
	bool writable;
};

static const struct param data_params[] = {
	{ .name = "tenant",
	  .kind = PARAM_STRING,
	  .required = true,
	  .offset = offsetof(struct data_arguments, tenant) },
	{ .name = "path",
	  .kind = PARAM_STRING,
	  .required = true,
	  .max = DATA_PATH_BYTES_MAX - 1,
	  .offset = offsetof(struct data_arguments, path) },
	{ .name = "writable",
	  .kind = PARAM_BOOL,
	  .offset = offsetof(struct data_arguments, writable) },
	{ .name = NULL },
};

/* Who it was: kept, since the client may go while tenantd is asked. */
struct opening {
	struct actor actor;
	struct id tenant;
};

static void tell_log(const struct call *call, const struct opening *opening)
{
	const struct data_arguments *arguments = call->arguments;
	char id[ID_TEXT_BYTES], path[sizeof("/data/") + DATA_PATH_BYTES_MAX];

	id_format(&opening->tenant, id);
	(void)snprintf(path, sizeof(path), "/data/%s", arguments->path);
	log_event(LOG_NOTICE, "a tenant's data was opened for a copy",
	          LF_STR("tenant", arguments->tenant), LF_STR("tenant_id", id),
	          LF_STR("path", path), LF_STR("direction", arguments->writable ? "in" : "out"),
	          LF_INT("actor_uid", opening->actor.uid),
	          LF_INT("actor_pid", opening->actor.pid),
	          LF_INT("actor_login_uid", opening->actor.login_uid), LF_END);
}

static void on_reply(void *userdata, const struct spec_reply *reply)
{
	struct call *call = userdata;
	struct tn_error err = { 0 };
	const int fd = reply == NULL ? FD_NONE : supervisor_reply_fd(call->context->link);
	int r = tenants_reply_check(reply, &err);

	if (r == 0 && fd < 0)
		r = err_refuse(&err, TN_PROTOCOL, "tenantd has sent no descriptor");
	if (r < 0) {
		call_fail(call, &err);
		return;
	}
	tell_log(call, call->state);
	call_reply_with_fd(call, json_pack("{s:i}", "data", 0), fd);
}

/* What a tenant has that is being deleted, or was, is nobody's any more. */
static int tenant_check(const struct tenant *tenant, struct tn_error *err)
{
	const enum tenant_status status = tenant->row.status;

	if (!tenant->leaving && (status == TENANT_ACTIVE || status == TENANT_SUSPENDED))
		return 0;
	return err_refuse(err, TN_STATE, "'%s' is %s", tenant->row.name,
	                  tenant_status_name(tenant->leaving ? TENANT_DELETING : status));
}

static int handle_open_data(struct call *call, struct tn_error *err)
{
	const struct data_arguments *arguments = call->arguments;
	struct context *context = call->context;
	struct spec_data message = { .flags = arguments->writable ? SPEC_DATA_WRITABLE : 0 };
	const struct supervisor_request request = SUPERVISOR_REQUEST(SPEC_DATA, &message);
	struct opening *opening = calloc(1, sizeof(*opening));
	struct tenant *tenant = NULL;
	int r;

	if (opening == NULL)
		return err_errno(err, "open a tenant's data");
	call->state = opening;
	call->free_state = free;
	if (!data_path_valid(arguments->path))
		return err_refuse(err, TN_INVALID,
		                  "not a path relative to /data, without empty components, . "
		                  "and ..");
	r = tenants_get(context->tenants, arguments->tenant, &tenant, err);
	if (r == 0)
		r = tenant_check(tenant, err);
	if (r == 0)
		r = tenants_apply(context->tenants, tenant, err);
	if (r < 0)
		return r;
	opening->actor = call_actor(call);
	opening->tenant = tenant->row.id;
	message.tenant = tenant->row.id;
	(void)snprintf(message.path, sizeof(message.path), "%s", arguments->path);
	return supervisor_ask(context->link, &request, on_reply, call, err);
}

const struct method methods_data[] = {
	{ "io.tenantd.OpenData", handle_open_data, 0, data_params,
	  sizeof(struct data_arguments) },
	{ .name = NULL },
};
