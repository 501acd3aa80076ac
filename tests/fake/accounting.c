/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What was used, what is left, and what it costs. */
#include "calls.h"

#include <string.h>

#include "records.h"

void fake_get_usage(const struct call *call)
{
	const bool totals = json_is_true(json_object_get(call->parameters, "totals_only"));

	if (fake_misbehave(call, fake_text_of(call, "tenant")))
		return;
	fake_reply(call, totals_json(), !totals);
	if (totals)
		return;
	if (strcmp(fake_text_of(call, "by"), "") != 0) {
		fake_reply(call, json_pack("{s:o}", "period", period_json(0)), true);
		fake_reply(call, json_pack("{s:o}", "period", period_json(1)), false);
		return;
	}
	fake_reply(call,
	           json_pack("{s:o}", "execution", execution_json("acme", "exited", "timeout")),
	           true);
	fake_reply(call,
	           json_pack("{s:o}", "execution", execution_json("acme", "running", NULL)),
	           false);
}

/* Of everything 10 can be used, and nothing of it has been. */
void fake_serve_amount(const struct call *call)
{
	const json_int_t amount = json_integer_value(
		json_object_get(call->parameters, "amount"));

	if (fake_misbehave(call, fake_text_of(call, "tenant")))
		return;
	if (amount > 10)
		fake_refuse(call, "io.tenantd.QuotaExceeded", quota_error_json(amount));
	else
		fake_reply(call, quota_answer_json(amount, fake_text_of(call, "key")), false);
}

void fake_serve_reservation(const struct call *call)
{
	if (!fake_misbehave(call, fake_text_of(call, "tenant")))
		fake_reply(call, quota_reserved_json(), false);
}

void fake_get_quotas(const struct call *call)
{
	if (!fake_misbehave(call, fake_text_of(call, "tenant")))
		fake_reply(call, quotas_json(fake_text_of(call, "tenant")), false);
}

/* "unbilled" is one for whose currency there is no price book. */
void fake_get_bill(const struct call *call)
{
	const char *tenant = fake_text_of(call, "tenant");

	if (fake_misbehave(call, tenant))
		return;
	if (strcmp(tenant, "unbilled") == 0) {
		fake_refuse(call, "io.tenantd.InvalidState",
		            json_pack("{s:s}", "message", "no price book for EUR"));
		return;
	}
	fake_reply(call,
	           json_pack("{s:o}", "bill", bill_json(tenant, fake_text_of(call, "period"))),
	           true);
	for (int i = 0; i < BILL_LINES_N; i++)
		fake_reply(call, json_pack("{s:o}", "line", bill_line_json(i)),
		           i < BILL_LINES_N - 1);
}
