/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "record.h"

#include <stdlib.h>

#include <base/fd.h>

/* The largest record, so that a half-read one can be dropped without allocation. */
#define RECORD_BYTES_MAX 512
/* A message of 64 KiB holds no more elements than this. */
#define RECORD_ITEMS_MAX 32768

static int read_fields(const struct tn_field *fields, json_t *json, char *record,
                       struct tn_error *err);

static int refuse(const struct tn_field *field, struct tn_error *err)
{
	return err_refuse(err, TN_PROTOCOL, "the daemon's reply has no valid '%s'",
	                  field->name);
}

static int read_text(const struct tn_field *field, json_t *json, char *at, struct tn_error *err)
{
	const char *text = json_string_value(json);

	if (text == NULL)
		return refuse(field, err);
	memcpy(at, &text, sizeof(text));
	return 0;
}

static int read_int(const struct tn_field *field, json_t *json, char *at, struct tn_error *err)
{
	int64_t number = json_integer_value(json);

	if (!json_is_integer(json) || number < 0)
		return refuse(field, err);
	memcpy(at, &number, sizeof(number));
	return 0;
}

static int read_enum(const struct tn_field *field, json_t *json, char *at, struct tn_error *err)
{
	const char *text = json_string_value(json);
	int i = 0;

	if (text == NULL)
		return refuse(field, err);
	/* The last name is "unknown", which is also what a new one is taken for. */
	while (field->names[i + 1] != NULL && strcmp(field->names[i], text) != 0)
		i++;
	memcpy(at, &i, sizeof(i));
	return 0;
}

/*
 * Allocate @n items of @size for a list, whose pointer and length are stored at @at at
 * once, so that a record that fails later is released as a whole.
 */
static void *new_items(size_t n, size_t size, char *at, struct tn_error *err)
{
	struct tn_texts list = { .n = n };

	if (n > RECORD_ITEMS_MAX) {
		(void)err_refuse(err, TN_PROTOCOL, "the daemon's reply holds too long a list");
		return NULL;
	}
	list.items = calloc(n == 0 ? 1 : n, size);
	if (list.items == NULL) {
		(void)err_set(err, TN_SYSTEM, ENOMEM, "read the daemon's reply");
		return NULL;
	}
	memcpy(at, &list, sizeof(list));
	return list.items;
}

/* What new_items() stores as one of them is each of the lists. */
static_assert(sizeof(struct tn_pairs) == sizeof(struct tn_texts) &&
                      offsetof(struct tn_pairs, n) == offsetof(struct tn_texts, n) &&
                      sizeof(struct tn_counts) == sizeof(struct tn_texts) &&
                      offsetof(struct tn_counts, n) == offsetof(struct tn_texts, n) &&
                      sizeof(struct tn_limits) == sizeof(struct tn_texts) &&
                      offsetof(struct tn_limits, n) == offsetof(struct tn_texts, n),
              "lists are a pointer and a length");

static int read_pairs(const struct tn_field *field, json_t *json, char *at,
                      struct tn_error *err)
{
	struct tn_pair *items;
	size_t i = 0;

	if (!json_is_object(json))
		return refuse(field, err);
	items = new_items(json_object_size(json), sizeof(*items), at, err);
	if (items == NULL)
		return -err->sys_errno;
	for (void *it = json_object_iter(json); it != NULL;
	     it = json_object_iter_next(json, it)) {
		items[i].key = json_object_iter_key(it);
		items[i].value = json_string_value(json_object_iter_value(it));
		if (items[i++].value == NULL)
			return refuse(field, err);
	}
	return 0;
}

static int read_counts(const struct tn_field *field, json_t *json, char *at,
                       struct tn_error *err)
{
	struct tn_count *items;
	size_t i = 0;

	if (!json_is_object(json))
		return refuse(field, err);
	items = new_items(json_object_size(json), sizeof(*items), at, err);
	if (items == NULL)
		return -err->sys_errno;
	for (void *it = json_object_iter(json); it != NULL;
	     it = json_object_iter_next(json, it)) {
		const json_t *amount = json_object_iter_value(it);

		if (!json_is_integer(amount) || json_integer_value(amount) < 0)
			return refuse(field, err);
		items[i].name = json_object_iter_key(it);
		items[i++].amount = json_integer_value(amount);
	}
	return 0;
}

static int read_texts(const struct tn_field *field, json_t *json, char *at,
                      struct tn_error *err)
{
	const char **items;

