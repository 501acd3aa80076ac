/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "events.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <base/fd.h>
#include <base/log.h>

#include "overrides.h"
#include "store/store.h"

#define LOG_FIELDS_MAX 16

#define EVENT_ROW(code, name, message_id, level, message) { name, message_id, level, message },
static const struct event_kind_row kinds[] = { EVENT_KINDS(EVENT_ROW) };
#undef EVENT_ROW

const struct event_kind_row *event_kind_row(enum event_kind kind)
{
	return &kinds[kind];
}

int event_kind_parse(const char *name)
{
	for (int i = 0; i < EVENT_KINDS_N; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return i;
	return -EINVAL;
}

void event_done(struct event *event)
{
	free(event->before);
	free(event->after);
	event->before = event->after = NULL;
}

static int no_memory(struct tn_error *err)
{
	return err_set(err, TN_SYSTEM, ENOMEM, "tell an event");
}

static void event_begin(enum event_kind kind, const struct actor *actor, struct event *ret)
{
	*ret = (struct event){ .kind = kind,
		               .at = clock_usec(CLOCK_REALTIME),
		               .actor = *actor };
}

/* Takes over @object, which may be NULL without memory. An empty one is nothing. */
static int object_text(json_t *object, char **ret, struct tn_error *err)
{
	char *text = NULL;
	const bool empty = object != NULL && json_object_size(object) == 0;

	if (!empty && object != NULL)
		text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	if (text == NULL && !empty)
		return no_memory(err);
	*ret = text;
	return 0;
}

/* Takes over both. */
static int event_values(struct event *event, json_t *before, json_t *after,
                        struct tn_error *err)
{
	int r = object_text(before, &event->before, err);

	if (r < 0) {
		json_decref(after);
		return r;
	}
	r = object_text(after, &event->after, err);
	if (r < 0)
		event_done(event);
	return r;
}

static void put(json_t *object, const char *name, const char *text)
{
	if (text != NULL && text[0] != '\0')
		(void)json_object_set_new(object, name, json_string(text));
}

static void put_int(json_t *object, const char *name, int64_t number)
{
	char text[24];

	if (number < 0)
		return;
	(void)snprintf(text, sizeof(text), "%" PRId64, number);
	put(object, name, text);
}

/* Of everything about a tenant that people may set, and of its status. */
static json_t *tenant_values(const struct tenant_row *row)
{
	json_t *object = json_object();
	json_t *metadata = json_loads(row->metadata, 0, NULL);
	const char *overrides = row->overrides;
	char key[STORE_TEXT_BYTES_MAX], value[STORE_TEXT_BYTES_MAX];
	char name[STORE_METADATA_BYTES_MAX + sizeof("metadata.")];
	const char *metadata_key;
	const json_t *metadata_value;

	put(object, "status", tenant_status_name(row->status));
	put(object, "tier", row->tier);
	put(object, "display_name", row->display_name);
	put_int(object, "billing_anchor_day", row->billing_anchor_day);
	put(object, "time_zone", row->time_zone);
	put(object, "currency", row->currency);
	put(object, "customer_id", row->customer_id);
	put(object, "operators", row->operators);
	while (overrides_next(&overrides, key, value))
		put(object, key, value);
	json_object_foreach(metadata, metadata_key, metadata_value)
	{
		(void)snprintf(name, sizeof(name), "metadata.%s", metadata_key);
		(void)json_object_set_new(object, name,
		                          json_string(json_string_value(metadata_value)));
	}
	json_decref(metadata);
	return object;
}

/* Take out of both what they agree about. */
static void keep_differences(json_t *before, json_t *after)
{
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe(before, next, key, value)
	{
		if (!json_equal(value, json_object_get(after, key)))
			continue;
		(void)json_object_del(after, key);
		(void)json_object_del(before, key);
	}
}

int event_of_tenant(enum event_kind kind, const struct actor *actor,
                    const struct tenant_row *before, const struct tenant_row *after,
                    struct event *ret, struct tn_error *err)
{
	json_t *was = before != NULL ? tenant_values(before) : json_object();
	json_t *is = tenant_values(after);
	struct event event;
	int r;

	event_begin(kind, actor, &event);
	event.of_tenant = true;
	event.tenant = after->id;
	(void)snprintf(event.tenant_name, sizeof(event.tenant_name), "%s", after->name);
	keep_differences(was, is);
	r = event_values(&event, was, is, err);
	if (r == 0)
		*ret = event;
	return r;
}

static json_t *started_values(const struct record *record)
{
	json_t *object = json_object();

	put(object, "name", record->name);
	put(object, "policy_hash", record->policy_hash);
	return object;
}

static json_t *exited_values(const struct record *record)
{
	json_t *object = json_object();

	put(object, "name", record->name);
	put_int(object, "exit_code", record->exit_code);
	put_int(object, "signal", record->signal);
	put_int(object, "wall_usec", record->wall_usec);
	put_int(object, "cpu_usec", record->cpu_usec);
	return object;
}

static json_t *oom_values(const struct record *record)
{
	json_t *object = json_object();

	put_int(object, "oom_kills", record->oom_kills);
	put_int(object, "memory_peak_bytes", record->memory_peak_bytes);
	return object;
}

static json_t *throttled_values(const struct record *record)
{
	json_t *object = json_object();

	if (record->throttled_usec > 0)
		put_int(object, "throttled_usec", record->throttled_usec);
	if (record->tenant_throttled_usec > 0)
		put_int(object, "tenant_throttled_usec", record->tenant_throttled_usec);
	return object;
}

/* What was lost with the controller that saw it begin; a command that could not be executed
 * never did. */
static bool tells_started(const struct record *record, bool first)
{
	return first && (record->state == RECORD_RUNNING || record->reason != REASON_RUNTIME);
}

static bool tells_oom(const struct record *record, bool first)
{
	(void)first;
	return record->state == RECORD_EXITED &&
	       (record->reason == REASON_OOM || record->oom_kills > 0);
}

static bool tells_throttled(const struct record *record, bool first)
{
	(void)first;
	return record->state == RECORD_EXITED &&
	       (record->throttled_usec > 0 || record->tenant_throttled_usec > 0);
}

static bool tells_exited(const struct record *record, bool first)
{
	(void)first;
	return record->state == RECORD_EXITED;
}

static int record_event(enum event_kind kind, const struct record *record, json_t *values,
                        struct event *ret, struct tn_error *err)
{
	const int64_t at = kind == EVENT_STARTED ? record->started_at : record->ended_at;
	struct event event;
	int r;

	/* Of one that was lost nobody knows when it ended: what is told is that it was lost. */
	event_begin(kind, &record->by, &event);
	if (at != RECORD_ABSENT)
		event.at = at;
	event.of_tenant = event.of_execution = true;
	event.tenant = record->tenant;
	event.execution = record->id;
	(void)snprintf(event.tenant_name, sizeof(event.tenant_name), "%s", record->tenant_name);
	if (kind == EVENT_EXITED)
		(void)snprintf(event.reason, sizeof(event.reason), "%s",
		               record_reason_name(record->reason));
	/* Who launched it is not who has it killed. */
	if (kind == EVENT_STARTED && record->state == RECORD_EXITED)
		event.actor = ACTOR_NONE;
	r = event_values(&event, json_object(), values, err);
	if (r == 0)
		*ret = event;
	return r;
}

int events_of_record(const struct record *record, bool first,
                     struct event ret[static EVENTS_OF_RECORD_MAX], struct tn_error *err)
{
	static const struct {
		enum event_kind kind;
		bool (*tells)(const struct record *record, bool first);
		json_t *(*values)(const struct record *record);
	} told[EVENTS_OF_RECORD_MAX] = {
		{ EVENT_STARTED, tells_started, started_values },
		{ EVENT_OOM, tells_oom, oom_values },
		{ EVENT_THROTTLED, tells_throttled, throttled_values },
		{ EVENT_EXITED, tells_exited, exited_values },
	};
	int n = 0;

	for (size_t i = 0; i < ARRAY_LEN(told); i++) {
		int r;

		if (!told[i].tells(record, first))
			continue;
		r = record_event(told[i].kind, record, told[i].values(record), &ret[n], err);
		if (r < 0) {
			while (n > 0)
				event_done(&ret[--n]);
			return r;
		}
		n++;
	}
	return n;
}

int event_of_node(enum event_kind kind, const struct actor *actor, const char *reason,
                  const struct event_difference *difference, struct event *ret,
                  struct tn_error *err)
{
	json_t *was = json_object();
	json_t *is = json_object();
	struct event event;
	int r;

	event_begin(kind, actor, &event);
	(void)snprintf(event.reason, sizeof(event.reason), "%s", reason != NULL ? reason : "");
	put(was, difference->name, difference->before);
	put(is, difference->name, difference->after);
	r = event_values(&event, was, is, err);
	if (r == 0)
		*ret = event;
	return r;
}

int event_say(struct event *event, const char *name, const char *text, struct tn_error *err)
{
	json_t *object = event->after != NULL ? json_loads(event->after, 0, NULL)
	                                      : json_object();
	char *after = NULL;
	int r;

	put(object, name, text);
	r = object_text(object, &after, err);
	if (r < 0)
		return r;
	free(event->after);
	event->after = after;
	return 0;
}

int event_say_int(struct event *event, const char *name, int64_t number, struct tn_error *err)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64, number);
	return event_say(event, name, text, err);
}

