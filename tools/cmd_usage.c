/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usage: totals, and then either executions or periods; as tables, as one JSON object, or as
 * CSV with a line of names.
 */
#include "cmd.h"

#include <inttypes.h>
#include <string.h>

#include <base/err.h>
#include <base/fd.h>

#include "csv.h"
#include "execution_list.h"

#define METERS_MAX (TABLE_COLUMNS_MAX - 1)

/* What is being shown. */
struct show {
	const struct ctl *ctl;
	const struct tn_usage *usage; /* filled before the first row */
	struct jout out;
	struct table table;
	struct table_column columns[1 + METERS_MAX];
	bool begun;
};

/* In --by's words; the first is that of executions. */
static const char *const by_names[] = {
	[TN_PERIOD_NONE] = "execution", [TN_PERIOD_HOUR] = "hour",   [TN_PERIOD_DAY] = "day",
	[TN_PERIOD_WEEK] = "week",      [TN_PERIOD_MONTH] = "month",
};

static const char *format_count(int64_t amount, char *cell)
{
	return output_int(amount, cell);
}

/* The unit of a meter is told by the end of its name. */
static const char *meter_text(const struct tn_count *meter, char *cell)
{
	static const struct {
		const char *ending;
		const char *(*format)(int64_t amount, char *cell);
	} units[] = {
		{ "memory_time", output_memory_integral },
		{ "memory_time_error", output_memory_integral },
		{ "_time", output_duration },
		{ "_usec", output_duration },
		{ "_bytes", output_bytes },
		{ "_mib_msec", output_memory_integral },
		{ "", format_count },
	};
	size_t n = strlen(meter->name);

	for (size_t i = 0;; i++) {
		size_t ending_n = strlen(units[i].ending);

		if (ending_n <= n && strcmp(meter->name + n - ending_n, units[i].ending) == 0)
			return units[i].format(meter->amount, cell);
	}
}

static void print_totals(const struct tn_usage *usage)
{
	static const struct table_column meters[] = { { "METER", false }, { "AMOUNT", true } };
	char since[OUTPUT_CELL_BYTES_MAX], cell[OUTPUT_CELL_BYTES_MAX];
	char name[OUTPUT_CELL_BYTES_MAX];
	struct table table;

	(void)printf("%s from %s to %s\n\n", usage->tenant, output_instant(usage->since, since),
	             output_instant(usage->until, cell));
	table_init(&table, meters, ARRAY_LEN(meters));
	for (size_t i = 0; i < usage->meters.n; i++) {
		table_add(&table, usage->meters.items[i].name);
		table_add(&table, meter_text(&usage->meters.items[i], cell));
	}
	for (size_t i = 0; i < usage->held.n; i++) {
		(void)snprintf(name, sizeof(name), "%s held now", usage->held.items[i].name);
		table_add(&table, name);
		table_add(&table, meter_text(&usage->held.items[i], cell));
	}
	table_add(&table, "cpu_time of no execution");
	table_add(&table, output_duration(usage->unattributed_usec, cell));
	(void)table_print(&table, stdout);
	table_done(&table);
	if (usage->itemized_since != TN_ABSENT)
		(void)printf("executions are kept one by one since %s\n",
		             output_instant(usage->itemized_since, cell));
	(void)putchar('\n');
}

/* A meter of that name in @meters, 0 if there is none. */
static int64_t meter_amount(const struct tn_counts *meters, const char *name)
{
	for (size_t i = 0; i < meters->n; i++)
		if (strcmp(meters->items[i].name, name) == 0)
			return meters->items[i].amount;
	return 0;
}

/* With --totals neither is called. */
static int ask(const struct show *show, struct tn_usage_query *query, struct tn_usage *usage,
               tn_execution_fn *each, tn_usage_period_fn *each_period, struct tn_error *err)
{
	query->each = show->ctl->totals ? NULL : each;
	query->each_period = show->ctl->totals ? NULL : each_period;
	return tn_usage(show->ctl->client, query, usage, err);
}