	if (!json_is_array(json))
		return refuse(field, err);
	items = new_items(json_array_size(json), sizeof(*items), at, err);
	if (items == NULL)
		return -err->sys_errno;
	for (size_t i = 0; i < json_array_size(json); i++) {
		items[i] = json_string_value(json_array_get(json, i));
		if (items[i] == NULL)
			return refuse(field, err);
	}
	return 0;
}

static const struct tn_field limit_fields[] = {
	{ "key", TN_FIELD_TEXT, false, offsetof(struct tn_limit, key), NULL, NULL },
	{ "value", TN_FIELD_TEXT, false, offsetof(struct tn_limit, value), NULL, NULL },
	{ "source", TN_FIELD_TEXT, false, offsetof(struct tn_limit, source), NULL, NULL },
	{ 0 },
};

static int read_limits(const struct tn_field *field, json_t *json, char *at,
                       struct tn_error *err)
{
	struct tn_limit *items;
	int r = 0;

	if (!json_is_array(json))
		return refuse(field, err);
	items = new_items(json_array_size(json), sizeof(*items), at, err);
	if (items == NULL)
		return -err->sys_errno;
	for (size_t i = 0; r == 0 && i < json_array_size(json); i++)
		r = read_fields(limit_fields, json_array_get(json, i), (char *)&items[i], err);
	return r;
}

static int read_record(const struct tn_field *field, json_t *json, char *at,
                       struct tn_error *err)
{
	if (!json_is_object(json))
		return refuse(field, err);
	return read_fields(field->fields, json, at - field->offset, err);
}

typedef int read_fn(const struct tn_field *field, json_t *json, char *at, struct tn_error *err);

static read_fn *const readers[] = {
	[TN_FIELD_TEXT] = read_text,     [TN_FIELD_INT] = read_int,
	[TN_FIELD_ENUM] = read_enum,     [TN_FIELD_PAIRS] = read_pairs,
	[TN_FIELD_COUNTS] = read_counts, [TN_FIELD_TEXTS] = read_texts,
	[TN_FIELD_LIMITS] = read_limits, [TN_FIELD_RECORD] = read_record,
};

/* Absent is -1 for numbers and NULL, or an empty list, for all that is pointed to. */
static void read_absent(const struct tn_field *field, char *at)
{
	if (field->kind == TN_FIELD_INT)
		memcpy(at, &(int64_t){ TN_ABSENT }, sizeof(int64_t));
	else if (field->kind == TN_FIELD_ENUM)
		memcpy(at, &(int){ TN_ABSENT }, sizeof(int));
}

static int read_fields(const struct tn_field *fields, json_t *json, char *record,
                       struct tn_error *err)
{
	for (const struct tn_field *field = fields; field->name != NULL; field++) {
		json_t *value = json_object_get(json, field->name);
		int r;

		if (field->nullable && (value == NULL || json_is_null(value))) {
			read_absent(field, record + field->offset);
			continue;
		}
		r = readers[field->kind](field, value, record + field->offset, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static void free_lists(const struct tn_field *fields, char *record)
{
	for (const struct tn_field *field = fields; field->name != NULL; field++) {
		void *items;

		switch (field->kind) {
		case TN_FIELD_PAIRS:
		case TN_FIELD_COUNTS:
		case TN_FIELD_TEXTS:
		case TN_FIELD_LIMITS:
			memcpy(&items, record + field->offset, sizeof(items));
			free(items);
			break;
		case TN_FIELD_RECORD:
			free_lists(field->fields, record);
			break;
		case TN_FIELD_TEXT:
		case TN_FIELD_INT:
		case TN_FIELD_ENUM:
			break;
		}
	}
}

int record_read(const struct tn_field *fields, json_t *json, void *record, size_t size,
                struct tn_error *err)
{
	_Alignas(max_align_t) char fresh[RECORD_BYTES_MAX] = { 0 };
	void *owner;
	int r;

	assert(size <= sizeof(fresh));
	r = read_fields(fields, json, fresh, err);
	if (r < 0) {
		free_lists(fields, fresh);
		return r;
	}
	owner = json_incref(json);
	memcpy(fresh, &owner, sizeof(owner));
	memcpy(record, fresh, size);
	return 0;
}

void record_done(const struct tn_field *fields, void *record, size_t size)
{
	void *owner;

	memcpy(&owner, record, sizeof(owner));
	free_lists(fields, record);
	json_decref(owner);
	memset(record, 0, size);
}
