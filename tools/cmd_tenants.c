/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd.h"

#include <stdlib.h>

#include <base/account.h>
#include <base/err.h>
#include <base/fd.h>

#include "output.h"

/* The key is the first @key_n letters of @argument; the value stands behind them, if any. */
static int pair_put(struct cmd_pairs *pairs, const char *argument, size_t key_n,
                    struct tn_error *err)
{
	char *text;

	if (pairs->n == CMD_PAIRS_MAX)
		return err_refuse(err, TN_INVALID, "more than %d of them", CMD_PAIRS_MAX);
	text = strdup(argument);
	if (text == NULL)
		return err_set(err, TN_SYSTEM, ENOMEM, "no memory");
	pairs->texts[pairs->n] = text;
	pairs->items[pairs->n++] =
		(struct tn_pair){ text, text[key_n] != '\0' ? text + key_n + 1 : NULL };
	text[key_n] = '\0';
	return 0;
}

void cmd_pairs_done(struct cmd_pairs *pairs)
{
	for (size_t i = 0; i < pairs->n; i++)
		free(pairs->texts[i]);
	pairs->n = 0;
}

static int pair_add(struct cmd_pairs *pairs, const char *argument, struct tn_error *err)
{
	size_t key_n = strcspn(argument, "=");

	if (key_n == 0 || argument[key_n] == '\0')
		return err_refuse(err, TN_INVALID, "'%s' is not KEY=VALUE", argument);
	return pair_put(pairs, argument, key_n, err);
}

static int pair_drop(struct cmd_pairs *pairs, const char *argument, struct tn_error *err)
{
	size_t key_n = strcspn(argument, "=");

	if (key_n == 0 || argument[key_n] != '\0')
		return err_refuse(err, TN_INVALID, "'%s' is no key", argument);
	return pair_put(pairs, argument, key_n, err);
}

int cmd_add_metadata(void *target, const char *argument, struct tn_error *err)
{
	struct ctl *ctl = target;

	return pair_add(&ctl->metadata, argument, err);
}

int cmd_want_metadata(void *target, const char *argument, struct tn_error *err)
{
	struct ctl *ctl = target;
	size_t key_n = strcspn(argument, "=");

	if (key_n == 0)
		return err_refuse(err, TN_INVALID, "'%s' is neither KEY=VALUE nor KEY",
		                  argument);
	return pair_put(&ctl->metadata, argument, key_n, err);
}

int cmd_drop_metadata(void *target, const char *argument, struct tn_error *err)
{
	struct ctl *ctl = target;

	return pair_drop(&ctl->metadata, argument, err);
}

int cmd_add_override(void *target, const char *argument, struct tn_error *err)
{
	struct ctl *ctl = target;

	return pair_add(&ctl->overrides, argument, err);
}

int cmd_drop_override(void *target, const char *argument, struct tn_error *err)
{
	struct ctl *ctl = target;

	return pair_drop(&ctl->overrides, argument, err);
}

static int operator_put(struct cmd_texts *texts, const char *argument, struct tn_error *err)
{
	enum account_kind kind;
	const char *name;
	int r = account_parse(argument, &kind, &name, err);

	if (r < 0)
		return r;
	if (texts->n == CMD_TEXTS_MAX)
		return err_refuse(err, TN_INVALID, "more than %d of them", CMD_TEXTS_MAX);
	texts->items[texts->n++] = argument;
	return 0;
}

int cmd_add_operator(void *target, const char *argument, struct tn_error *err)
{
	struct ctl *ctl = target;

	return operator_put(&ctl->operators, argument, err);
}

int cmd_drop_operator(void *target, const char *argument, struct tn_error *err)
{
	struct ctl *ctl = target;

	return operator_put(&ctl->no_operators, argument, err);
}

static void show_row(const char *name, const char *value)
{
	(void)printf("%-14s ", name);
	output_text(stdout, value);
	(void)putchar('\n');
}

