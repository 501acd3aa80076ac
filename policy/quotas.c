/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory: what a further file says of a quota changes single keys of it, so what a quota lacks
 * can be told only when all files are read: quotas_check(). What a key may be depends on the
 * meter alone and is told where it stands.
 */
#include "quotas_read.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include <base/fd.h>
#include <base/nearest.h>
#include <base/num.h>

#include "amounts.h"
#include "rows.h"
#include "schema.h"
#include "values.h"

#define NOUN    "quotas"
#define PERIODS "hour, day, week or month"

const char *const policy_period_names[] = {
	[POLICY_PER_NONE] = "none", [POLICY_PER_HOUR] = "hour",   [POLICY_PER_DAY] = "day",
	[POLICY_PER_WEEK] = "week", [POLICY_PER_MONTH] = "month", NULL,
};

const char *const policy_enforce_names[] = {
	[POLICY_ENFORCE_HARD] = "hard",
	[POLICY_ENFORCE_SOFT] = "soft",
	NULL,
};

const char *const policy_exhaust_names[] = {
	[POLICY_EXHAUST_REFUSE] = "refuse",
	[POLICY_EXHAUST_THROTTLE] = "throttle",
	[POLICY_EXHAUST_FREEZE] = "freeze",
	[POLICY_EXHAUST_KILL] = "kill",
	NULL,
};

/* One quota that a file says something of. */
struct reading {
	struct policy_tier *tier;
	struct policy_quota *quota;             /* of the tier */
	const struct document_node *on_exhaust; /* the key, if this file has it */
};

static int set_limit(struct reading *reading, const struct document_node *key,
                     struct tn_error *err)
{
	return amount_read(reading->quota->meter.unit, key, 0, true, &reading->quota->limit,
	                   err);
}

static int set_per(struct reading *reading, const struct document_node *key,
                   struct tn_error *err)
{
	int choice;

	if (reading->quota->meter.kind == METER_GAUGE)
		return document_refuse(key, err,
		                       "per: %s is a gauge, which is what there is at a time "
		                       "and not per period; expected no such key",
		                       reading->quota->meter.name);
	choice = schema_want_choice(key, policy_period_names + POLICY_PER_HOUR, err);
	if (choice < 0)
		return choice;
	reading->quota->per = (enum policy_period)(POLICY_PER_HOUR + choice);
	return 0;
}

static int set_enforce(struct reading *reading, const struct document_node *key,
                       struct tn_error *err)
{
	int choice = schema_want_choice(key, policy_enforce_names, err);

	if (choice < 0)
		return choice;
	reading->quota->enforce = (enum policy_enforce)choice;
	return 0;
}

static int set_on_exhaust(struct reading *reading, const struct document_node *key,
                          struct tn_error *err)
{
	int choice;

	if (reading->quota->meter.source != METER_OF_KERNEL)
		return document_refuse(key, err,
		                       "on_exhaust: applications ask for %s and are refused; "
		                       "expected no such key but for what the kernel measures",
		                       reading->quota->meter.name);
	choice = schema_want_choice(key, policy_exhaust_names, err);
	if (choice < 0)
		return choice;
	if (choice != POLICY_EXHAUST_REFUSE && !reading->quota->meter.live)
		return document_refuse(key->value, err,
		                       "on_exhaust: %s counts what has ended, and what runs is "
		                       "not to be held for it; expected refuse",
		                       reading->quota->meter.name);
	reading->quota->on_exhaust = (enum policy_exhaust)choice;
	reading->on_exhaust = key;
	return 0;
}

static int warn_add(struct policy_quota *quota, const struct document_node *item,
                    struct tn_error *err)
{
	int64_t percent = 0;

	if (item->kind != DOCUMENT_SCALAR || !item->plain ||
	    num_parse(item->text, 100, &percent) < 0 || percent < 1 || item->text[0] == '0')
		return document_refuse(item, err, "warn: not a percentage; expected 1 to 100");
	if (quota->warn_n > 0 && percent <= quota->warn[quota->warn_n - 1])
		return document_refuse(item, err,
		                       "warn: %" PRId64 " after %" PRId64
		                       "; expected percentages in ascending order",
		                       percent, quota->warn[quota->warn_n - 1]);
	if (quota->warn_n == POLICY_WARN_MAX)
		return document_refuse(item, err,
		                       "warn: too many percentages; expected at most %d",
		                       POLICY_WARN_MAX);
	quota->warn[quota->warn_n++] = percent;
	return 0;
}

static int set_warn(struct reading *reading, const struct document_node *key,
                    struct tn_error *err)
{
	struct policy_quota *quota = reading->quota;
	int r = 0;

