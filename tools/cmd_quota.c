/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tenantctl quota: what is left of a tenant's quotas, and amounts that are taken from them.
 */
#include "cmd.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tenant/quota.h>

#include <base/err.h>
#include <base/fd.h>
#include <base/num.h>

#include "output.h"

enum operand {
	OPERAND_TENANT,
	OPERAND_METER,
	OPERAND_AMOUNT,
};

static int amount_parse(const char *text, int64_t *ret, struct tn_error *err)
{
	if (num_parse(text, INT64_MAX, ret) < 0 || *ret == 0)
		return err_refuse(
			err, TN_INVALID,
			"'%.64s' is no amount; expected 1 to 2^63 - 1, in the meter's "
			"unit",
			text);
	return 0;
}

static struct tn_quota_options options_of(const struct ctl *ctl)
{
	return (struct tn_quota_options){ .key = ctl->key,
		                          .durable = ctl->durable,
		                          .execution = ctl->of_execution,
		                          .expires_usec = ctl->expires_usec };
}

static int show_answer(const struct ctl *ctl, const struct tn_quota_answer *answer)
{
	struct jout out = { .file = stdout };
	char cell[OUTPUT_CELL_BYTES_MAX];

	if (ctl->json) {
		jout_begin(&out, NULL, '{');
		jout_int(&out, "limit", answer->limit);
		jout_int(&out, "used", answer->used);
		jout_int(&out, "reserved", answer->reserved);
		jout_int(&out, "reset_at", answer->reset_at);
		jout_bool(&out, "repeated", answer->repeated);
		jout_text(&out, "reservation",
		          answer->reservation[0] != '\0' ? answer->reservation : NULL);
		jout_end(&out, '}');
		(void)putchar('\n');
		return 0;
	}
	if (answer->reservation[0] != '\0')
		(void)printf("%s  ", answer->reservation);
	(void)printf("%" PRId64 " of %s used, %" PRId64 " reserved%s\n", answer->used,
	             answer->limit == TN_ABSENT ? "no limit" : output_int(answer->limit, cell),
	             answer->reserved, answer->repeated ? "; done before" : "");
	return 0;
}

typedef int amount_fn(struct tn_client *client, const char *tenant, const char *meter,
                      int64_t amount, const struct tn_quota_options *options,
                      struct tn_quota_answer *ret, struct tn_error *err);

static int with_amount(struct ctl *ctl, amount_fn *fn, struct tn_error *err)
{
	const struct tn_quota_options options = options_of(ctl);
	struct tn_quota_answer answer = { 0 };
	int64_t amount = 0;
	int r = amount_parse(ctl->operands[OPERAND_AMOUNT], &amount, err);

	if (r == 0)
		r = fn(ctl->client, ctl->operands[OPERAND_TENANT], ctl->operands[OPERAND_METER],
		       amount, &options, &answer, err);
	return r < 0 ? r : show_answer(ctl, &answer);
}

int cmd_quota_check(struct ctl *ctl, struct tn_error *err)
{
	struct tn_quota_answer answer = { 0 };
	int64_t amount = 0;
	int r = amount_parse(ctl->operands[OPERAND_AMOUNT], &amount, err);

	if (r == 0)
		r = tn_quota_check(ctl->client, ctl->operands[OPERAND_TENANT],
		                   ctl->operands[OPERAND_METER], amount, &answer, err);
	return r < 0 ? r : show_answer(ctl, &answer);
}

int cmd_quota_consume(struct ctl *ctl, struct tn_error *err)
{
	return with_amount(ctl, tn_quota_consume, err);
}

int cmd_quota_reserve(struct ctl *ctl, struct tn_error *err)
{
	return with_amount(ctl, tn_quota_reserve, err);
}

int cmd_quota_acquire(struct ctl *ctl, struct tn_error *err)
{
	return with_amount(ctl, tn_quota_acquire, err);
}

/* Of a reservation, or of a gauge an amount. */
int cmd_quota_release(struct ctl *ctl, struct tn_error *err)
{
	const struct tn_quota_options options = options_of(ctl);
	struct tn_quota_answer answer = { 0 };
	int r;

	if (ctl->operands_n > OPERAND_AMOUNT)
		return with_amount(ctl, tn_quota_give_back, err);
	r = tn_quota_release(ctl->client, ctl->operands[OPERAND_TENANT],
	                     ctl->operands[OPERAND_METER], &options, &answer, err);
	return r < 0 ? r : show_answer(ctl, &answer);
}

int cmd_quota_commit(struct ctl *ctl, struct tn_error *err)
{
	const struct tn_quota_options options = options_of(ctl);
	struct tn_quota_answer answer = { 0 };
	int64_t amount = 0;
	int r = 0;

	if (ctl->operands_n > OPERAND_AMOUNT)
		r = amount_parse(ctl->operands[OPERAND_AMOUNT], &amount, err);
	if (r == 0)
		r = tn_quota_commit(ctl->client, ctl->operands[OPERAND_TENANT],
		                    ctl->operands[OPERAND_METER], amount, &options, &answer,
		                    err);
	return r < 0 ? r : show_answer(ctl, &answer);
}