static void show_tenant(const struct tn_tenant *tenant)
{
	char created[OUTPUT_CELL_BYTES_MAX], updated[OUTPUT_CELL_BYTES_MAX];
	char day[OUTPUT_CELL_BYTES_MAX], version[OUTPUT_CELL_BYTES_MAX];
	char uids[2 * OUTPUT_CELL_BYTES_MAX];
	const struct tn_settings *settings = &tenant->settings;

	(void)snprintf(uids, sizeof(uids), "%lld to %lld", (long long)tenant->uid_first,
	               (long long)(tenant->uid_first + tenant->uid_count - 1));
	show_row("name", tenant->name);
	show_row("id", tenant->id);
	show_row("display name", tenant->display_name);
	show_row("status", tn_tenant_status_name(tenant->status));
	show_row("tier", tenant->tier);
	show_row("created", output_instant(tenant->created_at, created));
	show_row("updated", output_instant(tenant->updated_at, updated));
	show_row("version", output_int(tenant->version, version));
	show_row("policy", tenant->policy_hash);
	show_row("cgroup", tenant->cgroup);
	show_row("uids", uids);
	show_row("storage", tenant->storage_path);
	show_row("billing day", output_int(settings->billing_anchor_day, day));
	show_row("time zone", settings->time_zone);
	show_row("currency", settings->currency);
	if (settings->customer_id != NULL)
		show_row("customer", settings->customer_id);
	for (size_t i = 0; i < tenant->overrides.n; i++)
		show_row(tenant->overrides.items[i].key, tenant->overrides.items[i].value);
	for (size_t i = 0; i < tenant->operators.n; i++)
		show_row("operator", tenant->operators.items[i]);
	for (size_t i = 0; i < tenant->metadata.n; i++) {
		char name[OUTPUT_CELL_BYTES_MAX];

		(void)snprintf(name, sizeof(name), "meta %s", tenant->metadata.items[i].key);
		show_row(name, tenant->metadata.items[i].value);
	}
}

int cmd_create(struct ctl *ctl, struct tn_error *err)
{
	const struct tn_settings settings = { ctl->billing_day, ctl->time_zone, ctl->currency,
		                              ctl->customer_id };
	const struct tn_tenant_spec spec = {
		.settings = &settings,
		.name = ctl->operands[0],
		.display_name = ctl->display_name,
		.tier = ctl->tier,
		.metadata = ctl->metadata.items,
		.metadata_n = ctl->metadata.n,
		.overrides = ctl->overrides.items,
		.overrides_n = ctl->overrides.n,
		.operators = ctl->operators.items,
		.operators_n = ctl->operators.n,
	};
	struct tn_tenant tenant = { 0 };
	int r = tn_tenant_create(ctl->client, &spec, &tenant, err);

	if (r < 0)
		return r;
	if (ctl->json)
		output_json(stdout, tn_tenant_fields(), &tenant);
	else
		(void)printf("created %s (%s), tier %s\n", tenant.name, tenant.id, tenant.tier);
	tn_tenant_done(&tenant);
	return 0;
}

/* How a change went: "suspended acme (5f0c…), version 4". */
static int change_end(const struct ctl *ctl, int r, const char *what, struct tn_tenant *tenant)
{
	if (r < 0)
		return r;
	if (ctl->json)
		output_json(stdout, tn_tenant_fields(), tenant);
	else
		(void)printf("%s %s (%s), version %lld\n", what, tenant->name, tenant->id,
		             (long long)tenant->version);
	tn_tenant_done(tenant);
	return 0;
}