	if (key->value->kind != DOCUMENT_SEQUENCE)
		return document_refuse(key->value, err,
		                       "warn: not a list; expected one such as [80, 95]");
	memset(quota->warn, 0, sizeof(quota->warn));
	quota->warn_n = 0;
	for (const struct document_node *item = key->value->first; item != NULL && r == 0;
	     item = item->next)
		r = warn_add(quota, item, err);
	return r;
}

static_assert(POLICY_WARN_MAX == 8, "the schema of warn says so");

/* The keys of one quota. */
static const struct quota_row {
	struct row_about about;
	int (*set)(struct reading *reading, const struct document_node *key,
	           struct tn_error *err);
} rows[] = {
	[POLICY_QUOTA_LIMIT] = {
		{ .key = "limit", .about = "as much as there may be; max: no limit; required" },
		set_limit,
	},
	[POLICY_QUOTA_PER] = {
		{ .key = "per",
		  .about = "the period that it is for; required of a counter, none of a gauge",
		  .choices = policy_period_names + POLICY_PER_HOUR },
		set_per,
	},
	[POLICY_QUOTA_ENFORCE] = {
		{ .key = "enforce",
		  .about = "hard: no more than that; soft: it is told and goes on; default: hard",
		  .choices = policy_enforce_names },
		set_enforce,
	},
	[POLICY_QUOTA_ON_EXHAUST] = {
		{ .key = "on_exhaust",
		  .about = "what becomes of executions, where the kernel measures; "
			   "default: refuse",
		  .choices = policy_exhaust_names },
		set_on_exhaust,
	},
	[POLICY_QUOTA_WARN] = {
		{ .key = "warn",
		  .about = "percent of the limit at which it is told; default: none",
		  .schema = "\"type\": \"array\", \"maxItems\": 8, \"uniqueItems\": true, "
			    "\"items\": {\"type\": \"integer\", \"minimum\": 1, "
			    "\"maximum\": 100}" },
		set_warn,
	},
};

static_assert(ARRAY_LEN(rows) == POLICY_QUOTA_KEYS_N, "every key needs a row");

bool quota_row_at(size_t i, struct row_about *ret)
{
	if (i >= ARRAY_LEN(rows))
		return false;
	*ret = rows[i].about;
	return true;
}

bool quota_key_is_word(enum policy_quota_key i)
{
	return i != POLICY_QUOTA_WARN;
}

const char *quota_key_name(enum policy_quota_key i)
{
	return rows[i].about.key;
}

static const char *quota_key(size_t i)
{
	return rows[i].about.key;
}

static int quota_set(void *target, size_t i, const struct document_node *key,
                     struct tn_error *err)
{
	struct reading *reading = target;
	int r = rows[i].set(reading, key, err);

	if (r == 0)
		reading->quota->key_where[i] = tier_location(reading->tier, key);
	return r;
}

/* A soft quota stops nothing, so there is nothing for on_exhaust to say. */
static int soft_check(const struct reading *reading, struct tn_error *err)
{
	struct policy_quota *quota = reading->quota;

	if (quota->enforce != POLICY_ENFORCE_SOFT)
		return 0;
	if (reading->on_exhaust != NULL)
		return document_refuse(reading->on_exhaust, err,
		                       "on_exhaust: the quota is soft and stops nothing; "
		                       "expected enforce: hard, or no such key");
	/* What an earlier file said of a hard one goes with that. */
	quota->on_exhaust = POLICY_EXHAUST_REFUSE;
	quota->key_where[POLICY_QUOTA_ON_EXHAUST] = (struct policy_location){ 0 };
	return 0;
}

/* The meter that @key names, if there can be a quota on it; NULL, and why not. */
static const struct meter *meter_find(const struct policy_meters *meters,
                                      const struct document_node *key, struct tn_error *err)
{
	struct nearest nearest = nearest_begin(key->text);
	const struct meter *meter = policy_meter(meters, key->text), *other;
	char hint[NEAREST_HINT_BYTES_MAX];

	if (meter != NULL && meter->limitable)
		return meter;
	if (meter != NULL) {
		(void)document_refuse(key, err,
		                      NOUN
		                      ": %s is not the tenant's to use, what it is comes from "
		                      "limits and from the host; expected another meter",
		                      key->text);
		return NULL;
	}
	for (size_t i = 0; (other = policy_meter_at(meters, i)) != NULL; i++)
		if (other->limitable)
			nearest_consider(&nearest, other->name);
	(void)document_refuse(key, err,
	                      NOUN ": unknown meter '%.64s'%s; expected one of "
	                           "tenantd-meters(5) or of " POLICY_METERS_FILE,
	                      key->text, nearest_hint(&nearest, "", hint));
	return NULL;
}