/*
 * As JSON the list is the last member of one object, whose others come first on the socket too:
 * nothing is held back.
 */
static void begin_json(struct show *show, const char *list)
{
	if (show->begun)
		return;
	show->begun = true;
	jout_begin(&show->out, NULL, '{');
	output_members(&show->out, tn_usage_fields(), show->usage);
	jout_begin(&show->out, list, '[');
}

static int execution_json(const struct tn_execution *execution, void *userdata)
{
	struct show *show = userdata;

	begin_json(show, "executions");
	return execution_as_json(execution, &show->out);
}

static int period_json(const struct tn_usage_period *period, void *userdata)
{
	struct show *show = userdata;

	begin_json(show, "periods");
	jout_line(&show->out);
	output_record(&show->out, NULL, tn_usage_period_fields(), period);
	return 0;
}

static int print_json(struct show *show, struct tn_usage_query *query, struct tn_usage *usage,
                      struct tn_error *err)
{
	int r = ask(show, query, usage, execution_json, period_json, err);

	if (r < 0)
		return r;
	if (show->ctl->totals) {
		output_json(stdout, tn_usage_fields(), usage);
		return 0;
	}
	begin_json(show, query->by == TN_PERIOD_NONE ? "executions" : "periods");
	jout_end_lines(&show->out);
	jout_end(&show->out, '}');
	(void)putchar('\n');
	return 0;
}

static void print_csv_meters(const struct tn_usage *usage)
{
	(void)printf("start,end");
	for (size_t i = 0; i < usage->meters.n; i++)
		(void)printf(",%s", usage->meters.items[i].name);
	(void)printf("\n");
}

static void print_csv_row(struct show *show, int64_t start, int64_t end,
                          const struct tn_counts *meters)
{
	const struct tn_counts *names = &show->usage->meters;

	if (!show->begun)
		print_csv_meters(show->usage);
	show->begun = true;
	csv_instant(start);
	(void)putchar(',');
	csv_instant(end);
	for (size_t i = 0; i < names->n; i++)
		(void)printf(",%" PRId64, meter_amount(meters, names->items[i].name));
	(void)printf("\n");
}

static int period_csv(const struct tn_usage_period *period, void *userdata)
{
	print_csv_row(userdata, period->start, period->end, &period->meters);
	return 0;
}

static bool is_instant(const struct tn_field *field)
{
	return strcmp(field->name, "started_at") == 0 || strcmp(field->name, "ended_at") == 0;
}

static void print_csv_field(const struct tn_field *field, const void *record)
{
	const char *at = (const char *)record + field->offset;
	const char *text;
	int64_t number;
	int choice;

	switch (field->kind) {
	case TN_FIELD_TEXT:
		memcpy(&text, at, sizeof(text));
		csv_text(text);
		return;
	case TN_FIELD_ENUM:
		memcpy(&choice, at, sizeof(choice));
		csv_text(choice == TN_ABSENT ? NULL : field->names[choice]);
		return;
	case TN_FIELD_INT:
		memcpy(&number, at, sizeof(number));
		if (is_instant(field))
			csv_instant(number);
		else if (number != TN_ABSENT)
			(void)printf("%" PRId64, number);
		return;
	case TN_FIELD_PAIRS:
	case TN_FIELD_COUNTS:
	case TN_FIELD_TEXTS:
	case TN_FIELD_LIMITS:
	case TN_FIELD_RECORD:
		/* An execution has none of these. */
		return;
	}
}

static void print_csv_names(void)
{
	for (const struct tn_field *field = tn_execution_fields(); field->name != NULL; field++)
		(void)printf("%s%s", field == tn_execution_fields() ? "" : ",", field->name);
	(void)printf("\n");
}