int cmd_update(struct ctl *ctl, struct tn_error *err)
{
	const struct tn_tenant_change change = {
		.display_name = ctl->display_name,
		.tier = ctl->tier,
		.metadata = ctl->metadata.items,
		.metadata_n = ctl->metadata.n,
		.overrides = ctl->overrides.items,
		.overrides_n = ctl->overrides.n,
		.billing_anchor_day = ctl->billing_day,
		.time_zone = ctl->time_zone,
		.currency = ctl->currency,
		.customer_id = ctl->customer_id,
		.if_version = ctl->if_version,
		.operators_add = ctl->operators.items,
		.operators_add_n = ctl->operators.n,
		.operators_remove = ctl->no_operators.items,
		.operators_remove_n = ctl->no_operators.n,
		.force = ctl->force,
	};
	struct tn_tenant tenant = { 0 };
	int r = tn_tenant_update(ctl->client, ctl->operands[0], &change, &tenant, err);

	return change_end(ctl, r, "updated", &tenant);
}

int cmd_suspend(struct ctl *ctl, struct tn_error *err)
{
	struct tn_tenant tenant = { 0 };
	int r = tn_tenant_suspend(ctl->client, ctl->operands[0], &tenant, err);

	return change_end(ctl, r, "suspended", &tenant);
}

int cmd_resume(struct ctl *ctl, struct tn_error *err)
{
	struct tn_tenant tenant = { 0 };
	int r = tn_tenant_resume(ctl->client, ctl->operands[0], &tenant, err);

	return change_end(ctl, r, "resumed", &tenant);
}

int cmd_delete(struct ctl *ctl, struct tn_error *err)
{
	struct tn_tenant tenant = { 0 };
	int r = tn_tenant_delete(ctl->client, ctl->operands[0], ctl->force, &tenant, err);

	return change_end(ctl, r, "deleted", &tenant);
}

int cmd_show(struct ctl *ctl, struct tn_error *err)
{
	struct tn_tenant tenant = { 0 };
	int r = tn_tenant_get(ctl->client, ctl->operands[0], &tenant, err);

	if (r < 0)
		return r;
	if (ctl->json)
		output_json(stdout, tn_tenant_fields(), &tenant);
	else
		show_tenant(&tenant);
	tn_tenant_done(&tenant);
	return 0;
}

static int list_as_row(const struct tn_tenant *tenant, void *userdata)
{
	struct table *table = userdata;
	char created[OUTPUT_CELL_BYTES_MAX];

	table_add(table, tenant->name);
	table_add(table, tn_tenant_status_name(tenant->status));
	table_add(table, tenant->tier);
	table_add(table, output_instant(tenant->created_at, created));
	table_add(table, tenant->display_name);
	return 0;
}

static int list_as_json(const struct tn_tenant *tenant, void *userdata)
{
	struct jout *out = userdata;

	jout_line(out);
	output_record(out, NULL, tn_tenant_fields(), tenant);
	return 0;
}

int cmd_list(struct ctl *ctl, struct tn_error *err)
{
	static const struct table_column columns[] = { { "NAME", false },
		                                       { "STATUS", false },
		                                       { "TIER", false },
		                                       { "CREATED", false },
		                                       { "DISPLAY NAME", false } };
	const struct tn_tenant_filter filter = { .status = ctl->status,
		                                 .tier = ctl->tier,
		                                 .metadata = ctl->metadata.items,
		                                 .metadata_n = ctl->metadata.n };
	struct jout out = { .file = stdout };
	struct table table;
	int r;

	if (ctl->json) {
		r = tn_tenant_list(ctl->client, &filter, list_as_json, &out, err);
		/* Left open if the list is not whole: that must not read as one that is. */
		if (r == 0) {
			jout_end_lines(&out);
			(void)putchar('\n');
		}
		return r;
	}
	table_init(&table, columns, ARRAY_LEN(columns));
	r = tn_tenant_list(ctl->client, &filter, list_as_row, &table, err);
	if (r == 0 && table_print(&table, stdout) < 0)
		r = err_set(err, TN_SYSTEM, ENOMEM, "no memory for the list");
	table_done(&table);
	return r;
}
