/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/fd.h>

#include "encode.h"
#include "methods.h"

#define TIER_DEFAULT       "free"
#define ANCHOR_DAY_DEFAULT 1
#define ANCHOR_DAY_MAX     31 /* in a shorter month it is the last day */
#define TIME_ZONE_DEFAULT  "UTC"
#define CURRENCY_DEFAULT   "USD"
#define ZONES_DIR          "/usr/share/zoneinfo"

struct create_arguments {
	const char *name;
	const char *display_name;
	const char *tier;
	json_t *metadata;
	struct {
		int64_t billing_anchor_day;
		const char *time_zone;
		const char *currency;
		const char *customer_id;
	} settings;
};

#define CREATE_AT(field) .offset = offsetof(struct create_arguments, field)
#define SETTING_AT(field)                                                                      \
	(offsetof(struct create_arguments, settings.field) -                                   \
	 offsetof(struct create_arguments, settings))
#define TEXT_MAX .max = (STORE_TEXT_BYTES_MAX - 1)

static const struct param settings_params[] = {
	{ .name = "billing_anchor_day",
	  .kind = PARAM_INT,
	  .max = ANCHOR_DAY_MAX,
	  .offset = SETTING_AT(billing_anchor_day) },
	{ .name = "time_zone",
	  .kind = PARAM_STRING,
	  TEXT_MAX,
	  .offset = SETTING_AT(time_zone) },
	{ .name = "currency",
	  .kind = PARAM_STRING,
	  .max = STORE_CURRENCY_BYTES - 1,
	  .offset = SETTING_AT(currency) },
	{ .name = "customer_id",
	  .kind = PARAM_STRING,
	  TEXT_MAX,
	  .offset = SETTING_AT(customer_id) },
	{ .name = NULL },
};

static const struct param create_params[] = {
	{ .name = "name", .kind = PARAM_STRING, .required = true, CREATE_AT(name) },
	{ .name = "display_name", .kind = PARAM_STRING, TEXT_MAX, CREATE_AT(display_name) },
	{ .name = "tier", .kind = PARAM_STRING, .max = NAME_BYTES_MAX - 1, CREATE_AT(tier) },
	{ .name = "metadata", .kind = PARAM_JSON, .json = JSON_OBJECT, CREATE_AT(metadata) },
	{ .name = "settings",
	  .kind = PARAM_STRUCT,
	  .fields = settings_params,
	  CREATE_AT(settings) },
	{ .name = NULL },
};

/* What is shown on terminals and in logs holds no control characters. */
static int text_set(char *to, size_t size, const char *what, const char *text,
                    struct tn_error *err)
{
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return err_refuse(err, TN_INVALID, "%s: holds a control character",
			                  what);
	(void)snprintf(to, size, "%s", text);
	return 0;
}

/* A name of the time zone database; if the host has none, anything that looks like one. */
static int time_zone_check(const char *zone, struct tn_error *err)
{
	char path[sizeof(ZONES_DIR) + 1 + STORE_TEXT_BYTES_MAX];
	size_t n = strspn(zone, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	                        "0123456789_+-/");

	(void)snprintf(path, sizeof(path), ZONES_DIR "/%s", zone);
	if (zone[0] == '\0' || zone[n] != '\0' || zone[0] == '/' ||
	    (access(ZONES_DIR, F_OK) == 0 && access(path, F_OK) < 0))
		return err_refuse(err, TN_INVALID, "'%s' is no time zone", zone);
	return 0;
}

static int settings_fill(const struct create_arguments *arguments, struct tenant_row *row,
                         struct tn_error *err)
{
	const char *zone = arguments->settings.time_zone;
	const char *currency = arguments->settings.currency;
	int64_t day = arguments->settings.billing_anchor_day;
	int r;

	row->billing_anchor_day = day != PARAMS_ABSENT ? day : ANCHOR_DAY_DEFAULT;
	if (row->billing_anchor_day < 1)
		return err_refuse(err, TN_INVALID,
		                  "billing_anchor_day: 0 is no day of a month");
	if (currency == NULL)
		currency = CURRENCY_DEFAULT;
	if (strlen(currency) != STORE_CURRENCY_BYTES - 1 ||
	    strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != STORE_CURRENCY_BYTES - 1)
		return err_refuse(err, TN_INVALID, "'%s' is no currency code like %s", currency,
		                  CURRENCY_DEFAULT);
	(void)snprintf(row->currency, sizeof(row->currency), "%s", currency);
	if (zone == NULL)
		zone = TIME_ZONE_DEFAULT;
	r = time_zone_check(zone, err);
	if (r < 0)
		return r;
	(void)snprintf(row->time_zone, sizeof(row->time_zone), "%s", zone);
	if (arguments->settings.customer_id == NULL)
		return 0;
	return text_set(row->customer_id, sizeof(row->customer_id), "customer_id",
	                arguments->settings.customer_id, err);
}

