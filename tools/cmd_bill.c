/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bill: what a tenant has to pay for a period, line by line; as a table with exact amounts, as
 * one JSON object, or as CSV with a line of names. It says the same whenever it is asked.
 */
#include "cmd.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tenant/bill.h>

#include <base/err.h>
#include <base/fd.h>
#include <policy/meters.h>
#include <policy/quotas.h>

#include "csv.h"
#include "output.h"

enum column {
	COLUMN_METER,
	COLUMN_FROM,
	COLUMN_QUANTITY,
	COLUMN_PRICE,
	COLUMN_PER,
	COLUMN_SOURCE,
	COLUMN_AMOUNT,
	COLUMNS_N,
};

static const struct table_column columns[COLUMNS_N] = {
	[COLUMN_METER] = { "METER", false },      [COLUMN_FROM] = { "FROM", false },
	[COLUMN_QUANTITY] = { "QUANTITY", true }, [COLUMN_PRICE] = { "PRICE", true },
	[COLUMN_PER] = { "PER", false },          [COLUMN_AMOUNT] = { "AMOUNT", true },
	[COLUMN_SOURCE] = { "SET IN", false },
};

/* What is being shown. */
struct show {
	const struct tn_bill *bill; /* filled before the first line */
	struct jout out;
	struct table table;
	bool begun;
};

/* Of the unit of a meter, in which price books have their amounts. */
static enum meter_unit unit_of(const char *label)
{
	static const struct {
		const char *label;
		enum meter_unit unit;
	} units[] = {
		{ "usec", METER_UNIT_USEC },
		{ "bytes", METER_UNIT_BYTES },
		{ "mib_msec", METER_UNIT_MIB_MSEC },
	};

	for (size_t i = 0; label != NULL && i < ARRAY_LEN(units); i++)
		if (strcmp(units[i].label, label) == 0)
			return units[i].unit;
	return METER_UNIT_COUNT;
}

/* "1h", as the book has it. */
static const char *per_text(const struct tn_bill_line *line, char *cell)
{
	cell[0] = '\0';
	if (line->per != TN_ABSENT)
		policy_amount_format(unit_of(line->unit), line->per, cell,
		                     OUTPUT_CELL_BYTES_MAX);
	return cell;
}

static const char *money_text(const struct tn_bill *bill, int64_t amount, char *cell)
{
	size_t n;

	(void)output_decimal(amount, bill->exponent, cell);
	n = strlen(cell);
	if (amount != TN_ABSENT)
		(void)snprintf(cell + n, OUTPUT_CELL_BYTES_MAX - n, " %.8s", bill->currency);
	return cell;
}

static int line_row(const struct tn_bill_line *line, void *userdata)
{
	struct show *show = userdata;
	const struct tn_bill *bill = show->bill;
	const bool part = line->start != bill->start || line->end != bill->end;
	char cell[OUTPUT_CELL_BYTES_MAX];

	table_add(&show->table, line->meter);
	table_add(&show->table, part ? output_instant(line->start, cell) : "");
	table_add(&show->table, output_quantity(line->quantity, line->unit, cell));
	table_add(&show->table, line->price != NULL ? line->price : "not priced");
	table_add(&show->table, per_text(line, cell));
	table_add(&show->table, line->source != NULL ? line->source : "");
	table_add(&show->table, money_text(bill, line->amount, cell));
	return 0;
}

static void subtotal_row(const struct tn_bill *bill, struct table *table)
{
	char cell[OUTPUT_CELL_BYTES_MAX];

	table_add(table, "subtotal");
	for (int i = COLUMN_METER + 1; i < COLUMN_AMOUNT; i++)
		table_add(table, "");
	table_add(table, money_text(bill, bill->subtotal, cell));
}

static int print_table(struct ctl *ctl, struct show *show, struct tn_bill *bill,
                       struct tn_error *err)
{
	char start[OUTPUT_CELL_BYTES_MAX], end[OUTPUT_CELL_BYTES_MAX];
	char cell[OUTPUT_CELL_BYTES_MAX];
	int r;