/* A limit of the tenant's own, as a tier file writes it. */
int cmd_quota_set(struct ctl *ctl, struct tn_error *err)
{
	const char *meter = ctl->operands[OPERAND_METER],
		   *limit = ctl->operands[OPERAND_AMOUNT];
	struct tn_tenant tenant = { 0 };
	int r = tn_quota_set(ctl->client, ctl->operands[OPERAND_TENANT], meter, limit, &tenant,
	                     err);

	if (r < 0)
		return r;
	if (ctl->json)
		output_json(stdout, tn_tenant_fields(), &tenant);
	else
		(void)printf("%s: the limit of %s is %s\n", tenant.name, meter, limit);
	tn_tenant_done(&tenant);
	return 0;
}

enum column {
	COLUMN_METER,
	COLUMN_USED,
	COLUMN_RESERVED,
	COLUMN_LIMIT,
	COLUMN_PERCENT,
	COLUMN_PER,
	COLUMN_ENFORCE,
	COLUMN_RESET,
	COLUMNS_N,
};

static const struct table_column columns[COLUMNS_N] = {
	[COLUMN_METER] = { "METER", false },      [COLUMN_USED] = { "USED", true },
	[COLUMN_RESERVED] = { "RESERVED", true }, [COLUMN_LIMIT] = { "LIMIT", true },
	[COLUMN_PERCENT] = { "%", true },         [COLUMN_PER] = { "PER", false },
	[COLUMN_ENFORCE] = { "ENFORCED", false }, [COLUMN_RESET] = { "UNTIL", false },
};

struct show {
	const struct ctl *ctl;
	const struct tn_quota_summary *summary;
	struct jout out;
	struct table table;
	bool begun;
};

static const char *amount_text(const struct tn_quota *quota, int64_t amount, char *cell)
{
	static const struct {
		const char *unit;
		const char *(*format)(int64_t amount, char *cell);
	} units[] = {
		{ "bytes", output_bytes },
		{ "usec", output_duration },
		{ "mib_msec", output_memory_integral },
	};

	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (strcmp(quota->unit, units[i].unit) == 0)
			return units[i].format(amount, cell);
	return output_int(amount, cell);
}

/* "hard", and what becomes of what runs beside launches that are refused. */
static const char *enforced_text(const struct tn_quota *quota, char *cell)
{
	const char *then = quota->on_exhaust;

	if (quota->enforce == NULL)
		return "-";
	if (then == NULL || strcmp(then, "refuse") == 0)
		return quota->enforce;
	(void)snprintf(cell, OUTPUT_CELL_BYTES_MAX, "%s, %s", quota->enforce, then);
	return cell;
}

static void row_add(struct show *show, const struct tn_quota *quota)
{
	char cell[OUTPUT_CELL_BYTES_MAX];

	table_add(&show->table, quota->meter);
	table_add(&show->table, amount_text(quota, quota->used, cell));
	table_add(&show->table, amount_text(quota, quota->reserved, cell));
	table_add(&show->table, amount_text(quota, quota->limit, cell));
	table_add(&show->table, output_int(quota->percent, cell));
	table_add(&show->table, quota->per != NULL ? quota->per : "-");
	table_add(&show->table, enforced_text(quota, cell));
	table_add(&show->table, output_instant(quota->reset_at, cell));
}

static void json_begin(struct show *show)
{
	if (show->begun)
		return;
	show->begun = true;
	jout_begin(&show->out, NULL, '{');
	output_members(&show->out, tn_quota_summary_fields(), show->summary);
	jout_begin(&show->out, "quotas", '[');
}

static int on_quota(const struct tn_quota *quota, void *userdata)
{
	struct show *show = userdata;

	if (show->ctl->json) {
		json_begin(show);
		output_record(&show->out, NULL, tn_quota_fields(), quota);
	} else {
		row_add(show, quota);
	}
	return 0;
}

int cmd_quota_show(struct ctl *ctl, struct tn_error *err)
{
	struct tn_quota_summary summary = { 0 };
	struct show show = { .ctl = ctl, .summary = &summary, .out = { .file = stdout } };
	int r;

	table_init(&show.table, columns, COLUMNS_N);
	r = tn_quota_summary(ctl->client, ctl->operands[OPERAND_TENANT], &summary, on_quota,
	                     &show, err);
	if (r == 0 && ctl->json) {
		json_begin(&show);
		jout_end(&show.out, ']');
		jout_end(&show.out, '}');
		(void)putchar('\n');
	} else if (r == 0 && table_print(&show.table, stdout) < 0) {
		r = err_set(err, TN_SYSTEM, ENOMEM, "show quotas");
	}
	table_done(&show.table);
	tn_quota_summary_done(&summary);
	return r;
}