const char *event_value(const char *json, const char *name, char *text, size_t size)
{
	json_t *object = json != NULL ? json_loads(json, 0, NULL) : NULL;
	const char *value = json_string_value(json_object_get(object, name));

	(void)snprintf(text, size, "%s", value != NULL ? value : "");
	json_decref(object);
	return text;
}

/* The names of fields in the journal; of two that sound alike, the catalog shows these. */
void event_log(const struct event *event)
{
	const struct event_kind_row *row = &kinds[event->kind];
	struct log_field fields[LOG_FIELDS_MAX];
	char tenant[ID_TEXT_BYTES], execution[ID_TEXT_BYTES];
	size_t n = 0;

	fields[n++] = LF_STR("message_id", row->message_id);
	fields[n++] = LF_STR("event", row->name);
	fields[n++] = LF_INT("event_seq", event->seq);
	fields[n++] = LF_INT("event_at_usec", event->at);
	if (event->of_tenant) {
		id_format(&event->tenant, tenant);
		fields[n++] = LF_STR("tenant", event->tenant_name);
		fields[n++] = LF_STR("tenant_id", tenant);
	}
	if (event->of_execution) {
		id_format(&event->execution, execution);
		fields[n++] = LF_STR("execution", execution);
	}
	if (event->actor.uid != ACTOR_ABSENT)
		fields[n++] = LF_INT("actor_uid", event->actor.uid);
	if (event->actor.pid != ACTOR_ABSENT)
		fields[n++] = LF_INT("actor_pid", event->actor.pid);
	if (event->actor.login_uid != ACTOR_ABSENT)
		fields[n++] = LF_INT("actor_login_uid", event->actor.login_uid);
	if (event->reason[0] != '\0')
		fields[n++] = LF_STR("reason", event->reason);
	/* Last: they are what may be cut. */
	if (event->before != NULL)
		fields[n++] = LF_STR("before", event->before);
	if (event->after != NULL)
		fields[n++] = LF_STR("after", event->after);
	fields[n] = LF_END;
	log_write(row->level, row->message, fields);
}