static int execution_csv(const struct tn_execution *execution, void *userdata)
{
	const struct tn_field *fields = tn_execution_fields();
	struct show *show = userdata;

	if (!show->begun)
		print_csv_names();
	show->begun = true;
	for (const struct tn_field *field = fields; field->name != NULL; field++) {
		if (field != fields)
			(void)putchar(',');
		print_csv_field(field, execution);
	}
	(void)printf("\n");
	return 0;
}

static int print_csv(struct show *show, struct tn_usage_query *query, struct tn_usage *usage,
                     struct tn_error *err)
{
	int r = ask(show, query, usage, execution_csv, period_csv, err);

	if (r < 0)
		return r;
	if (show->ctl->totals)
		print_csv_row(show, usage->since, usage->until, &usage->meters);
	else if (!show->begun && query->by == TN_PERIOD_NONE)
		print_csv_names();
	else if (!show->begun)
		print_csv_meters(usage);
	return 0;
}

static void period_columns(struct show *show)
{
	const struct tn_counts *meters = &show->usage->meters;
	const size_t n = meters->n < METERS_MAX ? meters->n : METERS_MAX;

	show->begun = true;
	show->columns[0] = (struct table_column){ "FROM", false };
	for (size_t i = 0; i < n; i++)
		show->columns[1 + i] = (struct table_column){ meters->items[i].name, true };
	table_init(&show->table, show->columns, 1 + n);
}

static int period_row(const struct tn_usage_period *period, void *userdata)
{
	struct show *show = userdata;
	char cell[OUTPUT_CELL_BYTES_MAX];

	if (!show->begun)
		period_columns(show);
	table_add(&show->table, output_instant(period->start, cell));
	for (size_t i = 1; i < show->table.columns_n; i++) {
		const char *name = show->columns[i].title;
		const struct tn_count meter = { name, meter_amount(&period->meters, name) };

		table_add(&show->table, meter_text(&meter, cell));
	}
	return 0;
}

static int execution_row(const struct tn_execution *execution, void *userdata)
{
	struct show *show = userdata;

	return execution_as_row(execution, &show->table);
}

static int print_tables(struct show *show, struct tn_usage_query *query, struct tn_usage *usage,
                        struct tn_error *err)
{
	int r;

	if (query->by == TN_PERIOD_NONE) {
		execution_table_init(&show->table);
		show->begun = true;
	}
	r = ask(show, query, usage, execution_row, period_row, err);
	if (r == 0) {
		print_totals(usage);
		if (!show->begun)
			period_columns(show);
		if (!show->ctl->totals)
			r = list_table_print(&show->table, err);
	}
	if (show->begun)
		table_done(&show->table);
	return r;
}

static int by_parse(const char *text, enum tn_period *ret, struct tn_error *err)
{
	if (text == NULL)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(by_names); i++)
		if (strcmp(by_names[i], text) == 0) {
			*ret = (enum tn_period)i;
			return 0;
		}
	return err_refuse(err, TN_INVALID,
	                  "--by: '%.32s' is no period; expected hour, day, week, month or "
	                  "execution",
	                  text);
}

int cmd_usage(struct ctl *ctl, struct tn_error *err)
{
	struct tn_usage usage = { 0 };
	struct show show = { .ctl = ctl, .usage = &usage, .out = { .file = stdout } };
	struct tn_usage_query query = {
		.tenant = ctl->operands[0],
		.since = ctl->since,
		.until = ctl->until,
		.userdata = &show,
	};
	int r;

	if (ctl->since != TN_ABSENT && ctl->until != TN_ABSENT && ctl->since > ctl->until)
		return err_refuse(err, TN_INVALID, "--since is later than --until");
	if (ctl->json && ctl->csv)
		return err_refuse(err, TN_INVALID, "either --json or --csv");
	r = by_parse(ctl->by, &query.by, err);
	if (r < 0)
		return r;
	if (ctl->json)
		r = print_json(&show, &query, &usage, err);
	else if (ctl->csv)
		r = print_csv(&show, &query, &usage, err);
	else
		r = print_tables(&show, &query, &usage, err);
	tn_usage_done(&usage);
	return r;
}
