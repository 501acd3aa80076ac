/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "meters.h"

#include <stdio.h>
#include <string.h>

#include <base/fd.h>

#include "document.h"
#include "rows.h"
#include "schema.h"

#define UNIT_EXPECTED "bytes, usec, mib_msec, or 1 to 15 of a-z and '_' such as documents"
#define UNIT_DEFAULT  "count"

/* By enum meter_kind. */
static const char *const kinds[] = {
	[METER_COUNTER] = "counter",
	[METER_GAUGE] = "gauge",
	NULL,
};

/* Units whose amounts are not merely counted, by their labels. */
static const struct {
	const char *label;
	enum meter_unit unit;
} units[] = {
	{ "bytes", METER_UNIT_BYTES },
	{ "usec", METER_UNIT_USEC },
	{ "mib_msec", METER_UNIT_MIB_MSEC },
};

/* What is measured where the network and the storage have their limits: nobody else's names. */
static const char *const reserved[] = { "network_rx_bytes", "network_tx_bytes",
	                                "storage_time" };

/* A meter that is being read. */
struct reading {
	struct meter meter;
	bool has_kind;
};

static int set_kind(struct reading *reading, const struct document_node *key,
                    struct tn_error *err)
{
	int choice = schema_want_choice(key, kinds, err);

	if (choice < 0)
		return choice;
	reading->meter.kind = (enum meter_kind)choice;
	reading->has_kind = true;
	return 0;
}

static int set_unit(struct reading *reading, const struct document_node *key,
                    struct tn_error *err)
{
	struct meter *meter = &reading->meter;
	const char *text = key->value->text;
	int r = schema_want_text(key, UNIT_EXPECTED, err);
	size_t n;

	if (r < 0)
		return r;
	n = strspn(text, "abcdefghijklmnopqrstuvwxyz_");
	if (text[n] != '\0' || n >= sizeof(meter->label))
		return document_refuse(key->value, err,
		                       "unit: '%.64s' is not a unit; expected " UNIT_EXPECTED,
		                       text);
	memcpy(meter->label, text, n + 1);
	meter->unit = METER_UNIT_COUNT;
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (strcmp(units[i].label, text) == 0)
			meter->unit = units[i].unit;
	return 0;
}

/* The keys of one meter. */
static const struct meter_row {
	struct row_about about;
	int (*set)(struct reading *reading, const struct document_node *key,
	           struct tn_error *err);
} rows[] = {
	{ { .key = "kind",
	    .about = "counter: it only grows; gauge: acquired and given back; required",
	    .choices = kinds },
	  set_kind },
	{ { .key = "unit",
	    .about = "what it is counted in; default: " UNIT_DEFAULT,
	    .schema = "\"type\": \"string\", \"pattern\": \"^[a-z_]{1,15}$\"" },
	  set_unit },
};

bool meter_row_at(size_t i, struct row_about *ret)
{
	if (i >= ARRAY_LEN(rows))
		return false;
	*ret = rows[i].about;
	return true;
}

static const char *meter_key(size_t i)
{
	return rows[i].about.key;
}

static int meter_set(void *target, size_t i, const struct document_node *key,
                     struct tn_error *err)
{
	return rows[i].set(target, key, err);
}

/* A name that is nobody's yet; that none stands there twice, the document has seen to. */
static int name_check(const struct document_node *key, struct tn_error *err)
{
	if (!meter_name_valid(key->text))
		return document_refuse(
			key, err, "meters: '%.64s' is not a name; expected " METER_NAME_RULE,
			key->text);
	if (policy_meter(NULL, key->text) != NULL)
		return document_refuse(key, err,
		                       "meters: '%s' is always there; expected another name",
		                       key->text);
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
		if (strcmp(reserved[i], key->text) == 0)
			return document_refuse(
				key, err, "meters: '%s' is reserved; expected another name",
				key->text);
	return 0;
}

static int meter_add(struct policy_meters *meters, const struct document_node *key,
                     struct tn_error *err)
{
	const struct schema schema = {
		.noun = key->text,
		.keys_n = ARRAY_LEN(rows),
		.key = meter_key,
		.set = meter_set,
	};
	struct reading reading = { .meter = { .source = METER_OF_APPLICATIONS,
		                              .unit = METER_UNIT_COUNT,
		                              .label = UNIT_DEFAULT,
		                              .limitable = true } };
	int r = name_check(key, err);

	if (r == 0)
		r = schema_walk(&schema, key->value, &reading, err);
	if (r < 0)
		return r;
	if (!reading.has_kind)
		return document_refuse(key, err,
		                       "%s: kind is missing; expected kind: counter or gauge",
		                       key->text);
	if (meters->custom_n == POLICY_METERS_MAX)
		return document_refuse(key, err, "meters: too many meters; expected at most %d",
		                       POLICY_METERS_MAX);
	memcpy(reading.meter.name, key->text, strlen(key->text) + 1);
	meters->where[meters->custom_n] = (struct policy_location){ key->line, key->column, 0 };
	meters->custom[meters->custom_n++] = reading.meter;
	return 0;
}

static const char *top_key(size_t i)
{
	(void)i;
	return "meters";
}

static int top_set(void *target, size_t i, const struct document_node *key,
                   struct tn_error *err)
{
	int r = schema_want_mapping(top_key(i), key->value, err);

	if (r < 0)
		return r;
	for (const struct document_node *meter = key->value->first; meter != NULL && r == 0;
	     meter = meter->next)
		r = meter_add(target, meter, err);
	return r;
}

static void document_freep(struct document **document)
{
	(void)document_free(*document);
}

int policy_meters_parse(const char *file, const char *text, size_t n, struct policy_meters *ret,
                        struct tn_error *err)
{
	static const struct schema schema = {
		.keys_n = 1,
		.key = top_key,
		.set = top_set,
	};
	__attribute__((cleanup(document_freep))) struct document *document = NULL;
	struct policy_meters meters = { 0 };
	int r = document_parse(file, text, n, &document, err);

	if (r == 0)
		r = schema_walk(&schema, document_root(document), &meters, err);
	if (r == 0)
		*ret = meters;
	return r;
}

void policy_meter_text(const struct meter *meter, char ret[static POLICY_METER_TEXT_BYTES_MAX])
{
	(void)snprintf(ret, POLICY_METER_TEXT_BYTES_MAX, "%s, %s", kinds[meter->kind],
	               meter->label);
}

const struct meter *policy_meter_at(const struct policy_meters *meters, size_t i)
{
	size_t builtin_n = 0;

	while (meter_builtin(builtin_n) != NULL)
		builtin_n++;
	if (i < builtin_n)
		return meter_builtin(i);
	i -= builtin_n;
	return meters != NULL && i < meters->custom_n ? &meters->custom[i] : NULL;
}

const struct meter *policy_meter(const struct policy_meters *meters, const char *name)
{
	const struct meter *meter;

	for (size_t i = 0; (meter = policy_meter_at(meters, i)) != NULL; i++)
		if (strcmp(meter->name, name) == 0)
			return meter;
	return NULL;
}
