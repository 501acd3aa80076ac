/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The calls of <tenant/bill.h>, as calls.c has those of client.h. */
#include <tenant/bill.h>

#include "client.h"
#include "record.h"

static int on_line(struct call *call, json_t *json, struct tn_error *err)
{
	struct tn_bill_line line = { 0 };
	int r = record_read(tn_bill_line_fields(), json, &line, sizeof(line), err);

	if (r < 0)
		return r;
	r = call->each_line(&line, call->userdata) != 0;
	tn_bill_line_done(&line);
	return r;
}

/* The first reply holds the bill, each further one a line. */
static int on_bill(struct call *call, json_t *parameters, struct tn_error *err)
{
	json_t *json = client_member(parameters, call->replies_n == 0 ? "bill" : "line");

	if (call->replies_n > 0)
		return json == NULL || call->each_line == NULL ? 0 : on_line(call, json, err);
	if (json == NULL)
		return client_no_member("bill", err);
	return record_read(call->ret_fields, json, call->ret, call->ret_size, err);
}

int tn_bill_start(struct tn_client *client, const char *tenant, const char *period,
                  struct tn_bill *ret, tn_bill_line_fn *each, void *userdata,
                  struct tn_error *err)
{
	struct call call = CALL_FOR(on_bill, tn_bill, ret);
	int r = check_tenant(tenant, err);

	if (r < 0)
		return r;
	call.each_line = each;
	call.userdata = userdata;
	return client_start(client, "GetBill",
	                    json_pack("{s:s, s:s?}", "tenant", tenant, "period", period),
	                    CONNECTION_MORE, &call, err);
}

int tn_bill(struct tn_client *client, const char *tenant, const char *period,
            struct tn_bill *ret, tn_bill_line_fn *each, void *userdata, struct tn_error *err)
{
	return client_finish(
		client, tn_bill_start(client, tenant, period, ret, each, userdata, err), err);
}