/* The quota on @meter, which is made if there is none; NULL, and why it cannot be. */
static struct policy_quota *quota_find(struct policy_tier *tier, const struct meter *meter,
                                       const struct document_node *key, struct tn_error *err)
{
	struct policy_quota *quotas = tier->quotas;
	size_t i = 0;

	while (i < tier->quotas_n && strcmp(quotas[i].meter.name, meter->name) < 0)
		i++;
	if (i < tier->quotas_n && strcmp(quotas[i].meter.name, meter->name) == 0)
		return &quotas[i];
	if (tier->quotas_n == POLICY_QUOTAS_MAX) {
		(void)document_refuse(key, err, NOUN ": too many quotas; expected at most %d",
		                      POLICY_QUOTAS_MAX);
		return NULL;
	}
	memmove(&quotas[i + 1], &quotas[i], (tier->quotas_n - i) * sizeof(*quotas));
	memset(&quotas[i], 0, sizeof(quotas[i]));
	quotas[i].meter = *meter;
	(void)snprintf(quotas[i].key, sizeof(quotas[i].key), NOUN ".%s", meter->name);
	tier->quotas_n++;
	return &quotas[i];
}

__attribute__((format(printf, 2, 3))) static void text_add(struct policy_quota *quota,
                                                           const char *fmt, ...)
{
	size_t n = strlen(quota->text);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(quota->text + n, sizeof(quota->text) - n, fmt, ap);
	va_end(ap);
}

/* "360000s per month, hard, on_exhaust refuse, warn 80 95" */
static void text_make(struct policy_quota *quota)
{
	policy_amount_format(quota->meter.unit, quota->limit, quota->text, sizeof(quota->text));
	if (quota->per != POLICY_PER_NONE)
		text_add(quota, " per %s", policy_period_names[quota->per]);
	text_add(quota, ", %s", policy_enforce_names[quota->enforce]);
	if (quota->meter.source == METER_OF_KERNEL && quota->enforce == POLICY_ENFORCE_HARD)
		text_add(quota, ", on_exhaust %s", policy_exhaust_names[quota->on_exhaust]);
	for (size_t i = 0; i < quota->warn_n; i++)
		text_add(quota, "%s %" PRId64, i == 0 ? ", warn" : "", quota->warn[i]);
}

static_assert(POLICY_QUOTA_TEXT_BYTES_MAX >= POLICY_AMOUNT_BYTES_MAX + 64 + 5 * POLICY_WARN_MAX,
              "a quota's words fit");

static int quota_read(struct policy_tier *tier, const struct policy_meters *meters,
                      const struct document_node *key, struct tn_error *err)
{
	const struct schema schema = {
		.noun = key->text,
		.keys_n = ARRAY_LEN(rows),
		.key = quota_key,
		.set = quota_set,
	};
	struct reading reading = { .tier = tier };
	const struct meter *meter = meter_find(meters, key, err);
	int r;

	if (meter != NULL)
		reading.quota = quota_find(tier, meter, key, err);
	if (reading.quota == NULL)
		return -EINVAL;
	r = schema_walk(&schema, key->value, &reading, err);
	if (r == 0)
		r = soft_check(&reading, err);
	if (r < 0)
		return r;
	reading.quota->where = tier_location(tier, key);
	text_make(reading.quota);
	return 0;
}

int quotas_read(struct policy_tier *tier, const struct policy_meters *meters,
                const struct document_node *mapping, struct tn_error *err)
{
	int r = schema_want_mapping(NOUN, mapping, err);

	for (const struct document_node *key = mapping->first; r == 0 && key != NULL;
	     key = key->next)
		r = quota_read(tier, meters, key, err);
	return r;
}

/* What @quota lacks of what it needs, or NULL. */
static const char *quota_fault(const struct policy_quota *quota)
{
	if (quota->key_where[POLICY_QUOTA_LIMIT].line == 0)
		return "limit is missing; expected how much there may be, or max";
	if (quota->meter.kind == METER_COUNTER && quota->per == POLICY_PER_NONE)
		return "per is missing; expected " PERIODS ", as it is a counter";
	return NULL;
}

int quotas_check(const struct policy_tier *tier, struct tn_error *err)
{
	for (size_t i = 0; i < tier->quotas_n; i++) {
		const struct policy_quota *quota = &tier->quotas[i];
		const struct policy_location *where = &quota->where;
		const char *fault = quota_fault(quota);

		if (fault != NULL)
			return document_refuse_at(
				where->extension == 0 ? tier->file
						      : tier->extensions[where->extension - 1],
				where->line, where->column, err, "%s: %s", quota->meter.name,
				fault);
	}
	return 0;
}
