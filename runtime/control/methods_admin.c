/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/log.h>

#include "encode.h"
#include "methods.h"

static json_t *degraded_list(const struct context *context, json_t *unenforced)
{
	json_t *list = json_array();
	const char *why;

	if (journal_failing(context->journal, &why))
		(void)json_array_append_new(list,
		                            json_sprintf("usage cannot be booked: %s", why));
	if (context->reserve.degraded[0] != '\0')
		(void)json_array_append_new(list, encode_message(context->reserve.degraded));
	if (context->policies.degraded[0] != '\0')
		(void)json_array_append_new(list, encode_message(context->policies.degraded));
	if (context->accounts_missing[0] != '\0')
		(void)json_array_append_new(list, encode_message(context->accounts_missing));
	for (size_t i = 0; i < json_array_size(unenforced); i++)
		(void)json_array_append_new(
			list, json_sprintf("not enforced: %s",
		                           json_string_value(json_array_get(unenforced, i))));
	return list;
}

static int handle_status(struct call *call, struct tn_error *err)
{
	struct context *context = call->context;
	const char *names[CONTEXT_UNENFORCED_MAX];
	size_t names_n = context_unenforced(context, names);
	struct store_figures figures;
	json_t *unenforced;
	json_t *degraded;
	int r = context->store->ops->figures(context->store, &figures, err);

	if (r < 0)
		return r;
	unenforced = json_array();
	for (size_t i = 0; i < names_n; i++)
		(void)json_array_append_new(unenforced, json_string(names[i]));
	degraded = degraded_list(context, unenforced);
	call_reply(call,
	           json_pack("{s:s, s:I, s:s, s:o, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:I}",
	                     "version", TENANTD_VERSION, "uptime_usec",
	                     (json_int_t)(clock_usec(CLOCK_BOOTTIME) - context->began_usec),
	                     "health", json_array_size(degraded) > 0 ? "degraded" : "ok",
	                     "degraded", degraded, "policy_hash",
	                     policy_hash_hex(context->policies.present), "tenants",
	                     (json_int_t)figures.tenants, "executions",
	                     (json_int_t)executions_count(context->executions, NULL),
	                     "store_bytes", (json_int_t)figures.bytes, "unenforced", unenforced,
	                     "drained_at", encode_int(drain_since(context->drain)),
	                     "drained_by", encode_int(drain_by(context->drain)),
	                     "commit_lag_usec",
	                     (json_int_t)journal_lag_usec(context->journal)));
	return 0;
}

const struct method methods_admin[] = {
	{ "io.tenantd.GetStatus", handle_status, 0, NULL, 0 },
	{ .name = NULL },
};