/* A JSON text of @metadata, for the caller to free. */
static int metadata_dump(json_t *metadata, char **ret, struct tn_error *err)
{
	char *text;

	for (void *i = json_object_iter(metadata); i != NULL;
	     i = json_object_iter_next(metadata, i))
		if (!json_is_string(json_object_iter_value(i)))
			return err_refuse(err, TN_INVALID,
			                  "metadata '%.64s': expected a string",
			                  json_object_iter_key(i));
	text = metadata != NULL ? json_dumps(metadata, JSON_COMPACT | JSON_SORT_KEYS)
	                        : strdup("{}");
	if (text == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "keep the metadata");
	if (strlen(text) > STORE_METADATA_BYTES_MAX) {
		free(text);
		return err_refuse(err, TN_INVALID, "metadata: longer than %d bytes",
		                  STORE_METADATA_BYTES_MAX);
	}
	*ret = text;
	return 0;
}

static void create_done(void *userdata, struct tenant *tenant, const struct tn_error *err)
{
	struct call *call = userdata;

	if (tenant == NULL)
		call_fail(call, err);
	else
		call_reply(call, json_pack("{s:o}", "tenant", encode_tenant(&tenant->row)));
}

static int handle_create(struct call *call, struct tn_error *err)
{
	const struct create_arguments *arguments = call->arguments;
	const char *shown = arguments->display_name;
	const char *tier = arguments->tier;
	struct tenant_row row = { 0 };
	int r;

	/* Before it is cut to the size of its field. */
	if (!name_valid(arguments->name))
		return err_refuse(err, TN_INVALID, "'%.64s' is no tenant's name: " NAME_RULE,
		                  arguments->name);
	(void)snprintf(row.name, sizeof(row.name), "%s", arguments->name);
	(void)snprintf(row.tier, sizeof(row.tier), "%s", tier != NULL ? tier : TIER_DEFAULT);
	r = text_set(row.display_name, sizeof(row.display_name), "display_name",
	             shown != NULL ? shown : arguments->name, err);
	if (r == 0)
		r = settings_fill(arguments, &row, err);
	if (r == 0)
		r = metadata_dump(arguments->metadata, &row.metadata, err);
	if (r == 0)
		r = tenants_create(call->context->tenants, &row, create_done, call, err);
	tenant_row_done(&row);
	return r;
}

struct get_arguments {
	const char *tenant;
};

static const struct param get_params[] = {
	{ .name = "tenant",
	  .kind = PARAM_STRING,
	  .required = true,
	  .offset = offsetof(struct get_arguments, tenant) },
	{ .name = NULL },
};

static int handle_get(struct call *call, struct tn_error *err)
{
	const struct get_arguments *arguments = call->arguments;
	struct tenant *tenant;
	int r = tenants_get(call->context->tenants, arguments->tenant, &tenant, err);

	if (r < 0)
		return r;
	call_reply(call, json_pack("{s:o}", "tenant", encode_tenant(&tenant->row)));
	return 0;
}

struct list {
	char after[NAME_BYTES_MAX];
};

static int list_next(struct call *call, json_t **ret, struct tn_error *err)
{
	struct store *store = call->context->store;
	struct list *list = call->state;
	struct tenant_row row = { 0 };
	int r = store->ops->tenant_next(store, list->after, &row, err);

	if (r != 1)
		return r;
	(void)snprintf(list->after, sizeof(list->after), "%s", row.name);
	*ret = json_pack("{s:o}", "tenant", encode_tenant(&row));
	tenant_row_done(&row);
	return *ret != NULL ? 1 : err_set(err, TN_SYSTEM, ENOMEM, "list tenants");
}

static int handle_list(struct call *call, struct tn_error *err)
{
	call->state = calloc(1, sizeof(struct list));
	call->free_state = free;
	if (call->state == NULL)
		return err_errno(err, "list tenants");
	call_stream(call, list_next);
	return 0;
}

const struct method methods_tenants[] = {
	{ "io.tenantd.CreateTenant", handle_create, 0, create_params,
	  sizeof(struct create_arguments) },
	{ "io.tenantd.GetTenant", handle_get, 0, get_params, sizeof(struct get_arguments) },
	{ "io.tenantd.ListTenants", handle_list, METHOD_STREAMS, NULL, 0 },
	{ .name = NULL },
};