	table_init(&show->table, columns, COLUMNS_N);
	show->table.spare = UINT64_C(1) << COLUMN_FROM;
	r = tn_bill(ctl->client, ctl->operands[0], ctl->period, bill, line_row, show, err);
	if (r == 0) {
		(void)printf("%s in %s, from %s to %s", bill->tenant, bill->period,
		             output_instant(bill->start, start),
		             output_instant(bill->end, end));
		if (bill->state == TN_BILL_OPEN)
			(void)printf("; open, with what was used until %s",
			             output_instant(bill->booked_until, cell));
		if (bill->state == TN_BILL_CLOSING)
			(void)printf("; closing, with what is told late still to come");
		(void)printf("\n\n");
		subtotal_row(bill, &show->table);
		if (table_print(&show->table, stdout) < 0)
			r = err_set(err, TN_SYSTEM, ENOMEM, "show the bill");
	}
	table_done(&show->table);
	return r;
}

static void json_begin(struct show *show)
{
	if (show->begun)
		return;
	show->begun = true;
	jout_begin(&show->out, NULL, '{');
	output_members(&show->out, tn_bill_fields(), show->bill);
	jout_begin(&show->out, "lines", '[');
}

static int line_json(const struct tn_bill_line *line, void *userdata)
{
	struct show *show = userdata;

	json_begin(show);
	jout_line(&show->out);
	output_record(&show->out, NULL, tn_bill_line_fields(), line);
	return 0;
}

static int print_json(struct ctl *ctl, struct show *show, struct tn_bill *bill,
                      struct tn_error *err)
{
	int r = tn_bill(ctl->client, ctl->operands[0], ctl->period, bill, line_json, show, err);

	if (r < 0)
		return r;
	json_begin(show);
	jout_end_lines(&show->out);
	jout_end(&show->out, '}');
	(void)putchar('\n');
	return 0;
}

static void csv_begin(struct show *show)
{
	if (!show->begun)
		(void)printf("tenant,period,start,end,meter,unit,quantity,price,per,amount,"
		             "currency,source\n");
	show->begun = true;
}

static int line_csv(const struct tn_bill_line *line, void *userdata)
{
	struct show *show = userdata;
	const struct tn_bill *bill = show->bill;
	char cell[OUTPUT_CELL_BYTES_MAX];

	csv_begin(show);
	csv_text(bill->tenant);
	(void)putchar(',');
	csv_text(bill->period);
	(void)putchar(',');
	csv_instant(line->start);
	(void)putchar(',');
	csv_instant(line->end);
	(void)putchar(',');
	csv_text(line->meter);
	(void)putchar(',');
	csv_text(line->unit);
	(void)printf(",%" PRId64 ",", line->quantity);
	csv_text(line->price);
	(void)putchar(',');
	if (line->per != TN_ABSENT)
		(void)printf("%" PRId64, line->per);
	(void)putchar(',');
	if (line->amount != TN_ABSENT)
		csv_text(output_decimal(line->amount, bill->exponent, cell));
	(void)putchar(',');
	csv_text(bill->currency);
	(void)putchar(',');
	csv_text(line->source);
	(void)putchar('\n');
	return 0;
}

static int print_csv(struct ctl *ctl, struct show *show, struct tn_bill *bill,
                     struct tn_error *err)
{
	int r = tn_bill(ctl->client, ctl->operands[0], ctl->period, bill, line_csv, show, err);

	if (r == 0)
		csv_begin(show);
	return r;
}

int cmd_bill(struct ctl *ctl, struct tn_error *err)
{
	struct tn_bill bill = { 0 };
	struct show show = { .bill = &bill, .out = { .file = stdout } };
	int r;

	if (ctl->json && ctl->csv)
		return err_refuse(err, TN_INVALID, "either --json or --csv");
	if (ctl->json)
		r = print_json(ctl, &show, &bill, err);
	else if (ctl->csv)
		r = print_csv(ctl, &show, &bill, err);
	else
		r = print_table(ctl, &show, &bill, err);
	tn_bill_done(&bill);
	return r;
}
