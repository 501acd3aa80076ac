/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "encode.h"

#include <assert.h>
#include <string.h>

#include <base/fd.h>

#include "../operators.h"
#include "../overrides.h"

#define ENCODE_MESSAGE_BYTES_MAX 1024

json_t *encode_int(int64_t number)
{
	return number < 0 ? json_null() : json_integer(number);
}

json_t *encode_text(const char *text)
{
	return text == NULL || text[0] == '\0' ? json_null() : json_string(text);
}

json_t *encode_message(const char *text)
{
	char ascii[ENCODE_MESSAGE_BYTES_MAX];
	json_t *json = json_string(text);
	size_t n = 0;

	if (json != NULL)
		return json;
	for (; text[n] != '\0' && n < sizeof(ascii) - 1; n++)
		ascii[n] = (char)((unsigned char)text[n] < 0x80 ? text[n] : '?');
	ascii[n] = '\0';
	return json_string(ascii);
}

static json_t *encode_overrides(const char *text)
{
	char key[STORE_TEXT_BYTES_MAX], value[STORE_TEXT_BYTES_MAX];
	json_t *json = json_object();

	while (overrides_next(&text, key, value))
		(void)json_object_set_new(json, key, json_string(value));
	return json;
}

static json_t *encode_operators(const char *text)
{
	char who[ACCOUNT_TEXT_BYTES_MAX];
	json_t *json = json_array();

	while (operators_next(&text, who))
		(void)json_array_append_new(json, json_string(who));
	return json;
}

json_t *encode_tenant(const struct tenant_row *row)
{
	char id[ID_TEXT_BYTES];
	json_t *metadata = json_loads(row->metadata, 0, NULL);
	json_t *settings = json_pack("{s:I, s:s, s:s, s:o}", "billing_anchor_day",
	                             (json_int_t)row->billing_anchor_day, "time_zone",
	                             row->time_zone, "currency", row->currency, "customer_id",
	                             encode_text(row->customer_id));

	id_format(&row->id, id);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:s, "
	                 "s:s, s:I, s:I, "
	                 "s:s}",
	                 "id", id, "name", row->name, "display_name", row->display_name,
	                 "status", tenant_status_name(row->status), "tier", row->tier,
	                 "metadata", metadata, "overrides", encode_overrides(row->overrides),
	                 "operators", encode_operators(row->operators), "settings", settings,
	                 "version", (json_int_t)row->version, "created_at",
	                 (json_int_t)row->created_at, "updated_at", (json_int_t)row->updated_at,
	                 "policy_hash", row->policy_hash, "cgroup", row->cgroup, "uid_first",
	                 (json_int_t)row->uid_first, "uid_count", (json_int_t)row->uid_count,
	                 "storage_path", row->storage_path);
}

json_t *encode_record(const struct record *record)
{
	char id[ID_TEXT_BYTES], joins[ID_TEXT_BYTES] = "";
	json_t *json;
	int r = 0;

	id_format(&record->id, id);
	if (!id_is_none(&record->joins))
		id_format(&record->joins, joins);
	json = json_pack("{s:s, s:s, s:o, s:o, s:s, s:o}", "id", id, "tenant",
	                 record->tenant_name, "name", encode_text(record->name), "joins",
	                 encode_text(joins), "state", record_state_name(record->state),
	                 "reason", encode_text(record_reason_name(record->reason)));
	for (size_t i = 0; json != NULL && i < RECORD_INTS_N; i++)
		r |= json_object_set_new(json, record_int_name(i),
		                         encode_int(record_int_get(record, i)));
	if (json != NULL)
		r |= json_object_set_new(json, "policy_hash", json_string(record->policy_hash));
	if (r == 0)
		return json;
	json_decref(json);
	return NULL;
}

static json_t *encode_values(const char *values)
{
	return values != NULL ? json_loads(values, 0, NULL) : json_object();
}

json_t *encode_event(const struct event *event)
{
	const struct event_kind_row *row = event_kind_row(event->kind);
	char tenant[ID_TEXT_BYTES] = "", execution[ID_TEXT_BYTES] = "";

	if (event->of_tenant)
		id_format(&event->tenant, tenant);
	if (event->of_execution)
		id_format(&event->execution, execution);
	return json_pack(
		"{s:I, s:I, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "seq",
		(json_int_t)event->seq, "at", (json_int_t)event->at, "kind", row->name,
		"message", row->message, "tenant", encode_text(event->tenant_name), "tenant_id",
		encode_text(tenant), "execution", encode_text(execution), "actor_uid",
		encode_int(event->actor.uid), "actor_pid", encode_int(event->actor.pid),
		"actor_login_uid", encode_int(event->actor.login_uid), "reason",
		event->reason[0] != '\0' ? encode_message(event->reason) : json_null(),
		"before", encode_values(event->before), "after", encode_values(event->after));
}

json_t *encode_exited(const struct record *record, const char *why)
{
	char id[ID_TEXT_BYTES];

	id_format(&record->id, id);
	return json_pack("{s:s, s:s, s:o, s:o}", "event", "exited", "id", id, "execution",
	                 encode_record(record), "explanation", encode_text(why));
}

int encode_limit(json_t *list, const char *key, const char *value, const char *source)
{
	return json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "key", key, "value",
	                                             value, "source", source));
}

json_t *encode_limits(const struct plan *plan)
{
	json_t *list = json_array();

	for (size_t i = 0; i < plan->limits_n; i++) {
		const struct plan_limit *limit = &plan->limits[i];

		if (encode_limit(list, limit->key, limit->value, limit->source) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

json_t *encode_strings(const char *strings, uint32_t n)
{
	json_t *list = json_array();

	for (; n > 0; n--) {
		if (json_array_append_new(list, json_string(strings)) < 0) {
			json_decref(list);
			return NULL;
		}
		strings += strlen(strings) + 1;
	}
	return list;
}

json_t *encode_meters(const struct store_totals *totals)
{
	/* As base/meter.h has them, what may be wrong of one behind it. */
	static const enum ledger_meter order[] = {
		METER_CPU_TIME,      METER_MEMORY_TIME,    METER_MEMORY_ERROR,
		METER_IO_READ_BYTES, METER_IO_WRITE_BYTES, METER_IO_OPS,
		METER_EXECUTIONS,    METER_EXECUTION_TIME, METER_THROTTLED_TIME,
		METER_OVERHEAD_TIME,
	};
	json_t *meters = json_object();

	static_assert(ARRAY_LEN(order) == LEDGER_PUBLIC_N, "all are told");
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		const enum ledger_meter meter = order[i];
		int64_t total = totals->meters[meter];

		if (total == LEDGER_ABSENT)
			continue;
		if (json_object_set_new(meters, ledger_meter_name(meter), json_integer(total)) <
		    0) {
			json_decref(meters);
			return NULL;
		}
	}
	return meters;
}
